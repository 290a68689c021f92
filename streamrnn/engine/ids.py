"""What may name a stream: a string of at most 64 bytes in UTF-8, or a whole number of 64 bits."""
import numpy as np

from streamrnn.errors import InputError

LONGEST_ID = 64


def possible(id):
    """Is it of a kind that can name a stream (and be looked up)?"""
    return isinstance(id, (str, int, np.integer)) and not isinstance(id, bool)


def checked(id):
    """The id as it is kept, or an InputError."""
    if not possible(id):
        raise InputError(f"a stream id is a string or a whole number, got {id!r}")
    if isinstance(id, str):
        try:
            size = len(id.encode())
        except UnicodeEncodeError as error:
            raise InputError(f"a stream id must be valid Unicode: {error}") from None
        if not 0 < size <= LONGEST_ID:
            raise InputError(f"a stream id has 1 to {LONGEST_ID} bytes in UTF-8, this one has {size}: {id[:80]!r}")
        return str(id)
    if not -(1 << 63) <= id < 1 << 63:
        raise InputError(f"a whole number as stream id must fit 64 bits, got {id}")
    return int(id)
