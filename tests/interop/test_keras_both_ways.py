"""Against Keras itself: layers that read a sequence from its end, and every activation, as a model and as both kinds of file."""
import os

import numpy as np
import pytest

import streamrnn as sr

pytest.importorskip("h5py")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", minversion="3.0")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


def imported(tmp_path, *layers, files=("keras", "h5")):
    """The report of a Sequential of these layers over three numbers a sample, which comes in the same from a session and from files."""
    rng, net = np.random.default_rng(2), keras.Sequential([keras.Input((None, 3)), *layers])
    net.set_weights([rng.uniform(-0.7, 0.7, w.shape) for w in net.get_weights()])
    model, report = sr.from_keras(net, say=None)
    assert report.error <= 2e-5
    for suffix in files:
        net.save(tmp_path / f"net.{suffix}")
        again, proof = sr.from_keras(tmp_path / f"net.{suffix}", say=None)
        assert again.digest == model.digest
        assert proof.error <= 2e-5
    return model, report


INNER = {"LSTM": lambda whole: L.LSTM(4, return_sequences=whole), "GRU": lambda whole: L.GRU(4, return_sequences=whole),
         "a GRU that resets before": lambda whole: L.GRU(4, reset_after=False, use_bias=False, return_sequences=whole),
         "a cell": lambda whole: L.RNN(L.LSTMCell(4, recurrent_activation="hard_sigmoid"), return_sequences=whole)}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("inner", "theirs", "ours"), [*((inner, "concat", "concat") for inner in INNER), ("LSTM", "sum", "sum"),
                                                       ("GRU", "ave", "mean"), ("a cell", "mul", "product")])
def test_bidirectional(inner, whole, theirs, ours, tmp_path):
    model, report = imported(tmp_path, L.Bidirectional(INNER[inner](True)), L.Bidirectional(INNER[inner](whole), merge_mode=theirs),
                             L.Dense(2, activation="elu"))
    assert (model.layers[1].merge, model.layers[1].final) == (ours, not whole)
    assert report.notes[-1].startswith("layers.0 (Bidirectional) reads each sequence from its end")


def test_a_backward_layer_of_another_kind(tmp_path):
    model, _ = imported(tmp_path, L.Bidirectional(L.LSTM(4), backward_layer=L.SimpleRNN(4, activation="relu", go_backwards=True)))
    assert model.layers == (sr.Bidirectional(sr.LSTM(4), sr.RNN(4, "relu"), final=True),)


BACK = {"go_backwards": True}
BACKWARDS = {
    "the end": ([L.LSTM, BACK | {"return_sequences": False}], (sr.Reverse(sr.LSTM(4), final=True),)),
    "there and back": ([L.LSTM, BACK], [L.GRU, BACK], (sr.Reverse(sr.LSTM(4)), sr.GRU(4))),
    "on in that order": ([L.GRU, BACK], [L.LSTM, {"return_sequences": False}], (sr.Reverse(sr.GRU(4)), sr.Reverse(sr.LSTM(4), final=True))),
    "three times": ([L.GRU, BACK], [L.GRU, BACK], [L.GRU, BACK | {"return_sequences": False}],
                    (sr.Reverse(sr.GRU(4)), sr.GRU(4), sr.Reverse(sr.GRU(4), final=True))),
    "only the second": ([L.GRU, {}], [L.GRU, BACK | {"return_sequences": False}], (sr.GRU(4), sr.Reverse(sr.GRU(4), final=True))),
}


@pytest.mark.parametrize("name", BACKWARDS)
def test_backwards(name, tmp_path):
    *layers, wanted = BACKWARDS[name]
    model, _ = imported(tmp_path, *(make(4, **({"return_sequences": True} | more)) for make, more in layers), L.Dense(2))
    assert model.layers[:-1] == wanted


def test_cells_of_one_layer_go_backwards_together(tmp_path):
    model, _ = imported(tmp_path, L.RNN([L.LSTMCell(4), L.GRUCell(3)], go_backwards=True))
    assert model.layers == (sr.Reverse(sr.LSTM(4)), sr.Reverse(sr.GRU(3), final=True))


FUNCTIONS = ("linear", "relu", "tanh", "sigmoid", "elu", "leaky_relu", "softsign", "softplus", "hard_sigmoid")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_activations_in_cells_and_alone(function, tmp_path):
    imported(tmp_path, L.SimpleRNN(4, activation=function), L.Activation(function), files=("h5",))
    imported(tmp_path, L.LSTM(4, activation=function, recurrent_activation="hard_sigmoid"), L.Dense(3, activation=function), files=())
    imported(tmp_path, L.GRU(4, activation=function), files=())


def test_the_plain_layer_is_taken_where_there_is_one(tmp_path):
    model, _ = imported(tmp_path, L.SimpleRNN(4, activation="relu", return_sequences=True), L.LSTM(4, return_sequences=True), L.GRU(4))
    assert model.layers == (sr.RNN(4, "relu"), sr.LSTM(4), sr.GRU(4))


def test_layers_that_are_functions(tmp_path):
    model, _ = imported(tmp_path, L.GRU(4, return_sequences=True), L.LeakyReLU(0.1), L.ELU(0.5), L.ReLU(negative_slope=0.3), L.ReLU())
    assert model.layers[1:] == (sr.Activation("leaky_relu", 0.1), sr.Activation("elu", 0.5), sr.Activation("leaky_relu", 0.3),
                                sr.Activation("relu"))
