"""Keyword spotting: a GRU listens to a stream of sound, frame by frame, and says which of six words was just spoken.

Run it: python examples/jobs/keywords.py [--plot stream.png]
The script speaks its own words: a buzz or a hiss through three resonances that glide from phoneme to phoneme (formants). Pitch,
speed, size of the throat, accent, loudness and background change from speaker to speaker. Four of five words are others, made of
the same phonemes, a quarter of them a keyword with another vowel. The metric is the share of keywords found, by speakers
never heard before, where each method's threshold lets one false alarm a minute through. The baselines know 40 recordings of each
keyword: one compares the mean spectrum of the last half second, the other warps time (DTW)."""
import argparse

import numpy as np
from numba import njit

import streamrnn as sr

RATE, HOP, WIDE, BANDS = 8000, 128, 256, 20    # samples a second; of a frame; numbers of a frame
SECOND = RATE / HOP                            # frames
KEYWORDS = {"start": "s t a r t", "stop": "s t o p", "left": "l e f t", "right": "r a i t", "open": "o p e n", "close": "k l o s"}
PHONEMES = {  # three formants in Hz, buzz, hiss, hundredths of a second; of p, t and k what follows the closure
    "a": (730, 1090, 2440, 1, 0, 10), "e": (530, 1840, 2480, 1, 0, 9), "i": (270, 2290, 3010, 1, 0, 9), "o": (570, 840, 2410, 1, 0, 10),
    "u": (300, 870, 2240, 1, 0, 9), "l": (360, 1300, 2700, 0.6, 0, 6), "r": (310, 1060, 1380, 0.6, 0, 6), "m": (250, 1000, 2200, 0.4, 0, 7),
    "n": (250, 1600, 2500, 0.4, 0, 6), "s": (2900, 3400, 3800, 0, 0.5, 10), "f": (1000, 2500, 3600, 0, 0.2, 8),
    "p": (500, 900, 2200, 0, 0.5, 2), "t": (1900, 2900, 3600, 0, 0.7, 3), "k": (900, 1700, 2300, 0, 0.6, 3)}
PAUSE, VOWELS, STOPS = (500, 1500, 2500, 0, 0, 5), "aeiou", "ptk"
NAMES = list(KEYWORDS)
TICK, SAID = RATE // 100, 12                   # samples of a row of phonemes; frames in which a keyword counts as just spoken


def other_word(rng):
    """Phonemes of a word that is none of the keywords; one of four is a keyword with another vowel."""
    while True:
        if rng.random() < 0.25:
            word = KEYWORDS[rng.choice(NAMES)].split()
            word[rng.choice([n for n, p in enumerate(word) if p in VOWELS])] = rng.choice(list(VOWELS))
        else:
            sounds = [rng.random() < 0.5 for _ in range(rng.integers(2, 6))]
            word = [rng.choice([p for p in PHONEMES if (p in VOWELS) == vowel]) for vowel in sounds]
        if " ".join(word) not in KEYWORDS.values():
            return word


def speak(words, rng):
    """(sound (samples,), end of each word in samples) of a list of words, each a list of phonemes, by a speaker drawn for it."""
    pitch, throat, speed = rng.uniform(90, 230), rng.uniform(0.88, 1.15), rng.uniform(0.75, 1.3)
    accent = {p: rng.normal(1, 0.05, 3) * throat for p in PHONEMES}
    rows, ends = [], []
    for word in words:
        rows += [PAUSE] * int(rng.choice([2, 15, 40]) * rng.uniform(0.7, 1.3))
        for phoneme in word:
            *_, buzz, hiss, length = PHONEMES[phoneme]
            rows += [PAUSE] * rng.integers(4, 7) * (phoneme in STOPS)
            row = (*np.array(PHONEMES[phoneme][:3]) * accent[phoneme], buzz, hiss, 0)
            rows += [row] * max(2, round(length * rng.uniform(0.7, 1.4) / speed))
        ends.append(len(rows))
    rows = np.array(rows + [PAUSE] * 40)
    rows = np.stack([np.convolve(np.pad(column, 2, "edge"), np.ones(5) / 5, "valid") for column in rows.T[:5]], 1)  # they glide
    melody = np.interp(np.arange(len(rows) * TICK), np.arange(len(rows) // 30 + 2) * 30 * TICK, rng.normal(0, 0.12, len(rows) // 30 + 2))
    buzz = np.diff(np.floor(np.cumsum(pitch * np.exp(melody) / RATE)), prepend=0)
    return through_throat(rows, buzz, 0.12 * rng.standard_normal(len(buzz))), np.array(ends) * TICK


def through_throat(rows, buzz, hiss):
    """A pulse train and noise through the resonances of each hundredth of a second (rows), overlapped and added."""
    window, hertz = np.hanning(2 * TICK + 1)[:-1], np.fft.rfftfreq(2 * TICK, 1 / RATE)
    gain = sum(1 / (1 + ((hertz - rows[:, k:k + 1]) / (60 + 40 * k)) ** 2) / (1 + k) for k in range(3))
    spectrum = 0
    for source, amount in ((buzz, rows[:, 3:4]), (hiss, rows[:, 4:5])):
        pairs = np.concatenate([source, np.zeros(TICK)]).reshape(-1, TICK)
        spectrum = spectrum + amount * np.fft.rfft(np.hstack([pairs[:-1], pairs[1:]]) * window)
    parts = np.fft.irfft(gain * spectrum)
    sound = np.zeros(len(buzz) + TICK)
    sound[:-TICK] += parts[:, :TICK].ravel()
    sound[TICK:] += parts[:, TICK:].ravel()
    return sound[:len(buzz)]


def frames(sound):
    """Logarithms of the power in 20 bands, narrow ones below and wide ones above (mel), (frames, 20)."""
    edges = 700 * (10 ** (np.linspace(0, np.log10(1 + RATE / 1400), BANDS + 2)) - 1)
    hertz = np.fft.rfftfreq(WIDE, 1 / RATE)
    bank = np.stack([np.interp(hertz, edges[k:k + 3], [0, 1, 0]) for k in range(BANDS)], 1)
    cut = np.lib.stride_tricks.sliding_window_view(sound, WIDE)[::HOP]
    return np.log(np.abs(np.fft.rfft(cut * np.hanning(WIDE))) ** 2 @ bank + 1e-4).astype(np.float32)


def stream(seconds, rng, keywords=0.2):
    """(frames (T, 20), end of each keyword in frames, which it was): one speaker after the other, about fifteen seconds each."""
    parts, places, spoken, start = [], [], [], 0
    while start < seconds * RATE:
        chosen = [rng.choice(len(KEYWORDS)) if rng.random() < keywords else -1 for _ in range(18)]
        sound, ends = speak([KEYWORDS[NAMES[k]].split() if k >= 0 else other_word(rng) for k in chosen], rng)
        sound *= rng.uniform(0.5, 2) / sound.std()
        hum = np.convolve(rng.standard_normal(len(sound)), rng.dirichlet(np.ones(4)), "same")  # a background of some colour
        sound += hum / hum.std() * sound.std() * 10 ** (-rng.uniform(8, 25) / 20)
        parts.append(sound)
        places += [start + end for end, k in zip(ends, chosen, strict=True) if k >= 0]
        spoken += [k for k in chosen if k >= 0]
        start += len(sound)
    return frames(np.concatenate(parts)), np.array(places) // HOP, np.array(spoken)


def alarms(scores, threshold):
    """(frame, keyword) of each alarm: a score (T, keywords) reaches the threshold; for half a second then there is no other."""
    found = []
    for t in np.flatnonzero(scores.max(1) >= threshold):
        if not found or t - found[-1][0] > SECOND / 2:
            found.append((int(t), int(scores[t].argmax())))
    return found


def judged(found, places, spoken):
    """(keywords found, alarms that are false): an alarm is right from a fifth of a second before its word's end to 0.4 s after."""
    late = np.array([[t - place if k == word else 1e9 for place, word in zip(places, spoken, strict=True)] for t, k in found])
    right = (late >= -0.2 * SECOND) & (late <= 0.4 * SECOND) if len(found) else np.zeros((0, len(places)), bool)
    return int(right.any(0).sum()), int((~right.any(1)).sum())


def detection(scores, places, spoken, a_minute=1.0):
    """(share of keywords found, threshold): the best of those thresholds that let no more false alarms through."""
    allowed, best = a_minute * len(scores) / SECOND / 60, (0.0, np.inf)
    for threshold in np.unique(np.quantile(scores.max(1), 1 - np.geomspace(1e-4, 0.3, 60))):
        hits, false = judged(alarms(scores, threshold), places, spoken)
        if false <= allowed:
            best = max(best, (hits / len(spoken), -threshold))
    return best[0], abs(best[1])


def train(seconds=2000, epochs=10, units=64, seed=0):
    rng = np.random.default_rng(seed)
    x, places, spoken = stream(seconds, rng)
    y = np.zeros(len(x), np.int64)
    for place, k in zip(places, spoken, strict=True):
        y[place:place + SAID] = k + 1
    model = sr.Model(inputs=BANDS, layers=[sr.Scale(), sr.GRU(units), sr.GRU(units), sr.Dense(len(NAMES) + 1, "softmax")], seed=seed)
    history = sr.fit(model, x, y, loss="cross_entropy", window=100, batch=32, epochs=epochs, seed=seed, optimizer=sr.Adam(4e-3, clip=1.0),
                     schedule="cosine")
    return model, history


def templates(rng, many=40):
    """Recordings of each keyword alone, frames (T, 20), with which keyword each is."""
    found = []
    for k in np.repeat(np.arange(len(NAMES)), many):
        sound, (end,) = speak([KEYWORDS[NAMES[k]].split()], rng)
        x = frames(sound / sound.std() + 0.1 * rng.standard_normal(len(sound)))
        found.append((plain(x)[max(0, end // HOP - 45):end // HOP], k))
    return found


def plain(x):
    """Frames without loudness and colour: less the mean of the frame, less that of each band over the recording."""
    x = x - x.mean(1, keepdims=True)
    return x - x.mean(0)


def by_spectrum(x, known):
    """Scores (T, keywords): how the mean spectrum of the last half second goes with that of each keyword's recordings."""
    sums = np.cumsum(np.pad(plain(x), ((31, 0), (0, 0))), 0, dtype=np.float64)
    means = np.vstack([np.zeros((30, BANDS)), (sums[31:] - sums[:-31])[30:]])[:len(x)]
    unit = lambda a: a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-9)
    wanted = np.stack([np.mean([part[-31:].mean(0) for part, one in known if one == k], 0) for k in range(len(NAMES))])
    return unit(means) @ unit(wanted).T


@njit
def warped(distance):
    """The nearest that a stream has come to one recording, at each frame, by distances (T, frames of the recording): of it the
    stream may take up to two frames at once, or one several times (DTW); a path may begin at every frame."""
    cost, steps, nearest = np.full(distance.shape[1] + 1, np.inf), np.ones(distance.shape[1] + 1), np.empty(len(distance))
    for t in range(len(distance)):
        cost[0], steps[0] = 0, 0
        for j in range(len(cost) - 1, 0, -1):
            best = j
            for other in range(max(0, j - 2), j):
                if cost[other] / (steps[other] + 1) < cost[best] / (steps[best] + 1):
                    best = other
            cost[j], steps[j] = cost[best] + distance[t, j - 1], steps[best] + 1
        nearest[t] = cost[-1] / steps[-1]
    return nearest


def by_warping(x, known):
    """Scores (T, keywords): less the distance of the nearest recording."""
    x, scores = plain(x), np.full((len(x), len(NAMES)), -np.inf)
    for part, k in known:
        distance = (x ** 2).sum(1, keepdims=True) - 2 * x @ part.T + (part ** 2).sum(1)
        scores[:, k] = np.maximum(scores[:, k], -warped(distance.astype(np.float64)))
    return scores


def listen(model, x, threshold):
    """(frame, keyword) of each alarm, from a stream of frames: as it would go with a microphone."""
    stream, found = model.stream(), []
    for t, x_t in enumerate(x):
        p = stream.step(x_t)[1:]
        if p.max() >= threshold and (not found or t - found[-1][0] > SECOND / 2):
            found.append((t, int(p.argmax())))
    return found


def plot(path, x, p, places, spoken, found, threshold):
    from matplotlib import pyplot

    time = np.arange(len(x)) / SECOND
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 4.2), sharex=True, height_ratios=[3, 2], layout="constrained")
    above.imshow(x.T, origin="lower", aspect="auto", extent=(0, time[-1], 0, BANDS), cmap="Greys", vmin=np.quantile(x, 0.4))
    above.set(ylabel="band, low to high", title="keywords among other words: where they end, and what the net says of it")
    for k in sorted(set(spoken) | {k for _, k in found}):
        line, = below.plot(time, p[:, k], label=NAMES[k])
        for place in places[spoken == k]:
            above.axvline(place / SECOND, color=line.get_color(), linewidth=2)
            above.text(place / SECOND, BANDS - 0.5, f" {NAMES[k]}", color=line.get_color(), va="top", weight="bold")
        below.plot([t / SECOND for t, one in found if one == k], [p[t, k] for t, one in found if one == k], "v", color=line.get_color())
    below.plot([], [], "v", color="0.5", label="alarm")
    below.axhline(threshold, color="0.5", linestyle=":", label="threshold")
    below.set(xlabel="seconds", ylabel="probability", ylim=(0, 1.3))
    below.legend(frameon=False, fontsize=8, ncols=7, loc="upper left")
    figure.savefig(path, dpi=75)
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2000, help="of sound to learn from")
    parser.add_argument("--test", type=int, default=600, help="seconds of sound to test on")
    parser.add_argument("--epochs", type=int, default=10, help="times through it")
    parser.add_argument("--units", type=int, default=64, help="units of each of the two GRUs")
    parser.add_argument("--false", type=float, default=1.0, help="false alarms a minute that are let through")
    parser.add_argument("--plot", metavar="FILE", help="draw ten seconds of the test")
    parser.add_argument("--seed", type=int, default=0, help="of sounds and first weights")
    options = parser.parse_args()

    model, history = train(options.seconds, options.epochs, options.units, options.seed)
    rng = np.random.default_rng((options.seed, 1))
    x, places, spoken = stream(options.test, rng)
    known, p = templates(rng), model.run(x)[:, 1:]
    print(f"learnt from {options.seconds:,} s of sound in {sum(history.seconds):.1f} s, {model.parameters:,} parameters")
    print(f"found of {len(spoken)} keywords in {options.test:,} s by others, at {options.false:g} false alarms a minute:")
    for name, scores in (("mean spectrum", by_spectrum(x, known)), ("warped templates", by_warping(x, known)), ("GRU", p)):
        share, threshold = detection(scores, places, spoken, options.false)
        print(f"  {name:<18}{share:>6.1%}")

    start, stop = places[5] - 60, places[5] - 60 + round(10 * SECOND)
    part, inside = x[start:stop], (places >= start) & (places < stop)
    found = listen(model, part, threshold)
    print(f"ten seconds as a stream, frame by frame; spoken: {', '.join(NAMES[k] for k in spoken[inside])}")
    for t, k in found:
        print(f"  {t / SECOND:>5.2f} s  {NAMES[k]}")
    if options.plot:
        plot(options.plot, part, model.run(part)[:, 1:], places[inside] - start, spoken[inside], found, threshold)


if __name__ == "__main__":
    main()
