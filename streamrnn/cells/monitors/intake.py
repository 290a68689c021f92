"""Intake: the sample becomes a board. Readings are scaled, missing ones filled in with what was expected, sensors that froze or
went silent are noticed, and the clock says how many rows were left out.

A sample is the sensors' readings, NaN where one is missing, and with a `clock` two more numbers: the seconds since Monday 00:00
UTC and the fraction of a second; NaN if nobody told.
state: last reading, forecast in standard units, rows frozen, rows gone, mean, variance (each for every sensor), then
[begun, seconds, fraction, age, rows since it came back].
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, fill, signal, signals, tell, vector, width
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import LANES, at, choose, fma, get, larger, load, put, root, smaller, splat, store
from streamrnn.sums import total

LAST, FORECAST, FROZEN, GONE, MEAN, VARIANCE, COUNTERS = range(7)  # of the state
CENTRE, UNIT, FACTOR, FROZEN_LIMIT, GONE_LIMIT, MASK, SETTINGS = range(7)  # of the weights; limits are 1 / rows, 0: none
PERIOD, HORIZON = range(2)       # of the settings; HORIZON 0: fixed units
BEGUN, SECONDS, FRACTION, AGES, CALM = range(5)  # CALM: rows since the stream began or came back
CLIP = np.float32(20)            # standard deviations: what lies beyond tells no more
WEEK, HOUR = np.float32(604_800), np.float32(3600)
NOTHING = np.float32(-3e38)      # what a NaN becomes when compared
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
ABOVE = np.float32(1 + 2 ** -23)  # 41 (1 / 41) is below 1 in float32, and the 41st row would not count
TINY, BIG = np.float32(1e-30), np.float32(3e38)
MOST = np.float32(1e18)          # what lies beyond counts as this much: its square is still a number
YOUNG, OLD = np.float32(B.YOUNG), np.float32(B.OLD)
LONG = np.float32(10)            # rows left out after which the last ones say little about the next


@inline
def clock(settings, counters, x, board, n, timed):
    """Where in the week we are, and how many rows have passed."""
    period, gap, now = get(settings, PERIOD), ONE, np.float32(-1)
    if timed:
        seconds, fraction = get(x, n), get(x, n + 1)
        if seconds == seconds and fraction == fraction:
            if get(counters, AGES) > ZERO:
                passed = (seconds - get(counters, SECONDS)) + (fraction - get(counters, FRACTION))
                passed = passed + WEEK if passed < ZERO else passed
                if passed < WEEK - HOUR:  # else the clock was set back a little; by more, nothing is known, as after a long gap
                    gap = larger(ONE, passed / period)
        else:
            seconds, fraction = get(counters, SECONDS) + period, get(counters, FRACTION)
            seconds = seconds - WEEK if seconds >= WEEK else seconds
        put(counters, SECONDS, seconds)
        put(counters, FRACTION, fraction)
        now = seconds + fraction
    tell(board, n, B.GAP, gap)
    tell(board, n, B.CLOCK, now)


@apart
def intake(shape, weights, x, y, old, state):
    n, timed = shape[1], shape[0] > shape[1]
    wide = width(n)
    settings, counters = at(weights, SETTINGS * wide), at(state, COUNTERS * wide)
    fresh = ZERO
    if get(counters, BEGUN) == ZERO:
        for k in range(0, COUNTERS * wide + 16, LANES):
            store(state, k, load(at(settings, 16), k))
        fresh = ONE if get(counters, BEGUN) > ZERO else np.float32(2)
        put(counters, BEGUN, ONE)
    fill(signals(y, n), B.SIGNALS, ZERO)
    age, horizon = get(counters, AGES), get(settings, HORIZON)
    tell(y, n, B.FRESH, fresh)
    tell(y, n, B.AGE, age)
    clock(settings, counters, x, y, n, timed)
    calm = ZERO if signal(y, n, B.GAP) > LONG else get(counters, CALM)
    put(counters, CALM, smaller(calm + ONE, OLD))
    trust = smaller(ONE, (calm + ONE) / YOUNG) / root(signal(y, n, B.GAP))
    step = larger(ONE / (age + ONE), ONE / larger(horizon, ONE))
    for u in range(0, wide, LANES):
        reading, last = larger(load(x, u), NOTHING), load(at(state, LAST * wide), u)
        seen = choose(reading - HALF * NOTHING, load(at(weights, MASK * wide), u), ZERO)
        centre, unit = load(at(weights, CENTRE * wide), u), load(at(weights, UNIT * wide), u)
        factor = load(at(weights, FACTOR * wide), u)
        if horizon > ZERO:
            mean, variance = load(at(state, MEAN * wide), u), load(at(state, VARIANCE * wide), u)
            within = larger(smaller(reading, MOST), -MOST)
            never = load(at(state, GONE * wide), u) + HALF - age  # above 0 until a sensor has spoken
            mean = choose(seen * never, within, mean)
            off = choose(seen, within - mean, ZERO)
            centre, unit = mean, root(variance)
            factor = choose(unit - TINY, ONE / unit, ZERO)  # what never moved is where it belongs
            mean = fma(off, step, mean)
            store(at(state, MEAN * wide), u, mean)
            store(at(state, VARIANCE * wide), u, choose(seen, fma(fma(off, within - mean, -variance), step, variance), variance))
        expected = load(at(state, FORECAST * wide), u)
        scaled = choose(seen, larger(smaller((reading - centre) * factor, CLIP), -CLIP), expected)
        expected = choose(splat(fresh - ONE), scaled, expected)
        same = choose(seen * (ONE - larger(reading - last, last - reading) * BIG), load(at(state, FROZEN * wide), u) + ONE, ZERO)
        same = choose(splat(fresh - ONE), ZERO, smaller(same, OLD))
        gone = choose(seen, ZERO, smaller(load(at(state, GONE * wide), u) + ONE, OLD))
        store(at(state, FROZEN * wide), u, same)
        store(at(state, GONE * wide), u, gone)
        store(at(state, LAST * wide), u, choose(seen, reading, last))
        store(vector(y, B.VALUE, n), u, choose(seen, reading, fma(expected, unit, centre)))
        store(vector(y, B.SCALED, n), u, scaled)
        store(vector(y, B.SEEN, n), u, seen)
        store(vector(y, B.EXPECTED, n), u, expected)
        store(vector(y, B.CENTRE, n), u, centre)
        store(vector(y, B.UNIT, n), u, unit)
        store(vector(y, B.ERROR, n), u, (scaled - expected) * seen * trust)
        store(vector(y, B.BY_HEALTH, n), u, larger(same * load(at(weights, FROZEN_LIMIT * wide), u),
                                                   gone * load(at(weights, GONE_LIMIT * wide), u)))
    worst = ZERO
    for k in range(n):
        worst = larger(get(vector(y, B.BY_HEALTH, n), k), worst)
    tell(y, n, B.HEALTH, worst)
    tell(y, n, B.MISSING, ONE - total(vector(y, B.SEEN, n), n) / np.float32(n))
    put(counters, AGES, smaller(age + ONE, OLD))


STAGE = Rowwise(intake, apart=True, padded=True)


@dataclass(frozen=True)
class Intake(Monitor):
    """The first layer of a detector: `sensors` by name, rows every `period` seconds, and whether samples bring a clock."""
    kind: ClassVar[str] = "intake"
    sensors: tuple[str, ...]
    period: float = 1.0
    clock: bool = False

    def __post_init__(self):
        sensors = tuple(self.sensors)
        object.__setattr__(self, "sensors", sensors)
        if not sensors or not all(isinstance(name, str) and name for name in sensors) or len(set(sensors)) < len(sensors):
            raise ConfigError(f"Intake: sensors must be one or more different names, got {self.sensors!r}")
        if isinstance(self.period, bool) or not isinstance(self.period, (int, float)) or not 0 < self.period < float("inf"):
            raise ConfigError(f"Intake: period must be seconds above 0, got {self.period!r}")

    def config(self):
        return super().config() | {"sensors": list(self.sensors)}

    def outputs(self, inputs):
        if inputs != len(self.sensors) + 2 * self.clock:
            raise ConfigError(f"Intake: {len(self.sensors)} sensors{' and a clock' * self.clock} are "
                              f"{len(self.sensors) + 2 * self.clock} inputs, the model has {inputs}")
        return len(self.sensors)

    def kept(self, inputs):
        return COUNTERS * B.padded(len(self.sensors)) + 16

    def settings(self, inputs):
        one = (len(self.sensors),)
        return {"centre": one, "unit": one, "frozen": one, "gone": one, "horizon": (1,)}

    def initial(self, inputs, rng, scheme):
        return super().initial(inputs, rng, scheme) | {"unit": np.ones(len(self.sensors), np.float32)}

    def emit(self, plan, source, inputs):
        sensors = self.outputs(inputs)
        board = plan.work(B.size(sensors))
        state = plan.state("state", self.kept(inputs))
        plan.memory, plan.sensors, plan.timed = state, self.sensors, self.clock
        plan.gaps()
        plan.rowwise(STAGE, source, inputs, board, sensors, state=state, weights=self.pack)
        return board

    def pack(self, tensors):
        unit = tensors["unit"]
        frozen, gone = (B.inverse(tensors[name]) * ABOVE for name in ("frozen", "gone"))
        return B.packed(tensors["centre"], unit, B.inverse(unit), frozen, gone, np.ones_like(unit),
                        [self.period, tensors["horizon"][0]], tensors["start"])


STAGES, LAYERS = (STAGE,), (Intake,)
