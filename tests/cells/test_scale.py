"""Scalers: what they measure, that nothing blows up, and that their numbers are constants with a gradient through them."""
import numpy as np
import pytest
import reference

from streamrnn import LSTM, Dense, Model, Scale, Unscale, load

F = np.float32


@pytest.fixture
def values(rng):
    """Columns far from 0, spread wide and narrow, and one that never changes."""
    columns = rng.normal(size=(500, 4)) * [1, 1e3, 1e-3, 0] + [0, 1e4, -5, 7]
    return columns.astype(F)


@pytest.mark.parametrize("kind", [Scale, Unscale])
def test_fresh_scalers_are_the_identity(kind, rng):
    model = Model(inputs=3, layers=[kind()])
    x = rng.normal(size=(5, 3)).astype(F)
    assert (model.run(x) == x).all()
    assert set(kind().constants) == set(kind().parameters(3))


def test_standard_gives_mean_0_and_deviation_1(values):
    got = Scale().settle(values)
    scaled = reference.scale({}, {name: tensor.astype(float) for name, tensor in got.items()}, values.astype(float), {})
    assert np.abs(scaled.mean(0)).max() < 1e-3 and np.abs(scaled.std(0)[:3] - 1).max() < 1e-3
    assert (got["factor"].dtype, got["shift"].dtype) == (F, F)


def test_minmax_gives_0_to_1(values):
    got = Scale(by="minmax").settle(values)
    scaled = Model(4, [Scale(by="minmax")], tensors={f"layers.0.{name}": tensor for name, tensor in got.items()}).run(values)
    assert np.abs(scaled.min(0)).max() < 1e-4 and np.abs(scaled.max(0)[:3] - 1).max() < 1e-3
    assert (scaled[:, 3] == 0).all()


@pytest.mark.parametrize("by", ["standard", "minmax"])
@pytest.mark.parametrize("constant", [0.0, 7.0, -1e30, 3.3333e-3])
def test_a_constant_column_is_only_shifted(by, constant):
    values = np.full((100, 4), constant, F)
    there, back = Scale(by).settle(values), Unscale(by).settle(values)
    assert (there["factor"] == 1).all() and (back["factor"] == 1).all()
    assert (there["shift"] == F(constant)).all() and (back["shift"] == F(constant)).all()


@pytest.mark.parametrize("by", ["standard", "minmax"])
def test_unscale_undoes_scale(by, values):
    tensors = {f"layers.{i}.{name}": tensor for i, layer in enumerate((Scale(by), Unscale(by)))
               for name, tensor in layer.settle(values).items()}
    model = Model(4, [Scale(by), Unscale(by)], tensors=tensors)
    assert np.abs(model.run(values) - values).max() <= 2e-7 * np.abs(values).max()


@pytest.mark.parametrize("width", [1, 5, 16, 33])
def test_a_scaled_model_is_the_reference_and_the_same_after_a_file(width, rng, tmp_path):
    model = Model(width, [Scale(), LSTM(7), Dense(2), Unscale(by="minmax")], seed=1)
    model = model.with_tensors({name: rng.uniform(0.5, 2, tensor.shape).astype(F) if "shift" in name or "factor" in name else tensor
                                for name, tensor in model.tensors.items()})
    x = rng.normal(size=(50, width)).astype(F)
    assert np.abs(model.run(x) - reference.run(model, x)).max() <= 5e-6
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.layers == model.layers and (again.run(x) == model.run(x)).all()
    stream = again.stream()
    assert (np.stack([stream.step(sample) for sample in x]) == model.run(x)).all()
