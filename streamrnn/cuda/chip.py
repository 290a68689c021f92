"""What a resident kernel asks of the GPU besides device.py: its multiprocessors, all of a block's shared memory, memory of the host
that both sides see, and a stream that nothing else waits for.
"""
import warnings

import numpy as np

from streamrnn.cuda import device
from streamrnn.cuda.parts import SHARED
from streamrnn.errors import ConfigError, NoDevice
from streamrnn.lanes import DISABLE_JIT

ALONE = "CUDA's simulator runs a launch to its end, and its blocks one after the other: a resident kernel takes tests/cuda/together.py"


def shared_limit():
    """Bytes of shared memory that a block may ask for."""
    return SHARED if DISABLE_JIT else device.require().get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN


def make_room(kernel, threads, shared):
    """Let blocks of this compiled kernel have so many bytes of shared memory; answers how many of them run at once."""
    if DISABLE_JIT:
        return 1 << 30
    from numba.cuda.cudadrv.driver import binding, driver

    cuda = device.require()
    function = next(iter(kernel.overloads.values()))._codelibrary.get_cufunc()
    attribute = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.cuKernelSetAttribute(attribute, shared, function.handle, function.device.id)
    each = cuda.current_context().get_active_blocks_per_multiprocessor(function, threads, shared)
    return each * device.multiprocessors()


def check(blocks, most):
    if blocks > most:
        raise ConfigError(f"this model takes {blocks} blocks that wait for each other, and this GPU runs {most} of them at once: "
                          f"Resident(..., blocks={most}) makes fewer, larger ones")


def mapped(count):
    """int64 zeros on the host that kernels read and write where they are, and their address for kernels."""
    if DISABLE_JIT:
        values = np.zeros(count, np.int64)
        return values, values.ctypes.data
    there = device.require().mapped_array(count, np.int64)
    values = np.asarray(there)
    values[:] = 0
    return values, device.address(there)


def stream():
    """Launches on it wait for nothing, and nothing waits for them."""
    if DISABLE_JIT:
        return 0
    from numba.cuda.cudadrv.driver import binding, driver

    return device.require().external_stream(int(driver.cuStreamCreate(binding.CUstream_flags.CU_STREAM_NON_BLOCKING.value)))


def launch(kernel, blocks, threads, stream, shared, arguments):
    """Ask for a launch, not waiting for it."""
    if DISABLE_JIT:
        raise NoDevice(ALONE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba-cuda minds launches of few blocks
        kernel[blocks, threads, stream, shared](*arguments)


def finish(stream):
    """Wait for what was launched; an error of a kernel shows here."""
    if not DISABLE_JIT:
        stream.synchronize()


def trouble(stream):
    """What the driver says of a stream that does not answer: an error as text, or "" while it runs."""
    if DISABLE_JIT:
        return ""
    from numba.cuda.cudadrv.driver import driver

    try:
        driver.cuStreamQuery(stream.handle)
    except Exception as error:  # CUDA_ERROR_NOT_READY too
        return "" if "NOT_READY" in str(error) else str(error)
    return ""
