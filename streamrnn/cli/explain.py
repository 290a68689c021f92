"""streamrnn explain: where a model's output at one row comes from, what its gates do, and its states in two dimensions."""
import argparse
import json

from streamrnn.cli.arguments import counted, whole
from streamrnn.cli.console import drawable, grid, plain_console, writable

MEASURES = "deviation", "input", "gradient"
PLENTY = 20     # columns of a table that an error lists


def row_number(text):
    """An argument that is a row's number, from 0, or from the end: -1."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a row's number, 0 for the first or -1 for the last, got {text!r}") from None


ASKED = {
    "--output": {"default": "0", "metavar": "N", "help": "a column of the result by number, a head by name, or one of its columns, "
                                                         "mean[0] (default 0)"},
    "--at": {"type": row_number, "default": -1, "metavar": "STEP",
             "help": "the row whose result is explained, counted from 0 (default: the last)"},
    "--columns": {"metavar": "A,B", "help": "the model's inputs, in the order of its training (default: all that hold numbers)"},
    "--by": {"metavar": "COLUMN", "help": "a column with each row's stream: each starts afresh"},
    "--stream": {"metavar": "ID", "help": "with --by, the stream that is explained (default: the first)"},
    "--fill": {"choices": ("previous", "zero"), "help": "what to put for missing values, which are refused otherwise"},
    "--measure": {"choices": MEASURES, "help": "what inputs are compared by: the gradient times a standard deviation of the column, times "
                                               "the input itself, or alone (default deviation, for tokens input)"},
}
SHOWN = {
    "--plot": {"metavar": "FILE", "help": "draw all of it (needs streamrnn[plot])"},
    "--json": {"metavar": "FILE", "help": "write the numbers as JSON"},
    "--count": {"type": whole, "default": 8, "metavar": "N", "help": "inputs that are named (default 8)"},
    "--steps": {"type": whole, "metavar": "N", "help": "rows that are drawn, the explained one last (default: those with 99 %% of it)"},
    "--layer": {"metavar": "NAME", "help": "whose gates and states, such as layers.0 (default: the last recurrent one)"},
    "--units": {"type": whole, "default": 6, "metavar": "N", "help": "units whose gates are drawn, those that vary most (default 6)"},
    "--colour": {"default": "time", "metavar": "NAME", "help": "of the states: time, an input column or an output (default: both time and "
                                                               "the output)"},
}


def options(parser):
    parser.add_argument("model", help="a model's file")
    parser.add_argument("table", help="rows that went in: .csv, .npy or .parquet; for a model with a vocabulary also a .txt")
    for title, group in (("what is asked", ASKED), ("what is shown", SHOWN)):
        shown = parser.add_argument_group(title)
        for flag, details in group.items():
            shown.add_argument(flag, **details)


def run(chosen):
    from streamrnn.cli import warmup
    from streamrnn.explain.saliency import chosen_output, saliency

    console = plain_console()
    for path in (chosen.plot, chosen.json):
        writable(path)
    drawable(chosen.plot)
    model = opened(chosen.model)
    columns, sequences, number = read(chosen, model)
    x = sequences[number]
    modules = (*warmup.SERVING, "streamrnn.kernels.unroll")
    if warmup.cache_is_cold(modules):
        console.print("The first run compiles for about a minute; later ones start at once.")
    warmup.compile_all(console, modules)

    found = saliency(model, x, chosen.output, chosen.at, columns)
    inside, plane = within(chosen, model, x, sequences, columns)
    console.print(heading(chosen, found, len(x)))
    console.print(moments_table(found, chosen, pieces(model)))
    console.print(grid(summary(found, chosen, plane)))
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(as_json(chosen, found, inside, plane), file, indent=1)
            file.write("\n")
    if chosen.plot:
        from streamrnn.explain.picture import draw
        results = model.run(x)[:, chosen_output(model, found.output)[1][0]] if found.signed else None
        draw(found, inside, plane, layer=chosen.layer, results=results, steps=chosen.steps, units=chosen.units, colour=chosen.colour,
             by=chosen.measure, tokens=pieces(model), sequence=number, path=chosen.plot)
        console.print(f"drew {chosen.plot}")
    return 0


def opened(path):
    from streamrnn.errors import ConfigError
    from streamrnn.model.model import load

    model = load(path)
    if model.packed.plan.report:
        raise ConfigError(f"{path} holds a detector, whose parts have no derivative; it says itself which sensors are to blame: "
                          f"streamrnn detect {path} today.csv --plot report.png")
    return model


def read(chosen, model):
    """(names of the inputs, sequences [(T, inputs)], the number of the one that is explained)"""
    import numpy as np

    from streamrnn.cli import examples, groups
    from streamrnn.data import tables
    from streamrnn.errors import ConfigError, InputError

    path, asked = chosen.table, examples.names(chosen.columns) or None
    if chosen.stream and not chosen.by:
        raise ConfigError("--stream says which stream of --by COLUMN is explained: name the column, too")
    if path.lower().endswith(".txt"):
        return ["token"], [text(path, model)], 0
    try:
        table, keys = groups.read(path, asked, chosen.by) if chosen.by else (tables.read(path, asked), None)
    except InputError as error:
        raise InputError(str(error).replace("columns=[...]", "--columns a,b")) from None
    if len(table.names) != model.inputs:
        some = ", ".join(table.names[:PLENTY]) + (", ..." if len(table.names) > PLENTY else "")
        raise InputError(f"{path}: the model takes {counted(model.inputs, 'input')}, {'--columns names' if asked else 'the table has'} "
                         f"{len(table.names)}: {some}. Name its inputs in the order of its training: --columns a,b,...")
    values, missing = table.values, np.isnan(table.values)
    examples._refuse(path, list(table.names), values, missing, chosen.fill, [])
    parts = [np.arange(len(values))] if keys is None else groups.parts(keys)
    ids = [] if keys is None else [str(keys[rows[0]]) for rows in parts]
    if chosen.stream and chosen.stream not in ids:
        raise InputError(f"{path}: no row has {chosen.stream!r} in {chosen.by!r}: there are {', '.join(ids[:PLENTY])}")
    if missing.any():
        parts = examples._fill(chosen.fill, values, missing, parts)
    number = ids.index(chosen.stream) if chosen.stream else 0
    if not len(parts[number]):
        raise InputError(f"{path}: no row is left, for a column has no value at all: --fill zero, or other --columns")
    used = [k for k, rows in enumerate(parts) if len(rows)]
    return list(table.names), [values[parts[k]] for k in used], used.index(number)


def text(path, model):
    """The tokens of a text, (T, 1)."""
    from streamrnn.errors import ConfigError, FileError, InputError

    if model.tokens is None or model.inputs != 1:
        raise ConfigError(f"{path} is text, and the model has no vocabulary for it (Model(..., tokens=...)): hand in a table of its inputs")
    try:
        with open(path, encoding="utf-8") as file:
            tokens = model.tokens.encode(file.read())
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not text in UTF-8 ({error}): save it in this encoding") from None
    if not len(tokens):
        raise InputError(f"{path} holds nothing that the model has tokens for")
    return tokens[:, None].astype("float32")


def within(chosen, model, x, sequences, columns):
    """(Activations of x, Projection of all sequences), (None, None) of a model without recurrent layers, no Projection of attention."""
    from streamrnn.errors import ConfigError
    from streamrnn.explain.activations import ATTENTION, activations, found_layer
    from streamrnn.explain.projection import projection

    if not model.packed.plan.segments:
        if chosen.layer:
            raise ConfigError(f"--layer {chosen.layer}: the model has no recurrent layer")
        return None, None
    inside = activations(model, x)
    moving = [name for name in inside if inside.kinds[name] != ATTENTION]
    if not moving or (chosen.layer and found_layer(inside.layers, chosen.layer) not in moving):
        return inside, None  # attention has a window, no state that moves in a plane
    plane = projection(model, sequences, chosen.layer, columns)
    plane.colours(chosen.colour)  # refuses a name that is not there
    return inside, plane


def pieces(model):
    """A token as text, or None where numbers are numbers."""
    if model.tokens is None:
        return None
    show = {"": "(padding)", " ": "\u2423", "\n": "\u21b5", "\t": "\u21e5"}
    return lambda token: show.get(piece := model.tokens.vocabulary[int(token)], piece)


# -- what is printed and written ---------------------------------------------------------------------------------------

def heading(chosen, found, rows):
    stream = f" of stream {chosen.stream}" if chosen.stream else " of the first stream" if chosen.by else ""
    return f"{found.output} at row {found.at}{stream} (of {counted(rows, 'row')}, from 0) is {found.value_in_words()}. It comes from:"


def moments_table(found, chosen, tokens):
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    effect = {"deviation": "for +1 deviation", "input": "adds", "gradient": "gradient"}[chosen.measure or found.measure]
    for name in ("share", "input", "rows back", "row", "reads", effect):
        shown.add_column(name, justify="left" if name == "input" else "right", no_wrap=name == "input")
    for one in found.strongest(chosen.count, by=chosen.measure):
        reads = tokens(one.value) if tokens and found.embedded is not None else f"{one.value:.4g}"
        shown.add_row(f"{100 * one.share:.0f} %", one.column, f"{one.back:,}", str(one.step), reads,
                      f"{one.strength:{'+' if found.signed else ''}.3g}")
    return shown


def summary(found, chosen, plane):
    shares = list(found.shares(chosen.measure).items())
    more = f", {counted(len(shares) - 6, 'other')}" if len(shares) > 6 else ""
    yield "by column", ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares[:6]) + more
    yield "reach", f"99 % of it lies in the last {counted(found.reach(by=chosen.measure) + 1, 'row')}"
    if plane:
        yield "states", (f"{plane.layer} ({plane.kind}): two dimensions hold {100 * plane.explained.sum():.0f} % of the variance of its "
                         f"{counted(plane.axes.shape[1], 'unit')}")


def as_json(chosen, found, inside, plane):
    """Rows of `gradient` and `times_input` are those of the table up to the explained one, from `first` on."""
    from streamrnn.explain.picture import span

    first = found.at + 1 - span(found, chosen.steps, chosen.measure)
    rows = slice(first, found.at + 1)
    told = {"model": chosen.model, "table": chosen.table, "output": found.output, "at": found.at, "value": found.value.tolist(),
            "measure": chosen.measure or found.measure, "columns": list(found.columns), "share": found.shares(chosen.measure),
            "reach": found.reach(by=chosen.measure),
            "strongest": [vars(one) for one in found.strongest(chosen.count, by=chosen.measure)],
            "first": first, "gradient": found.gradient[rows].tolist(), "times_input": found.times_input[rows].tolist()}
    if inside:
        told["gates"] = {layer: {name: {"mean": float(values.mean()), "least": float(values.min()), "most": float(values.max())}
                                 for name, values in parts.items()} for layer, parts in inside.layers.items()}
    if plane:
        told["states"] = {"layer": plane.layer, "explained": plane.explained.tolist(), "points": [part.tolist() for part in plane.points]}
    return told
