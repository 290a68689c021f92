"""The public door in one minute: a model, a whole sequence, one sample at a time, many streams, a file.

Run it: python examples/quickstart.py
The first run of streamrnn compiles for about half a minute."""
import tempfile
from pathlib import Path

import numpy as np

import streamrnn as sr

model = sr.Model(inputs=8, layers=[sr.LSTM(64), sr.Dense(1)], seed=0)
print(model)

x = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
y = model.run(x)
print(f"run: a sequence {x.shape} gives {y.shape}")

stream = model.stream()
one_by_one = np.array([stream.step(x_t) for x_t in x])
print("step: the same bits, one sample at a time:", np.array_equal(one_by_one, y))

engine = sr.Engine(model, capacity=1000)
pumps = [f"pump-{n}" for n in range(3)]
for x_t in x:
    last = engine.step_many(pumps, np.stack([x_t] * 3))
print("step_many: the same bits with neighbours:", np.array_equal(last[1], y[-1]))
print("part of a state:", engine.state("pump-1")["layers.0.h"][:3])

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.safetensors"
    model.save(path)
    print("save and load: the same bits:", np.array_equal(sr.load(path).run(x), y))

try:
    engine.step("pump-1", x[0, :5])
except sr.InputError as error:
    print("a bad sample:", error)
