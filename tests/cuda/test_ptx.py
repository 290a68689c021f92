"""What kernels for a GPU are compiled to: the arithmetic that was written and no other, sums in registers. No GPU is needed for it."""
import re
from collections import Counter
from functools import cache
from importlib.util import find_spec

import pytest

import streamrnn as sr
from streamrnn.detect import plant

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed (pip install \"streamrnn[cuda]\")", allow_module_level=True)

import offline

from streamrnn.cuda import tile

MANY, FEW = tile.MANY, tile.FEW
needs_ptxas = pytest.mark.skipif(offline.tool("ptxas") is None, reason="ptxas is not installed (pip install nvidia-cuda-nvcc)")
needs_nvdisasm = pytest.mark.skipif(offline.tool("nvdisasm") is None, reason="nvdisasm is not installed (pip install nvidia-cuda-nvdisasm)")
MODELS = {
    "lstm": lambda: sr.Model(8, [sr.LSTM(64), sr.Dense(1)]),
    "gru": lambda: sr.Model(8, [sr.GRU(64)]),
    "rnn and a wide dense": lambda: sr.Model(8, [sr.RNN(64), sr.Dense(64)]),
    "gru, reset before": lambda: sr.Model(8, [sr.GRU(64, reset_after=False)]),
    "mixed": lambda: sr.Model(8, [sr.Scale(), sr.LSTM(5), sr.LayerNorm(), sr.GRU(7), sr.Dense(20, "softmax")]),
    "cold detector": lambda: sr.Detector.cold(3).model,
    "warm detector": lambda: sr.Detector.fit(plant.simulate(400, seed=1)[0][:, :2], layers=[sr.GRU(4)], memory=True, progress=False).model,
}
GATED = [name for name in MODELS if "detector" not in name]


@cache
def text(name, kind=MANY, contract=False):
    return offline.ptx_of(MODELS[name]().packed.plan, kind, contract)


@cache
def instructions(name, kind=MANY, contract=False):
    return Counter(re.findall(r"^\s+(?:@!?%\w+\s+)?([a-z][a-z0-9_.]*)", text(name, kind, contract), re.MULTILINE))


def count(found, pattern):
    return sum(times for name, times in found.items() if re.fullmatch(pattern, name))


@pytest.mark.parametrize("name", MODELS)
def test_arithmetic_is_as_it_was_written(name):
    """Nothing in float64, nothing that ptxas may contract, nothing flushed to zero, no quick division; and nothing is called."""
    found = instructions(name)
    assert count(found, r"(add|sub|mul|fma|div|sqrt|rcp|ex2|lg2|sin|cos|tanh)\..*") > 0
    for wrong in (r".*\.f64", r"(add|sub|mul)\.f32", r".*\.ftz.*", r".*\.approx.*", r"div\.full.*", r"call.*"):
        assert count(found, wrong) == 0, wrong
    assert found["fma.rn.f32"] and ".f64" not in text(name)


@pytest.mark.parametrize("name", GATED)
def test_sums_stay_in_registers_and_operands_come_four_at_a_time(name):
    found = instructions(name)
    assert ".local" not in text(name)
    assert found["ld.shared.v4.f32"] and not found["ld.shared.f32"]
    assert found["cp.async.cg.shared.global"] and found["cp.async.ca.shared.global"]


def test_few_streams_have_a_tile_of_their_own():
    assert ".local" not in text("lstm", FEW)
    assert 0 < instructions("lstm", FEW)["fma.rn.f32"] < instructions("lstm")["fma.rn.f32"] / 3


@pytest.mark.parametrize(("name", "sigmoids"), [("lstm", 3), ("gru", 2)])
def test_what_the_compiler_would_contract_is_let_alone(name, sigmoids):
    """Told nothing, it makes one operation of the two of bottom + x * top, a sigmoid's: 1 for each of a unit, with other bits."""
    own, its = instructions(name), instructions(name, contract=True)
    more = its["fma.rn.f32"] - own["fma.rn.f32"]
    assert more == sigmoids * MANY.streams
    assert own["mul.rn.f32"] - its["mul.f32"] == own["add.rn.f32"] - its["add.f32"] == more


@pytest.fixture(scope="module")
def machine_code(tmp_path_factory):
    return cache(lambda name: offline.assembled(text(name), tmp_path_factory.mktemp("ptx")))


@needs_ptxas
@pytest.mark.parametrize("name", MODELS)
def test_two_blocks_find_room_on_a_multiprocessor(name, machine_code):
    _, said = machine_code(name)
    assert said["registers"] <= 128 and 2 * said["shared"] <= 228 * 1024 and said["shared"] <= 48 * 1024


@needs_ptxas
@needs_nvdisasm
@pytest.mark.parametrize("name", ["lstm", "rnn and a wide dense", "gru, reset before"])
def test_the_products_are_little_else(name, machine_code):
    """The loop over a chunk: multiply-adds with a load of four for each sixteen or so, and next to nothing in local memory."""
    binary, _ = machine_code(name)
    loops = offline.loops(binary, 256)
    assert loops
    for loop in loops:
        kinds = Counter(name.split(".")[0] for name in loop)
        assert kinds["FFMA"] >= 0.8 * len(loop)
        assert kinds["LDS"] <= kinds["FFMA"] / 12 and all(name.startswith("LDS.128") for name in loop if name.startswith("LDS"))
        assert kinds["LDL"] + kinds["STL"] <= 2
