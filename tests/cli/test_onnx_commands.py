"""streamrnn import and export with ONNX files."""
import numpy as np
import pytest

import streamrnn as sr
from streamrnn.cli import main

pytest.importorskip("onnx")


def test_there_and_back(tmp_path, capsys, rng):
    model = sr.Model(3, [sr.GRU(5), sr.Dense(2)])
    model.save(tmp_path / "m.safetensors")
    assert main(["export", str(tmp_path / "m.safetensors"), "--onnx", str(tmp_path / "m.onnx")]) == 0
    assert "takes x (batch, 3), layers.0.h (batch, 5); gives y (batch, 2), layers.0.h.new (batch, 5)" in capsys.readouterr().out
    assert main(["import", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "again.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "GRU" in said and "parity: " in said and "saved" in said
    x = rng.standard_normal((9, 3)).astype(np.float32)
    assert np.array_equal(sr.load(tmp_path / "again.safetensors").run(x), model.run(x))


def test_models_that_look_ahead(tmp_path, capsys):
    sr.Model(3, [sr.Bidirectional(sr.LSTM(4))]).save(tmp_path / "m.safetensors")
    assert main(["info", str(tmp_path / "m.safetensors")]) == 0
    assert "whole sequences only" in capsys.readouterr().out
    assert main(["export", str(tmp_path / "m.safetensors"), "--onnx", str(tmp_path / "m.onnx")]) == 1
    assert "--sequence" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "m.safetensors"), "--onnx", str(tmp_path / "m.onnx"), "--sequence"]) == 0
    assert main(["import", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "n.safetensors"), "--inputs", "x", "--outputs", "y"]) == 0


def test_what_is_wrong_is_said(tmp_path, capsys):
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    assert main(["import", str(tmp_path / "bad.onnx"), "-o", str(tmp_path / "n.safetensors")]) == 1
    assert "bad.onnx" in capsys.readouterr().err
    sr.Model(3, [sr.LSTM(4)]).save(tmp_path / "m.safetensors")
    assert main(["export", str(tmp_path / "m.safetensors")]) == 1
    assert "--onnx" in capsys.readouterr().err
