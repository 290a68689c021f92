"""The command line: quick to start, clear when it fails."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import streamrnn as sr
from streamrnn.cli import COMMANDS

HEAVY = ("numba", "llvmlite", "numpy", "torch", "onnxruntime", "matplotlib", "rich", "safetensors", "scipy")


def python(*arguments, **environment):
    root = str(Path(sr.__file__).parents[1])
    return subprocess.run([sys.executable, "-W", "error", *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": root, "COLUMNS": "200", **environment})


def streamrnn(*arguments, **environment):
    return python("-m", "streamrnn", *map(str, arguments), **environment)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "m.safetensors"
    model = sr.Model(inputs=2, layers=[sr.LSTM(3), sr.Dense(1)], seed=0)
    model.save(path)
    return model, path


def test_importing_the_package_loads_nothing_heavy():
    done = python("-c", f"import sys, streamrnn; print([m for m in {HEAVY} if m in sys.modules])")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    code = (f"import sys\nfrom streamrnn.cli import main\n"
            f"try:\n    main({arguments})\nexcept SystemExit as stop:\n    assert not stop.code\n"
            f"print('heavy:', [m for m in {HEAVY} if m in sys.modules])")
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("heavy: []\n")
    assert done.stderr == ""


def test_help_names_every_command():
    done = streamrnn("--help")
    assert done.returncode == 0
    for name in ("demo", "warmup", "info", "bench"):
        assert name in COMMANDS
        assert f"\n    {name} " in done.stdout


def test_no_command_prints_the_help():
    assert streamrnn().stdout == streamrnn("--help").stdout


def test_version_is_the_packages():
    done = streamrnn("--version")
    assert (done.returncode, done.stdout) == (0, sr.__version__ + "\n")


def test_an_unknown_command_is_refused_with_the_known_ones():
    done = streamrnn("fly")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "fly" in done.stderr
    assert all(name in done.stderr for name in COMMANDS)
    assert "Traceback" not in done.stderr


def test_info_says_what_this_installation_is():
    done = streamrnn("info")
    assert done.returncode == 0, done.stderr
    import numba

    from streamrnn import jit
    for line in (f"streamrnn  {sr.__version__}", f"numba      {numba.__version__}", f"processor  {jit.CPU}",
                 f"cache      {jit.cache_folder()} ("):
        assert line in done.stdout


def test_info_of_an_empty_cache_says_how_to_fill_it(tmp_path):
    done = streamrnn("info", STREAMRNN_CACHE_DIR=str(tmp_path / "none"))
    assert "empty: run `streamrnn warmup`" in done.stdout
    assert not (tmp_path / "none").exists()


def test_info_of_a_model_says_what_it_holds(saved):
    model, path = saved
    done = streamrnn("info", path)
    assert done.returncode == 0, done.stderr
    assert repr(model) in done.stdout
    assert model.digest in done.stdout
    for name, tensor in model.tensors.items():
        assert any(line.split(maxsplit=1) == [name, str(tensor.shape)] for line in done.stdout.splitlines())


@pytest.mark.parametrize("what", ["missing", "folder", "text", "truncated"])
def test_a_bad_model_file_gives_one_clear_line_and_status_1(saved, tmp_path, what):
    path = tmp_path / "m"
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("hello")
    elif what == "truncated":
        path.write_bytes(saved[1].read_bytes()[:-5])
    done = streamrnn("info", path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("streamrnn info: ")
    assert str(path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_warmup_with_a_warm_cache_compiles_nothing(saved):
    from streamrnn import jit
    assert streamrnn("warmup").returncode == 0
    done = streamrnn("warmup")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    (counts,) = re.findall(r"(\d+) of (\d+) were in the cache", "".join(lines))
    assert len(lines) == 1 and counts[0] == counts[1] and int(counts[0]) > 15, done.stdout
    assert str(jit.cache_folder()) in done.stdout


def test_kernels_that_are_imported_meanwhile_are_compiled_too(tmp_path):
    """A cold cache, and more imported than the modules asked for: each process imports what defines its kernel."""
    code = """
from rich.console import Console
from streamrnn.cli.warmup import compile_all
from streamrnn.training import losses, optimisers
if __name__ == "__main__":
    done = compile_all(Console(), ("streamrnn.training.optimisers",))
    print(sorted(name for name, cached, _ in done if not cached))
"""
    script = tmp_path / "warm.py"
    script.write_text(code)
    environment = os.environ | {"STREAMRNN_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(Path(sr.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "'mse_rows'" in done.stdout and "'adam_step'" in done.stdout
