"""Layers that look ahead: what model.run gives, and that everything else refuses by name."""
import pickle

import numpy as np
import pytest

from streamrnn import GRU, LSTM, RNN, Bidirectional, ConfigError, Dense, Dropout, Embedding, Engine, Model, Recurrence, Reverse, fit, load

REFUSAL = r"layers\.1 \(Bidirectional\) reads each sequence from its end.*whole sequences only"


def of(model, layer, name, inputs):
    """A model of this layer alone, with its tensors of another model."""
    return Model(inputs, [layer], tensors={f"layers.0.{key.removeprefix(name + '.')}": value for key, value in model.tensors.items()
                                           if key.startswith(f"{name}.")})


@pytest.fixture
def model():
    return Model(3, [Dense(4), Bidirectional(LSTM(5), GRU(6)), Reverse(RNN(7)), Dense(2)], seed=3)


def test_is_its_branches_one_of_them_over_the_reversed_sequence(rng):
    model, x = Model(3, [Bidirectional(LSTM(5), Recurrence("gru", 6, clip=0.5))]), rng.standard_normal((4, 20, 3)).astype(np.float32)
    there = of(model, LSTM(5), "layers.0.forward", 3).run(x)
    back = of(model, Recurrence("gru", 6, clip=0.5), "layers.0.backward", 3).run(x[:, ::-1])[:, ::-1]
    assert np.array_equal(model.run(x), np.concatenate([there, back], 2))
    assert np.array_equal(model.run(x, threads=2), model.run(x))


@pytest.mark.parametrize("merge", ["sum", "mean", "product"])
def test_merges(merge, rng):
    x = rng.standard_normal((2, 9, 3)).astype(np.float32)
    whole = Model(3, [Bidirectional(LSTM(5))])
    y = whole.run(x)
    want = {"sum": y[..., :5] + y[..., 5:], "mean": (y[..., :5] + y[..., 5:]) / 2, "product": y[..., :5] * y[..., 5:]}[merge]
    assert np.array_equal(Model(3, [Bidirectional(LSTM(5), merge=merge)], tensors=dict(whole.tensors)).run(x), want)


def test_final_is_what_the_reversed_branch_gives_at_the_first_sample(rng):
    x = rng.standard_normal((3, 9, 3)).astype(np.float32)
    each = Model(3, [Bidirectional(LSTM(5))])
    final = Model(3, [Bidirectional(LSTM(5), final=True)], tensors=dict(each.tensors))
    y, z = each.run(x, lengths=[9, 4, 0]), final.run(x, lengths=[9, 4, 0])
    assert np.array_equal(z[..., :5], y[..., :5])
    assert np.array_equal(z[0, :, 5:], np.repeat(y[0, :1, 5:], 9, 0))
    assert np.array_equal(z[1, :4, 5:], np.repeat(y[1, :1, 5:], 4, 0)) and not z[1, 4:].any() and not z[2].any()


def test_lengths_reverse_each_sequence_within_its_own(model, rng):
    x = rng.standard_normal((5, 12, 3)).astype(np.float32)
    lengths = [12, 3, 0, 7, 1]
    y = model.run(x, lengths)
    for one, result, length in zip(x, y, lengths, strict=True):
        assert np.array_equal(result[:length], model.run(one[:length])) and not result[length:].any()


def test_a_file_and_a_pickle_give_the_same_bits(model, tmp_path, rng):
    x = rng.standard_normal((12, 3)).astype(np.float32)
    model.save(tmp_path / "m.safetensors")
    for again in (load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        assert again.digest == model.digest and np.array_equal(again.run(x), model.run(x))


def test_heads_stand_on_top(rng):
    model = Model(3, [Bidirectional(LSTM(5))], heads={"a": Dense(2), "b": [Dense(4, "tanh"), Dense(1)]})
    x = rng.standard_normal((6, 3)).astype(np.float32)
    parts = model.split(model.run(x))
    assert parts["a"].shape == (6, 2) and parts["b"].shape == (6, 1) and "whole sequences only" in repr(model)


def test_tokens_come_first(rng):
    model = Model(1, [Embedding(9, 4), Bidirectional(LSTM(5)), Dense(2)])
    assert model.run(rng.integers(0, 9, (6, 1))).shape == (6, 2)
    with pytest.raises(Exception, match="whole tokens from 0 to 8"):
        model.run(np.full((6, 1), 9))
    with pytest.raises(ConfigError, match="first layer"):
        Model(1, [Bidirectional(LSTM(5)), Embedding(9, 4)])


@pytest.mark.parametrize("use", [lambda m: m.stream(), lambda m: Engine(m), lambda m: m.packed, lambda m: m.plan(training=True),
                                 lambda m: fit(m, np.zeros((20, 3)), np.zeros((20, 2)), epochs=1)])
def test_everything_else_refuses_by_name(use, model):
    with pytest.raises(ConfigError, match=REFUSAL):
        use(model)


def test_serving_refuses_too(model):
    from streamrnn import Server
    with pytest.raises(ConfigError, match=REFUSAL):
        Server(model, listen="tcp://127.0.0.1:*").start()


@pytest.mark.parametrize(("build", "word"), [
    (lambda: Bidirectional(3), "forward"), (lambda: Bidirectional(LSTM(3), merge="max"), "merge"),
    (lambda: Reverse(Reverse(LSTM(3))), "layer"),
    (lambda: Reverse(Embedding(3, 3)), "layer"), (lambda: Reverse(LSTM(3), final=1), "final"),
    (lambda: Model(3, [Bidirectional(LSTM(3), GRU(4), merge="sum")]), "one width"),
    (lambda: Model(3, [Dropout(0.1)], heads={"a": Bidirectional(LSTM(3))}), "own layers")])
def test_bad_ones_are_refused(build, word):
    with pytest.raises(ConfigError, match=word):
        build()
