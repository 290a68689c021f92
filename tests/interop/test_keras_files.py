"""Keras' files without Keras: written by hand in Keras' layout, compared with Keras' layers in plain NumPy."""
import importlib.util
import json
import zipfile

import numpy as np
import pytest

import streamrnn as sr

pytest.importorskip("h5py")
import keras_by_hand as by_hand
from keras_by_hand import layer

pytestmark = pytest.mark.filterwarnings("ignore")
WRITERS = {".keras": by_hand.write_keras, ".h5": by_hand.write_legacy}
quiet = lambda source, **more: sr.from_keras(source, say=None, **more)


def random_layers(rng):
    """(layers, inputs, tokens?): a chain of everything, of random sizes."""
    pick = lambda *values: values[rng.integers(len(values))]
    inputs, tokens, layers = int(rng.integers(1, 7)), pick(True, False, False), []
    width = inputs
    if tokens:
        layers.append(layer(rng, "Embedding", 1, width))
    elif pick(True, False):
        layers.append(layer(rng, "Normalization", width))
    for kind in [pick("SimpleRNN", "LSTM", "GRU") for _ in range(pick(1, 2, 3))]:
        units = int(rng.integers(1, 12))
        more = {"GRU": {"reset_after": pick(True, False)}, "SimpleRNN": {"activation": pick("tanh", "relu")}}.get(kind, {})
        if pick(True, False):
            more["activation"] = pick("softsign", "sigmoid", "hard_sigmoid")  # bounded, so that no random network bursts
        if pick(True, False) and kind != "SimpleRNN":
            more["recurrent_activation"] = "hard_sigmoid"
        layers.append(layer(rng, kind, width, units, use_bias=pick(True, False), **more))
        width = units
    if pick(True, False):
        layers.append(layer(rng, "LayerNormalization", width, center=pick(True, False), scale=pick(True, False)))
    layers.append(("Dropout", {"rate": 0.3}, []))
    layers.append(layer(rng, "Dense", width, 5, use_bias=pick(True, False),
                        activation=pick("linear", "relu", "tanh", "sigmoid", "softmax", "softplus", "elu")))
    layers.append(layer(rng, "Dense", 5, width := pick(1, 12)))
    layers.append(pick(("Activation", {"activation": pick("relu", "softmax", "softsign", "hard_sigmoid")}, []),
                       layer(rng, "Normalization", width, invert=True)))
    return layers, inputs, tokens


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("number", range(16))
def test_random_files_are_the_same_numbers_here(number, suffix, tmp_path):
    rng = np.random.default_rng(number)
    layers, inputs, tokens = random_layers(rng)
    shape, dtype = ((None, None), "int32") if tokens else ((None, None, inputs), "float32")
    model, report = quiet(WRITERS[suffix](tmp_path / f"net{suffix}", layers, shape, dtype))
    x = rng.integers(0, 9, (20, 1)) if tokens else rng.standard_normal((20, inputs))
    ours, theirs = model.run(x.astype(np.float32)), by_hand.run(layers, x)
    assert (np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))).max() <= 2e-5
    if importlib.util.find_spec("keras"):
        assert report.error is not None, report
        assert report.error <= 2e-5
    else:
        assert report.error is None
        assert "not proven: Keras" in str(report)


def test_both_files_give_one_model_and_layers_of_one_class_keep_their_order(tmp_path):
    rng = np.random.default_rng(3)
    layers = [layer(rng, "LSTM", 3, 3), layer(rng, "LSTM", 3, 3), layer(rng, "Dense", 3, 3), layer(rng, "LSTM", 3, 3),
              layer(rng, "Dense", 3, 3)]
    one, two = (quiet(write(tmp_path / f"net{suffix}", layers, (None, None, 3))).model for suffix, write in WRITERS.items())
    assert one.digest == two.digest
    assert np.array_equal(one.tensors["layers.3.weight_ih_l0"], layers[3][2][0].T)


@pytest.mark.parametrize("write", WRITERS.values())
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("merge", by_hand.MERGES)
def test_both_directions_and_each_merge(merge, whole, write, tmp_path):
    rng = np.random.default_rng(4)
    layers = [layer(rng, "Bidirectional", 3, 4, inner="GRU", of={"reset_after": False}, merge_mode="concat"),
              layer(rng, "Bidirectional", 8, 5, of={"return_sequences": whole, "activation": "softsign"}, merge_mode=merge),
              layer(rng, "Dense", 10 if merge == "concat" else 5, 2)]
    model, report = quiet(write(tmp_path / "net.h5", layers, (None, None, 3)))
    x = rng.standard_normal((20, 3))
    ours, theirs = model.run(x.astype(np.float32)), by_hand.run(layers, x)
    assert np.abs(ours[-len(theirs):] - theirs).max() <= 2e-5
    assert any("layers.0 (Bidirectional) reads each sequence from its end" in note for note in report.notes)
    with pytest.raises(sr.ConfigError, match=r"layers\.0 \(Bidirectional\) .* cannot be stepped, streamed"):
        model.stream()


def test_backwards_gives_its_last_step_at_the_first_sample(tmp_path):
    rng = np.random.default_rng(4)
    layers = [layer(rng, "LSTM", 3, 4, go_backwards=True), layer(rng, "GRU", 4, 5, go_backwards=True), layer(rng, "Dense", 5, 2)]
    model = quiet(by_hand.write_keras(tmp_path / "net.keras", layers, (None, None, 3))).model
    assert model.layers[:2] == (sr.Reverse(sr.LSTM(4)), sr.GRU(5))
    x = rng.standard_normal((20, 3))
    turned = by_hand.run(layers[:1], x[::-1])  # back to front, as Keras gives it; the next one turns it round
    assert np.abs(model.run(x.astype(np.float32)) - by_hand.run(layers[1:], turned[::-1])).max() <= 2e-5


@pytest.mark.parametrize("write", WRITERS.values())
@pytest.mark.parametrize(("version", "alpha"), [("3.15.1", 1 / 6), ("2.15.0", 0.2), ("2.2.4-tf", 0.2)])
def test_hard_sigmoid_is_that_of_the_keras_that_wrote_the_file(version, alpha, write, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    layers = [layer(rng, "LSTM", 3, recurrent_activation="hard_sigmoid"), ("Activation", {"activation": "hard_sigmoid"}, [])]
    model, report = quiet(write(tmp_path / "net.h5", layers, (None, None, 3), version=version))
    assert model.layers == (sr.Recurrence("lstm", 4, (("hard_sigmoid", alpha, 0.5), "tanh", "tanh")),
                            sr.Activation("hard_sigmoid", alpha, 0.5))
    x = rng.standard_normal((20, 3)) * 3
    monkeypatch.setitem(by_hand.FUNCTIONS, "hard_sigmoid", lambda a: np.clip(alpha * a + 0.5, 0, 1))
    assert np.abs(model.run(x.astype(np.float32)) - by_hand.run(layers, x)).max() <= 2e-5
    if version[0] == "2":
        assert report.error is None
        assert "Keras 3 takes hard_sigmoid for another function" in report.unproven
        assert any("0.2 x + 0.5 within 0 and 1, as in the Keras 2" in note for note in report.notes)


@pytest.mark.parametrize("write", WRITERS.values())
def test_hard_sigmoid_of_nobody_knows_which_keras_is_refused(write, tmp_path):
    layers = [layer(np.random.default_rng(0), "GRU", 3, recurrent_activation="hard_sigmoid")]
    with pytest.raises(sr.FileError, match="layer_0: recurrent_activation='hard_sigmoid' is one function in Keras 3, another one before"):
        quiet(write(tmp_path / "net.h5", layers, (None, None, 3), version=None))


CHANGES = {  # of a GRU of 4 units: its configuration, and what is said
    "gelu": ({"activation": "gelu"}, "layer_0: activation='gelu' cannot be carried. There are linear, relu, tanh"),
    "a function of their own": ({"recurrent_activation": {"class_name": "function", "config": "mine"}}, "recurrent_activation='mine'"),
    "backwards": ({"go_backwards": True}, "layer_0: go_backwards=True with return_sequences=True gives results back to front"),
    "time first": ({"time_major": True}, "layer_0: time_major=True"),
    "int8": ({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}},
             "layer_0: dtype int8_from_float32"),
    "more units": ({"units": 5}, r"layer_0: its kernel has shape \(3, 12\) where \(3, 15\) belongs"),
    "one bias": ({"reset_after": False}, r"layer_0: its bias has shape \(2, 12\) where \(12,\) belongs"),
    "no bias": ({"use_bias": False}, "needs 2 weights at layers/gru/cell/vars, the file has 3"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_cannot_be_carried_is_refused_by_layer_and_attribute(name, tmp_path):
    change, words = CHANGES[name]
    kind, config, weights = layer(np.random.default_rng(0), "GRU", 3)
    with pytest.raises(sr.FileError, match=words):
        quiet(by_hand.write_keras(tmp_path / "net.keras", [(kind, config | change, weights)], (None, None, 3)))


@pytest.mark.parametrize(("kind", "config", "words"), [
    ("Bidirectional", {}, "layer_0: a Bidirectional of None cannot be carried"),
    ("Bidirectional", {"merge_mode": None}, "layer_0: merge_mode=None gives two results"),
    ("Bidirectional", {"layer": {"class_name": "LSTM", "config": {"go_backwards": True}}}, "its forward layer has go_backwards=True"),
    ("Bidirectional", {"layer": {"class_name": "LSTM", "config": {}}}, "its configuration has no recurrent_activation|no activation"),
    ("Lambda", {"function": "evil"}, "layer_0: Lambda is not among the layers"),
    ("Conv1D", {}, "layer_0: Conv1D is not among the layers"),
    ("Masking", {"mask_value": 0.0}, r'layer_0: Masking skips .* accept=\["layer_0"\] \(--accept layer_0\)'),
    ("Activation", {"activation": "gelu"}, "layer_0: activation='gelu'"),
    ("Softmax", {"axis": 1}, "layer_0: axis=1 is not over the features"),
    ("ReLU", {"max_value": 6.0}, "layer_0: max_value=6.0"),
    ("RNN", {"cell": {"class_name": "Mine", "config": {}}}, "layer_0: Mine is not among the cells"),
    ("TimeDistributed", {"layer": {"class_name": "LSTM", "config": {}}}, r"layer_0: TimeDistributed\(LSTM\)"),
    ("MyLayer", {}, "layer_0: MyLayer is not among the layers"),
])
@pytest.mark.parametrize("suffix", WRITERS)
def test_other_layers_are_refused_by_name(kind, config, words, suffix, tmp_path):
    with pytest.raises(sr.FileError, match=words):
        quiet(WRITERS[suffix](tmp_path / f"net{suffix}", [(kind, config, [])], (None, 7, 3)))


def test_what_is_accepted_is_said_and_nothing_else_is(tmp_path):
    rng = np.random.default_rng(0)
    layers = [layer(rng, "Embedding", 1, 3, mask_zero=True), layer(rng, "LSTM", 3, 4, return_sequences=False, stateful=True, dropout=0.1)]
    path = by_hand.write_keras(tmp_path / "net.keras", layers, (2, None), "int32")
    with pytest.raises(sr.FileError, match=r'mask_zero=True skips every token 0.*accept=\["layer_0.mask_zero"\]'):
        quiet(path)
    said = "\n".join(quiet(path, accept="layer_0.mask_zero").report.notes)
    for words in ("layer_0.mask_zero", "return_sequences=False", "stateful", "dropout=0.1"):
        assert words in said
    with pytest.raises(sr.FileError, match="accept: 'layer_1' is nothing that has to be accepted"):
        quiet(path, accept=["layer_0.mask_zero", "layer_1"])


def test_a_recurrent_layer_after_the_last_step_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    layers = [layer(rng, "LSTM", 3, return_sequences=False), layer(rng, "LSTM", 4)]
    with pytest.raises(sr.FileError, match="layer_1: follows layer_0, which gives its last step alone"):
        quiet(by_hand.write_keras(tmp_path / "net.keras", layers, (None, None, 3)))


def spoilt(tmp_path, change, write=by_hand.write_keras):
    return write(tmp_path / "net.h5", [layer(np.random.default_rng(0), "LSTM", 3)], (None, None, 3), change=change)


def link(file):
    import h5py
    del file["layers/lstm/cell/vars/0"]
    file["layers/lstm/cell/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def outside(file):
    del file["layers/lstm/cell/vars/0"]
    file["layers/lstm/cell/vars"].create_dataset("0", (3, 16), "f4", external=[("other.bin", 0, 192)])


def claim(file):
    del file["layers/lstm/cell/vars/0"]
    file["layers/lstm/cell/vars"].create_dataset("0", (1 << 40,), "f4")


@pytest.mark.parametrize(("change", "words"), [
    (claim, "says that it is 4,398,046,511,104 bytes, and holds next to none"),
    (link, "0 is a link to elsewhere"),
    (outside, "is no plain array of numbers in the file itself"),
    (lambda file: file.__delitem__("layers/lstm/cell/vars/2"), "needs 3 weights .* the file has 2"),
    (lambda file: file.__setitem__("layers/dense/vars/0", np.zeros(3)), "layers/dense/vars/0 belongs to no layer"),
    (lambda file: file["layers/lstm/vars"].attrs.__setitem__("name", "another"), "are those of another, not of layer_0"),
    (lambda file: (file.__delitem__("layers/lstm/cell/vars/2"), file.__setitem__("layers/lstm/cell/vars/2", np.array([b"text"]))),
     "no plain array"),
])
def test_weights_that_do_not_fit_are_refused(change, words, tmp_path):
    with pytest.raises(sr.FileError, match=words):
        quiet(spoilt(tmp_path, change))


def test_an_older_files_weights_are_counted(tmp_path):
    def less(file):
        names = file["model_weights/layer_0"].attrs["weight_names"]
        file["model_weights/layer_0"].attrs["weight_names"] = names[:2]

    def more(file):
        file["model_weights/layer_7"] = file["model_weights/layer_0"]

    for change, words in ((less, "needs 3 weights, the file has 2"), (more, "belongs to no layer")):
        with pytest.raises(sr.FileError, match=words):
            quiet(spoilt(tmp_path, change, by_hand.write_legacy))


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = spoilt(tmp_path, None)
    content = path.read_bytes()
    for number, (damaged, words) in enumerate([
        (b"neither", "is neither a .keras file"), (content[:len(content) // 2], "neither|damaged"), (b"", "neither"),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 50, "damaged"),
    ]):
        bad = tmp_path / f"bad{number}.keras"
        bad.write_bytes(damaged)
        with pytest.raises(sr.FileError, match=words):
            quiet(bad)
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(sr.FileError, match=r"without config\.json and model\.weights\.h5, but with config\.json"):
        quiet(tmp_path / "empty.keras")
    for config in ("[", "[]", "{}", '{"class_name": "Mine", "config": {}}', '{"class_name": "Sequential", "config": {"layers": [3]}}'):
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "other.keras", "w") as new:
            new.writestr("config.json", config)
            new.writestr("model.weights.h5", old.read("model.weights.h5"))
        with pytest.raises(sr.FileError, match=r"other\.keras"):
            quiet(tmp_path / "other.keras")


def tensor(name, number=0):
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, None, 3], "dtype": "float32", "keras_history": [name, 0, number]}}


def functional(path, links, old=False, outputs=("b",)):
    """A functional model of Dense layers a, b and Add, by {name: [names that go in]}."""
    rng = np.random.default_rng(0)
    layers = [layer(rng, "Dense", 3, 3) if name != "add" else ("Add", {}, []) for name in links]
    by_hand.write_keras(path, layers, (None, None, 3))
    node = lambda sources: ([[[s, 0, 0, {}] for s in sources]] if old else
                            [{"args": [tensor(s) for s in sources] if len(sources) == 1 else [[tensor(s) for s in sources]], "kwargs": {}}])
    entries = [{"class_name": "InputLayer", "config": {"batch_shape": [None, None, 3], "name": "x"}, "name": "x", "inbound_nodes": []}]
    entries += [{"class_name": kind, "config": config | {"name": name}, "name": name, "inbound_nodes": node(sources)}
                for (kind, config, _), (name, sources) in zip(layers, links.items(), strict=True)]
    config = {"class_name": "Functional", "config": {"name": "f", "layers": entries, "input_layers": [["x", 0, 0]],
                                                     "output_layers": [[name, 0, 0] for name in outputs]}}
    with zipfile.ZipFile(path) as archive:
        weights = archive.read("model.weights.h5")
    import io

    import h5py
    stored = io.BytesIO(weights)
    with h5py.File(stored, "r+") as file:
        for group, name in zip(("dense", "dense_1"), links, strict=False):
            if f"layers/{group}" in file:
                file[f"layers/{group}/vars"].attrs["name"] = name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", stored.getvalue())
    return path, layers


@pytest.mark.parametrize("old", [False, True])
def test_a_functional_chain_is_followed_from_its_output(old, tmp_path):
    path, layers = functional(tmp_path / "f.keras", {"a": ["b"], "b": ["x"]}, old, outputs=("a",))
    model = quiet(path, tolerance=1e-4).model
    x = np.ones((2, 3), np.float32)
    assert np.allclose(model.run(x), by_hand.run([layers[1], layers[0]], x), atol=1e-5)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(("links", "outputs", "words"), [
    ({"a": ["x"], "add": ["a", "x"]}, ("add",), "add: takes 2 inputs"),
    ({"a": ["x"], "b": ["a"]}, ("a", "b"), "f: has 2 outputs"),
    ({"a": ["b"], "b": ["a"]}, ("b",), "is used more than once, or is not there"),
])
def test_a_graph_that_is_no_chain_is_refused_by_name(links, outputs, words, old, tmp_path):
    with pytest.raises(sr.FileError, match=words):
        quiet(functional(tmp_path / "f.keras", links, old, outputs)[0])


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    path = spoilt(tmp_path, None)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(sr.MissingExtra, match=r"pip install 'streamrnn\[keras\]'"):
        quiet(path)


def test_what_is_no_keras_model_is_refused():
    with pytest.raises(sr.ConfigError, match="from_keras takes a Keras model or a path"):
        quiet(3)
