"""What a layer keeps from call to call: the inputs and outputs of its graph besides x and y, and what a fresh stream starts from."""
import numpy as np

from streamrnn.interop.onnx_out.recurrent import cell_of


def parts(layer, width):
    """[(part, shape behind the batch)], by the names of stream.state().parts."""
    cell = cell_of(layer)
    if cell:
        return [("h", (layer.outputs(width),)), *([("c", (layer.units,))] if cell == "lstm" else [])]
    if layer.kind in ("mingru", "minlstm"):
        return [("h", (layer.units,))]
    if layer.kind == "lru":
        return [("re", (layer.width,)), ("im", (layer.width,))]
    if layer.kind == "attention":
        return [("keys", (layer.window, layer.units)), ("values", (layer.window, layer.units)), ("count", (1,))]
    return []


def first(layer, own, width):
    """{part: array} of a fresh stream; `own` are the layer's tensors."""
    return {part: own.get(f"start_{part}", np.zeros(shape, np.float32)) for part, shape in parts(layer, width)}
