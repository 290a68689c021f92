"""streamrnn warmup: compile every kernel into the cache, as many at once as there are cores."""
import os
import time
from importlib import import_module

SERVING = ("streamrnn.kernels.step",)
BUS = ("streamrnn.bus.core.loop", "streamrnn.bus.desk", "streamrnn.bus.slow_loop", "streamrnn.bus.core.digest")
TRAINING = ("streamrnn.kernels.unroll", "streamrnn.kernels.feed", "streamrnn.training.losses", "streamrnn.training.optimisers")
LONGEST = ("steps", "forwards", "backwards", "step_one")  # these start first


def options(parser):
    parser.add_argument("--serving", action="store_true", help="only what serving takes, not training")


def compile_all(console, modules=SERVING):
    """The kernels of these modules ready to run; with a bar on a terminal. (name, from the cache?, seconds) of each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    kernels, done = _kernels(modules), []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("compiling", total=len(kernels))
        for name, cached, seconds in _side_by_side(kernels):
            progress.update(task, description=f"compiled {name}")
            progress.advance(task)
            done.append((name, cached, seconds))
    return done


def _kernels(modules):
    """{name: dispatcher} of every kernel that these modules, and whatever else is imported by now, define or use."""
    from streamrnn import jit

    for module in modules:
        import_module(module)
    return {dispatcher.py_func.__name__: dispatcher for dispatcher, _ in jit.KERNELS}


def _side_by_side(kernels):
    """What is not in the cache is compiled by processes of their own: Numba compiles one kernel at a time in each."""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    from streamrnn import jit

    missing = [name for name, dispatcher in kernels.items() if not jit.is_cached(dispatcher)]
    missing.sort(key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    seconds, workers = {}, min(len(missing), os.cpu_count() or 1)
    if workers > 1 and jit.cache_is_writable():
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            for task in as_completed([pool.submit(_compile, kernels[name].py_func.__module__, name) for name in missing]):
                name, seconds[name] = task.result()
                yield name, False, seconds[name]
    for name, dispatcher in kernels.items():
        began = time.perf_counter()
        jit.ready(dispatcher)
        if name not in seconds:
            yield name, jit.from_cache(dispatcher), time.perf_counter() - began


def _compile(module, name):
    """In a process of its own, which knows nothing yet."""
    from streamrnn import jit

    began = time.perf_counter()
    jit.ready(_kernels([module])[name])
    return name, time.perf_counter() - began


def cache_is_cold(modules=SERVING):
    """Is there something to compile?"""
    from streamrnn import jit

    return not all(jit.is_cached(dispatcher) for dispatcher in _kernels(modules).values())


def run(chosen):
    from rich.console import Console

    console = Console()
    start = time.perf_counter()
    done = compile_all(console, SERVING + BUS + (() if chosen.serving else TRAINING))
    for name, cached, seconds in done:
        if not cached:
            console.print(f"  {name:<20} compiled ({seconds:.1f} s)")
    console.print(f"  {sum(cached for _, cached, _ in done)} of {len(done)} were in the cache")
    from streamrnn import jit

    console.print(f"ready in {time.perf_counter() - start:.1f} s; compiled code lies in {jit.cache_folder()}", soft_wrap=True)
