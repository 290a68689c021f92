"""The net of a detector: a model of its own that learns how far the next row will lie from this one, and how sure it is."""
import numpy as np

from streamrnn.model.model import Model
from streamrnn.training.fit import fit
from streamrnn.training.losses.student import Student
from streamrnn.training.optimisers import AdamW

SEQUENCE, PIECES, EPOCHS, HELD = 64, 64, 8, 0.2
RATE, CLIP = 3e-3, 1.0


def train(layers, z, seed, progress=False):
    """The layers' model, trained on z (rows, sensors) in standard units: outputs are changes, then log-variances."""
    model = Model(inputs=z.shape[1], layers=layers, seed=seed)
    x = np.ascontiguousarray(z[:-1], np.float32)
    fit(model, x, np.diff(z, axis=0).astype(np.float32), loss=Student(), optimizer=AdamW(RATE, clip=CLIP), window=SEQUENCE,
        batch=min(PIECES, max(1, len(x) // SEQUENCE)), epochs=EPOCHS, validation=HELD, seed=seed, progress=progress)
    return model


def forecast(model, z):
    """For each row of z from the second on, what the model said the row before."""
    z = z.astype(np.float32)
    return z[:-1] + model.run(z[:-1])[:, :z.shape[1]]
