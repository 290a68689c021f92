"""The options of train, learn and tune: {flag: what argparse takes}."""
import argparse
import math

from streamrnn.cli.arguments import natural, whole

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
