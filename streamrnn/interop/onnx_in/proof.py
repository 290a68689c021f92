"""Does the model give what the graph gives? Both take random samples; ONNX Runtime computes the graph."""
import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.interop import parity, probes
from streamrnn.interop.onnx_in.values import arranged

SIZES = ((2, 9), (1, 1), (16, 40))


def prove(content, walk, model, outputs, rng, tolerance=parity.TOLERANCE):
    """(largest error, values compared, "") or (None, 0, why there is none). Raises ConfigError above the tolerance."""
    try:
        import onnxruntime
    except ImportError:
        return None, 0, "onnxruntime is not installed: pip install onnxruntime"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found = [_one(session, walk, model, outputs, size, rng, tolerance) for size in _sizes(walk)]
    except ConfigError:
        raise
    except Exception as error:  # the runtime's own errors have no common root
        return None, 0, f"ONNX Runtime {onnxruntime.__version__} does not run this graph: {str(error).splitlines()[0][:200]}"
    return max(error for error, _ in found), sum(values for _, values in found), ""


def _sizes(walk):
    """Numbers of sequences and steps to try: the graph's own where it has them."""
    def fixed(atom):
        return 1 if atom is None else None if walk.input_dims[int(atom.name.split()[1])] is None else atom.size
    batch, time = fixed(walk.batch), fixed(walk.time)
    return list(dict.fromkeys((batch or b, time or t) for b, t in SIZES))


def _one(session, walk, model, outputs, size, rng, tolerance):
    batch, time = size
    x = probes.samples(model, size, rng)
    feeds = {walk.main.name: fed(x, walk).astype(walk.kind)}
    lengths = None
    for value in walk.inputs:
        if value.name == walk.lengths:
            lengths = rng.integers(1, time + 1, batch)
            lengths[0] = time
            feeds[value.name] = lengths.astype(np.int32)
        elif value is not walk.main:
            feeds[value.name] = np.zeros([batch if n is None else n for n in walk.dims(value)], np.float32)
    y = model.run(x, lengths)
    ends = np.full(batch, time) if lengths is None else lengths
    worst, values, results = 0.0, 0, session.run(list(outputs), feeds)
    for (name, value), there in zip(outputs.items(), results, strict=True):
        columns = y[..., model.heads[name.replace(".", "_")]] if model.heads else y
        here, inside = columns, np.arange(time) < ends[:, None]
        if value.last:
            here, inside = columns[np.arange(batch), ends - 1], np.ones(batch, bool)
        inside = np.broadcast_to(inside[..., None], here.shape)
        here, inside = (arranged(part, value, walk.batch, walk.time) for part in (here, inside))
        if here.shape != there.shape:
            raise ConfigError(f"output {name!r} has shape {there.shape} in ONNX Runtime and {here.shape} here: please report this graph")
        error = np.where(inside, parity.errors_of(here, there), 0)
        worst, values = max(worst, float(error.max(initial=0))), values + int(inside.sum())
        if worst > tolerance:
            at = tuple(map(int, np.unravel_index(error.argmax(), error.shape)))
            raise parity.beyond(f"output {name!r}{list(at)} is {there[at]:.6g} in ONNX Runtime and {here[at]:.6g} here, for {batch} "
                                f"sequences of {time} steps", worst, tolerance)
    return worst, values


def fed(x, walk):
    """Samples (B, T, inputs) as the graph takes them."""
    names = [walk.batch, walk.time, *walk.features]
    x = x.reshape(*x.shape[:2], *(atom.size for atom in walk.features))
    order = [axis[0] for axis in walk.input.axes]
    for atom in [a for a in names if a not in order]:
        x, names = x.take(0, axis=names.index(atom)), [a for a in names if a is not atom]
    return np.ascontiguousarray(x.transpose([names.index(atom) for atom in order]))
