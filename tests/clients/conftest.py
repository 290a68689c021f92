"""A running server for the tests of the clients."""
import pytest
import zmq

import streamrnn as sr
from streamrnn.bus.server import Server


@pytest.fixture(scope="session")
def model():
    return sr.Model(inputs=3, layers=[sr.LSTM(5), sr.Dense(2)], seed=1)


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.term()


@pytest.fixture
def serve(model):
    servers = []

    def start(models=model, listen="tcp://127.0.0.1:*", limits=sr.Limits(streams=3000), **options):  # noqa: B008
        servers.append(Server(models, listen=listen, limits=limits, **options).start())
        return servers[-1]
    yield start
    for server in servers:
        server.stop()
