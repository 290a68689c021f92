"""Layers without a state: (to, layer, its own tensors by name, a value (time, batch, features)) -> a value."""
from streamrnn.cells.general.functions import DEFAULTS

FUNCTIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "affine": "Affine", "leaky_relu": "LeakyRelu", "elu": "Elu",
             "thresholded_relu": "ThresholdedRelu", "scaled_tanh": "ScaledTanh", "hard_sigmoid": "HardSigmoid", "softsign": "Softsign",
             "softplus": "Softplus", "softmax": "Softmax"}


def function(to, name, alpha, beta, value):
    """One of cells/general/functions.py, or softmax. Affine and ScaledTanh are operators of RNN nodes alone."""
    if name == "affine":
        return to.node("Add", [to.node("Mul", [value, to.numbers(alpha)]), to.numbers(beta)])
    if name == "scaled_tanh":
        return to.node("Mul", [to.node("Tanh", [to.node("Mul", [value, to.numbers(beta)])]), to.numbers(alpha)])
    attributes = {"axis": -1} if name == "softmax" else {"alpha": alpha} if name in DEFAULTS else {}
    if name == "hard_sigmoid":
        attributes["beta"] = beta
    return to.node(FUNCTIONS[name], [value], **attributes)


def dense(to, layer, own, value):
    value = to.product(value, own["weight"], own["bias"])
    return function(to, layer.activation, 0, 0, value) if layer.activation else value


def activation(to, layer, own, value):
    return function(to, layer.function, layer.alpha, layer.beta, value)


def embedding(to, layer, own, value):
    value = to.node("Gather", [to.numbers(own["weight"], "table"), value], axis=0)
    return to.node("Reshape", [value, to.whole([0, 0, -1])])


def layernorm(to, layer, own, value):
    return to.node("LayerNormalization", [value, to.numbers(own["weight"], "scale"), to.numbers(own["bias"], "bias")],
                   axis=-1, epsilon=layer.epsilon)


def dropout(to, layer, own, value):
    return value


def scale(to, layer, own, value):
    return to.node("Mul", [to.node("Sub", [value, to.numbers(own["shift"], "shift")]), to.numbers(own["factor"], "factor")])


def unscale(to, layer, own, value):
    return to.node("Add", [to.node("Mul", [value, to.numbers(own["factor"], "factor")]), to.numbers(own["shift"], "shift")])


LAYERS = {"dense": dense, "activation": activation, "embedding": embedding, "layernorm": layernorm, "dropout": dropout, "scale": scale,
          "unscale": unscale}
