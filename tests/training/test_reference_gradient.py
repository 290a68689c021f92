"""The float64 twin's gradients against central differences of the twin itself: what the compiled ones are measured by."""
from types import SimpleNamespace

import numpy as np
import pytest
import reference

from streamrnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Activation,
    Attention,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    MinGRU,
    MinLSTM,
    Model,
    Recurrence,
    Scale,
    Unscale,
)
from streamrnn.cells import CELLS
from streamrnn.cells.general import elementwise
from streamrnn.cells.general import recurrence as general
from streamrnn.cells.general.functions import NAMES

LAYERS = {layer.kind: layer for cell in (*CELLS, general, elementwise) for layer in cell.LAYERS}  # a detector's parts: tests/detect

STEPS, INPUTS = 4, 3
STEP, CLOSE = 1e-5, 1e-7

EXAMPLES = {
    "rnn": [RNN(3), RNN(3, "relu")],
    "lstm": [LSTM(3)],
    "gru": [GRU(3), GRU(3, reset_after=False)],
    "mingru": [MinGRU(3)],
    "minlstm": [MinLSTM(3)],
    "lru": [LRU(3), LRU(2, states=4)],
    "attention": [Attention(3, 2), Attention(4, 3, heads=2), Attention(2, 20)],
    "recurrence": [
        Recurrence("lstm", 3), Recurrence("lstm", 3, ("hard_sigmoid", "softsign", ("elu", 0.7)), peepholes=True),
        Recurrence("lstm", 3, clip=0.8, peepholes=True, input_forget=True, starts=True), Recurrence("lstm", 3, projection=2, starts=True),
        Recurrence("lstm", 2, ("sigmoid", "leaky_relu", ("scaled_tanh", 0.8, 0.6)), projection=4, peepholes=True),
        Recurrence("gru", 3), Recurrence("gru", 3, ("sigmoid", "softplus"), clip=0.7, starts=True), Recurrence("gru", 3, reset_after=False),
        Recurrence("gru", 3, (("affine", 0.3, 0.4), "elu"), reset_after=False, clip=1, starts=True),
        Recurrence("rnn", 3), Recurrence("rnn", 3, (("affine", 0.5, 0.1),), clip=0.6, starts=True)],
    "activation": [Activation(name) for name in (*NAMES, "softmax")],
    "dense": [Dense(3), *(Dense(3, name) for name in ("relu", "tanh", "sigmoid", "softmax"))],
    "embedding": [Embedding(3, 2)],  # as many tokens as a sample has: some come twice in it
    "layernorm": [LayerNorm(), LayerNorm(epsilon=0.3)],
    "dropout": [Dropout(0.25)],
    "scale": [Scale()],
    "unscale": [Unscale()],
}
STACKS = {
    "deep": ([LSTM(3), LayerNorm(0.1), GRU(2), Dropout(0.5), RNN(3), Dense(2, "sigmoid")], None),
    "a table below": ([Embedding(4, 2), GRU(3, reset_after=False), Dense(2)], None),
    "two heads": ([LSTM(3), Dense(3, "tanh")], {"a": Dense(2, "softmax"), "b": [GRU(2), Dropout(0.5), Dense(1)]}),
    "scaled on both ends": ([Scale(), GRU(3), Dense(2), Unscale()], None),
    "an identity beside a head": ([RNN(3)], {"a": Dropout(0.1), "b": Dense(1)}),
}
SINGLE = {f"{kind}-{i}": ([layer], None) for kind in LAYERS for i, layer in enumerate(EXAMPLES.get(kind, []))}


def close(got, want):
    return np.linalg.norm(got - want) <= CLOSE * np.linalg.norm(want)


def differences(function, at):
    """The slope of function() along every number of `at`, which is moved in place and put back."""
    slopes = np.empty(at.shape)
    for i, value in np.ndenumerate(at):
        ends = []
        for moved in (value + STEP, value - STEP):
            at[i] = moved
            ends.append(function())
        at[i] = value
        slopes[i] = (ends[0] - ends[1]) / (2 * STEP)
    return slopes


def test_every_layer_there_is_has_an_example_here():
    assert set(EXAMPLES) == set(LAYERS) == set(reference.BACK)


@pytest.mark.parametrize(("layers", "heads"), (SINGLE | STACKS).values(), ids=SINGLE | STACKS)
def test_gradients_are_slopes(layers, heads, rng):
    """Along everything that a sequence starts from: tensors, samples, first states."""
    model = Model(INPUTS, layers, heads)
    tensors = {name: rng.uniform(-1, 1, tensor.shape) for name, tensor in model.tensors.items()}  # float64: a small step shows
    constants = {f"{name}.{constant}" for name, layer, _ in model.stacks() for constant in layer.constants}
    model = SimpleNamespace(config=model.config, tensors=tensors, outputs=model.outputs, heads=model.heads)
    tokens = layers[0].vocabulary if layers[0].kind == "embedding" else None
    x = rng.integers(0, tokens, (STEPS, INPUTS)).astype(float) if tokens else rng.standard_normal((STEPS, INPUTS))
    _, seen = next(reference.steps(model, x, {}, shapes := {}))
    trunk, tops = reference.stacks(model)
    masks = {name: rng.choice([0, 1 / (1 - config["rate"])], (STEPS, len(seen[name][1])))
             for name, config, _ in sum(tops, trunk) if config["kind"] == "dropout"}
    first, d_last = ({name: {key: rng.uniform(-1, 1, value.shape) for key, value in state.items()} for name, state in shapes.items()}
                     for _ in range(2))
    d_y = rng.standard_normal((STEPS, model.outputs))

    def told():
        """What d_y and d_last are the gradients of."""
        states = reference.copied(first)
        y = np.array([y for y, _ in reference.steps(model, x, masks, states)])
        return (y * d_y).sum() + sum(value @ d_last[name][key] for name, state in states.items() for key, value in state.items())

    gradients, d_x, d_first = reference.gradient_from(model, x, d_y, masks, first, d_last)
    assert gradients.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert close(gradients[name], 0 * tensor if name in constants else differences(told, tensor)), name
    for name, state in first.items():
        for key, value in state.items():
            assert close(d_first[name][key], differences(told, value)), (name, key)
    if tokens:
        assert (d_x == 0).all()
    else:
        assert close(d_x, differences(told, x))


def test_gradient_starts_from_zeros_and_ends_with_the_results(rng):
    model = Model(INPUTS, [LSTM(3), GRU(2)])
    x, d_y = rng.standard_normal((STEPS, INPUTS)), rng.standard_normal((STEPS, model.outputs))
    gradients, d_x = reference.gradient(model, x, d_y)
    states = {"layers.0": {"h": np.zeros(3), "c": np.zeros(3)}, "layers.1": {"h": np.zeros(2)}}
    again, d_x_again, _ = reference.gradient_from(model, x, d_y, states=states, d_last=states)
    assert (d_x == d_x_again).all() and all((gradients[name] == again[name]).all() for name in gradients)
    assert (reference.run(model, x) == reference.run(model, x, states=states)).all()


@pytest.mark.parametrize("layer", [layer for layer in EXAMPLES["recurrence"] if layer.starts], ids=repr)
def test_gradients_of_first_states_are_slopes(layer, rng):
    """A fresh stream begins from them."""
    model = Model(INPUTS, [layer])
    tensors = {name: rng.uniform(-1, 1, tensor.shape) for name, tensor in model.tensors.items()}
    model = SimpleNamespace(config=model.config, tensors=tensors, outputs=model.outputs, heads=model.heads)
    x, d_y = rng.standard_normal((STEPS, INPUTS)), rng.standard_normal((STEPS, model.outputs))
    gradients, d_x = reference.gradient(model, x, d_y)
    told = lambda: (reference.run(model, x) * d_y).sum()
    assert gradients["layers.0.start_h"].any()
    assert all(close(gradients[name], differences(told, tensor)) for name, tensor in tensors.items())
    assert close(d_x, differences(told, x))
