"""Keras' activations by their names, as ours: (name, alpha, beta).

Keras 3's hard_sigmoid is relu6(x + 3) / 6; up to Keras 2 it was 0.2 x + 0.5 within 0 and 1. Which one a file means, its version says.
"""
from streamrnn.interop.chain import refusal

FUNCTIONS = {"relu": ("relu",), "tanh": ("tanh",), "sigmoid": ("sigmoid",), "elu": ("elu", 1.0), "leaky_relu": ("leaky_relu", 0.2),
             "softsign": ("softsign",), "softplus": ("softplus",)}
LINEAR = ("affine", 1.0, 0.0)
NAMES = ("linear", *FUNCTIONS, "hard_sigmoid")


def of(name, attribute, value, version):
    """The function that the layer `name` calls so; version: the Keras that wrote it, None if nobody says."""
    if value in (None, "linear"):
        return LINEAR
    if value == "hard_sigmoid":
        if version is None:
            raise refusal(name, f"{attribute}='hard_sigmoid' is one function in Keras 3, another one before, and the file has no version",
                          "load it in the Keras that wrote it, and save it again with model.save('model.keras')")
        return ("hard_sigmoid", 1 / 6, 0.5) if version >= 3 else ("hard_sigmoid", 0.2, 0.5)
    if not isinstance(value, str) or value not in FUNCTIONS:
        raise refusal(name, f"{attribute}={value!r} cannot be carried", f"there are {', '.join(NAMES)}")
    return FUNCTIONS[value]
