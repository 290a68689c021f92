"""The bus' plain example talks to a real server, at the address that its text names."""
import runpy
from pathlib import Path

import pytest

import streamrnn as sr
from streamrnn.bus.server import Server
from streamrnn.errors import ConfigError

PLAIN = Path(__file__).parents[2] / "examples" / "bus" / "plain.py"


def test_plain_msgpack_over_pyzmq(capsys):
    model = sr.Model(inputs=4, layers=[sr.LSTM(5), sr.Dense(1)], seed=1)
    try:
        server = Server(model, listen="tcp://127.0.0.1:5555", limits=sr.Limits(streams=100))
    except ConfigError:
        pytest.skip("port 5555 is taken on this machine")
    with server:
        for first in (1, 11):
            runpy.run_path(str(PLAIN), run_name="__main__")
            lines = capsys.readouterr().out.splitlines()
            assert lines[0].startswith("4 inputs, 1 outputs") and len(lines) == 11
            assert f"'seq': {first}," in lines[1] and f"'seq': {first + 9}," in lines[10]
