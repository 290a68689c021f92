"""How streamrnn compiles: the flags, the processor's features, and a cache folder of its own that nothing can poison.

The folder is named by a hash of the sources that kernels are made of, Numba, Python and the processor, so an edited cell,
an upgrade or another host starts a fresh one; an entry's name has a hash of the sources beside
its own. Each entry carries a digest: a truncated or flipped file means compile again. Where the folder cannot be written,
everything is compiled in memory. STREAMRNN_CACHE_DIR moves it.
"""
import hashlib
import os
import pickle
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from types import FunctionType, NoneType

import numba
import numpy as np
from llvmlite import binding
from numba import njit, types
from numba.core import cgutils, config
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic
from numba.extending import intrinsic

CPU = config.CPU_NAME or binding.get_host_cpu_name()


def _features():
    """Names of the instruction sets Numba compiles for: NUMBA_CPU_FEATURES, or what the host has."""
    if config.CPU_FEATURES is not None:
        return frozenset(name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+"))
    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


FEATURES = _features()


def inline(function):
    """A piece of a kernel: compiled into its caller, never called by itself."""
    return njit(own_name(function), error_model="numpy", forceinline=True)


def part(function):
    """A piece of a kernel with a body of its own, called from others."""
    return njit(own_name(function), error_model="numpy")


def own_name(function):
    """What a factory made gets a name of its own, by what it closes over: the same in every process.

    Kernels come from the cache one by one, each compiled in some process, and meet in this one under the names of their
    pieces: Numba tells two pieces of one factory apart by a number that starts anew in each process, so that one kernel
    would call the other's piece.
    """
    if function.__closure__:
        tag = hashlib.blake2b(repr(_content(function)).encode(), digest_size=8).hexdigest()
        function.__qualname__ = f"{function.__qualname__}_{tag}"
    return function


def _content(value):
    """What a value is made of, as plain values that are the same in every process."""
    if isinstance(value, (bool, int, float, str, range, np.generic, NoneType)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, *map(_content, value)]
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, value.tobytes()]
    if isinstance(value, Dispatcher):
        return _content(value.py_func)
    if isinstance(value, _Intrinsic):
        return _content(value._defn)
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__qualname__, *(_content(getattr(value, field.name)) for field in fields(value))]
    if isinstance(value, FunctionType):
        cells = [_content(cell.cell_contents) for cell in value.__closure__ or ()]
        return [value.__module__, value.__qualname__, value.__code__.co_firstlineno, value.__code__.co_code, *cells]
    if isinstance(value, types.Type):
        return str(value)
    raise TypeError(f"a piece of a kernel closes over {value!r}, of which no name can be made")


def kernel(signature, nogil=True):
    """A function that Python calls: one signature, compiled at its first use or read from the cache."""
    def decorate(function):
        if config.DISABLE_JIT:  # plain Python, for CUDA's simulator
            return function
        dispatcher = njit(function, error_model="numpy", nogil=nogil)
        dispatcher._cache = _SafeCache(function)
        KERNELS.append((dispatcher, signature))
        return dispatcher
    return decorate


MADE_OF = ("jit.py", "lanes.py", "maths.py", "sums.py", "cells/*.py", "kernels/*.py")
"""What kernels anywhere may call, besides what stands in their own folder."""

_compiling = Lock()

KERNELS = []
"""Every kernel with its signature, in the order of definition."""


def ready(dispatcher):
    """Compile a kernel, or load it, unless that has been done; after this it takes its one signature and no other."""
    if not config.DISABLE_JIT and dispatcher._can_compile:
        with _compiling:
            if dispatcher._can_compile:
                dispatcher.compile(_signature(dispatcher))
                dispatcher.disable_compile()
    return dispatcher


def _signature(dispatcher):
    return next(signature for other, signature in KERNELS if other is dispatcher)


def address_of_code(dispatcher):
    """Where a kernel's machine code starts: what `called` takes."""
    if config.DISABLE_JIT:
        return 0
    result = next(iter(ready(dispatcher).overloads.values()))
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def called(signature):
    """call(address, arguments): a kernel of this signature by its address, its arguments as a tuple.

    The callee stays out of the caller's code: a large kernel is compiled once, whoever uses it.
    """
    @intrinsic
    def call(typing, address, arguments):
        def lower(context, builder, sig, args):
            kind = context.call_conv.get_function_type(signature.return_type, signature.args)
            callee = builder.inttoptr(args[0], kind.as_pointer())
            arguments = cgutils.unpack_tuple(builder, args[1], len(signature.args))
            return context.call_conv.call_function(builder, callee, signature.return_type, signature.args, arguments)[1]
        return signature.return_type(types.int64, types.Tuple(signature.args)), lower
    return call


def from_cache(dispatcher):
    return bool(dispatcher.stats.cache_hits)


def is_cached(dispatcher):
    """Is there a file for this kernel? (A damaged one shows when it is read.)"""
    return dispatcher._cache.file(_signature(dispatcher)).exists()


def cache_is_writable():
    """Can compiled code be kept, so that another process has it?"""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(cache_folder(), os.W_OK)


@cache
def cache_folder():
    """Where this package, with this Numba on this processor, keeps its compiled code."""
    root = os.environ.get("STREAMRNN_CACHE_DIR")
    if root is None:
        home = Path.home()
        root = {"darwin": home / "Library/Caches", "win32": Path(os.environ.get("LOCALAPPDATA", home))}.get(
            sys.platform, Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")) / "streamrnn"
    key = hashlib.blake2b(digest_size=12)
    package = Path(__file__).parent
    for path in sorted(path for part in MADE_OF for path in (package / part).parent.glob(Path(part).name)):
        key.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    key.update(repr((numba.__version__, sys.version, CPU, sorted(FEATURES), config.OPT)).encode())
    return Path(root) / key.hexdigest()


class _SafeCache(_Cache):
    """One file a kernel and signature: digest, then the pickled result. Written whole or not at all."""

    def __init__(self, function):
        self._impl = CompileResultCacheImpl.__new__(CompileResultCacheImpl)
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._source = Path(function.__code__.co_filename)  # a kernel may live outside the package
        self._on = True

    @property
    def cache_path(self):
        return str(cache_folder())

    def file(self, signature):
        key = hashlib.blake2b(repr(signature).encode(), digest_size=6)
        for path in sorted(self._source.parent.glob("*.py")):
            key.update(path.name.encode() + path.read_bytes())
        return cache_folder() / f"{self._name}-{key.hexdigest()}.bin"

    def load_overload(self, sig, target_context):
        if not self._on:
            return None
        try:
            content = self.file(sig).read_bytes()
            digest, payload = content[:32], content[32:]
            if hashlib.blake2b(payload, digest_size=32).digest() != digest:
                return None
            target_context.refresh()
            return self._impl.rebuild(target_context, pickle.loads(payload))
        except Exception:  # whatever is wrong with a cache, compiling is the answer
            return None

    def save_overload(self, sig, data):
        if not self._on:
            return
        payload = pickle.dumps(self._impl.reduce(data), protocol=pickle.HIGHEST_PROTOCOL)
        path = self.file(sig)
        draft = path.with_suffix(f".{os.getpid()}.{id(data)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(hashlib.blake2b(payload, digest_size=32).digest() + payload)
            os.replace(draft, path)
        except OSError:  # read-only or full: this process has its code, the next will compile too
            draft.unlink(missing_ok=True) if draft.parent.is_dir() and os.access(draft.parent, os.W_OK) else None

    def enable(self):
        self._on = True

    def disable(self):
        self._on = False

    def flush(self):
        pass
