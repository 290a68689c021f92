"""A Keras model's configuration as a chain of entries: Sequential and functional models, one in another, as far as they are chains."""
from typing import Any, NamedTuple

from streamrnn.errors import ConfigError
from streamrnn.interop.chain import refusal

MODELS = ("Sequential", "Functional", "Model")
CHAIN = "only a chain can be carried: one input, one output, each layer once, one after the other"


class Entry(NamedTuple):
    kind: str               # Keras' class: "LSTM"
    name: str
    config: dict[str, Any]
    place: str              # where its weights lie
    masked: bool = False    # it is called with a mask


class Graph(NamedTuple):
    entries: list[Entry]
    shape: tuple            # of the input: (batch, time, features) or less; None where anything goes


def chain_of(config, weights):
    """The Graph of a whole model."""
    kind, inner = _model(config, "the file")
    entries = _entries(kind, inner, weights, "")
    first = next((entry.config for entry in entries if entry.kind == "InputLayer"), {})
    shape = first.get("batch_shape", first.get("batch_input_shape"))
    shape = shape or (entries and entries[0].config.get("batch_input_shape")) or inner.get("build_input_shape")
    if not isinstance(shape, (list, tuple)) or not all(size is None or (isinstance(size, int) and size > 0) for size in shape):
        raise ConfigError(f"{inner.get('name', 'the model')}: it does not say what shape its input has: "
                          "build it with keras.Input((None, features)) as its first layer, and save it again")
    return Graph([entry for entry in entries if entry.kind != "InputLayer"], tuple(shape))


def _model(config, where):
    if not (isinstance(config, dict) and isinstance(config.get("class_name"), str) and isinstance(config.get("config"), (dict, list))):
        raise ConfigError(f"{where}: no Keras model in it: it has no class_name and config")
    kind, inner = config["class_name"], config["config"]
    if kind not in MODELS:
        raise refusal(inner.get("name", kind) if isinstance(inner, dict) else kind,
                      f"{kind} is a class of its own, and its call cannot be seen",
                      "import a Sequential or functional model of the same layers")
    inner = {"layers": inner} if isinstance(inner, list) else inner  # as the oldest files have it
    if not isinstance(inner.get("layers"), list) or not all(isinstance(layer, dict) and isinstance(layer.get("class_name"), str)
                                                            and isinstance(layer.get("config"), dict) for layer in inner["layers"]):
        raise ConfigError(f"{where}: its configuration has no list of layers: save it again with model.save('model.keras')")
    return kind, inner


def _entries(kind, config, weights, within):
    layers = config["layers"]
    if kind != "Sequential":
        order, saved = _forward(config), layers
    else:
        order, saved = layers, [layer for layer in layers if layer["class_name"] != "InputLayer"]
    places = dict(zip(map(_name, saved), weights.names([layer["class_name"] for layer in saved], within), strict=True))
    found = []
    for layer in order:
        inner_kind, name, inner = layer["class_name"], _name(layer), layer["config"]
        place = places.get(name, "")
        if inner_kind in MODELS:
            inner_kind, inner = _model(layer, name)
            frozen = any(not part["config"].get("trainable", True) or part["class_name"] == "Normalization" for part in inner["layers"])
            if frozen and not place:
                raise refusal(name, "a model in a model with frozen layers, whose weights an .h5 file mixes",
                              "save it again with model.save('model.keras')")
            deeper = _entries(inner_kind, inner, weights, weights.inner(place or name))
            found += [entry for entry in deeper if entry.kind != "InputLayer"]
        else:
            found.append(Entry(inner_kind, name, inner, place, any(map(_masked, layer.get("inbound_nodes", [])))))
    return found


def _name(layer):
    return str(layer.get("name") or layer["config"].get("name"))


def _forward(config):
    """The layers between the one input and the one output, in order; what else is there can only make masks."""
    name = config.get("name", "the model")
    ends = {}
    for end in ("input_layers", "output_layers"):
        listed = config.get(end)
        listed = [listed] if listed and isinstance(listed[0], str) else listed
        if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], list):
            raise refusal(name, f"has {len(listed) if isinstance(listed, list) else 'no'} {end.replace('_layers', 's')}", CHAIN)
        ends[end] = listed[0]
    layers, order, seen = {_name(layer): layer for layer in config["layers"]}, [], set()
    layer, _, tensor = ends["output_layers"]
    while True:
        if layer in seen or layer not in layers:
            raise refusal(layer, "is used more than once, or is not there", CHAIN)
        seen.add(layer)
        if tensor:
            raise refusal(layer, f"its result number {tensor} is used (return_state)", "use its first result, the output")
        entry = layers[layer]
        order.append(entry)
        if layer == ends["input_layers"][0]:
            break
        nodes = entry.get("inbound_nodes", [])
        if len(nodes) != 1:
            raise refusal(layer, f"is called {len(nodes)} times", CHAIN)
        layer, tensor = _input(layer, nodes[0])
    return order[::-1]


def _input(name, node):
    """(the layer whose result goes in, which of its results)"""
    kwargs = _kwargs(node)
    sources = _tensors(node.get("args") if isinstance(node, dict) else node)
    if len(sources) != 1:
        raise refusal(name, f"takes {len(sources)} inputs", CHAIN)
    for key, value in kwargs.items():
        if key not in ("mask", "training") and value is not None:
            raise refusal(name, f"is called with {key}", f"a stream starts from zeros; {CHAIN}")
    return sources[0]


def _kwargs(node):
    return (node.get("kwargs") if isinstance(node, dict) else next((part[3] for part in node if len(part) > 3), None)) or {}


def _masked(node):
    return bool(_tensors(_kwargs(node).get("mask")))


def _tensors(value):
    """(layer, number of its result) of every tensor in a node, in Keras 3's form or in the older lists."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            layer, _, tensor = value["config"]["keras_history"]
            return [(layer, tensor)]
        return [found for v in value.values() for found in _tensors(v)]
    if isinstance(value, (list, tuple)):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int) and isinstance(value[2], int):
            return [(value[0], value[2])]
        return [found for v in value for found in _tensors(v)]
    return []
