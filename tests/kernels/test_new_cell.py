"""A newcomer adds a cell in one file and names it in one place: docs/add-a-cell.md's own file, in a copy of the package."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamrnn

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-cell.md"
FIRST_LINE = "# streamrnn/cells/mgu.py"
INPUTS, UNITS, STREAMS, TIME = 5, 37, 21, 50  # UNITS: more than one block of any width, and a rest
USE = f"""
import sys
import numpy as np
from streamrnn import Dense, Engine, Model, load
from streamrnn.cells import LAYERS

model = Model(inputs={INPUTS}, layers=[LAYERS["mgu"]({UNITS})], seed=1)
x = np.random.default_rng(2).standard_normal(({STREAMS}, {TIME}, {INPUTS})).astype(np.float32)
stream, engine = model.stream(), Engine(model)
model.save("mgu.safetensors")
np.savez("results.npz", x=x, run=model.run(x), step=[stream.step(sample) for sample in x[0]],
         many=np.stack([engine.step_many(range({STREAMS}), x[:, t]) for t in range({TIME})], 1),
         h=stream.state()["layers.0.h"], loaded=load("mgu.safetensors").run(x[0]), **model.tensors)
"""


def file_of(guide):
    """The fenced block of the guide that opens with the file's name."""
    blocks = re.findall(r"^```python\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    return next(block for block in blocks if block.startswith(FIRST_LINE))


def name_it(door):
    """What the newcomer changes in cells/__init__.py: the import, and a name in CELLS."""
    door, imports = re.subn(r"^(from streamrnn\.cells import \()$", r"\1\n    mgu,", door, flags=re.MULTILINE)
    door, cells = re.subn(r"^(CELLS = \(.*)\)$", r"\1, mgu)", door, flags=re.MULTILINE)
    assert imports == cells == 1
    return door


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("newcomer")
    package = folder / "streamrnn"
    shutil.copytree(Path(streamrnn.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "cells" / "mgu.py").write_text(file_of(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
    door = package / "cells" / "__init__.py"
    door.write_text(name_it(door.read_text(encoding="utf-8")), encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "error", "-c", USE], cwd=folder, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    with np.load(folder / "results.npz") as file:
        return dict(file)


def mgu(tensors, x):
    """f = sigmoid(W_f x + U_f h + b_f), n = tanh(W_n x + U_n h + b_n), h' = h + f (n - h), in float64."""
    w, u, b, b_h = (tensors[f"layers.0.{name}"].astype(np.float64)
                    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))
    h, y = np.zeros(UNITS), []
    for sample in x.astype(np.float64):
        f, n = (w @ sample + b + u @ h + b_h).reshape(2, UNITS)
        f, n = 1 / (1 + np.exp(-f)), np.tanh(n)
        h = h + f * (n - h)
        y.append(h)
    return np.array(y)


def test_the_new_cell_has_torchs_names_and_layout(results):
    assert {name: results[f"layers.0.{name}"].shape for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")} == {
        "weight_ih_l0": (2 * UNITS, INPUTS), "weight_hh_l0": (2 * UNITS, UNITS),
        "bias_ih_l0": (2 * UNITS,), "bias_hh_l0": (2 * UNITS,)}


def test_the_new_cell_computes_what_its_equations_say(results):
    want = np.stack([mgu(results, x) for x in results["x"]])
    assert np.abs(results["run"] - want).max() <= 2e-6


def test_the_new_cell_gives_the_same_bits_however_it_is_run(results):
    assert results["step"].tobytes() == results["run"][0].tobytes()
    assert results["many"].tobytes() == results["run"].tobytes()
    assert results["h"].tobytes() == results["run"][0, -1].tobytes()


def test_the_new_cell_comes_back_from_a_file(results):
    assert results["loaded"].tobytes() == results["run"][0].tobytes()
