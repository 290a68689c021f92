"""python bench/detect.py --data PATH: the detector on the public sets in PATH, one configuration for all, with peers beside it.

Strictly causal, no labels: NAB starts cold, the others fit on the part that their protocol gives. Without --data only what needs
none is measured: false alarms on simulated plants, cost, and equal scores after a restart.
"""
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import streamrnn as sr
from bench.detection import baselines, events, nab, ranking, sets, skab
from bench.harness import measure, per_call, pin, ratio, repeats
from bench.result import Result
from streamrnn.detect import plant

RATE = "1/20000 rows"          # the one setting that is not the default: these sets have no rows a week
STARTS = (0, 40, 80, 120)      # rows of SKAB's fit part that are left out
WEEK = 10_080                  # rows, one a minute
PUBLISHED = {
    "NAB": "threshold chosen with labels, all 58 files: ARTime 74.9, Numenta HTM 70.1, CAD OSE 69.9, KNN CAD 58.0, Random Cut Forest 51.7",
    "SKAB": "F1 / FAR / MAR: Conv-AE .78 / 13.6 / 28.0, MSET .78 / 39.7 / 14.1, T2+Q .76 / 26.6 / 24.9, LSTM-AE .74 / 30.0 / 25.9",
    "SMD": "VAR(2) + EWMA on 19 machines: AUC-PR .49, VUS-PR .48",
}


@dataclass
class Peers:
    """The baselines there are, by name."""
    trees: bool

    def __iter__(self):
        yield "linear AR + EWMA", baselines.ar_ewma
        yield "VAR(2) + EWMA", baselines.var_ewma
        if self.trees:
            yield "HalfSpaceTrees (river)", baselines.half_space_trees


def run(options):
    result = Result("detect")
    peers = Peers(find_spec("river") is not None and not options.quick)
    if not peers.trees:
        result.note("HalfSpaceTrees left out: a quick run, or river is not installed (pip install river)")
    if options.data is None:
        result.note("public sets left out: give the folder that holds nab, skab, smd, ucr and mgab with --data PATH")
    else:
        for part in (on_nab, on_skab, on_smd, on_ucr, on_mgab):
            part(result, options.data, peers)
    false_alarms(result, 2 if options.quick else 10)
    cost(result, options.rounds)
    restart(result)
    return result


def fitted(values, **named):
    return sr.Detector.fit(values, false_alarms=RATE, **named)


def missing(result, name, series):
    if not series:
        result.note(f"{name} left out: its folder is not in the data")
    return not series


def on_nab(result, root, peers):
    series = sets.nab(root)
    if missing(result, "NAB", series):
        return
    alerts = []
    for one in series:
        detector = sr.Detector.cold(one.values.shape[1], period=float(np.median(np.diff(one.times))))
        alerts.append(detector.run(one.values, one.times).alert.astype(float))
    corpus = nab.Corpus(series, alerts)
    counts = corpus.counts(0.5)
    head = f"NAB standard score, {len(series)} files, cold start, built-in threshold"
    result.add(head, "streamrnn", corpus.at(0.5), "points", (">=", 77))
    result.note(f"NAB: {counts['found']} of {counts['windows']} windows found, {counts['false_runs']} false alarms in "
                f"{counts['rows_outside']:,} rows. Published, {PUBLISHED['NAB']}")
    for name, peer in peers:
        if peer is not baselines.var_ewma:
            best = nab.Corpus(series, [peer(one) for one in series]).best()[0]
            result.add(head, f"{name}, threshold chosen with the labels, no alarm stage", best, "points")


def on_skab(result, root, peers):
    series = sets.skab(root)
    if missing(result, "SKAB", series):
        return
    head = f"SKAB, {len(series)} files"
    scores = {}
    for start in STARTS:
        rates = skab.rates(series, [fitted(one.fit[start:]).run(one.values).alert for one in series])
        scores[start] = rates["F1"]
        if start == 0:
            for name, unit, asked in (("F1", "", (">=", 0.85)), ("FAR", "%", ("<=", 20)), ("MAR", "%", ("<=", 15))):
                result.add(f"{head}: {name}", "streamrnn", rates[name], unit, asked)
    result.add(f"{head}: F1 lost by fitting from another row on", f"rows {', '.join(map(str, STARTS[1:]))}",
               max(0.0, scores[0] - min(scores.values())), "", ("<=", 0.03))
    result.note(f"SKAB published, {PUBLISHED['SKAB']}")
    for name, peer in peers:
        rates = skab.rates(series, [peer(one) > baselines.threshold(peer, one) for one in series])
        for what, unit in (("F1", ""), ("FAR", "%"), ("MAR", "%")):
            result.add(f"{head}: {what}", name, rates[what], unit)


def on_smd(result, root, peers):
    series = sets.smd(root)
    if missing(result, "SMD", series):
        return
    head = f"SMD, mean of {len(series)} machines"
    result.note(f"SMD published, {PUBLISHED['SMD']}")
    for name, scored in [("streamrnn", lambda one: fitted(one.fit).detect(one.values)), *peers]:
        found = [(one.label, np.asarray(scored(one), float)) for one in series]
        ours = name == "streamrnn"
        result.add(f"{head}: AUC-PR", name, float(np.mean([ranking.auc_pr(*pair) for pair in found])), "", (">=", 0.55) if ours else None)
        result.add(f"{head}: VUS-PR", name, float(np.mean([ranking.vus_pr(*pair) for pair in found])), "", (">=", 0.6) if ours else None)


def on_ucr(result, root, peers):
    series = sets.ucr(root)
    if missing(result, "UCR", series):
        return
    head = f"UCR, hits of {len(series)}"
    hits = sum(events.top_hit(one, fitted(one.fit).detect(one.values)) for one in series)
    result.add(head, "streamrnn", float(hits), "", (">=", round(17 / 21 * len(series))))
    for name, peer in peers:
        if peer is not baselines.var_ewma:
            result.add(head, name, float(sum(events.top_hit(one, peer(one)) for one in series)), "")


def on_mgab(result, root, peers):
    series = sets.mgab(root)
    if missing(result, "MGAB", series):
        return

    def both(alerts):
        found = [events.found_and_false(one, alert) for one, alert in zip(series, alerts, strict=True)]
        return [sum(one[key] for one in found) for key in ("found", "events", "false_runs")]

    hits, count, false = both([fitted(one.fit).run(one.values).alert for one in series])
    head = f"MGAB, events found of {count}, built-in threshold"
    result.add(head, "streamrnn", float(hits), "", (">=", round(0.9 * count)))
    result.add("MGAB, false alarms", "streamrnn", float(false), "", ("<=", 1))
    for name, peer in peers:
        if peer is not baselines.var_ewma:
            hits, _, false = both([peer(one) > baselines.threshold(peer, one) for one in series])
            result.add(head, name, float(hits), "")
            result.add("MGAB, false alarms", name, float(false), "")


def false_alarms(result, machines):
    """Ten weeks of each of some simulated machines, after four weeks of history; one alarm a week was asked for."""
    alarms = 0
    for machine in range(machines):
        x, times = plant.simulate(14 * WEEK, machine=machine, seed=1)
        detector = sr.Detector.fit(x[:4 * WEEK], times=times[:4 * WEEK], sensors=plant.SENSORS, false_alarms="1/week")
        alarms += len(detector.run(x[4 * WEEK:], times[4 * WEEK:]).events())
    head = f"false alarms a week on clean simulated plants, 1 asked for, {10 * machines} stream-weeks"
    result.add(head, "at most twice", alarms / (10 * machines), "", ("<=", 2))
    result.add(head, "at least half", alarms / (10 * machines), "", (">=", 0.5))


def cost(result, rounds):
    x, _ = plant.simulate(12_288, seed=2)
    detector = sr.Detector.fit(x[:8192], sensors=plant.SENSORS, period=60, layers=[sr.LSTM(32)], memory=False)
    remembering = sr.Detector.fit(x[:8192], sensors=plant.SENSORS, period=60, layers=[sr.LSTM(32)], memory=True)
    bare = sr.Model(8, [sr.LSTM(32), sr.Dense(8)], seed=0)
    rows = np.ascontiguousarray(x[8192:])
    models = {"bare": bare, "detector": detector.model, "with memory": remembering.model}
    steps = measure({name: per_call(model.stream().step, rows[:1000]) for name, model in models.items()}, rounds)
    head = "LSTM-32 over 8 sensors with the detector's layers / the bare step"
    result.add(head, "stream.step from Python", ratio(steps["detector"], steps["bare"]), "x its time", ("<=", 2), steps)
    many = {}
    for name, model in models.items():
        engine = sr.Engine(model)
        group = engine.group([str(k) for k in range(1024)])
        many[name] = repeats(lambda engine=engine, group=group: engine.step_many(group, rows[:1024]), 1024)
    times = measure(many, rounds)
    result.add(head, "step_many of 1,024 streams", ratio(times["detector"], times["bare"]), "x its time", ("<=", 2), times)
    extra = float(np.median(steps["with memory"] - steps["detector"])) / 1000
    result.add("memory of patterns, 8,192 rows of history", "one step", extra, "us more", ("<=", 5))
    cold = {"with patterns": sr.Detector.cold(1, clock=False), "without": sr.Detector.cold(1, clock=False, patterns=False)}
    series = rows[:, :1]
    cold = measure({name: repeats(lambda d=d: d.run(series), len(series)) for name, d in cold.items()}, rounds)
    result.add("cold detector, one sensor", "patterns", float(np.median(cold["with patterns"] - cold["without"])) / 1000, "us more",
               ("<=", 5), cold)


def restart(result):
    """Scores after a restart in mid-stream against those without."""
    x, times = plant.simulate(12_000, seed=3)
    detector = sr.Detector.fit(x[:8000], times=times[:8000], sensors=plant.SENSORS, memory=True)
    whole = detector.run(x[8000:], times[8000:]).score
    first = [detector.update(row, t).score for row, t in zip(x[8000:10_000], times[8000:10_000], strict=True)]
    state = detector.state()
    again = sr.Detector(detector.model.with_tensors(detector.model.tensors))
    again.set_state(state)
    second = [again.update(row, t).score for row, t in zip(x[10_000:], times[10_000:], strict=True)]
    differ = int((np.array(first + second, np.float32) != whole).sum())
    result.add("scores that differ in any bit after a restart in mid-stream", f"of {len(whole):,}", float(differ), "", ("==", 0))


if __name__ == "__main__":
    from bench.__main__ import main
    pin()
    sys.argv[1:1] = ["detect"]
    sys.exit(main())
