"""Stream: a sample at a time gives what the whole sequence gives; what is refused leaves the state as it was."""
import numpy as np
import pytest

import streamrnn as sr

LAYERS = {
    "rnn": [sr.RNN(7), sr.Dense(2)], "lstm": [sr.LSTM(20), sr.Dense(1)], "gru": [sr.GRU(5), sr.GRU(9), sr.Dense(9, "tanh")],
    "cho": [sr.GRU(17, reset_after=False), sr.LayerNorm(), sr.Dense(3, "softmax")], "stateless": [sr.Dense(4, "relu")],
}


@pytest.fixture(scope="module", params=LAYERS)
def model(request):
    return sr.Model(inputs=3, layers=LAYERS[request.param], seed=2)


@pytest.fixture
def x():
    return np.random.default_rng(3).standard_normal((12, 3), dtype=np.float32)


def bits(state):
    return np.asarray(state).tobytes()


def test_steps_give_what_run_gives_bit_for_bit(model, x):
    stream = model.stream()
    y = np.stack([stream.step(x_t) for x_t in x])
    assert y.dtype == np.float32
    assert np.array_equal(y, model.run(x))


def test_steps_and_runs_mix_in_any_way(model, x):
    stream = model.stream()
    y = [stream.run(x[:5]), stream.step(x[5])[None], stream.run(x[6:6]), stream.run(x[6:])]
    assert [part.shape for part in y] == [(5, model.outputs), (1, model.outputs), (0, model.outputs), (6, model.outputs)]
    assert np.array_equal(np.concatenate(y), model.run(x))


def test_each_result_is_a_fresh_array(model, x):
    stream = model.stream()
    first = stream.step(x[0])
    kept = first.copy()
    second = stream.step(x[1])
    assert np.array_equal(first, kept)
    assert not np.shares_memory(first, second)


def test_streams_of_one_model_do_not_touch_each_other(model, x):
    a, b = model.stream(), model.stream()
    for x_t in x:
        a.step(x_t)
        b.step(-x_t)
    alone = model.stream()
    alone.run(x)
    assert bits(a.state()) == bits(alone.state())


def test_reset_is_a_new_start(model, x):
    stream = model.stream()
    stream.run(x)
    stream.reset()
    assert not stream.state().any()
    assert np.array_equal(stream.run(x), model.run(x))


def test_a_state_put_back_goes_on_bit_for_bit(model, x):
    stream = model.stream()
    stream.run(x[:6])
    kept = stream.state()
    rest = stream.run(x[6:])
    other = model.stream()
    other.set_state(kept)
    assert np.array_equal(other.run(x[6:]), rest)
    stream.set_state(kept)
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x[6:]]), rest)


KINDS = {
    "list": lambda v: v.tolist(), "tuple": lambda v: tuple(v.tolist()), "float64": lambda v: v.astype(np.float64),
    "float16": lambda v: v.astype(np.float16), "int8": lambda v: v.astype(np.int8), "int64": lambda v: v.astype(np.int64),
    "uint8": lambda v: v.astype(np.uint8), "bool": lambda v: v.astype(bool), "big endian": lambda v: v.astype(">f4"),
    "strided": lambda v: np.repeat(v, 2, -1)[..., ::2], "reversed": lambda v: v[..., ::-1].copy()[..., ::-1],
    "fortran": np.asfortranarray, "read-only": lambda v: np.frombuffer(v.tobytes(), np.float32).reshape(v.shape),
    "subclass": lambda v: v.view(np.ma.MaskedArray), "unaligned": lambda v: unaligned(v)}


def unaligned(v):
    raw = np.zeros(v.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(v.tobytes(), np.uint8)
    return raw[1:].view(np.float32).reshape(v.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_what_converts_to_float32_gives_the_same_bits(model, kind):
    x = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 0, 1]], np.float32)
    plain, other, whole = model.stream(), model.stream(), model.stream()
    y = np.stack([plain.step(x_t) for x_t in x])
    assert np.array_equal(np.stack([other.step(KINDS[kind](x_t)) for x_t in x]), y)
    assert np.array_equal(whole.run(KINDS[kind](x)), y)
    assert bits(plain.state()) == bits(other.state()) == bits(whole.state())


REFUSED = {
    "too narrow": ([1, 2], r"3 numbers, shape \(3,\); got shape \(2,\)"), "too wide": (np.zeros(4, np.float32), r"got shape \(4,\)"),
    "scalar": (1.0, "got shape"), "matrix": (np.zeros((1, 3), np.float32), r"got shape \(1, 3\)"),
    "empty": ([], r"got shape \(0,\)"), "text": (["a", "b", "c"], "got dtype <U1"),
    "complex": (np.zeros(3, complex), "got dtype complex128"),
    "objects": ([None, 1, 2], "got dtype object"), "ragged": ([[1], [1, 2], 3], "regular array"), "nothing": (None, "got dtype object"),
    "dates": (np.zeros(3, "M8[s]"), "got dtype datetime64"), "nan": (np.array([0, np.nan, 0], np.float32), r"x\[1\] is nan"),
    "inf": ([0, 0, float("inf")], r"x\[2\] is inf"), "minus inf": (np.array([-np.inf, 0, 0]), r"x\[0\] is -inf"),
    "too large": ([0, 1e39, 0], r"x\[1\] is inf \(after conversion")}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_sample_is_explained_and_changes_nothing(model, x, kind):
    sample, words = REFUSED[kind]
    stream = model.stream()
    stream.run(x)
    before, wanted = bits(stream.state()), model.stream()
    wanted.run(x)
    with pytest.raises(sr.InputError, match=words):
        stream.step(sample)
    assert bits(stream.state()) == before
    assert np.array_equal(stream.step(x[0]), wanted.step(x[0]))


def test_a_refused_sequence_changes_nothing(model, x):
    stream = model.stream()
    stream.run(x)
    before = bits(stream.state())
    bad = x.copy()
    bad[-1, -1] = np.nan
    with pytest.raises(sr.InputError, match=r"\[11\]\[2\] is nan"):
        stream.run(bad)
    with pytest.raises(sr.InputError, match="got shape"):
        stream.run(x[:, :2])
    assert bits(stream.state()) == before


def test_run_of_a_stream_takes_one_sequence(model, x):
    stream = model.stream()
    with pytest.raises(sr.InputError):
        stream.run(np.stack([x, x]))
    assert not stream.state().any()


@pytest.mark.parametrize(("token", "words"), [(5, "0 to 4"), (-1, "0 to 4"), (1.5, "whole tokens"), (1e9, "0 to 4"), (np.nan, "is nan")])
def test_a_token_out_of_range_is_refused_and_changes_nothing(token, words):
    model = sr.Model(inputs=2, layers=[sr.Embedding(5, 3), sr.GRU(4), sr.Dense(5)], seed=0)
    stream = model.stream()
    stream.run([[0, 1], [4, 2]])
    before = bits(stream.state())
    for refused in (lambda: stream.step([0, token]), lambda: stream.run([[0, 1], [0, token]])):
        with pytest.raises(sr.InputError, match=words):
            refused()
    assert bits(stream.state()) == before
    assert np.array_equal(stream.step([4, 0]), model.run([[0, 1], [4, 2], [4, 0]])[-1])


def test_repr_says_widths_and_bytes(model):
    assert f"3 -> {model.outputs}, {model.row_bytes} bytes" in repr(model.stream())
