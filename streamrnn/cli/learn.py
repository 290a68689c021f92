"""streamrnn train without a target: a detector learns what is usual for the sensors of a table."""
from streamrnn.cli.arguments import counted
from streamrnn.cli.console import compiled, grid
from streamrnn.cli.training_options import DATA, DETECTING, LEARNING, OWN

TOLD = "--target", "--inputs", "--ahead", "--group"   # one of these, and no --task: a forecast
SHARED = "--task", "--inputs", "--layers", "--seed"   # what a detector takes beside options of its own
FALSE_ALARMS = "1/week"


def given(chosen, flags):
    """Those of {flag: details} that are not left at their default."""
    return [flag for flag, details in flags.items()
            if getattr(chosen, flag[2:].replace("-", "_")) not in (details.get("default"), False if "action" in details else None)]


def wanted(chosen):
    """Is it a detector that is asked for? Refuses options that do not go together."""
    from streamrnn.errors import ConfigError

    told = [flag for flag in given(chosen, DATA) if flag in TOLD]
    own = [f"--{'' if chosen.memory or flag != '--memory' else 'no-'}{flag[2:]}" for flag in DETECTING
           if getattr(chosen, flag[2:].replace("-", "_")) is not None]
    if chosen.task == "detect" or not (chosen.task or told):
        foreign = [flag for flag in given(chosen, {**DATA, **LEARNING, **OWN}) if flag not in SHARED]
        if foreign:
            why = "" if chosen.task else ", and without --task, --target, --inputs, --ahead or --group a detector is what is fitted"
            raise ConfigError(f"a detector takes no {', '.join(foreign)}{why}. Leave it out, or ask for a model with --task forecast")
        return True
    if own:
        why = f"--task {chosen.task}" if chosen.task else f"{', '.join(told)} without --task"
        raise ConfigError(f"{', '.join(own)} is for a detector, {why} is a model: add --task detect, or leave it out")
    return False


def run(chosen, console):
    from streamrnn.cli import examples, recipe
    from streamrnn.detect import history as histories
    from streamrnn.detect.detector import Detector
    from streamrnn.detect.limits import rows_per_alarm, seconds_of
    from streamrnn.errors import InputError

    layers = chosen.layers and ([] if chosen.layers == "none" else [recipe.layer(word.strip()) for word in chosen.layers.split(",")])
    period = None if chosen.period is None else seconds_of(_number(chosen.period))
    false_alarms = chosen.false_alarms or FALSE_ALARMS
    rows_per_alarm(false_alarms, period or 1.0)  # what is no rate is refused before the table is read
    try:
        history = histories.take(chosen.data, columns=examples.names(chosen.inputs) or None)
    except InputError as error:
        raise InputError(str(error).replace("columns=[...]", "--task detect --inputs a,b")) from None
    console.print(grid(about(chosen, history)))
    compiled(console)
    named = {"sensors": history.names, "times": history.times}
    detector = Detector.fit(history.values, **named, period=period, false_alarms=false_alarms, layers=layers, seed=chosen.seed,
                            memory="auto" if chosen.memory is None else chosen.memory)
    detector.save(chosen.output)
    console.print(grid(learnt(chosen, detector, rows_per_alarm(false_alarms, detector.period), history)))
    console.print(f"saved {chosen.output}\n\n  streamrnn detect {chosen.output} today.csv\n  streamrnn serve {chosen.output}",
                  soft_wrap=True)
    return 0


def _number(text):
    """Seconds as a number, or the text with its unit."""
    try:
        return float(text)
    except ValueError:
        return text


# -- what is printed ---------------------------------------------------------------------------------------------------

def about(chosen, history):
    """(what, in words) of the history."""
    from streamrnn.detect.findings import iso

    yield "data", f"{chosen.data}: {counted(len(history.values), 'row')} of {counted(len(history.names), 'sensor')}"
    if history.times is not None:
        first, last = iso(history.times[[0, -1]])
        yield "", f"from {first} to {last}"
    yield "sensors", ", ".join(history.names)


def learnt(chosen, detector, rows, history):
    """(what, in words) of the detector."""
    whence = "as told" if chosen.period else "the usual step of the times" if detector.timed else "nobody told: there is no column of times"
    yield "period", f"{detector.period:g} s ({whence})"
    yield "clock", clock(detector)
    limits, level = (part(detector, kind, name) for kind, name in (("surprise", "limits"), ("level", "limit")))
    yield "limits", f"surprise {limits[0]:.3g}, level {level[0]:.3g}: about one false alarm in {rows:,.0f} rows"
    yield "memory", memory(detector, chosen, len(history.values))
    yield "net", net(detector)


def clock(detector):
    return "rows come with their times: gaps are known" if detector.timed else "none: rows follow each other at the period"


def part(detector, kind, name):
    """A tensor of the first part of a kind; None if there is no such part."""
    return next((detector.model.tensors[f"layers.{k}.{name}"] for k, layer in enumerate(detector.model.layers) if layer.kind == kind), None)


def memory(detector, chosen=None, rows=0):
    from streamrnn.detect.build import PATTERN_ROWS

    kept = next((layer for layer in detector.model.layers if layer.kind == "echo"), None)
    if kept is not None:
        return f"{counted(kept.rows, 'row')} of the history are kept, to compare patterns with"
    if chosen is None or chosen.memory is False:
        return "no patterns are kept"
    return "no patterns are kept: " + ("the history does not repeat itself" if rows >= PATTERN_ROWS else f"that takes {PATTERN_ROWS} rows")


def net(detector):
    """The net's layers and how much of a forecast is its own; the rest is the autoregression's."""
    layers = next((layer.layers for layer in detector.model.layers if layer.kind == "forecast"), ())
    if not layers:
        return "none: the autoregression forecasts alone"
    share = float(part(detector, "forecast", "share").mean())
    return f"{', '.join(map(repr, layers[:-1]))}: {100 * share / (1 + share):.0f} % of a forecast, the rest is the autoregression's"
