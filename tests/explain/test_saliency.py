"""Saliency against the float64 twin, central differences of the model itself, and torch's autograd."""
import numpy as np
import pytest
import reference

import streamrnn as sr
from streamrnn.explain import drive
from streamrnn.explain.saliency import output_names

STACKS = {
    "rnn": [sr.RNN(7, "relu"), sr.RNN(3), sr.Dense(2)],
    "lstm": [sr.LSTM(19), sr.LayerNorm(), sr.LSTM(5), sr.Dense(2, "softmax")],
    "gru": [sr.GRU(17), sr.Dropout(0.4, variational=True), sr.GRU(4, reset_after=False), sr.Dense(2)],
    "scaled": [sr.Scale(), sr.LSTM(6), sr.Dropout(0.3), sr.Dense(20, "tanh"), sr.Dense(2), sr.Unscale()],
    "from elsewhere": [sr.Recurrence("lstm", 9, ("hard_sigmoid", "tanh", "softsign"), peepholes=True, clip=1.5, projection=5, starts=True),
                       sr.Activation("softplus"), sr.Recurrence("gru", 6, reset_after=False), sr.Activation("elu"), sr.Dense(2)],
    "without time": [sr.Dense(9, "sigmoid"), sr.Dense(2)],
    "nothing to learn": [sr.Scale()],
}


def built(layers, rng, inputs=3, **options):
    """Scalers that scale, like those of a fit."""
    model = sr.Model(inputs, layers, seed=2, **options)
    odd = {name: rng.uniform(0.5, 2, tensor.shape) for name, tensor in model.tensors.items() if name.endswith((".shift", ".factor"))}
    return model.with_tensors({**model.tensors, **odd})


def twin(model, x, at, columns):
    """(k, at + 1, inputs): the gradient of each of these columns at a step."""
    found = []
    for column in columns:
        d_y = np.zeros((at + 1, model.outputs))
        d_y[at, column] = 1
        found.append(reference.gradient(model, x[:at + 1], d_y)[1])
    return np.array(found)


@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("at", [-1, 9, 10, 0])
def test_gradients_are_the_twins_across_pieces(layers, at, rng, monkeypatch):
    monkeypatch.setattr(drive, "PIECE", 5)
    model, x = built(layers, rng), rng.standard_normal((23, 3)).astype(np.float32)
    found = sr.saliency(model, x, output=1, at=at)
    want, = twin(model, x, found.at, [1])
    np.testing.assert_allclose(found.gradient[:found.at + 1], want, rtol=1e-4, atol=2e-6 * np.abs(want).max())
    assert found.gradient.shape == (23, 3) and not found.gradient[found.at + 1:].any()
    np.testing.assert_allclose(found.times_input, found.gradient * x, rtol=1e-6)
    np.testing.assert_allclose(found.deviation, found.gradient * x.std(0), rtol=1e-5)
    assert found.value.tobytes() == model.run(x)[found.at, 1].tobytes()


def test_a_long_sequence_takes_the_memory_of_a_piece(rng):
    model, x = sr.Model(3, [sr.LSTM(9), sr.Dense(1)], seed=1), rng.standard_normal((700, 3)).astype(np.float32)
    passage = drive.Passage(model, x, backwards=True)
    assert passage.tape.time == drive.PIECE < 700
    found = sr.saliency(model, x)
    want, = twin(model, x, 699, [0])
    np.testing.assert_allclose(found.gradient, want, rtol=1e-3, atol=1e-6 * np.abs(want).max())


def test_finite_differences_of_the_model_itself(rng):
    model, x = built([sr.Scale(), sr.GRU(12), sr.Dense(1), sr.Unscale()], rng), rng.standard_normal((12, 3)).astype(np.float32)
    found, step = sr.saliency(model, x), np.float32(1 / 64)
    for t, k in np.ndindex(*x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[t, k] += sign * step
            ends.append(float(model.run(moved)[-1, 0]))
        assert found.gradient[t, k] == pytest.approx((ends[0] - ends[1]) / (2 * float(step)), abs=2e-4)


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_torchs_autograd(cell, rng):
    torch = pytest.importorskip("torch")
    own, dense = getattr(torch.nn, cell)(3, 10), torch.nn.Linear(10, 2)
    tensors = {f"layers.0.{name}": value.detach().numpy() for name, value in own.named_parameters()}
    tensors |= {f"layers.1.{name}": value.detach().numpy() for name, value in dense.named_parameters()}
    model = sr.Model(3, [getattr(sr, cell)(10), sr.Dense(2)], tensors=tensors)
    x = rng.standard_normal((30, 3)).astype(np.float32)
    given = torch.tensor(x, requires_grad=True)
    dense(own(given[:, None])[0])[20, 0, 1].backward()
    found = sr.saliency(model, x, output=1, at=20)
    np.testing.assert_allclose(found.gradient, given.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_heads_by_name_by_column_and_as_a_whole(rng):
    heads = {"mean": sr.Dense(1), "class": [sr.GRU(4), sr.Dense(6, "softmax")], "all": sr.Dropout(0.2)}
    model, x = built([sr.LSTM(5)], rng, heads=heads), rng.standard_normal((11, 3)).astype(np.float32)
    assert output_names(model)[:3] == ["mean", "class[0]", "class[1]"] and output_names(model)[-1] == "all[4]"
    assert sr.saliency(model, x, "mean").output == sr.saliency(model, x, 0).output == "mean"
    one, want = sr.saliency(model, x, "class[2]"), twin(model, x, 10, range(1, 7))
    np.testing.assert_allclose(one.gradient, want[2], rtol=1e-4, atol=1e-7)
    assert one.gradient.tobytes() == sr.saliency(model, x, 3).gradient.tobytes() == sr.saliency(model, x, "3").gradient.tobytes()
    whole = sr.saliency(model, x, "class")  # six columns: more than a tape has slots
    np.testing.assert_allclose(whole.gradient, np.sqrt((want ** 2).sum(0)), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(whole.times_input, whole.gradient * np.abs(x), rtol=1e-4, atol=1e-8)
    assert whole.value.shape == (6,) and not whole.signed and one.signed
    assert "the largest class[" in whole.explain()


def test_tokens_have_the_gradient_of_their_embedding(rng):
    model, x = sr.Model(2, [sr.Embedding(6, 3), sr.GRU(5), sr.Dense(2)], seed=4), rng.integers(0, 6, (9, 2))
    beyond = sr.Model(6, [sr.GRU(5), sr.Dense(2)], tensors={  # the same net over the vectors themselves
        f"layers.{i - 1}.{name}": tensor for key, tensor in model.tensors.items() for _, i, name in [key.split(".")]
        for i in [int(i)] if i})
    vectors = model.tensors["layers.0.weight"][x]
    found, want = sr.saliency(model, x, 1, at=7), sr.saliency(beyond, vectors.reshape(9, 6), 1, at=7).gradient.reshape(9, 2, 3)
    np.testing.assert_allclose(found.embedded, want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.gradient, np.sqrt((want ** 2).sum(-1)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.times_input, (want * vectors).sum(-1), rtol=1e-4, atol=1e-7)
    assert found.measure == "input" and "adds" in found.explain()
    with pytest.raises(sr.InputError, match="tokens have no deviation"):
        found.measured("deviation")


def test_names_strongest_shares_and_words(rng):
    model, x = sr.Model(3, [sr.LSTM(5), sr.Dense(1)], seed=1), rng.standard_normal((40, 3)).astype(np.float32)
    found = sr.saliency(model, x, columns=["a", "b", "c"])
    assert (found["b"] == found.gradient[:, 1]).all() and (found.by_column["c"] == found.gradient[:, 2]).all()
    most = found.strongest(4)
    sizes = np.sort(np.abs(found.deviation).ravel())[::-1]
    assert [abs(one.strength) for one in most] == pytest.approx(sizes[:4].tolist())
    assert all(one.back == 39 - one.step and one.value == x[one.step, "abc".index(one.column)] for one in most)
    assert {one.column for one in found.strongest(50, column="b", by="gradient")} == {"b"}
    assert sum(found.shares().values()) == pytest.approx(1) and list(found.shares().values()) == sorted(found.shares().values())[::-1]
    reach, sums = found.reach(), np.abs(found.deviation).sum(1)
    assert sums[39 - reach:].sum() >= 0.99 * sums.sum() > sums[40 - reach:].sum()
    words = found.explain(2).splitlines()
    assert words[0].startswith("y[0] at step 39 is ") and f"% {most[0].column}, " in words[1] and len(words) == 3
    assert "reaches" in repr(found)
    silent = sr.saliency(model.with_tensors({**model.tensors, "layers.1.weight": np.zeros((1, 5))}), x)
    assert silent.strongest() == [] and silent.reach() == 0 and "no input" in silent.explain()


def test_what_cannot_be_explained_is_refused(rng):
    model, x = sr.Model(3, [sr.LSTM(5), sr.Dense(2)], seed=1), rng.standard_normal((9, 3)).astype(np.float32)
    for wrong in (2, -3, "mean", "y[2]", 0.5, None):
        with pytest.raises(sr.ConfigError, match=r"it has y\[0\], y\[1\]"):
            sr.saliency(model, x, output=wrong)
    for wrong in (9, -10, 1.5):
        with pytest.raises(sr.InputError, match="step"):
            sr.saliency(model, x, at=wrong)
    for wrong in (["a", "b"], ["a", "b", "b"], "abc"):
        with pytest.raises(sr.InputError, match="columns"):
            sr.saliency(model, x, columns=wrong)
    with pytest.raises(sr.InputError, match="one sequence at a time"):
        sr.saliency(model, x[None])
    with pytest.raises(sr.InputError, match="without a step"):
        sr.saliency(model, x[:0])
    with pytest.raises(sr.InputError, match="finite"):
        sr.saliency(model, np.where(np.arange(9)[:, None] == 4, np.nan, x))
    assert sr.saliency(model, np.where(np.arange(9)[:, None] == 4, np.nan, x), at=3).strongest()  # what comes later may be missing
    assert sr.saliency(model, x[:1]).measure == "gradient"
    for column in ("x[3]", "a"):
        with pytest.raises(sr.InputError, match="no column"):
            sr.saliency(model, x)[column]


@pytest.mark.parametrize("look", [sr.saliency, sr.activations, sr.projection])
def test_a_detector_is_refused_by_the_layer_with_what_to_do_instead(look):
    detector, x = sr.Detector.cold(2), np.zeros((5, 2), np.float32)
    with pytest.raises(sr.ConfigError, match=r"layers\.\d \(\w+\) has no derivative.*verdict\.blame"):
        look(detector.model, x)
    with pytest.raises(sr.ConfigError, match=r"Detector.*verdict\.blame"):
        look(detector, x)
