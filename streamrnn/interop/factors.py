"""What an LRU multiplies its states by, to the bit: its own kernel is asked, so that its maths stands in one place."""
import numpy as np

from streamrnn.cells.lru import LRU
from streamrnn.model.model import Model


def lru_factors(layer, tensors):
    """(Re lambda, Im lambda, gamma), each (states,): what a step makes of a state of 1 without an input, and of an input of 1."""
    n, ones = layer.width, np.ones((layer.width, 1), np.float32)
    own = {f"layers.0.{name}": tensors[name] for name in ("nu_log", "theta_log", "gamma_log")}
    rest = {"B_re": ones, "B_im": 0 * ones, "C_re": np.zeros((1, n), np.float32), "C_im": np.zeros((1, n), np.float32),
            "D": np.zeros((1, 1), np.float32)}
    stream = Model(1, LRU(1, states=n), tensors=own | {f"layers.0.{name}": value for name, value in rest.items()}).stream()
    stream.step(np.ones(1, np.float32))
    gamma = np.array(stream.state()["layers.0.re"])
    row = stream.state()
    row["layers.0.re"][:], row["layers.0.im"][:] = 1, 0
    stream.set_state(row)
    stream.step(np.zeros(1, np.float32))
    after = stream.state()
    return np.array(after["layers.0.re"]), np.array(after["layers.0.im"]), gamma
