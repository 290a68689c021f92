"""Run by test_checkpoint.py, and killed: a training with all that a checkpoint has to hold. Arguments: where to write, the pace.

Writes the final model beside its checkpoint, then prints why it stopped and after how many epochs.
"""
import sys
import time
from pathlib import Path

import numpy as np

from streamrnn import GRU, LSTM, Adam, Dense, Dropout, Model, Plateau, Scale, Unscale, fit

EPOCHS = 6
LENGTHS = np.random.default_rng(2).integers(5, 31, 20)


def slow_mse(pace):
    """Mean squares; each call takes `pace` seconds."""
    def squares(y, target):
        time.sleep(pace)
        return ((y - target) ** 2).mean(1), 2 * (y - target) / y.shape[1]
    return squares


def train(pace=0.0, epochs=EPOCHS, **options):
    """(model, history)"""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 30, 3))
    y = x[..., :2].cumsum(1) * 10 + rng.normal(size=(20, 30, 2))
    layers = [Scale(), Dropout(0.2), LSTM(9), Dropout(0.3, variational=True), GRU(5), Dense(2), Unscale()]
    model = Model(3, layers, seed=4)
    history = fit(model, x, y, loss=slow_mse(pace), lengths=LENGTHS, optimizer=Adam(0.03, clip=1.0, decay=1e-3),
                  schedule=Plateau(patience=0, drop=0.5), validation=0.25, epochs=epochs, batch=10, window=7, seed=8, **options)
    return model, history


if __name__ == "__main__":
    folder, pace, every = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    print("ready", flush=True)
    model, history = train(pace, checkpoint=folder / "training", every=every, progress=False)
    model.save(folder / "model")
    print(history.stopped, history.epochs)
