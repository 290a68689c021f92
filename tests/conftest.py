"""What every test may ask for."""
import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy is there: scikit-learn checks more with it

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20)
