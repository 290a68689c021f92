"""Sockets as clients want them: marked, timed, and with their keys."""
import zmq
from zmq.auth import load_certificate

from streamrnn.errors import ConfigError, FileError

CONNECT_IVL, CONNECT_MOST = 100, 5000  # milliseconds between two attempts
SILENT_AFTER = 30_000                  # a connection that says nothing for so long is dropped


def opened(context, kind, endpoint, server_key=None, key=None, *, hwm=0, reconnects=True):
    """A connected socket. `server_key`: path of the server's public key; `key`: of our own secret key."""
    socket = context.socket(kind)
    try:
        socket.linger = 0
        socket.set_hwm(hwm)
        socket.setsockopt(zmq.RECONNECT_IVL, CONNECT_IVL if reconnects else -1)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, CONNECT_MOST if reconnects else 0)
        socket.setsockopt(zmq.HEARTBEAT_IVL, SILENT_AFTER // 3)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENT_AFTER)
        if server_key is not None:
            _protect(socket, server_key, key)
        socket.connect(endpoint)
    except BaseException:
        socket.close()
        raise
    return socket


def _protect(socket, server_key, key):
    socket.curve_serverkey = _loaded(server_key)[0]
    public, secret = _loaded(key) if key is not None else zmq.curve_keypair()
    if secret is None:
        raise ConfigError(f"{key} holds no secret key: name the file that ends in .key_secret")
    socket.curve_publickey, socket.curve_secretkey = public, secret


def _loaded(path):
    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise FileError(f"{path} is no key file: {error}. `streamrnn keys` makes them") from None
