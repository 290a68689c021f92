"""What is started for these benches: the C programs (compiled here, against pyzmq's own libzmq), the server, the loop.

`programs.load(...)` runs the load generator once and hands back its line of JSON, checked.
"""
import ctypes
import itertools
import json
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import zmq
import zmq.backend.cython

import streamrnn as sr
from bench.bus.process import allow_many_files, started

HERE = Path(__file__).parent
INPUTS, OUTPUTS = 8, 1
CUT = 4 * (INPUTS - OUTPUTS)  # bytes that the result of one sample is shorter than its request


def server_command(model, endpoint, **options):
    named = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "streamrnn", "serve", str(model), "--listen", endpoint, *named]


class Programs:
    """`reason` says why there are none. Endpoints are free ones of this machine; files lie in a folder of its own."""

    def __init__(self):
        allow_many_files()  # a thousand clients have a thousand connections
        self._folder, self._numbers, self._seqs, self._models = TemporaryDirectory(prefix="streamrnn-bus"), itertools.count(), {}, {}
        self.folder = Path(self._folder.name)
        self.reason = self._compile()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()

    def _compile(self):
        compiler, library = shutil.which("gcc") or shutil.which("cc"), _libzmq()
        if compiler is None:
            return "no C compiler here"
        if library is None:
            return "pyzmq's libzmq is no file that could be linked"
        link = [str(library), f"-Wl,-rpath,{library.parent}", "-lm"]
        for name, kind in (("echo", []), ("load", []), ("load.so", ["-shared", "-fPIC"])):
            command = [compiler, "-O2", *kind, str(HERE / f"{name.removesuffix('.so')}.c"), "-o", str(self.folder / name), *link]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                return f"{compiler} failed: {done.stderr.strip()[:300]}"
        return None

    def model(self, units):
        """Path of a served model: LSTM, Dense 1."""
        if units not in self._models:
            self._models[units] = self.folder / f"lstm{units}.safetensors"
            sr.Model(INPUTS, [sr.LSTM(units), sr.Dense(OUTPUTS)], seed=0).save(self._models[units])
        return self._models[units]

    def endpoint(self, kind="tcp"):
        if kind == "ipc":
            return f"ipc://{self.folder}/{next(self._numbers)}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"tcp://127.0.0.1:{free.getsockname()[1]}"

    @contextmanager
    def echo(self, kind="tcp", cut=CUT):
        endpoint = self.endpoint(kind)
        with started([str(self.folder / "echo"), endpoint, str(cut)]):
            yield endpoint

    @contextmanager
    def loop(self, units):
        endpoint = self.endpoint()
        with started([sys.executable, "-m", "bench.bus.loop", str(self.model(units)), endpoint]):
            yield endpoint

    @contextmanager
    def server(self, units, kind="tcp", **options):
        """(endpoint, process)"""
        endpoint = self.endpoint(kind)
        with started(server_command(self.model(units), endpoint, **options)) as process:
            yield endpoint, process

    def load(self, mode, *endpoints, prefix=None, **options):
        """One run. Streams of one prefix go on where the last run with it left them; without one they are new."""
        key = (endpoints, prefix)
        prefix = prefix or f"n{next(self._numbers)}-"
        command = [str(self.folder / "load"), mode, ",".join(endpoints), f"prefix={prefix}", f"seq={self._seqs.get(key, 0)}"]
        line = checked(subprocess.run([*command, *(f"{name}={value}" for name, value in options.items())], capture_output=True, text=True))
        if key[1]:
            self._seqs[key] = line["seq"]
        return line

    def rate(self, endpoint, per="frames_s", **options):
        """ns per frame (or sample, per="samples_s") of one throughput run."""
        return 1e9 / self.load("throughput", endpoint, **options)[per]


def checked(done):
    """The load generator's JSON, if all was well."""
    if done.returncode:
        raise RuntimeError(f"{' '.join(done.args)}: {done.stderr.strip() or f'ended with {done.returncode}'}")
    line = json.loads(done.stdout)
    if line["errors"]:
        raise RuntimeError(f"{line['errors']:,} errors from the server, the first one: {line['first_error']}")
    if line["bytes_off"]:
        raise RuntimeError(f"the replies have {line['bytes_off']:,} bytes more than plain results: not every sample was a new step")
    return line


def _libzmq():
    """The file that pyzmq has loaded."""
    try:
        mapped = {Path(line.split(maxsplit=5)[5].strip()) for line in Path("/proc/self/maps").read_text().splitlines() if "libzmq" in line}
    except OSError:
        mapped = (Path(zmq.__file__).parent.parent / "pyzmq.libs").glob("libzmq*")
    for path in mapped:
        if path.is_file() and hasattr(ctypes.CDLL(str(path)), "zmq_poll"):
            return path
    return None
