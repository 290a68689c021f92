"""What flows through a graph while it is read: constants are arrays, all that depends on a sample is one of the kinds below.

A Value is the output of a chain of layers. Its axes say how the graph has laid it out: each axis is a tuple of atoms, from
the slow to the fast one; an axis of size 1 that means nothing is (). Atoms of the input's first axes get their role (batch or
time) from the recurrent node that reads them; all others are features, whose order in a model's vectors is `features`.
"""
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from streamrnn.errors import ConfigError


class Refused(ConfigError):
    """A node that cannot be carried; the walk adds its name."""


@dataclass(frozen=True, eq=False)
class Atom:
    """An indivisible axis. Two are the same only if they are one object."""
    name: str
    size: int


@dataclass(frozen=True, eq=False)
class Entry:
    """A layer of a chain, its tensors, and the nodes that it comes from."""
    layer: object
    tensors: dict
    origin: str


@dataclass(frozen=True, eq=False)
class Value:
    chain: tuple[Entry, ...]
    axes: tuple[tuple[Atom, ...], ...]
    features: tuple[Atom, ...]
    last: bool = False       # only the last step's
    hidden: bool = False     # a recurrent node's final state, nothing done to it: as a graph output, a state
    cell: bool = False       # an LSTM's final c: may go to an output, and nowhere else

    @property
    def shape(self):
        return tuple(prod(atom.size for atom in axis) for axis in self.axes)

    @property
    def width(self):
        return prod(atom.size for atom in self.features)

    def with_axes(self, axes):
        return replace(self, axes=tuple(axes))

    def then(self, layer, tensors, origin, width=None):
        """One layer more; of another width, whose axis then is the one of the features."""
        self.refuse_cell()
        value = replace(self, chain=(*self.chain, Entry(layer, tensors, origin)), hidden=False)
        if width is None:
            return value
        atom, at = Atom("features", width), value.feature_axis()
        return replace(value, features=(atom,), axes=tuple((atom,) if n == at else axis for n, axis in enumerate(value.axes)))

    def instead(self, layer, tensors, origin):
        """Another layer in the last one's place."""
        self.refuse_cell()
        return replace(self, chain=(*self.chain[:-1], Entry(layer, tensors, f"{self.chain[-1].origin}, {origin}")), hidden=False)

    def refuse_cell(self):
        if self.cell:
            raise Refused("works on a cell state (Y_c): a model's layers hand on h alone")

    def feature_axis(self):
        """The one axis that holds all features in their order, and nothing else."""
        real = [atom for atom in self.features if atom.size > 1]
        for n, axis in enumerate(self.axes):
            if [atom for atom in axis if atom.size > 1] == real and (real or set(axis) & set(self.features)):
                return n
        raise Refused(f"its input, of shape {self.shape}, has the features in several axes, beside steps or sequences, or in another "
                      "order than the layer before gives them")


@dataclass(frozen=True, eq=False)
class Stack:
    """Final states of several layers or directions, one behind the other along `axis`; each a Value."""
    parts: tuple[Value, ...]
    axis: int = 0


@dataclass(frozen=True)
class Outside:
    """What comes in through another graph input: a first state, or lengths."""
    name: str
    direct: bool = True


def reshaped(value, shape):
    """The value's axes under a reshape: neighbours merge and come apart again, nothing is split."""
    atoms, axes = [atom for axis in value.axes for atom in axis], []
    for n, size in enumerate(shape):
        axis, have = [], 1
        while have < size and atoms:
            axis.append(atoms.pop(0))
            have *= axis[-1].size
        if have != size:
            raise Refused(f"a reshape of {value.shape} to {tuple(map(int, shape))} splits an axis")
        if not axis and atoms and atoms[0].size == 1 and (len(atoms) > sum(s > 1 for s in shape[n + 1:])):
            axis.append(atoms.pop(0))
        axes.append(tuple(axis))
    if any(atom.size > 1 for atom in atoms):
        raise Refused(f"a reshape of {value.shape} to {tuple(map(int, shape))} splits an axis")
    if atoms:
        axes = [*axes[:-1], (*axes[-1], *atoms)] if axes else [tuple(atoms)]
    return value.with_axes(axes)


def per_feature(value, constant):
    """A constant that is added to, or multiplied with, a value: a number for each feature (width,), in the features' order."""
    constant = np.asarray(constant, np.float64)
    if constant.ndim > len(value.axes):
        raise Refused(f"a constant of shape {constant.shape} meets a value of shape {value.shape}")
    constant = constant.reshape((1,) * (len(value.axes) - constant.ndim) + constant.shape)
    sizes, order = [], []
    for axis, size in zip(value.axes, constant.shape, strict=True):
        own = [atom for atom in axis if atom in value.features]
        if size > 1 and len(own) < len([a for a in axis if a.size > 1]):
            raise Refused(f"a constant of shape {constant.shape} differs from step to step or from sequence to sequence")
        sizes.append(prod(atom.size for atom in own))
        order += own
    full = np.broadcast_to(constant, sizes).reshape([atom.size for atom in order])
    missing = [atom for atom in value.features if atom not in order]  # of size 1: dropped on the way
    full = full.reshape([*full.shape, *(1 for _ in missing)])
    order += missing
    return full.transpose([order.index(atom) for atom in value.features]).ravel().astype(np.float32)


def arranged(y, value, batch, time):
    """Results of a model, (B, T, outputs) or (B, outputs), as the graph lays them out; `batch`, `time` are atoms or None."""
    y = np.asarray(y)
    if value.last:
        y = y[:, None]
    y = y.reshape(*y.shape[:2], *(atom.size for atom in value.features))
    names = [batch, time, *value.features]
    order = [atom for axis in value.axes for atom in axis]
    for atom in [a for a in names if a not in order]:  # not in the graph: of size 1
        y, names = y.take(0, axis=names.index(atom)), [a for a in names if a is not atom]
    sizes = dict(zip(names, y.shape, strict=True))
    return y.transpose([names.index(atom) for atom in order]).reshape([prod(sizes[atom] for atom in axis) for axis in value.axes])
