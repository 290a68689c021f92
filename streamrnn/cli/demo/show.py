"""The demo from its seed to its picture: draw, learn, serve and watch, report."""
import secrets
import time

from streamrnn.cli.arguments import counted
from streamrnn.cli.demo import picture, plan, report, view
from streamrnn.cli.demo.live import PRODUCERS, Live
from streamrnn.cli.demo.tally import Tally
from streamrnn.detect import plant

LASTS = 30.0   # seconds of the live view, if no --speed is given


def show(chosen, console):
    _compile(console)
    seed = secrets.randbelow(100_000) if chosen.seed is None else chosen.seed
    console.print(f"[bold]seed {seed}[/]: `streamrnn demo --seed {seed}` draws the same plant and the same faults again")

    chosen.folder.mkdir(parents=True, exist_ok=True)
    drawn = plan.drawn(seed, chosen.machines, chosen.hours)
    with console.status("simulating"):
        histories, rows = drawn.readings()
    console.print(f"simulated  {counted(drawn.machines, 'pumping station')} with {len(plant.SENSORS)} sensors, a row a minute; "
                  f"{counted(len(drawn.faults), 'fault')} hidden in the next {drawn.rows / 60:g} hours", soft_wrap=True)
    model = _learnt(histories, chosen.folder / "detector.safetensors", console)

    rate = chosen.speed / plant.PERIOD if chosen.speed else max(drawn.rows / LASTS, 1.0)
    tally = Tally(drawn.machines, drawn.rows, plant.SENSORS)
    with Live(model, drawn, rows, tally, rate) as live:
        console.print(f"served     over ZeroMQ; {min(PRODUCERS, drawn.machines)} producer processes stream all machines, "
                      f"up to {plant.PERIOD * rate:,.0f} times faster than the plant\n", soft_wrap=True)
        view.watched(console, live)
    outcome = report.told(console, drawn, tally)
    if not chosen.no_picture:
        picture.told(console, drawn, tally, rows, outcome, chosen.folder / "demo.png")
    return 0 if tally.whole else 1


def _compile(console):
    from streamrnn.cli import warmup

    modules = warmup.SERVING + warmup.BUS + warmup.TRAINING
    if warmup.cache_is_cold(modules):
        console.print("The first run compiles for some minutes; later ones start at once.")
        warmup.compile_all(console, modules)


def _learnt(histories, path, console):
    """A model that has learnt what is usual from the histories, by way of its file."""
    from streamrnn.detect.detector import Detector

    began = time.perf_counter()
    with console.status("learning what is usual"):
        detector = Detector.fit(list(histories), sensors=plant.SENSORS, period=plant.PERIOD, false_alarms="1/week", progress=False)
    detector.save(path)
    console.print(f"learnt     from {histories.shape[1] / 1440:g} days of clean running of {counted(len(histories), 'machine')} in "
                  f"{time.perf_counter() - began:.1f} s; saved as {path}", soft_wrap=True)
    return Detector.load(path).model
