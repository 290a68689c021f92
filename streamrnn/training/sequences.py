"""What fit is given, as sequences one after the other: samples (rows, inputs), targets (rows, k) and weights (rows, 1).

Sequence n takes the rows firsts[n] .. firsts[n] + lengths[n]. A target of one value a sequence stands at its last row, the
other rows have weight 0. All bad input is refused here, before the first step.
"""
from dataclasses import dataclass, replace

import numpy as np

from streamrnn.errors import InputError
from streamrnn.streams.samples import as_float32, batch, lengths_of, refuse_value


@dataclass(frozen=True)
class Goal:
    """What one head is trained for: its targets (rows, k) and what each row counts (rows, 1)."""
    target: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Sequences:
    samples: np.ndarray                # float32 (rows, inputs)
    goals: tuple[Goal, ...]            # one a part of the objective
    firsts: np.ndarray                 # int64 (sequences,)
    lengths: np.ndarray                # int64 (sequences,)

    def __len__(self):
        return len(self.firsts)

    def some(self, chosen):
        """These sequences only."""
        return replace(self, firsts=self.firsts[chosen], lengths=self.lengths[chosen])

    def tracks(self, count):
        """One long series cut into `count` sequences of neighbouring rows, as even as can be."""
        bounds = np.linspace(0, self.lengths[0], count + 1).astype(np.int64)
        return replace(self, firsts=self.firsts[0] + bounds[:-1], lengths=np.diff(bounds))

    def rows(self):
        """The rows of all sequences, one after the other."""
        if not len(self):
            return np.zeros(0, np.int64)
        return np.concatenate([np.arange(first, first + length) for first, length in zip(self.firsts, self.lengths, strict=True)])

    def split(self, share, how, warm, seed):
        """(training, validation): the last `share` of each sequence in time, or a share of the sequences.

        Validation in time starts `warm` rows early, at weight 0, so that its state is that of a stream already running.
        """
        if how == "sequence":
            count = round(len(self) * share)
            if not 0 < count < len(self):
                raise InputError(f"validation={share} of {len(self)} sequences leaves {len(self) - count} to train on and {count} "
                                 "to validate on: change the share, or split in time with split=\"time\"")
            order = np.random.default_rng(seed).permutation(len(self))
            return self.some(np.sort(order[count:])), self.some(np.sort(order[:count]))
        cut = self.lengths - np.round(self.lengths * share).astype(np.int64)
        if (cut == 0).all() or (cut == self.lengths).all():
            raise InputError(f"validation={share} in time leaves nothing to train on or nothing to validate on: the longest "
                             f"sequence has {self.lengths.max()} samples")
        early = np.minimum(cut, warm)
        rows = replace(self, lengths=cut).rows()
        goals = []
        for goal in self.goals:
            weight = goal.weight.copy()
            weight[rows] = 0
            goals.append(Goal(goal.target, weight))
        return replace(self, lengths=cut), replace(self, goals=tuple(goals), firsts=self.firsts + cut - early,
                                                   lengths=self.lengths - cut + early)


def sequences(x, lengths, inputs, vocabulary):
    """(samples, firsts, lengths, time) of (T, inputs), (B, T, inputs) with or without lengths, or a list of (T, inputs).

    time: the T of all of them, None where they come one by one.
    """
    if _ragged(x):
        if lengths is not None:
            raise InputError("a list of sequences has its lengths in it: leave lengths= out")
        parts = [as_float32(part, f"x[{n}]") for n, part in enumerate(x)]
        for n, part in enumerate(parts):
            if part.ndim != 2 or part.shape[1] != inputs:
                raise InputError(f"a list of sequences holds one (T, {inputs}) for each; x[{n}] has shape {part.shape}")
        sizes = np.array([len(part) for part in parts], np.int64)
        flat, firsts, time = np.concatenate(parts), np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64), None
    else:
        padded = batch(x, inputs)
        count, time = padded.shape[:2]
        sizes = np.full(count, time, np.int64) if lengths is None else lengths_of(lengths, count, time)
        flat, firsts = padded.reshape(-1, inputs), np.arange(count, dtype=np.int64) * time
    if not len(sizes) or not sizes.sum():
        raise InputError("there is no sample to train on")
    check_samples(flat, firsts, sizes, vocabulary)
    return flat, firsts, sizes, time


def _ragged(x):
    """Is this a list of sequences that do not make one array?"""
    try:
        return isinstance(x, (list, tuple)) and len({np.shape(part) for part in x}) > 1
    except ValueError:  # something in it makes no array: whoever converts it says so
        return False


def check_samples(flat, firsts, lengths, vocabulary):
    wrong = ~np.isfinite(flat).all(1)
    if vocabulary > 0:
        with np.errstate(invalid="ignore"):
            wrong |= ((flat < 0) | (flat >= vocabulary) | (flat != np.floor(flat))).any(1)
    for n, (first, length) in enumerate(zip(firsts, lengths, strict=True)):
        bad = np.flatnonzero(wrong[first:first + length])
        if len(bad):
            refuse_value(flat[first + bad[0]], vocabulary, f"[{n}][{bad[0]}]" if len(firsts) > 1 else f"[{bad[0]}]")


def goal(y, loss, outputs, head, firsts, lengths, rows, time):
    """The targets of one head, as they came: one for every step, or one for every sequence."""
    what, k = f"y[{head!r}]" if head else "y", loss.targets(outputs)
    target, each = _in_parts(y, k, what, lengths) if time is None and _is_list(y) else _in_one(y, k, what, len(firsts), time, loss, outputs)
    wide, weight = np.zeros((rows, k), np.float32), np.zeros((rows, 1), np.float32)
    if each:
        wide[:] = target
        for first, length in zip(firsts, lengths, strict=True):
            weight[first:first + length] = 1
    else:
        ends = (firsts + lengths - 1)[lengths > 0]
        wide[ends], weight[ends] = target[lengths > 0], 1
    taken = np.flatnonzero(weight[:, 0])
    wrong = np.flatnonzero(loss.wrong(wide[taken], outputs))
    if len(wrong):
        row = taken[wrong[0]]
        n = int(np.searchsorted(firsts, row, "right")) - 1
        place = ([n] if len(firsts) > 1 or not each else []) + ([int(row - firsts[n])] if each else [])
        value = wide[row].tolist() if k > 1 else wide[row, 0].item()
        raise InputError(f"{what}{''.join(f'[{i}]' for i in place)} is {value}: {loss.name} takes {loss.wanted.format(outputs=outputs)}")
    weight[taken, 0] *= loss.row_weights(wide[taken])
    if not weight.any():
        raise InputError(f"{what} has no target that counts: all are masked or ignored")
    return Goal(wide, weight)


def _is_list(y):
    return isinstance(y, (list, tuple)) and not (len(y) and np.isscalar(y[0]))


def _in_parts(y, k, what, lengths):
    """A list of targets, one array a sequence, like x."""
    if len(y) != len(lengths):
        raise InputError(f"{what} has {len(y)} sequences, x has {len(lengths)}")
    parts = [as_float32(part, f"{what}[{n}]") for n, part in enumerate(y)]
    if all(part.shape == (k,) for part in parts) and (k > 1 or (lengths > 1).any()):
        return np.stack(parts), False
    for n, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        if part.shape not in ((length, k), (length,) if k == 1 else (length, k)):
            raise InputError(f"{what}[{n}] must be ({length}, {k}), a target for every step of x[{n}]; got shape {part.shape}")
    return np.concatenate([part.reshape(-1, k) for part in parts]), True


def _in_one(y, k, what, count, time, loss, outputs):
    """One array: a target for every step, or one for every sequence."""
    y = as_float32(y, what)
    shapes = {(count, k): False}
    if k == 1:
        shapes[(count,)] = False
    if time is not None:
        shapes |= {(count, time, k): True} | ({(count, time): True} if k == 1 else {})
        if count == 1:
            shapes |= {(time, k): True} | ({(time,): True} if k == 1 else {})
    if y.shape not in shapes:
        steps = f"({count}, {time}, {k})" if count > 1 else f"({time}, {k})"
        each = f"{steps}, a target for every step, or " if time is not None else ""
        hint = "; labels, not one-hot: y.argmax(-1)" if k == 1 < outputs == y.shape[-1] else ""
        raise InputError(f"{what} must be {each}({count}, {k}), one for every sequence: {loss.name} on {outputs} outputs takes {k} "
                         f"a step. Got shape {y.shape}{hint}")
    return y.reshape(-1, k), shapes[y.shape]
