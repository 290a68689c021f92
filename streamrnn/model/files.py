"""Model files: safetensors, with one metadata entry "streamrnn" that holds format, config and a digest of it all.

Reading is strict: every tensor must be there, of its shape, float32 and finite, and no other; a flipped bit changes the
digest. Nothing in a file is ever executed. Files are written beside their place and moved into it.
"""
import json
import os
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from streamrnn.errors import ConfigError, FileError

FORMAT = 1
ENTRY = "streamrnn"


def strict(tensors, shapes):
    """Fresh float32 copies of just these tensors, or a ConfigError that names the first one that is wrong."""
    for name in shapes:
        if name not in tensors:
            raise ConfigError(f"tensor {name} is missing: this model needs it with shape {shapes[name]}")
    for name, tensor in tensors.items():
        if name not in shapes:
            raise ConfigError(f"tensor {name} is not part of this model: it has {', '.join(shapes) or 'none'}")
        tensor = np.asarray(tensor)
        if tensor.shape != tuple(shapes[name]):
            raise ConfigError(f"tensor {name} has shape {tensor.shape}, this model needs {tuple(shapes[name])}")
        if tensor.dtype.kind not in "fiu":
            raise ConfigError(f"tensor {name} has dtype {tensor.dtype}, this model needs float32")
        with np.errstate(over="ignore"):
            bad = np.argwhere(~np.isfinite(tensor.astype(np.float32)))
        if len(bad):
            raise ConfigError(f"tensor {name} is not finite in float32 at {tuple(map(int, bad[0]))}: {tensor[tuple(bad[0])]}")
    return {name: np.array(tensors[name], np.float32) for name in shapes}


def digest_of(config, tensors):
    """A hash of plain values and of every bit of the tensors."""
    key = sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        key.update(f"{name}{tensor.shape}{tensor.dtype}".encode() + tensor.tobytes())
    return key.hexdigest()


def save(path, config, tensors):
    entry = {"format": FORMAT, "config": config, "digest": digest_of(config, tensors)}
    plain = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    write_whole(path, safetensors.numpy.save(plain, metadata={ENTRY: json.dumps(entry)}))


def write_whole(path, content):
    """All of the content or nothing: a crash leaves the old file as it was."""
    path = Path(path)
    descriptor, draft = tempfile.mkstemp(prefix=path.name + ".", suffix=".draft", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(draft, 0o666 & ~mask)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read(path):
    """(config, tensors) of a model file; FileError if it is not a whole, unchanged one of a format that we know."""
    content = Path(path).read_bytes()
    try:
        tensors = safetensors.numpy.load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8:8 + size]).get("__metadata__") or {}
    except Exception as error:  # the library's own errors, and numpy's for dtypes it does not know
        raise FileError(f"{path} is no safetensors file, or a damaged one ({error}): save the model again") from None
    if ENTRY not in metadata:
        raise FileError(f"{path} is a safetensors file, but not one of streamrnn: it has no {ENTRY!r} entry in its metadata. "
                        "Build the Model yourself and pass the tensors by their names: Model(..., tensors=...)")
    try:
        entry = json.loads(metadata[ENTRY])
        version, config, digest = entry["format"], entry["config"], entry["digest"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileError(f"{path} has a damaged {ENTRY!r} entry ({error!r}): save the model again") from None
    if version != FORMAT:
        raise FileError(f"{path} has format {version}, this version of streamrnn reads {FORMAT}: "
                        "upgrade streamrnn, or save the model with this version")
    if digest_of(config, tensors) != digest:
        raise FileError(f"{path} was changed after it was saved: its digest does not match. Take a good copy or save the model again")
    return config, tensors


@contextmanager
def blaming(path):
    """What is wrong with the model is wrong with the file."""
    try:
        yield
    except ConfigError as error:
        raise FileError(f"{path}: {error}") from None
