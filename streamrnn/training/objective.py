"""What is minimised: one loss a head, each over its own columns of the results, weighted and added up."""
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from streamrnn.errors import ConfigError, InputError
from streamrnn.training.labels import label_goal
from streamrnn.training.losses import Loss, loss_of
from streamrnn.training.sequences import Sequences, goal, sequences


@dataclass(frozen=True)
class Part:
    head: str | None
    loss: Loss
    start: int
    stop: int
    scale: float


class Objective:
    """loss: one for all outputs, or {head: loss}; `shares` says how much each head counts, 1 by default."""

    def __init__(self, model, loss, shares=None):
        if isinstance(loss, Mapping):
            unknown = [head for head in loss if head not in model.heads]
            if unknown or not loss:
                raise ConfigError(f"loss={{...}} names heads of the model: it has {', '.join(model.heads) or 'none'}, "
                                  f"got {', '.join(map(repr, loss)) or 'none'}")
            self.parts = [Part(head, loss_of(one), model.heads[head].start, model.heads[head].stop, float((shares or {}).get(head, 1)))
                          for head, one in loss.items()]
        else:
            self.parts = [Part(next(iter(model.heads)) if len(model.heads) == 1 else None, loss_of(loss), 0, model.outputs, 1.0)]
        self.outputs, self._apart = model.outputs, isinstance(loss, Mapping)

    @property
    def whole(self):
        """The loss of whole sequences, if there is one among the parts."""
        return next((part.loss for part in self.parts if part.loss.whole), None)

    @staticmethod
    def ends(model, part):
        """{head: its columns among those of the part}, {None: all} without heads: where a part's results come from."""
        return {part.head: slice(None)} if part.head is not None or not model.heads else model.heads

    def config(self):
        """What tells one objective from another, as plain text."""
        return repr(self.parts)

    def sequences(self, x, y, lengths, model):
        """x and y as fit takes them, checked, as Sequences."""
        samples, firsts, sizes, time = sequences(x, lengths, model.inputs, model.packed.plan.vocabulary)
        if isinstance(y, Mapping) != self._apart:
            raise InputError("with a loss for each head, y is {head: target}; with one loss for all, y is one array; "
                             f"got {'a loss for each head' if self._apart else 'one loss'} and {type(y).__name__}")
        goals, heads = [], [part.head for part in self.parts]
        for head in [*heads, *y] if self._apart else []:
            if head not in y or head not in heads:
                raise InputError(f"y needs a target for each head that has a loss, {', '.join(map(repr, heads))}; "
                                 f"got {', '.join(map(repr, y)) or 'none'}")
        for part in self.parts:
            target, head, outputs = (y[part.head], part.head, part.stop - part.start) if self._apart else (y, None, part.stop - part.start)
            if part.loss.whole:
                goals.append(label_goal(target, part.loss, outputs, head, firsts, sizes, len(samples)))
            else:
                goals.append(goal(target, part.loss, outputs, head, firsts, sizes, len(samples), time))
        return Sequences(samples, tuple(goals), firsts, sizes)

    def divisors(self, weights):
        """What each part's weights are multiplied by, so that their sum is a mean; 0 where nothing counts."""
        return [part.scale / (total * part.loss.elements(part.stop - part.start)) if total > 0 else 0.0
                for part, total in zip(self.parts, weights, strict=True)]

    def add(self, results, d_results, targets, weights, layout=None):
        """Each part over rows of results: writes d_results, answers the weighted sum of the losses of each part.

        layout: which rows are whose; only losses of whole sequences ask, so it may be None where there are none.
        """
        if len(self.parts) > 1 or self.parts[0].stop - self.parts[0].start < self.outputs:
            d_results[:] = 0
        return np.array([part.loss.add_whole(results, target, weight, d_results, part.start, part.stop, layout) if part.loss.whole else
                         part.loss.add(results, target, weight, d_results, part.start, part.stop)
                         for part, target, weight in zip(self.parts, targets, weights, strict=True)])
