"""The layers of a detector, and their tensors: measured on a history (warm), or such that everything is learnt in the stream (cold)."""
from dataclasses import dataclass

import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.gru import GRU
from streamrnn.cells.monitors.alarm import Alarm
from streamrnn.cells.monitors.board import YOUNG
from streamrnn.cells.monitors.echo import Echo
from streamrnn.cells.monitors.forecast import Forecast
from streamrnn.cells.monitors.intake import Intake
from streamrnn.cells.monitors.level import Level
from streamrnn.cells.monitors.novelty import Novelty
from streamrnn.cells.monitors.patterns import Patterns
from streamrnn.cells.monitors.recursive import Recursive
from streamrnn.cells.monitors.regress import Regress
from streamrnn.cells.monitors.report import Report
from streamrnn.cells.monitors.season import Season
from streamrnn.cells.monitors.surprise import PACE, Surprise
from streamrnn.detect import measure, net
from streamrnn.detect.history import clock_of
from streamrnn.detect.solve import regression
from streamrnn.model.model import Model

REACH = 20               # rows over which surprise is averaged
MEMORY = 8192            # rows of the history that the echo keeps
LIKE = 0.4               # a memory is of use if the usual distance to it is below this
PATTERN_ROWS = 300       # rows from which a history may hold patterns
FROZEN_FOR, GONE_FOR = 3, 2   # times the longest run in the history: then a sensor is frozen, or gone
HORIZON = 10_000         # rows over which a cold detector's units are averaged
RARE = 4.0               # a surprise that a cold detector takes for one in a thousand: it counts for the score, not for the alarm
SILENT = 60              # rows without a reading after which it calls a sensor gone
PATIENCE = 10            # and no sooner than after so many rows


@dataclass(frozen=True)
class Settings:
    """What a user may choose."""
    period: float
    rows_per_alarm: float
    layers: tuple | None     # of the net; None: GRU(32) and a Dense
    memory: bool | str       # "auto": where it helps
    seed: int
    progress: bool | None


def samples(history):
    """Rows as the plan takes them: readings, and the clock if the history has times."""
    if history.times is None:
        return history.values
    return np.concatenate([history.values, clock_of(history.times)], axis=1)


def net_layers(settings, sensors):
    """The layers of the net with the head it needs."""
    own = (GRU(32),) if settings.layers is None else tuple(settings.layers)
    return (*own, Dense(2 * sensors)) if own else ()


def cold(names, period, clock, patterns):
    """A model that knows nothing yet: units, profiles, forecasts and ranges are learnt as the stream goes."""
    parts = [Intake(names, period, clock), Season(), Recursive(), Forecast(), Surprise(), *([Patterns()] if patterns else []),
             Novelty(), Alarm(), Report()]
    own = {Intake: {"unit": np.ones(len(names)), "horizon": [HORIZON], "gone": np.full(len(names), SILENT)},
           Surprise: {"limits": [0, RARE]}}
    return assembled(len(names) + 2 * clock, [(part, own.get(type(part), {})) for part in parts])


def warm(history, settings):
    """A model that has learnt from a history; of one machine's it goes on from the end."""
    n, cut = history.values.shape[1], int(measure.LEARN * len(history.values))
    centre, unit = measure.units(history.values)
    z, seen = measure.scaled(history.values, centre, unit)
    trial, final = regression(z, cut, settings.seed)
    judged = seen[cut:] & ~_young(history.starts, len(z), trial.lags)[cut:]
    errors = z[cut:] - trial.forecast(z)[cut - trial.lags:]
    layers, net_tensors = net_layers(settings, n), {}
    if layers:
        net_tensors, errors = _with_net(layers, z, cut, errors, judged, settings)
    usual = measure.usual_errors(errors, judged, trial.error)
    surprises = measure.surprise(np.where(judged, errors, 0), usual, float(PACE))
    precision, limit = measure.level_of(z, history.starts, 2 * settings.rows_per_alarm)
    clocked = samples(history)
    parts = [
        (Intake(history.names, settings.period, history.times is not None),
         {"centre": centre, "unit": unit, **_patience(history.values, z, seen)}),
        (Regress(trial.lags, features=final.features is not None), final.tensors()),
        (Forecast(layers), net_tensors),
        (Surprise(), {"usual": usual, "limits": measure.surprise_limits(surprises, 2 * settings.rows_per_alarm, REACH)}),
        (Level(), {"precision": precision, "limit": [limit]}),
        *_echo(z, cut, settings),
        (Alarm(), {}),
        (Report(), {}),
    ]
    model = assembled(clocked.shape[1], parts)
    return started(model, clocked) if len(history.starts) == 1 else model


def _young(starts, rows, lags):
    """Which rows stand so near a machine's first one that they say nothing."""
    young = np.zeros((rows, 1), bool)
    for start in starts:
        young[start:start + lags + YOUNG] = True
    return young


def _with_net(layers, z, cut, linear, judged, settings):
    """(the net's tensors, the pooled errors from row `cut` on)"""
    learner = net.train(layers, z[:cut], settings.seed, settings.progress)
    own = z[cut:] - net.forecast(learner, z)[cut - 1:]
    share = measure.shares(linear, own, judged)
    tensors = {name.removeprefix("layers."): tensor for name, tensor in learner.tensors.items()}
    return tensors | {"share": share}, linear + share * (own - linear)


def _patience(values, z, seen):
    """After how many rows of one reading a sensor is frozen, after how many without any it is gone; a constant one is never frozen."""
    frozen = np.where(np.ptp(z, axis=0) > 0, np.maximum(PATIENCE, FROZEN_FOR * measure.longest_run(values)), 0)
    return {"frozen": frozen, "gone": np.maximum(PATIENCE, GONE_FOR * measure.longest_gap(seen))}


def _echo(z, cut, settings):
    """The memory of patterns, if it is wanted and the history repeats itself."""
    if settings.memory is False or len(z) < PATTERN_ROWS:
        return []
    clipped = np.clip(z, -5, 5)
    if z.shape[1] <= 3:
        components = np.eye(3, z.shape[1])
    else:
        components = np.linalg.svd(clipped - clipped.mean(0), full_matrices=False)[2][:3]
    known = clipped @ components.T

    def part(history, tops):
        kept = history[-MEMORY:]
        run = np.pad(kept.T, ((0, 0), (0, -len(kept) % 16)), mode="edge")
        return Echo(len(kept)), {"components": components, "history": run, "tops": tops}

    names = [str(k) for k in range(z.shape[1])]
    usual, tops = [], []
    for which in range(2):
        layer, tensors = part(known[:cut], [1.0 if k == which else 0.0 for k in range(2)])
        one = {"centre": np.zeros(z.shape[1]), "unit": np.ones(z.shape[1])}
        trial = assembled(z.shape[1], [(Intake(names), one), (layer, tensors), (Report(), {})])
        distances = 2 * np.maximum(trial.run(z[cut:].astype(np.float32))[:, 0], 0) ** 0.25
        settled = distances[min(60 * (which + 1), len(distances) // 2):]
        usual.append(np.median(settled))
        tops.append(float(np.quantile(settled, measure.ONCE_IN_THOUSAND)))
    if settings.memory == "auto" and min(usual) > LIKE:
        return []
    return [part(known, tops)]


def assembled(inputs, parts):
    """The model of (layer, tensors) pairs; what a pair leaves out starts from zeros."""
    layers = [layer for layer, _ in parts]
    width, tensors = inputs, {}
    for k, (layer, own) in enumerate(parts):
        for name, shape in layer.parameters(width).items():
            value = own.get(name)
            tensors[f"layers.{k}.{name}"] = np.zeros(shape, np.float32) if value is None else np.asarray(value, np.float32).reshape(shape)
        width = layer.outputs(width)
    return Model(inputs, layers, tensors=tensors)


def started(model, x):
    """The same model, whose streams start where one of them stands after these samples."""
    stream = model.stream()
    stream.run(np.ascontiguousarray(x, np.float32))
    row, tensors = stream.state(), dict(model.tensors)
    for name in tensors:
        if name.endswith(".start"):
            layer = name.removesuffix(".start")
            tensors[name] = np.zeros_like(tensors[name])
            own = _state_of(model, row, layer)
            tensors[name][:len(own)] = own
    return model.with_tensors(tensors)


def _state_of(model, row, layer):
    """All of a layer's segments of a row, as they lie."""
    segments = [s for s in model.packed.plan.segments if s.name == f"{layer}.state" or s.name.startswith(f"{layer}.")]
    first = segments[0].offset
    last = segments[-1]
    return np.asarray(row)[first:last.offset + -(-last.size // 16) * 16][:model.tensors[f"{layer}.start"].size]
