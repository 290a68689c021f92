"""The files that a page's commands find in the reader's folder, made small before the page runs."""
import contextlib
import csv
import os

import numpy as np

import streamrnn as sr
from streamrnn.detect import plant

PREPARE = {}
MADE_WITH = {"plant.safetensors": "torch", "net.safetensors": "torch", "net.keras": "keras", "net.onnx": "onnx"}
"""Files that only another package makes: what names one that is not there is not run."""


def page(name):
    return lambda function: PREPARE.setdefault(name, function)


def table(path, names, values, **texts):
    """A CSV with columns of numbers and of texts."""
    rows = [[*map(float, row), *(text[n] for text in texts.values())] for n, row in enumerate(values)]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([[*names, *texts], *rows])


@page("docs/explain.md")
def explain(folder):
    rng = np.random.default_rng(1)
    names = ["flow", "level", "noise"]
    table(folder / "sensors.csv", names[:2], rng.standard_normal((1300, 2)))
    table(folder / "pumps.csv", names[:2], rng.standard_normal((200, 2)), pump=[f"pump-{6 + n % 2}" for n in range(200)])
    sr.Model(2, [sr.LSTM(8)], heads={"mean": sr.Dense(1), "spread": sr.Dense(1)}, seed=1).save(folder / "forecast.safetensors")
    text = "the pump that leaks is the pump that hums. " * 5
    (folder / "page.txt").write_text(text)
    tokens = sr.Characters.of(text)
    layers = [sr.Embedding(len(tokens.vocabulary), 4), sr.LSTM(8)]
    sr.Model(1, layers, heads={"next": sr.Dense(len(tokens.vocabulary), "softmax")}, tokens=tokens).save(folder / "writer.safetensors")


@page("docs/serving.md")
def serving(folder):
    sr.Model(8, [sr.LSTM(16), sr.Dense(1)], seed=0).save(folder / "plant.safetensors")


@page("docs/security.md")
def security(folder):
    sr.Model(8, [sr.LSTM(16), sr.Dense(1)], seed=0).save(folder / "model.safetensors")


@page("docs/export.md")
def export(folder):
    sr.Model(8, [sr.LSTM(32), sr.Dense(1)], seed=0).save(folder / "pump.safetensors")
    sr.Model(8, [sr.LSTM(32), sr.Dense(1)], seed=0).save(folder / "m.safetensors")


@page("docs/import.md")
def import_(folder):
    """The files that each framework would have left there, where it is installed."""
    try:
        import torch
        from safetensors.torch import save_file
    except ImportError:
        return
    parts = {"rnn": torch.nn.LSTM(3, 8), "fc1": torch.nn.Linear(8, 4), "fc2": torch.nn.Linear(4, 1)}
    save_file({f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.state_dict().items()},
              folder / "plant.safetensors")
    parts = {"rnn": torch.nn.LSTM(3, 8), "fc": torch.nn.Linear(8, 1)}
    save_file({f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.state_dict().items()},
              folder / "net.safetensors")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError:
        return
    keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(8), keras.layers.Dense(1)]).save(folder / "net.keras")


@page("docs/onnx.md")
def onnx(folder):
    with contextlib.suppress(sr.MissingExtra):
        sr.to_onnx(sr.Model(8, [sr.LSTM(16), sr.Dense(2)], seed=0), folder / "net.onnx", sequence=True)


@page("docs/training.md")
def training(folder):
    rows, _ = plant.simulate(600, seed=1)
    table(folder / "sensors.csv", ["flow", "pressure", "temperature"], rows[:, [2, 1, 5]], machine=["a", "b"] * 300)


@page("docs/jobs/anomalies.md")
def anomalies(folder):
    rows, _ = plant.simulate(3500, seed=1)
    table(folder / "normal.csv", plant.SENSORS, rows[:3000])
    table(folder / "today.csv", plant.SENSORS, rows[3000:])
