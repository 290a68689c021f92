"""A thousand sensors in one engine: step them all, write a snapshot, restart, and go on with the same bits.

Run it: python examples/sensors.py
It writes its snapshot to a temporary folder."""
import tempfile
import time
from pathlib import Path

import numpy as np

import streamrnn as sr

SENSORS, TICKS = 1000, 200

model = sr.Model(inputs=8, layers=[sr.LSTM(64), sr.Dense(1)], seed=0)
rng = np.random.default_rng(1)
period = rng.uniform(20, 200, (SENSORS, 8))
x = np.array([np.sin(t / period) + rng.normal(0, 0.1, period.shape) for t in range(2 * TICKS)], np.float32)

engine = sr.Engine(model, capacity=SENSORS)
sensors = engine.group([f"sensor-{n}" for n in range(SENSORS)])
began = time.perf_counter()
for t in range(TICKS):
    engine.step_many(sensors, x[t])
took = time.perf_counter() - began
print(f"{TICKS * SENSORS:,} samples of {len(engine):,} sensors: {took * 1e9 / TICKS / SENSORS:.0f} ns a sample")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state.db"
    engine.snapshot(path)
    print(f"snapshot: {path.stat().st_size / 1e6:.2f} MB, {model.row_bytes} bytes of state a sensor")
    restarted = sr.Engine.restore(path, model, capacity=SENSORS, threads=2)

again = restarted.group([f"sensor-{n}" for n in range(SENSORS)])
equal = all(np.array_equal(engine.step_many(sensors, x[t]), restarted.step_many(again, x[t])) for t in range(TICKS, 2 * TICKS))
print(f"{TICKS} more ticks before and after the restart (the second with 2 threads), equal bits: {equal}")

alone = model.stream()
results = np.array([alone.step(x[t, 7]) for t in range(2 * TICKS)])
print("sensor-7 by itself from the start, equal bits:",
      np.array_equal(alone.state(), restarted.state("sensor-7")), f"(last result {results[-1, 0]:.6f})")
