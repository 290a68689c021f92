"""streamrnn explain: where an output comes from, in words, as JSON and as a picture."""
import csv
import json

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.cli import main

NAMES = "wind", "level", "noise"


def table(path, values, names=NAMES, **texts):
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*texts, *names])
        for k, row in enumerate(values):
            rows.writerow([*(cells[k] for cells in texts.values()), *("" if v != v else f"{v:.7g}" for v in row)])
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a net of two heads, and tables to put through it."""
    folder, rng = tmp_path_factory.mktemp("explain"), np.random.default_rng(3)
    sr.Model(3, [sr.LSTM(8)], heads={"mean": sr.Dense(1), "class": sr.Dense(5, "softmax")}, seed=1).save(folder / "m.safetensors")
    x = rng.standard_normal((60, 3)).astype(np.float32)
    table(folder / "plain.csv", x)
    table(folder / "pumps.csv", x, time=[f"2024-01-01T00:{k:02}:00" for k in range(60)], pump=["a", "b", "b"] * 20)
    table(folder / "more.csv", np.hstack([x, x[:, :1]]), (*NAMES, "other"))
    x[5, 1] = np.nan
    table(folder / "holes.csv", x)
    return folder


def said(capsys, *arguments):
    assert main(["explain", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments):
    assert main(["explain", *map(str, arguments)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("streamrnn explain: ") and out == ""
    return err


def test_words_and_numbers_are_those_of_the_door(files, capsys):
    told, model = files / "why.json", sr.load(files / "m.safetensors")
    out = said(capsys, files / "m.safetensors", files / "plain.csv", "--at", 40, "--count", 3, "--json", told)
    x = sr.saliency(model, np.loadtxt(files / "plain.csv", np.float32, delimiter=",", skiprows=1), at=40, columns=NAMES)
    assert out.startswith("mean at row 40 (of 60 rows, from 0) is ")
    found = json.loads(told.read_text(encoding="utf-8"))
    assert [one["column"] for one in found["strongest"]] == [one.column for one in x.strongest(3)]
    assert all(f"{one.strength:+.3g}" in out and one.column in out for one in x.strongest(3))
    rows = slice(found["first"], 41)
    np.testing.assert_allclose(found["gradient"], x.gradient[rows])
    np.testing.assert_allclose(found["times_input"], x.times_input[rows])
    assert found["share"] == x.shares() and found["reach"] == x.reach() and found["output"] == "mean"
    assert list(found["gates"]["layers.0"]) == list("hcifgo") and len(found["states"]["points"][0]) == 60
    assert all(0 <= found["gates"]["layers.0"][gate]["mean"] <= 1 for gate in "ifo")


def test_streams_by_a_column(files, capsys):
    out = said(capsys, files / "m.safetensors", files / "pumps.csv", "--by", "pump", "--stream", "b", "--output", "class[3]")
    assert out.startswith("class[3] at row 39 of stream b (of 40 rows, from 0) is ")
    assert "of the first stream (of 20 rows" in said(capsys, files / "m.safetensors", files / "pumps.csv", "--by", "pump")
    assert "there are a, b" in refused(capsys, files / "m.safetensors", files / "pumps.csv", "--by", "pump", "--stream", "c")
    assert "--by COLUMN" in refused(capsys, files / "m.safetensors", files / "plain.csv", "--stream", "c")


def test_columns_missing_values_and_measures(files, capsys):
    model = files / "m.safetensors"
    assert "takes 3 inputs, the table has 4: wind, level, noise, other" in refused(capsys, model, files / "more.csv")
    assert "--columns names 2" in refused(capsys, model, files / "more.csv", "--columns", "wind,level")
    assert "other" in said(capsys, model, files / "more.csv", "--columns", "other,level,noise", "--measure", "input")
    assert "row 6 (the header not counted), column 'level'" in refused(capsys, model, files / "holes.csv")
    for how in ("zero", "previous"):
        assert "of 60 rows" in said(capsys, model, files / "holes.csv", "--fill", how, "--measure", "gradient")
    assert "steps 0 to 59" in refused(capsys, model, files / "plain.csv", "--at", 60)
    assert "class[4], and the heads mean, class" in refused(capsys, model, files / "plain.csv", "--output", "most")
    assert "layers.0" in refused(capsys, model, files / "plain.csv", "--layer", "layers.3")
    assert "by time, by wind" in refused(capsys, model, files / "plain.csv", "--colour", "red")


def test_text_of_a_model_with_a_vocabulary(tmp_path, files, capsys):
    text = "the rabbit was late, the rabbit was white"
    characters = sr.Characters.of(text)
    sr.Model(1, [sr.Embedding(len(characters), 4), sr.GRU(6), sr.Dense(2)], tokens=characters).save(tmp_path / "w.safetensors")
    (tmp_path / "page.txt").write_text(text, encoding="utf-8")
    out = said(capsys, tmp_path / "w.safetensors", tmp_path / "page.txt", "--at", 10)
    assert "adds" in out and any(line.split()[-2:-1] == ["t"] for line in out.splitlines())
    assert "no vocabulary" in refused(capsys, files / "m.safetensors", tmp_path / "page.txt")
    (tmp_path / "none.txt").write_text("", encoding="utf-8")
    assert "holds nothing" in refused(capsys, tmp_path / "w.safetensors", tmp_path / "none.txt")


def test_pictures(files, tmp_path, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    model = files / "m.safetensors"
    for name, options in {"plain": [], "head": ["--output", "class", "--colour", "level"], "start": ["--at", 0],
                          "streams": ["--by", "pump", "--steps", 5, "--units", 2]}.items():
        path = tmp_path / f"{name}.png"
        assert f"drew {path}" in said(capsys, model, files / "pumps.csv", "--columns", "wind,level,noise", "--plot", path, *options)\
            .replace("\n", "")
        assert path.stat().st_size > 20_000
    sr.Model(3, [sr.Dense(1)]).save(tmp_path / "dense.safetensors")
    out = said(capsys, tmp_path / "dense.safetensors", files / "plain.csv", "--plot", tmp_path / "dense.svg")
    assert "last 1 row\n" in out and "states" not in out and (tmp_path / "dense.svg").exists()
    assert "no recurrent layer" in refused(capsys, tmp_path / "dense.safetensors", files / "plain.csv", "--layer", "layers.0")
    sr.Model(3, [sr.GRU(4), sr.Attention(4, 6, heads=2), sr.Dense(1)]).save(tmp_path / "looks.safetensors")
    for layer, words in (("layers.0", True), ("layers.1", False)):  # a window is no state that moves in a plane
        out = said(capsys, tmp_path / "looks.safetensors", files / "plain.csv", "--layer", layer, "--plot", tmp_path / f"{layer}.png",
                   "--json", tmp_path / f"{layer}.json")
        assert ("states" in out) == words and (tmp_path / f"{layer}.png").exists()
        assert '"shares"' in (tmp_path / f"{layer}.json").read_text(encoding="utf-8")
    assert "no kind of picture" in refused(capsys, model, files / "plain.csv", "--plot", tmp_path / "a.xyz")
    assert "no folder" in refused(capsys, model, files / "plain.csv", "--plot", tmp_path / "none" / "a.png")


def test_without_matplotlib_it_says_how_to_get_it(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    assert "pip install 'streamrnn[plot]'" in refused(capsys, files / "m.safetensors", files / "plain.csv", "--plot", tmp_path / "a.png")


def test_a_detector_is_sent_to_detect(files, tmp_path, capsys):
    sr.Detector.cold(3).save(tmp_path / "d.safetensors")
    assert "streamrnn detect" in refused(capsys, tmp_path / "d.safetensors", files / "plain.csv")
