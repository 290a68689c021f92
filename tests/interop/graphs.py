"""Small ONNX graphs for tests, from nodes and constants."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def graph(nodes, inputs, outputs, constants, opset=17):
    """inputs {name: dims, or (dims, type)}; a dim is a number or a name"""
    values = []
    for name, dims in inputs.items():
        dims, kind = dims if isinstance(dims, tuple) else (dims, TensorProto.FLOAT)
        values.append(helper.make_tensor_value_info(name, kind, dims))
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "test", values, outs, tensors), opset_imports=[helper.make_opsetid("", opset)],
                             ir_version=8)


node = helper.make_node
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def weights(rng, op, inputs, units, ways=1, bias=True, peepholes=False):
    """{W, R, B, P} as the operator takes them."""
    draw = lambda *shape: rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    rows = GATES[op] * units
    found = {"W": draw(ways, rows, inputs), "R": draw(ways, rows, units)}
    if bias:
        found["B"] = draw(ways, 2 * rows)
    if peepholes:
        found["P"] = draw(ways, 3 * units)
    return found


def run(proto, feeds, outputs=None):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(outputs, feeds)


__all__ = ["TensorProto", "graph", "node", "onnx", "run", "weights"]
