"""streamrnn train makes a detector where no target is named, streamrnn detect runs a table through it."""
import csv
import json

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.cli import main
from streamrnn.detect import plant

LEARNT, ROWS = 4000, 5000
LEAK = plant.Fault("leak", machine=0, start=4400, rows=300)


def write(path, values, times):
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["time", *plant.SENSORS])
        for row, t in zip(values, np.datetime_as_string(times.astype("datetime64[s]")), strict=True):
            rows.writerow([t, *("" if v != v else f"{v:.5g}" for v in row)])
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plant")
    values, times = plant.simulate(ROWS, faults=[LEAK])
    write(folder / "normal.csv", values[:LEARNT], times[:LEARNT])
    write(folder / "today.csv", values[LEARNT:], times[LEARNT:])
    assert main(["train", str(folder / "normal.csv"), "-o", str(folder / "plant.safetensors"), "--layers", "none"]) == 0
    return folder


def test_the_file_is_a_detector(files, capsys):
    detector = sr.Detector.load(files / "plant.safetensors")
    assert detector.sensors == plant.SENSORS and detector.period == 60 and detector.timed
    assert main(["info", str(files / "plant.safetensors")]) == 0
    assert "a detector of 8 sensors: inlet_pressure" in capsys.readouterr().out


def test_the_leak_is_found_and_written_down(files, capsys):
    events, verdicts = files / "events.json", files / "verdicts.csv"
    model, table = str(files / "plant.safetensors"), str(files / "today.csv")
    assert main(["detect", model, table, "--events", str(events), "-o", str(verdicts)]) == 0
    said = capsys.readouterr().out
    assert "1,000 rows" in said
    found = json.loads(events.read_text(encoding="utf-8"))
    leak = LEAK.start - LEARNT
    inside = [one for one in found if leak <= one["first"] < leak + LEAK.rows]
    assert inside and all(leak <= one["first"] for one in found)
    assert max(inside[0]["blame"], key=inside[0]["blame"].get) in plant.affected(LEAK)
    assert "expected" in inside[0]["explain"] and inside[0]["start"].startswith("2024-01-")
    with open(verdicts, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS - LEARNT and sum(row["alert"] == "1" for row in rows) == sum(one["last"] - one["first"] + 1 for one in found)
    detector = sr.Detector.load(files / "plant.safetensors")
    scores = detector.detect(*plant_rows(files))
    np.testing.assert_allclose([float(row["score"]) for row in rows], scores, rtol=1e-4, atol=1e-6)


def plant_rows(files):
    from streamrnn.detect import history
    taken = history.take(files / "today.csv")
    return taken.values, taken.times


def test_quiet_prints_nothing(files, capsys):
    assert main(["detect", *map(str, (files / "plant.safetensors", files / "today.csv")), "--quiet"]) == 0
    assert not capsys.readouterr().out


def test_columns_may_stand_in_another_order_and_among_others(files, tmp_path, capsys):
    with open(files / "today.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(tmp_path / "mixed.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["time", "other", *reversed(plant.SENSORS)])
        table.writeheader()
        table.writerows(row | {"other": 1} for row in rows)
    for table in (files / "today.csv", tmp_path / "mixed.csv"):
        assert main(["detect", str(files / "plant.safetensors"), str(table), "-o", str(tmp_path / f"{table.stem}.out")]) == 0
    assert (tmp_path / "today.out").read_text() == (tmp_path / "mixed.out").read_text()


def test_what_is_wrong_is_said(files, tmp_path, capsys):
    model = tmp_path / "model.safetensors"
    sr.Model(2, [sr.LSTM(3)]).save(model)
    (tmp_path / "short.csv").write_text("flow,vibration\n1,2\n")
    for arguments, message in (
        ([model, files / "today.csv"], "streamrnn train"),
        ([files / "plant.safetensors", tmp_path / "short.csv"], "inlet_pressure"),
        ([files / "plant.safetensors", tmp_path / "none.csv"], "none.csv"),
    ):
        assert main(["detect", *map(str, arguments)]) != 0
        assert message in capsys.readouterr().err


def test_a_picture_is_drawn(files, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "report.png"
    assert main(["detect", str(files / "plant.safetensors"), str(files / "today.csv"), "--plot", str(picture)]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
