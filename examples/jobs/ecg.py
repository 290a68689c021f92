"""Arrhythmia in an ECG, sample by sample: a net that names each beat, and each that is missing, within half a second.

Run it: python examples/jobs/ecg.py   (--plot ecg.png draws a strip with what was found; needs matplotlib)
This is no medical device, and nothing here has seen a patient: the ECGs are simulated (a sum of Gaussians a beat, as by McSharry
et al. 2003). Each patient has a heart rate, waves and noise of his own; some have wide complexes in every beat, as a bundle branch block
makes them. Atrial premature beats come early and look almost like others, ventricular ones are wide and of a shape of their own,
with a pause behind them or without; now and then a beat is dropped. Patients of the test are in no training.
Rules over intervals and shapes, whose limits are fitted to the same patients, are what it is compared with."""
import argparse

import numpy as np

import streamrnn as sr
from streamrnn import metrics

RATE, DELAY, SPAN = 100, 30, 16     # samples a second; from a beat's peak to its name; for how many samples it is said
CLASSES = "nothing", "normal", "atrial", "ventricular", "dropped"
NORMAL, ATRIAL, VENTRICULAR, DROPPED = 1, 2, 3, 4


def waves(rng):
    """A patient's beats, {kind: rows of (seconds from the peak, width in seconds, height)}: P, Q, R, S, T."""
    block = rng.random() < 0.3                                   # wide complexes in every beat
    wide = rng.uniform(1.5, 2.2) if block else rng.uniform(0.85, 1.2)
    height, axis = rng.uniform(0.6, 1.6), rng.choice([1, 1, 1, -1])
    t = rng.uniform(0.1, 0.45) * rng.choice([1, 1, 1, -1])
    p = (-rng.uniform(0.13, 0.19), rng.uniform(0.018, 0.026), rng.uniform(0.08, 0.2))
    qrs = [(-0.028 * wide, 0.009 * wide, -rng.uniform(0, 0.25) * axis), (0, 0.012 * wide, height * axis),
           (0.03 * wide, 0.010 * wide, -rng.uniform(0, 0.5) * axis)]
    if block and rng.random() < 0.5:
        qrs.append((0.035 * wide, 0.012 * wide, 0.6 * height * axis))   # a second peak
    normal = [p, *qrs, (rng.uniform(0.22, 0.3), rng.uniform(0.035, 0.06), t)]
    early = [(p[0] + rng.uniform(-0.02, 0.05), p[1] * rng.uniform(0.7, 1), p[2] * rng.uniform(-0.8, 0.8)), *normal[1:]]
    turned = axis * rng.choice([1, -1])
    broad = rng.uniform(1.5, 2.4)
    ventricular = [(-0.03 * broad, 0.018 * broad, rng.uniform(-0.4, 0.6) * turned),
                   (0, 0.02 * broad, height * rng.uniform(0.8, 1.4) * turned),
                   (rng.uniform(0.25, 0.32), rng.uniform(0.05, 0.07), -rng.uniform(0.2, 0.5) * turned)]
    return {kind: np.array(rows) for kind, rows in ((NORMAL, normal), (ATRIAL, early), (VENTRICULAR, ventricular))}


def rhythm(seconds, rng):
    """[(second of the peak, what)], a dropped beat at the moment it was due."""
    usual, swing, breath = rng.uniform(0.6, 1.05), rng.uniform(0.02, 0.13), rng.uniform(0.18, 0.35)
    rates = rng.uniform(0.03, 0.12), rng.uniform(0.03, 0.12), rng.uniform(0.01, 0.08)   # atrial, ventricular, dropped
    found, t, drift = [], 0.5, 0.0
    while t < seconds - 1:
        drift = 0.98 * drift + 0.012 * rng.standard_normal()
        interval = usual * (1 + drift + swing * np.sin(2 * np.pi * breath * t)) + 0.012 * rng.standard_normal()
        kind = rng.choice([ATRIAL, VENTRICULAR, DROPPED, NORMAL], p=[*rates, 1 - sum(rates)])
        early = rng.uniform(0.65, 0.88) * interval
        if kind == ATRIAL:
            found.append((t + early, ATRIAL))
            t += early                                           # the sinus node starts anew
        elif kind == VENTRICULAR and rng.random() < 0.25 and interval > 0.8:
            found.append((t + 0.55 * interval, VENTRICULAR))     # interpolated: the next beat comes as if nothing had been
            found.append((t + interval, NORMAL))
            t += interval
        elif kind == VENTRICULAR:
            early = rng.uniform(0.62, 1.0) * interval
            found.append((t + early, VENTRICULAR))
            found.append((t + 2 * interval, NORMAL))             # a pause until the beat after next is due
            t += 2 * interval
        else:
            found.append((t + interval, kind))
            t += interval
    return [(at, kind) for at, kind in found if at < seconds - 0.5]


def ecg(seconds, rng):
    """(millivolts (samples,), samples of the peaks (beats,), their kinds (beats,))"""
    shapes, beats = waves(rng), rhythm(seconds, rng)
    t = np.arange(seconds * RATE) / RATE
    x = 0.15 * rng.uniform(0.3, 1.5) * np.sin(2 * np.pi * rng.uniform(0.15, 0.4) * t + rng.uniform(0, 6))      # breathing
    x += np.cumsum(rng.standard_normal(len(t))) * 0.004 + rng.uniform(0.01, 0.05) * rng.standard_normal(len(t))
    for start in rng.integers(0, len(t), rng.poisson(seconds / 15)):                                           # muscles
        burst = slice(start, start + rng.integers(50, 150))
        x[burst] += rng.uniform(0.1, 0.3) * rng.standard_normal(len(x[burst]))
    for at, kind in beats:
        near, scale = slice(max(0, int((at - 0.5) * RATE)), int((at + 0.7) * RATE)), rng.uniform(0.9, 1.1)
        for centre, width, height in shapes[NORMAL][:1] if kind == DROPPED else shapes[kind]:      # dropped: the atria beat, no more
            x[near] += scale * height * np.exp(-((t[near] - at - centre) / width) ** 2 / 2)
    return x.astype(np.float32), np.array([round(at * RATE) for at, _ in beats]), np.array([kind for _, kind in beats])


def targets(samples, peaks, kinds):
    """(samples,): what is said at each sample, for SPAN samples from DELAY after the beat."""
    said = np.zeros(samples, np.int64)
    for peak, kind in zip(peaks, kinds, strict=True):
        said[peak + DELAY:peak + DELAY + SPAN] = kind
    return said


def patients(count, seconds, rng):
    """[(ecg, peaks, kinds)], one for each patient."""
    return [ecg(seconds, rng) for _ in range(count)]


def train(data, units=40, epochs=20, seed=0):
    """A trained model and its History. Rare beats weigh more; states are carried from window to window of four seconds."""
    x = np.stack([one[0] for one in data])[..., None]
    y = np.stack([targets(len(one[0]), *one[1:]) for one in data])
    layers = [sr.Scale(), sr.GRU(units), sr.GRU(units), sr.Dense(len(CLASSES), "softmax")]
    model, rare = sr.Model(inputs=1, layers=layers, seed=seed), sr.CrossEntropy(weights=(0.5, 0.5, 2, 2, 1.5))
    history = sr.fit(model, x, y, loss=rare, optimizer=sr.Adam(1e-2, clip=1.0), schedule=sr.Cosine(), batch=16, window=400,
                     epochs=epochs, seed=seed)
    return model, history


def found(p):
    """[(peak, kind)] from probabilities (samples, classes): a stretch in which something is likelier than nothing is one beat."""
    beat = p[:, 0] < 0.5
    edges = np.flatnonzero(np.diff(beat.astype(int), prepend=0, append=0))
    beats = []
    for start, stop in edges.reshape(-1, 2):
        if stop - start >= SPAN // 2:
            beats.append(((start + stop - SPAN) // 2 - DELAY, 1 + int(p[start:stop, 1:].sum(0).argmax())))
    return beats


def matched(beats, peaks, kinds):
    """Pairs (true, called) of classes, 0 where there is no partner: within 0.15 s, or 0.3 s of when a dropped beat was due."""
    left, pairs = list(beats), []
    for peak, kind in zip(peaks, kinds, strict=True):
        near = 30 if kind == DROPPED else 15
        close = [one for one in left if abs(one[0] - peak) <= near and (one[1] == DROPPED) == (kind == DROPPED)]
        close = close or [one for one in left if abs(one[0] - peak) <= 15]
        if close:
            partner = min(close, key=lambda one: abs(one[0] - peak))
            left.remove(partner)
        pairs.append((kind, partner[1] if close else 0))
    return pairs + [(0, kind) for _, kind in left]


def measure(data, says):
    """(sensitivity, precision, F1), each (4,): normal, atrial, ventricular, dropped; says(x, peaks, kinds) gives [(peak, kind)]."""
    pairs = [pair for one in data for pair in matched(says(*one), *one[1:])]
    true, called = np.array(pairs).T
    return [rate(true, called, None)[1:] for rate in (metrics.recall, metrics.precision, metrics.f1)]


# -- baselines: rules over intervals and shapes ------------------------------------------------------------------------

def detected(x):
    """Samples of the peaks, by the energy of the slope beside that of the beats before (Pan and Tompkins 1985)."""
    smooth = np.convolve(x, np.hanning(9) / np.hanning(9).sum(), "same")
    energy = np.convolve(np.diff(smooth, prepend=smooth[:1]) ** 2, np.ones(10) / 10, "same")
    usual, peaks, t, last = list(energy[:5 * RATE].reshape(5, RATE).max(1)), [], 25, 25
    while t < len(x) - 60:
        if energy[t] > 0.25 * np.median(usual[-8:]):
            t += int(energy[t:t + 20].argmax())
            usual.append(energy[t])
            around = x[t - 8:t + 9]
            peaks.append(t - 8 + int(np.abs(around - np.median(x[t - 15:t + 16])).argmax()))
            t, last = t + 25, t
        else:
            t += 1
            if t - last > 1.5 * RATE:                            # nothing for so long: it asked for too much
                usual.append(0.5 * np.median(usual[-8:]))
                last = t - RATE
    return np.array(peaks)


def labelled(x, peaks, kinds):
    """The same with peaks as they are detected: each has the kind of the beat that it is, or 0; dropped ones stay as they are."""
    found = detected(x)
    nearest = np.abs(found[:, None] - peaks).argmin(1)
    real = (np.abs(found - peaks[nearest]) <= 15) & (kinds[nearest] != DROPPED)
    at, kind = np.append(found, peaks[kinds == DROPPED]), np.append(kinds[nearest] * real, kinds[kinds == DROPPED])
    return x, at[np.argsort(at)], kind[np.argsort(at)]


def intervals(x, peaks, kinds):
    """For each beat that came: (its sample, its kind, its interval beside the median of eight before, that median, the correlation
    of its shape with the median shape of fifteen before, whether a beat was dropped before it)."""
    came, rows = np.flatnonzero(kinds != DROPPED), []
    shapes = np.stack([x[peaks[k] - 12:peaks[k] + 28] for k in came])
    shapes = shapes - shapes.mean(1, keepdims=True)
    for n in range(4, len(came)):
        usual = np.median(np.diff(peaks[came[max(0, n - 9):n]]))
        usual_shape = np.median(shapes[max(0, n - 15):n], axis=0)
        alike = shapes[n] @ usual_shape / np.linalg.norm(shapes[n]) / np.linalg.norm(usual_shape)
        dropped = came[n] - came[n - 1] > 1
        rows.append((peaks[came[n]], kinds[came[n]], (peaks[came[n]] - peaks[came[n - 1]]) / usual, usual, alike, dropped))
    return np.array(rows)


def rule(limits, x, peaks):
    """Shape unlike the others: ventricular. Early: what `early` says. Very late, and not behind a ventricular: one was dropped."""
    short, long, unlike, early = limits
    beats = [(int(peak), NORMAL) for peak in peaks[:4]]          # nothing is usual yet
    for peak, _, ratio, usual, alike, _ in intervals(x, peaks, np.full(len(peaks), NORMAL)):
        if ratio > long and beats[-1][1] != VENTRICULAR:
            beats.append((int(beats[-1][0] + usual), DROPPED))
        beats.append((int(peak), VENTRICULAR if alike < unlike else early if ratio < short else NORMAL))
    return beats


def fitted(data, shape):
    """The limits of a rule that do best on these patients; without `shape` it goes by intervals alone."""
    _, kind, ratio, _, alike, dropped = np.concatenate([intervals(*one) for one in data]).T
    best = []
    for short in np.arange(0.7, 0.96, 0.02):
        for unlike in np.arange(0.3, 0.98, 0.04) if shape else [-2]:
            for early in (ATRIAL, VENTRICULAR):
                called = np.where(alike < unlike, VENTRICULAR, np.where(ratio < short, early, NORMAL))
                best.append((metrics.f1(kind, called), short, unlike, early))
    _, short, unlike, early = max(best)
    quiet = np.append(True, alike[:-1] >= unlike)
    long = max(np.arange(1.1, 2, 0.05), key=lambda long: metrics.f1(dropped, (ratio > long) & quiet, None)[1])
    return short, long, unlike, early


# -- what is shown -----------------------------------------------------------------------------------------------------

def draw(model, one, path, start=1.6, seconds=13):
    """A strip: the truth and the net's names above the signal, the probabilities below."""
    import matplotlib.pyplot as plt

    x, peaks, kinds = one
    p = model.run(x[:, None])
    figure, (top, bottom) = plt.subplots(2, figsize=(10, 4.6), height_ratios=[2, 1], sharex=True, layout="constrained")
    t, colours = np.arange(len(x)) / RATE, dict(zip(range(1, 5), ("grey", "#d98e04", "#c0392b", "#7b3fa0"), strict=True))
    top.plot(t, x, color="black", lw=0.9)
    low, high = x.min(), x.max()
    for row, (places, what) in enumerate(((found(p), "net"), (list(zip(peaks, kinds, strict=True)), "truth"))):
        y = high + (0.12 + 0.16 * row) * (high - low)
        top.text(start - 0.1, y, what, ha="right", va="center")
        for peak, kind in places:
            if start + 0.1 < peak / RATE < start + seconds - 0.1:
                top.text(peak / RATE, y, "NAVD"[kind - 1], color=colours[kind], ha="center", va="center", weight="bold")
    top.set(ylim=(low - 0.05, high + 0.4 * (high - low)), yticks=np.arange(np.ceil(low), high + 0.01), ylabel="millivolts",
            title="beats as the net names them, and the truth")
    for kind in range(1, 5):
        bottom.plot(t, p[:, kind], color=colours[kind], label=f"{'NAVD'[kind - 1]}: {CLASSES[kind]}")
    bottom.set(xlim=(start, start + seconds), ylim=(0, 1.05), ylabel="probability",
               xlabel=f"seconds (a beat is named {DELAY / RATE:.2f} to {(DELAY + SPAN) / RATE:.2f} s after it)")
    figure.legend(*bottom.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--patients", type=int, default=200, help="patients to learn from, 40 seconds each")
    parser.add_argument("--units", type=int, default=40, help="units of each of the two GRUs")
    parser.add_argument("--epochs", type=int, default=20, help="times through them")
    parser.add_argument("--seed", type=int, default=0, help="of the patients and the first weights")
    parser.add_argument("--plot", metavar="FILE", help="draw a strip of a patient of the test")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    data, test = patients(options.patients, 40, rng), patients(60, 60, rng)
    model, history = train(data, options.units, options.epochs, options.seed)
    print(f"{model}\ntrained on {len(data)} patients, {history.epochs} epochs, {sum(history.seconds):.1f} s")

    own = [labelled(*one) for one in data]
    limits = fitted(own, shape=False), fitted(own, shape=True), fitted(data, shape=True)
    rows = [("intervals", lambda x, peaks, kinds: rule(limits[0], x, detected(x))),
            ("intervals and shape", lambda x, peaks, kinds: rule(limits[1], x, detected(x))),
            ("the same, told the beats", lambda x, peaks, kinds: rule(limits[2], x, peaks[kinds != DROPPED])),
            ("net", lambda x, peaks, kinds: found(model.run(x[:, None])))]
    counts = np.bincount(np.concatenate([kinds for _, _, kinds in test]), minlength=5)[1:]
    print(f"{len(test)} other patients: sensitivity / precision / F1 for each kind, in %, and the mean F1")
    print(f"{'':<29}" + "".join(f"{f'{name} ({count:,})':>20}" for name, count in zip(CLASSES[1:], counts, strict=True)))
    for name, says in rows:
        rates = np.array(measure(test, says))
        cells = "".join(f"{f'{a:.0f} / {b:.0f} / {c:.0f}':>20}" for a, b, c in 100 * rates.T)
        print(f"  {name:<27}{cells}{100 * rates[2].mean():>8.1f}")

    print("a patient of the test as a stream, sample by sample:")
    shown = max(test, key=lambda one: len(set(one[2][(one[1] > 200) & (one[1] < 1400)])))
    stream, p = model.stream(), []
    for t, sample in enumerate(shown[0][:2000]):
        p.append(stream.step([sample]))
        beats = found(np.array(p[-2 * SPAN:])) if p[-1][0] >= 0.5 and len(p) > 1 and p[-2][0] < 0.5 else []
        if beats and beats[-1][1] != NORMAL:
            print(f"  {t / RATE:6.2f} s: {CLASSES[beats[-1][1]]} at {(t + 1 - min(len(p), 2 * SPAN) + beats[-1][0]) / RATE:.2f} s")
    if options.plot:
        draw(model, shown, options.plot)
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
