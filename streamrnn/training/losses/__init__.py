"""The losses, and how one is named: by its name, by a Loss with its options, or by a function in NumPy."""
from streamrnn.errors import ConfigError
from streamrnn.training.losses.base import Loss
from streamrnn.training.losses.classes import CrossEntropy
from streamrnn.training.losses.ctc import CTC
from streamrnn.training.losses.custom import Custom
from streamrnn.training.losses.elementwise import BCE, MAE, MSE, Huber, Quantile
from streamrnn.training.losses.gaussian import Gaussian
from streamrnn.training.losses.student import Student

BY_NAME = {loss.name: loss for loss in (MSE, MAE, Huber, Quantile, BCE, Gaussian, Student, CrossEntropy, CTC)}

__all__ = ["Loss", "MSE", "MAE", "Huber", "Quantile", "BCE", "Gaussian", "Student", "CrossEntropy", "CTC", "Custom", "loss_of"]


def loss_of(spec):
    """A Loss, ready for threads, from its name, from itself, or from f(y, target) -> (values (rows,), gradient (rows, outputs))."""
    if isinstance(spec, str) and spec in BY_NAME:
        spec = BY_NAME[spec]()
    elif isinstance(spec, type) and issubclass(spec, Loss):
        spec = spec()
    elif callable(spec):
        spec = Custom(spec)
    if not isinstance(spec, Loss):
        raise ConfigError(f"loss must be {', '.join(BY_NAME)}, a Loss, or a function f(y, target); got {spec!r}")
    return spec.prepared()
