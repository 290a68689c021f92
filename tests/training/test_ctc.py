"""CTC against torch and against every alignment gone through; then training with it, and what cannot work."""
import numpy as np
import pytest
import reference
from learning import F, bits, course, echoes, pieces, small

from streamrnn import CTC, LSTM, SGD, Adam, ConfigError, Dense, Dropout, InputError, MinGRU, best_path, fit, gradient_flow
from streamrnn.training.losses.base import Layout
from streamrnn.training.objective import Objective

LENGTHS = np.array([9, 7, 0, 4, 9])
LABELS = [[2, 2, 3, 1], [1], [], [3, 1, 3], []]


def fitting(seed=0, count=24, classes=4):
    """Sequences in which pulses of some channels are to be named in their order; (x, labels, lengths)."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(14, 25, count)
    x, labels = 0.1 * rng.normal(size=(count, 24, classes - 1)).astype(F), []
    for n, length in enumerate(lengths):
        places = np.sort(rng.choice(np.arange(1, length // 3), 3, replace=False)) * 3
        labels.append(rng.integers(1, classes, 3).tolist())
        x[n, places, np.array(labels[-1]) - 1] += 1
    return x, labels, lengths


def laid_out(y, stride_first, lengths):
    """Logits (sequences, time, outputs) as rows, and the Layout: of [time][slot] or of [slot][time]."""
    count, time, width = y.shape
    if stride_first:
        return y.transpose(1, 0, 2).reshape(-1, width).copy(), Layout(np.arange(count), count, lengths)
    return y.reshape(-1, width).copy(), Layout(np.arange(count) * time, 1, lengths)


def back(rows, shape, stride_first):
    count, time, width = shape
    return rows.reshape(time, count, width).transpose(1, 0, 2) if stride_first else rows.reshape(shape)


def through(y, labels, lengths, blank=0, stride_first=True, weights=None):
    """(sum, gradient (sequences, time, outputs)) of the columns 2 to -1 of y; each sequence weighs its weight."""
    rows, layout = laid_out(y, stride_first, lengths)
    target, weight = np.full((*y.shape[:2], 1), -1, F), np.zeros((*y.shape[:2], 1), F)
    for n, length in enumerate(lengths):
        target[n, :len(labels[n]), 0] = labels[n]
        if length:
            weight[n, length - 1] = 1 if weights is None else weights[n]
    d_rows = np.full_like(rows, 77)
    (targets, _), (counts, _) = laid_out(target, stride_first, lengths), laid_out(weight, stride_first, lengths)
    total = CTC(blank).prepared().add_whole(rows, targets, counts[:, 0].copy(), d_rows, 2, y.shape[2] - 1, layout)
    d_y = back(d_rows, y.shape, stride_first)
    assert (d_y[..., :2] == 77).all() and (d_y[..., -1] == 77).all()
    return total, d_y[..., 2:-1]


@pytest.mark.parametrize("stride_first", [True, False])
@pytest.mark.parametrize("blank", [0, 2])
def test_it_is_the_sum_over_all_alignments(stride_first, blank, rng):
    y, lengths = 2 * rng.normal(size=(6, 6, 6)).astype(F), np.array([6, 5, 0, 2, 6, 1])
    one, other = (label for label in range(3) if label != blank)
    labels = [[one, one, other], [other], [], [one, other], [], [other]]
    total, d_y = through(y, labels, lengths, blank, stride_first, weights := np.array([1, 2, 1, 0.5, 1, 3], F))
    want = 0.0
    for n, length in enumerate(lengths):
        if length:
            loss, d = reference.ctc(y[n, :length, 2:-1].astype(np.float64), labels[n], blank)
            want += weights[n] * loss
            np.testing.assert_allclose(d_y[n, :length], weights[n] * d, atol=1e-6)
        assert (d_y[n, length:] == 0).all()
    assert total == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize(("time", "most"), [(30, 10), (200, 60)])
def test_loss_and_gradient_are_torchs(time, most, rng):
    torch = pytest.importorskip("torch")
    count, outputs, blank = 7, 12, 3
    lengths = rng.integers(2 * most + 1, time + 1, count)
    labels = [rng.choice([k for k in range(outputs) if k != blank], rng.integers(0, most + 1)) for _ in range(count)]
    y = 3 * rng.normal(size=(count, time, outputs + 3)).astype(F)
    total, d_y = through(y, labels, lengths, blank, weights=np.full(count, 1 / count, F))
    logits = torch.tensor(y[..., 2:-1].transpose(1, 0, 2).astype(np.float64), requires_grad=True)
    loss = torch.nn.functional.ctc_loss(logits.log_softmax(2), torch.tensor(np.concatenate(labels)), torch.tensor(lengths),
                                        torch.tensor([len(part) for part in labels]), blank=blank, reduction="mean")
    loss.backward()
    assert total == pytest.approx(loss.item(), rel=1e-5)
    np.testing.assert_allclose(d_y, logits.grad.numpy().transpose(1, 0, 2), atol=1e-6, rtol=1e-5)


def test_wild_logits_stay_finite_and_a_nan_shows(rng):
    y = np.zeros((1, 5, 6), F)
    y[..., 2] = 300  # the blank, whatever the labels
    total, d_y = through(y, [[1, 2]], np.array([5]))
    assert total == pytest.approx(300 - np.log(10) / 2, rel=1e-6) and np.isfinite(d_y).all()  # ten ways to put two labels in five steps
    y[0, 2, 3] = np.nan
    assert not np.isfinite(through(y, [[1, 2]], np.array([5]))[0])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_it_learns_what_comes_in_which_order(threads):
    x, labels, lengths = fitting(count=200)
    model = small(LSTM(16), Dense(4))
    history = fit(model, x, labels, lengths=lengths, loss="ctc", optimizer="adam", epochs=1, batch=20, threads=threads, validation=0.1)
    if threads == 1:
        again = small(LSTM(16), Dense(4))
        wide = np.full((len(labels), 5), -1)
        wide[:, :3] = labels
        assert course(fit(again, pieces(x, lengths), wide, loss=CTC(0), epochs=1, batch=20, threads=2, validation=0.1)) == course(history)
        assert bits(again) == bits(model)
        fit(model, x, labels, lengths=lengths, loss="ctc", optimizer=Adam(1e-2, clip=1.0), epochs=30, batch=20)
        x, labels, lengths = fitting(seed=5, count=50)
        found = best_path(model.run(x, lengths), lengths=lengths)
        assert sum(a == b for a, b in zip(found, labels, strict=True)) >= 45


def test_the_loss_is_that_of_the_outputs_wherever_it_is_computed(rng):
    x, labels, lengths = fitting(count=30)
    model = small(MinGRU(5), Dense(4, "softmax"))  # in a batch of few, a chain
    want = np.mean([_loss(np.log(model.run(x[n, :length])), labels[n]) for n, length in enumerate(lengths)])
    for batch in (30, 1, 7):
        other = model.with_tensors(model.tensors)
        history = fit(other, x, labels, lengths=lengths, loss="ctc", optimizer=SGD(1e-12), epochs=1, batch=batch,
                      validation=(x, labels, lengths))
        assert history.validation[0] == pytest.approx(want, rel=1e-5)
        assert batch == 7 or history.loss[0] == pytest.approx(want, rel=1e-5)


def _loss(y, labels):
    full = np.zeros((1, len(y), y.shape[1] + 3), F)
    full[0, :, 2:-1] = y
    return through(full, [labels], np.array([len(y)]))[0]


def test_heads_have_losses_of_their_own(rng):
    x, labels, lengths = fitting()
    model = small(LSTM(6), heads={"a": Dense(4), "b": Dense(2)})
    history = fit(model, x, {"a": labels, "b": x[..., :2]}, lengths=lengths, loss={"a": "ctc", "b": "mse"}, epochs=2, batch=5)
    assert np.isfinite(history.loss).all()


def test_the_flow_starts_from_the_last_step(rng):
    x, labels, lengths = fitting()
    model = small(LSTM(6), Dropout(0.3), Dense(4))
    flow = gradient_flow(model, x, labels, lengths=lengths, loss="ctc", steps=9)
    assert flow.steps == 9 and (flow.norms["layers.0"][:3] > 0).all()


def test_it_goes_on_from_a_checkpoint(tmp_path):
    x, labels, lengths = fitting()
    model, other = small(LSTM(6), Dense(4)), small(LSTM(6), Dense(4))
    whole = fit(model, x, labels, lengths=lengths, loss="ctc", epochs=4, batch=10)
    for epochs in (2, 4):
        history = fit(other, x, labels, lengths=lengths, loss="ctc", epochs=epochs, batch=10, checkpoint=tmp_path / "run")
    assert course(history) == course(whole) and bits(model) == bits(other)


x, _ = echoes(np.random.default_rng(1), count=3, time=5)
RIGHT = [[1, 2], [3], []]


@pytest.mark.parametrize(("y", "message"), [
    ([[1, 2], [3]], "a label sequence for each of the 3 sequences of x.*; got 2"), (5, "got int"), ("abc", "got str"),
    ([[1, 2], [4], []], r"y\[1\]\[0\] is 4: ctc takes labels, whole numbers in \[0, 4\) without the blank"),
    ([[1, 0], [3], []], r"y\[0\]\[1\] is 0, the blank: ctc takes"), ([[1, 1.5], [3], []], r"y\[0\]\[1\] is 1.5"),
    ([[1, -2], [3], []], r"y\[0\]\[1\] is -2"), ([[1, -1, 2], [3], []], r"y\[0\] has a label behind the padding"),
    ([[1, 2], [3, 3, 3, 2], []], r"y\[1\] has 4 labels, which take 6 steps .*; x\[1\] has 5"),
    ([[1, 2], 3, []], r"y\[1\] must be the labels of one sequence.*got shape \(\).*\[labels\]"),
    ([[[1], [2]], [3], []], r"y\[0\] must be the labels of one sequence.*got shape \(2, 1\)"),
    ([[1, np.nan], [3], []], "must be finite"), ([["a"], [3], []], r"y\[0\] must be numbers")], ids=str)
def test_labels_that_cannot_be_are_refused(y, message):
    model = small(LSTM(4), Dense(4))
    before = bits(model)
    with pytest.raises(InputError, match=message):
        fit(model, x, y, loss="ctc")
    with pytest.raises(InputError, match=message):
        fit(model, x, RIGHT, loss="ctc", validation=(x, y))
    assert bits(model) == before


@pytest.mark.parametrize(("options", "message"), [
    ({"window": 3}, "a loss of whole sequences, and window= cuts"), ({"recompute": 2}, "recompute= takes sequences a piece at a time"),
    ({"validation": 0.3, "split": "time"}, 'split="time" cuts them'), ({"loss": CTC(4)}, "output 4 for the blank, got 4")], ids=str)
def test_what_cuts_sequences_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        fit(small(LSTM(4), Dense(4)), x, RIGHT, **{"loss": "ctc", **options})


def test_one_series_is_one_sequence():
    model = small(LSTM(4), Dense(4))
    with pytest.raises(InputError, match=r"got 2: write \[x\] and \[labels\] for one sequence"):
        fit(model, x[0], [1, 2], loss="ctc")
    with pytest.raises(InputError, match="leaves 1 to train on and 0"):
        fit(model, x[0], [[1, 2]], loss="ctc", validation=0.2)
    assert np.isfinite(fit(model, x[0], [[1, 2]], loss="ctc", epochs=1).loss).all()


def test_the_blank_is_a_whole_number():
    for blank in (-1, 0.5, True, "a"):
        with pytest.raises(ConfigError, match="CTC: blank must be a whole number of 0 or more"):
            CTC(blank)
    assert Objective(small(LSTM(4), Dense(4)), CTC).whole == CTC(0)
