"""The stages that no user writes: the sample into padded work space, and a head's values into the result."""
from streamrnn.cells.base import Rowwise
from streamrnn.jit import inline
from streamrnn.lanes import get, put


@inline
def copy(shape, weights, x, y, old, new):
    for u in range(shape[1]):
        put(y, u, get(x, u))


COPY = Rowwise(copy, exact=True)
STAGES, LAYERS = (COPY,), ()
