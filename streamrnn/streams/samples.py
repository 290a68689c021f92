"""What users hand in, as float32 arrays of the right shape, or an error that says what came and what to do."""
import numpy as np

from streamrnn.errors import InputError

F32 = np.dtype(np.float32)


def as_float32(x, what="x"):
    """A contiguous float32 array. Whole numbers, booleans and other floats are converted, anything else is refused."""
    if type(x) is np.ndarray and x.dtype == F32 and x.flags.carray:
        return x
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InputError(f"{what} must be numbers in a regular array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} must be numbers (float32, or what converts to it), got dtype {array.dtype}: "
                         "convert it first, for example with np.asarray(x, np.float32)")
    with np.errstate(over="ignore"):  # too large for float32 becomes inf, which is then refused by place
        return np.array(array, np.float32, order="C")  # a copy: kernels take aligned memory that could be written


def sample(x, inputs):
    """One sample: (inputs,)."""
    array = as_float32(x)
    if array.shape != (inputs,):
        raise InputError(f"one sample of this model is {inputs} numbers, shape ({inputs},); got shape {array.shape}")
    return array


def refuse_value(x, vocabulary, where=""):
    """Say which value a kernel would not take, and why."""
    from streamrnn.kernels.frame import GAPS  # here, so that reading tables does not take a compiler
    flat = np.asarray(x).ravel()
    if vocabulary == GAPS:
        wrong = np.flatnonzero(np.isinf(flat))
        raise InputError(f"x{where}[{wrong[0]}] is {flat[wrong[0]]} (after conversion to float32): a reading is finite, or NaN where it "
                         "is missing. Nothing was stepped")
    wrong = np.flatnonzero(~np.isfinite(flat))
    if len(wrong):
        raise InputError(f"x{where}[{wrong[0]}] is {flat[wrong[0]]} (after conversion to float32): a sample must be finite. "
                         "Nothing was stepped; fill or drop missing readings first")
    wrong = np.flatnonzero((flat < 0) | (flat >= vocabulary) | (flat != np.floor(flat)))
    raise InputError(f"x{where}[{wrong[0]}] is {flat[wrong[0]]}: this model takes whole tokens from 0 to {vocabulary - 1}. "
                     "Nothing was stepped")


def batch(x, inputs):
    """Sequences (T, inputs) or a batch of them (B, T, inputs), as (B, T, inputs)."""
    array = as_float32(x)
    if array.ndim not in (2, 3) or array.shape[-1] != inputs:
        hint = f"; reshape a single series with x.reshape(-1, {inputs})" if array.ndim == 1 else "; add an axis with x[..., None]" \
            if inputs == 1 and array.ndim == 2 else ""
        raise InputError(f"sequences of this model are (T, {inputs}) or (B, T, {inputs}), got shape {array.shape}{hint}")
    return array if array.ndim == 3 else array[None]


def lengths_of(lengths, count, time):
    """One whole number from 0 to `time` for each sequence."""
    array = np.asarray(lengths)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise InputError(f"lengths must be {count} whole numbers, one for each sequence; got shape {array.shape}, dtype {array.dtype}")
    wrong = np.flatnonzero((array < 0) | (array > time))
    if len(wrong):
        raise InputError(f"lengths[{wrong[0]}] is {array[wrong[0]]}: a sequence of this batch has 0 to {time} samples")
    return np.ascontiguousarray(array, np.int64)
