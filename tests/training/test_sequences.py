"""What fit takes as sequences: every shape there is, refused with place, expectation and what came before the first step."""
import numpy as np
import pytest
from learning import F, bits, echoes, pieces, small

from streamrnn import BCE, LSTM, MSE, CrossEntropy, Dense, Embedding, Gaussian, InputError, Model, Quantile, fit
from streamrnn.training.objective import Objective
from streamrnn.training.sequences import sequences

LENGTHS = np.array([3, 0, 5, 1])


def laid(x, y, lengths=None, loss="mse", outputs=2, inputs=3):
    model = small(LSTM(4), Dense(outputs), inputs=inputs)
    return Objective(model, loss).sequences(x, y, lengths, model)


def parts(data, values):
    return [values[first:first + length] for first, length in zip(data.firsts, data.lengths, strict=True)]


def same(found, want):
    return len(found) == len(want) and all(a.shape == b.shape and (a == b).all() for a, b in zip(found, want, strict=True))


# -- what comes in -----------------------------------------------------------------------------------------------------

def test_a_batch_one_series_and_a_list_are_sequences(rng):
    x, y = echoes(rng, count=4, time=5)
    for got, want in ((laid(x, y), list(x)), (laid(x[0], y[0]), [x[0]]), (laid(x, y, LENGTHS), pieces(x, LENGTHS)),
                      (laid(pieces(x, LENGTHS), pieces(y, LENGTHS)), pieces(x, LENGTHS)), (laid(list(x), list(y)), list(x)),
                      (laid(x.astype(np.float64), y), list(x)), (laid(x[:, ::-1], y), list(x[:, ::-1])), (laid([x[0]], [y[0]]), [x[0]])):
        assert same(parts(got, got.samples), want)
        assert got.samples.dtype == F and got.goals[0].target.dtype == F and got.samples.flags.c_contiguous


@pytest.mark.parametrize(("loss", "outputs", "columns"), [(MSE(), 2, 2), (Quantile(), 6, 2), (Gaussian(), 4, 2), (CrossEntropy(), 5, 1)])
def test_targets_have_the_columns_of_the_loss(loss, outputs, columns, rng):
    x, y = rng.normal(size=(4, 5, 3)), rng.integers(0, 5, (4, 5, columns))
    for target, lengths, each in ((y, None, True), (y, LENGTHS, True), (y[:, 0], None, False), (y[:, 0], LENGTHS, False)):
        data = laid(x, target, lengths, loss, outputs)
        goal, ends = data.goals[0], (np.full(4, 5) if lengths is None else lengths)
        assert goal.target.shape == (20, columns) and goal.weight.shape == (20, 1)
        if each:
            assert same(parts(data, goal.target), pieces(target, ends)) and all((part == 1).all() for part in parts(data, goal.weight))
        else:
            assert goal.weight.sum() == (ends > 0).sum()
            assert all((part[-1] == target[n]).all() for n, part in enumerate(parts(data, goal.target)) if len(part))
            assert all(part[-1] == 1 for part in parts(data, goal.weight) if len(part))


def test_one_target_a_sequence_for_a_list(rng):
    x, y = echoes(rng, count=4, time=5)
    for target in (y[:, -1], list(y[:, -1]), [list(map(float, row)) for row in y[:, -1]]):
        data = laid(pieces(x, LENGTHS), target)
        assert data.goals[0].weight.sum() == 3 and (data.goals[0].target[[2, 7, 8]] == y[[0, 2, 3], -1]).all()
    narrow = laid(pieces(x, LENGTHS), y[:, -1, 0], outputs=1)
    assert (narrow.goals[0].target[[2, 7, 8], 0] == y[[0, 2, 3], -1, 0]).all()
    narrow = laid(pieces(x, LENGTHS), y[:, -1, 0].tolist(), outputs=1)
    assert (narrow.goals[0].target[[2, 7, 8], 0] == y[[0, 2, 3], -1, 0]).all()


def test_a_target_for_each_step_of_a_list_needs_no_last_axis(rng):
    x, y = echoes(rng, count=4, time=5)
    data = laid(pieces(x, LENGTHS), pieces(y[..., 0], LENGTHS), outputs=1)
    assert same(parts(data, data.goals[0].target), pieces(y[..., :1], LENGTHS))


# -- splits and tracks -------------------------------------------------------------------------------------------------

def test_a_split_in_time_takes_the_end_of_each_and_warms_up_at_weight_0(rng):
    x, y = echoes(rng, count=4, time=20)
    lengths = np.array([20, 10, 2, 0])
    first, last = laid(x, y, lengths).split(0.2, "time", warm=3, seed=0)
    assert first.lengths.tolist() == [16, 8, 2, 0] and last.lengths.tolist() == [4 + 3, 2 + 3, 2, 0]
    assert same(parts(first, first.samples), pieces(x, [16, 8, 2, 0]))
    assert same(parts(last, last.samples), [x[0, 13:20], x[1, 5:10], x[2, :2], x[3, :0]])
    assert [part[:, 0].tolist() for part in parts(last, last.goals[0].weight)] == [[0] * 3 + [1] * 4, [0] * 3 + [1] * 2, [0, 0], []]
    assert all((part == 1).all() for part in parts(first, first.goals[0].weight))


def test_a_split_by_sequences_has_each_in_one_part(rng):
    x, y = echoes(rng, count=10)
    data = laid(x, y)
    first, last = data.split(0.3, "sequence", warm=3, seed=1)
    assert (len(first), len(last)) == (7, 3)
    assert sorted([*first.firsts, *last.firsts]) == data.firsts.tolist()
    assert (data.split(0.3, "sequence", 3, 2)[1].firsts != last.firsts).any()
    assert (data.split(0.3, "sequence", 3, 1)[1].firsts == last.firsts).all()


def test_tracks_are_neighbouring_pieces_of_a_series(rng):
    x, y = echoes(rng, count=1, time=23)
    data = laid(x[0], y[0]).tracks(4)
    assert data.lengths.sum() == 23 and np.ptp(data.lengths) <= 1
    assert (np.concatenate(parts(data, data.samples)) == x[0]).all() and (data.rows() == np.arange(23)).all()


@pytest.mark.parametrize(("share", "how", "message"), [
    (0.01, "sequence", "leaves 10 to train on and 0 to validate on: .*split=\"time\""), (0.99, "sequence", "leaves 0 to train on"),
    (0.01, "time", "leaves nothing to train on or nothing to validate on: the longest sequence has 12"), (0.99, "time", "leaves nothing")])
def test_a_split_that_leaves_nothing_is_refused(share, how, message, rng):
    with pytest.raises(InputError, match=message):
        laid(*echoes(rng, count=10)).split(share, how, 5, 0)


# -- refusals ----------------------------------------------------------------------------------------------------------

def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


x, y = echoes(np.random.default_rng(1), count=4, time=5)
BAD = [
    ((x[..., :2], y), r"\(T, 3\) or \(B, T, 3\), got shape \(4, 5, 2\)"),
    ((x[0, 0], y), r"got shape \(3,\)"), ((x[None], y), r"\(1, 4, 5, 3\)"),
    ((None, y), "x must be numbers"), (("text", y), "x must be numbers"), ((x.astype(complex), y), "x must be numbers.*complex"),
    (([], []), r"got shape \(0,\)"), ((x[:0], y[:0]), "no sample to train on"), ((x[:, :0], y[:, :0]), "no sample to train on"),
    ((x, y, [0, 0, 0, 0]), "no sample to train on"),
    ((changed(x, (2, 3, 1), np.nan), y), r"x\[2\]\[3\]\[1\] is nan"), ((changed(x, (0, 0, 0), np.inf), y), r"x\[0\]\[0\]\[0\] is inf"),
    ((changed(x[0], (3, 1), -np.inf), y[0]), r"x\[3\]\[1\] is -inf"),
    ((changed(x.astype(float), (1, 1, 1), 1e300), y), r"x\[1\]\[1\]\[1\] is inf"),
    ((x, y, [5, 5, 5]), r"lengths must be 4 whole numbers.*shape \(3,\)"), ((x, y, [5, 6, 5, 5]), r"lengths\[1\] is 6: .* 0 to 5"),
    ((x, y, [5, -1, 5, 5]), r"lengths\[1\] is -1"), ((x, y, [1.0] * 4), "lengths must be 4 whole numbers.*float64"),
    ((x, y, 5), "lengths must be 4 whole numbers"),
    ((pieces(x, LENGTHS), pieces(y, LENGTHS), LENGTHS), "has its lengths in it"),
    (([x[0], x[1, :2], x[2, :, :2]], y), r"holds one \(T, 3\) for each; x\[2\] has shape \(5, 2\)"),
    (([x[0], x[1, 0]], y), r"x\[1\] has shape \(3,\)"), (([x[0], None], y), r"x\[1\] must be numbers"),
    (([[[1, 2, 3]], [[1, 2], [3]]], y), "x must be numbers in a regular array"),
    ((pieces(changed(x, (2, 3, 1), np.nan), LENGTHS), pieces(y, LENGTHS)), r"x\[2\]\[3\]\[1\] is nan"),
    ((x, y[:3]), r"y must be \(4, 5, 2\), a target for every step, or \(4, 2\), one for every sequence: mse .* Got shape \(3, 5, 2\)"),
    ((x, y[:, :4]), r"\(4, 5, 2\), a target .* Got shape \(4, 4, 2\)"),
    ((x, y[..., :1]), r"Got shape \(4, 5, 1\)"), ((x, y[..., 0]), r"Got shape \(4, 5\)"),
    ((x, 3.0), r"Got shape \(\)"), ((x, None), "y must be numbers"), ((x, pieces(y, LENGTHS)), "y must be numbers in a regular array"),
    ((x[0], y), r"y must be \(5, 2\), a target for every step, or \(1, 2\).*Got shape \(4, 5, 2\)"),
    ((pieces(x, LENGTHS), pieces(y, LENGTHS)[:3]), "y has 3 sequences, x has 4"),
    ((pieces(x, LENGTHS), []), "y has 0 sequences, x has 4"),
    ((pieces(x, LENGTHS), pieces(y, [3, 0, 4, 1])), r"y\[2\] must be \(5, 2\), a target for every step of x\[2\]; got shape \(4, 2\)"),
    ((pieces(x, LENGTHS), y), r"y must be \(4, 2\), one for every sequence.*Got shape \(4, 5, 2\)"),
    ((pieces(x, LENGTHS), [1.0] * 4), r"\(4, 2\), one"),
    ((x, changed(y, (2, 3, 1), np.nan)), r"y\[2\]\[3\] is \[.*, nan\]: mse takes finite numbers"),
    ((x[0], changed(y[0], (3, 0), np.inf)), r"y\[3\] is \[inf"),
    ((x[0], changed(y[0, :1], (0, 0), np.nan)), r"y\[0\] is \[nan"),
    ((x, changed(y[:, 0], (2, 1), np.nan)), r"y\[2\] is \[.*, nan\]"),
    ((x, changed(y, (2, 3, 1), np.nan), [5, 0, 4, 5]), r"y\[2\]\[3\]"),
    ((pieces(x, LENGTHS), pieces(changed(y, (3, 0, 0), np.nan), LENGTHS)), r"y\[3\]\[0\] is \[nan"),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=range(len(BAD)))
def test_bad_data_is_refused_before_the_first_step(given, message):
    model = small()
    before, digest = bits(model), model.digest
    for validation in (None, 0.3):
        with pytest.raises(InputError, match=message):
            fit(model, given[0], given[1], lengths=given[2] if len(given) > 2 else None, validation=validation)
    with pytest.raises(InputError, match=message):
        fit(model, x, y, validation=given)
    assert bits(model) == before and model.digest == digest


@pytest.mark.parametrize(("label", "loss", "message"), [
    (4, "cross_entropy", r"y\[1\]\[2\] is 4.0: cross_entropy takes a class, a whole number in \[0, 4\), or -100 to be ignored"),
    (-1, "cross_entropy", r"y\[1\]\[2\] is -1.0"), (0.5, "cross_entropy", r"y\[1\]\[2\] is 0.5"), (np.nan, "cross_entropy", "is nan"),
    (-100, CrossEntropy(ignore_index=None), r"whole number in \[0, 4\)$"),
    (1.5, BCE(), r"y\[1\]\[2\] is \[1.5, 1.0, 1.0, 1.0\]: bce takes in \[0, 1\]")])
def test_labels_out_of_range_are_refused(label, loss, message):
    model = small(LSTM(4), Dense(4))
    labels = np.ones((4, 5, 4 if isinstance(loss, BCE) else 1))
    labels[1, 2, 0] = label
    with pytest.raises(InputError, match=message):
        fit(model, x, labels, loss=loss)


def test_targets_that_are_all_ignored_are_refused():
    with pytest.raises(InputError, match="no target that counts: all are masked or ignored"):
        fit(small(LSTM(4), Dense(4)), x, np.full((4, 5), -100), loss="cross_entropy")


@pytest.mark.parametrize(("token", "message"), [
    (7, r"x\[1\]\[2\]\[0\] is 7.0: .* 0 to 6"), (-1, "is -1.0"), (0.5, "is 0.5"), (np.nan, "is nan")])
def test_tokens_out_of_range_are_refused(token, message):
    model = Model(1, [Embedding(7, 4), LSTM(4), Dense(2)])
    tokens = changed(np.ones((4, 5, 1)), (1, 2, 0), token)
    with pytest.raises(InputError, match=message):
        fit(model, tokens, y)
    fit(model, tokens, y, lengths=[5, 2, 5, 5], epochs=1)  # behind a length it does not matter


def test_a_plain_list_has_no_lengths_of_its_own():
    flat, firsts, sizes, time = sequences(x.tolist(), [5, 4, 3, 2], 3, 0)
    assert (flat.shape, firsts.tolist(), sizes.tolist(), time) == ((20, 3), [0, 5, 10, 15], [5, 4, 3, 2], 5)
