"""streamrnn train: a table in, a file out that runs as it is: a detector, or a model and how good it is beside a forecast without one."""
import argparse
import math
import os
from pathlib import Path

from streamrnn.cli.arguments import counted, natural, whole

LOSSES = "mse", "mae", "huber", "quantile", "gaussian"


def number(least, below=math.inf):
    """An argument that is a number of `least` or more."""
    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < below:
            raise argparse.ArgumentTypeError(f"a number of {least} or more{'' if below == math.inf else f', below {below}'}, got {text!r}")
        return value
    return convert


DATA = {
    "--task": {"choices": ("detect", "forecast", "classify"),
               "help": "detect: what is usual for the sensors, forecast: the target, classify: the target holds labels 0, 1, ... "
                       "(default: forecast with --target, --inputs, --ahead or --group, else detect)"},
    "--target": {"metavar": "A,B", "help": "columns to predict (default: all, the table forecasts itself)"},
    "--inputs": {"metavar": "A,B", "help": "columns that go in, a detector's sensors (default: all, with --ahead 0 all but the targets)"},
    "--ahead": {"type": natural, "metavar": "K",
                "help": "the target is its value K rows later, 0: in the same row (default 1, to classify 0)"},
    "--group": {"metavar": "COLUMN", "help": "rows with the same value here are a sequence of their own, such as one machine's"},
    "--last": {"action": "store_true", "help": "one label for each group, told at its last row"},
    "--fill": {"choices": ("previous", "zero"), "help": "what to put for missing values, which are refused otherwise"},
    "--validation": {"type": number(0, below=1), "default": 0.2, "metavar": "SHARE",
                     "help": "held back to measure on: the last part of each sequence, with --last some of the groups (default 0.2)"},
}
LEARNING = {
    "--loss": {"choices": LOSSES, "help": "of a forecast (default mse); classify has cross-entropy"},
    "--no-scale": {"action": "store_true", "help": "leave out the scalers that go first and last"},
    "--optimizer": {"choices": ("adam", "adamw", "sgd", "rmsprop"), "default": "adam", "help": "default adam"},
    "--clip": {"type": number(0), "default": 1.0, "metavar": "NORM", "help": "largest norm of the gradient, 0: any (default 1)"},
    "--schedule": {"choices": ("constant", "cosine", "plateau"), "default": "constant", "help": "of the learning rate (default constant)"},
    "--epochs": {"type": whole, "default": 100, "metavar": "N", "help": "at most (default 100)"},
    "--patience": {"type": natural, "default": 20, "metavar": "N", "help": "end when so many epochs were no better, 0: never (default 20)"},
    "--seed": {"type": natural, "default": 0, "metavar": "N", "help": "of first weights, order and dropout (default 0)"},
    "--threads": {"type": whole, "metavar": "N", "help": "default: all processors; results do not depend on it"},
}
OWN = {
    "--layers": {"metavar": "WORDS", "help": "such as gru:64,dropout:0.2,dense:1; the last dense may be left out (default lstm:64, a "
                                             "detector's net gru:32; none: a detector without a net)"},
    "--rate": {"type": number(1e-12), "help": "learning rate (default 0.001, for sgd 0.01)"},
    "--batch": {"type": whole, "metavar": "N", "help": "sequences side by side (default 64); one long sequence is cut into as many "
                                                      "pieces (default: of ten windows each, at most 64)"},
    "--window": {"type": whole, "metavar": "N", "help": "rows before each update (default 100, with --last whole sequences)"},
    "--recompute": {"type": whole, "metavar": "K", "help": "keep every K-th step only: less memory, more time"},
    "--checkpoint": {"metavar": "FILE", "help": "written as it goes; the same command goes on from there"},
    "--plot": {"metavar": "FILE", "help": "draw loss, rate and gradient by epoch (needs streamrnn[plot])"},
}
DETECTING = {
    "--false-alarms": {"metavar": "RATE", "help": 'how many are bearable, such as 1/week or "1/20000 rows" (default 1/week)'},
    "--period": {"metavar": "TIME", "help": "between rows, such as 250ms or 5min (default: taken from the times, else 1s)"},
    "--memory": {"action": argparse.BooleanOptionalAction,
                 "help": "keep the history, to compare patterns with (default: if it repeats itself)"},
}


def options(parser):
    parser.add_argument("data", help="a table: .csv, .npy or .parquet")
    for title, group in (("the data", DATA), ("a detector (beside --inputs, --layers and --seed)", DETECTING),
                         ("the model and its training", {**OWN, **LEARNING})):
        shown = parser.add_argument_group(title)
        for flag, details in group.items():
            shown.add_argument(flag, **details)
    parser.add_argument("-o", "--output", default="model.safetensors", metavar="FILE", help="the model's file (default model.safetensors)")


def run(chosen):
    from streamrnn.cli import examples, learn, outcome, recipe

    console = plain_console()
    detector = learn.wanted(chosen)
    for path in (chosen.output, chosen.checkpoint, chosen.plot):
        writable(path)
    if detector:
        return learn.run(chosen, console)
    drawable(chosen.plot)
    data = examples.read(chosen)
    plan = recipe.Recipe(chosen, data)
    console.print(grid([*about(chosen, data), ("outputs", f"{plan.model.outputs}: {plan.why}"), ("model", repr(plan.model))]))
    compiled(console)
    model, history = plan.fit(progress=True)
    if not history.epochs:
        console.print("stopped before the end of the first epoch: nothing is saved")
        return 130
    model.save(chosen.output)
    if chosen.plot:
        history.plot(chosen.plot)
    console.print(outcome.ending(history, plan))
    console.print(*outcome.scores(model, data, plan), sep="\n")
    console.print(outcome.farewell(chosen, history), soft_wrap=True)
    return 0


def plain_console():
    """Prints names as they are: in rich's markup the [C] of a column would be a style."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


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


# -- what is printed ---------------------------------------------------------------------------------------------------

def about(chosen, data):
    """(what, in words)"""
    when = f"{counted(data.ahead, 'row')} ahead" if data.ahead else "of each sequence" if data.last else "of the same row"
    yield "data", f"{chosen.data}: {counted(sum(map(len, data.x)), 'step')} in {counted(len(data.x), 'sequence')}"
    yield from (("", note) for note in data.notes)
    yield "inputs", ", ".join(data.inputs)
    yield "target", f"{', '.join(data.targets)}, {when}"
    yield "measured", f"on {data.measured_in_words()}"
    yield "naive", f"{data.naive}: what the model has to beat"


def grid(rows):
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return table
