"""Keras' files without Keras: .keras (a zip of config.json and model.weights.h5) and the older .h5, as a configuration and weights.

Weights are taken layer by layer, in the order in which Keras wrote them, and what nobody takes is refused. Only plain arrays
inside the file are read: HDF5's links to other files, and what it calls external or virtual, are refused.
"""
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np

from streamrnn.errors import FileError, MissingExtra

MOST_JSON = 64 << 20
MOST_TIMES = 1000  # what an array may say that it is, over what the file holds of it
AGAIN = "save it again with model.save('model.keras')"
ROOTS = ("layers", "_layer_checkpoint_dependencies")


def h5py_for(what):
    try:
        import h5py
    except ImportError:
        raise MissingExtra(f"{what} needs h5py to be read: pip install 'streamrnn[keras]'") from None
    return h5py


def read(path):
    """(configuration of the model, weights) of a .keras or .h5 file."""
    path = Path(path)
    content = path.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(content)):
        return _read_zip(path, content)
    if content[:8] == b"\x89HDF\r\n\x1a\n":
        return _read_legacy(path, content)
    raise FileError(f"{path} is neither a .keras file (a zip) nor an .h5 file (HDF5): {AGAIN}")


def _read_zip(path, content):
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if "config.json" not in names or "model.weights.h5" not in names:
                raise FileError(f"{path} is a zip without config.json and model.weights.h5, but with "
                                f"{', '.join(names[:5]) or 'nothing'}: {AGAIN}")
            if max(archive.getinfo(name).file_size for name in {"config.json", "metadata.json"} & set(names)) > MOST_JSON:
                raise FileError(f"{path}: its configuration is larger than any network's: {AGAIN}")
            config = json.loads(archive.read("config.json"))
            metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
            weights = archive.read("model.weights.h5")
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError, RuntimeError, EOFError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} is a damaged .keras file ({error}): {AGAIN}") from None
    return config, Weights(path, open_h5(path, weights), version_of(metadata.get("keras_version") if isinstance(metadata, dict) else None))


def _read_legacy(path, content):
    file = open_h5(path, content)
    if "model_config" not in file.attrs or "model_weights" not in file:
        raise FileError(f"{path} holds weights but not the model (no model_config in it): load it in Keras and {AGAIN}")
    try:
        config = json.loads(_text(file.attrs["model_config"]))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} has a damaged model_config ({error}): {AGAIN}") from None
    return config, LegacyWeights(path, file["model_weights"], version_of(file.attrs.get("keras_version")))


def open_h5(path, content):
    h5py = h5py_for(path)
    try:
        return h5py.File(io.BytesIO(content), "r")
    except OSError as error:
        raise FileError(f"{path} has damaged weights ({error}): {AGAIN}") from None


def version_of(text):
    """3 of "3.15.1", None where no version is given: the first number of the Keras that wrote this."""
    found = re.match(r"\d+", _text(text)) if text is not None else None
    return int(found[0]) if found else None


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


class Weights:
    """Weights as Keras 3 writes them: layers/lstm/cell/vars/0, by class and number; `take` gives a layer's arrays."""

    def __init__(self, path, file, version):
        self.path, self.file, self.version, self.taken = path, file, version, set()
        self.root = next((root for root in ROOTS if root in file), ROOTS[0])

    def names(self, layers, within=""):
        """Where each layer of a model lies: by its class in snake case, numbered from the second of a class on."""
        seen, places = {}, []
        for kind in layers:
            snake = snake_case(kind)
            number = seen.get(snake, 0)
            seen[snake] = number + 1
            places.append(f"{within or self.root}/{snake}" + (f"_{number}" if number else ""))
        return places

    def inner(self, place):
        """Where the layers of a model within the model lie."""
        return f"{place}/layers"

    def take(self, place, name, part, count):
        """The `count` arrays of this part ("" or "cell" ...) of the layer that lies there."""
        inner = f"{place}/{part}/vars" if part else f"{place}/vars"
        group = self._group(inner)
        own = self._group(f"{place}/vars")
        if own is not None and "name" in own.attrs and _text(own.attrs["name"]) != name:
            raise FileError(f"{self.path}: the weights at {place} are those of {_text(own.attrs['name'])}, not of {name}: {AGAIN}")
        found = [] if group is None else sorted(group, key=lambda key: int(key) if key.isdecimal() else -1)
        if found != [str(k) for k in range(count)]:
            raise FileError(f"{self.path}: layer {name} needs {count} weights at {inner}, the file has {len(found)} there: {AGAIN}")
        self.taken |= {f"{inner}/{key}" for key in found}
        return [_array(self.path, group, key, f"{inner}/{key}") for key in found]

    def left(self):
        """Weights that no layer took; a generator's seed and an optimiser's numbers are not among them."""
        found = []

        def look(name, thing):
            if hasattr(thing, "shape") and name not in self.taken and "seed_generator" not in name:
                found.append(name)

        if self.root in self.file:
            _group_of(self.path, self.file, self.root).visititems(lambda name, thing: look(f"{self.root}/{name}", thing))
        return found

    def _group(self, inner):
        group = self.file
        for step in inner.split("/"):
            if step not in group:
                return None
            group = _group_of(self.path, group, step)
        return group


class LegacyWeights:
    """Weights as .h5 files have them: a list of names for each layer of the model, in Keras' order."""

    def __init__(self, path, group, version):
        self.path, self.group, self.version, self.queues = path, group, version, {}

    def names(self, layers, within=""):
        return [within] * len(layers)

    def inner(self, place):
        return place

    def take(self, place, name, part, count):
        place = place or name
        if place not in self.queues:
            group = _group_of(self.path, self.group, place) if place in self.group else None
            listed = [] if group is None else [_text(key) for key in group.attrs.get("weight_names", [])]
            self.queues[place] = [(group, key) for key in listed if "seed_generator" not in key]
        queue = self.queues[place]
        if len(queue) < count:
            raise FileError(f"{self.path}: layer {name} needs {count} weights, the file has {len(queue)} left for it: {AGAIN}")
        taken, self.queues[place] = queue[:count], queue[count:]
        return [_array(self.path, group, key, f"{place}/{key}") for group, key in taken]

    def left(self):
        unread = [name for name in self.group if name not in self.queues]
        for name in unread:
            self.take(name, name, "", 0)
        return [f"{place}/{key}" for place, queue in self.queues.items() for _, key in queue]


def _group_of(path, group, key):
    _check_link(path, group, key)
    return group[key]


def _check_link(path, group, key):
    h5py = h5py_for(path)
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise FileError(f"{path}: {key} is a link to elsewhere, which is not followed: {AGAIN}")


def _array(path, group, key, shown):
    for step in key.split("/")[:-1]:
        group = _group_of(path, group, step)
    key = key.rpartition("/")[2]
    if key not in group:
        raise FileError(f"{path}: the weight {shown} is missing: {AGAIN}")
    _check_link(path, group, key)
    data = group[key]
    if not hasattr(data, "shape") or data.external or data.is_virtual or data.dtype.kind not in "fiu":
        raise FileError(f"{path}: {shown} is no plain array of numbers in the file itself: {AGAIN}")
    if data.nbytes > MOST_TIMES * max(1, data.id.get_storage_size()):
        raise FileError(f"{path}: {shown} says that it is {data.nbytes:,} bytes, and holds next to none of them: {AGAIN}")
    try:
        return np.asarray(data[()])
    except OSError as error:
        raise FileError(f"{path}: {shown} cannot be read ({error}): {AGAIN}") from None


def snake_case(name):
    """LSTM -> lstm, SimpleRNN -> simple_rnn, LayerNormalization -> layer_normalization: as Keras names them in its files."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
