"""streamrnn warmup: compile every kernel into the cache, with progress."""
import time


def options(parser):
    pass


def run(chosen):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console()
    start = time.perf_counter()
    from streamrnn import jit
    from streamrnn.kernels import step  # noqa: F401  (defines the kernels)

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("compiling", total=len(jit.KERNELS))
        for dispatcher, _ in jit.KERNELS:
            name = dispatcher.py_func.__name__
            progress.update(task, description=f"compiling {name}")
            began = time.perf_counter()
            jit.ready(dispatcher)
            how = "was in the cache" if jit.from_cache(dispatcher) else "compiled"
            console.print(f"  {name:<12} {how} ({time.perf_counter() - began:.1f} s)")
            progress.advance(task)
    console.print(f"ready in {time.perf_counter() - start:.1f} s; compiled code lies in {jit.cache_folder()}", soft_wrap=True)
