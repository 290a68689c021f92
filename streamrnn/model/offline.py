"""Models with layers that look ahead (cells/general/both_ways.py): several plans, run one after the other over whole sequences.

A part is either one plan for a run of ordinary layers, or a layer that looks ahead with a plan for each of its branches.
"""
from dataclasses import dataclass
from functools import partial

import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.plan import Plan, build
from streamrnn.streams import places, samples


def run(packed, x, lengths=None, threads=1, device="cpu"):
    """Sequences x (B, T, inputs) from their first states -> (B, T, outputs); zeros behind each one's length."""
    rows, _ = places.rows_on(device, packed, max(1, len(x)), threads, fixed=True)
    handles = np.array([rows.open() for _ in range(len(x))], np.int64)
    if lengths is None:
        return rows.steps(handles, x)
    lengths = samples.lengths_of(lengths, *x.shape[:2])
    order = np.argsort(-lengths, kind="stable")  # neighbours of one length go through as a tile
    y = np.empty((len(x), x.shape[1], packed.plan.outputs), np.float32)
    y[order] = rows.steps(handles, np.ascontiguousarray(x[order]), lengths[order], numbers=order)
    return y


@dataclass(frozen=True)
class Ordinary:
    """Layers that do not look ahead."""
    plan: Plan

    def assemble(self, tensors):
        packed = self.plan.assemble(tensors)
        return partial(run, packed)


@dataclass(frozen=True)
class BothWays:
    """A layer that looks ahead, and for each of its branches a plan and whether it is reversed."""
    layer: object
    branches: list[tuple[Plan, bool]]

    def assemble(self, tensors):
        packed = [(plan.assemble(tensors), reverse) for plan, reverse in self.branches]
        return lambda x, lengths, *where: self._merged([self._branch(one, reverse, x, lengths, *where) for one, reverse in packed])

    def _branch(self, packed, reverse, x, lengths, *where):
        if not reverse:
            return run(packed, x, lengths, *where)
        y = turned(run(packed, turned(x, lengths), lengths, *where), lengths)
        if self.layer.final and y.shape[1]:
            y = np.repeat(y[:, :1], y.shape[1], axis=1)
            if lengths is not None:
                y[np.arange(y.shape[1]) >= np.asarray(lengths)[:, None]] = 0
        return y

    def _merged(self, parts):
        if len(parts) == 1:
            return parts[0]
        there, back = parts
        if self.layer.merge == "concat":
            return np.concatenate(parts, axis=2)
        if self.layer.merge == "product":
            return there * back
        return (there + back) * np.float32(0.5) if self.layer.merge == "mean" else there + back


def turned(x, lengths):
    """Each sequence back to front, within its length."""
    if lengths is None:
        return np.ascontiguousarray(x[:, ::-1])
    t, lengths = np.arange(x.shape[1]), np.asarray(lengths)[:, None]
    return x[np.arange(len(x))[:, None], np.where(t < lengths, lengths - 1 - t, t)]


class Chain:
    """What a Plan is for other models: the parts of a model that looks ahead."""

    def __init__(self, inputs, trunk, heads, config):
        self.parts, waiting, width, start = [], [], inputs, inputs
        for name, layer in trunk:
            if layer.looks_ahead:
                if waiting:
                    self._ordinary(start, waiting, {"y": []}, config)
                self.parts.append(BothWays(layer, [(build(width, [(f"{name}.{branch}", one)], {"y": []}, config)[0], reverse)
                                                   for branch, one, reverse in layer.branches]))
                waiting, start = [], layer.outputs(width)
            else:
                waiting.append((name, layer))
            width = layer.outputs(width)
        self.slices = {"y": slice(0, width)}
        if waiting or heads:
            self.slices = self._ordinary(start, waiting, heads or {"y": []}, config)
        self.outputs = max(columns.stop for columns in self.slices.values())
        first = self.parts[0]
        self.vocabulary = first.plan.vocabulary if isinstance(first, Ordinary) else 0
        self.signature = Plan(inputs, config).signature

    def _ordinary(self, inputs, trunk, heads, config):
        plan, slices = build(inputs, trunk, heads, config)
        if plan.vocabulary and self.parts:
            raise ConfigError("Embedding takes integer tokens: it must be the first layer of the model")
        self.parts.append(Ordinary(plan))
        return slices

    def assemble(self, tensors):
        return Assembled([part.assemble(tensors) for part in self.parts], self.outputs)


@dataclass(frozen=True)
class Assembled:
    """The parts with weights."""
    parts: list
    outputs: int

    def run(self, x, lengths=None, threads=1, device="cpu"):
        if lengths is not None:
            lengths = samples.lengths_of(lengths, *x.shape[:2])
        for part in self.parts:
            x = part(np.ascontiguousarray(x), lengths, threads, device)
        return x
