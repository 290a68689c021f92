"""Kernels compiled for a GPU where there is none: as PTX, and as machine code where ptxas is there too (nvidia-cuda-nvcc)."""
import re
import shutil
import subprocess
import types as simple
from contextlib import nullcontext
from pathlib import Path

from numba import cuda
from numba.cuda import dispatcher

from streamrnn.cuda import device, program, tile
from streamrnn.cuda.step import STEPS, kernel

TARGET = 9, 0


def ptx_of(plan, kind=tile.MANY, contract=False):
    """The steps of a plan, as device.compiled compiles them; `contract`: as the compiler would if it were let."""
    return ptx(kernel(program.kinds(plan), kind), STEPS, tile.THREADS, program.BLOCKS, contract)


def ptx(function, signature, threads, blocks=1, contract=False):
    found, dispatcher.get_current_device = dispatcher.get_current_device, lambda: simple.SimpleNamespace(compute_capability=TARGET)
    try:
        with nullcontext() if contract else device.rounding_kept():
            return cuda.compile(function, signature, cc=TARGET, device=False, abi="numba", launch_bounds=(threads, blocks))[0]
    finally:
        dispatcher.get_current_device = found


def tool(name):
    """A tool of the CUDA toolkit: beside numba-cuda's wheels, or on the PATH."""
    import nvidia
    beside = [path for folder in nvidia.__path__ for path in Path(folder).glob(f"*/bin/{name}")]
    return str(beside[0]) if beside else shutil.which(name)


def assembled(text, folder):
    """(path of the machine code, what ptxas says of it)"""
    source, binary = folder / "kernel.ptx", folder / "kernel.cubin"
    source.write_text(text)
    done = subprocess.run([tool("ptxas"), "-v", f"-arch=sm_{TARGET[0]}{TARGET[1]}", source, "-o", binary], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    return binary, {"registers": int(re.search(r"Used (\d+) registers", said).group(1)),
                    "spilled": max(map(int, re.findall(r"(\d+) bytes spill", said)), default=0),
                    "shared": int(re.search(r"(\d+) bytes smem", said).group(1))}


def loops(binary, least):
    """The instructions of each stretch without a jump that holds at least so many multiply-adds."""
    listing = subprocess.run([tool("nvdisasm"), "-c", binary], capture_output=True, text=True, check=True).stdout
    parts, part = [], []
    for line in listing.splitlines():
        if re.match(r"\.L_x_\d+", line):
            parts.append(part)
            part = []
        if found := re.search(r"/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", line):
            part.append(found.group(1))
    return [part for part in [*parts, part] if sum(name.startswith("FFMA") for name in part) >= least]
