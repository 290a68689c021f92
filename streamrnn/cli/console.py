"""What the commands print with, what they compile before they begin, and whether a file that they are to write can be written."""
import os
from pathlib import Path


def plain_console():
    """Prints names as they are: in rich's markup the [C] of a column would be a style."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def grid(rows):
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return table


def compiled(console):
    from streamrnn.cli import warmup

    modules = warmup.SERVING + warmup.TRAINING
    if warmup.cache_is_cold(modules):
        console.print("The first run compiles for about a minute; later ones start at once.")
    warmup.compile_all(console, modules)


def writable(path):
    """Found out now, not after the training."""
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}: make it first")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path}: nothing can be written into {path.parent}")


def drawable(path):
    if path is None:
        return
    from streamrnn.errors import ConfigError
    from streamrnn.training.history import matplotlib

    kinds = matplotlib().Figure().canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in kinds:
        raise ConfigError(f"--plot {path}: no kind of picture; take one of {', '.join(sorted(kinds))}")
