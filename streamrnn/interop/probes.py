"""Random samples such as a model takes, to compare it with its form elsewhere."""
import numpy as np


def samples(model, shape, seed=0, lowest=0):
    """(*shape, inputs): tokens from `lowest` on for an Embedding, values around its shift for a Scale, else about one in size."""
    rng, first = np.random.default_rng(seed), model.layers[0]
    vocabulary = first.vocabulary if first.kind == "embedding" else 0
    shape = (*np.atleast_1d(shape), model.inputs)
    if vocabulary > 0:
        return rng.integers(min(lowest, vocabulary - 1), vocabulary, shape).astype(np.float32)
    x = rng.standard_normal(shape)
    if first.kind == "scale":
        shift, factor = (model.tensors[f"layers.0.{name}"].astype(np.float64) for name in ("shift", "factor"))
        x = shift + (0.5 + x / 4 if first.by == "minmax" else x) / np.where(factor == 0, 1, factor)
    return x.astype(np.float32)
