"""streamrnn tune: Optuna searches for layers, rate, dropout, batch and window; each trial is a `streamrnn train` command.

What a trial tries is rounded before it trains, so that the command printed for it trains the same model bit for bit.
"""
import argparse
import math
import shlex
import time
from pathlib import Path

from streamrnn.cli import train, training_options
from streamrnn.cli.arguments import seconds, whole
from streamrnn.cli.console import compiled, grid, plain_console, writable

KINDS, LEARNT = ("rnn", "lstm", "gru"), ("rate", "batch", "window")
BEST = 5        # trials in the table at the end
REPORTS = 20    # of a trial, at most: each is a write to the study's file


def between(number, least, below=math.inf):
    """An argument LOW:HIGH of two such numbers."""
    def convert(text):
        try:
            low, high = map(number, text.split(":"))
        except ValueError:
            low, high = math.nan, math.nan
        if not least <= low <= high < below:
            bounds = f"from {least}{'' if below == math.inf else f', below {below}'}"
            raise argparse.ArgumentTypeError(f"a range LOW:HIGH {bounds}, got {text!r}")
        return low, high
    return convert


def kinds(text):
    """An argument that names some of the recurrent layers."""
    if not set(text.split(",")) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"some of {','.join(KINDS)}, got {text!r}")
    return text.split(",")


DATA = training_options.DATA | {
    "--task": {"choices": ("forecast", "classify"), "default": "forecast", "help": "classify: the target holds labels 0, 1, ..."},
    "--inputs": {"metavar": "A,B", "help": "columns that go in (default: all, with --ahead 0 all but the targets)"}}
RANGE = {"metavar": "LOW:HIGH"}
SEARCH = {
    "--kinds": {"type": kinds, "default": list(KINDS), "metavar": "A,B", "help": "of layers (default rnn,lstm,gru)"},
    "--depth": {"type": between(int, 1), "default": (1, 2), **RANGE, "help": "layers one behind the other (default 1:2)"},
    "--units": {"type": between(int, 1), "default": (8, 128), **RANGE, "help": "of each, in steps of LOW (default 8:128)"},
    "--dropout": {"type": between(float, 0, below=1), "default": (0.0, 0.4), **RANGE, "help": "behind each (default 0:0.4)"},
    "--rate": {"type": between(float, 1e-12), "default": (3e-4, 3e-2), **RANGE, "help": "learning rate (default 0.0003:0.03)"},
    "--batch": {"type": between(int, 1), "default": (8, 64), **RANGE, "help": "LOW, doubled up to HIGH (default 8:64)"},
    "--window": {"type": between(int, 1), "default": (25, 200), **RANGE, "help": "the same; with --last whole sequences (default 25:200)"},
}


def options(parser):
    parser.add_argument("data", help="a table: .csv, .npy or .parquet")
    for title, group in (("the data", DATA), ("what is searched", SEARCH), ("each training", training_options.LEARNING)):
        shown = parser.add_argument_group(title)
        for flag, details in group.items():
            shown.add_argument(flag, **details)
    parser.add_argument("--trials", type=whole, default=20, metavar="N", help="how many in all (default 20)")
    parser.add_argument("--time", type=seconds, metavar="SECONDS", help="end after this time, whatever is done by then")
    parser.add_argument("--study", metavar="FILE", help="keep the trials in this SQLite file; running again goes on with them")
    parser.add_argument("-o", "--output", metavar="FILE", help="train the best once more and save it here")


def run(chosen):
    from streamrnn.cli import examples
    from streamrnn.errors import ConfigError

    optuna = _optuna()
    console = plain_console()
    for path in (chosen.output, chosen.study):
        writable(path)
    if not chosen.validation:
        raise ConfigError("--validation 0 leaves nothing to compare trials by: give it a share such as 0.2")
    data = examples.read(chosen)
    search = Search(optuna, chosen, data)
    console.print(grid([*train.about(chosen, data), *search.about()]))
    compiled(console)
    finished = search.run(console)
    best = search.best()
    if not best and finished:
        raise ConfigError("no trial came to its end: lower --rate, or allow more --trials or --time")
    if not best:
        console.print("stopped before the first trial was done")
        return 130
    console.print(table(best[:BEST]))
    command = [*words(chosen, best[0].user_attrs["tried"]), "-o", chosen.output or "model.safetensors"]
    console.print("The best was chosen by what was held back, so what it scores there flatters it a little. To train it again:\n")
    console.print(f"  streamrnn train {shlex.join(command)}\n", soft_wrap=True)
    if not finished:
        return 130
    return train.run(parsed(command)) if chosen.output else 0


class Search:
    """A study of Optuna: what was tried is kept in each trial's `tried`, numbers as they were used."""

    def __init__(self, optuna, chosen, data):
        self.chosen, self.data = chosen, data
        self.study, self.states = _study(optuna, chosen), optuna.trial.TrialState

    def done(self):
        """Trials that count; one that was stopped half-way does not."""
        return self.study.get_trials(deepcopy=False, states=(self.states.COMPLETE, self.states.PRUNED))

    def best(self):
        return sorted((trial for trial in self.done() if trial.state == self.states.COMPLETE), key=lambda trial: trial.value)

    def about(self):
        """(what, in words)"""
        done = len(self.done())
        yield "trials", (f"{self.chosen.trials}{f', {done} of them done before' if done else ''}"
                         f"{f', kept in {self.chosen.study}' if self.chosen.study else ''}")
        yield "search", ", ".join(f"{flag[2:]} {shown(value(self.chosen, flag))}" for flag in SEARCH
                                 if not (flag == "--window" and self.chosen.last))

    def run(self, console):
        """Try until all is done or the time is over; False if someone pressed Ctrl-C."""
        until = time.monotonic() + (self.chosen.time or math.inf)
        with console.status("") as status:
            while len(self.done()) < self.chosen.trials and time.monotonic() < until:
                trial = self.study.ask()
                trial.set_user_attr("tried", suggested(trial, self.chosen))
                end = self._trial(trial, until, status)
                self.study.tell(trial, **end)
                if end["state"] == self.states.FAIL:
                    return False
                console.print(line(self.study.trials[trial.number]))
        return True

    def _trial(self, trial, until, status):
        """How it ended, as study.tell takes it."""
        from streamrnn.cli.recipe import Recipe
        from streamrnn.errors import Diverged

        recipe = Recipe(parsed(words(self.chosen, trial.user_attrs["tried"])), self.data)
        every, pruned = -(-self.chosen.epochs // REPORTS), False

        def look(history):
            nonlocal pruned
            status.update(f"trial {trial.number}, epoch {history.epochs}: validation {history.validation[-1]:.4g}")
            if history.epochs % every == 0:
                trial.report(history.validation[history.best], history.epochs)
                pruned = trial.should_prune()
            return pruned or time.monotonic() >= until

        try:
            _, history = recipe.fit(on_epoch=look, progress=False)
        except Diverged:
            history = None
        if history and history.stopped == "interrupted":
            return {"state": self.states.FAIL}
        result = history.validation[history.best] if history else math.inf
        if math.isfinite(result) and not pruned:
            return {"state": self.states.COMPLETE, "values": result}
        trial.set_user_attr("remark", "pruned" if pruned else "diverged")
        return {"state": self.states.PRUNED}


# -- what is tried -----------------------------------------------------------------------------------------------------

def suggested(trial, chosen):
    """What Optuna suggests, rounded to what a command shows."""
    def doubled(name, low, high):
        return low * 2 ** trial.suggest_int(name, 0, int(math.log2(high / low)))

    low, high = chosen.units
    return {"kind": trial.suggest_categorical("kind", chosen.kinds), "depth": trial.suggest_int("depth", *chosen.depth),
            "units": trial.suggest_int("units", low, high - (high - low) % low, step=low),
            "dropout": round(trial.suggest_float("dropout", *chosen.dropout), 2),
            "rate": float(f"{trial.suggest_float('rate', *chosen.rate, log=True):.2g}"),
            "batch": doubled("batch", *chosen.batch), **({} if chosen.last else {"window": doubled("window", *chosen.window)})}


def words(chosen, tried):
    """The arguments of `streamrnn train` that train this, but for the output."""
    found = [chosen.data]
    for flag, details in {**training_options.DATA, **training_options.LEARNING}.items():
        given = value(chosen, flag)
        if given is True:
            found.append(flag)
        elif given is not False and given != details.get("default"):
            found += [flag, str(given)]
    layer = [f"{tried['kind']}:{tried['units']}"] + ([f"dropout:{tried['dropout']:g}"] if tried["dropout"] else [])
    return [*found, "--layers", ",".join(layer * tried["depth"]),
            *(word for name in LEARNT if name in tried for word in (f"--{name}", str(tried[name])))]


def parsed(arguments):
    parser = argparse.ArgumentParser()
    train.options(parser)
    return parser.parse_args(arguments)


def value(chosen, flag):
    return getattr(chosen, flag[2:].replace("-", "_"))


# -- the study ---------------------------------------------------------------------------------------------------------

def _optuna():
    """Optuna, quiet, or how to get it."""
    from streamrnn.errors import MissingExtra
    try:
        import optuna
    except ImportError:
        raise MissingExtra("tune needs Optuna: pip install 'streamrnn[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _study(optuna, chosen):
    """A new study, or the one in the file if it is of this very search."""
    from streamrnn.errors import ConfigError

    storage = None
    if chosen.study:
        _refuse_foreign(chosen.study)
        storage = f"sqlite:///{chosen.study}"
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=chosen.epochs // 10)
    study = optuna.create_study(study_name="streamrnn", storage=storage, load_if_exists=True, pruner=pruner)
    study.sampler = optuna.samplers.TPESampler(seed=chosen.seed + len(study.trials))  # one seed would begin with the same trials again
    search, before = _identity(chosen), study.user_attrs.get("search")
    if before is None:
        study.set_user_attr("search", search)
    elif before != search:
        other = ", ".join(name for name in search if search[name] != before.get(name))
        raise ConfigError(f"{chosen.study} holds another search ({other} differ). Give --study another file, or the options it began with")
    return study


def _identity(chosen):
    """What trials have to have in common."""
    from hashlib import blake2b

    flags = [flag for flag in (*DATA, *training_options.LEARNING, *SEARCH) if flag != "--threads"]
    return {"the data": blake2b(Path(chosen.data).read_bytes(), digest_size=16).hexdigest(),
            **{flag: shown(value(chosen, flag)) for flag in flags}}


def _refuse_foreign(path):
    """Optuna would put its tables into any SQLite file."""
    import sqlite3
    from contextlib import closing

    from streamrnn.errors import FileError

    if not Path(path).exists():
        return
    try:
        with closing(sqlite3.connect(path)) as file:
            file.execute("select study_name from studies")
    except sqlite3.Error as error:
        raise FileError(f"{path} holds no study of Optuna ({error}): give --study a file of its own") from None


# -- what is printed ---------------------------------------------------------------------------------------------------

def shown(setting):
    """8:128, rnn,lstm or 0.2"""
    if isinstance(setting, tuple):
        return ":".join(f"{number:g}" for number in setting)
    return ",".join(setting) if isinstance(setting, list) else str(setting)


def layers(tried):
    return f"{tried['depth']} x {tried['kind']}:{tried['units']}" + (f", dropout {tried['dropout']:g}" if tried["dropout"] else "")


def line(trial):
    tried = trial.user_attrs["tried"]
    rest = "".join(f", {name} {tried[name]}" for name in LEARNT if name in tried)
    return f"{trial.number:>4}  {trial.user_attrs.get('remark') or f'{trial.value:.4g}':<9} {layers(tried)}{rest}"


def table(trials):
    from rich import box
    from rich.table import Table

    found, names = Table(box=box.SIMPLE_HEAD, pad_edge=False), [name for name in LEARNT if name in trials[0].user_attrs["tried"]]
    for heading in ("trial", "validation", "layers", *names):
        found.add_column(heading, justify="left" if heading == "layers" else "right")
    for trial in trials:
        tried = trial.user_attrs["tried"]
        found.add_row(str(trial.number), f"{trial.value:.4g}", layers(tried), *(str(tried[name]) for name in names))
    return found
