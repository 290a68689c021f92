"""A simulated pumping station: eight sensors on a pump that lifts water into a town's network, with faults on request.

It stands in for plant data, which is rarely public, wherever an anomaly detector needs signals whose truth is known.
One row of readings is one step of this model, in bar, m3/h, kW, A and degrees C:

    demand      a weekly rhythm (two daily peaks, later and lower at weekends) times two mean-reverting random walks,
                hours and minutes long. They revert, so that the process is stationary from one week to the next.
    speed       n, set by the drive from the demand: n = 0.8 + 0.2 demand / peak.
    suction     inlet = tank - ks Q^2, where the tank sinks while demand is high.
    pump        outlet - inlet = h0 n^2 - a Q^2, the affinity laws on a quadratic pump curve.
    network     delivered = Kv x sqrt(outlet - back), x the valve's opening. A leak is a second opening, kl, beside it
                and downstream of the flow meter, so Q = (Kv x + kl) sqrt(outlet - back). It drains against the same back
                pressure as the network, which leaves Q in closed form:
                    Q^2 = C^2 (tank + h0 n^2 - back) / (1 + (a + ks) C^2),  C = Kv x + kl
    control     the valve moves, no faster than its actuator, until the delivered flow meets the demand. The loop
                watches the delivery and not the flow meter, so a leak is pumped on top of the demand.
    motor       shaft power = Q (outlet - inlet) / (36 efficiency) + bearing friction; the efficiency falls off to both
                sides of the best flow. The current is the active part and the magnetising part at right angles.
    vibration   imbalance, which grows as n^2, flow away from the best flow, bearing wear, and harmless short bursts
                (debris, a passing lorry) that a detector has to live with.
    bearing     first-order lag, about 40 minutes, towards room temperature + friction heat.
    fluid       first-order lag, about 3 hours, towards a source that follows the weather a little + the pump's losses
                carried off by the flow.
    readings    calibration offset + noise, then quantisation.

The faults act on this model: wear on friction, efficiency and imbalance, a stuck valve on the opening, a leak on C.
Drift, dropout and freezing act on the instrument. A fault ends with its last row, as if repaired; the temperatures and
the valve take their own time to recover. The random draws never depend on the faults, so a run with a fault equals the
clean run up to the row where the fault starts, and a shorter run is the beginning of a longer one.
"""

from dataclasses import dataclass
from math import ceil, exp, sqrt

import numpy as np

SENSORS = ("inlet_pressure", "outlet_pressure", "flow", "motor_current",
           "vibration", "bearing_temperature", "fluid_temperature", "valve_position")
UNITS = ("bar", "bar", "m3/h", "A", "mm/s", "C", "C", "%")
PERIOD = 60.0
KINDS = ("bearing wear", "stuck valve", "leak", "sensor drift", "dropout", "frozen sensor")
SENSOR_KINDS = ("sensor drift", "dropout", "frozen sensor")
AFFECTED = {"bearing wear": ("vibration", "bearing_temperature", "motor_current"),
            "stuck valve": ("valve_position", "flow", "outlet_pressure"), "leak": ("outlet_pressure", "flow", "motor_current")}

NOISE = np.array([0.008, 0.02, 0.8, 0.25, 0.1, 0.08, 0.05, 0.15])
QUANTUM = np.array([0.005, 0.01, 0.1, 0.1, 0.01, 0.1, 0.05, 0.1])
# Calibration differs between instruments by about this much.
OFFSET = np.array([0.01, 0.02, 1.0, 0.3, 0.02, 0.3, 0.2, 0.3])
# What a drift of severity 1 has added by its end: some eight times the sensor's scatter between clean days.
DRIFT = np.array([0.15, 0.3, 45.0, 12.0, 0.9, 5.0, 1.5, 16.0])

# 1 January 2024, a Monday, 00:00 UTC.
MONDAY = 1704067200.0
HOUR = 3600.0
DAY = 24 * HOUR

PEAK_FLOW = 220.0
BACK_PRESSURE = 3.0
VALVE_COEFFICIENT = 172.0
LEAK_COEFFICIENT = 24.0
PUMP_LOSS = 3.3e-5
SUCTION_LOSS = 2e-6
# kW to A for three phases at 400 V and a power factor of 0.87.
AMPERES_PER_KW = 1000 / (sqrt(3) * 400 * 0.87)
MAGNETISING_CURRENT = 14.0
# kWh to warm a cubic metre of water by one degree.
WATER_HEAT = 1.163
ROOM = 18.0

# How long each kind usually lasts before someone repairs it, shortest and longest, in hours.
DURATION = {"bearing wear": (24, 48), "stuck valve": (3, 8), "leak": (8, 16), "sensor drift": (24, 48), "dropout": (1, 4),
            "frozen sensor": (4, 10)}
MIN_SLOT = 20
# Freezing shows in these by their level; in the others (hardly moving, or noisy) mostly by the lack of noise.
LIVELY = ("flow", "motor_current", "valve_position", "inlet_pressure", "bearing_temperature")


@dataclass(frozen=True)
class Fault:
    """`rows` rows from row `start` on. Severity 1 is plain to see; near 0 there is hardly anything.

    Below 1 a stuck valve creeps and a dropout loses that share of its rows; a frozen sensor is frozen at any severity.
    `sensor` is the instrument that drifts, drops out or freezes, flow if none is named; other kinds ignore it.
    """

    kind: str
    machine: int
    start: int
    rows: int
    severity: float = 1.0
    sensor: str = ""


@dataclass(frozen=True)
class _Machine:
    """What makes one pump differ from the next."""

    head: float
    efficiency: float
    best_flow: float
    imbalance: float
    bearing_heat: float
    thermal_mass: float
    demand: float
    offsets: np.ndarray


def affected(fault):
    """The sensors that show `fault`, the plainest first: what a detector ought to name."""
    return AFFECTED.get(fault.kind) or (fault.sensor or "flow",)


def simulate(rows, machine=0, seed=0, period=PERIOD, start=0.0, faults=()):
    """Readings (rows, 8) in float32, NaN where a sensor is silent, and times (rows,) in float64 seconds since the epoch.

    The first row is at Monday 00:00 UTC + `start` seconds. `faults` may hold those of other machines, which are
    ignored. The same arguments give the same bits.
    """
    faults = [fault for fault in faults if fault.machine == machine]
    _check(faults)
    times = MONDAY + start + period * np.arange(rows)
    pump = _machine(seed, machine)
    # One stream for each use, row by row, makes a shorter run the beginning of a longer one.
    walks = np.random.default_rng([seed, machine, 1]).standard_normal((rows, 4))
    noise = np.random.default_rng([seed, machine, 2]).standard_normal((rows, len(SENSORS)))
    chance = np.random.default_rng([seed, machine, 3]).random((rows, 3))

    wear, leak, grip = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for fault in faults:
        progress = np.arange(1, fault.rows + 1)[:max(rows - fault.start, 0)] / fault.rows
        span = slice(fault.start, fault.start + fault.rows)
        if fault.kind == "bearing wear":
            # Damage feeds on itself, so wear starts slower than it ends.
            wear[span] += fault.severity * progress**1.5
        elif fault.kind == "leak":
            # A crack opens over the first part and stays open.
            leak[span] += fault.severity * LEAK_COEFFICIENT * np.minimum(progress / 0.15, 1)
        elif fault.kind == "stuck valve":
            grip[span] = min(fault.severity, 1.0)

    share = rhythm(times) * (1 + _walk(walks[:, 0], 0.035, 5 * HOUR, period) + _walk(walks[:, 1], 0.012, 300, period))
    demand = PEAK_FLOW * pump.demand * share
    speed = 0.8 + 0.2 * share
    tank = 1.75 - 0.25 * _lag(share, 2 * HOUR, period) + _walk(walks[:, 3], 0.02, 4 * HOUR, period)
    lift = tank + pump.head * speed**2 - BACK_PRESSURE
    flow, opening = _valve_loop(demand, lift, leak, grip, period)

    inlet = tank - SUCTION_LOSS * flow**2
    rise = pump.head * speed**2 - PUMP_LOSS * flow**2
    # The best flow moves with the speed; what counts is how far the pump runs from it.
    away = flow / (speed * pump.best_flow) - 1
    efficiency = pump.efficiency * (1 - 0.35 * np.minimum(away**2, 1)) / (1 + 0.12 * wear)
    hydraulic = flow * rise / 36
    friction = (0.6 + 1.5 * wear) * speed**3
    shaft = hydraulic / efficiency + friction
    current = np.hypot(AMPERES_PER_KW * shaft, MAGNETISING_CURRENT)
    vibration = (pump.imbalance + 1.5 * wear) * speed**2 + 0.8 * away**2 + _bursts(chance, period)

    # Warmest in mid-afternoon, and the weather wanders from one day to the next.
    clock = 2 * np.pi * (times / DAY - 15 / 24)
    room = ROOM + 3 * np.cos(clock) + _walk(walks[:, 2], 0.6, 12 * HOUR, period)
    # Wear adds far less warmth than friction, because the oil carries most of it off.
    bearing = _lag(room + pump.bearing_heat * speed**3 * (1 + 0.4 * wear), 2400 * pump.thermal_mass, period)
    source = 14 + 0.3 * (room - ROOM)
    fluid = _lag(source + (shaft - hydraulic) / (WATER_HEAT * np.maximum(flow, 1)), 3 * HOUR * pump.thermal_mass, period)

    truth = np.column_stack([inlet, inlet + rise, flow, current, vibration, bearing, fluid, 100 * opening])
    return _read(truth + pump.offsets + NOISE * noise, faults, chance[:, 2]), times


def draw_faults(seed, machines, rows, count, settle, period=PERIOD, start=0.0):
    """`count` faults over `machines` machines in order of their start, all kinds in turn, none before row `settle`.

    No two overlap on one machine, and each leaves the machine time to recover. Give the `period` and `start` that
    `simulate` gets: a stuck valve or a frozen sensor shows only while demand moves, so they start when it is about to.
    Where there is little room they are shorter, and a stuck or frozen one harder to see.
    """
    if count == 0:
        return []
    each = ceil(count / machines)
    slot = (rows - settle) // each
    if slot < MIN_SLOT:
        raise ValueError(f"{count} faults on {machines} machines leave {slot} rows for each, fewer than {MIN_SLOT}")
    rng = np.random.default_rng([seed, 4])
    # Every fault has a slot of its own, which rules out overlap; the last fifth of a slot is for recovery.
    usable = int(0.8 * slot)
    faults = []
    for index, cell in enumerate(rng.permutation(machines * each)[:count]):
        kind = KINDS[index % len(KINDS)]
        machine, place = divmod(int(cell), each)
        length = max(min(int(rng.uniform(*DURATION[kind]) * HOUR / period), int(0.8 * usable)), 1)
        first = settle + place * slot
        starts = rng.integers(first, first + usable - length, size=16, endpoint=True)
        begin, severity = starts[0], float(rng.uniform(0.8, 1.2))
        choice = LIVELY if kind == "frozen sensor" else SENSORS
        sensor = choice[rng.integers(len(choice))] if kind in SENSOR_KINDS else ""
        if kind in ("stuck valve", "frozen sensor"):
            clock = MONDAY + start + period * starts
            begin = starts[np.argmax(np.abs(rhythm(clock + period * length) - rhythm(clock)))]
            # Below 1 a valve would only creep, and a sensor cannot be more or less frozen.
            severity = 1.0
        faults.append(Fault(kind, machine, int(begin), length, severity, sensor))
    return sorted(faults, key=lambda fault: (fault.start, fault.machine))


def rhythm(times):
    """Expected demand at `times`, as a share of the peak: the part of the model that repeats every week."""
    days = (np.asarray(times) - MONDAY) / DAY
    hour = 24 * (days % 1)
    workday = 0.38 + 0.52 * _bump(hour, 7.5, 2.2) + 0.22 * _bump(hour, 13, 3) + 0.45 * _bump(hour, 19, 2.5)
    weekend = 0.40 + 0.42 * _bump(hour, 10, 2.8) + 0.15 * _bump(hour, 14, 3) + 0.32 * _bump(hour, 19.5, 2.3)
    # The two meet within 1% of the peak at midnight, so switching at midnight leaves no visible step.
    return np.where(days % 7 >= 5, weekend, workday)


def _bump(hour, centre, width):
    """A bell around `centre` o'clock that wraps at midnight."""
    distance = (hour - centre + 12) % 24 - 12
    return np.exp(-0.5 * (distance / width)**2)


def _check(faults):
    for fault in faults:
        if fault.kind not in KINDS or fault.sensor not in ("", *SENSORS):
            raise ValueError(f"unknown kind or sensor in {fault}; see KINDS and SENSORS")
        if fault.start < 0 or fault.rows < 1 or not fault.severity >= 0:
            raise ValueError(f"a fault needs start >= 0, rows >= 1 and severity >= 0: {fault}")


def _machine(seed, machine):
    rng = np.random.default_rng([seed, machine, 0])
    # Pumps lose head and efficiency together as their clearances open.
    age = rng.uniform(0, 1)
    return _Machine(head=6.1 - 0.3 * age, efficiency=0.78 - 0.04 * age, best_flow=rng.uniform(165, 185),
                    imbalance=rng.uniform(1.5, 2.1), bearing_heat=rng.uniform(20, 25), thermal_mass=rng.uniform(0.8, 1.25),
                    demand=rng.uniform(0.93, 1.03), offsets=OFFSET * rng.uniform(-1, 1, len(SENSORS)))


def _lag(target, tau, period, first=None):
    """First-order response to `target`, exact for a target that is constant over each period."""
    keep = exp(-period / tau)
    state = first
    out = []
    # Python floats: stepping through a NumPy array element by element is several times slower.
    for value in target.tolist():
        state = value if state is None else value + keep * (state - value)
        out.append(state)
    return np.array(out)


def _walk(normals, scale, tau, period):
    """A random walk that reverts over `tau` seconds and keeps the standard deviation `scale` from the first row on."""
    keep = exp(-period / tau)
    pushes = normals * sqrt((1 + keep) / (1 - keep))
    return scale * _lag(pushes, tau, period, first=float(normals[0]) if len(normals) else None)


def _bursts(chance, period):
    """Two or three a day, each gone after some minutes."""
    hits = np.where(chance[:, 0] < 2.5 * period / DAY, 0.6 + 0.9 * chance[:, 1], 0.0)
    keep = exp(-period / 150)
    return _lag(hits / (1 - keep), 150, period, first=0.0)


def _valve_loop(demand, lift, leak, grip, period):
    """Total flow and valve opening, row by row: the only part of the model where each row needs the one before."""
    gain = 1 - exp(-period / 120)
    fastest, loss = 0.0006 * period, PUMP_LOSS + SUCTION_LOSS
    # The openings that would deliver the demand at once: the first is where a run begins without a transient.
    ideal = demand / (VALVE_COEFFICIENT * np.sqrt(lift - loss * demand**2))
    opening = float(ideal[0]) if len(ideal) else 0.0
    flows, openings = [], []
    for wanted, head, crack, held in zip(demand.tolist(), lift.tolist(), leak.tolist(), grip.tolist(), strict=True):
        conductance = VALVE_COEFFICIENT * opening + crack
        flow = conductance * sqrt(head / (1 + loss * conductance**2))
        flows.append(flow)
        openings.append(opening)
        delivered = flow * VALVE_COEFFICIENT * opening / conductance
        # Delivery is nearly proportional to the opening, so this is the fraction `gain` of the way to the demand.
        step = gain * opening * (wanted / delivered - 1)
        step = max(-fastest, min(fastest, step)) * (1 - held)**3
        opening = max(0.05, min(1.0, opening + step))
    return np.array(flows), np.array(openings)


def _read(values, faults, chance):
    """What the instruments report. A frozen one repeats a reading, so drift and quantisation come first."""
    spans = [(fault, SENSORS.index(affected(fault)[0]), slice(fault.start, fault.start + fault.rows)) for fault in faults]
    for fault, sensor, span in spans:
        if fault.kind == "sensor drift":
            values[span, sensor] += fault.severity * DRIFT[sensor] * np.arange(1, len(values[span]) + 1) / fault.rows
    readings = (np.round(values / QUANTUM) * QUANTUM).astype(np.float32)
    for fault, sensor, span in spans:
        if fault.kind == "frozen sensor" and fault.start < len(readings):
            readings[span, sensor] = readings[max(fault.start - 1, 0), sensor]
        elif fault.kind == "dropout":
            readings[span, sensor][chance[span] < fault.severity] = np.nan
    return readings
