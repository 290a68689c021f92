"""The order of an epoch: every sequence once, each from its first step to its last, the longest first."""
import numpy as np
import pytest

from streamrnn.training.batches import windows


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("batch", "time"), [(1, 3), (4, 5), (7, 100), (50, 2)])
def test_every_step_of_every_sequence_is_in_one_window(batch, time, shuffle, rng):
    lengths = rng.integers(0, 14, 23)
    done, last = np.zeros(23, int), None
    for window in windows(lengths, batch, time, 3, 1, shuffle):
        assert len(window.chosen) <= batch and 0 < window.time <= time
        assert (np.diff(lengths[window.chosen]) <= 0).all()
        if window.fresh:
            assert window.start == 0 and (done[window.chosen] == 0).all()
        else:
            assert window.start == last.start + last.time and (window.chosen == last.chosen).all()
        assert (np.minimum(lengths, window.start) == done)[window.chosen].all()
        done[window.chosen] = np.minimum(lengths[window.chosen], window.start + window.time)
        last = window
    assert (done == lengths).all()


def test_batches_are_drawn_by_seed_and_epoch():
    def drawn(seed, epoch, shuffle=True):
        return [window.chosen.tolist() for window in windows(np.full(20, 4), 6, 9, seed, epoch, shuffle)]
    assert drawn(1, 2) == drawn(1, 2)
    assert drawn(1, 2) != drawn(1, 3) and drawn(1, 2) != drawn(2, 2)
    assert drawn(1, 2, False) == drawn(5, 6, False) and sorted(n for chosen in drawn(1, 2) for n in chosen) == list(range(20))
