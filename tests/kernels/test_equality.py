"""A stream's results depend on its own samples alone: not on its neighbours, its place, the padding or the threads."""
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrnn import GRU, LSTM, RNN, Dense, Dropout, Embedding, Engine, LayerNorm, Model

VOCABULARY = 13
few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

sizes = st.integers(1, 50)
layers = st.one_of(
    st.builds(RNN, sizes, st.sampled_from(["tanh", "relu"])),
    st.builds(LSTM, sizes),
    st.builds(GRU, sizes, st.booleans()),
    st.builds(Dense, sizes, st.sampled_from([None, "relu", "tanh", "sigmoid", "softmax"])),
    st.just(LayerNorm()),
    st.just(Dropout(0.5)),
)
stacks = st.lists(layers, min_size=1, max_size=4)
seeds = st.integers(0, 1000)


@st.composite
def models(draw):
    first = draw(st.sampled_from([[], [Embedding(VOCABULARY, 4)]]))
    heads = draw(st.none() | st.fixed_dictionaries({"a": layers, "b": stacks}))
    return Model(inputs=draw(st.integers(1, 20)), layers=first + draw(stacks), heads=heads, seed=draw(seeds))


def samples(seed, model, *shape):
    rng = np.random.default_rng(seed)
    if any(layer.kind == "embedding" for layer in model.layers):
        return rng.integers(0, VOCABULARY, (*shape, model.inputs)).astype(np.float32)
    return rng.standard_normal((*shape, model.inputs)).astype(np.float32)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype == np.float32 and a.tobytes() == b.tobytes()


@few
@given(models(), st.integers(1, 70), st.integers(1, 7), seeds, st.data())
def test_a_padded_batch_is_each_sequence_alone(model, count, time, seed, data):
    lengths = data.draw(st.lists(st.integers(0, time), min_size=count, max_size=count))
    x = samples(seed, model, count, time)
    y = model.run(x, lengths)
    assert y.shape == (count, time, model.outputs)
    for b, length in enumerate(lengths):
        assert same_bits(y[b, :length], model.run(x[b, :length]))
        assert same_bits(y[b, length:], np.zeros((time - length, model.outputs), np.float32))


@few
@given(models(), st.integers(1, 70), st.integers(1, 6), seeds, st.sampled_from([np.nan, np.inf, -1.0, 0.5, 1e38]))
def test_what_stands_behind_a_length_does_not_matter(model, count, time, seed, rubbish):
    x = samples(seed, model, count, time)
    lengths = np.random.default_rng(seed).integers(0, time + 1, count)
    y = model.run(x, lengths)
    for b, length in enumerate(lengths):
        x[b, length:] = rubbish
    assert same_bits(model.run(x, lengths), y)


@few
@given(models(), st.integers(1, 160), st.integers(1, 5), st.booleans(), seeds)
def test_threads_do_not_change_a_bit(model, count, time, ragged, seed):
    x = samples(seed, model, count, time)
    lengths = np.random.default_rng(seed).integers(0, time + 1, count) if ragged else None
    y = model.run(x, lengths, threads=1)
    assert same_bits(model.run(x, lengths, threads=2), y)
    assert same_bits(model.run(x, lengths, threads=3), y)


@few
@given(models(), st.integers(1, 70), seeds)
def test_a_batch_of_any_size_and_order_is_its_streams_alone(model, count, seed):
    x = samples(seed, model, count, 4)
    alone = np.stack([model.run(one) for one in x])
    assert same_bits(model.run(x), alone)
    order = np.random.default_rng(seed).permutation(count)
    assert same_bits(model.run(x[order]), alone[order])
    engine = Engine(model, threads=2)
    for t in range(4):
        order = np.random.default_rng(seed + t).permutation(count)
        assert same_bits(engine.step_many(order, x[order, t]), alone[order, t])


@few
@given(models(), st.lists(st.integers(0, 9), min_size=1, max_size=70), seeds)
def test_an_id_that_comes_twice_is_stepped_twice_in_order(model, ids, seed):
    x = samples(seed, model, len(ids))
    together, one_by_one = Engine(model, threads=2), Engine(model)
    want = np.stack([one_by_one.step(id, sample) for id, sample in zip(ids, x, strict=True)])
    assert same_bits(together.step_many(ids, x), want)
    again = np.stack([one_by_one.step(id, sample) for id, sample in zip(ids, x, strict=True)])
    assert same_bits(together.step_many(together.group(ids), x), again)
    for id in set(ids):
        assert same_bits(np.asarray(together.state(id)), np.asarray(one_by_one.state(id)))


@few
@given(models(), st.integers(1, 8), seeds)
def test_a_state_put_back_goes_on_with_the_same_bits(model, time, seed):
    x = samples(seed, model, 2 * time)
    y = model.run(x)
    stream, other = model.stream(), model.stream()
    assert same_bits(stream.run(x[:time]), y[:time])
    other.set_state(stream.state())
    assert same_bits(other.run(x[time:]), y[time:])
