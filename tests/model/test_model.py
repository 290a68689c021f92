"""Model: building, heads, shapes of run, lengths, and what is refused with which words."""
import numpy as np
import pytest

import streamrnn as sr


@pytest.fixture(scope="module")
def model():
    return sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=1)


@pytest.fixture
def noise():
    return np.random.default_rng(0)


def sequences(noise, *shape):
    return noise.standard_normal(shape, dtype=np.float32)


def test_a_seed_says_all_about_the_weights():
    build = lambda seed: sr.Model(inputs=3, layers=[sr.GRU(4), sr.Dense(1)], seed=seed)
    assert build(7).digest == build(7).digest
    assert build(7).digest != build(8).digest


def test_tensors_have_torch_names_and_shapes_and_are_float32(model):
    assert {name: t.shape for name, t in model.tensors.items()} == {
        "layers.0.weight_ih_l0": (20, 3), "layers.0.weight_hh_l0": (20, 5), "layers.0.bias_ih_l0": (20,),
        "layers.0.bias_hh_l0": (20,), "layers.1.weight": (2, 5), "layers.1.bias": (2,)}
    assert {t.dtype for t in model.tensors.values()} == {np.dtype(np.float32)}


def test_tensors_cannot_be_written(model):
    with pytest.raises(ValueError, match="read-only"):
        model.tensors["layers.1.bias"][0] = 1
    with pytest.raises(TypeError):
        model.tensors["layers.1.bias"] = np.zeros(2, np.float32)
    with pytest.raises(TypeError):
        model.heads["new"] = slice(0, 1)


def test_the_givers_arrays_are_copied(model):
    tensors = {name: t.copy() for name, t in model.tensors.items()}
    twin = model.with_tensors(tensors)
    for t in tensors.values():
        t[:] = 9
    assert twin.digest == model.digest


def test_repr_says_layers_sizes_and_cost(model):
    text = repr(model)
    for part in ("3 -> LSTM(units=5)", "Dense(units=2", "-> 2", "212 parameters", "128 bytes a stream"):
        assert part in text
    assert model.parameters == 212
    assert model.row_bytes == 128


def test_heads_share_the_trunk_and_stand_side_by_side(noise):
    heads = {"mean": sr.Dense(1), "spread": [sr.Dense(6, "tanh"), sr.Dense(2)]}
    both = sr.Model(inputs=3, layers=[sr.GRU(4)], heads=heads, seed=3)
    assert both.outputs == 3
    assert dict(both.heads) == {"mean": slice(0, 1), "spread": slice(1, 3)}
    trunk = {name: t for name, t in both.tensors.items() if name.startswith("layers.")}
    mean = {name.replace("heads.mean.0", "layers.1"): t for name, t in both.tensors.items() if "spread" not in name}
    assert len(trunk) == 4
    alone = sr.Model(inputs=3, layers=[sr.GRU(4), sr.Dense(1)], tensors=mean)
    x = sequences(noise, 9, 3)
    y = both.run(x)
    parts = both.split(y)
    assert list(parts) == ["mean", "spread"]
    assert np.array_equal(parts["mean"], alone.run(x))
    assert np.array_equal(np.concatenate(list(parts.values()), axis=-1), y)
    assert "spread: Dense" in repr(both)


def test_a_head_may_be_the_trunks_own_values(noise):
    model = sr.Model(inputs=2, layers=[sr.RNN(3)], heads={"h": sr.Dropout(0.5), "y": sr.Dense(1)}, seed=0)
    x = sequences(noise, 4, 2)
    trunk = sr.Model(inputs=2, layers=[sr.RNN(3)], tensors={n: t for n, t in model.tensors.items() if n.startswith("layers")})
    assert np.array_equal(model.split(model.run(x))["h"], trunk.run(x))


def test_without_heads_there_is_nothing_to_split(model):
    assert dict(model.heads) == {}
    assert model.split(np.zeros((2, 2))) == {}


@pytest.mark.parametrize("shape", [(7, 3), (4, 7, 3), (0, 3), (4, 0, 3), (0, 7, 3), (0, 0, 3), (1, 1, 3)])
def test_run_keeps_the_leading_shape(model, noise, shape):
    y = model.run(sequences(noise, *shape))
    assert y.shape == (*shape[:-1], 2)
    assert y.dtype == np.float32


def test_a_batch_is_its_sequences(model, noise):
    x = sequences(noise, 19, 6, 3)
    y = model.run(x)
    for n in range(19):
        assert np.array_equal(y[n], model.run(x[n]))


def test_run_starts_from_zero_and_leaves_nothing_behind(model, noise):
    x = sequences(noise, 6, 3)
    before = x.copy()
    assert np.array_equal(model.run(x), model.run(x))
    assert np.array_equal(x, before)


def test_a_length_ends_its_sequence_and_hides_what_stands_behind(model, noise):
    x = sequences(noise, 37, 8, 3)
    lengths = noise.integers(0, 9, 37)
    lengths[:2] = 0, 8
    hidden = x.copy()
    for n, length in enumerate(lengths):
        hidden[n, length:] = np.nan
    y = model.run(hidden, lengths=lengths)
    for n, length in enumerate(lengths):
        assert np.array_equal(y[n, :length], model.run(x[n, :length]))
        assert not y[n, length:].any()
    assert np.array_equal(y, model.run(hidden, lengths=lengths.tolist(), threads=2))


@pytest.mark.parametrize(("lengths", "words"), [
    ([1, 2], "3 whole numbers"), ([1, 2, 9], r"lengths\[2\] is 9.*0 to 4"), ([1, -1, 2], r"lengths\[1\] is -1"),
    ([1.0, 2.0, 3.0], "float64")])
def test_lengths_that_do_not_fit_are_refused_by_place(model, noise, lengths, words):
    with pytest.raises(sr.InputError, match=words):
        model.run(sequences(noise, 3, 4, 3), lengths=lengths)


@pytest.mark.parametrize(("x", "words"), [
    (np.zeros(6), r"got shape \(6,\); reshape .*-1, 3"), (np.zeros((2, 4)), r"\(T, 3\).*got shape \(2, 4\)"),
    (np.zeros((1, 1, 1, 3)), "got shape"), ([[1, 2, 3], [4, 5]], "regular array"), ([["a", "b", "c"]], "got dtype"),
    (np.zeros((2, 3), complex), "complex128")])
def test_sequences_of_another_shape_or_kind_are_refused(model, x, words):
    with pytest.raises(sr.InputError, match=words):
        model.run(x)


def test_a_bad_value_is_named_by_its_place(model):
    x = np.zeros((5, 6, 3), np.float32)
    x[3, 4, 1] = np.inf
    with pytest.raises(sr.InputError, match=r"x\[3\]\[4\]\[1\] is inf"):
        model.run(x)
    with pytest.raises(sr.InputError, match=r"x\[3\]\[4\]\[1\] is inf"):  # named by the user's order, not by length
        model.run(x, lengths=[1, 2, 3, 6, 5])


@pytest.mark.parametrize(("inputs", "layers", "words"), [
    (0, [sr.Dense(1)], "inputs must be a whole number.*got 0"), (True, [sr.Dense(1)], "got True"),
    (2.0, [sr.Dense(1)], r"got 2\.0"), (2, [], r"layers must be a list.*got \[\]"), (2, ["LSTM"], "got .'LSTM'"),
    (2, [sr.LSTM(2), sr.Embedding(3, 2)], "Embedding.*first layer")])
def test_models_that_cannot_be_are_refused(inputs, layers, words):
    with pytest.raises(sr.ConfigError, match=words):
        sr.Model(inputs=inputs, layers=layers)


@pytest.mark.parametrize(("heads", "words"), [
    ([sr.Dense(1)], "dict of names"), ({"a.b": sr.Dense(1)}, "no dots"), ({"": sr.Dense(1)}, "dict of names"),
    ({1: sr.Dense(1)}, "dict of names"), ({"a": []}, r"heads\['a'\] must be"), ({"a": 3}, r"heads\['a'\] must be.*got 3")])
def test_heads_that_cannot_be_are_refused(heads, words):
    with pytest.raises(sr.ConfigError, match=words):
        sr.Model(inputs=2, layers=[sr.RNN(2)], heads=heads)


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t.pop("layers.1.bias"), r"layers.1.bias is missing.*\(2,\)"),
    (lambda t: t.update(more=np.zeros(1)), "tensor more is not part of this model"),
    (lambda t: t.update({"layers.1.bias": np.zeros(3)}), r"layers.1.bias has shape \(3,\), this model needs \(2,\)"),
    (lambda t: t.update({"layers.1.bias": np.array([1, np.nan])}), r"layers.1.bias is not finite.*\(1,\)"),
    (lambda t: t.update({"layers.1.bias": np.array([1e300, 0])}), r"layers.1.bias is not finite in float32.*\(0,\)"),
    (lambda t: t.update({"layers.1.bias": np.array(["a", "b"])}), "layers.1.bias has dtype <U1")])
def test_tensors_that_do_not_fit_are_refused_by_name(model, change, words):
    tensors = dict(model.tensors)
    change(tensors)
    with pytest.raises(sr.ConfigError, match=words):
        model.with_tensors(tensors)


def test_with_tensors_changes_what_it_computes_but_not_the_layers(model, noise):
    other = model.with_tensors({name: t * 2 for name, t in model.tensors.items()})
    x = sequences(noise, 5, 3)
    assert other.signature == model.signature
    assert other.digest != model.digest
    assert not np.array_equal(other.run(x), model.run(x))


@pytest.mark.parametrize(("config", "words"), [
    ({}, "needs inputs and layers"), ({"inputs": 1, "layers": 3}, "needs inputs and layers"), ([], "needs inputs and layers"),
    ({"inputs": 1, "layers": [{"kind": "magic"}]}, "unknown layer kind 'magic'"),
    ({"inputs": 1, "layers": [{"kind": "lstm"}]}, "'lstm' cannot be built"),
    ({"inputs": 1, "layers": [{"kind": "lstm", "units": "3"}]}, "LSTM: units.*'3'"),
    ({"inputs": 1, "layers": [{"kind": ["lstm"]}]}, "needs inputs and layers"),
    ({"inputs": 1, "layers": [{"kind": "lstm", "units": 3}], "heads": []}, "needs inputs and layers")])
def test_configs_that_describe_no_model_are_refused(config, words):
    with pytest.raises(sr.ConfigError, match=words):
        sr.Model.from_config(config)


def test_a_config_builds_the_same_model():
    model = sr.Model(inputs=2, layers=[sr.Embedding(9, 3), sr.GRU(4, reset_after=False), sr.LayerNorm(), sr.Dropout(0.1)],
                     heads={"a": sr.Dense(2, "softmax"), "b": sr.Dense(9)}, seed=5)
    twin = sr.Model.from_config(model.config(), tensors=model.tensors)
    assert (twin.digest, twin.signature, repr(twin)) == (model.digest, model.signature, repr(model))
