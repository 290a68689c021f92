"""streamrnn detect: a table through a detector; what was strange in it, when and why."""
import csv
import json
import time

from streamrnn.cli.arguments import counted
from streamrnn.cli.console import drawable, plain_console, writable

NAMED = 3        # sensors of an event that the table names at most
WORTH = 0.1      # share of the blame from which it names one
MAKE = "make one from a table of normal running: streamrnn train normal.csv -o plant.safetensors"


def options(parser):
    parser.add_argument("model", help="a detector's file: `streamrnn train normal.csv -o plant.safetensors` makes one")
    parser.add_argument("table", help="what to look at: .csv, .npy or .parquet, with the detector's sensors as columns, in any order")
    parser.add_argument("--plot", metavar="FILE", help="draw score, alerts and blamed sensors (needs streamrnn[plot])")
    parser.add_argument("--events", metavar="FILE", help="write the events as JSON")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the verdict on every row as CSV")
    parser.add_argument("--quiet", action="store_true", help="print nothing")


def run(chosen):
    from streamrnn.cli import warmup
    from streamrnn.detect.findings import findings, iso

    console = plain_console()
    console.quiet = chosen.quiet
    for path in (chosen.plot, chosen.events, chosen.output):
        writable(path)
    drawable(chosen.plot)
    detector = opened(chosen.model)
    table = read(chosen.table, detector)
    for note in notes(detector, table):
        console.print(note)
    if warmup.cache_is_cold():
        console.print("The first run compiles for about a minute; later ones start at once.")
    warmup.compile_all(console)
    began = time.perf_counter()
    verdicts = detector.run(table.values, table.times if detector.timed else None)
    seconds = time.perf_counter() - began
    found, moments = findings(verdicts), None if table.times is None else iso(table.times)
    if found:
        console.print(events_table(found, moments))
    console.print(f"{counted(len(verdicts), 'row')}, {counted(len(found), 'alert')}, {1e6 * seconds / len(verdicts):.2f} us a row")
    if chosen.events:
        with open(chosen.events, "w", encoding="utf-8") as file:
            json.dump([as_json(one, moments) for one in found], file, indent=1)
            file.write("\n")
    if chosen.output:
        write(chosen.output, verdicts, moments)
    if chosen.plot:
        from streamrnn.detect.picture import draw
        draw(verdicts, found, table.times, chosen.plot)
    return 0


def opened(path):
    """The detector of a file, or how to make one."""
    from streamrnn.detect.detector import Detector
    from streamrnn.errors import ConfigError
    from streamrnn.model.model import load

    model = load(path)
    if not model.packed.plan.report:
        raise ConfigError(f"{path} holds a model that is no detector: {MAKE}")
    return Detector(model)


def read(path, detector):
    """The detector's sensors out of a table, in its order; other columns are left alone."""
    from streamrnn.detect import history
    from streamrnn.errors import InputError

    try:
        return history.take(path, columns=detector.sensors)
    except InputError as error:
        raise InputError(str(error).replace(", or name the columns to read: columns=[...]", "")) from None


def notes(detector, table):
    """What a user should know about the table before the verdicts."""
    if detector.timed and table.times is None:
        yield "The table has no column of times: time of day and gaps between rows are guessed."
    if table.times is not None and (table.times[1:] < table.times[:-1]).any():
        yield "The times of the table do not grow: rows are taken in the order they stand in."


# -- what is printed and written ---------------------------------------------------------------------------------------

def events_table(found, moments):
    """moments: of each row as text, or None: then rows are told by their number, from 0."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    clock = moments is not None
    minutes = clock and all(moment.endswith(":00Z") for one in found for moment in (moments[one.first], moments[one.last]))
    for heading, justify in (("start (UTC)" if clock else "first row", "left" if clock else "right"),
                             ("end" if clock else "last row", "left" if clock else "right"),
                             ("rows", "right"), ("cause", "left"), ("sensors", "left"), ("score", "right")):
        shown.add_column(heading, justify=justify, no_wrap=heading != "sensors")
    for one in found:
        start, end = str(one.first), str(one.last)
        if clock:
            start, end = (moments[k].removesuffix(":00Z" if minutes else "Z").replace("T", " ") for k in (one.first, one.last))
            end = end.split()[1] if end.split()[0] == start.split()[0] else end
        shown.add_row(start, end, f"{one.rows:,}", one.cause, named(one.blame), f"{one.score:.2f}")
    return shown


def named(blame):
    """The most blamed sensors of {sensor: share}, one a line."""
    most = [f"{name} {100 * share:.0f} %" for k, (name, share) in enumerate(blame.items()) if k == 0 or share >= WORTH]
    return "\n".join(most[:NAMED])


def as_json(one, moments):
    return {"first": one.first, "last": one.last,
            **({"start": moments[one.first], "end": moments[one.last]} if moments else {}),
            "cause": one.cause, "score": round(one.score, 4),
            "blame": {name: round(share, 4) for name, share in one.blame.items()}, "explain": one.explain}


def write(path, verdicts, moments):
    """A row for each row of the table."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        parts = ("expected", "low", "high", "blame")
        writer.writerow(["row" if moments is None else "time", "score", "alert", "cause",
                         *(f"{name} {part}" for name in verdicts.sensors for part in parts)])
        expected, spread = verdicts.expected, verdicts.spread
        numbers = (verdicts.score, verdicts.alert, verdicts.cause, expected, expected - spread, expected + spread, verdicts.blame)
        for k, (score, alert, cause, *values) in enumerate(zip(*numbers, strict=True)):
            writer.writerow([k if moments is None else moments[k], f"{score:.6g}", int(alert), cause,
                             *(f"{value:.7g}" for of_sensor in zip(*(v.tolist() for v in values), strict=True) for value in of_sensor)])
