"""A tape: its sizes, and values that are those of the model's run, wherever its window ends."""
import numpy as np
import pytest
from learning import F, small

from streamrnn import GRU, LSTM, Dense, LayerNorm
from streamrnn.training.tape import Tape, record_size
from streamrnn.training.weights import Weights


def filled(model, x, lengths=None):
    """A tape that has gone through x (streams, time, inputs) from zero states."""
    streams, time = x.shape[:2]
    tape = Tape(Weights(model), streams, time)
    tape.samples[:, :streams, :x.shape[2]] = x.swapaxes(0, 1)
    tape.lengths[:streams] = time if lengths is None else lengths
    tape.forwards(time)
    return tape


@pytest.mark.parametrize("streams", [1, 4, 5, 8])
def test_results_are_those_of_a_run(streams, rng):
    model = small(LSTM(9), LayerNorm(), GRU(17), Dense(3))
    x = rng.normal(size=(streams, 10, 3)).astype(F)
    tape = filled(model, x)
    assert tape.results[:, :streams].swapaxes(0, 1).tobytes() == model.run(x).tobytes()
    assert tape.slots % 4 == 0 and len(tape.rows) == 11


def test_rows_behind_the_end_of_a_stream_are_zeros(rng):
    x, lengths = rng.normal(size=(4, 10, 3)).astype(F), np.array([10, 0, 3, 9])
    tape = filled(small(), x, lengths)
    for s, length in enumerate(lengths):
        assert tape.rows[1:length + 1, s].any(1).all() and not tape.rows[length + 1:, s].any()


def test_records_lie_an_odd_number_of_cache_lines_apart():
    for units in range(1, 100, 7):
        plan = Weights(small(LSTM(units), Dense(2))).plan
        assert record_size(plan) // 16 % 2 == 1 and record_size(plan) % 16 == 0
        assert 0 <= record_size(plan) - (plan.work_size + plan.stride + plan.kept_size) <= 16
