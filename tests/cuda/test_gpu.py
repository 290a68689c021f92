"""Streams on the GPU of this machine: the scenarios of the simulator again, the same results and rows as on the CPU, bit for bit."""
import numpy as np
import pytest
import scenarios

from streamrnn.cuda import device
from streamrnn.streams.rows import Rows

pytestmark = pytest.mark.skipif(not device.available(), reason="no GPU that can be used (streamrnn info says why)")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    scenarios.prepare(folder)
    return scenarios.on_a_gpu(folder), scenarios.World(Rows, folder)


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_the_same_bits_as_on_the_cpu(worlds, name):
    got, want = ({key: np.array(value) for key, value in scenarios.SCENARIOS[name](world).items()} for world in worlds)
    assert list(got) == list(want)
    for key in want:
        assert scenarios.same_bits(got[key], want[key]), f"{key}\n{got[key]}\n{want[key]}"
