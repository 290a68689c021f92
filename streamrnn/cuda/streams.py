"""One stream on the GPU, either way: a kernel that stays, for the shortest wait, or a launch for each sample, which shares the GPU."""
from streamrnn.cuda.resident import Resident
from streamrnn.cuda.rows import CudaRows
from streamrnn.streams.stream import Stream


class Launched(Stream):
    """A Stream whose samples are a launch each."""

    __slots__ = ("_closed",)

    def __init__(self, packed):
        rows = CudaRows(packed, capacity=1, fixed=True)
        super().__init__(rows, rows.open())
        self._closed = False

    def close(self):
        """The stream takes no more samples. Closing it again does nothing."""
        if not self._closed:
            self._rows.close(self._handle)
            self._closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stream(packed, resident):
    return Resident(packed) if resident else Launched(packed)
