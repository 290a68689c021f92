"""CURVE: who has the keys talks, who has not gets nothing and is counted; the list is read again; nothing is bound wide by accident."""
import argparse
import logging
import os
import stat
import threading
import time

import pytest
import zmq
import zmq.auth

from streamrnn.bus import security
from streamrnn.bus.security import SAY_EVERY, Allowed, Guard, check_bind, load_keys, make_keys
from streamrnn.cli import keys as command
from streamrnn.errors import ConfigError


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(security, "HANDSHAKE", 300)


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def keys(tmp_path):
    """Paths of the server's secret key and of two clients'; the list of who may connect has the first one only."""
    server = make_keys(tmp_path / "keys", ["server"])["server"]
    clients = make_keys(tmp_path / "clients", ["pump", "valve"])
    listed = tmp_path / "allowed"
    listed.mkdir()
    (listed / "pump.key").write_text(clients["pump"][0].read_text())
    return {"server": server[1], "pump": clients["pump"][1], "valve": clients["valve"][1], "public": clients, "listed": listed}


class Echo:
    """A guarded ROUTER that sends back what it gets."""

    def __init__(self, context, server_key, allow=None):
        self.guard = Guard(context, server_key, allow)
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.guard.protect(self.socket)
        self.socket.bind("tcp://127.0.0.1:*")
        self.endpoint, self._ended = self.socket.last_endpoint.decode(), False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._ended:
            if self.socket.poll(10):
                self.socket.send_multipart(self.socket.recv_multipart())

    def close(self):
        self._ended = True
        self._thread.join()
        self.socket.close()
        self.guard.close()


@pytest.fixture
def echo(context):
    made = []

    def make(*arguments):
        made.append(Echo(context, *arguments))
        return made[-1]
    yield make
    for echo in made:
        echo.close()


@pytest.fixture
def client():
    context, made = zmq.Context(), []
    context.linger = 0

    def make(endpoint, server=None, secret=None):
        """DEALER; keys as they are, or paths."""
        socket = context.socket(zmq.DEALER)
        made.append(socket)  # or it would be closed as soon as nobody looks
        if server is not None:
            socket.curve_serverkey = server
        if secret is not None:
            socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(secret)
        socket.reconnect_ivl = 20
        socket.connect(endpoint)
        socket.send(b"hello")
        return socket
    yield make
    context.destroy(linger=0)


def answered(socket, wait=5000):
    return bool(socket.poll(wait)) and socket.recv() == b"hello"


def until(condition, wait=5.0):
    end = time.monotonic() + wait
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


# -- key files -------------------------------------------------------------------------------------------------------------------

def test_keys_are_files_that_others_read_as_well(tmp_path):
    for n in range(20):
        public, secret = make_keys(tmp_path, [f"n{n}"])[f"n{n}"]
        pair = load_keys(secret)
        assert zmq.auth.load_certificate(secret) == pair
        assert zmq.auth.load_certificate(public) == (pair[0], None)
        assert pair[0] in Allowed(public)
    assert load_keys(zmq.auth.create_certificates(tmp_path, "theirs")[1])
    assert len(Allowed(tmp_path).keys) == 21


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_secret_keys_are_private(tmp_path, caplog):
    old = os.umask(0)
    try:
        public, secret = make_keys(tmp_path / "new", ["a"])["a"]
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (secret, public, tmp_path / "new")]
    assert modes == [0o600, 0o644, 0o700]
    load_keys(secret)
    assert not caplog.records
    secret.chmod(0o640)
    load_keys(secret)
    assert "chmod 600" in caplog.text


def test_keys_that_are_there_are_never_written_over(tmp_path):
    _, secret = make_keys(tmp_path, ["a"])["a"]
    before = secret.read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        make_keys(tmp_path, ["b", "a"])
    assert secret.read_bytes() == before
    assert not (tmp_path / "b.key").exists()


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "a b", "a\0"])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="names a file"):
        make_keys(tmp_path, [name])


def test_key_files_that_are_none(tmp_path):
    public, secret = make_keys(tmp_path, ["a"])["a"]
    other = make_keys(tmp_path, ["b"])["b"][0].read_text().splitlines()[-1]
    with pytest.raises(ConfigError, match=r"has 0: give the file NAME\.key_secret"):
        load_keys(public)
    with pytest.raises(ConfigError, match="cannot be read as a key file"):
        load_keys(tmp_path / "none")
    mixed = tmp_path / "mixed"
    mixed.write_text("\n".join([other, *[line for line in secret.read_text().splitlines() if "secret-key" in line]]))
    with pytest.raises(ConfigError, match="does not belong to the secret one"):
        load_keys(mixed)


# -- who gets through ------------------------------------------------------------------------------------------------------------

def test_a_client_with_the_right_keys_talks(keys, echo, client):
    server = echo(keys["server"], keys["listed"])
    assert answered(client(server.endpoint, server.guard.public, keys["pump"]))
    assert server.guard.denied == 0


def test_any_key_will_do_without_a_list(keys, echo, client):
    server = echo(keys["server"])
    assert answered(client(server.endpoint, server.guard.public, keys["valve"]))
    assert server.guard.denied == 0


@pytest.mark.parametrize("who", ["no keys", "another server's key", "an unlisted key"])
def test_others_get_nothing_and_are_counted(keys, echo, client, who):
    server = echo(keys["server"], keys["listed"])
    if who == "no keys":
        stranger = client(server.endpoint)
    elif who == "another server's key":
        stranger = client(server.endpoint, zmq.curve_keypair()[0], keys["pump"])
    else:
        stranger = client(server.endpoint, server.guard.public, keys["valve"])
    assert until(lambda: server.guard.denied > 0)
    assert not answered(stranger, 150)
    assert answered(client(server.endpoint, server.guard.public, keys["pump"]))


def test_denied_peers_do_not_flood_the_log(keys, echo, client, caplog):
    server = echo(keys["server"], keys["listed"])
    client(server.endpoint, server.guard.public, keys["valve"])
    assert until(lambda: server.guard.denied >= 5)
    assert [record.levelno for record in caplog.records if "denied" in record.message] == [logging.WARNING]
    assert "127.0.0.1 is not allowed" in caplog.text
    server.guard._said -= SAY_EVERY
    denied = server.guard.denied
    assert until(lambda: server.guard.denied > denied)
    assert until(lambda: "since the last such line" in caplog.text)


def test_the_list_is_read_again_when_it_changes(keys, echo, client):
    server = echo(keys["server"], keys["listed"])
    waiting = client(server.endpoint, server.guard.public, keys["valve"])
    assert until(lambda: server.guard.denied > 0)
    (keys["listed"] / "valve.key").write_text(keys["public"]["valve"][0].read_text())
    assert answered(waiting)
    (keys["listed"] / "pump.key").unlink()
    server.guard.reload()
    denied = server.guard.denied
    late = client(server.endpoint, server.guard.public, keys["pump"])
    assert until(lambda: server.guard.denied > denied)
    assert not answered(late, 100)
    waiting.send(b"hello")
    assert answered(waiting), "who is connected stays so"


def test_a_list_may_be_one_file_and_what_is_wrong_with_it_allows_nobody(keys, tmp_path, caplog):
    first, second = (zmq.auth.load_certificate(keys[name])[0] for name in ("pump", "valve"))
    file = tmp_path / "all.key"
    file.write_text("".join(public.read_text() for public, _ in keys["public"].values()))
    allowed = Allowed(file)
    assert (first in allowed, second in allowed, b"x" * 40 in allowed) == (True, True, False)
    for content in (b"\xff\xfe", b"", b'public-key = "too short"'):
        file.write_bytes(content)
        allowed.look(0)
        assert first not in allowed
    assert "cannot be read as a key file" in caplog.text
    assert "it allows nobody" in caplog.text
    file.write_text(keys["public"]["pump"][0].read_text())
    allowed.look(0)
    assert first in allowed
    file.unlink()
    allowed.look(0)
    assert first not in allowed
    assert "nobody is allowed to connect any more" in caplog.text
    with pytest.raises(ConfigError, match="is not there"):
        Allowed(file)


def test_a_guard_ends_in_any_order_and_another_may_follow(context, keys):
    for close_first in (True, False):
        guard = Guard(context, keys["server"], keys["listed"])
        with pytest.raises(ConfigError, match="another authenticator"):
            Guard(context, keys["server"])
        socket = context.socket(zmq.PULL)
        guard.protect(socket)
        socket.bind("tcp://127.0.0.1:*")
        if close_first:
            socket.close()
        guard.close()
        guard.close()
        socket.close()


def test_a_socket_that_is_not_ours_is_not_answered_for(context, keys, client):
    """CURVE sockets of the same context that ask the guard are of another domain."""
    guard = Guard(context, keys["server"])
    other = context.socket(zmq.ROUTER)
    other.curve_server, other.zap_domain, other.curve_secretkey = True, b"theirs", zmq.auth.load_certificate(keys["server"])[1]
    other.bind("tcp://127.0.0.1:*")
    stranger = client(other.last_endpoint.decode(), guard.public, keys["pump"])
    assert until(lambda: guard.denied > 0)
    assert not other.poll(50)
    stranger.close()
    other.close()
    guard.close()


# -- where to bind ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("endpoint", [
    "tcp://127.0.0.1:5555", "tcp://127.0.0.1:*", "tcp://127.8.9.10:5555", "tcp://[::1]:5555", "tcp://::1:5555",
    "ipc:///tmp/socket", "ipc://@abstract", "inproc://name"])
def test_what_stays_on_this_machine_is_bound(endpoint):
    check_bind(endpoint)


@pytest.mark.parametrize("endpoint", [
    "tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://[::]:5555", "tcp://:::5555", "tcp://192.168.1.7:5555", "tcp://[fe80::1%eth0]:5555",
    "tcp://[2001:db8::1]:5555", "tcp://eth0:5555", "tcp://lo:5555", "tcp://localhost:5555", "tcp://example.org:5555",
    "tcp://127.0.0.1.example.org:5555", "tcp://0:5555", "tcp://[::ffff:192.168.1.7]:5555", "tcp://:5555", "tcp://5555",
    "tcp://*:*", "tcp://128.0.0.1:5555", "tcp://[127.0.0.1:5555"])
def test_what_others_could_reach_needs_keys(endpoint):
    if endpoint != "tcp://[127.0.0.1:5555":
        with pytest.raises(ConfigError, match=r"--server-key.*--insecure"):
            check_bind(endpoint)
    check_bind(endpoint, curve=True)
    check_bind(endpoint, insecure=True)


@pytest.mark.parametrize("endpoint", [
    "", "5555", "127.0.0.1:5555", "udp://*:5555", "ws://127.0.0.1:80", "TCP://127.0.0.1:1", "tcp://", 5555, None])
@pytest.mark.parametrize("curve", [False, True])
def test_what_is_no_endpoint_is_refused(endpoint, curve):
    with pytest.raises(ConfigError, match="an endpoint is"):
        check_bind(endpoint, curve=curve, insecure=True)


# -- streamrnn keys --------------------------------------------------------------------------------------------------------------

def run(*arguments):
    parser = argparse.ArgumentParser()
    command.options(parser)
    return command.run(parser.parse_args(list(map(str, arguments))))


def test_the_command_makes_what_a_guard_and_a_client_take(tmp_path, capsys, echo, client):
    assert run(tmp_path / "k", "--server", "--client", "pump", "valve", "--client", "gate") == 0
    said = capsys.readouterr().out
    made = sorted(path.relative_to(tmp_path / "k").as_posix() for path in tmp_path.rglob("*.key*"))
    assert made == sorted(f"{name}.{kind}" for name in ("server", "clients/pump", "clients/valve", "clients/gate")
                          for kind in ("key", "key_secret"))
    assert all(name in said for name in made)
    server = echo(tmp_path / "k/server.key_secret", tmp_path / "k/clients")
    public, _ = zmq.auth.load_certificate(tmp_path / "k/server.key")
    assert answered(client(server.endpoint, public, tmp_path / "k/clients/gate.key_secret"))


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "whose keys"), (["--client", "a", "a"], "the same name"), (["--client", "a/b"], "names a file")])
def test_the_command_refuses(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "k", *arguments)
    assert not (tmp_path / "k").exists()


def test_the_command_adds_clients_later(tmp_path):
    run(tmp_path, "--server")
    run(tmp_path, "--client", "a")
    run(tmp_path, "--client", "b")
    with pytest.raises(ConfigError, match="is there already"):
        run(tmp_path, "--server")
    assert len(Allowed(tmp_path / "clients").keys) == 2
