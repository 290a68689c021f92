"""The two directions of a layer: one of a Bidirectional, and two that make one."""
from dataclasses import replace

from streamrnn.cells.general.both_ways import Bidirectional, Reverse
from streamrnn.interop.onnx_in.values import Entry, Refused, Value

RECURRENT = ("lstm", "gru", "rnn", "recurrence")


def direction(value, index):
    """One half of a bidirectional layer."""
    entry = value.chain[-1]
    if not isinstance(entry.layer, Bidirectional):
        raise Refused("takes a direction after another operation on both")
    name, layer, reverse = entry.layer.branches[index]
    tensors = {key.removeprefix(f"{name}."): tensor for key, tensor in entry.tensors.items() if key.startswith(f"{name}.")}
    half = Entry(Reverse(layer, entry.layer.final), {f"backward.{k}": v for k, v in tensors.items()}, entry.origin) if reverse \
        else Entry(layer, tensors, entry.origin)
    return replace(value, chain=(*value.chain[:-1], half), features=tuple(atom for atom in value.features if atom.name != "directions"))


def together(there, back, merge):
    """Two directions as one layer; None if these are no two directions of the same samples."""
    if not (isinstance(there, Value) and isinstance(back, Value) and there.chain and back.chain and there.last == back.last):
        return None
    first, second = there.chain[-1], back.chain[-1]
    if there.cell or back.cell:
        return None
    prefix = len(there.chain) == len(back.chain) and all(a is b for a, b in zip(there.chain[:-1], back.chain[:-1], strict=True))
    if not prefix or not isinstance(second.layer, Reverse) or first.layer.looks_ahead or first.layer.kind not in RECURRENT:
        return None
    tensors = {f"forward.{name}": value for name, value in first.tensors.items()} | second.tensors
    origin = first.origin if first.origin == second.origin else f"{first.origin}, {second.origin}"
    return Entry(Bidirectional(first.layer, second.layer.layer, merge, second.layer.final), tensors, origin)
