"""The public door: every name resolves, and the README's lines work as they are written."""
import numpy as np
import pytest

import streamrnn as sr

TREE = {"ConfigError": ValueError, "InputError": ValueError, "StateError": ValueError, "UnknownStream": LookupError,
        "EngineFull": Exception, "EngineBusy": RuntimeError, "FileError": ValueError,
        "StoreFailed": Exception, "ServerRefused": Exception, "TimedOut": TimeoutError, "BufferFull": Exception,
        "Diverged": ArithmeticError, "NoDevice": RuntimeError, "MissingExtra": ImportError}


@pytest.mark.parametrize("name", sr.__all__)
def test_every_public_name_resolves(name):
    assert getattr(sr, name) is not None
    assert name in dir(sr)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'streamrnn' has no attribute 'LSTN'"):
        sr.LSTN
    assert not hasattr(sr, "LSTN")


@pytest.mark.parametrize("name", TREE)
def test_errors_are_of_one_tree_and_of_pythons_own(name):
    error = getattr(sr, name)
    assert issubclass(error, sr.StreamRNNError)
    assert issubclass(error, TREE[name])
    assert name in __import__("streamrnn.errors").errors.__doc__


def test_the_tree_has_no_other_branches():
    from streamrnn import errors
    found = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, sr.StreamRNNError)}
    assert found == {*TREE, "StreamRNNError"}
    assert found <= set(sr.__all__)


def test_the_door_works_as_written(tmp_path):
    model = sr.Model(inputs=8, layers=[sr.LSTM(64), sr.Dense(1)], seed=0)
    x = np.random.default_rng(0).standard_normal((4, 20, 8), dtype=np.float32)

    y = model.run(x)
    assert y.shape == (4, 20, 1)
    assert model.run(x[0]).shape == (20, 1)
    assert model.run(x, lengths=[20, 3, 0, 7]).shape == (4, 20, 1)

    model.save(tmp_path / "pump.safetensors")
    model = sr.load(tmp_path / "pump.safetensors")
    assert np.array_equal(model.run(x), y)

    stream = model.stream()
    assert isinstance(stream, sr.Stream)
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x[0]]), y[0])

    engine = sr.Engine(model, capacity=100, threads=2, ttl=3600, on_evict=print)
    assert np.array_equal(engine.step("pump-7", x[0, 0]), y[0, 0])
    assert np.array_equal(engine.step_many(["pump-7", "pump-8", "pump-7"], x[0, [1, 0, 2]])[:, 0], y[0, [1, 0, 2], 0])
    row = engine.state("pump-7")
    assert row["layers.0.h"].shape == row["layers.0.c"].shape == (64,)
    engine.reset("pump-8")
    engine.set_state("pump-8", row)
    engine.close("pump-7")
    engine.snapshot(tmp_path / "engine.db")
    again = sr.Engine.restore(tmp_path / "engine.db", model)
    assert again.ids == ["pump-8"]
    assert np.array_equal(again.step("pump-8", x[0, 3]), y[0, 3])


def test_the_modules_own_example_works():
    lines = [line.split("#")[0].strip() for line in sr.__doc__.splitlines() if line.startswith("    ")]
    names = {"x": np.ones((5, 8), np.float32), "x_t": np.ones(8, np.float32)}
    exec("\n".join(lines), names)
    assert names["y"].shape == (5, 1)
    assert np.array_equal(names["y_t"], names["y"][0])
