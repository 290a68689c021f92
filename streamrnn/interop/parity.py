"""The proof at the end of every import: random samples through the source framework and through the model, compared.

The error of a value is its difference over max(1, what the source gave). A report says what was compared, or why nothing was.
"""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.interop.probes import samples
from streamrnn.model.model import Model

TOLERANCE = 1e-4
LENGTHS = (1, 5, 40)
BATCH = 16
LAST = "the network gives a result for the last step alone; here every step gives one, and the last is that"


@dataclass(frozen=True)
class Report:
    """What an import did, and how well it was proven.

    source    what it was compared with, such as "torch 2.13.0"
    parts     (name in the source, the layer here)
    notes     what changed on the way, and what to know
    error     the largest one of the proof; None where the source framework could not be asked
    values    how many results were compared
    unproven  why there was no proof, and what to do
    """
    source: str
    parts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    error: float | None
    values: int
    unproven: str = ""

    def __str__(self):
        wide = max((len(name) for name, _ in self.parts), default=0)
        lines = [f"{name:<{wide}}  ->  {layer}" for name, layer in self.parts] + [f"note: {words}" for words in self.notes]
        if self.error is None:
            return "\n".join([*lines, f"parity: not proven: {self.unproven}"])
        return "\n".join([*lines, f"parity: largest error {self.error:.1e} over {self.values:,} random results of {self.source}"])


class Imported(NamedTuple):
    """`model, report = sr.from_torch(net)`"""
    model: Model
    report: Report


class Proof(NamedTuple):
    error: float
    values: int


def probes(model, seed, lengths=LENGTHS, batch=BATCH, lowest=0):
    """Random sequences (batch, steps, inputs): tokens from `lowest`, or numbers of the size that the first layer expects."""
    rng = np.random.default_rng(seed)
    for steps in lengths:
        yield samples(model, (batch, steps), rng, lowest)


def prove(model, reference, sequences, tolerance, source):
    """Compare with reference(x): (batch, steps, outputs), or (batch, outputs) of the last step. Refused above the tolerance."""
    worst, values = 0.0, 0
    for x in sequences:
        theirs = np.asarray(reference(x), np.float64)
        ours = model.run(x)
        if theirs.ndim == 2:
            ours = ours[:, -1]
        if theirs.shape != ours.shape:
            raise ConfigError(f"parity: {source} gives results of shape {theirs.shape} for x of {x.shape}, the model here {ours.shape}: "
                              "this network is not a chain that runs a step at a time")
        errors = errors_of(ours, theirs)
        worst, values = max(worst, float(errors.max(initial=0))), values + errors.size
    if worst > tolerance:
        raise beyond(f"the largest error is {worst:.1e} against {source}", worst, tolerance,
                     "The network does something that its layers do not show, or runs in a lower precision. ")
    return Proof(worst, values)


def errors_of(ours, theirs):
    """The error of each value; what is not finite is infinitely wrong."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(ours.astype(np.float64) - theirs) / np.maximum(1, np.abs(theirs))
    return np.where(np.isfinite(errors), errors, np.inf)


def beyond(what, worst, tolerance, why=""):
    """The refusal of an import that was wrong, which is no matter of rounding."""
    larger = f"{2 * worst:.0e}" if np.isfinite(worst) else "float('inf')"
    return ConfigError(f"parity: {what}, above the tolerance of {tolerance:.0e}; nothing was imported. {why}"
                       f"If that is what you want, give a tolerance of your own (tolerance={larger}, --tolerance)")


def ahead(model):
    """[what to know of a model that looks ahead]"""
    return [f"{model.looks_ahead} reads each sequence from its end: this model computes whole sequences, model.run(x), and "
            "cannot be stepped, streamed, served or trained"] if model.looks_ahead else []


def imported(chain, model, source, proof, unproven, say):
    """The pair that every door returns, with its report told."""
    chain.notes += ahead(model)
    report = Report(source, tuple(chain.parts), tuple(chain.notes), *(proof or (None, 0)), unproven=unproven)
    if say:
        say(report)
    return Imported(model, report)
