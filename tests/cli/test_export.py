"""streamrnn export: what it writes, what it says, what it refuses."""
import sys

import pytest

import streamrnn as sr
from streamrnn.cli import main
from streamrnn.interop import c


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "m.safetensors"
    model = sr.Model(inputs=2, layers=[sr.LSTM(3), sr.Dense(1)], seed=0)
    model.save(path)
    return model, str(path)


def test_a_c_file(saved, tmp_path, capsys):
    model, path = saved
    out = tmp_path / "my-plant.c"
    assert main(["export", path, "--c", str(out)]) == 0
    assert out.read_text() == c.program(model, "my_plant").text
    told = capsys.readouterr().out
    assert f"{out}: my_plant_step; " in told and "24 bytes a stream" in told


@pytest.mark.skipif(c.compiler() is None, reason="needs a C compiler: none of $CC, cc, gcc and clang is there")
def test_a_checked_c_file(saved, tmp_path, capsys):
    assert main(["export", saved[1], "--c", str(tmp_path / "out.c"), "--name", "fan", "--check"]) == 0
    told = capsys.readouterr().out
    assert "fan_step" in told and "checked over 1,000 results" in told and "equal bit for bit" in told


def test_a_torch_file(saved, tmp_path, capsys):
    pytest.importorskip("torch")
    assert main(["export", saved[1], "--torch", str(tmp_path / "m.pt"), "--c", str(tmp_path / "m.c")]) == 0
    told = capsys.readouterr().out
    assert "state_dict of 6 tensors" in told and "torch's results differ by up to" in told
    assert (tmp_path / "m.pt").exists() and (tmp_path / "m.c").exists()


@pytest.mark.parametrize(("options", "message"), [
    ([], "nothing to write: name a file for one or more of --c, --onnx, --torch"),
    (["--check"], "nothing to write"),
    (["--torch", "m.pt", "--check"], "--name and --check belong to --c OUT.c"),
    (["--c", "m.c", "--name", "2fans"], "letters, digits and _"),
    (["--c", "none/m.c"], "No such file"),
])
def test_what_it_refuses(saved, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", saved[1], *options]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_model_that_looks_ahead(tmp_path, capsys):
    pytest.importorskip("torch")
    path = str(tmp_path / "m.safetensors")
    sr.Model(2, [sr.Bidirectional(sr.MinGRU(3)), sr.Dense(1)]).save(path)
    assert main(["export", path, "--c", str(tmp_path / "m.c")]) == 1
    assert "layers.0, Bidirectional" in (told := capsys.readouterr().err) and "--onnx OUT.onnx --sequence and --torch" in told
    assert main(["export", path, "--torch", str(tmp_path / "m.pt")]) == 0
    assert "torch's results differ by up to" in capsys.readouterr().out


def test_without_torch_it_says_how_to_get_it(saved, tmp_path, monkeypatch, capsys):
    import streamrnn.interop
    monkeypatch.delattr(streamrnn.interop, "torch", raising=False)
    monkeypatch.delitem(sys.modules, "streamrnn.interop.torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["export", saved[1], "--torch", str(tmp_path / "m.pt")]) == 1
    assert "needs torch: pip install torch" in capsys.readouterr().err
