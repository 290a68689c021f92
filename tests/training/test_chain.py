"""A chain: steps of one sequence go through the stages together. The same bits forwards, the same gradient back."""
import numpy as np
import pytest

from streamrnn import LRU, LSTM, Activation, Attention, Dense, Dropout, LayerNorm, MinGRU, MinLSTM, Model, Recurrence, fit
from streamrnn.kernels.tile import GROUP
from streamrnn.training import passes
from streamrnn.training.objective import Objective
from streamrnn.training.passes import Passes
from streamrnn.training.passes import Window as Span
from streamrnn.training.tape import Tape
from streamrnn.training.weights import Weights

F = np.float32
CLOSE = 1e-5  # another order of sums
STACKS = {
    "mingru": ([MinGRU(21), Dense(2)], None),
    "minlstm": ([MinLSTM(5)], None),
    "lru": ([LRU(9, 33), Dense(12, "tanh"), Dense(3)], None),
    "attention": ([Attention(12, 7, heads=3)], None),
    "all, in heads": ([MinGRU(18), Dropout(0.25), LRU(7), LayerNorm()], {"a": [MinLSTM(6), Dense(1)], "b": Attention(4, 40)}),
    "recurrences": ([Recurrence("lstm", 9, projection=4, peepholes=True, clip=0.9, starts=True), Activation("softsign"),
                     Recurrence("gru", 5, reset_after=False), Dense(2)], None),
    "no state": ([Dense(20, "relu"), Dense(2)], None),
}
every_stack = pytest.mark.parametrize(("layers", "heads"), STACKS.values(), ids=STACKS)


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype(F)


def same_bits(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def close(got, want):
    return np.linalg.norm(got - want) <= CLOSE * np.linalg.norm(want)


def gone(weights, chain, x, d_y, masks, row, d_row):
    """(tape, arena of gradients) of one sequence."""
    tape, time = Tape(weights, 1, len(x), sample_gradients=True, chain=chain), len(x)
    tape.samples[:time, 0, :x.shape[1]] = x
    tape.begin(row[None], np.array([time]))
    for (offset, size, _), mask in zip(weights.plan.masks, masks, strict=True):
        tape.work[1:time + 1, 0, offset:offset + size] = mask
    tape.forwards(time)
    tape.d_results[:time, 0] = d_y
    tape.d_rows[0, 0 if chain else (time - 1) % 2] = d_row
    arena = np.zeros(weights.size, F)
    tape.backwards(arena, 0, time)
    return tape, arena


@every_stack
@pytest.mark.parametrize("time", [1, 2, GROUP - 1, GROUP, GROUP + 1, 5 * GROUP + 6])
def test_a_chain_gives_the_results_of_a_step_at_a_time_and_its_gradient(layers, heads, time, rng):
    model = Model(4, layers, heads, seed=5)
    weights = Weights(model)
    assert weights.plan.chains
    masks = [rng.choice([0, 1 / (1 - layer.rate)], (time, size)).astype(F) for _, size, layer in weights.plan.masks]
    row, d_row = np.zeros((2, weights.plan.stride), F)
    for segment in weights.plan.segments:
        part = slice(segment.offset, segment.offset + segment.size)
        row[part] = 3 if segment.name.endswith("count") else numbers(rng, segment.size)
        d_row[part] = numbers(rng, segment.size)
    given = numbers(rng, time, 4), numbers(rng, time, model.outputs), masks, row, d_row
    (one, want), (other, got) = gone(weights, False, *given), gone(weights, True, *given)
    assert same_bits(other.results[:time, 0], one.results[:time, 0]) and same_bits(other.rows[:time + 1, 0], one.rows[:time + 1, 0])
    want, got = weights.gradients(want), weights.gradients(got)
    assert all(close(got[name], want[name]) for name in want)
    assert close(other.d_samples[:time, 0], one.d_samples[:time, 0]) and close(other.d_rows[0, 0], one.d_rows[0, 1])


@every_stack
def test_a_chain_may_be_used_again_for_a_shorter_sequence(layers, heads, rng):
    model = Model(4, layers, heads, seed=5)
    weights, tape = Weights(model), None
    tape = Tape(weights, 1, 50, chain=True)
    for time in (50, 18):
        x, d_y, arena = numbers(rng, time, 4), numbers(rng, time, model.outputs), np.zeros(weights.size, F)
        masks = [np.ones((time, size), F) for _, size, _ in weights.plan.masks]
        for (offset, size, _), mask in zip(weights.plan.masks, masks, strict=True):
            tape.work[1:time + 1, 0, offset:offset + size] = mask
        tape.samples[:time, 0, :4] = x
        tape.begin(np.zeros((1, weights.plan.stride), F), np.array([time]))
        tape.forwards(time)
        tape.d_results[:time, 0] = d_y
        tape.d_rows[:] = 0
        tape.backwards(arena, 0, time)
    zeros = np.zeros(weights.plan.stride, F)
    _, want = gone(weights, True, x, d_y, masks, zeros, zeros)
    assert same_bits(arena, want)


def test_a_product_that_waits_for_the_step_before_makes_no_chain():
    assert not Model(2, [MinGRU(3), LSTM(4)]).plan(training=True)[0].chains


def gradient_of(model, x, y, lengths, time, **options):
    weights, objective = Weights(model), Objective(model, "mse")
    data = objective.sequences(x, y, lengths, model)
    way = Passes(weights, objective, data, len(data), time, 1, **options)
    found = [way.gradient(Span(np.arange(len(data)), start, time, fresh=start == 0)) for start in range(0, x.shape[1], time)]
    return way.chain, [losses for losses, _ in found], [weights.gradients(arena.copy()) for _, arena in found], way.states.copy()


@pytest.mark.parametrize("options", [{}, {"recompute": 20}], ids=["whole", "recomputed"])
def test_passes_over_chains_are_those_over_shards(options, rng, monkeypatch):
    """Sequences of several lengths, in two windows that carry the states on."""
    model = Model(3, [MinGRU(17), LRU(9), Attention(6, 5, heads=2), Dense(2)], seed=1)
    x, y, lengths = numbers(rng, 3, 100, 3), numbers(rng, 3, 100, 2), np.array([100, 31, 77])
    found = []
    for much in (1 << 40, 0):
        monkeypatch.setattr(passes, "MUCH", much)
        monkeypatch.setattr(passes, "FEW", 0)
        found.append(gradient_of(model, x, y, lengths, 60, **options))
    (one, losses, gradients, states), (other, losses_too, gradients_too, states_too) = found
    assert (one, other) == (False, True)
    assert np.allclose(losses, losses_too, rtol=1e-6)
    assert same_bits(states[0], states_too[0])
    for want, got in zip(gradients, gradients_too, strict=True):
        assert all(close(got[name], want[name]) for name in want)


def test_a_chain_is_for_few_sequences_and_for_tapes_that_leave_the_cache(rng):
    def chain(layers, count, time):
        model = Model(1, layers)
        return gradient_of(model, numbers(rng, count, time, 1), numbers(rng, count, time, model.outputs), None, time)[0]

    assert chain([MinGRU(8)], 1, 20) and chain([MinGRU(8)], 3, 20) and chain([Attention(8, 64)], 4, 200)
    assert not chain([MinGRU(8)], 4, 200) and not chain([LSTM(8)], 1, 20)


def test_one_long_sequence_trains_as_a_chain_to_equal_bits_at_any_number_of_threads(rng):
    x = numbers(rng, 2, 400, 1)
    y = np.cumsum(x, 1) / 20
    models = [fit_once(x, y, threads) for threads in (1, 2)]
    assert models[0].digest == models[1].digest


def fit_once(x, y, threads):
    model = Model(1, [MinGRU(8), Dense(1)], seed=0)
    fit(model, x, y, epochs=3, batch=2, threads=threads, progress=False)
    return model
