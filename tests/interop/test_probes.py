"""The samples with which imports and exports are proven: what the first layer takes, for models that look ahead too; one error for all."""
import numpy as np
import pytest

import streamrnn as sr
from streamrnn.interop import parity, probes


@pytest.mark.parametrize("layers", [[sr.LSTM(3)], [sr.Bidirectional(sr.GRU(3)), sr.Dense(2)]])
def test_tokens_are_those_of_the_embedding(layers):
    model = sr.Model(1, [sr.Embedding(5, 2), *layers])
    x = probes.samples(model, (50, 4))
    assert x.shape == (50, 4, 1)
    assert set(np.unique(x)) == {0, 1, 2, 3, 4}
    assert probes.samples(model, 200, lowest=1).min() == 1
    assert model.run(x).shape[:2] == (50, 4)


def test_values_are_around_the_shift_of_a_scale():
    model = sr.Model(2, [sr.Scale(), sr.Bidirectional(sr.GRU(3))])
    model = model.with_tensors(dict(model.tensors) | {"layers.0.shift": np.array([1000, -5], np.float32),
                                                      "layers.0.factor": np.array([0.1, 2], np.float32)})
    x = probes.samples(model, 2000)
    assert np.abs(x.mean(0) - [1000, -5]).max() < 1
    assert np.abs(x.std(0) - [10, 0.5]).max() < 1


def test_a_generator_goes_on():
    model, rng = sr.Model(2, [sr.GRU(3)]), np.random.default_rng(0)
    assert not np.array_equal(probes.samples(model, 5, rng), probes.samples(model, 5, rng))


def test_errors_and_the_words_of_a_refusal():
    ours, theirs = np.array([0.5, 101, np.nan, np.inf], np.float32), np.array([0.25, 100, 1, np.inf])
    assert np.array_equal(parity.errors_of(ours, theirs), [0.25, 0.01, np.inf, np.inf])
    assert str(parity.beyond("it is wrong", 0.25, 1e-4)) == (
        "parity: it is wrong, above the tolerance of 1e-04; nothing was imported. If that is what you want, give a tolerance of your own "
        "(tolerance=5e-01, --tolerance)")
    assert "tolerance=float('inf')" in str(parity.beyond("it is wrong", np.inf, 1e-4))
