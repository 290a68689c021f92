"""ONNX's own backend node tests for RNN, LSTM and GRU, as the onnx package makes them: every case through model.run."""
import warnings
from importlib import import_module

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx.backend.test.case import node as cases  # noqa: E402

from streamrnn import Model  # noqa: E402
from streamrnn.interop.from_onnx import model_of  # noqa: E402
from streamrnn.interop.parity import LAST  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for op in ("rnn", "lstm", "gru"):  # a module makes its cases as it is imported
        import_module(f"onnx.backend.test.case.node.{op}")
CASES = [case for case in cases._NodeTestCases if case.model.graph.node[0].op_type in ("RNN", "LSTM", "GRU")]


def test_there_are_such_cases():
    directions = {onnx.helper.get_attribute_value(attribute) for case in CASES for attribute in case.model.graph.node[0].attribute
                  if attribute.name == "direction"}
    assert len(CASES) >= 12 and directions >= {b"reverse", b"bidirectional"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case):
    (inputs, outputs), = case.data_sets
    proto, (node,) = onnx.ModelProto(), case.model.graph.node
    proto.CopyFrom(case.model)
    samples = np.asarray(inputs[0])
    for value, info in list(zip(inputs, proto.graph.input, strict=True))[1:]:  # weights and first states are constants here
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), info.name))
    batch_first = any(attribute.name == "layout" and attribute.i for attribute in node.attribute)
    x = samples if batch_first else samples.swapaxes(0, 1)
    for info, want in zip(proto.graph.output, outputs, strict=True):
        if info.name == "Y_c":
            check_cells(proto, x, want)
            continue
        model, report = model_of(proto, outputs=[info.name])
        y = model.run(x)
        if info.name == "Y_h":
            assert LAST in report.notes
            ways = want.shape[1 if batch_first else 0]
            y = y[:, -1].reshape(len(x), ways, -1)
            y = y if batch_first else y.swapaxes(0, 1)
        else:
            y = y.reshape(*x.shape[:2], -1, want.shape[-1])
            y = y if batch_first else y.transpose(1, 2, 0, 3)
        assert y.shape == want.shape
        assert np.abs(y - want).max() <= 1e-6
        assert batch_first or report.error is None or report.error <= 1e-5  # ONNX Runtime has no layout 1


def check_cells(proto, x, want):
    """A final c is no result of a model: it is in the stream's state, each direction by itself."""
    model, _ = model_of(proto, outputs=["Y_h"])
    layer = model.layers[0]
    branches = layer.branches if layer.looks_ahead else (("", layer, False),)
    for way, (name, one, reverse) in enumerate(branches):
        prefix = f"layers.0.{name}." if name else "layers.0."
        tensors = {f"layers.0.{key.removeprefix(prefix)}": value for key, value in model.tensors.items() if key.startswith(prefix)}
        alone = Model(model.inputs, [one], tensors=tensors)
        for n, sequence in enumerate(x):
            stream = alone.stream()
            stream.run(np.ascontiguousarray(sequence[::-1] if reverse else sequence))
            assert np.abs(stream.state()["layers.0.c"] - want[way, n]).max() <= 1e-6
