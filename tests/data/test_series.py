"""Windows, padded batches and splits: every value is where a plain loop would put it, and what is refused."""
import numpy as np
import pytest

from streamrnn.data.series import pad, split_in_time, split_sequences, windows
from streamrnn.errors import InputError


@pytest.mark.parametrize("stride", [1, 2, 5, 50])
@pytest.mark.parametrize("length", [1, 3, 23])
@pytest.mark.parametrize("columns", [1, 4])
def test_windows_are_what_a_loop_gives(rng, columns, length, stride):
    series = rng.standard_normal((23, columns), dtype=np.float32)
    x = windows(series, length, stride)
    assert np.array_equal(x, np.stack([series[start:start + length] for start in range(0, 23 - length + 1, stride)]))
    assert x.dtype == np.float32
    assert x.flags.c_contiguous


@pytest.mark.parametrize("ahead", [1, 4])
def test_what_comes_ahead_is_shifted(rng, ahead):
    series = rng.standard_normal((20, 2), dtype=np.float32)
    x, y = windows(series, 5, stride=3, ahead=ahead)
    assert x.shape == y.shape == ((20 - 5 - ahead) // 3 + 1, 5, 2)
    for n in range(len(x)):
        for t in range(5):
            assert np.array_equal(x[n, t], series[n * 3 + t])
            assert np.array_equal(y[n, t], series[n * 3 + t + ahead])


@pytest.mark.parametrize(("columns", "length", "stride"), [(1, 1, 1), (3, 1, 1), (1, 8, 1), (3, 8, 1), (3, 2, 2), (1, 2, 1)])
def test_windows_never_share_memory(rng, columns, length, stride):
    series = rng.standard_normal((8, columns), dtype=np.float32)
    assert not np.shares_memory(windows(series, length, stride), series)
    if length < 8:
        x, y = windows(series, length, stride, ahead=1)
        assert not np.shares_memory(x, series)
        assert not np.shares_memory(y, series)
        assert not np.shares_memory(x, y)


def test_one_column_may_be_flat_and_other_numbers_are_converted():
    assert windows(range(4), 3).tolist() == [[[0], [1], [2]], [[1], [2], [3]]]
    assert np.array_equal(windows(np.arange(8.0).reshape(4, 2)[:, ::-1], 4)[0], [[1, 0], [3, 2], [5, 4], [7, 6]])


def test_pad_fills_with_zeros(rng):
    sequences = [rng.standard_normal((n, 3), dtype=np.float32) for n in (4, 1, 0, 6)]
    x, lengths = pad(sequences)
    assert x.shape == (4, 6, 3)
    assert x.dtype == np.float32
    assert lengths.tolist() == [4, 1, 0, 6]
    assert lengths.dtype == np.int64
    for row, sequence in zip(x, sequences, strict=True):
        assert np.array_equal(row[:len(sequence)], sequence)
        assert not row[len(sequence):].any()


def test_pad_takes_flat_sequences_and_never_shares_memory(rng):
    x, lengths = pad([[1, 2], np.ones((1, 1))])
    assert x.tolist() == [[[1], [2]], [[1], [0]]]
    assert lengths.tolist() == [2, 1]
    sequence = rng.standard_normal((3, 2), dtype=np.float32)
    assert not np.shares_memory(pad([sequence])[0], sequence)


@pytest.mark.parametrize("shape", [(10,), (10, 3), (10, 3, 2)])
def test_split_in_time_keeps_the_order(shape):
    series = np.arange(np.prod(shape)).reshape(shape)
    first, last = split_in_time(series, 0.8)
    assert (len(first), len(last)) == (8, 2)
    assert np.array_equal(np.concatenate([first, last]), series)


def test_split_sequences_is_sorted_complete_and_repeats():
    first, last = split_sequences(100, 0.7, seed=3)
    assert (len(first), len(last)) == (70, 30)
    assert sorted([*first, *last]) == list(range(100))
    assert (np.diff(first) > 0).all()
    assert (np.diff(last) > 0).all()
    again, other = split_sequences(100, 0.7, seed=3)[0], split_sequences(100, 0.7, seed=4)[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert split_sequences(10, np.float32(0.8), np.int64(1))[0].shape == (8,)


REFUSED = {
    "short": (lambda: windows(np.zeros(4), 5), "needs a series of at least 5, got 4"),
    "short ahead": (lambda: windows(np.zeros(6), 5, ahead=2), "5 samples and 2 ahead needs a series of at least 7, got 6"),
    "no length": (lambda: windows(np.zeros(4), 0), "length must be at least 1, got 0"),
    "half a length": (lambda: windows(np.zeros(4), 1.5), "length must be a whole number, got 1.5"),
    "no stride": (lambda: windows(np.zeros(4), 1, stride=0), "stride must be at least 1"),
    "back": (lambda: windows(np.zeros(4), 1, ahead=-1), "ahead must be at least 0"),
    "cube": (lambda: windows(np.zeros((4, 2, 2)), 1), r"\(T, columns\).*got shape \(4, 2, 2\)"),
    "no columns": (lambda: windows(np.zeros((4, 0)), 1), r"a column or more, or \(T,\); got shape \(4, 0\)"),
    "nan": (lambda: windows([[0, 1], [0, np.nan]], 1), r"series\[1\]\[1\] is nan .*fill or drop"),
    "flat nan": (lambda: windows([0, 1, np.nan], 1), r"series\[2\] is nan"),
    "large": (lambda: windows([0, 1e39], 1), r"series\[1\] is inf \(after conversion"),
    "text": (lambda: windows(["a"], 1), "series must be numbers.*got dtype <U1"),
    "nothing to pad": (lambda: pad([]), "at least one sequence, got an empty list"),
    "ragged": (lambda: pad([np.zeros((2, 3)), np.zeros((2, 4))]), r"sequences\[1\] has 4 columns, sequences\[0\] has 3"),
    "pad nan": (lambda: pad([np.zeros(2), np.array([0, np.inf])]), r"sequences\[1\]\[1\] is inf"),
    "pad array": (lambda: pad(np.zeros((5, 2))), r"got one array of shape \(5, 2\): write \[x\]"),
    "all": (lambda: split_in_time(np.zeros(4), 1.0), "between 0 and 1, such as 0.8; got 1.0"),
    "nan share": (lambda: split_in_time(np.zeros(4), np.nan), "got nan"),
    "text share": (lambda: split_in_time(np.zeros(4), "half"), "got 'half'"),
    "too small": (lambda: split_in_time(np.zeros(4), 0.1), "splits 4 samples into 0 and 4"),
    "nothing to split": (lambda: split_in_time([], 0.5), "splits 0 samples"),
    "one value": (lambda: split_in_time(1.0, 0.5), "single value"),
    "one sequence": (lambda: split_sequences(1, 0.5, 0), "splits 1 sequences into 0 and 1"),
    "no seed": (lambda: split_sequences(4, 0.5, None), "seed must be a whole number, got None"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_explained(kind):
    call, words = REFUSED[kind]
    with pytest.raises(InputError, match=words):
        call()
