"""streamrnn warmup: compile every kernel into the cache, with progress."""
import time


def options(parser):
    pass


def compile_all(console):
    """Every kernel compiled or read from the cache, with a bar on a terminal; (name, from the cache?, seconds) of each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from streamrnn import jit
    from streamrnn.kernels import step  # noqa: F401  (defines the kernels)

    done = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("compiling", total=len(jit.KERNELS))
        for dispatcher, _ in jit.KERNELS:
            name = dispatcher.py_func.__name__
            progress.update(task, description=f"compiling {name}")
            began = time.perf_counter()
            jit.ready(dispatcher)
            done.append((name, jit.from_cache(dispatcher), time.perf_counter() - began))
            progress.advance(task)
    return done


def cache_is_cold():
    """Is there nothing to start from: no compiled code for this version on this processor?"""
    from streamrnn import jit

    return not any(jit.cache_folder().glob("*.bin"))


def run(chosen):
    from rich.console import Console

    console = Console()
    start = time.perf_counter()
    for name, cached, seconds in compile_all(console):
        console.print(f"  {name:<12} {'was in the cache' if cached else 'compiled'} ({seconds:.1f} s)")
    from streamrnn import jit

    console.print(f"ready in {time.perf_counter() - start:.1f} s; compiled code lies in {jit.cache_folder()}", soft_wrap=True)
