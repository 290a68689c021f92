"""Learning-rate schedules: a factor on the optimiser's rate, by step and epoch, both counted from 0.

A schedule keeps nothing itself: what Plateau has seen lies in `memory`, a dict of JSON values that a checkpoint carries.
"""
from dataclasses import dataclass
from math import cos, isfinite, pi

from streamrnn.errors import ConfigError
from streamrnn.training.fields import whole, within


@dataclass(frozen=True)
class Schedule:
    def factor(self, step, steps, epoch, memory) -> float:
        """What to multiply the rate by at `step` of a training of `steps`, in `epoch`."""
        raise NotImplementedError

    def after_epoch(self, loss, memory):
        """Take in an epoch's validation loss."""


@dataclass(frozen=True)
class Constant(Schedule):
    def factor(self, step, steps, epoch, memory):
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """The rate rises straight over `warmup` steps, then falls along half a cosine to `floor` times itself at `steps` (None: the end)."""
    steps: int | None = None
    warmup: int = 0
    floor: float = 0.0

    def __post_init__(self):
        whole(self, 0, "warmup")
        within(self, "[0, 1]", "floor")
        if self.steps is not None:
            whole(self, 1, "steps")
            if self.warmup >= self.steps:
                raise ConfigError(f"Cosine: warmup must be less than steps, got {self.warmup} and {self.steps}")

    def factor(self, step, steps, epoch, memory):
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        steps = self.steps or steps
        if step >= steps:
            return self.floor
        return self.floor + (1 - self.floor) * (1 + cos(pi * (step - self.warmup) / (steps - self.warmup))) / 2


@dataclass(frozen=True)
class Steps(Schedule):
    """The rate is multiplied by `drop` after every `every` epochs."""
    every: int
    drop: float

    def __post_init__(self):
        whole(self, 1, "every")
        within(self, "(0, 1]", "drop")

    def factor(self, step, steps, epoch, memory):
        return self.drop ** (epoch // self.every)


@dataclass(frozen=True)
class Plateau(Schedule):
    """The rate is multiplied by `drop` when more than `patience` epochs in a row had no lower validation loss than the best.

    It stays at `least` times itself or more. In `memory` are the best loss, the epochs waited for a better one, and the factor.
    """
    patience: int = 10
    drop: float = 0.1
    least: float = 0.0

    def __post_init__(self):
        whole(self, 0, "patience")
        within(self, "(0, 1)", "drop")
        within(self, "[0, 1]", "least")

    def factor(self, step, steps, epoch, memory):
        return memory.get("factor", 1.0)

    def after_epoch(self, loss, memory):
        best, waited = memory.get("best"), memory.get("waited", 0) + 1
        if isfinite(loss) and (best is None or loss < best):
            best, waited = float(loss), 0
        if waited > self.patience:
            memory["factor"], waited = max(self.least, self.drop * memory.get("factor", 1.0)), 0
        memory["best"], memory["waited"] = best, waited


BY_NAME = {"constant": Constant, "cosine": Cosine, "plateau": Plateau}
"""Those that need nothing said."""
