"""A small model with all kinds of state, and samples for it."""
import numpy as np
import pytest

import streamrnn as sr


@pytest.fixture(scope="session")
def model():
    return sr.Model(inputs=3, layers=[sr.LSTM(5), sr.GRU(4), sr.Dense(2)], seed=6)


@pytest.fixture
def x():
    return np.random.default_rng(9).standard_normal((40, 3), dtype=np.float32)


@pytest.fixture
def engine(model):
    return sr.Engine(model)


@pytest.fixture
def image():
    """All that an engine knows of its streams, to compare before and after."""
    return lambda engine: {id: np.asarray(engine.state(id)).tobytes() for id in engine.ids}
