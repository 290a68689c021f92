"""The stages that no user writes: the sample into padded work space, and a head's values into the result."""
from streamrnn.cells.base import Rowwise
from streamrnn.jit import inline
from streamrnn.lanes import LANES, get, load, put, store


@inline
def copy(shape, weights, x, y, old, new):
    whole = shape[1] // LANES * LANES
    for u in range(0, whole, LANES):
        store(y, u, load(x, u))
    for u in range(whole, shape[1]):
        put(y, u, get(x, u))


COPY = Rowwise(copy, exact=True)
STAGES, LAYERS = (COPY,), ()
