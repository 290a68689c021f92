"""Tensors as an arena and back: every number has a home, shared biases share one, constants and padding learn nothing."""
import numpy as np
import pytest
from learning import F, small

from streamrnn import GRU, LSTM, RNN, Dense, Embedding, LayerNorm, Model, Scale, Unscale
from streamrnn.training import weights as weights_module
from streamrnn.training.weights import Weights

STACKS = {
    "lstm": [LSTM(9), Dense(2)], "gru": [GRU(17), Dense(20)], "gru before": [GRU(5, reset_after=False), Dense(16, "softmax")],
    "rnn": [RNN(33, "relu"), LayerNorm(), Dense(1)], "scaled": [Scale(), LSTM(3), Dense(2), Unscale(by="minmax")],
}


@pytest.fixture(params=STACKS.values(), ids=STACKS)
def model(request, rng):
    model = small(*request.param, init="torch")
    return model.with_tensors({name: rng.normal(size=tensor.shape).astype(F) for name, tensor in model.tensors.items()})


def test_tensors_come_back_and_run_the_same(model, rng):
    tensors = Weights(model).tensors()
    assert {name: tensor.shape for name, tensor in tensors.items()} == {name: tensor.shape for name, tensor in model.tensors.items()}
    x = rng.normal(size=(20, 3)).astype(F)
    assert np.abs(model.with_tensors(tensors).run(x) - model.run(x)).max() <= 1e-6 * max(1, np.abs(model.run(x)).max())
    again = Weights(model.with_tensors(tensors)).tensors()
    assert all((again[name] == tensors[name]).all() for name in tensors)


def test_biases_that_only_appear_as_a_sum_are_one_parameter(model):
    weights = Weights(model)
    tensors, old = weights.tensors(), model.tensors
    shared = [name for name in old if name.endswith("bias_hh_l0")]
    for name in shared:
        first = name.replace("_hh_", "_ih_")
        units = 2 * model.layers[0].units if model.layers[0].kind == "gru" else None
        assert (tensors[name][:units] == 0).all()
        assert (tensors[first][:units] == old[first][:units] + old[name][:units]).all()
        if units:
            assert (tensors[name][units:] == old[name][units:]).all() or not model.layers[0].reset_after
    assert all((tensors[name] == old[name]).all() for name in old if "bias_" not in name)


def test_what_is_learnt_has_a_home_and_the_rest_has_no_gradient(model):
    weights = Weights(model)
    homes = np.zeros(weights.size, bool)
    for name, (home, own) in weights.homes.items():
        layer = model.layers[int(name.split(".")[1])]
        assert (weights.learnt[home] == (name.split(".")[-1] not in layer.constants)).all()
        assert not homes[home[own]].any()
        homes[home] = True
    assert set(np.unique(weights.learnt)) <= {0, 1} and not weights.learnt[~homes].any()
    gradients = weights.gradients(np.arange(weights.size, dtype=F))
    assert {name: tensor.shape for name, tensor in gradients.items()} == {name: tensor.shape for name, tensor in model.tensors.items()}


def test_a_table_larger_than_a_digit(monkeypatch):
    """Homes are found by packing numbers, in two digits where float32 does not tell them apart."""
    monkeypatch.setattr(weights_module, "DIGIT", 1 << 5)
    model = Model(1, [Embedding(100, 9), Dense(1)])
    tensors = Weights(model).tensors()
    assert all((tensors[name] == tensor).all() for name, tensor in model.tensors.items())
