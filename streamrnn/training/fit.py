"""fit: a model learns from sequences. Options in, checks first, then epochs of windows; the model changes once, at the end."""
import os
import time
from dataclasses import dataclass
from math import isfinite
from numbers import Real

import numpy as np

from streamrnn.errors import ConfigError, Diverged, InputError
from streamrnn.model.model import Model
from streamrnn.streams.places import checked
from streamrnn.training import checkpoint as checkpoints
from streamrnn.training import optimisers, schedules
from streamrnn.training.batches import windows
from streamrnn.training.blame import culprit
from streamrnn.training.evaluate import Evaluation
from streamrnn.training.flow import flow_through
from streamrnn.training.history import History
from streamrnn.training.learner import Learner
from streamrnn.training.objective import Objective
from streamrnn.training.optimisers import Adam, Optimiser
from streamrnn.training.passes import Passes
from streamrnn.training.progress import display
from streamrnn.training.schedules import Constant, Schedule
from streamrnn.training.weights import Weights

SPLITS = ("auto", "time", "sequence")
LOOK_BACK = 200  # steps over which the gradient is followed at the end, within a window


def fit(model, x, y, *, loss="mse", optimizer=None, schedule=None, epochs=20, batch=64, window=None, lengths=None, validation=None,
        split="auto", patience=None, seed=0, threads=None, recompute=None, checkpoint=None, every=60.0, on_epoch=None, progress=None,
        device=None):
    """Train a model in place, by backpropagation through time; answers a History.

    x: (T, inputs), (B, T, inputs) with `lengths` or without, or a list of (T, inputs).
    y: a target for every step, in x's shape with the targets' columns, or one for every sequence, (B, columns). With heads,
        loss and y may be dicts by head.

    loss: "mse", "mae", "huber", "quantile", "bce", "gaussian", "student", "cross_entropy", "ctc", a Loss, or f(y, target) ->
        (values, gradient). Cross-entropy, ctc and bce take logits: a softmax or sigmoid in the last Dense is left out while it trains.
        For ctc, y is a list of label lists, or (B, labels) padded with -1; sequences are taken whole, without window= and recompute=.
    optimizer, schedule: "adam", "cosine" and the like, or Adam(1e-3, clip=1.0), Cosine(warmup=100) and the like.
    batch, window: how many sequences go together, and how many steps before each update (None: whole sequences). States are
        carried from window to window. One long series is cut into `batch` pieces that run side by side.
    validation: a share, or (x, y) or (x, y, lengths). A share of one series is its last part, of several some of them;
        split="time" takes the last part of each. The weights of the best epoch are restored; `patience` epochs without a
        better one end the training.
    recompute: keep only every k-th step of a window and compute the others twice: less memory for a third more time.
    checkpoint: a file, written every `every` seconds and after each epoch; a training that finds it goes on bit for bit.
    device: "cuda" trains on an NVIDIA GPU (without recompute=), "auto" where there is one, "cpu" or None here. Losses and gradients
        are the same to rounding; two runs on one kind of device are equal bit for bit.
    threads: of the processor's by default; results do not depend on it.
    progress: None shows a bar on a terminal.
    on_epoch: f(history), called after each epoch; what it answers, if true, ends the training.

    First and last layers Scale() and Unscale() that have not been set are set from the data; with an Unscale, losses are
    those of scaled targets. Ctrl-C ends the training and keeps the best so far. Nothing of the model changes before the end.
    """
    options = Options(epochs, batch, window, patience, seed, _threads(threads), recompute, every, _device(device))
    optimizer = _named(optimizer, optimisers.BY_NAME, Adam)
    schedule = _named(schedule, schedules.BY_NAME, Constant)
    if not isinstance(model, Model):
        raise ConfigError(f"fit trains a Model, got {model!r}")
    if not isinstance(optimizer, Optimiser):
        raise ConfigError(f"optimizer must be {', '.join(optimisers.BY_NAME)}, or one of them with its options such as Adam(1e-3), "
                          f"got {optimizer!r}")
    if not isinstance(schedule, Schedule):
        raise ConfigError(f"schedule must be {', '.join(schedules.BY_NAME)}, or one with its options such as Cosine(warmup=100) or "
                          f"Steps(10, 0.5), got {schedule!r}")
    if on_epoch is not None and not callable(on_epoch):
        raise ConfigError(f"on_epoch must be a function of a History, got {on_epoch!r}")
    objective = Objective(model, loss)
    if objective.whole:
        _only_whole(objective.whole, options, validation, split)
    data, held = _split(objective, model, x, y, lengths, validation, split, options)
    if patience is not None and not held:
        raise ConfigError("patience waits for a better loss in validation: give validation=0.2, say, as well")
    learner = Learner(model, objective, data)
    data, held = learner.scaled(data), held and learner.scaled(held)
    show = display(progress)
    training = Training(learner.model, data, held, objective, optimizer, schedule, options, checkpoint, show, on_epoch)
    try:
        training.run()
    finally:
        show.stop()
    model.adopt(learner.serving(training.result()))
    show.say(training.history.warnings)
    return training.history


@dataclass(frozen=True)
class Options:
    epochs: int
    batch: int
    window: int | None
    patience: int | None
    seed: int
    threads: int
    recompute: int | None
    every: float
    device: str = "cpu"

    def __post_init__(self):
        for name, least in (("epochs", 1), ("batch", 1), ("window", 1), ("patience", 1), ("seed", 0), ("threads", 1), ("recompute", 1)):
            value = getattr(self, name)
            if value is None and name in ("window", "patience", "recompute"):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ConfigError(f"{name} must be a whole number of {least} or more, got {value!r}")
            object.__setattr__(self, name, int(value))
        if isinstance(self.every, bool) or not isinstance(self.every, Real) or not self.every >= 0:
            raise ConfigError(f"every must be a number of seconds, 0 or more, got {self.every!r}")

    def deciding(self):
        """What decides the bits of a training. Epochs may be added later; threads do not matter."""
        deciding = self.batch, self.window, self.patience, self.seed, self.recompute
        return deciding if self.device == "cpu" else (*deciding, self.device)


def _named(value, names, default):
    """What a name stands for; None for the default."""
    if value is None:
        return default()
    return names[value]() if isinstance(value, str) and value in names else value


def _device(device):
    """"cpu" or "cuda"; an error that says what is missing where the one asked for cannot be used."""
    if checked("cpu" if device is None else device) == "cpu":
        return "cpu"
    from streamrnn.cuda import device as gpu  # only then: numba-cuda is an extra

    if device == "auto":
        return "cuda" if gpu.available() else "cpu"
    gpu.require()
    return device


def _passes(device):
    """What goes through windows there."""
    if device == "cpu":
        return Passes
    from streamrnn.cuda.passes import CudaPasses

    return CudaPasses


def _threads(threads):
    """All processors that this process may use, unless told."""
    if threads is not None:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _only_whole(loss, options, validation, split):
    """Refuse what would cut a sequence whose loss is one of all its steps."""
    for name, cuts in (("window", "cuts sequences"), ("recompute", "takes sequences a piece at a time")):
        if getattr(options, name) is not None:
            raise ConfigError(f"{loss.name} is a loss of whole sequences, and {name}= {cuts}: leave it out. Cut long recordings into "
                              "shorter sequences, each with its labels, where one falls silent")
    if validation is not None and split == "time":
        raise ConfigError(f'{loss.name} is a loss of whole sequences, and split="time" cuts them: leave it out (some sequences are held '
                          "back then), or give validation=(x, y)")


def _split(objective, model, x, y, lengths, validation, split, options):
    """(training, validation or None) as Sequences."""
    if split not in SPLITS:
        raise ConfigError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    data, held = objective.sequences(x, y, lengths, model), None
    if isinstance(validation, (tuple, list)):
        if len(validation) not in (2, 3):
            raise InputError(f"validation is a share between 0 and 1, (x, y) or (x, y, lengths), got a {type(validation).__name__} "
                             f"of {len(validation)}")
        held = objective.sequences(validation[0], validation[1], validation[2] if len(validation) == 3 else None, model)
    elif validation is not None:
        if not isinstance(validation, Real) or not 0 < validation < 1:
            got = f"shape {validation.shape}" if isinstance(validation, np.ndarray) else repr(validation)
            raise InputError(f"validation is a share between 0 and 1, (x, y) or (x, y, lengths), got {got}")
        how = split if split != "auto" else "time" if len(data) == 1 and not objective.whole else "sequence"
        data, held = data.split(validation, how, options.window or 100, options.seed)
    for sequences, what in ((data, "train on"), (held, "validate on")):
        if sequences and not all(goal.weight[sequences.rows()].any() for goal in sequences.goals):
            raise InputError(f"the split leaves no target that counts to {what}")
    if len(data) == 1 and options.window:  # one long series: pieces side by side, each at least a window long
        data = data.tracks(max(1, min(options.batch, int(data.lengths[0]) // options.window)))
    return data, held


class Training:
    """The loop, and all that a checkpoint has to hold."""

    def __init__(self, model, data, held, objective, optimiser, schedule, options, checkpoint, show, on_epoch=None):
        self.data, self.objective, self.optimiser, self.schedule, self.options = data, objective, optimiser, schedule, options
        self.weights, self._show, self._on_epoch = Weights(model), show, on_epoch
        time = min(int(data.lengths.max()), options.window or int(data.lengths.max()))
        batch, self._look_back = min(options.batch, len(data)), min(time, LOOK_BACK)
        passes = _passes(options.device)
        self.passes = passes(self.weights, objective, data, batch, time, options.threads, options.recompute, options.seed)
        self._windows = lambda epoch: windows(data.lengths, batch, time, options.seed, epoch, shuffle=len(data) > batch)
        self.evaluation = Evaluation(self.weights, objective, held, options.threads, options.device) if held else None
        self.moments = [np.zeros(self.weights.size, np.float32) for _ in range(optimiser.arenas)]
        self.best = self.weights.values.copy()
        self.history, self.memory = History(memory=self.passes.memory()), {}
        self.number = self.epoch = self.position = self.waited = 0
        self.sums, self.counts = np.zeros(len(objective.parts)), np.zeros(len(objective.parts))
        self.largest = self.rate = 0.0
        self._path = checkpoint
        if checkpoint:
            self._first = model.digest
            self._owner = checkpoints.fingerprint([data, held] if held else [data],
                                                  (model.config(), objective.config(), optimiser, schedule, options.deciding()))
            self._take_up(checkpoints.load(checkpoint, self._owner))
        self.passes.send(self.moments)

    def run(self):
        updates = sum(any(self.passes.counted(window)) for window in self._windows(0))
        self._steps = self.options.epochs * updates
        self._show.start(self.options.epochs, updates, self.history.memory)
        self._saved = time.monotonic()
        try:
            while self.epoch < self.options.epochs and not self.history.stopped:
                self._through_epoch()
            self.history.stopped = self.history.stopped or "epochs"
        except KeyboardInterrupt:
            self.history.stopped = "interrupted"
            if self.history.best is None:  # nothing was measured yet: what there is, is the best
                self.passes.bring()
                self.best[:] = self.weights.values
            self._mark()

    def result(self):
        """The best tensors; leaves in the history how far the gradient reaches back through them."""
        self.weights.values[:] = self.best
        self.weights.refresh()
        if self.weights.plan.segments and self.history.stopped != "interrupted":  # who stops it does not wait for this
            self.history.warnings = flow_through(self.weights, self.objective, self.data, self._look_back).warnings
        return self.weights.tensors()

    def _through_epoch(self):
        began, ahead = time.monotonic(), self._windows(self.epoch)
        while self.position < len(ahead):
            self._update(ahead[self.position])
            self.position += 1
            if self._path and time.monotonic() - self._saved > self.options.every:
                self._save()
        self._end_epoch(ahead[-1], time.monotonic() - began)
        if self._path:
            self._save()

    def _update(self, window):
        counted = self.passes.counted(window)
        losses, gradient = self.passes.gradient(window, self.epoch)
        if gradient is None:
            return
        rate = self.optimiser.rate * self.schedule.factor(self.number, self._steps, self.epoch, self.memory)
        self.number += 1
        loss = float(losses.sum())
        norm = self.passes.update(self.optimiser, self.number, rate, gradient, self.moments) if isfinite(loss) else loss
        if not isfinite(norm):
            raise self._diverged(f"the loss is {loss}, the gradient's norm {norm}", window, rate)
        self.sums += losses * counted
        self.counts += counted
        self.largest, self.rate = max(self.largest, norm), rate
        self._show.update(self.epoch, self.number, loss, rate)

    def _diverged(self, what, window, rate):
        self.passes.bring()
        where = culprit(self.weights, self.passes, window, self.epoch)
        return Diverged(f"step {self.number} (epoch {self.epoch + 1}): {what}: {where}. Lower the learning rate (now {rate:.3g}), "
                        f"clip the gradient ({type(self.optimiser).__name__}(..., clip=1.0)), or scale inputs and targets "
                        "(Scale() as the first layer, Unscale() as the last). The model keeps its old weights")

    def _end_epoch(self, window, seconds):
        history, validation = self.history, None
        self.passes.bring(self.moments)
        if self.evaluation:
            validation = float(self.evaluation.loss().sum())  # first: a Ctrl-C in here leaves lists of one length
        if not isfinite(validation or 0) or not np.isfinite(self.weights.values).all():
            raise self._diverged("an update went too far" if validation is None else f"the validation loss is {validation}",
                                 window, self.rate)
        history.loss.append(float((self.sums / self.counts).sum()))
        history.rate.append(float(self.rate))
        history.norm.append(float(self.largest))
        history.seconds.append(seconds)
        if validation is not None:
            history.validation.append(validation)
            measured = history.validation
            better = history.best is None or measured[-1] < measured[history.best]
        else:
            measured, better = history.loss, True  # nothing tells the epochs apart: the last weights are the ones
        self.waited = 0 if better else self.waited + 1
        if better:
            history.best = self.epoch
            self.best[:] = self.weights.values
        self.schedule.after_epoch(measured[-1], self.memory)
        if self.options.patience and self.waited >= self.options.patience:
            history.stopped = "patience"
        elif self._on_epoch and self._on_epoch(history):
            history.stopped = "callback"
        self._show.epoch(history)
        self.sums[:], self.counts[:], self.largest = 0, 0, 0.0
        self.epoch, self.position = self.epoch + 1, 0

    # -- checkpoints ----------------------------------------------------------------------------------------------------

    def _arrays(self):
        moments = {f"moment{i}": moment for i, moment in enumerate(self.moments)}
        return {"values": self.weights.values, "best": self.best, "states": self.passes.states, "sums": self.sums,
                "counts": self.counts, **moments}

    def _save(self):
        self._saved = time.monotonic()
        self.passes.bring(self.moments)
        values = {"first": self._first, "history": self.history.config(), "memory": self.memory, "number": self.number,
                  "epoch": self.epoch, "position": self.position, "waited": self.waited, "largest": self.largest, "rate": self.rate}
        checkpoints.save(self._path, self._arrays(), values, self._owner)

    def _mark(self):
        """Note in the file which weights the model gets, which are newer: the training goes on in that model, too."""
        found = checkpoints.load(self._path, self._owner) if self._path else None
        if found:
            arrays, values = found
            checkpoints.save(self._path, arrays, values | {"got": self._digest(self.best)}, self._owner)

    def _digest(self, arena):
        return self.weights.model.with_tensors(self.weights.tensors(arena)).digest

    def _take_up(self, found):
        if found is None:
            return
        arrays, values = found
        if self._first not in (values["first"], values.get("got"), self._digest(arrays["best"])):
            raise checkpoints.foreign(self._path)
        self._first = values["first"]
        for name, array in self._arrays().items():
            array[:] = arrays[name]
        self.history = History(**values["history"])
        if self.history.stopped != "patience":
            self.history.stopped = ""
        self.memory, self.number, self.epoch = values["memory"], values["number"], values["epoch"]
        self.position, self.waited, self.largest, self.rate = (values[name] for name in ("position", "waited", "largest", "rate"))
