"""libzmq's C functions for compiled code, from the very library that pyzmq has loaded, and the clock.

pyzmq makes and configures the sockets; `socket.underlying` is libzmq's handle. External symbols (unlike ctypes pointers) can
be kept in the compile cache. `available` says whether they could be found: elsewhere the loop runs over pyzmq (bus.slow_loop).
"""
import ctypes
import sys
import time

import zmq
from llvmlite import binding
from numba import types

NAMES = ("zmq_recv", "zmq_send", "zmq_getsockopt", "zmq_setsockopt", "zmq_errno")


def _libraries():
    """Where those functions may be: pyzmq's own extension, which is linked with libzmq or holds it."""
    try:
        from zmq.backend.cython import _zmq
        yield _zmq.__file__
    except (ImportError, AttributeError):
        pass
    yield None


def _find():
    """Their addresses, made known to the compiler; None when some are missing, or when this is another libzmq."""
    for path in _libraries():
        try:
            library = ctypes.CDLL(path)
            addresses = {name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in NAMES}
            version = [ctypes.c_int() for _ in range(3)]
            library.zmq_version(*map(ctypes.byref, version))
        except (OSError, AttributeError, TypeError):
            continue
        if tuple(part.value for part in version) == zmq.zmq_version_info():
            return addresses
    return None


_addresses = _find() if sys.platform != "win32" and hasattr(time, "CLOCK_MONOTONIC") else None
available = _addresses is not None
for _name, _address in (_addresses or {}).items():
    binding.add_symbol(_name, _address)

int32, address = types.int32, types.int64
zmq_recv = types.ExternalFunction("zmq_recv", int32(address, address, types.uint64, int32))
zmq_send = types.ExternalFunction("zmq_send", int32(address, address, types.uint64, int32))
zmq_getsockopt = types.ExternalFunction("zmq_getsockopt", int32(address, int32, address, address))
zmq_setsockopt = types.ExternalFunction("zmq_setsockopt", int32(address, int32, address, types.uint64))
zmq_errno = types.ExternalFunction("zmq_errno", int32())
poll = types.ExternalFunction("poll", int32(address, types.uint64, int32))
clock_gettime = types.ExternalFunction("clock_gettime", int32(int32, address))

DONTWAIT, SNDMORE, RCVMORE, RCVTIMEO = int(zmq.DONTWAIT), int(zmq.SNDMORE), int(zmq.RCVMORE), int(zmq.RCVTIMEO)
CLOCK = getattr(time, "CLOCK_MONOTONIC", 0)
READABLE = 1  # POLLIN of poll(2)
