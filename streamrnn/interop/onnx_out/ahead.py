"""Reverse and Bidirectional: each direction is a layer whose first state is a constant."""
from streamrnn.interop.onnx_out import plain, states
from streamrnn.interop.onnx_out.steps import form_of


def reverse(to, layer, own, value, width):
    return branch(to, layer, layer.branches[0], own, value, width)


def bidirectional(to, layer, own, value, width):
    there, back = (branch(to, layer, one, own, value, width) for one in layer.branches)
    if layer.merge == "concat":
        return to.node("Concat", [there, back], axis=2)
    if layer.merge == "product":
        return to.node("Mul", [there, back])
    both = to.node("Add", [there, back])
    return to.node("Mul", [both, to.numbers(0.5)]) if layer.merge == "mean" else both


def branch(to, around, one, own, value, width):
    """One direction."""
    prefix, layer, turned = one
    own = {key.removeprefix(f"{prefix}."): tensor for key, tensor in own.items() if key.startswith(f"{prefix}.")}
    if layer.kind in plain.LAYERS:  # the same in either direction
        value = plain.LAYERS[layer.kind](to, layer, own, value)
    else:
        value = form_of(layer)(to, layer, own, value, *starts(to, layer, own, value, width), turned)
    if turned and around.final:  # at the first step it has seen everything
        last = to.node("Slice", [value, to.whole([0]), to.whole([1]), to.whole([0])])
        value = to.node("Expand", [last, to.node("Shape", [value])])
    return value


def starts(to, layer, own, value, width):
    """(first states for as many sequences as the value has, names of the last ones: nobody asks for them)"""
    batch = to.node("Gather", [to.node("Shape", [value]), to.whole([1])], axis=0)
    found = [to.node("Expand", [to.numbers(start, part), to.node("Concat", [batch, to.whole(start.shape)], axis=0)])
             for part, start in states.first(layer, own, width).items()]
    return found, [None] * len(found)


LAYERS = {"reverse": reverse, "bidirectional": bidirectional}
