"""Saliency: the gradient of one output at one step by every past input, through the backward kernels that train.

gradient (T, inputs): row t is x's row t; rows behind the step are zeros. A token has no gradient of its own: the gradient by the
vector that it is looked up to is (T, inputs, size), and a token's number is that vector's length.
"""
from dataclasses import dataclass, field
from functools import cached_property
from operator import index

import numpy as np

from streamrnn.cells.base import WORK
from streamrnn.cells.embedding import LOOK_UP
from streamrnn.errors import ConfigError, InputError
from streamrnn.explain.drive import Passage, checked, one_sequence
from streamrnn.kernels import frame
from streamrnn.kernels.tile import STREAMS

MEASURES = "deviation", "input", "gradient"


@dataclass(frozen=True)
class Moment:
    """An input that counts: which, when, what it was, and how the output answers to it."""
    step: int
    back: int          # steps before the output's
    column: str
    value: float
    gradient: float
    strength: float    # by the measure that was asked for
    share: float       # of all strengths, without their signs


@dataclass(frozen=True, eq=False)
class Saliency:
    """How an output at one step depends on what came before.

    gradient     (T, inputs): what the output would move by, for each unit that this input moved
    times_input  (T, inputs): the same times the input: what each input adds, to first order, beside an input of 0
    deviation    (T, inputs): the same for one standard deviation of the column, so that columns in different units compare
    embedded     (T, inputs, size) for a model over tokens: the gradient by the vectors that they are looked up to, else None

    Where the output is one number, they have a sign. Over a head of several numbers they are lengths (the root of the sum of
    squares over its numbers); over tokens `gradient` is the length over the embedding, `times_input` the inner product with it.
    """
    output: str
    at: int
    value: np.ndarray       # the output there: (), or (k,) of a head of k numbers
    columns: tuple
    x: np.ndarray
    gradient: np.ndarray
    times_input: np.ndarray
    embedded: np.ndarray | None = field(default=None, repr=False)

    @property
    def deviation(self):
        """The gradient for one standard deviation of each column, (T, inputs)."""
        return self.gradient * self._spread

    @cached_property
    def _spread(self):
        """The standard deviation of each column over all rows that were handed in; behind `at` there may be missing ones."""
        return np.nanstd(np.where(np.isfinite(self.x), self.x, np.nan), axis=0, dtype=np.float64).astype(np.float32)

    def __getitem__(self, column):
        """A column's gradient, (T,)."""
        return self.gradient[:, self._place(column)]

    @property
    def by_column(self):
        """{column: its gradient (T,)}"""
        return {name: self.gradient[:, k] for k, name in enumerate(self.columns)}

    def measured(self, by=None):
        """(T, inputs) by a measure: "deviation" (tokens: "input"), "input" or "gradient"."""
        by = by or self.measure
        if by not in MEASURES:
            raise InputError(f"by must be one of {', '.join(MEASURES)}, got {by!r}")
        if by == "deviation" and self.embedded is not None:
            raise InputError("tokens have no deviation: take by=\"input\" or by=\"gradient\"")
        return {"deviation": lambda: self.deviation, "input": lambda: self.times_input, "gradient": lambda: self.gradient}[by]()

    @property
    def measure(self):
        """What is compared by unless something else is asked for."""
        if self.embedded is not None:
            return "input"
        return "deviation" if self._spread.any() else "gradient"  # where no column moves, as in a single row

    def shares(self, by=None):
        """{column: its part of all there is}, the largest first; they add to 1."""
        parts = np.abs(self.measured(by)).sum(0, dtype=np.float64)
        parts = parts / (parts.sum() or 1)
        return {self.columns[k]: float(parts[k]) for k in np.argsort(-parts, kind="stable")}

    def reach(self, left=0.01, by=None):
        """How many steps back lies all but this share of it."""
        steps = np.abs(self.measured(by)[:self.at + 1]).sum(1, dtype=np.float64)
        before = np.cumsum(steps) <= left * steps.sum()
        return self.at - int(before.sum()) if steps.any() else 0

    def strongest(self, count=5, column=None, by=None):
        """The inputs that count most, as Moments: of all columns or of one."""
        values = self.measured(by)
        sizes = np.abs(values).astype(np.float64)
        places = np.arange(len(self.columns)) if column is None else np.array([self._place(column)])
        order = np.argsort(-sizes[:, places], axis=None, kind="stable")[:count]
        found = ((int(n // len(places)), int(places[n % len(places)])) for n in order)
        total = sizes[:, places].sum() or 1
        return [Moment(t, self.at - t, self.columns[k], float(self.x[t, k]), float(self.gradient[t, k]), float(values[t, k]),
                       float(sizes[t, k] / total)) for t, k in found if sizes[t, k] > 0]

    def explain(self, count=5, by=None, names=None):
        """The same in words, a line each; names(column, value) says a value in words."""
        lines = [f"{self.output} at step {self.at} is {self.value_in_words()}"]
        moments = self.strongest(count, by=by)
        if not moments:
            return lines[0] + "\n  no input of this sequence moves it"
        for one in moments:
            back = "at this step" if not one.back else f"{one.back} step{'' if one.back == 1 else 's'} back"
            reads = names(one.column, one.value) if names else f"{one.value:.4g}"
            lines.append(f"  {100 * one.share:3.0f} % {one.column}, {back} (step {one.step}): reads {reads}, {self.in_words(one, by)}")
        return "\n".join(lines)

    def value_in_words(self):
        """Of a head of many numbers, the largest."""
        if self.value.size <= 4:
            return ", ".join(f"{v:.4g}" for v in np.atleast_1d(self.value))
        most = int(self.value.argmax())
        return f"{self.value.size} numbers, the largest {self.output}[{most}] with {self.value[most]:.4g}"

    def in_words(self, one, by=None):
        """What a Moment does to the output."""
        by = by or self.measure
        if by == "gradient" and self.embedded is not None:
            return f"a gradient of {one.strength:.3g} by its embedding"
        sign = "+" if self.signed and one.strength >= 0 else ""
        return {"deviation": "a standard deviation more moves it by {}", "gradient": "one more moves it by {}",
                "input": "adds {}"}[by].format(f"{sign}{one.strength:.3g}")

    @property
    def signed(self):
        """Is the output one number?"""
        return self.value.ndim == 0

    def plot(self, path=None, by=None):
        """The heat map over time and columns (matplotlib); written to `path` if given, else the figure is answered."""
        from streamrnn.explain.picture import draw
        return draw(self, path=path, by=by)

    def __repr__(self):
        most = ", ".join(f"{name} {100 * share:.0f} %" for name, share in list(self.shares().items())[:3])
        return (f"<Saliency of {self.output} at step {self.at} over {self.gradient.shape[1]} columns: {most}; "
                f"reaches {self.reach()} steps back>")

    def _place(self, column):
        if column not in self.columns:
            raise InputError(f"no column {column!r}: they are {', '.join(self.columns)}")
        return self.columns.index(column)


def saliency(model, x, output=0, at=-1, columns=None):
    """The Saliency of an output at step `at` of x (T, inputs), from a zero state.

    output: a column of the result by number; by name: a head ("mean", all its columns at once), or one column of it ("mean[0]").
    columns: names of the inputs. What comes behind `at` does not count; columns' deviations are
    those of all rows.
    """
    checked(model)
    x, names = one_sequence(model, x), named(columns, model.inputs, "x")
    at, (name, chosen) = _step(at, len(x)), chosen_output(model, output)
    past = x[:at + 1]
    value = model.run(past)[-1, chosen]  # refuses bad values, too
    values, embedding = _looked_up(model, past)
    passage, squares, total = Passage(model, past, backwards=True), 0, 0
    for _ in passage.forwards():
        pass
    for some in range(0, len(chosen), STREAMS):
        found = _gradients(passage, chosen[some:some + STREAMS], embedding, values.shape)   # (k, T, inputs[, size])
        if len(chosen) == 1:
            squares, total = found[0], _over_vector(found[0] * values, embedding)
        else:
            squares, total = squares + (found ** 2).sum(0), total + (_over_vector(found * values, embedding) ** 2).sum(0)
    gradient, times = (squares, total) if len(chosen) == 1 else (np.sqrt(squares), np.sqrt(total))
    lengths = gradient if embedding is None else np.sqrt((gradient.astype(np.float64) ** 2).sum(-1))
    whole = lambda part: np.concatenate([part, np.zeros((len(x) - at - 1, *part.shape[1:]))]).astype(np.float32)
    return Saliency(name, at, value[0] if len(chosen) == 1 else value, names, x, whole(lengths), whole(times),
                    None if embedding is None else whole(gradient))


def _gradients(passage, columns, embedding, shape):
    """(columns, *shape): each output column's gradient by every input, or by what it is looked up to."""
    found = np.zeros((len(columns), *shape), np.float32)

    def look(t, tape, k):
        if embedding is None:
            found[:, t] = tape.d_samples[k, :len(columns), :shape[-1]]
        else:
            found[:, t] = tape.d_step.reshape(tape.slots, -1)[:len(columns), embedding].reshape(len(columns), *shape[1:])

    passage.backwards(columns, look)
    return found


def _looked_up(model, x):
    """(what the first layer that has a gradient takes: x or the tokens' vectors (T, inputs, size), where they lie in the work space)"""
    plan = model.plan(training=True)[0]
    if LOOK_UP not in plan.stages:
        return x, None
    row = plan.assemble(dict(model.tensors)).program[frame.HEADER:].reshape(-1, frame.COLUMNS)[plan.stages.index(LOOK_UP)]
    assert row[frame.BUFFERS] & 7 == WORK
    first, layer = int(row[frame.BUFFERS]) >> 3, plan.stage_layers[plan.stages.index(LOOK_UP)]
    return model.tensors[f"{layer}.weight"][x.astype(np.int64)], slice(first, first + int(row[frame.UNITS]))


def _over_vector(values, embedding):
    return values if embedding is None else values.sum(-1)


# -- what was asked for ------------------------------------------------------------------------------------------------

def named(columns, count, letter):
    """As many names as there are columns."""
    if columns is None:
        return tuple(f"{letter}[{k}]" for k in range(count))
    if isinstance(columns, str):
        raise InputError(f"columns must be a list of names, got a string: write [{columns!r}]")
    columns = tuple(map(str, columns))
    if len(columns) != count or len(set(columns)) < count:
        raise InputError(f"columns must be {count} different names, one for each of the model's inputs; got {', '.join(columns)}")
    return columns


def output_names(model):
    """A name for each column of a result: y[0], y[1], ..., or by head: mean, class[0], class[1], ..."""
    if not model.heads:
        return [f"y[{k}]" for k in range(model.outputs)]
    return [name if width == 1 else f"{name}[{k}]" for name, columns in model.heads.items()
            for width in [columns.stop - columns.start] for k in range(width)]


def chosen_output(model, output):
    """(its name, the columns of a result that it is)"""
    names = output_names(model)
    if isinstance(output, str) and output in model.heads:
        columns = model.heads[output]
        return output, list(range(columns.start, columns.stop))
    if isinstance(output, str) and output in names:
        return output, [names.index(output)]
    refused = ConfigError(f"output {output!r} is none of this model: it has {_listed(names)}"
                          + (f", and the heads {', '.join(model.heads)}" if model.heads else "") + "; say its number or its name")
    try:
        number = index(int(output)) if isinstance(output, str) else index(output)
    except (TypeError, ValueError):
        raise refused from None
    if not -len(names) <= number < len(names):
        raise refused
    return names[number], [number % len(names)]


def _listed(names):
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])}, ... {names[-1]}"


def _step(at, time):
    try:
        number = index(at)
    except TypeError:
        raise InputError(f"at must be a step's number, 0 to {time - 1}, or -1 for the last; got {at!r}") from None
    if not -time <= number < time:
        raise InputError(f"at={number}: the sequence has steps 0 to {time - 1} (-1 is the last)")
    return number % time
