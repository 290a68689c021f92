"""How the gradient flows back through time: what is left of it, layer by layer, k steps before the step it came from."""
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.training.evaluate import Evaluation
from streamrnn.training.history import finished, matplotlib
from streamrnn.training.learner import Learner
from streamrnn.training.objective import Objective
from streamrnn.training.passes import SHARD
from streamrnn.training.tape import Tape
from streamrnn.training.weights import Weights

LITTLE, MUCH, SHORT = 0.01, 100.0, 0.2  # a hundredth left, a hundred times as much; the share of all steps that is a short reach
NOTHING = 1e-30


@dataclass(frozen=True)
class Flow:
    """How far back in time the gradient of one step's loss reaches.

    norms: {layer: (steps + 1,)}, the norm of the loss's gradient by the layer's state, 0, 1, 2 ... steps back.
    """
    norms: MappingProxyType
    names: MappingProxyType  # {layer: what it is}

    @property
    def steps(self):
        return len(next(iter(self.norms.values()))) - 1

    def share(self, layer):
        """The norms as shares of the largest of the last two steps, where the gradient comes in."""
        norms = self.norms[layer]
        return norms / max(norms[:2].max(), NOTHING)

    def reach(self, layer, left=LITTLE):
        """How many steps back the gradient still has this share of itself."""
        lost = np.flatnonzero(self.share(layer) < left)
        return int(lost[0]) - 1 if len(lost) else self.steps

    @property
    def warnings(self):
        """In words, for each layer whose gradient vanishes or explodes."""
        found = []
        for layer in self.norms:
            most, reach, name = self.share(layer).max(), self.reach(layer), f"{layer} ({self.names[layer]})"
            if not most < MUCH:
                found.append(f"the gradient of {name} explodes: up to {most:.3g} times as much going back {self.steps} steps. "
                             "Clip it (clip=1.0), lower the learning rate, or take shorter windows")
            elif reach < SHORT * self.steps:
                advice = "take LSTM or GRU" if self.names[layer] == "RNN" else "train longer"
                found.append(f"the gradient of {name} vanishes: {reach + 1} steps back less than {LITTLE:.0%} of it is left, so it "
                             f"hardly learns from what lies further back. If it should, {advice}, or bring the past nearer: fewer, "
                             "longer steps")
        return found

    def __repr__(self):
        return f"<Flow over {self.steps} steps: " + ", ".join(
            f"{layer} reaches {self.reach(layer)} steps back" for layer in self.norms) + ">"

    def plot(self, path=None):
        """The picture of one model; `plot_flows` puts several side by side."""
        return plot_flows({"": self}, path)


def gradient_flow(model, x, y, *, loss="mse", lengths=None, steps=None):
    """The Flow of the loss at the last of `steps` steps (None: as many as the longest sequences have in common)."""
    objective = Objective(model, loss)
    data = objective.sequences(x, y, lengths, model)
    learner = Learner(model, objective, data)
    weights = Weights(learner.model)
    if not weights.plan.segments:
        raise ConfigError("a model without recurrent layers has no gradient through time")
    return flow_through(weights, objective, learner.scaled(data), steps)


def flow_through(weights, objective, data, steps=None):
    """The same from what a training has at hand."""
    model, chosen = weights.model, np.argsort(-data.lengths, kind="stable")[:SHARD]
    chosen = chosen[data.lengths[chosen] > 0]
    common = int(data.lengths[chosen].min())
    time = min(common, steps or common)
    tape = Tape(weights, len(chosen), time)
    firsts = data.firsts[chosen] + data.lengths[chosen] - time
    for slot, first in enumerate(firsts):
        tape.samples[:, slot, :model.inputs] = data.samples[first:first + time]
    for offset, size, _ in weights.plan.masks:
        tape.work[1:, :, offset:offset + size] = 1
    tape.begin(np.zeros((len(chosen), weights.plan.stride), np.float32), np.full(len(chosen), time))
    tape.forwards(time)
    tape.d_results[-1, :len(chosen)] = _at_the_end(weights, objective, data.some(chosen), tape.results[-1, :len(chosen)])
    return _measured(weights, tape, time, len(chosen))


def _at_the_end(weights, objective, data, results):
    """The gradient at the last step of each sequence, (sequences, outputs)."""
    if objective.whole:  # it takes all steps to say what the last one should be
        return Evaluation(weights, objective, data, threads=1).last_gradient()
    last, d_last = data.firsts + data.lengths - 1, np.zeros(results.shape, np.float32)
    objective.add(results, d_last, [np.ascontiguousarray(goal.target[last]) for goal in data.goals],
                  [goal.weight[last, 0] for goal in data.goals])
    return d_last


def _measured(weights, tape, time, count):
    """Back a step at a time, with a look at the rows' gradient after each."""
    layers = list(dict.fromkeys(segment.name.rpartition(".")[0] for segment in weights.plan.segments))
    norms, nowhere = {layer: np.zeros(time + 1) for layer in layers}, np.zeros(weights.size, np.float32)

    def look(back, half):
        for segment in weights.plan.segments:
            part = tape.d_rows[:count, half, segment.offset:segment.offset + segment.size].astype(np.float64)
            norms[segment.name.rpartition(".")[0]][back] += (part ** 2).sum()

    for t in range(time - 1, -1, -1):
        tape.backwards(nowhere, t, t + 1)
        if t == time - 1:
            look(0, t % 2)
        look(time - t, 1 - t % 2)
    kinds = {name: type(layer).__name__ for name, layer, _ in weights.model.stacks()}
    return Flow(MappingProxyType({layer: np.sqrt(values) for layer, values in norms.items()}),
                MappingProxyType({layer: kinds[layer] for layer in layers}))


def plot_flows(flows, path=None):
    """Several models' flows in one picture (matplotlib): {name: Flow}."""
    pyplot = matplotlib()
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, flow in flows.items():
        for layer in flow.norms:
            label = " ".join(part for part in (name, layer if len(flow.norms) > 1 or not name else "") if part)
            axes.semilogy(range(flow.steps + 1), np.maximum(flow.share(layer), NOTHING), label=label)
    axes.axhline(LITTLE, color="0.7", linewidth=0.8, linestyle=":")
    axes.set_xlabel("steps back in time")
    axes.set_ylabel("gradient norm, share of the newest")
    axes.set_ylim(bottom=max(1e-12, axes.get_ylim()[0]))
    axes.legend(frameon=False)
    return finished(figure, path)
