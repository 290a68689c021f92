"""How an ONNX graph is read: a walk over its nodes with symbolic values, each a chain of layers and its axes."""
