"""From a model to the text of one C99 file: the pieces its layers need, its weights, a struct of state, reset and step.

Work space of a step lies on its stack: a few vectors, each used again as soon as nothing reads it any more.
"""
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.interop.c import frame, layers, maths
from streamrnn.model.files import write_whole

PIECES = maths.PIECES | layers.PIECES
FLOAT = 4


@dataclass(frozen=True)
class Program:
    """The text of a file, and what it takes on the target, in bytes: a stream's state, the stack of a step, const weights."""
    name: str
    text: str
    state_bytes: int
    work_bytes: int
    weight_bytes: int


def export(model, path, name=None):
    """Write the model as one C99 file. Its functions begin with `name`, by default that of the file."""
    made = program(model, Path(path).stem if name is None else name)
    write_whole(path, made.text.encode())
    return made


def program(model, name):
    identifier(name)
    writer = Writer(model)
    trunk, heads = model.named_layers()
    writer.chain(trunk, "layers", "x", model.inputs, None if heads else "y")
    trunk_end, width = writer.end, writer.width
    writer.keep(trunk_end)
    for number, (head, columns) in enumerate((model.heads or {"": slice(0, model.outputs)}).items()):
        target = f"y + {columns.start}" if columns.start else "y"
        if heads:
            writer.chain(heads[head], f"head{number}", trunk_end, width, target)
        if writer.end != target:
            writer.call("copy", None, writer.end, target, writer.width)
    made = Program(name, "", *(FLOAT * sum(sizes) for sizes in (
        (size for _, size, _, _ in writer.states), writer.vectors, (numbers.size for _, numbers, _ in writer.arrays))))
    return replace(made, text=frame.text(model, made, writer, pieces(writer.needs, PIECES | writer.own)))


def identifier(name):
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ConfigError(f"the functions of a C file need a name of letters, digits and _ that begins with a letter, got {name!r}: "
                          "--name plant, or export(model, path, name=\"plant\")")


def pieces(needs, known=PIECES):
    """The pieces that are needed, and what they need, in the order of those known: each behind those it needs."""
    found = set()

    def take(name):
        if name not in found:
            found.add(name)
            for other in known[name].needs:
                take(other)
    for name in needs:
        take(name)
    return [piece.text for name, piece in known.items() if name in found]


class Writer:
    """What a layer's function writes to (layers.CALLS): state, work, weights, calls."""

    def __init__(self, model):
        self._tensors = model.tensors
        self.states = []                   # (name, size, of which layer, the array that it starts from, or None)
        self.arrays = []                   # (name, numbers, of which layer)
        self.own = {}                      # pieces that are written for a layer, by name
        self.vectors = []                  # sizes of the work vectors
        self.lines = []                    # of the step
        self.needs = {"finite"}
        self._busy, self._kept = set(), set()

    def chain(self, named, prefix, source, width, target):
        """Layers one after the other; the last one that acts writes to the target, if its result is no state."""
        self.end, self.width, self._busy = source, width, set(self._kept)
        last = [name for name, layer in named if layer.kind != "dropout"][-1:]
        for number, (name, layer) in enumerate(named):
            if layer.looks_ahead:
                raise ConfigError(f"{name}, {layer!r}, reads each sequence from its end, and a C step has one sample at a time: "
                                  "--onnx OUT.onnx --sequence and --torch OUT.pt write such a model")
            if layer.kind not in layers.CALLS:
                raise ConfigError(f"{name}, {layer!r}, has no form in C: a detector's parts and cells of your own run where streamrnn does "
                                  "(streamrnn serve)")
            self.layer, self._label, self._count = f"{prefix}_{number}", f"{name}, {layer!r}", 0
            self._target = target if [name] == last else None
            own = {key.removeprefix(name + "."): value for key, value in self._tensors.items() if key.startswith(name + ".")}
            self.end, self.width = layers.CALLS[layer.kind](self, layer, own, self.end, self.width), layer.outputs(self.width)
            self._busy = {vector for vector in self._busy if f"work{vector}" == self.end} | self._kept

    def keep(self, vector):
        """Several heads read it: nothing else may lie there."""
        self._kept = {number for number in self._busy if f"work{number}" == vector}

    # -- what a layer asks for ------------------------------------------------------------------------------------------

    def state(self, name, size, first=None):
        """A vector that lives from step to step; `first`: what it starts from, if not zeros."""
        self.states.append((f"{self.layer}_{name}", size, self._label, None if first is None else self.array(f"_{name}", first)))
        return f"state->{self.layer}_{name}"

    def piece(self, name, piece):
        """A function of this layer's own."""
        self.own[name] = piece

    def array(self, suffix, numbers):
        name = f"NAME_{self.layer}{suffix}"
        self.arrays.append((name, np.asarray(numbers, np.float32), self._label))
        return name

    def work(self, size):
        """A vector until the next layer is done."""
        number = next((k for k in range(len(self.vectors)) if k not in self._busy), len(self.vectors))
        if number == len(self.vectors):
            self.vectors.append(0)
        self.vectors[number] = max(self.vectors[number], size)
        self._busy.add(number)
        return f"work{number}"

    def result(self, size):
        """Where a layer that keeps nothing puts its result."""
        return self._target or self.work(size)

    def call(self, piece, weights, *arguments):
        self.needs.add(piece)
        if weights is not None:
            self._count += 1
            arguments = (self.array(f"_{self._count}" if self._count > 1 else "", weights), *arguments)
        self.lines.append(f"NAME_{piece}({', '.join(map(str, arguments))});")
