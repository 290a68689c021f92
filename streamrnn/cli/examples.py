"""Examples to learn from, out of a table: what goes in, what comes out, how far ahead, and whose sequence a row belongs to.

What is wrong with the data is found here, before the first step, and said in the words of the command line.
"""
import csv
from dataclasses import dataclass

import numpy as np

from streamrnn.cli import groups
from streamrnn.cli.arguments import counted
from streamrnn.data import tables
from streamrnn.data.series import split_sequences
from streamrnn.errors import ConfigError, InputError

SPARSE = 10  # times the number of different labels: a larger label is a mistake, such as an id


@dataclass(frozen=True)
class Examples:
    """Sequences, each x (T, inputs), y and baseline (T, targets), float32, and real (T, targets): false where y was filled in.

    `classes`: y holds labels of so many; 0 for a forecast. `last`: y has one row, the label of the whole sequence.
    `baseline` is what a forecaster says that has learnt nothing, `naive` the same in words.
    """
    inputs: list
    targets: list
    ahead: int
    classes: int
    last: bool
    share: float        # of the data, to validate on
    x: list
    y: list
    baseline: list
    naive: str
    real: list
    cuts: list          # where the validation part of each y begins
    notes: list         # what a user should know about the data

    def for_fit(self):
        """x, y and validation as fit takes them."""
        if not self.last:
            return {"x": self.x, "y": self.y, "validation": self.share or None, "split": "time"}

        def some(cut):
            chosen = [n for n in range(len(self.x)) if self.cuts[n] == cut]
            return [self.x[n] for n in chosen], np.concatenate([self.y[n] for n in chosen])
        x, y = some(cut=1)
        return {"x": x, "y": y, "validation": some(cut=0) if self.share else None}

    def measured(self):
        """(sequence, its first target that is measured): the validation part, or everything where there is none."""
        starts = self.cuts if self.share else [0] * len(self.y)
        return [(n, start) for n, start in enumerate(starts) if start < len(self.y[n])]

    def measured_in_words(self):
        if not self.share:
            return "the training data itself"
        part = f"{100 * self.share:.3g} %"
        if self.last:
            return f"{part} of the sequences, held back"
        return f"the last {part}{' of each sequence' if len(self.x) > 1 else ''}, held back"


def read(chosen):
    """The examples that the command's options describe."""
    classify, path = chosen.task == "classify", chosen.data
    ahead = (0 if classify else 1) if chosen.ahead is None else chosen.ahead
    targets, inputs = names(chosen.target), names(chosen.inputs)
    _agree(chosen, classify, ahead, targets, inputs)
    table, keys = _table(chosen, list(dict.fromkeys(inputs + targets)) if inputs and targets else None)
    for asked in (targets, inputs):
        tables._picked(path, list(table.names), asked)  # refuses a name that is not there, with the closest
    targets = targets or list(table.names)
    inputs = inputs or [name for name in table.names if ahead or name not in targets]
    if not inputs:
        raise InputError(f"{path}: with --ahead 0 the inputs are the other columns, and beside {', '.join(targets)} there are none")

    columns = list(dict.fromkeys(inputs + targets))
    values, notes = table.values[:, [table.names.index(name) for name in columns]], []
    into, out = [columns.index(name) for name in inputs], [columns.index(name) for name in targets]
    missing = np.isnan(values)
    _refuse(path, columns, values, missing, chosen.fill, out if classify else [])
    sequences = groups.parts(keys) if keys is not None else [np.arange(len(values))]
    if missing.any():
        sequences = _fill(chosen.fill, values, missing, sequences)
        filled = missing[np.concatenate(sequences)]
        notes.append(f"{counted(filled.sum(), 'missing value')} filled in (--fill {chosen.fill}), {filled[:, out].sum():,} in targets")
        lost = len(values) - len(filled)
        notes += [f"{counted(lost, 'row')} left out: a value is missing and none comes before"] if lost else []

    enough = [rows for rows in sequences if len(rows) > ahead]
    if not enough:
        raise InputError(f"{path}: --ahead {ahead} needs {ahead + 1} rows or more, the longest has {max(map(len, sequences))}")
    if len(enough) < len(sequences):
        notes.append(f"{counted(len(sequences) - len(enough), 'sequence')} left out: shorter than {ahead + 1} rows")
    if chosen.last:
        _one_label(path, chosen.group, keys, enough, values[:, out[0]], targets[0])
    later = [rows[-1:] if chosen.last else rows[ahead:] for rows in enough]
    x = [values[rows[:len(rows) - ahead]][:, into] for rows in enough]
    y, real = [values[rows][:, out] for rows in later], [~missing[rows][:, out] for rows in later]
    classes = _classes(path, targets[0], np.concatenate(y)) if classify else 0
    cuts = _cuts([len(part) for part in y], chosen)
    if ahead:
        naive, baseline = "the value does not change", [values[rows[:-ahead]][:, out] for rows in enough]
    else:
        naive, constant = _constant(np.concatenate([part[:cut] for part, cut in zip(y, cuts, strict=True)]), classes)
        baseline = [np.broadcast_to(constant, part.shape) for part in y]
    return Examples(inputs=inputs, targets=targets, ahead=ahead, classes=classes, last=chosen.last, share=chosen.validation,
                    x=x, y=y, baseline=baseline, naive=naive, real=real, cuts=cuts, notes=notes)


def names(text):
    """The names in a,b or a,"b, with a comma", each once."""
    return [] if text is None else list(dict.fromkeys(name.strip() for name in next(csv.reader([text], skipinitialspace=True))))


def _agree(chosen, classify, ahead, targets, inputs):
    """Refuse options that do not go together."""
    if classify and chosen.loss:
        raise ConfigError("--loss is for forecasts: --task classify has cross-entropy")
    if classify and len(targets) != 1:
        raise ConfigError(f"--task classify takes one column of labels, --target label; got {chosen.target or 'none'}")
    if chosen.last and not (classify and chosen.group):
        raise ConfigError("--last is one label for each group: it goes with --task classify and --group")
    if chosen.last and ahead:
        raise ConfigError("--last and --ahead do not go together: a group has one label, whenever that is")
    if not ahead and not targets:
        raise ConfigError("--ahead 0 needs --target: which columns are told from the others?")
    both = [name for name in targets if name in inputs]
    if not ahead and both:
        raise ConfigError(f"{', '.join(both)} would be told from itself: leave it out of --inputs, or forecast it with --ahead 1")


def _table(chosen, columns):
    """(Table, the group's cell of each row or None)"""
    try:
        return groups.read(chosen.data, columns, chosen.group) if chosen.group else (tables.read(chosen.data, columns), None)
    except InputError as error:
        raise InputError(str(error).replace("columns=[...]", "--inputs a,b --target c")) from None


def _refuse(path, columns, values, missing, fill, labels):
    """The first value that cannot be learnt from."""
    def place(wrong):
        row, column = np.argwhere(wrong)[0]
        return f"{path}, row {row + 1} (the header not counted), column {columns[column]!r}"

    if np.isinf(values).any():
        raise InputError(f"{place(np.isinf(values))}: infinite, or too large for float32. Correct it or empty the cell")
    if missing[:, labels].any():
        raise InputError(f"{path}, row {np.flatnonzero(missing[:, labels].any(1))[0] + 1} (the header not counted) has no label: "
                         "label it or remove the row")
    if missing.any() and fill is None:
        raise InputError(f"{place(missing)}: the value is missing ({missing.sum():,} in all). --fill previous carries the last value on, "
                         "--fill zero puts a 0")


def _fill(how, values, missing, sequences):
    """In place; answers the sequences, without the rows before the first value of a column that is carried on."""
    if how == "zero":
        values[missing] = 0
        return sequences
    kept = []
    for rows in sequences:
        part, steps = values[rows], np.arange(len(rows))[:, None]
        source = np.maximum.accumulate(np.where(missing[rows], -1, steps), axis=0)
        values[rows] = np.take_along_axis(part, source, axis=0)  # source -1 brings anything: these rows go
        kept.append(rows[(source >= 0).all(1)])
    return kept


def _one_label(path, group, keys, sequences, labels, target):
    for rows in sequences:
        if (labels[rows] != labels[rows[0]]).any():
            raise InputError(f"{path}: {group} {str(keys[rows[0]])!r} has more than one {target}. --last is one label a group: leave it "
                             "out to learn a label for every row")


def _classes(path, target, labels):
    """How many: labels are whole numbers from 0."""
    wrong = (labels < 0) | (labels != np.floor(labels))
    if wrong.any():
        raise InputError(f"{path}, column {target!r}: labels are whole numbers from 0, got {labels[wrong][0]:g}")
    found, count = np.unique(labels), int(labels.max()) + 1
    if len(found) < 2:
        raise InputError(f"{path}, column {target!r} holds one label only ({found[0]:g}): there is nothing to tell apart")
    if count > SPARSE * len(found):
        raise InputError(f"{path}, column {target!r} holds {len(found)} labels up to {found[-1]:g}: number them 0 to {len(found) - 1}")
    return count


def _cuts(lengths, chosen):
    """Where validation begins: in time in each sequence, as fit cuts it; with --last before or behind a sequence's one label."""
    share, total = chosen.validation, len(lengths)
    if not share:
        return lengths
    if chosen.last:
        if not 0 < round(total * share) < total:
            raise InputError(f"--validation {share:g} of {total} sequences leaves none on one side: change it or set it to 0")
        held = set(split_sequences(total, 1 - share, chosen.seed)[1].tolist())
        return [0 if n in held else 1 for n in range(total)]
    cuts = [int(length - np.round(length * share)) for length in lengths]
    if not 0 < sum(cuts) < sum(lengths):
        raise InputError(f"--validation {share:g} of {max(lengths)} rows or fewer leaves none on one side: change it or set it to 0")
    return cuts


def _constant(targets, classes):
    """(in words, the one answer that is best without looking at the inputs)"""
    if classes:
        common = np.bincount(targets[:, 0].astype(np.int64)).argmax()
        return f"always {common}, the most frequent label", np.float32(common)
    return "always the mean", targets.mean(0, dtype=np.float64).astype(np.float32)
