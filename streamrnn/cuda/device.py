"""The GPU itself: is there one, how kernels are compiled for it, and memory on it.

Kernels round as on the CPU: the compiler may not contract a product and a sum into one operation, which it does unless told.
In CUDA's simulator (NUMBA_ENABLE_CUDASIM=1 NUMBA_DISABLE_JIT=1) all of this works on plain arrays.
"""
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from threading import Lock

import numpy as np

from streamrnn.errors import MissingExtra, NoDevice
from streamrnn.lanes import DISABLE_JIT

LEAST = (8, 0)  # copies in the background came with this compute capability
HOW = "device=\"cuda\" needs an NVIDIA GPU"


@cache
def require():
    """numba.cuda, if it is there and sees a GPU; else an error that says what is missing."""
    if find_spec("numba_cuda") is None:
        raise MissingExtra(f"{HOW} and numba-cuda: pip install \"streamrnn[cuda]\"")
    from numba import cuda

    simulated = getattr(cuda, "simulator", None) is not None and not hasattr(cuda, "codegen")
    if DISABLE_JIT:
        return cuda
    try:
        found = cuda.is_available() and bool(cuda.gpus)
        reason = "" if found else "no GPU or no driver was found (does nvidia-smi list one?)"
    except Exception as error:  # whatever a driver says
        found, reason = False, f"the driver says: {error}"
    if simulated:
        raise NoDevice("CUDA's simulator needs NUMBA_DISABLE_JIT=1 as well")
    if not found:
        raise NoDevice(f"{HOW}: {reason}. device=\"cpu\" works everywhere, device=\"auto\" takes what there is")
    capability = cuda.get_current_device().compute_capability
    if tuple(capability) < LEAST:
        raise NoDevice(f"{HOW} of compute capability {LEAST[0]}.{LEAST[1]} or later, this one has {capability[0]}.{capability[1]}")
    return cuda


def available():
    """Can device="cuda" be asked for?"""
    try:
        require()
    except (MissingExtra, NoDevice):
        return False
    return True


def described():
    """The GPU in words, or why none can be used."""
    try:
        capability = require().get_current_device().compute_capability
    except (MissingExtra, NoDevice) as error:
        return f"none: {error}"
    return f"{name()}, compute capability {capability[0]}.{capability[1]}, {multiprocessors()} multiprocessors"


def name():
    return "CUDA's simulator" if DISABLE_JIT else _text(require().get_current_device().name)


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


@cache
def multiprocessors():
    return 1 if DISABLE_JIT else require().get_current_device().MULTIPROCESSOR_COUNT


_compiling = Lock()


@contextmanager
def rounding_kept():
    """Compile without contraction. Numba passes no such option on, so its call of the compiler is given it here, for this while."""
    if DISABLE_JIT:
        yield
        return
    from numba.cuda.cudadrv import nvvm

    with _compiling:
        compiled = nvvm.compile_ir
        nvvm.compile_ir = lambda ir, **options: compiled(ir, **{**options, "fma": False})
        try:
            yield
        finally:
            nvvm.compile_ir = compiled


def compiled(function, signature, threads, blocks=1):
    """A kernel for blocks of `threads` threads, `blocks` of them on a multiprocessor: call it as kernel[grid, threads, stream](...)."""
    cuda = require()
    if DISABLE_JIT:
        return cuda.jit(function)
    with rounding_kept():
        return cuda.jit(signature, launch_bounds=(threads, blocks))(function)


def array(shape, dtype=np.float32):
    """Zeros on the device."""
    return upload(np.zeros(shape, dtype))


def room(shape, dtype=np.float32):
    """Memory on the device, with whatever is in it."""
    return require().device_array(shape, dtype)


def queue():
    """A stream of work: what is asked for in it is done in order."""
    return require().stream()


def upload(values, stream=0):
    return require().to_device(np.ascontiguousarray(values), stream=stream)


def download(device_array, stream=0):
    """A copy on the host, when what was asked for before is done."""
    values = device_array.copy_to_host(stream=stream)
    if stream:
        stream.synchronize()
    return values


def holds(x):
    """Does this array lie on a device (torch, CuPy, JAX and Numba tell so)?"""
    return hasattr(x, "_ary") if DISABLE_JIT else hasattr(x, "__cuda_array_interface__")


def wrapped(x):
    """Such an array as one of Numba's, not copied."""
    return x if DISABLE_JIT else require().as_cuda_array(x)


def free_memory():
    """Bytes that are free on the device."""
    return 1 << 40 if DISABLE_JIT else require().current_context().get_memory_info()[0]


def address(device_array):
    """Where an array on the device starts."""
    if DISABLE_JIT:
        return device_array.__array__().ctypes.data if not hasattr(device_array, "_ary") else device_array._ary.ctypes.data
    return device_array.__cuda_array_interface__["data"][0]


def pinned(shape, dtype=np.float32):
    """Zeros on the host that the device copies from and to by itself."""
    values = np.zeros(shape, dtype) if DISABLE_JIT else require().pinned_array(shape, dtype)
    values[:] = 0
    return values
