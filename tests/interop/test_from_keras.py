"""Against Keras itself: random models, in memory and as files, are the same numbers here."""
import os

import numpy as np
import pytest

import streamrnn as sr

pytest.importorskip("h5py")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", minversion="3.0")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")
quiet = lambda source, **more: sr.from_keras(source, say=None, **more)


def random_model(rng):
    pick = lambda *values: values[rng.integers(len(values))]
    inputs, tokens = int(rng.integers(1, 7)), pick(True, False, False)
    layers = [L.Embedding(9, inputs)] if tokens else [L.Normalization()] if pick(True, False) else []
    cells = {"SimpleRNN": lambda n: {"activation": pick("tanh", "relu")}, "LSTM": lambda n: {},
             "GRU": lambda n: {"reset_after": pick(True, False)}}
    depth, whole = pick(1, 2, 3), pick(True, False)
    for k in range(depth):
        kind, units = pick(*cells), int(rng.integers(1, 12))
        more = cells[kind](units) | {"use_bias": pick(True, False),
                                     "bias_initializer": "glorot_uniform" if kind != "GRU" else "random_normal"}
        if kind != "GRU":
            more["bias_initializer"] = "random_normal"
        sequences = whole or k < depth - 1
        if pick(True, False, False):
            layers.append(L.RNN([getattr(L, kind + "Cell")(units, **more), L.LSTMCell(3)], return_sequences=sequences))
        else:
            layers.append(getattr(L, kind)(units, return_sequences=sequences, dropout=pick(0.0, 0.2), **more))
    layers += [L.LayerNormalization(center=pick(True, False))] if pick(True, False) else []
    layers.append(keras.Sequential([L.Dense(5, activation=pick("relu", "tanh", "softmax")), L.Dropout(0.2), L.Dense(4)]))
    layers += [L.TimeDistributed(L.Dense(3))] if whole else [L.Dense(3, use_bias=False)]
    layers.append(pick(L.ReLU(), L.Softmax(), L.Activation("sigmoid"), L.Normalization(invert=True, mean=[1, 2, 3], variance=[4, 5, 6])))
    x = keras.Input((None,), dtype="int32") if tokens else keras.Input((None, inputs))
    if pick(True, False):
        y = x
        for layer in layers:
            y = layer(y)
        model = keras.Model(x, y)
    else:
        model = keras.Sequential([x, *layers])
    model.set_weights([rng.uniform(0.1, 1, w.shape).astype(w.dtype) if "normalization" in v.path and w.dtype.kind == "f"
                       else (rng.uniform(-0.7, 0.7, w.shape)).astype(w.dtype) for w, v in zip(model.get_weights(), model.weights,
                                                                                              strict=True)])
    return model


@pytest.mark.parametrize("number", range(10))
def test_random_models_are_the_same_here(number, tmp_path):
    net = random_model(np.random.default_rng(number))
    model, report = quiet(net)
    assert report.error <= 2e-5
    assert report.values >= 48
    for suffix in ("keras", "h5"):
        net.save(tmp_path / f"net.{suffix}")
        again, report = quiet(tmp_path / f"net.{suffix}")
        assert again.digest == model.digest
        assert report.error <= 2e-5


def test_a_compiled_and_trained_model_is_read(tmp_path):
    net = keras.Sequential([keras.Input((5, 3)), L.LSTM(4, dropout=0.1), L.Dense(1)])
    net.compile("adam", "mse")
    net.fit(np.random.default_rng(0).standard_normal((8, 5, 3)), np.zeros((8, 1)), verbose=0)
    net.save(tmp_path / "net.keras")
    model, report = quiet(tmp_path / "net.keras")
    assert report.error <= 1e-5
    assert model.digest == quiet(net).model.digest


def test_a_stateful_models_states_stay_its_own():
    net = keras.Sequential([keras.Input((None, 3), batch_size=2), L.LSTM(4, stateful=True)])
    net(np.ones((2, 5, 3), np.float32))
    before = [np.array(keras.ops.convert_to_numpy(s)) for s in net.layers[0].states]
    _, report = quiet(net)
    assert report.error <= 1e-5
    assert all(np.array_equal(a, keras.ops.convert_to_numpy(b)) for a, b in zip(before, net.layers[0].states, strict=True))


def test_masks_are_refused_and_may_be_accepted():
    x = keras.Input((None,), dtype="int32")
    net = keras.Model(x, L.LSTM(4)(L.Embedding(9, 3, mask_zero=True, name="words")(x)))
    with pytest.raises(sr.ConfigError, match=r"words: mask_zero=True skips every token 0"):
        quiet(net)
    assert quiet(net, accept="words.mask_zero").report.error <= 1e-5
    x = keras.Input((None, 3))
    net = keras.Model(x, L.GRU(4, name="gru")(x, mask=keras.ops.any(x > 0, -1)))
    with pytest.raises(sr.ConfigError, match="gru: it is called with a mask"):
        quiet(net)


@pytest.mark.parametrize(("make", "words"), [
    (lambda x: L.Bidirectional(L.RNN([L.LSTMCell(3), L.LSTMCell(3)]), name="both")(x), "both: its forward layer has 2 cells"),
    (lambda x: L.Bidirectional(L.GRU(3))(L.LSTM(3, go_backwards=True, return_sequences=True, name="turned")(x)),
     "follows turned, which gives its results back to front"),
    (lambda x: L.GRU(3, return_sequences=True)(L.LSTM(3, go_backwards=True, return_sequences=True, name="turned")(x)),
     "turned: go_backwards=True with return_sequences=True gives results back to front"),
    (lambda x: L.Add(name="sum")([L.Dense(3)(x), x]), "sum: takes 2 inputs"),
    (lambda x: L.LSTM(3, return_state=True, name="lstm")(x)[1], "lstm: its result number 1 is used"),
    (lambda x: L.LSTM(3, name="second")(x, initial_state=L.LSTM(3, return_state=True)(x)[1:]),
     "second: (is called with initial_state|takes 3 inputs)"),
    (lambda x: L.GlobalAveragePooling1D(name="mean")(x), "mean: GlobalAveragePooling1D is not among the layers"),
    (lambda x: (lambda d: d(d(x)))(L.Dense(3, name="twice")), "twice: is (used|called)"),
    (lambda x: keras.ops.mean(x, 1), "mean: Mean is not among the layers"),
])
def test_graphs_that_are_no_chain_are_refused_by_name(make, words):
    x = keras.Input((None, 3))
    with pytest.raises(sr.ConfigError, match=words):
        quiet(keras.Model(x, make(x)))


def test_models_without_weights_or_features_are_refused():
    with pytest.raises(sr.ConfigError, match="is not built"):
        quiet(keras.Sequential([L.LSTM(3)]))

    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, x):
            return self.dense(x)

    net = Mine()
    net(np.zeros((1, 5, 3), np.float32))
    with pytest.raises(sr.ConfigError, match="Mine is a class of its own"):
        quiet(net)


def test_the_proof_names_keras_and_can_fail(capsys):
    net = keras.Sequential([keras.Input((None, 3)), L.LSTM(8)])
    sr.from_keras(net)
    assert f"random results of Keras {keras.__version__} on {keras.backend.backend()}" in capsys.readouterr().out
    with pytest.raises(sr.ConfigError, match="parity: the largest error"):
        quiet(net, tolerance=1e-9)
