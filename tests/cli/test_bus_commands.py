"""streamrnn send, watch and serve's own mistakes, as a user runs them."""
import csv

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.bus.server import Server
from streamrnn.cli import main


@pytest.fixture
def model():
    return sr.Model(inputs=2, layers=[sr.LSTM(5), sr.Dense(1)], seed=1)


@pytest.fixture
def server(model):
    with Server(model, listen="tcp://127.0.0.1:*", publish="tcp://127.0.0.1:*", limits=sr.Limits(streams=100)) as server:
        yield server


def test_send_a_table(server, model, tmp_path, rng, capsys):
    x = rng.standard_normal((50, 2)).astype(np.float32)
    with open(tmp_path / "day.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "machine"], *([*map(repr, map(float, row)), f"m{n % 3}"] for n, row in enumerate(x))])
    endpoint = server.endpoints["router"]
    assert main(["send", str(tmp_path / "day.csv"), "--to", endpoint, "--by", "machine", "-o", str(tmp_path / "out.csv")]) == 0
    rows = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
    engine = sr.Engine(model)
    expected = [(f"m{n % 3}", engine.step(f"m{n % 3}", row)[0]) for n, row in enumerate(x)]
    assert rows[0] == ["stream", "y0"]
    assert [(id, np.float32(y)) for id, y in rows[1:]] == expected
    assert "50 samples of 3 stream(s)" in capsys.readouterr().err
    assert main(["send", str(tmp_path / "day.csv"), "--to", endpoint, "--columns", "a,b", "--rate", "1000"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("day,")
    assert main(["send", str(tmp_path / "day.csv"), "--to", endpoint, "--columns", "a"]) == 1
    assert "x has 4 bytes, this model takes 8" in capsys.readouterr().err


def test_info_of_a_server(server, capsys):
    assert main(["info", server.endpoints["router"]]) == 0
    assert "0 of 100 streams; <Model 2 -> LSTM" in capsys.readouterr().out


def test_watch(server, capsys):
    with sr.Client(server.endpoints["router"]) as client:
        for _ in range(20):
            client.step("a", [1, 2])
    assert main(["watch", server.endpoints["router"], "--events", server.endpoints["publish"], "--every", "0.1", "--count", "2"]) == 0
    text = capsys.readouterr().out
    for words in ("samples a second", "p50 / p99 / p99.9", "1 opened, 0 closed", "dropped replies"):
        assert words in text


@pytest.mark.parametrize(("arguments", "says"), [
    (["--listen", "tcp://0.0.0.0:5599"], "--insecure"), (["--listen", "tcp://127.0.0.1:x"], "cannot bind"), (["--ttl", "-1"], "ttl"),
])
def test_serve_says_what_is_wrong(model, tmp_path, arguments, says, capsys):
    model.save(tmp_path / "m.safetensors")
    assert main(["serve", str(tmp_path / "m.safetensors"), *arguments]) == 1
    assert says in capsys.readouterr().err


def test_serve_without_a_model(tmp_path, capsys):
    assert main(["serve", str(tmp_path / "none.safetensors")]) == 1
    assert "none.safetensors" in capsys.readouterr().err
