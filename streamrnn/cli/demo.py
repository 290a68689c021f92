"""streamrnn demo: a model over a thousand simulated sensors, with rate and latency as they are measured.

A tick is one `engine.step_many`: one sample of every stream. Samples are made ahead of time, so making them costs no
tick; between ticks, one stream by itself is stepped with `stream.step`. Both are timed as a Python caller sees them.
"""
import argparse
import math
import sys
import time

INPUTS, UNITS = 8, 64
BLOCK_VALUES = 1 << 22      # sensor values made ahead: 16 MB
REFRESH = 0.25              # seconds of ticks between two looks at the table
ALONE = 2_000               # steps of one stream by itself, once a refresh


def whole(text):
    """An argument that is a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of 1 or more, got {text!r}")
    return int(text)


def seconds(text):
    """An argument that is a time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, got {text!r}")
    return value


def options(parser):
    parser.add_argument("--seconds", type=seconds, default=8.0, help="how long to stream (default 8)")
    parser.add_argument("--streams", type=whole, default=1000, help="simulated sensors, a stream each (default 1000)")
    parser.add_argument("--threads", type=whole, default=1, help="threads that share a tick (default 1)")


def run(chosen):
    from rich.console import Console

    from streamrnn.cli import warmup

    console = Console(highlight=False)
    if warmup.cache_is_cold():
        console.print("The first run compiles for about half a minute; later ones start at once.")
    warmup.compile_all(console)

    from streamrnn import LSTM, Dense, Engine, Model

    model = Model(inputs=INPUTS, layers=[LSTM(UNITS), Dense(1)], seed=0)
    engine = Engine(model, capacity=chosen.streams, threads=chosen.threads)
    group = engine.group([f"sensor-{n}" for n in range(chosen.streams)])
    watch = Watch(engine, chosen)
    show = _live if console.is_terminal else _lines
    try:
        show(console, watch, _stream(engine, group, sensors(chosen.streams), watch))
    except KeyboardInterrupt:
        console.print("stopped early")
    console.print(watch.summary(), soft_wrap=True)
    return 0


def sensors(streams):
    """Blocks of samples (ticks, streams, inputs): a sine, a drift and noise for each sensor."""
    import numpy as np

    rng = np.random.default_rng(0)
    ticks = max(1, min(512, BLOCK_VALUES // (streams * INPUTS)))
    shape = streams, INPUTS
    period, phase, drift = rng.uniform(20, 200, shape), rng.uniform(0, 2 * np.pi, shape), rng.normal(0, 0.5, shape)
    x = np.empty((ticks, *shape), np.float32)
    for t in range(ticks):
        x[t] = np.sin(2 * np.pi * t / period + phase) + drift * t / ticks + rng.normal(0, 0.1, shape)
    return x


def _stream(engine, group, x, watch):
    """Ticks until the time is over; gives way after every REFRESH seconds of them."""
    clock, step_many, alone = time.perf_counter_ns, engine.step_many, engine.model.stream().step
    step_many(group, x[0])  # the first touch of memory is no tick
    tick = 0
    watch.start()
    while not watch.over():
        ticks, until = [], clock() + int(REFRESH * 1e9)
        while clock() < until and not watch.over():
            tick += 1
            sample, began = x[tick % len(x)], clock()
            step_many(group, sample)
            ticks.append(clock() - began)
        watch.ticks.add(ticks)
        singles = []
        for sample in (x[n % len(x), 0] for n in range(ALONE)):
            began = clock()
            alone(sample)
            singles.append(clock() - began)
        watch.singles.add(singles)
        yield


class Latencies:
    """Any number of durations in constant memory: counts in bins that are 1 % wide."""

    def __init__(self):
        self.counts, self.number, self.sum = {}, 0, 0

    def add(self, durations):
        for ns in durations:
            bin = int(math.log(ns or 1) * 100)
            self.counts[bin] = self.counts.get(bin, 0) + 1
        self.number += len(durations)
        self.sum += sum(durations)

    def percentile(self, share):
        """In ns, the middle of its bin."""
        left = share / 100 * self.number
        for bin in sorted(self.counts):
            left -= self.counts[bin]
            if left <= 0:
                return math.exp((bin + 0.5) / 100)
        return math.nan


class Watch:
    """What has been measured so far, and how it reads."""

    def __init__(self, engine, chosen):
        self.engine, self.model, self.streams, self.threads, self.seconds = (
            engine, engine.model, chosen.streams, chosen.threads, chosen.seconds)
        self.ticks, self.singles = Latencies(), Latencies()
        self._began = time.perf_counter()

    def start(self):
        self._began = time.perf_counter()

    @property
    def elapsed(self):
        return min(time.perf_counter() - self._began, self.seconds)

    def over(self):
        return time.perf_counter() - self._began >= self.seconds

    @property
    def samples(self):
        return self.ticks.number * self.streams

    @property
    def rate(self):
        """Samples a second of the time spent in ticks."""
        return self.samples / self.ticks.sum * 1e9 if self.ticks.sum else 0.0

    def rows(self):
        """(what, value, remark)"""
        model, ticks, singles = self.model, self.ticks, self.singles
        layers = ", ".join(map(repr, model.layers)).replace("units=", "").replace(", activation=None", "")
        yield "model", layers, f"{INPUTS} inputs, {model.parameters:,} parameters"
        yield "streams", f"{len(self.engine):,} open", f"{model.row_bytes} bytes of state each"
        if ticks.number:
            yield "throughput", f"{self.rate:,.0f} samples/s", f"{1e9 / self.rate:,.0f} ns a sample, {counted(self.threads, 'thread')}"
            yield f"tick of {self.streams:,}", *_latency(ticks)
            yield "one stream.step", *_latency(singles)
        resident = _resident()
        state = f"{len(self.engine) * model.row_bytes / 1e6:,.2f} MB of state"
        yield "memory", state, f"{resident / 1e6:,.0f} MB process" if resident else ""

    def line(self):
        return (f"{self.elapsed:5.1f} s  {self.rate:>12,.0f} samples/s  tick p50 {_us(self.ticks, 50)} p99 {_us(self.ticks, 99)}"
                f"  step p50 {_us(self.singles, 50)} p99 {_us(self.singles, 99)}")

    def summary(self):
        if not self.ticks.number:
            return "nothing was measured"
        return (f"{self.samples:,} samples of {counted(self.streams, 'stream')} in {self.elapsed:.1f} s: "
                f"{1e9 / self.rate:,.0f} ns a sample.\n"
                f"{self.rate:,.0f} samples/s. A tick took {_us(self.ticks, 50)} (p99 {_us(self.ticks, 99)}),\n"
                f"a single stream.step {_us(self.singles, 50)} (p99 {_us(self.singles, 99)}).")


def counted(number, noun):
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _us(latencies, share):
    us = latencies.percentile(share) / 1e3
    return f"{us:,.0f} us" if us >= 100 else f"{us:.2f} us"


def _latency(latencies):
    return f"p50 {_us(latencies, 50)}", f"p99 {_us(latencies, 99)}"


def _resident():
    """Bytes of memory that the process holds, or None where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        import resource
        return pages * resource.getpagesize()
    except (OSError, ImportError):
        return None


def _live(console, watch, rounds):
    from rich.live import Live

    with Live(_panel(watch), console=console, auto_refresh=False) as live:
        for _ in rounds:
            live.update(_panel(watch), refresh=True)


def _panel(watch):
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column(style="bold")
    table.add_column()
    for row in watch.rows():
        table.add_row(*row)
    bar = Table.grid(padding=(0, 3))
    bar.add_row(ProgressBar(total=watch.seconds, completed=watch.elapsed, width=52), f"{watch.elapsed:.1f} of {watch.seconds:g} s")
    return Panel(Group(table, "", bar), title="streamrnn demo", title_align="left", box=box.ROUNDED, padding=(1, 2), width=80)


def _lines(console, watch, rounds):
    """For a log or a pipe: a few lines, one about every quarter of the time."""
    for name, value, remark in watch.rows():
        print(f"{name:<8} {value}, {remark}".rstrip(", "))
    shown = 0
    for _ in rounds:
        if watch.elapsed >= (shown + 1) * watch.seconds / 4:
            shown = int(watch.elapsed * 4 / watch.seconds)
            print(watch.line())
            sys.stdout.flush()
