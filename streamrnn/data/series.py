"""Series and sequences as the arrays that training takes: windows, zero padded batches, and splits that do not leak.

A series is (T, columns), or (T,) for one column; time is always the first axis.
"""
from numbers import Real
from operator import index

import numpy as np

from streamrnn.errors import InputError
from streamrnn.streams.samples import as_float32


def windows(series, length, stride=1, ahead=0):
    """Windows of a series, (N, length, columns), a fresh float32 array: window n starts at sample n * stride.

    With ahead=k also what comes k samples later, as a pair (x, y) of that shape: y[n, t] is series[n * stride + t + k].
    """
    series = _rows(series, "series")
    length, stride, ahead = _whole(length, "length", 1), _whole(stride, "stride", 1), _whole(ahead, "ahead", 0)
    if len(series) < length + ahead:
        raise InputError(f"a window of {length} samples{f' and {ahead} ahead' if ahead else ''} needs a series of at least "
                         f"{length + ahead}, got {len(series)}: take shorter windows or a longer series")

    def cut(part):
        view = np.lib.stride_tricks.sliding_window_view(part, length, axis=0)[::stride]  # (N, columns, length)
        return np.array(view.transpose(0, 2, 1), order="C")  # a copy even where the view is contiguous
    return (cut(series[:len(series) - ahead]), cut(series[ahead:])) if ahead else cut(series)


def pad(sequences):
    """Sequences (T_i, columns) or (T_i,) as one batch: x (N, T, columns) float32, zeros after each end, and lengths (N,) int64."""
    if isinstance(sequences, np.ndarray):  # (T, columns) would pass for T sequences of one column
        raise InputError(f"pad takes a list of sequences, got one array of shape {sequences.shape}: write [x] for one sequence, "
                         "list(x) for many")
    sequences = [_rows(sequence, f"sequences[{i}]") for i, sequence in enumerate(sequences)]
    if not sequences:
        raise InputError("pad needs at least one sequence, got an empty list")
    columns = sequences[0].shape[1]
    for i, sequence in enumerate(sequences):
        if sequence.shape[1] != columns:
            raise InputError(f"sequences[{i}] has {sequence.shape[1]} columns, sequences[0] has {columns}: all need the same")
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    x = np.zeros((len(sequences), lengths.max(), columns), np.float32)
    for row, sequence in zip(x, sequences, strict=True):
        row[:len(sequence)] = sequence
    return x, lengths


def split_in_time(series, share):
    """(first, last): the first `share` of the samples and the rest, as views. What is learnt from never follows what is tested on."""
    series = np.asarray(series)
    if series.ndim == 0:
        raise InputError(f"a series to split is (T, ...), got the single value {series}")
    cut = _cut(len(series), share, "samples")
    return series[:cut], series[cut:]


def split_sequences(count, share, seed):
    """Two sorted index arrays: `share` of range(count) drawn by the seed, and the rest. The same seed draws the same."""
    count = _whole(count, "count", 1)
    cut = _cut(count, share, "sequences")
    order = np.random.default_rng(_whole(seed, "seed", 0)).permutation(count)
    return np.sort(order[:cut]), np.sort(order[cut:])


def _rows(series, what):
    """(T, columns), finite float32"""
    array = as_float32(series, what)
    if array.ndim not in (1, 2) or (array.ndim == 2 and not array.shape[1]):
        raise InputError(f"{what} must be (T, columns) with a column or more, or (T,); got shape {array.shape}")
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        place = tuple(map(int, wrong[0]))
        raise InputError(f"{what}{''.join(f'[{i}]' for i in place)} is {array[place]} (after conversion to float32): values must be "
                         "finite; fill or drop missing readings first")
    return array if array.ndim == 2 else array[:, None]


def _whole(value, what, least):
    try:
        number = index(value)
    except TypeError:
        raise InputError(f"{what} must be a whole number, got {value!r}") from None
    if number < least:
        raise InputError(f"{what} must be at least {least}, got {number}")
    return number


def _cut(count, share, what):
    if not isinstance(share, Real) or not 0 < share < 1:
        raise InputError(f"share must be a number between 0 and 1, such as 0.8; got {share!r}")
    cut = round(count * float(share))
    if not 0 < cut < count:
        raise InputError(f"a share of {share} splits {count} {what} into {cut} and {count - cut}: both parts need one or more")
    return cut
