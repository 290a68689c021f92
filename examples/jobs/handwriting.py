"""Handwriting as it is written: a GRU reads pen points and says letters, learnt from words alone (CTC), not from marked letters.

Run it: python examples/jobs/handwriting.py [--plot word.png]
The script writes its own data: 14 letters as strokes, with a hand for each word: slant, size, width, speed, tremor, spacing,
and which letters are joined. A point is how far the pen moved and whether it touched the paper. Training has random letters, the
test English words, so that no word of the test was learnt. The metric is the character error rate. The baselines cut where the pen
was lifted and take the nearest of 1,400 letters; one of them is told where each letter ends, which nobody could know."""
import argparse

import numpy as np

import streamrnn as sr
from streamrnn import metrics

STROKES = {  # points of a stroke as x, y, ...; the line is y = 0, a small letter is 1 high
    "a": ["9 8 4 10 0 5 4 0 8 4 9 9 9 2 11 0"], "c": ["8 8 4 10 0 5 4 0 9 2"], "d": ["8 8 4 10 0 5 4 0 8 4 9 19 9 3 11 0"],
    "e": ["1 5 8 5 6 10 1 7 1 2 5 0 9 2"], "h": ["1 19 1 0 1 6 5 10 8 7 8 0"], "i": ["1 10 1 2 3 0", "1 14 1 13"], "l": ["1 19 1 2 3 0"],
    "m": ["1 10 1 0 1 6 4 10 6 7 6 0 6 6 9 10 11 7 11 0"], "n": ["1 10 1 0 1 6 5 10 8 7 8 0"], "o": ["5 10 0 5 5 0 9 5 5 10 7 9"],
    "r": ["1 10 1 0 1 6 4 9 6 9"], "s": ["7 9 4 10 1 7 5 5 7 2 4 0 0 1"], "t": ["3 16 3 2 6 0", "0 10 7 10"],
    "u": ["1 10 1 3 4 0 7 4 8 10 8 2 10 0"]}
LETTERS = "".join(STROKES)
REST = 2  # points behind a word, with the pen up: only they tell an l from the beginning of an h
UNSEEN = """trains stone house lemon clients harm nurse sail detail hotel router almond school inches line master other timer cloud ocean
    home salad round sandal mouse third tomato dinner listen smooth lantern current hour talent mental metal outer nation
    sentence medal autumn total actor lesson custom death handle island ladder doctor children morse thousand season"""
WORDS = UNSEEN.split()
BLANK = 5.0  # what the output for no letter starts with: a net that begins by guessing letters before it saw them may never unlearn it


def curve(points, pace, rng):
    """A smooth line through points (n, 2), a point every `pace`, faster here and slower there."""
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]
    a, b, c, d = (ends[k:len(ends) - 3 + k, None] for k in range(4))  # Catmull and Rom
    line = (b + (c - a) * t / 2 + (2 * a - 5 * b + 4 * c - d) * t ** 2 / 2 + (3 * b - a - 3 * c + d) * t ** 3 / 2).reshape(-1, 2)
    line = np.concatenate([line, points[-1:]])
    far = np.append(0, np.cumsum(np.hypot(*np.diff(line, axis=0).T)))
    steps = np.cumsum(rng.uniform(0.6, 1.4, max(2, round(far[-1] / pace))))
    return np.stack([np.interp(steps / steps[-1] * far[-1], far, axis) for axis in line.T], 1)


def write(word, rng):
    """Pen positions (T, 2), whether the pen was down on the way there (T,), and which letter each belongs to (T,)."""
    slant, size, width, pace = rng.normal(0.1, 0.15), rng.uniform(0.7, 1.4), rng.uniform(0.75, 1.25), rng.uniform(0.18, 0.3)
    tremor, gap, joining = rng.uniform(0, 0.02), rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.8)
    places, down, owners, x, joined = [], [], [], 0.0, False
    for n, letter in enumerate(word):
        shape, right = rng.normal([1, 1], 0.1), 0.0
        for k, stroke in enumerate(STROKES[letter]):
            points = np.array(stroke.split(), float).reshape(-1, 2) / 10 * shape
            points += rng.normal(0, 0.04, points.shape)
            points[:, 0] = points[:, 0] * width + x
            right = max(right, points[:, 0].max())
            if joined and k == 0:
                points = np.concatenate([places[-1][-1:], points])
            line = curve(points, pace, rng)
            places.append(line + rng.normal(0, tremor, line.shape))
            down.append(np.arange(len(line)) > 0 if not (joined and k == 0) else np.ones(len(line), bool))
            owners.append(np.full(len(line), n))
        x, joined = right + gap * rng.uniform(0.5, 1.5), len(STROKES[letter]) == 1 and rng.random() < joining
    places = np.concatenate(places)
    places[:, 0] += slant * places[:, 1]
    return size * places, np.concatenate(down), np.concatenate(owners)


def moves(places, down):
    """What the net gets: how far the pen moved to each next point, right and up, and whether it was down; then it rests."""
    found = np.zeros((len(places) - 1 + REST, 3), np.float32)
    found[:-REST, :2], found[:-REST, 2] = np.diff(places, axis=0), down[1:]
    return found


def strings(count, rng, least=2, most=7):
    """What it learns from: `least` to `most` letters, each as likely as any other; none of WORDS, should one come up."""
    found = ["".join(rng.choice(list(LETTERS), rng.integers(least, most + 1))) for _ in range(count)]
    return [word for word in found if word not in WORDS]


def labels(word):
    """Outputs from 1 on; 0 is the blank."""
    return [LETTERS.index(letter) + 1 for letter in word]


def text(labels):
    return "".join(LETTERS[label - 1] for label in labels)


def train(count=4000, epochs=6, units=64, seed=0):
    """A trained model and the seconds it took: two epochs of short strings, then `epochs` of longer ones."""
    rng = np.random.default_rng(seed)
    model = sr.Model(inputs=3, layers=[sr.Scale(), sr.GRU(units), sr.GRU(units), sr.Dense(len(LETTERS) + 1)], seed=seed)
    bias = model.tensors["layers.3.bias"].copy()
    bias[0] = BLANK
    model, seconds = model.with_tensors({**model.tensors, "layers.3.bias": bias}), 0.0
    for words, times, schedule in ((strings(count, rng, 2, 3), 2, None), (strings(count, rng), epochs, "cosine")):
        x, sizes = sr.pad([moves(*write(word, rng)[:2]) for word in words])
        history = sr.fit(model, x, [labels(word) for word in words], lengths=sizes, loss="ctc", batch=16, epochs=times, seed=seed,
                         optimizer=sr.Adam(3e-3, clip=1.0), schedule=schedule)
        seconds += sum(history.seconds)
    return model, seconds


def measure(model, words, rng):
    """The character error rate on words as fresh hands write them."""
    x, sizes = sr.pad([moves(*write(word, rng)[:2]) for word in words])
    return metrics.error_rate(words, [text(found) for found in sr.best_path(model.run(x, sizes), lengths=sizes)])


def outline(places):
    """A letter as 16 points, by its own middle and height: what templates are compared by."""
    far = np.append(0, np.cumsum(np.hypot(*np.diff(places, axis=0).T)))
    points = np.stack([np.interp(np.linspace(0, far[-1], 16), far, axis) for axis in places.T])
    return ((points - points.mean(1, keepdims=True)) / max(np.ptp(points, axis=1).max(), 1e-6)).ravel()


def pieces(places, down):
    """A word cut where the pen was lifted; a stroke above the one before it, such as a bar or a dot, stays with that."""
    found = []
    for stroke in np.split(np.arange(len(places)), np.flatnonzero(~down)[1:]):
        middle = places[stroke, 0].mean()
        if found and found[-1][0] <= middle <= found[-1][1] and places[stroke, 1].min() > places[found[-1][2], 1].mean():
            found[-1][2].extend(stroke)
        else:
            found.append((places[stroke, 0].min() - 0.2, places[stroke, 0].max() + 0.2, list(stroke)))
    return [places[part] for _, _, part in found]


def baselines(words, rng, many=100):
    """Character error rates of the nearest template: cut where the pen was lifted, and cut where each letter truly ends."""
    known = np.stack([outline(write(letter, rng)[0]) for letter in LETTERS for _ in range(many)])
    nearest = lambda part: LETTERS[((known - outline(part)) ** 2).sum(1).argmin() // many]
    lifted, told = [], []
    for word in words:
        places, down, owners = write(word, rng)
        lifted.append("".join(map(nearest, pieces(places, down))))
        told.append("".join(nearest(places[owners == n]) for n in range(len(word))))
    return metrics.error_rate(words, lifted), metrics.error_rate(words, told)


def read(model, x):
    """(step, letter) as they are recognised, from a stream of pen points."""
    stream, collapse = model.stream(), sr.Collapse()
    labels = [collapse.step(stream.step(x_t)) for x_t in x]
    return [(t, LETTERS[label - 1]) for t, label in enumerate(labels) if label is not None]


def plot(path, model, rng, words=("handle", "season", "doctor")):
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(words), 1, figsize=(6, 7.5), layout="constrained", sharex=True)
    for axes, word in zip(rows, words, strict=True):
        places, down, owners = write(word, rng)
        found = read(model, moves(places, down))
        places = (places - places.min(0)) * len(word) / np.ptp(places[:, 0])
        for n in np.flatnonzero(down):
            axes.plot(*places[n - 1:n + 1].T, color=f"C{owners[n]}", linewidth=2, alpha=0.5)
        for n, (t, letter) in enumerate(found):
            place = places[min(t + 1, len(places) - 1)]
            axes.plot(*place, "o", color=f"C{n}")
            axes.annotate(letter, place, (5, 4), textcoords="offset points", color=f"C{n}", weight="bold", fontsize=14)
        axes.set(aspect="equal", ylabel="up", ylim=(-0.3, 2.7))
        axes.set_title(f"written: {word}; read: {''.join(letter for _, letter in found)}", loc="left", fontsize=10)
    rows[-1].set_xlabel("right, in letters")
    figure.suptitle("a dot: where the pen was when the letter of that colour was recognised")
    figure.savefig(path, dpi=80)
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--count", type=int, default=4000, help="words to learn from")
    parser.add_argument("--epochs", type=int, default=6, help="times through them")
    parser.add_argument("--units", type=int, default=64, help="units of each of the two GRUs")
    parser.add_argument("--plot", metavar="FILE", help="draw some words and where their letters were recognised")
    parser.add_argument("--seed", type=int, default=0, help="of words, hands and first weights")
    options = parser.parse_args()

    model, seconds = train(options.count, options.epochs, options.units, options.seed)
    print(f"learnt from {options.count:,} words in {seconds:.1f} s, {model.parameters:,} parameters")
    rng = np.random.default_rng((options.seed, 1))
    lifted, told = baselines(WORDS * 4, rng)
    print(f"wrong letters, of {4 * len(WORDS)} words that were not learnt:")
    for name, error in (("cut where the pen was lifted, nearest letter", lifted), ("told where each letter ends, nearest letter", told),
                        ("GRU, point by point", measure(model, WORDS * 4, rng))):
        print(f"  {name:<46}{error:>6.1%}")

    word = "thousand"
    x = moves(*write(word, rng)[:2])
    print(f"{word!r} as a stream of {len(x)} pen points:", ", ".join(f"{letter} at {t}" for t, letter in read(model, x)))
    if options.plot:
        plot(options.plot, model, rng)


if __name__ == "__main__":
    main()
