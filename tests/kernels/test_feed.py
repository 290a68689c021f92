"""What is laid onto a tape: every sequence in its slot and zeros behind it; masks told by key, step and unit alone."""
import numpy as np
import pytest

from streamrnn import jit
from streamrnn.kernels import feed

for kernel in (feed.gather, feed.drop_masks):
    jit.ready(kernel)
F = np.float32


def masks(keys, start, time, units, rate):
    work = np.full((time, len(keys), units + 6), 9, F)
    feed.drop_masks(work[:, :, 3:3 + units], np.asarray(keys, np.int64), start, time, 1 - rate)
    assert (work[:, :, :3] == 9).all() and (work[:, :, 3 + units:] == 9).all()  # a view: nothing beside it is written
    return work[:, :, 3:3 + units]


# -- gather ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("width", [1, 3, 17])
def test_gather_lays_sequences_side_by_side_and_zeros_behind(width, rng):
    rows = rng.normal(size=(20, width)).astype(F)
    firsts, counts = np.array([12, 0, 5]), np.array([4, 0, 6])
    out = np.full((8, 4, width), np.nan, F)
    feed.gather(rows, firsts, counts, out, 7)
    want = np.zeros((7, 4, width), F)
    for s, (first, count) in enumerate(zip(firsts, counts, strict=True)):
        want[:count, s] = rows[first:first + count]
    assert (out[:7] == want).all() and np.isnan(out[7]).all()


def test_gather_leaves_columns_beyond_those_of_the_rows(rng):
    out = np.full((2, 4, 5), 7, F)
    feed.gather(np.ones((2, 3), F), np.array([0]), np.array([1]), out, 2)
    assert (out[0, 0, :3] == 1).all() and (out[1, :, :3] == 0).all() and (out[:, :, 3:] == 7).all()


def test_gather_reads_nothing_behind_a_count(rng):
    rows = np.full((6, 2), np.nan, F)
    rows[2:4] = 1
    out = np.empty((5, 4, 2), F)
    feed.gather(rows, np.array([2]), np.array([2]), out, 5)
    assert np.isfinite(out).all() and out.sum() == 4


# -- masks -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_are_zero_or_the_inverse_of_what_is_kept_and_one_on_average(rate):
    drawn = masks(range(1, 41), 0, 50, 100, rate)
    assert set(np.unique(drawn)) == {F(0), F(1 / (1 - rate))}
    error = 4 * np.sqrt(rate / (1 - rate) / drawn.size)
    assert abs(drawn.mean() - 1) < error
    for axis in range(3):  # nor does any step, sequence or unit stand out
        others = tuple(a for a in range(3) if a != axis)
        assert np.abs(drawn.mean(others) - 1).max() < error * np.sqrt(drawn.shape[axis]) * 1.2


def test_masks_of_neighbours_are_independent():
    drawn = masks(range(100, 140), 0, 50, 64, 0.5) - 1  # -1 or 1
    for shifted in (np.roll(drawn, 1, 0), np.roll(drawn, 1, 1), np.roll(drawn, 1, 2)):
        assert abs((drawn * shifted).mean()) < 4 / np.sqrt(drawn.size)


def test_masks_are_told_by_key_step_and_unit_wherever_a_window_starts():
    keys = [5, -3, 1 << 62]
    whole = masks(keys, 0, 10, 30, 0.4)
    assert (masks(keys, 4, 6, 30, 0.4) == whole[4:]).all()
    assert (masks(keys[::-1], 0, 10, 30, 0.4) == whole[:, ::-1]).all()
    assert (masks(keys, 0, 10, 7, 0.4) == whole[:, :, :7]).all()
    assert (masks([6], 0, 10, 30, 0.4)[:, 0] != whole[:, 0]).any()


def test_below_zero_is_one_mask_for_all_steps():
    drawn = masks([8, 9], -1, 20, 40, 0.5)
    assert (drawn == drawn[:1]).all() and (drawn[0] == masks([8, 9], 0, 1, 40, 0.5)[0]).all()
    assert (drawn[0, 0] != drawn[0, 1]).any()
