"""A bare state_dict as Parts: kinds by names and shapes, order by numbers, by place in the file or by widths that fit.

A state_dict holds tensors and nothing else: no order that is certain, no functions between layers, no epsilon. What can be
told from names and shapes alone is told; where two readings fit, the user says which, in `layers`:
"embed=Embedding,rnn=RNN:relu,fc1=Linear:relu,fc2=Linear". Words for every module with tensors also give the order.
"""
import re
from itertools import pairwise, permutations, product

from streamrnn.errors import ConfigError
from streamrnn.interop.chain import ACTIVATIONS, refusal
from streamrnn.interop.torch_in.parts import FUNCTIONS, KINDS, RECURRENT, Part, both_ways, depth, widths

GATES = {4: "LSTM", 3: "GRU", 1: "RNN"}
LAYER = re.compile(r"(weight|bias)_(ih|hh|hr)(_l\d+)?(_reverse)?")
ENDS = ("steps", "final")
MOST = 8  # modules whose order is searched for by widths
LAYERNORM_EPS = 1e-5  # torch's own
EXAMPLE = 'layers="lstm=LSTM,fc1=Linear:relu,fc2=Linear" (--layers)'


def parts_of(tensors, words, ordered):
    """(Parts in order, notes). `ordered`: the tensors come in the order in which the modules were made."""
    groups = {}
    for key, tensor in tensors.items():
        name, _, last = key.rpartition(".")
        groups.setdefault(name, {})[last] = tensor
    words = _words(words or "")
    for name in words:
        if name not in groups and words[name][0] not in (*FUNCTIONS, "Dropout", "Identity"):
            raise ConfigError(f"layers: no module is called {name!r}: there are {', '.join(map(repr, groups))}")
    kinds = {name: _kinds(name, group, words.get(name)) for name, group in groups.items()}
    notes = []
    if all(name in words for name in groups):
        parts = [_part(name, words[name][0], words[name][1], _canonical(groups.get(name, {}))) for name in words]
    else:
        order, notes = _order(groups, kinds, words, ordered)
        parts = [_part(name, kind, words[name][1] if name in words else "", _canonical(groups.get(name, {}))) for name, kind in order]
    _check_gaps(parts, words)
    _check_ends(parts)
    notes.append("a state_dict holds no functions between layers and none after the last: taken as "
                 + " -> ".join(_shown(part) for part in parts) + ". If the network has more, say so with layers (--layers)")
    if any(part.kind == "LayerNorm" and not words.get(part.name, ("", ""))[1] for part in parts):
        notes.append(f"a state_dict holds no epsilon: LayerNorm's is taken as torch's own, {LAYERNORM_EPS}")
    return parts, notes


def _shown(part):
    return f"{part.name} ({part.kind})" + (f" + {part.options['activation']}" if part.options.get("activation") else "")


def _words(text):
    """{name: (kind, option)} of "lstm=LSTM,fc=Linear:relu"."""
    words = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, equals, kind = word.partition("=")
        kind, _, option = kind.partition(":")
        if not equals or kind not in KINDS:
            raise ConfigError(f"layers: {word!r} is not NAME=KIND; KIND is one of {', '.join(KINDS)}. For example {EXAMPLE}")
        words[name.strip()] = kind, option
    return words


def _kinds(name, group, word):
    """What this group of tensors can be."""
    shapes = {key: tensor.shape for key, tensor in group.items()}
    shown = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
    if all(LAYER.fullmatch(key) for key in group):
        found = (_recurrent(name, shapes, shown),)
    elif set(group) <= {"weight", "bias"} and "weight" in group and len(shapes["weight"]) == 2:
        found = ("Linear",) if "bias" in group else ("Linear", "Embedding")
    elif set(group) == {"weight", "bias"} and len(shapes["weight"]) == 1:
        found = ("LayerNorm",)
    elif set(group) == {"weight"} and len(shapes["weight"]) == 1:
        if word is None:
            raise refusal(name, f"{shown}: a LayerNorm without bias or another norm, and names do not tell",
                          f'say it with layers="{name}=LayerNorm" if it is one')
        found = ("LayerNorm",)
    else:
        what = "a BatchNorm cannot be carried" if "running_mean" in group else f"nothing that can be carried has {shown}"
        raise refusal(name or "the state_dict", what, f"the kinds are {', '.join(KINDS)}")
    if word and word[0] not in found:
        raise refusal(name, f"layers says {word[0]}, but its tensors are those of {' or '.join(found)}: {shown}", "correct the word")
    return (word[0],) if word else found


def _recurrent(name, shapes, shown):
    name = name or "the recurrent layer"
    hidden = next((shape for key, shape in shapes.items() if key.startswith("weight_hh")), None)
    projection = next((shape for key, shape in shapes.items() if key.startswith("weight_hr")), None)
    if projection is not None:
        if len(projection) != 2 or hidden != (4 * projection[1], projection[0]):
            raise refusal(name, f"with weight_hr (P, H) its hidden weights must be (4 H, P), an LSTM's with proj_size; got {shown}",
                          "check the file")
        return "LSTM"
    gates = hidden[0] / hidden[1] if hidden and len(hidden) == 2 and hidden[1] else 0
    if gates not in GATES:
        raise refusal(name, f"its hidden weights must be (4 H, H) for an LSTM, (3 H, H) for a GRU or (H, H) for an RNN; got {shown}",
                      "check the file")
    return GATES[gates]


def _canonical(group):
    """An LSTMCell's names are those of a first layer without its number."""
    named = {key + "_l0" if LAYER.fullmatch(key) and LAYER.fullmatch(key)[3] is None else key: tensor for key, tensor in group.items()}
    if any(LAYER.fullmatch(key) for key in named):
        ways = ("", "_reverse") if any(key.endswith("_reverse") for key in named) else ("",)
        places = [f"l{k}{way}" for k in range(depth(named)) for way in ways]
        needed = {f"{key}_{place}" for place in places for key in ("weight_ih", "weight_hh")}
        if any(key.startswith("weight_hr") for key in named):
            needed |= {f"weight_hr_{place}" for place in places}
        kept = needed | {f"bias_{side}_{place}" for place in places for side in ("ih", "hh")}
        odd = (needed - set(named)) | (set(named) - kept)
        if odd:
            raise ConfigError(f"a recurrent layer has {', '.join(sorted(named))}: {', '.join(sorted(odd))} does not fit. Check the file")
    return named


def _part(name, kind, option, tensors):
    options = {}
    if kind in RECURRENT:
        function, end = _recurrent_words(name, kind, option, both_ways(tensors))
        options |= {"nonlinearity": function} if kind == "RNN" else {}
        options |= {"end": end} if end else {}
    elif kind == "Linear":
        if option not in ("", "none", *ACTIVATIONS):
            raise refusal(name, f"no function {option!r}", f"a Linear may have one of none, {', '.join(ACTIVATIONS)}")
        options |= {"activation": option if option in ACTIVATIONS else None, "said": bool(option)}
    elif kind == "LayerNorm":
        try:
            options = {"size": tensors["weight"].shape[0], "eps": float(option or LAYERNORM_EPS)}
        except ValueError:
            raise refusal(name, f"{option!r} is no epsilon", f'write layers="{name}=LayerNorm:1e-5"') from None
    elif kind == "Dropout":
        options["p"] = float(option or 0.5)
    elif option:
        raise refusal(name, f"{kind} takes no {option!r}", "recurrent layers, Linear, LayerNorm and Dropout do")
    return Part(name, kind, tensors, options)


def _recurrent_words(name, kind, option, both):
    """(an RNN's function, what is taken of a bidirectional layer if it is said) of "relu", "final", "relu:final"."""
    words = [word for word in option.split(":") if word]
    function = next((word for word in words if word in ("tanh", "relu")), None) if kind == "RNN" else None
    end = next((word for word in words if word in ENDS), None) if both else None
    if kind == "RNN" and function is None:
        raise refusal(name, "an RNN of tanh or of relu, which a state_dict does not tell",
                      f'say it with layers="{name}=RNN:tanh" or RNN:relu')
    if len(words) != sum(word is not None for word in (function, end)):
        known = " and ".join(part for part in ("tanh or relu" if kind == "RNN" else "", " or ".join(ENDS) if both else "") if part)
        raise refusal(name, f"{kind}:{option} says more than there is to say", f"it takes {known or 'no such word'}")
    return function, end


def _check_ends(parts):
    """A bidirectional layer's results at every step and its final states are of one width: which one goes on is not in the tensors."""
    for n, part in enumerate(parts):
        later = next((later.name for later in parts[n + 1:] if later.kind in RECURRENT), None)
        if later is not None and part.options.get("end") == "final":
            raise refusal(part.name, f"its final states are no sequence that {later} could take", f"write {part.kind}:steps")
        if part.kind in RECURRENT and both_ways(part.tensors) and "end" not in part.options and later is None:
            kind = ":".join([part.kind, *([part.options["nonlinearity"]] if part.kind == "RNN" else [])])
            raise refusal(part.name or "the recurrent layer",
                          "bidirectional: whether its output y goes on, or the final states of both halves (h_n), is not in a state_dict",
                          f'say it with layers="{part.name}={kind}:steps" (--layers) or {kind}:final')


# -- order ------------------------------------------------------------------------------------------------------------------


def _order(groups, kinds, words, ordered):
    """([(name, kind)], notes)"""
    names, notes = list(groups), []
    free = {name: kinds[name] for name in names}
    numbered = [_number(name) for name in names]
    if all(number is not None for number in numbered) and len({_parent(name) for name in names}) == 1:
        names = sorted([*names, *(name for name in words if name not in groups and _number(name) is not None)], key=_number)
        orders = [names]
    elif ordered:
        orders = [_with_words(names, words, groups)]
    elif len(names) > MOST:
        raise ConfigError(f"{len(names)} modules, and the file does not hold their order: say it with {EXAMPLE}")
    else:
        orders = [_with_words(list(order), words, groups) for order in permutations(names)]
    fits = [fit for order in orders for fit in _readings(order, free, words, groups)]
    if not fits:
        shown = "; ".join(f"{name} ({' or '.join(kinds[name])})" for name in names if name in kinds)
        raise ConfigError(f"these modules make no chain{' in this order' if len(orders) == 1 else ' in any order'}: {shown}. "
                          f"Say kinds and order with {EXAMPLE}")
    if len(fits) > 1:
        shown = " or ".join(", ".join(f"{name}={kind}" for name, kind in fit) for fit in fits[:2])
        raise ConfigError(f"the names and shapes can be read in more than one way: {shown}. "
                          "Say which with layers (--layers), every module in order")
    if ordered and len(orders) == 1 and not all(number is not None for number in numbered):
        notes.append("the order is that in which the modules were made; widths fit")
    elif len(orders) > 1:
        notes.append("the order is the only one whose widths fit")
    return fits[0], notes


def _readings(order, free, words, groups):
    """Every choice of kinds for this order whose widths fit."""
    for choice in product(*(free.get(name) or (words[name][0],) for name in order)):
        width, fits = None, True
        for place, (name, kind) in enumerate(zip(order, choice, strict=True)):
            takes, gives = _widths(kind, groups.get(name, {}))
            fits = fits and (takes is None or width is None or takes == width) and not (kind == "Embedding" and place)
            width = gives if gives is not None else width
        if fits:
            yield list(zip(order, choice, strict=True))


def _widths(kind, group):
    if kind == "LayerNorm":
        return group["weight"].shape * 2
    return widths(Part("", kind, _canonical(group)))


def _with_words(names, words, groups):
    """Modules without tensors that words name, such as "head.1=ReLU", at their place among their numbered siblings."""
    names = list(names)
    for name in words:
        if name in groups:
            continue
        before = [n for n in names if _number(n) is not None and _parent(n) == _parent(name) and _number(name) is not None
                  and _number(n) < _number(name)]
        after = [n for n in names if _number(n) is not None and _parent(n) == _parent(name) and _number(name) is not None
                 and _number(n) > _number(name)]
        if before:
            names.insert(names.index(max(before, key=_number)) + 1, name)
        elif after:
            names.insert(names.index(min(after, key=_number)), name)
        else:
            raise ConfigError(f"layers: where {name} runs cannot be told: name every module, in order, such as {EXAMPLE}")
    return names


def _number(name):
    last = name.rpartition(".")[2]
    return int(last) if last.isdecimal() else None


def _parent(name):
    return name.rpartition(".")[0]


def _check_gaps(parts, words):
    """Numbers that are missing in a torch.nn.Sequential are modules without tensors: which ones cannot be known."""
    if all(part.name in words for part in parts):
        return
    names = {part.name for part in parts}
    for parent in {_parent(name) for name in names if _number(name) is not None}:
        there = {_number(name) for name in names if _number(name) is not None and _parent(name) == parent}
        missing = [f"{parent}.{k}" if parent else str(k) for k in range(max(there)) if k not in there]
        if missing:
            raise refusal(missing[0],
                          "a module without tensors stands here (an activation, a dropout), and a state_dict does not say which",
                          f'say it with layers="{missing[0]}=ReLU" (--layers): one of {", ".join((*FUNCTIONS, "Dropout", "Identity"))}')
    for first, second in pairwise(parts):
        together = _number(first.name) is not None and _number(second.name) is not None and _parent(first.name) == _parent(second.name)
        if first.kind == second.kind == "Linear" and not together and not first.options["said"]:
            raise refusal(first.name,
                          f"a Linear right before {second.name}: there is a function between them, and a state_dict does not say which",
                          f'say it with layers="{first.name}=Linear:relu" (--layers), or Linear:none')
