"""Projections: PCA against the singular values of NumPy, several sequences in one plane, colours, pictures."""
import numpy as np
import pytest

import streamrnn as sr
from streamrnn.explain.projection import principal


def test_directions_are_those_of_the_singular_value_decomposition(rng):
    values = rng.standard_normal((50, 7)) * np.array([5, 0.1, 3, 0.2, 1, 0.3, 0.1]) + 4
    centre, axes, explained = principal(values)
    _, sizes, rows = np.linalg.svd(values - values.mean(0), full_matrices=False)
    np.testing.assert_allclose(explained, (sizes ** 2 / (sizes ** 2).sum())[:2])
    np.testing.assert_allclose(np.abs(axes @ rows[:2].T), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(centre, values.mean(0))
    assert (np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1) > 0).all()


def test_one_unit_and_no_variance(rng):
    _, axes, explained = principal(rng.standard_normal((9, 1)))
    assert axes.tolist() == [[1], [0]] and explained.tolist() == [1, 0]
    _, _, explained = principal(np.ones((4, 3)))
    assert explained.tolist() == [0, 0]


def test_sequences_share_a_plane(rng):
    model = sr.Model(3, [sr.LSTM(9), sr.GRU(5), sr.Dense(2)], seed=1)
    x = [rng.standard_normal((steps, 3)).astype(np.float32) for steps in (30, 12)]
    found = sr.projection(model, x, columns=["a", "b", "c"])
    states = [sr.activations(model, part)["layers.1"]["h"] for part in x]
    assert found.layer == "layers.1" and [len(points) for points in found.points] == [30, 12]
    np.testing.assert_allclose(found.points[1], found.place(states[1]))
    together = np.concatenate(found.points)
    np.testing.assert_allclose(together.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(together.var(0) / np.concatenate(states).var(0, dtype=np.float64).sum(), found.explained, rtol=1e-5)
    assert found.colours()[1].tolist() == list(range(12))
    assert (found.colours("b")[0] == x[0][:, 1]).all() and (found.colours("y[1]")[1] == model.run(x[1])[:, 1]).all()
    with pytest.raises(sr.InputError, match=r"by time, by a, b, c, y\[0\], y\[1\]; got 'd'"):
        found.colours("d")
    assert "42 states of 2 sequences" in repr(found)
    assert sr.projection(model, x[0], layer="0").axes.shape == (2, 9)
    assert len(sr.projection(model, np.stack([x[1], x[1]])).points) == 2
    with pytest.raises(sr.InputError, match="no sequence"):
        sr.projection(model, [])


def test_pictures(rng, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    model, x = sr.Model(3, [sr.LSTM(9), sr.Dense(2)], seed=1), rng.standard_normal((40, 3)).astype(np.float32)
    sr.projection(model, [x, x[:9]]).plot(tmp_path / "plane.png", colour="y[0]")
    sr.saliency(model, x).plot(tmp_path / "map.png")
    sr.saliency(model, x[:1], at=0).plot(tmp_path / "one.png", by="gradient")
    for name in ("plane", "map", "one"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_layers_without_h(rng):
    """An LRU's states are its two parts; attention has none that moves, so the layer before it is taken."""
    x = rng.standard_normal((30, 3)).astype(np.float32)
    plane = sr.projection(sr.Model(3, [sr.LRU(4, states=5), sr.Attention(4, 6)], seed=3), x)
    assert plane.layer == "layers.0" and plane.axes.shape == (2, 10)
    with pytest.raises(sr.ConfigError, match=r"keeps a window, not a state that moves: take layer='layers\.0'"):
        sr.projection(sr.Model(3, [sr.GRU(4), sr.Attention(4, 6)]), x, layer="layers.1")
    with pytest.raises(sr.ConfigError, match="has where it looks"):
        sr.projection(sr.Model(3, [sr.Attention(4, 6)]), x)
