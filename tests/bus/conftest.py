"""What the tests of the bus may ask for: a small model, a desk to talk to without sockets, a server to talk to with them."""
import os

import pytest
import zmq
from bus.talking import Peer, Talk

import streamrnn as sr
from streamrnn.bus.desk import Limits
from streamrnn.bus.server import Server

SOAK = os.environ.get("STREAMRNN_SOAK") == "1"


@pytest.fixture(scope="session")
def model():
    return sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=1)


@pytest.fixture(scope="session")
def soak():
    """`make soak`: the long settings."""
    return SOAK


@pytest.fixture
def talk(model):
    return lambda models=model, *arguments, **options: Talk(models, *arguments, **options)


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    for socket in Peer.sockets:
        socket.close(linger=0)
    Peer.sockets.clear()
    context.term()


@pytest.fixture
def serve(model, context):
    """serve(**options): a running server on a free port; all are stopped at the end."""
    servers = []

    def start(models=model, listen="tcp://127.0.0.1:*", limits=Limits(streams=2000), **options):  # noqa: B008
        servers.append(Server(models, listen=listen, limits=limits, **options).start())
        return servers[-1]
    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def dealer(context):
    return lambda server, **options: Peer(context, zmq.DEALER, server.endpoints["router"], **options)


@pytest.fixture(scope="session")
def shared(model):
    """One desk for tests that try thousands of frames."""
    return Talk(model, Limits(streams=500, frame=4096))
