"""Where the rows of streams lie: in the host's memory, or on a GPU. Nothing of CUDA is looked at unless it is asked for."""
from streamrnn.errors import ConfigError
from streamrnn.streams.rows import Rows

DEVICES = ("cpu", "cuda", "auto")


def checked(device):
    if device not in DEVICES:
        raise ConfigError(f"device must be {', '.join(map(repr, DEVICES))}; got {device!r}")
    return device


def rows_on(device, packed, capacity=None, threads=1, fixed=False):
    """(rows, why they lie there); "auto" takes what is faster for `capacity` streams at once."""
    why = ""
    if checked(device) == "auto":
        from streamrnn.cuda.choice import choose

        device, why = choose(packed, capacity, threads)
    if device == "cpu":
        return Rows(packed, capacity, threads, fixed), why
    from streamrnn.cuda.device import require

    require()
    from streamrnn.cuda.rows import CudaRows

    return CudaRows(packed, capacity, fixed), why
