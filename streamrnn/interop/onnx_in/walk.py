"""A walk over a graph's nodes in order: constants are folded, everything else goes to the node's own reader (nodes.py).

Where a graph leaves the number of sequences or steps open, the walk takes BATCH and TIME; the proof tries others.
"""
from dataclasses import replace

import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.interop.onnx_in.nodes import read
from streamrnn.interop.onnx_in.values import Atom, Outside, Refused, Stack, Value

BATCH, TIME = 211, 223
TENSORS = {1: np.float32, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}  # TensorProto's numbers for input types
MOST_FOLDED = 1 << 28  # bytes


class Walk:
    """The names of a graph and what they stand for; roles of the input's axes; what to tell the user."""

    def __init__(self, model, main=None):
        import onnx

        self.onnx, self.graph, self.notes = onnx, model.graph, []
        self.opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
        self.opset = self.opsets.get("ai.onnx", 0)
        self.batch = self.time = None       # atoms of the input
        self.features = None                # of the input, as the first layer takes them
        self.lengths = None                 # the name of the input that says how long each sequence is
        self.states = []                    # names of inputs that bring a first state
        self.env = {tensor.name: self.array(tensor) for tensor in self.graph.initializer}
        self.inputs = [value for value in self.graph.input if value.name not in self.env]
        self.main = self._main(main)
        self.input = self._value(self.main)
        self.env[self.main.name] = self.input
        for value in self.inputs:
            if value is not self.main:
                self.env[value.name] = Outside(value.name)

    def array(self, tensor):
        return self.onnx.numpy_helper.to_array(tensor)

    def _main(self, name):
        """The input that brings samples: the one named, or the first."""
        if not self.inputs:
            raise ConfigError("the graph has no input: there is nothing to feed a model")
        if name is None:
            return self.inputs[0]
        for value in self.inputs:
            if value.name == name:
                return value
        raise ConfigError(f"the graph has no input {name!r}: it has {', '.join(value.name for value in self.inputs)}")

    def dims(self, info):
        """Sizes of an input's axes, None where the graph leaves them open."""
        kind = info.type.tensor_type
        if not kind.HasField("shape"):
            raise ConfigError(f"input {info.name!r} has no shape: export the graph with one")
        return [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in kind.shape.dim]

    def _value(self, info):
        kind = info.type.tensor_type.elem_type
        if kind not in TENSORS:
            raise ConfigError(f"input {info.name!r} is {self.onnx.TensorProto.DataType.Name(kind)}: a model takes numbers")
        self.kind, self.input_dims = TENSORS[kind], self.dims(info)
        guesses, atoms = [BATCH, TIME], []
        for n, size in enumerate(self.input_dims):
            if size is None and not guesses:
                raise ConfigError(f"input {info.name!r} leaves the sizes of three axes open: export it with the number of features fixed")
            atoms.append(Atom(f"axis {n}", guesses.pop(0) if size is None else size))
        return Value((), tuple((atom,) for atom in atoms), tuple(atoms))

    def settle_roles(self, batch, time):
        """A recurrent node reads these axes (tuples of atoms) as sequences and steps."""
        for role, axis in (("batch", batch), ("time", time)):
            known, atoms = getattr(self, role), [atom for atom in axis if atom.size > 1] or list(axis)
            if len(atoms) > 1:
                raise Refused(f"reads several axes of the graph's input at once as its {role}")
            atom = atoms[0] if atoms else None
            if known is None and atom is not None:
                setattr(self, role, atom)
            elif atom is not known and atom is not None:
                raise Refused(f"reads the input's {atom.name} as its {role}, a node before it read {known.name} so")

    def as_samples(self, value):
        """The value once the roles of the input's axes are known: they are no features."""
        return replace(value, features=tuple(atom for atom in value.features if atom not in (self.batch, self.time)))

    def ready(self, value):
        """The value as an operation on features takes it: where no recurrent node came yet, the first two axes are none."""
        if value.chain or self.batch or self.time:
            return self.as_samples(value)
        axes = value.axes[2:] if len(value.axes) > 2 else value.axes[1:]
        return replace(value, features=tuple(atom for atom in value.features if any(atom in axis for axis in axes)))

    def take(self, value):
        """The first layer takes these features of a sample."""
        if not value.chain:
            self.features = value.features

    def settle_rest(self):
        """The roles in the end: axes that no recurrent node named are (batch, time), or single samples."""
        named = {self.batch, self.time, *(self.features or ())}
        free = [axis[0] for axis in self.input.axes if axis[0] not in named]
        for role in ("batch", "time"):
            if getattr(self, role) is None and free:
                setattr(self, role, free.pop(0))

    # -- going through ------------------------------------------------------------------------------------------------

    def go(self, nodes):
        for node in nodes:
            given = [self.look_up(name, node) if name else None for name in node.input]
            try:
                if node.domain in ("", "ai.onnx") and all(one is None or isinstance(one, np.ndarray) for one in given) \
                        and node.op_type not in ("If", "Loop", "Scan"):
                    results = self._folded(node, given)
                else:
                    results = read(self, node, given)
            except ConfigError as error:
                name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
                raise ConfigError(f"node {node.name or '/'.join(node.output)!r} ({name}): {error}") from None
            for name, result in zip(node.output, results, strict=False):
                if name:
                    self.env[name] = result

    def look_up(self, name, node):
        if name not in self.env:
            raise ConfigError(f"node {node.name!r} ({node.op_type}) reads {name!r}, which nothing gives: the graph is damaged")
        return self.env[name]

    def _folded(self, node, given):
        if node.op_type.startswith("Random") or node.op_type in ("Bernoulli", "Multinomial"):
            raise Refused("random numbers have no place in a model")
        from onnx.reference import ReferenceEvaluator
        try:
            feeds = {name: one for name, one in zip(node.input, given, strict=True) if name}
            results = ReferenceEvaluator(self._alone(node)).run(None, feeds)
        except Exception as error:  # whatever an operator's reference raises
            raise Refused(f"its constants could not be computed: {type(error).__name__}: {error}") from None
        if sum(np.asarray(one).nbytes for one in results) > MOST_FOLDED:
            raise Refused(f"a constant of more than {MOST_FOLDED >> 20} MB")
        return [np.asarray(one) for one in results]

    def _alone(self, node):
        """A model of this node alone, inputs and outputs without types."""
        empty = lambda names: [self.onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name]
        graph = self.onnx.helper.make_graph([node], "one", empty(node.input), empty(node.output))
        return self.onnx.helper.make_model(graph, opset_imports=[self.onnx.helper.make_opsetid("", self.opset)])

    def attributes(self, node, **known):
        """A node's attributes with their defaults; one that is not among them is refused by its name."""
        values = dict(known)
        for attribute in node.attribute:
            if attribute.name not in known:
                raise Refused(f"attribute {attribute.name!r} is not carried; these are: {', '.join(known) or 'none'}")
            value = self.onnx.helper.get_attribute_value(attribute)
            values[attribute.name] = value.decode() if isinstance(value, bytes) else value
        return values

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def outputs(self, names=None):
        """(what the model gives {name: Value}, names of outputs that are states)"""
        there = [value.name for value in self.graph.output]
        for name in names or ():
            if name not in there:
                raise ConfigError(f"the graph has no output {name!r}: it has {', '.join(there)}")
        found, states, hidden = {}, [], {}
        for name in names or there:
            value = self.env.get(name)
            if isinstance(value, np.ndarray):
                raise ConfigError(f"output {name!r} is a constant: choose others with outputs=")
            if isinstance(value, Value) and not value.hidden and not value.cell:
                found[name] = value
            else:
                states.append(name)
                if isinstance(value, Value) and not value.cell:
                    hidden[name] = value
        if not found and len(hidden) == 1:  # a graph that gives nothing else means its final state
            name, = hidden
            return hidden, [state for state in states if state != name]
        if not found:
            several = hidden or any(isinstance(self.env.get(name), Stack) for name in states)
            what = "the final states of several layers" if several else "cell states"
            raise ConfigError(f"the graph gives only {what}: export what the last layer gives at each step, or choose one with outputs=")
        return found, states
