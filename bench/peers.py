"""The same nets in torch and onnxruntime, with our tensors, one thread; each is optional and named when absent."""
import numpy as np

from streamrnn import GRU, LSTM, RNN, Dense

MISSING = "{} is not installed: its rows are absent (pip install streamrnn[peers])"
GATES_OF_ONNX = (0, 3, 1, 2)  # i o f c, from our i f g o


def load_torch(result):
    try:
        import torch
    except ImportError:
        result.note(MISSING.format("torch"))
        return None
    torch.set_num_threads(1)
    return torch


def load_onnxruntime(result):
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError:
        result.note(MISSING.format("onnxruntime (with onnx)"))
        return None
    return onnxruntime


def torch_recurrent(torch, model):
    """torch.nn.RNN, LSTM or GRU holding the recurrent layers of a model, all of one kind and size."""
    layers = [layer for layer in model.layers if isinstance(layer, (RNN, LSTM, GRU))]
    net = getattr(torch.nn, type(layers[0]).__name__)(model.inputs, layers[0].units, num_layers=len(layers), batch_first=True)
    with torch.no_grad():
        for k in range(len(layers)):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(net, f"{name}_l{k}").copy_(torch.from_numpy(model.tensors[f"layers.{k}.{name}_l0"].copy()))
    return net


def torch_cell(torch, model):
    """torch.nn.LSTMCell or GRUCell of a model's first layer."""
    layer = model.layers[0]
    cell = getattr(torch.nn, type(layer).__name__ + "Cell")(model.inputs, layer.units)
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).copy_(torch.from_numpy(model.tensors[f"layers.0.{name}_l0"].copy()))
    return cell


def torch_stream(torch, model):
    """step(x) of [LSTM or GRU, Dense] as torch serves it: nn.LSTM and nn.Linear on one sample, no gradients."""
    net, last = torch_recurrent(torch, model), torch.nn.Linear(model.layers[0].units, model.outputs)
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(model.tensors["layers.1.weight"].copy()))
        last.bias.copy_(torch.from_numpy(model.tensors["layers.1.bias"].copy()))
    state = None

    def step(x):
        nonlocal state
        with torch.no_grad():
            y, state = net(torch.from_numpy(x)[None, None], state)
            return last(y[0, 0]).numpy()
    return step


def onnx_stream(onnxruntime, model):
    """step(x) of [LSTM, Dense] as onnxruntime serves it: session.run with the states going in and coming out."""
    assert [type(layer) for layer in model.layers] == [LSTM, Dense]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_onnx_graph(model), options, providers=["CPUExecutionProvider"])
    units = model.layers[0].units
    h, c = np.zeros((1, 1, units), np.float32), np.zeros((1, 1, units), np.float32)

    def step(x):
        nonlocal h, c
        y, h, c = session.run(None, {"x": x.reshape(1, 1, -1), "h": h, "c": c})
        return y[0]
    return step


def _onnx_graph(model):
    from onnx import TensorProto, checker, helper, numpy_helper

    inputs, units, tensors = model.inputs, model.layers[0].units, model.tensors
    part = lambda name: tensors[f"layers.0.{name}_l0"].reshape(4, units, -1)[list(GATES_OF_ONNX)].reshape(1, 4 * units, -1)
    values = {"W": part("weight_ih"), "R": part("weight_hh"),
              "B": np.concatenate([part("bias_ih")[..., 0], part("bias_hh")[..., 0]], axis=1),
              "flat": np.array([1, units], np.int64), "V": tensors["layers.1.weight"], "b": tensors["layers.1.bias"]}
    nodes = [helper.make_node("LSTM", ["x", "W", "R", "B", "", "h", "c"], ["", "h_new", "c_new"], hidden_size=units),
             helper.make_node("Reshape", ["h_new", "flat"], ["last"]),
             helper.make_node("Gemm", ["last", "V", "b"], ["y"], transB=1)]
    tensor = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    states = lambda suffix: [tensor(name + suffix, 1, 1, units) for name in "hc"]
    graph = helper.make_graph(nodes, "step", [tensor("x", 1, 1, inputs), *states("")], [tensor("y", 1, model.outputs), *states("_new")],
                              [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in values.items()])
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(built)
    return built.SerializeToString()


def agree(step, model, samples=20, tolerance=1e-5):
    """A peer is timed only if it computes what we compute."""
    x = np.random.default_rng(1).standard_normal((samples, model.inputs)).astype(np.float32)
    error = np.abs(np.stack([np.asarray(step(row)) for row in x]) - model.run(x)).max()
    if not error <= tolerance:
        raise RuntimeError(f"a peer's outputs differ from ours by {error:.1e}: nothing to compare")
