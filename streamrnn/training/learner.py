"""What is trained in a model's place: the model without the ends that only serving needs.

A softmax or sigmoid that the loss has in it is left out. An Unscale at the end is left out too, and the targets are scaled
instead, so that all of them count alike whatever their units. Scalers that nobody has set are set from the training data.
"""
from dataclasses import replace

import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.dropout import Dropout
from streamrnn.cells.general.elementwise import Activation
from streamrnn.cells.scale import Unscale
from streamrnn.errors import ConfigError
from streamrnn.model.model import Model
from streamrnn.training.losses import BCE, CTC, CrossEntropy

FUSED = {CrossEntropy: "softmax", CTC: "softmax", BCE: "sigmoid"}


class Learner:
    """`model`: what is trained; `scaled` for its data; `serving` for the tensors of the model that it stands for."""

    def __init__(self, model, objective, data):
        self._config, self._tensors, self._scales = model.config(), dict(model.tensors), []
        self._kinds = {name: (layer, width) for name, layer, width in model.stacks()}
        served, rows, (trunk, tops) = dict(self._tensors), data.rows(), model.named_layers()
        self._settle(served, trunk[0][0], data.samples[rows])
        for number, (part, goal) in enumerate(zip(objective.parts, data.goals, strict=True)):
            counted = goal.target[rows[goal.weight[rows, 0] > 0]]
            ends = objective.ends(model, part)
            for head, columns in ends.items():
                stack = self._config["layers"] if head is None else self._config["heads"][head]
                name = (trunk if head is None else tops[head])[-1][0]
                self._without_activation(stack, part, ends)
                if isinstance(self._kinds[name][0], Unscale) and len(stack) > 1:
                    self._without_scale(served, stack, name, part.loss, number, columns, counted, alone=len(ends) == 1)
        self._constants = {name: tensor for name, tensor in served.items() if self._of_scaler(name)}
        self.model = Model.from_config(self._config, tensors={name: served[name] for name in self._left(served)})

    def scaled(self, sequences):
        """Sequences with targets as the learner's outputs have them."""
        goals = list(sequences.goals)
        for number, columns, shift, factor in self._scales:
            target = goals[number].target.copy()
            target[:, columns] = (target[:, columns] - shift) / factor
            goals[number] = replace(goals[number], target=target)
        return replace(sequences, goals=tuple(goals))

    def serving(self, tensors):
        """The tensors of the model that serves."""
        return {**self._constants, **tensors}

    def _left(self, tensors):
        """Names of the tensors that the learner has: those of the layers that are left."""
        stacks = {"layers": self._config["layers"]} | {f"heads.{name}": stack for name, stack in self._config.get("heads", {}).items()}
        layers = {f"{stack}.{i}" for stack, configs in stacks.items() for i in range(len(configs))}
        return [name for name in tensors if name.rpartition(".")[0] in layers]

    def _of_scaler(self, name):
        layer, _, tensor = name.rpartition(".")
        return tensor in self._kinds[layer][0].constants

    @staticmethod
    def _without_activation(stack, part, ends):
        """A Dense stays, without its activation; in place of an Activation comes a layer that does nothing."""
        fused, last = FUSED.get(type(part.loss)), stack[-1]
        where = {Dense.kind: "activation", Activation.kind: "function"}.get(last["kind"])
        if fused and where and last[where] == fused:
            if fused == "softmax" and len(ends) > 1:
                raise ConfigError("one cross_entropy over several heads that have a softmax each: give each a loss of its own, "
                                  f"loss={{{', '.join(f'{head!r}: ...' for head in ends)}}}")
            stack[-1] = {**last, "activation": None} if where == "activation" else Dropout(0).config()

    def _without_scale(self, served, stack, name, loss, number, columns, targets, alone):
        layer, width = self._kinds[name]
        plain = loss.targets(width) == width
        if not alone and not plain:
            raise ConfigError(f"{loss.name} over several heads that end in Unscale: give each head a loss of its own")
        if self._unset(name) and (plain or loss.scales):
            found = layer.settle(targets[:, columns])
            numbers = loss.unscaling(found["shift"], found["factor"], width)
            served |= {f"{name}.{key}": value.astype(np.float32) for key, value in zip(("shift", "factor"), numbers, strict=True)}
        if loss.scales:
            places = loss.places(width)
            self._scales.append((number, columns, served[f"{name}.shift"][places], served[f"{name}.factor"][places]))
            stack.pop()

    def _unset(self, name):
        layer, width = self._kinds[name]
        return layer.constants and all((self._tensors[f"{name}.{key}"] == value).all()
                                       for key, value in layer.initial(width, np.random.default_rng(0), "orthogonal").items())

    def _settle(self, served, name, values):
        if self._unset(name):
            found = self._kinds[name][0].settle(values)
            served |= {f"{name}.{key}": value for key, value in (found or {}).items()}
