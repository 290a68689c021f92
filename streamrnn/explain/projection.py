"""Hidden states in two dimensions: the two directions in which they vary most (PCA), and how much of the whole that is."""
from dataclasses import dataclass, field

import numpy as np

from streamrnn.errors import ConfigError, InputError
from streamrnn.explain.activations import ATTENTION, SHARES, activations, found_layer, recurrent
from streamrnn.explain.saliency import named, output_names


@dataclass(frozen=True, eq=False)
class Projection:
    """points: of each sequence (T, 2); explained (2,): the share of all variance that each direction has; axes (2, units).

    `place(h)` puts other states of the layer into the same plane. `x` and `y` are the sequences and their results, `columns` and
    `outputs` the names of theirs: what points can be coloured by.
    """
    layer: str
    kind: str
    points: tuple
    explained: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    x: tuple = field(repr=False)
    y: tuple = field(repr=False)
    columns: tuple = ()
    outputs: tuple = ()

    def place(self, states):
        """States (..., units) as points (..., 2)."""
        return (np.asarray(states, np.float64) - self.centre) @ self.axes.T

    def colours(self, by="time"):
        """A number for each point of each sequence: its step, or the value of an input column or of an output there."""
        if by == "time":
            return [np.arange(len(points)) for points in self.points]
        for names, values in ((self.columns, self.x), (self.outputs, self.y)):
            if by in names:
                return [part[:, names.index(by)] for part in values]
        raise InputError(f"points can be coloured by time, by {', '.join((*self.columns, *self.outputs))}; got {by!r}")

    def plot(self, path=None, colour="time"):
        """Trajectories in the plane (matplotlib); written to `path` if given, else the figure is answered."""
        from streamrnn.explain.picture import draw_projection
        return draw_projection(self, colour, path)

    def __repr__(self):
        many = "" if len(self.points) == 1 else "s"
        return (f"<Projection of {self.layer} ({self.kind}), {self.axes.shape[1]} units: {sum(map(len, self.points)):,} states of "
                f"{len(self.points)} sequence{many}; two dimensions hold {100 * self.explained.sum():.0f} % of the variance>")


def projection(model, x, layer=None, columns=None):
    """The Projection of a layer's h (None: the last recurrent one) over one sequence or many, each from a zero state.

    x: (T, inputs), (B, T, inputs), or a list of (T_i, inputs). `columns` names the inputs.
    """
    layers = recurrent(model)
    if layer is None:  # the last one whose state moves; if there is only attention, what is refused below
        layer = ([name for name, kind in layers.items() if kind != ATTENTION] or list(layers))[-1]
    layer = found_layer(layers, layer)
    x = [np.asarray(part) for part in ([x] if not isinstance(x, (list, tuple)) and np.ndim(x) == 2 else x)]
    if not x:
        raise InputError("no sequence came: hand in one of (T, inputs), or several")
    names, outputs = named(columns, model.inputs, "x"), tuple(output_names(model))
    states = [states_of(activations(model, part)[layer], layer, layers) for part in x]
    centre, axes, explained = principal(np.concatenate(states))
    y = tuple(model.run(part) for part in x)
    found = Projection(layer, layers[layer], (), explained, centre, axes, tuple(x), y, names, outputs)
    object.__setattr__(found, "points", tuple(found.place(part) for part in states))
    return found


def states_of(parts, layer, layers):
    """(T, units): h, or what a layer without one has instead, side by side."""
    if SHARES in parts:
        others = [name for name, kind in layers.items() if kind != ATTENTION]
        raise ConfigError(f"{layer} ({layers[layer]}) keeps a window, not a state that moves: "
                          + (f"take layer={others[-1]!r}" if others else "activations(model, x) has where it looks"))
    return parts["h"] if "h" in parts else np.concatenate(list(parts.values()), -1)


def principal(values, count=2):
    """(mean, the `count` directions of most variance as rows, the share of the variance of each) of values (rows, units).

    A direction's largest entry is positive, so that the same states give the same picture. Where there are fewer directions than
    asked for, the others are zeros.
    """
    values = np.asarray(values, np.float64)
    centre = values.mean(0)
    moved = values - centre
    squares, directions = np.linalg.eigh(moved.T @ moved)  # of a matrix of units x units, however many rows there are
    order = np.argsort(-squares, kind="stable")[:count]
    axes, shares = np.zeros((count, values.shape[1])), np.zeros(count)
    axes[:len(order)] = directions[:, order].T
    axes[:len(order)] *= np.where(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)[:len(order)] < 0, -1, 1)
    shares[:len(order)] = np.maximum(squares[order], 0) / (np.maximum(squares, 0).sum() or 1)
    return centre, axes, shares
