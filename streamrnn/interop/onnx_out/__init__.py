"""From a model to an ONNX graph: graph (its pieces), states, then layers: plain, recurrent (operators), steps (Scan), ahead; writer."""
