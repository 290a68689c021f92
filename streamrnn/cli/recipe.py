"""What to train and how, from words (`lstm:64,dense:1`, `adam`, `cosine`) and the examples at hand."""
import difflib

import numpy as np

from streamrnn.cells import LAYERS
from streamrnn.cells.dense import Dense
from streamrnn.cells.scale import Scale, Unscale
from streamrnn.errors import ConfigError
from streamrnn.model.model import Model
from streamrnn.training import optimisers
from streamrnn.training.fit import fit
from streamrnn.training.losses import CrossEntropy, Gaussian, Quantile, loss_of

FORMS = {"rnn": "rnn:SIZE[:relu]", "lstm": "lstm:SIZE", "gru": "gru:SIZE[:before]", "dense": "dense:SIZE[:relu|tanh|sigmoid|softmax]",
         "dropout": "dropout:RATE[:variational]", "layernorm": "layernorm"}
OPTIONS = {"before": False, "variational": True}  # GRU's reset_after and Dropout's variational; an activation is its own name
USUAL = "lstm:64"
WINDOW, BATCH, WINDOWS = 100, 64, 10  # steps between updates; sequences side by side; windows in a piece of one long sequence


class Recipe:
    def __init__(self, chosen, examples):
        self.chosen, self.examples, k = chosen, examples, len(examples.targets)
        self.loss = loss_of("cross_entropy" if examples.classes else chosen.loss or "mse")
        outputs, self.why, self.point = {  # how many the model needs, and which of them are the forecast itself
            CrossEntropy: (examples.classes, f"one for each class of {examples.targets[0]}", None),
            Gaussian: (2 * k, "the mean and log-variance of each target", np.arange(k)),
            Quantile: (3 * k, "the 10, 50 and 90 % quantiles of each target", 3 * np.arange(k) + 1),
        }.get(type(self.loss), (k, "one for each target", np.arange(k)))
        layers = stack(USUAL if chosen.layers is None else chosen.layers, outputs, "softmax" if examples.classes else None, self.why)
        if not chosen.no_scale:
            layers = [Scale(), *layers] if examples.classes else [Scale(), *layers, Unscale()]
        self.model = Model(len(examples.inputs), layers, seed=chosen.seed)

    def fit(self, on_epoch=None, progress=None):
        """(the model to serve, History)"""
        chosen, data = self.chosen, self.examples.for_fit()
        rate = {} if chosen.rate is None else {"rate": chosen.rate}
        window = chosen.window or (None if chosen.last else WINDOW)
        rows = len(self.examples.x[0]) if len(self.examples.x) == 1 else None
        batch = chosen.batch or (max(1, min(BATCH, rows // (WINDOWS * window))) if rows and window else BATCH)
        history = fit(self.model, **data, loss=self.loss, epochs=chosen.epochs, batch=batch, window=window,
                      optimizer=optimisers.BY_NAME[chosen.optimizer](clip=chosen.clip or None, **rate), schedule=chosen.schedule,
                      patience=chosen.patience or None if chosen.validation else None, seed=chosen.seed, threads=chosen.threads,
                      recompute=chosen.recompute, checkpoint=chosen.checkpoint, on_epoch=on_epoch, progress=progress)
        return self.model, history


def stack(text, outputs, activation, why):
    """The layers of `lstm:64,dense:1`. A last dense layer may be left out; if there is one, it has the outputs that are needed."""
    words = [word.strip() for word in text.split(",")]
    layers = [layer(word) for word in words]
    last = layers[-1]
    if not isinstance(last, Dense):
        return [*layers, Dense(outputs, activation)]
    if last.units != outputs:
        better = ",".join([*(words if last.activation else words[:-1]), f"dense:{outputs}"])
        raise ConfigError(f"--layers {text} ends in dense:{last.units}, but {outputs} are needed: {why}. Write --layers {better}")
    return layers


def layer(word):
    kind, *fields = word.split(":")
    if kind not in FORMS:
        near = difflib.get_close_matches(kind, FORMS, n=1)
        raise ConfigError(f"--layers: no layer is called {kind!r}{f' (did you mean {near[0]!r}?)' if near else ''}. "
                          f"There are {', '.join(FORMS.values())}")
    try:
        size = [(float if kind == "dropout" else int)(field) for field in fields[:1]]
        return LAYERS[kind](*size, *(OPTIONS.get(field, field) for field in fields[1:]))
    except (ValueError, TypeError):  # a ConfigError is a ValueError
        bounds = {"dropout": ", RATE from 0 to below 1", "layernorm": ""}.get(kind, ", SIZE a whole number of 1 or more")
        raise ConfigError(f"--layers: {word!r} is no layer. Write {FORMS[kind]}{bounds}") from None
