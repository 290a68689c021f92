"""streamrnn import: a file in, a model and the proof out; refusals in one line."""
import numpy as np
import pytest
import safetensors.numpy
from test_cli import python, streamrnn

import streamrnn as sr
from streamrnn.cli.import_ import FORMATS


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A state_dict of torch's names as a .safetensors file, which needs no torch."""
    model = sr.Model(inputs=3, layers=[sr.LSTM(4), sr.Dense(2)], seed=1)
    path = tmp_path_factory.mktemp("import") / "net.safetensors"
    names = {"layers.0": "lstm", "layers.1": "fc"}
    safetensors.numpy.save_file({names[key[:8]] + key[8:]: np.array(tensor) for key, tensor in model.tensors.items()}, path)
    return model, path


def test_a_file_becomes_a_model(net, tmp_path):
    model, path = net
    done = streamrnn("import", path, "-o", tmp_path / "m.safetensors")
    assert done.returncode == 0, done.stderr
    assert sr.load(tmp_path / "m.safetensors").digest == model.digest
    lines = done.stdout.splitlines()
    assert lines[0] == "lstm  ->  LSTM(units=4)"
    assert any(line.startswith("parity: ") for line in lines)
    assert lines[-1].startswith(f"saved {tmp_path / 'm.safetensors'}: <Model 3 -> ")


def test_options_reach_the_reader(net, tmp_path):
    _, path = net
    other = path.rename(path.with_suffix(".weights"))
    try:
        done = streamrnn("import", other, "-o", tmp_path / "m.safetensors")
        assert (done.returncode, done.stdout) == (1, "")
        assert "its name does not say what it is: give --format, one of torch, keras" in done.stderr
        other = other.rename(path)
        done = streamrnn("import", path, "-o", tmp_path / "m.safetensors", "--format", "torch", "--layers", "lstm=LSTM,fc=Linear:softmax",
                         "--tolerance", "1e-3")
        assert done.returncode == 0, done.stderr
        assert sr.load(tmp_path / "m.safetensors").layers[-1] == sr.Dense(2, "softmax")
    finally:
        if not path.exists():
            other.rename(path)


@pytest.mark.parametrize(("more", "words"), [
    (["--accept", "lstm"], "--accept is for keras, and"),
    (["--layers", "lstm=GRU"], "lstm: layers says GRU, but its tensors are those of LSTM"),
    (["--format", "keras"], "is neither a .keras file (a zip) nor an .h5 file (HDF5)"),
    (["--tolerance", "0"], "a number above 0, such as 1e-4, got '0'"),
    (["--format", "tflite"], "invalid choice: 'tflite'"),
])
def test_refusals_are_one_line_and_leave_nothing(net, tmp_path, more, words):
    done = streamrnn("import", net[1], "-o", tmp_path / "m.safetensors", *more)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_is_not_written_over_itself_and_must_be_there(net, tmp_path):
    done = streamrnn("import", net[1], "-o", net[1])
    assert done.returncode == 1
    assert "is the file that is imported" in done.stderr
    done = streamrnn("import", tmp_path / "none.keras", "-o", tmp_path / "m.safetensors")
    assert done.returncode == 1
    assert "none.keras" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_format_has_its_reader():
    from importlib import import_module
    for name in FORMATS:
        assert callable(getattr(import_module(f"streamrnn.interop.from_{name}"), f"from_{name}"))


def test_the_doors_are_there_before_torch_and_keras_are():
    done = python("-c", "import sys, streamrnn as sr; sr.from_torch; sr.from_keras; "
                        "print([m for m in ('torch', 'keras', 'h5py') if m in sys.modules])")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
