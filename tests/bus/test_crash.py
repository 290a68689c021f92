"""kill -9, of the server and of the producer, at random moments under load: every output comes once, with the same bits."""
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bus.killed_producer import record, sample

HERE = Path(__file__).parent
STREAMS = 40


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`streamrnn serve` in a process that can be killed."""

    def __init__(self, folder, port, save_every):
        self._command = [sys.executable, "-m", "streamrnn", "serve", str(folder / "m.safetensors"), "--listen", f"tcp://127.0.0.1:{port}",
                         "--state", str(folder / "state.db"), "--save-every", str(save_every), "--streams", "1000"]
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline().startswith("ready")

    def kill(self, how=signal.SIGKILL):
        self._process.send_signal(how)
        code = self._process.wait()
        self._process.stdout.close()
        return code


def check(model, path, count):
    found = record(path)
    assert len(found) == STREAMS * count
    for n in range(STREAMS):
        stream = model.stream()
        assert [found[n, seq] for seq in range(1, count + 1)] == [
            stream.step(sample(n, seq)).tobytes().hex() for seq in range(1, count + 1)
        ]


def produce(folder, port, count):
    return subprocess.Popen(
        [sys.executable, str(HERE / "killed_producer.py"), f"tcp://127.0.0.1:{port}", str(folder / "record"), str(STREAMS), str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("save_every", [0.01, 0.2])
def test_the_server_is_killed(model, tmp_path, soak, save_every):
    """Nothing is lost, nothing is stepped twice, whatever had been written by then."""
    model.save(tmp_path / "m.safetensors")
    rng, port, kills = random.Random(3), free_port(), 100 if soak else 4
    count = 400 * kills
    server = Server(tmp_path, port, save_every)
    producer = produce(tmp_path, port, count)
    done = 0
    while done < kills and producer.poll() is None:
        time.sleep(rng.uniform(0.1, 0.7))
        server.kill()
        server.start()
        done += 1
    try:
        assert producer.wait(600) == 0 and done == kills, f"{done} kills before it was through"
    finally:
        producer.kill()
        producer.stdout.close()
        assert server.kill(signal.SIGTERM) == 0
    check(model, tmp_path / "record", count)


def test_the_producer_is_killed(model, tmp_path, soak):
    """And begins again from its record, wherever that ends."""
    model.save(tmp_path / "m.safetensors")
    rng, port, kills = random.Random(4), free_port(), 50 if soak else 3
    count, done = 500 * kills, 0
    server = Server(tmp_path, port, 0.05)
    while True:
        producer = produce(tmp_path, port, count)
        try:
            code = producer.wait(rng.uniform(0.6, 1.5) if done < kills else 600)
        except subprocess.TimeoutExpired:
            producer.kill()
            producer.wait()
            producer.stdout.close()
            done += 1
            continue
        producer.stdout.close()
        assert code == 0
        break
    assert server.kill(signal.SIGTERM) == 0
    assert done == kills, f"{done} kills before it was through"
    check(model, tmp_path / "record", count)


def test_both_are_killed(model, tmp_path, soak):
    model.save(tmp_path / "m.safetensors")
    rng, port, kills = random.Random(5), free_port(), 30 if soak else 2
    count = 400 * kills
    server = Server(tmp_path, port, 0.05)
    for _ in range(kills):
        producer = produce(tmp_path, port, count)
        time.sleep(rng.uniform(0.7, 1.5))
        server.kill()
        if rng.random() < 0.5:
            server.start()
            producer.kill()
        else:
            producer.kill()
            server.start()
        producer.wait()
        producer.stdout.close()
    producer = produce(tmp_path, port, count)
    assert producer.wait(600) == 0
    producer.stdout.close()
    assert server.kill(signal.SIGTERM) == 0
    check(model, tmp_path / "record", count)
