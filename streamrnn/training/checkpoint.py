"""A training half-way on disk: all that it takes to go on bit for bit as if it had never stopped.

One safetensors file, written whole or not at all; its metadata holds plain values and a digest of everything. It belongs to
one training: the same model, data and options, whose fingerprint it carries.
"""
import json
import re
from hashlib import blake2b
from os import PathLike
from pathlib import Path

import numpy as np
import safetensors.numpy

from streamrnn.errors import ConfigError, FileError
from streamrnn.model.files import digest_of, write_whole

FORMAT, ENTRY = 1, "streamrnn-training"


def fingerprint(sequences, options):
    """What must be the same for a training to go on, besides the first weights."""
    key = blake2b(re.sub(" at 0x[0-9a-f]+", "", repr(options)).encode(), digest_size=16)  # a function's address is no part of it
    for data in sequences:
        for array in (data.samples, data.firsts, data.lengths, *(part for goal in data.goals for part in (goal.target, goal.weight))):
            key.update(repr(array.shape).encode())
            key.update(np.ascontiguousarray(array))
    return key.hexdigest()


def save(path, arrays, values, owner):
    content = {"format": FORMAT, "owner": owner, "values": values}
    entry = json.dumps({**content, "digest": digest_of(content, arrays)})
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(path, safetensors.numpy.save(plain, metadata={ENTRY: entry}))


def load(path, owner):
    """(arrays, values) of a checkpoint of this training; None where there is no file yet."""
    if not isinstance(path, (str, PathLike)):
        raise ConfigError(f"checkpoint must be the path of a file, got {path!r}")
    if not Path(path).parent.is_dir() or Path(path).is_dir():
        raise FileError(f"the checkpoint {path} cannot be a file there: give it a name in a folder that exists")
    if not Path(path).exists():
        return None
    raw = Path(path).read_bytes()
    try:
        arrays = safetensors.numpy.load(raw)
        entry = json.loads(json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])["__metadata__"][ENTRY])
        content, digest = {name: entry[name] for name in ("format", "owner", "values")}, entry["digest"]
        whole = content["format"] == FORMAT and digest_of(content, arrays) == digest
    except Exception as error:  # whatever a damaged file brings up
        raise FileError(f"{path} is no checkpoint of a training, or a damaged one ({error}): delete it to start again") from None
    if not whole:
        raise FileError(f"{path} is a damaged checkpoint, or one of another version: delete it to start again")
    if content["owner"] != owner:
        raise foreign(path)
    return arrays, content["values"]


def foreign(path):
    return FileError(f"{path} belongs to another training (other data, layers, first weights or options): "
                     "give this one a checkpoint of its own, or delete the file to start again")
