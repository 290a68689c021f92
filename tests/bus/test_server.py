"""The server with its sockets: every way in and out, stopping, restarting, and what it does about peers that misbehave."""
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

import msgpack
import numpy as np
import pytest
import zmq
from bus.talking import Peer, bits

import streamrnn as sr
from streamrnn.bus.desk import Limits
from streamrnn.bus.metrics import serve_metrics
from streamrnn.bus.server import Server
from streamrnn.errors import ConfigError, StateError, StoreFailed


def until(condition, seconds=10):
    """Wait for something that another thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "over pyzmq"])
@pytest.mark.parametrize("transport", ["tcp://127.0.0.1:*", "ipc://*", "inproc://here"])
def test_requests_over_every_transport_and_both_loops(model, serve, context, transport, compiled, rng):
    server = serve(listen=transport, compiled=compiled, context=context if transport.startswith("inproc") else None)
    peer, stream = Peer(context, zmq.DEALER, server.endpoints["router"]), model.stream()
    samples = rng.standard_normal((200, 3)).astype(np.float32)
    for seq, x in enumerate(samples, 1):
        peer.send(stream="a", seq=seq, x=x.tobytes())
    for seq, x in enumerate(samples, 1):
        assert peer.receive() == {"stream": "a", "seq": seq, "y": stream.step(x).tobytes()}
    req = Peer(context, zmq.REQ, server.endpoints["router"])
    assert req.ask(op="ping")["op"] == "ping" and req.ask(stream="b", x=[1, 2, 3])["stream"] == "b"
    assert req.ask(op="info")["models"][0]["streams"] == 2


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "over pyzmq"])
def test_push_in_and_publish_out(model, serve, context, compiled):
    server = serve(pull="tcp://127.0.0.1:*", publish="tcp://127.0.0.1:*", compiled=compiled)
    push, all_, one = (Peer(context, kind, server.endpoints[name]) for kind, name in
                       ((zmq.PUSH, "pull"), (zmq.SUB, "publish"), (zmq.SUB, "publish")))
    all_.socket.subscribe(b"")
    one.socket.subscribe(b"b")
    stream = model.stream()
    while not (all_.socket.poll(20) and one.socket.poll(20)):  # until both have subscribed
        push.send(stream="b", x=[0, 0, 0])
        stream.step(np.zeros(3, np.float32))
    time.sleep(0.1)
    for peer in (all_, one):
        while peer.socket.poll(50):
            peer.socket.recv_multipart()
    push.send(stream="a", x=[1, 2, 3])
    push.send(stream="b", seq=1, x=[1, 2, 3])
    assert [all_.socket.recv_multipart()[0] for _ in range(2)] == [b"a", b"b"]
    topic, result = one.socket.recv_multipart()
    assert topic == b"b" and bits(msgpack.unpackb(result)["y"]) == stream.step(np.array([1, 2, 3], np.float32)).tobytes()


def test_extra_parts_are_refused_and_do_not_shift_what_follows(serve, dealer):
    peer = dealer(serve())
    peer.socket.send_multipart([msgpack.packb({"op": "ping"}), b"more", b"and more"])
    peer.send(stream="a", x=[1, 2, 3])
    peer.socket.send_multipart([b""])
    peer.socket.send_multipart([b"", b"", b""])
    peer.send(op="ping")
    assert [peer.receive().get("error", "fine") for _ in range(3)] == ["bad_frame", "fine", "bad_frame"]


def test_stopping_answers_what_has_come(serve, dealer):
    server = serve()
    peer = dealer(server)
    peer.ask(op="ping")
    for _ in range(900):  # fewer than sockets hold: nobody reads yet
        peer.send(stream="a", x=[1, 2, 3])
    until(lambda: server.desk.counters[0] > 300)
    server.stop()
    answered = 0
    while peer.socket.poll(200):
        peer.socket.recv()
        answered += 1
    assert answered == server.desk.counters[0] - 1


def test_a_restart_goes_on_with_the_same_bits(model, serve, dealer, tmp_path, rng):
    x = rng.standard_normal((60, 3)).astype(np.float32)
    streams = {id: model.stream() for id in "abc"}
    epochs = []
    for part in range(3):
        server = serve(state=tmp_path / "state.db")
        peer = dealer(server)
        epochs.append(peer.ask(op="ping")["epoch"])
        for n in range(20 * part, 20 * part + 20):
            for id, stream in streams.items():
                assert peer.ask(stream=id, seq=n + 1, x=x[n].tobytes())["y"] == stream.step(x[n]).tobytes()
        again = peer.ask(stream="a", seq=1, x=x[0].tobytes())
        assert again["duplicate"] and again["seq"] == 20 * part + 20
        assert server.stop()
        server = serve(state=tmp_path / "state.db")
        peer = dealer(server)
        assert peer.ask(op="resume", streams=["a", "z"])["durable"] == {"a": 20 * part + 20, "z": 0}
        assert peer.ask(stream="a", seq=1, x=x[0].tobytes())["y"] == again["y"]  # the last result has come through, too
        server.stop()
    assert epochs == sorted(set(epochs))


def test_what_is_said_to_be_durable_is(model, serve, dealer, tmp_path):
    server = serve(state=tmp_path / "state.db", save_every=0.05)
    peer = dealer(server)
    peer.ask(stream="a", seq=1, x=[1, 2, 3])
    until(lambda: peer.ask(op="resume", streams=["a"])["durable"]["a"] == 1)
    with sqlite3.connect(f"file:{tmp_path / 'state.db'}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM streams").fetchone() == (1,)
    peer.ask(stream="a", seq=2, x=[1, 2, 3])
    assert peer.ask(op="snapshot")["streams"] == 1
    assert peer.ask(op="resume", streams=["a"])["durable"]["a"] == 2


def test_a_closed_stream_leaves_the_state_file(serve, dealer, tmp_path):
    server = serve(state=tmp_path / "state.db")
    peer = dealer(server)
    for id in "abc":
        peer.ask(stream=id, seq=1, x=[1, 2, 3])
    server.snapshot()
    peer.ask(op="close", stream="b")
    peer.ask(stream="d", seq=1, x=[1, 2, 3])  # takes over its slot
    peer.ask(op="close", stream="c")
    server.stop()
    peer = dealer(serve(state=tmp_path / "state.db"))
    assert peer.ask(op="resume", streams=list("abcd"))["last"] == {"a": 1, "b": 0, "c": 0, "d": 1}
    assert peer.ask(op="info")["models"][0]["streams"] == 2


def test_a_state_file_that_cannot_be_written_stops_the_acknowledging_not_the_serving(serve, dealer, tmp_path):
    server = serve(state=tmp_path / "state.db", save_every=0.05)
    peer, durable = dealer(server), lambda: peer.ask(op="resume", streams=["a"])["durable"]["a"]
    peer.ask(stream="a", seq=1, x=[1, 2, 3])
    until(lambda: durable() == 1)
    (tmp_path / "state.db").rename(tmp_path / "gone.db")
    for seq in range(2, 30):
        assert peer.ask(stream="a", seq=seq, x=[1, 2, 3])["seq"] == seq
    until(lambda: server.stats()["state"]["failing"])
    assert durable() == 1 and "state.db" in peer.ask(op="stats")["state"]["failing"]
    (tmp_path / "gone.db").rename(tmp_path / "state.db")
    until(lambda: durable() == 29)
    until(lambda: server.stats()["state"]["failing"] is None)
    server.stop()
    assert dealer(serve(state=tmp_path / "state.db")).ask(op="resume", streams=["a"])["last"] == {"a": 29}


def test_spinning_answers_and_stops_like_sleeping(serve, dealer):
    server = serve(spin=2000)
    peer = dealer(server)
    for seq in range(1, 50):
        assert peer.ask(stream="a", seq=seq, x=[1, 2, 3])["seq"] == seq
        time.sleep(0.0005 * (seq % 8))
    assert server.stop()


def test_one_state_file_has_one_server_and_one_model(model, serve, tmp_path):
    first = serve(state=tmp_path / "state.db")
    with pytest.raises(StoreFailed):
        Server(model, listen="tcp://127.0.0.1:*", state=tmp_path / "state.db")
    first.stop()
    with pytest.raises(StateError, match="other weights"):
        Server(sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=2), listen="tcp://127.0.0.1:*", state=tmp_path / "state.db")
    with pytest.raises(StateError, match="other layers"):
        Server(sr.Model(inputs=3, layers=[sr.GRU(5)], seed=2), listen="tcp://127.0.0.1:*", state=tmp_path / "state.db")


@pytest.mark.parametrize("state", [False, True], ids=["in memory", "with a state file"])
def test_a_swap_between_two_samples_loses_nothing(model, serve, dealer, tmp_path, state):
    retrained = sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=9)
    other = sr.Model(inputs=2, layers=[sr.GRU(30), sr.Dense(4)], seed=9)
    retrained.save(tmp_path / "retrained.safetensors")
    server = serve(swap_from=tmp_path, **({"state": tmp_path / "state.db"} if state else {}))
    peer, x = dealer(server), np.array([1, 2, 3], np.float32)
    old = model.stream()
    assert peer.ask(stream="a", seq=1, x=x.tobytes())["y"] == old.step(x).tobytes()
    assert peer.ask(op="swap", model="../retrained.safetensors")["error"] == "refused"
    assert peer.ask(op="swap", model="retrained.safetensors", tag=3) == {"op": "swap", "model": retrained.digest, "state": "kept", "tag": 3}
    new = retrained.stream()
    new.set_state(np.asarray(old.state()))
    assert peer.ask(stream="a", seq=2, x=x.tobytes())["y"] == new.step(x).tobytes()
    with pytest.raises(StateError, match="reset"):
        server.swap(other)
    assert server.swap(other, state="reset")["state"] == "reset"
    newer, pair_ = other.stream(), np.array([1, 2], np.float32)
    result = peer.ask(stream="a", seq=3, x=pair_.tobytes())
    assert result["y"] == newer.step(pair_).tobytes() and "jump" not in result  # its seq goes on
    assert peer.ask(stream="a", seq=4, x=x.tobytes())["error"] == "bad_width"
    server.stop()
    if state:
        peer = dealer(serve(other, state=tmp_path / "state.db"))
        assert peer.ask(stream="a", seq=4, x=pair_.tobytes())["y"] == newer.step(pair_).tobytes()


def test_swaps_under_load(model, serve, dealer):
    """Every sample is answered, in order, by the one model or the other."""
    models = [model, sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=9)]
    server = serve()
    peer = dealer(server)
    x = np.array([1, 2, 3], np.float32).tobytes()
    for n in range(40):
        for k in range(50):
            peer.send(stream=f"s{k}", seq=n + 1, x=x)
        server.swap(models[n % 2])
    for n in range(40):
        for k in range(50):
            result = peer.receive()
            assert (result["stream"], result["seq"]) == (f"s{k}", n + 1) and "jump" not in result


def test_idle_streams_are_closed_and_silent_ones_reported(serve, dealer, context):
    server = serve(publish="tcp://127.0.0.1:*", ttl=3.0, silent=1.0)
    events = Peer(context, zmq.SUB, server.endpoints["publish"])
    events.socket.subscribe(b"!event/")
    peer = dealer(server)
    heard = []

    def listen(kind, id, seconds=8):
        end = time.monotonic() + seconds
        while (kind, id) not in heard:
            assert events.socket.poll(max(0, 1000 * (end - time.monotonic()))), f"no {kind} of {id} came"
            topic, event = events.socket.recv_multipart()
            event = msgpack.unpackb(event)
            assert topic == b"!event/" + event["stream"].encode()
            heard.append((event["event"], event["stream"]))

    peer.ask(stream="a", seq=1, x=[1, 2, 3])
    peer.ask(stream="b", seq=1, x=[1, 2, 3])
    listen("silent", "a")
    listen("silent", "b")
    time.sleep(0.5)  # so that a look between the two ends of life is certain
    peer.ask(stream="a", seq=2, x=[1, 2, 3])
    listen("speaks", "a")
    listen("closed", "b")
    assert ("closed", "a") not in heard and peer.ask(op="resume", streams=["a", "b"])["last"] == {"a": 2, "b": 0}


def test_a_consumer_that_does_not_read_costs_its_own_results_only(serve, dealer, context):
    """Sent = received + counted drops, and the others are served."""
    server = serve(hwm=50, publish="tcp://127.0.0.1:*")
    stopped = dealer(server, rcvhwm=10, sndhwm=0, rcvbuf=4096)
    for _ in range(20_000):
        stopped.send(stream="a", x=[1, 2, 3], pad=bytes(100), tag=1 << 40)
    peer = dealer(server)
    for _ in range(200):
        assert peer.ask(stream="b", x=[1, 2, 3])["stream"] == "b"
    until(lambda: server.stats()["frames_in"] == 20_200)
    received = 0
    while stopped.socket.poll(300):
        stopped.socket.recv()
        received += 1
    stats = server.stats()
    assert stats["replies_full"] > 0
    assert received + 200 == stats["replies"] == 20_200 - stats["replies_full"] - stats["replies_gone"]


def test_peers_that_vanish_are_counted(serve, context):
    server = serve()
    for _ in range(20):
        peer = Peer(context, zmq.DEALER, server.endpoints["router"])
        for _ in range(50):
            peer.send(stream="a", x=[1, 2, 3])
        peer.socket.close(linger=200)
    peer = Peer(context, zmq.DEALER, server.endpoints["router"])
    until(lambda: peer.ask(op="stats")["samples"] == 1000)
    stats = server.stats()
    assert stats["frames_in"] == stats["replies"] + stats["replies_gone"] + stats["replies_full"]


def test_a_peer_that_comes_back_under_its_name_gets_its_replies(serve, context):
    server = serve()
    first = Peer(context, zmq.DEALER, server.endpoints["router"], routing_id=b"sensor")
    assert first.ask(op="ping")
    second = Peer(context, zmq.DEALER, server.endpoints["router"], routing_id=b"sensor")
    assert second.ask(stream="a", x=[1, 2, 3])["stream"] == "a"


def test_garbage_at_the_port_harms_nobody(serve, dealer):
    server = serve()
    host, port = server.endpoints["router"].removeprefix("tcp://").split(":")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(3000), b"\xff" + bytes(8) + b"\x01\x7f"):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(junk)
    with socket.create_connection((host, int(port))):  # half open: says nothing
        assert dealer(server).ask(stream="a", x=[1, 2, 3])["stream"] == "a"


def test_metrics(serve, dealer):
    server = serve(silent=100)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = serve_metrics(server, "127.0.0.1", port)
    peer = dealer(server)
    for _ in range(10):
        peer.ask(stream="a", x=[1, 2, 3])
    peer.ask(stream="a", x=[1])
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    stop()
    for line in ("streamrnn_samples_total 10.0", 'streamrnn_errors_total{code="bad_width"} 1.0', 'streamrnn_streams{model=""} 1.0',
                 'streamrnn_latency_seconds_bucket{le="+Inf",stage="whole"} 11.0'):
        assert line in text.splitlines(), line


@pytest.mark.parametrize(("options", "what"), [
    ({}, "listens somewhere"), ({"listen": "tcp://0.0.0.0:*"}, "insecure"), ({"listen": "udp://x"}, "endpoint"),
    ({"listen": "tcp://127.0.0.1:*", "ttl": 0}, "ttl"), ({"listen": "tcp://127.0.0.1:*", "limits": Limits(streams=0)}, "streams"),
    ({"listen": "tcp://127.0.0.1:*", "limits": Limits(frame=0)}, "frame"),
    ({"listen": "tcp://127.0.0.1:*", "limits": Limits(rate=-1)}, "peer"),
])
def test_options_that_cannot_be(model, options, what):
    with pytest.raises(ConfigError, match=what):
        Server(model, **options)


def test_an_endpoint_that_is_taken(model, serve):
    with pytest.raises(ConfigError, match="another server"):
        Server(model, listen=serve().endpoints["router"])


def test_the_command_serves_until_sigterm(model, tmp_path, context):
    model.save(tmp_path / "m.safetensors")
    command = [sys.executable, "-m", "streamrnn", "serve", f"m={tmp_path / 'm.safetensors'}", "--listen", "tcp://127.0.0.1:*", "--state",
               str(tmp_path / "state.db"), "--streams", "1000", "--log", "json"]
    for start in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            line = process.stdout.readline()
            assert line.startswith("ready: router tcp://") and f"{start} streams" in line
            peer = Peer(context, zmq.DEALER, line.split("router ")[1].split(";")[0].split(",")[0])
            assert peer.ask(stream="a", seq=start + 1, x=[1, 2, 3])["seq"] == start + 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert '"message": "SIGTERM' in process.stderr.read()
