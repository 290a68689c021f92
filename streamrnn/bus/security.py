"""Who may talk to a server: CURVE keys as files, the list of clients that are allowed, and where to bind without them.

Key files are ZeroMQ certificates, as zmq.auth and czmq read them: NAME.key has the public key, NAME.key_secret both. libzmq does
the cryptography, and asks the Guard about each client's public key.
"""
import ipaddress
import logging
import os
import queue
import re
import stat
import struct
import threading
import time
from pathlib import Path

import zmq
from zmq.utils import z85

from streamrnn.errors import ConfigError

DOMAIN = b"streamrnn"
ASK_AT = "inproc://zeromq.zap.01"  # where libzmq asks (RFC 27)
HANDSHAKE = 3000   # milliseconds: a peer that has not got through by then is dropped, and may try again
LOOK_EVERY = 0.5   # seconds between two looks at the files of allowed keys, at least
SAY_EVERY = 10.0   # seconds between two lines about denied peers, at least
BROKEN_OFF = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL  # before we are asked
log = logging.getLogger("streamrnn.bus")


# -- keys ------------------------------------------------------------------------------------------------------------------------

def make_keys(folder, names):
    """Fresh key pairs: {name: (path of the public key, path of the secret one)}. Secret files are readable for this user only."""
    folder, made = Path(folder), {}
    for name in names:
        if not re.fullmatch(r"[\w.@-]+", name) or name.startswith("."):
            raise ConfigError(f"a key's name is made of letters, digits, '_', '-', '.' and '@', as it names a file; got {name!r}")
        for path in (folder / f"{name}.key", folder / f"{name}.key_secret"):
            if path.exists():
                raise ConfigError(f"{path} is there already: choose another name, or remove it if nobody uses that key any more")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in names:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        made[name] = folder / f"{name}.key", folder / f"{name}.key_secret"
        _write(made[name][1], 0o600, f'# CURVE secret key of {name}: for its owner only\nmetadata\ncurve\n'
                                     f'    public-key = "{public}"\n    secret-key = "{secret}"\n')
        _write(made[name][0], 0o644, f'# CURVE public key of {name}\nmetadata\ncurve\n    public-key = "{public}"\n')
    return made


def _write(path, mode, text):
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "w") as file:
        file.write(text)


def load_keys(path):
    """(public, secret) of a secret key file."""
    text, keys = _read(path), []
    for kind in ("public", "secret"):
        found = _keys(text, kind)
        if len(found) != 1:
            raise ConfigError(f"{path} should have one {kind} key, and has {len(found)}: give the file NAME.key_secret that "
                              "`streamrnn keys` made, not the public NAME.key")
        keys.append(found[0].encode())
    if zmq.curve_public(keys[1]) != keys[0]:
        raise ConfigError(f"the public key in {path} does not belong to the secret one: make the keys anew")
    if os.name == "posix" and stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        log.warning("%s can be read by other users of this machine: chmod 600 it", path)
    return tuple(keys)


def _read(path):
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read as a key file: {error}") from None


def _keys(text, kind):
    return re.findall(rf"""^\s*{kind}-key\s*=\s*["']?([0-9a-zA-Z.:+=^!/*?&<>()\[\]{{}}@%$#-]{{40}})["']?\s*$""", text, re.MULTILINE)


class Allowed:
    """Public keys of clients: all the *.key files of a folder, or one file with any number of them. Read again when they change."""

    def __init__(self, place):
        self.place, self.keys = Path(place), frozenset()
        self._seen, self._looked = None, 0.0
        if not self.place.exists():
            raise ConfigError(f"{place} is not there: make it with `streamrnn keys`, and put the public keys (*.key) of clients into it")
        self.look(0)

    def look(self, every=LOOK_EVERY):
        """Read what has changed, unless that was done less than `every` seconds ago."""
        if time.monotonic() - self._looked < every:
            return
        self._looked = time.monotonic()
        try:
            paths = sorted(self.place.glob("*.key")) if self.place.is_dir() else [self.place]
            seen = [(path, info.st_mtime_ns, info.st_size, info.st_ino) for path in paths for info in [path.stat()]]
        except OSError as error:
            if self.keys or self._seen is None:
                log.error("nobody is allowed to connect any more: %s cannot be read: %s", self.place, error.strerror)
            seen = paths = []
        if seen != self._seen:
            self._seen, self.keys = seen, frozenset(key for path in paths for key in _public(path))
            log.info("%d client key(s) are allowed by %s", len(self.keys), self.place)

    def __contains__(self, key):
        self.look()
        return key in self.keys


def _public(path):
    """What cannot be read allows nobody."""
    try:
        found = _keys(_read(path), "public")
    except ConfigError as error:
        log.warning("%s", error)
        return []
    if not found:
        log.warning("%s has no public key: it allows nobody", path)
    return [key.encode() for key in found]


# -- the guard -------------------------------------------------------------------------------------------------------------------

class Guard:
    """Protects the sockets of a context with the server's key; `allow`: a folder or file of public keys of clients (None: any key).

    It runs in a thread of its own. Peers that were denied are counted in `denied` and logged, a line every ten seconds at most.
    """

    def __init__(self, context, server_key, allow=None):
        self.public, self._secret = load_keys(server_key)
        self._allowed = None if allow is None else Allowed(allow)
        self.denied = 0
        self._said, self._unsaid = -SAY_EVERY, 0
        self._counted = 0  # peers that were denied, and whose connections will be broken off
        self._context, self._watched, self._calls = context, [], queue.SimpleQueue()
        self._asked, self._bell, self._ring = (context.socket(kind) for kind in (zmq.REP, zmq.PULL, zmq.PUSH))
        self._ringing, self._ended = threading.Lock(), False
        for socket in (self._asked, self._bell, self._ring):
            socket.linger = 0
        try:
            self._asked.bind(ASK_AT)
        except zmq.ZMQError as error:
            for socket in (self._asked, self._bell, self._ring):
                socket.close()
            raise ConfigError(f"this zmq.Context has another authenticator ({error}): give the server a context of its own") from None
        self._bell.bind(f"inproc://streamrnn-guard-{id(self)}")
        self._ring.connect(self._bell.last_endpoint)
        self._thread = threading.Thread(target=self._run, name="streamrnn-guard", daemon=True)
        self._thread.start()

    def protect(self, socket):
        """From its bind on, only peers that know the server's public key, and are allowed, get through to this socket."""
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey, socket.zap_domain = self.public, self._secret, DOMAIN
        socket.handshake_ivl = HANDSHAKE
        place = f"inproc://streamrnn-watch-{id(self)}-{id(socket)}"
        socket.monitor(place, BROKEN_OFF | zmq.EVENT_MONITOR_STOPPED)
        watch = self._context.socket(zmq.PAIR)
        watch.linger = 0
        watch.connect(place)
        self._call(lambda: self._watched.append(watch))

    def reload(self):
        """Read the allowed keys now. Who is connected already stays so."""
        if self._allowed is not None:
            done = threading.Event()
            self._call(lambda: (self._allowed.look(0), done.set()))
            done.wait()

    def close(self):
        """After the sockets that it protects have been closed."""
        if not self._ended:
            self._call(self._end)
            self._thread.join()
            self._ring.close()

    def _end(self):
        self._ended = True

    def _call(self, function):
        """Run this in the guard's thread."""
        self._calls.put(function)
        with self._ringing:
            self._ring.send(b"")

    def _run(self):
        try:
            while not self._ended:
                for socket, _ in zmq.zmq_poll([(socket, zmq.POLLIN) for socket in (self._bell, self._asked, *self._watched)], -1):
                    if socket is self._bell:
                        self._bell.recv()
                        self._calls.get()()
                    elif socket is self._asked:
                        self._answer(self._asked.recv_multipart())
                    else:
                        self._note(socket, socket.recv_multipart())
        except zmq.ContextTerminated:
            pass  # whoever ended the context without us wants us to go
        finally:
            for socket in (self._bell, self._asked, *self._watched):
                socket.close()

    def _answer(self, question):
        """One client's public key, over to libzmq: may it connect?"""
        version, number, domain, peer, _, mechanism, *credentials = question if len(question) > 5 else [b""] * 6
        key = z85.encode(credentials[0]) if len(credentials) == 1 and len(credentials[0]) == 32 else b""
        try:
            fine = (version, domain, mechanism, bool(key)) == (b"1.0", DOMAIN, b"CURVE", True)
            fine = fine and (self._allowed is None or key in self._allowed)
        except Exception:  # whatever it is, nobody comes in by it
            log.exception("a client could not be checked")
            fine = False
        if not fine:
            self._deny(f"the key {key.decode()} from {peer.decode(errors='replace')} is not allowed")
            self._counted += 1
        # 300, not 400: libzmq's clients would never try again, not even when their keys have been put on the list
        status = (b"200", b"OK", key) if fine else (b"300", b"not allowed yet", b"")
        self._asked.send_multipart([b"1.0", number, *status, b""])

    def _note(self, socket, message):
        event = struct.unpack("=H", message[0][:2])[0]
        if event == zmq.EVENT_MONITOR_STOPPED:
            self._watched.remove(socket)
            socket.close()
        elif self._counted:  # that a denied peer was dropped is no news
            self._counted -= 1
        else:
            self._deny("no CURVE, another key of the server, or a connection that was broken off")

    def _deny(self, reason):
        self.denied += 1
        self._unsaid += 1
        if time.monotonic() - self._said >= SAY_EVERY:
            more = f"; {self._unsaid} since the last such line" if self._unsaid > 1 else ""
            log.warning("denied a peer: %s%s", reason, more)
            self._said, self._unsaid = time.monotonic(), 0


# -- where to bind ---------------------------------------------------------------------------------------------------------------

def check_bind(endpoint, curve=False, insecure=False):
    """Refuse an endpoint that other machines could reach, unless peers must have keys or nobody minds."""
    transport, separator, rest = endpoint.partition("://") if isinstance(endpoint, str) else ("", "", "")
    if not separator or not rest or transport not in ("tcp", "ipc", "inproc"):
        raise ConfigError(f"an endpoint is tcp://ADDRESS:PORT, ipc://PATH or inproc://NAME, got {endpoint!r}")
    if transport == "tcp" and not curve and not insecure and not _is_loopback(rest.rpartition(":")[0]):
        raise ConfigError(f"{endpoint} can be reached from other machines, where anybody may send samples and read results: give the "
                          "server a key (--server-key, made by `streamrnn keys`), bind tcp://127.0.0.1:PORT, or say --insecure if "
                          "nobody else is on that network")


def _is_loopback(host):
    """Names count as other machines: of interfaces, and of hosts, which libzmq takes for names of interfaces."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
