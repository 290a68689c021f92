"""python -m bench.bus.inproc LIBRARY MODEL key=value ...: the load generator in the server's own process, without a network."""
import ctypes
import sys

import zmq

import streamrnn as sr
from streamrnn.bus.server import Server

ENDPOINT = "inproc://bench"


def main(library, path, *options):
    context = zmq.Context()
    load = ctypes.CDLL(library).load
    load.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    arguments = [b"load", b"throughput", ENDPOINT.encode(), *(option.encode() for option in options)]
    with Server(sr.load(path), listen=ENDPOINT, context=context):
        status = load(context.underlying, len(arguments), (ctypes.c_char_p * len(arguments))(*arguments))  # without the interpreter's lock
    context.term()
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
