"""Passes over windows: recomputing, carrying states and threads change nothing; padding does not leak; memory is what is said."""
import os
import re
import tracemalloc

import numpy as np
import pytest
from learning import F, bits, course, echoes, small

from streamrnn import GRU, LSTM, RNN, SGD, Adam, ConfigError, Dense, Dropout, LayerNorm, Model, Scale, Unscale, fit
from streamrnn.training.batches import windows
from streamrnn.training.objective import Objective
from streamrnn.training.passes import SHARD, Passes, Window
from streamrnn.training.tape import record_size
from streamrnn.training.weights import Weights

LENGTHS = np.random.default_rng(4).integers(0, 13, 37)
LAYERS = [Dropout(0.2), LSTM(9), Dropout(0.3, variational=True), GRU(5), LayerNorm(), RNN(7, "relu"), Dense(2)]


def passes_of(model, x, y, lengths=None, time=None, threads=1, recompute=None, loss="mse"):
    objective = Objective(model, loss)
    data = objective.sequences(x, y, lengths, model)
    return Passes(Weights(model), objective, data, len(data), time or x.shape[1], threads, recompute, seed=6)


def through(passes, time, epoch=0):
    """(loss, gradient, states) of an epoch in windows of `time` steps at one set of weights, as means over all of it."""
    found = windows(passes.data.lengths, len(passes.data), time, 0, epoch, shuffle=False)
    whole = sum(sum(passes.counted(window)) for window in found)
    loss, gradient = 0.0, np.zeros(passes.weights.size)
    for window in found:
        losses, arena = passes.gradient(window, epoch)
        share = sum(passes.counted(window)) / whole
        loss += losses.sum() * share
        gradient += (0 if arena is None else arena.astype(float)) * share
    return loss, gradient, passes.states.copy()


def near(gradient, want):
    return np.abs(gradient - want).max() <= 1e-5 * np.abs(want).max()


# -- recomputing and windows -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("recompute", [1, 2, 3, 4, 5, 11, 12, 99])
def test_recomputing_changes_no_loss_and_hardly_the_gradient(recompute, lengths, rng):
    x, y = echoes(rng, count=37)
    model = small(*LAYERS)
    loss, gradient, states = through(passes_of(model, x, y, lengths), 12)
    again, other, end = through(passes_of(model, x, y, lengths, recompute=recompute), 12)
    assert F(again) == F(loss) and again == pytest.approx(loss, rel=1e-14) and near(other, gradient)
    assert end.tobytes() == states.tobytes()


@pytest.mark.parametrize("layers", [[LSTM(9), Dense(2)], LAYERS], ids=["plain", "stack"])
@pytest.mark.parametrize("recompute", [2, 5])
def test_an_update_of_recomputed_windows_is_nearly_the_same(layers, recompute, rng):
    x, y = echoes(rng, time=23)
    whole, again = small(*layers), small(*layers)
    one = fit(whole, x, y, window=9, epochs=2, optimizer=SGD(0.1))
    other = fit(again, x, y, window=9, epochs=2, optimizer=SGD(0.1), recompute=recompute)
    assert other.loss == pytest.approx(one.loss, rel=1e-5)
    assert all(np.abs(whole.tensors[name] - again.tensors[name]).max() <= 1e-5 for name in whole.tensors)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("time", [1, 2, 5, 6, 11])
def test_windows_that_carry_states_have_the_loss_of_one_window(time, lengths, rng):
    x, y = echoes(rng, count=37)
    model = small(*LAYERS)
    loss, _, states = through(passes_of(model, x, y, lengths), 12)
    again, _, end = through(passes_of(model, x, y, lengths, time=time), time)
    assert again == pytest.approx(loss, rel=1e-6)
    if lengths is None:
        assert end.tobytes() == states.tobytes()


def test_a_window_cut_at_its_last_step_has_the_gradient_of_the_whole(rng):
    """A target at the last step only, and the rest of the past in the state: truncation is all that differs."""
    x, y = echoes(rng, count=5, time=9)
    model = small(LSTM(9), Dense(2))
    _, whole, _ = through(passes_of(model, x, y[:, -1]), 9)
    _, cut, _ = through(passes_of(model, x, y[:, -1], time=8), 8)
    assert not near(cut, whole) and np.dot(cut, whole) > 0


def test_states_start_from_zero_with_each_sequence(rng):
    x, y = echoes(rng, count=21)
    passes = passes_of(small(LSTM(9), Dense(2)), x, y, time=5)
    first, second = through(passes, 5), through(passes, 5)
    assert first[0] == second[0] and first[1].tobytes() == second[1].tobytes()
    model = small()
    history = fit(model, x, y, window=5, epochs=3, optimizer=SGD(1e-30))
    assert history.loss[0] == history.loss[1] == history.loss[2]
    assert history.loss[0] == pytest.approx(((model.run(x) - y) ** 2).mean(), rel=1e-5)


def test_pieces_of_one_long_series_run_side_by_side_from_zero(rng):
    x, y = echoes(rng, count=1, time=100)
    x, y = x[0], y[0]
    model = small()
    history = fit(model, x, y, window=10, batch=4, epochs=1, optimizer=SGD(1e-30))
    want = np.mean([(model.run(x[k:k + 25]) - y[k:k + 25]) ** 2 for k in (0, 25, 50, 75)])
    assert history.loss[0] == pytest.approx(want, rel=1e-5)


def test_dropout_has_a_mask_for_each_sequence_step_and_epoch(rng):
    """The same whatever the window and the neighbours: tests above; but another in each epoch, and for each sequence."""
    x, y = np.ones((9, 6, 3), F), np.zeros((9, 6, 3), F)
    passes = passes_of(small(Dropout(0.5)), x, y, loss=lambda y, target: (y.sum(1), np.ones_like(y)))
    losses = [through(passes, 6, epoch)[0] for epoch in range(4)]
    assert len(set(losses)) == 4
    results = []
    for n, variational in ((0, False), (1, False), (0, True)):
        passes = passes_of(small(Dropout(0.5, variational)), x, y)
        passes.gradient(Window(np.array([n]), 0, 6, True))
        results.append(passes._tapes[0].of(1).results[:6, 0].copy())
    assert (results[0] != results[1]).any() and (results[0] != results[0][0]).any() and (results[2] == results[2][0]).all()
    assert set(np.unique(results)) == {0, 2}


# -- padding -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"window": 5}, {"batch": 10}, {"recompute": 5}, {"validation": 0.3},
                                     {"validation": 0.3, "split": "time", "window": 5}, {"loss": "gaussian"},
                                     {"loss": lambda y, target: (((y - target) ** 2).mean(1), y - target)}], ids=lambda o: " ".join(o))
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -1e38, 7.0])
def test_what_stands_behind_a_length_changes_no_bit(rubbish, options, rng):
    x, y = echoes(rng, count=37)
    y = y[..., :1] if options.get("loss") == "gaussian" else y
    behind, done = np.arange(12) >= LENGTHS[:, None], []
    for filling in (0, rubbish):
        x, y = x.copy(), y.copy()
        x[behind], y[behind] = filling, filling
        model = small(Scale(), Dropout(0.2), LSTM(9), LayerNorm(), GRU(5), Dense(2), *([] if "loss" in options else [Unscale()]))
        done.append((course(fit(model, x, y, lengths=LENGTHS, epochs=2, threads=1 + len(done), **options)), bits(model)))
    assert done[0] == done[1]


def test_what_stands_behind_a_length_changes_no_bit_with_labels(rng):
    x, y = echoes(rng, count=37)
    behind, done = np.arange(12) >= LENGTHS[:, None], []
    for filling in (0, np.nan, 1e9):
        labels = (y[..., 0] > 0).astype(F)
        labels[behind] = filling
        model = small(LSTM(9), Dense(2, "softmax"))
        done.append((course(fit(model, x, labels, loss="cross_entropy", lengths=LENGTHS, epochs=2)), bits(model)))
    assert done[0] == done[1] == done[2]


def test_a_sequence_without_a_sample_changes_nothing(rng):
    x, y = echoes(rng, count=16)
    some = np.arange(16) % 5 > 0
    with_them, without = small(), small()
    one = fit(with_them, x, y, lengths=np.where(some, 12, 0), epochs=2, validation=(x, y, np.where(some, 12, 0)))
    other = fit(without, x[some], y[some], epochs=2, validation=(x[some], y[some]))
    assert one.loss == pytest.approx(other.loss, rel=1e-6) and one.validation == pytest.approx(other.validation, rel=1e-6)
    assert all(np.abs(with_them.tensors[name] - without.tensors[name]).max() < 1e-6 for name in without.tensors)


# -- threads -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 150])
def test_gradients_have_the_same_bits_on_any_number_of_threads(count, rng):
    x, y = echoes(rng, count=count)
    model = small(*LAYERS)
    alone = through(passes_of(model, x, y, threads=1), 12)
    for threads in (2, 3, 20):
        loss, gradient, states = through(passes_of(model, x, y, threads=threads), 12)
        assert (loss, gradient.tobytes(), states.tobytes()) == (alone[0], alone[1].tobytes(), alone[2].tobytes())


def test_a_gradient_is_the_mean_of_those_of_its_sequences(rng):
    x, y = echoes(rng, count=19)
    model = small(LSTM(9), Dense(2))
    _, whole, _ = through(passes_of(model, x, y), 12)
    alone = [through(passes_of(model, x[n:n + 1], y[n:n + 1]), 12)[1] for n in range(19)]
    assert near(np.mean(alone, 0), whole)


# -- memory ------------------------------------------------------------------------------------------------------------

def held(passes):
    """Bytes of all arrays that a passes' tapes hold."""
    return sum(array.nbytes for tapes in passes._tapes for tape in tapes._made.values()
               for array in (tape.samples, tape.results, tape.d_results, tape.records, *tape.targets, *tape.counts))


@pytest.mark.parametrize(("count", "threads", "recompute"),
                         [(3, 1, None), (8, 1, None), (12, 1, 7), (40, 2, None), (40, 3, 10), (64, 1, 7)])
def test_the_tape_that_is_stated_is_the_tape_that_is_taken(count, threads, recompute, rng):
    x, y = echoes(rng, count=count, time=300)
    passes = passes_of(small(LSTM(64), Dense(2)), x, y, threads=threads, recompute=recompute)
    through(passes, 300)
    stated = re.match(r"memory: ([\d.]+) MB of tape \((\d+) x ([\d +]+) sequences x (\d+) steps\)", passes.memory())
    assert float(stated[1]) == pytest.approx(held(passes) / 1e6, abs=0.051)
    assert stated.groups()[1:] == (str(threads), {3: "4", 12: "8 + 4"}.get(count, "8"), str(recompute or 300))


def test_a_tape_takes_little_more_than_the_maths_needs(rng):
    """Backward needs each step's inputs, outputs, both states and the four gates before and after: 6 H."""
    inputs, units, outputs, time = 8, 64, 1, 100
    x, y = echoes(rng, count=SHARD, time=time, inputs=inputs, outputs=outputs)
    passes = passes_of(small(LSTM(units), Dense(outputs), inputs=inputs), x, y)
    through(passes, time)
    needed = 4 * time * SHARD * (inputs + 6 * units + outputs)
    assert held(passes) <= 1.2 * needed
    assert record_size(passes.weights.plan) <= 1.1 * (6 * units + outputs)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow_over_a_thousand_updates(rng):
    x, y = echoes(rng, count=24)
    model, adam = small(Dropout(0.1), LSTM(9), Dense(2)), Adam()
    passes = passes_of(model, x, y, LENGTHS[:24], threads=2, recompute=5)
    window = windows(passes.data.lengths, 24, 12, 0, 0, shuffle=False)[0]
    moments = [np.zeros(passes.weights.size, F) for _ in range(adam.arenas)]

    def update(number):
        _, gradient = passes.gradient(window, number)
        adam.apply(number, 1e-3, passes.weights.values, gradient, moments, passes.weights.learnt)
        passes.weights.refresh()
    tracemalloc.start()
    try:
        for number in range(1, 101):
            update(number)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(101, 1101):
            update(number)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_a_process_does_not_grow_over_a_thousand_updates_of_fit(rng):
    x, y = echoes(rng, count=24)
    options = {"batch": 8, "window": 4, "validation": (x, y), "threads": 2}  # 9 updates an epoch
    sizes = []
    fit(small(), x, y, epochs=112, on_epoch=lambda history: sizes.append(resident()), **options)
    assert sizes[-1] - sizes[10] < 2e6


def test_a_window_that_no_memory_holds_is_refused_before_it_is_taken():
    rows = 3_000_000
    model = Model(1, [LSTM(64), Dense(1)])
    x = np.zeros((rows, 1), np.float32)
    with pytest.raises(ConfigError, match=r"3,000,000 steps would take \d+\.\d GB: give a window="):
        fit(model, x, x)
    objective = Objective(model, "mse")
    passes = Passes(Weights(model), objective, objective.sequences(x, x, None, model), 1, rows, 1, recompute=1000)
    assert "x 1000 steps" in passes.memory()
