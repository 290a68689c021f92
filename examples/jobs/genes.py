"""A binding site in DNA: two half sites in order, with a spacer of any length from 2 to 12 between them; is it there, and where?

Run it: python examples/jobs/genes.py   (--plot genes.png draws what the net learnt as a logo)
The sequences are made here: a background whose GC content differs from one to the next, and half sites of 8 bases that mutate, some
positions more than others. Half of all sequences hold the site. Most of the others hold decoys of the same half sites: one alone,
the same one twice, the two in wrong order or too far apart. So no half site alone gives the answer, and no fixed matrix sees the pair.
The baselines learn from the same sequences and need scikit-learn: pip install scikit-learn"""
import argparse
import sys

import numpy as np

import streamrnn as sr
from streamrnn import metrics

BASES, LENGTH, SPACER = "ACGT", 120, (2, 12)
LEFT, RIGHT = "TGACTCAG", "CATTGCGA"
KEPT = np.array([0.75, 0.92, 0.97, 0.95, 0.85, 0.97, 0.95, 0.75])  # how often each position of a half site is not mutated
DECOYS = "nothing", "left alone", "right alone", "left twice", "wrong order", "too far apart"


def half(consensus, rng):
    """A half site with its mutations."""
    mutated = rng.random(len(KEPT)) > KEPT
    return (np.array([BASES.index(base) for base in consensus]) + mutated * rng.integers(1, 4, len(KEPT))) % 4


def sequence(kind, rng):
    """(bases (LENGTH,), where the left half and the right half start; for decoys None)"""
    gc = rng.uniform(0.3, 0.6)
    bases = rng.choice(4, LENGTH, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])
    planted = {"site": (LEFT, RIGHT), "too far apart": (LEFT, RIGHT), "wrong order": (RIGHT, LEFT), "left twice": (LEFT, LEFT),
               "left alone": (LEFT,), "right alone": (RIGHT,), "nothing": ()}[kind]
    gap = rng.integers(25, 50) if kind == "too far apart" else rng.integers(SPACER[0], SPACER[1] + 1)
    first = rng.integers(0, LENGTH - 16 - gap)
    starts = [first, first + 8 + gap][:len(planted)]
    for start, consensus in zip(starts, planted, strict=True):
        bases[start:start + 8] = half(consensus, rng)
    return bases, starts if kind == "site" else None


def sequences(count, rng):
    """bases (count, LENGTH), 0 to 3; where the two halves start, (count, 2), -1 where there is no site."""
    bases, starts = np.zeros((count, LENGTH), np.int64), np.full((count, 2), -1)
    for k in range(count):
        bases[k], found = sequence("site" if rng.random() < 0.5 else rng.choice(DECOYS), rng)
        starts[k] = found or starts[k]
    return bases, starts


def one_hot(bases):
    return np.eye(4, dtype=np.float32)[bases]


def train(bases, starts, units=48, epochs=24, seed=0):
    """A trained model and its History. The target stands at every base: has a site been completed by now?"""
    ends = np.where(starts[:, 1] < 0, LENGTH, starts[:, 1] + 7)
    target = (np.arange(LENGTH) >= ends[:, None]).astype(np.float32)
    model = sr.Model(inputs=4, layers=[sr.GRU(units), sr.Dense(1)], seed=seed)
    history = sr.fit(model, one_hot(bases), target[..., None], loss="bce", optimizer=sr.Adam(1e-2, clip=1.0), schedule=sr.Cosine(),
                     batch=64, epochs=epochs, validation=0.1, seed=seed)
    return model, history


# -- baselines, learnt from the same sequences -------------------------------------------------------------------------

def matrix(bases, first, width):
    """Log-odds (width, 4) of the bases from `first` (n,) on, beside the background."""
    counts = one_hot(bases[np.arange(len(first))[:, None], first[:, None] + np.arange(width)]).sum(0) + 1
    background = np.bincount(bases.ravel(), minlength=4) / bases.size
    return np.log(counts / counts.sum(1, keepdims=True) / background)


def scan(weights, bases):
    """The score of a matrix at every place, (n, LENGTH - width + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(bases, len(weights), axis=1)
    return weights[np.arange(len(weights)), windows].sum(-1)


def fixed_matrix(bases, starts, test):
    """The best single matrix: of any width from 8 to 28, over the known sites by their left end or by their right."""
    there = starts[:, 0] >= 0
    sites, known = bases[there], starts[there]
    best = []
    for width in range(8, 29):
        for first in (np.minimum(known[:, 0], LENGTH - width), np.maximum(known[:, 1] + 8 - width, 0)):
            weights = matrix(sites, first, width)
            best.append((metrics.roc_auc(there, scan(weights, bases).max(1)), width, weights))
    return scan(max(best, key=lambda one: one[:2])[2], test).max(1)


def two_matrices(bases, starts, test):
    """A matrix for each half; the best place of each, added, wherever the two may be."""
    there = starts[:, 0] >= 0
    return sum(scan(matrix(bases[there], starts[there, k], 8), test).max(1) for k in (0, 1))


def kmers(bases, k=6):
    words = np.lib.stride_tricks.sliding_window_view(bases, k, axis=1) @ 4 ** np.arange(k)
    counts = np.zeros((len(bases), 4 ** k), np.float32)
    np.add.at(counts, (np.arange(len(bases))[:, None], words), 1)
    return counts


def kmer_regression(bases, starts, test):
    """Logistic regression on how often each of the 4,096 words of 6 bases occurs; its penalty is chosen on a fifth."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        sys.exit("this example takes its baselines from scikit-learn: pip install scikit-learn")
    x, there, held = kmers(bases), starts[:, 0] >= 0, len(bases) // 5
    fitted = lambda penalty, rows: LogisticRegression(C=penalty, max_iter=300).fit(x[rows], there[rows])
    worth = lambda penalty: metrics.roc_auc(there[:held], fitted(penalty, slice(held, None)).decision_function(x[:held]))
    return fitted(max((1e-4, 1e-3, 1e-2), key=worth), slice(None)).decision_function(kmers(test))


def recipe(bases, starts, test):
    """What nobody has in earnest: a matrix for each half, and the rule by which the sites are planted."""
    there = starts[:, 0] >= 0
    left, right = (scan(matrix(bases[there], starts[there, k], 8), test) for k in (0, 1))
    return np.max([(left[:, :-8 - gap] + right[:, 8 + gap:]).max(1) for gap in range(SPACER[0], SPACER[1] + 1)], axis=0)


# -- what the net learnt -----------------------------------------------------------------------------------------------

def placed(logits):
    """The base at which a site was first believed complete (n,), -1 where it never was."""
    believed = logits > 0
    return np.where(believed.any(1), believed.argmax(1), -1)


def learnt(model, bases, starts, count=100):
    """(16, 4): how much the answer at a site's end moves by each base of its two halves, on average over `count` sites."""
    known = np.flatnonzero(starts[:, 0] >= 0)[:count]
    total = np.zeros((16, 4))
    for k in known:
        gradient = sr.saliency(model, one_hot(bases[k]), at=min(starts[k, 1] + 9, LENGTH - 1)).gradient
        total += gradient[np.r_[starts[k, 0]:starts[k, 0] + 8, starts[k, 1]:starts[k, 1] + 8]]
    return (total - total.mean(1, keepdims=True)) / len(known)


def consensus(heights):
    return "".join(BASES[base] for base in heights.argmax(1))


def draw(heights, path):
    """A logo: letters as tall as the answer moves by them, the strongest on top; below the line those that speak against."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
    colours = dict(zip(BASES, ("#2a9d4a", "#2b6cb0", "#d98e04", "#c0392b"), strict=True))
    for place, row in enumerate(heights):
        x, up, down = place + (2 if place >= 8 else 0), 0.0, 0.0
        for base in np.argsort(np.abs(row)):
            letter = TextPath((0, 0), BASES[base], size=1, prop={"weight": "bold", "family": "DejaVu Sans"})
            box, height = letter.get_extents(), abs(row[base])
            bottom = up if row[base] > 0 else down - height
            up, down = (up + height, down) if row[base] > 0 else (up, down - height)
            fit = Affine2D().translate(-box.x0, -box.y0).scale(0.92 / box.width, height / box.height).translate(x - 0.46, bottom)
            axes.add_patch(PathPatch(letter.transformed(fit), color=colours[BASES[base]], lw=0, alpha=1 if row[base] > 0 else 0.35))
    for start, name, planted in ((0, "left half", LEFT), (10, "right half", RIGHT)):
        axes.text(start + 3.5, 1.02, f"{name}, planted: {planted}", ha="center", va="bottom", transform=axes.get_xaxis_transform())
    axes.text(8.5, 0.02, f"{SPACER[0]} to {SPACER[1]}\nbases", ha="center", va="bottom", color="grey", transform=axes.get_xaxis_transform())
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlim=(-0.7, 17.7), xticks=[*range(8), *range(10, 18)], xticklabels=[*range(1, 9)] * 2,
             xlabel="position in the half site", ylabel="the answer moves by (logits)")
    axes.autoscale(axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--count", type=int, default=6000, help="sequences to learn from")
    parser.add_argument("--units", type=int, default=48, help="units of the GRU")
    parser.add_argument("--epochs", type=int, default=24, help="times through them")
    parser.add_argument("--seed", type=int, default=0, help="of the sequences and the first weights")
    parser.add_argument("--plot", metavar="FILE", help="draw what the net learnt")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    (bases, starts), (test, truth) = sequences(options.count, rng), sequences(2000, rng)
    model, history = train(bases, starts, options.units, options.epochs, options.seed)
    print(f"{model}\ntrained on {len(bases):,} sequences of {LENGTH} bases, {history.epochs} epochs, {sum(history.seconds):.1f} s")

    logits, there = model.run(one_hot(test))[..., 0], truth[:, 0] >= 0
    print(f"is there a site? {len(test):,} other sequences: area under the ROC curve, and sites found where 95 % of the finds are sites")
    rows = [("one matrix, fixed", fixed_matrix), ("two matrices, anywhere", two_matrices), ("words of 6 bases", kmer_regression)]
    scores = [(name, baseline(bases, starts, test)) for name, baseline in rows]
    for name, score in [*scores, ("net, after the last base", logits[:, -1]), ("(the recipe itself)", recipe(bases, starts, test))]:
        print(f"  {name:<26}{metrics.roc_auc(there, score):>7.3f}{metrics.recall_at(there, score, 0.95):>7.0%}")
    places = placed(logits[there]) - (truth[there, 1] + 7)
    print(f"where? It first believes in a site within 3 bases of its end in {np.mean(np.abs(places) <= 3):.0%} of those that hold one")

    heights = learnt(model, test, truth)
    print(f"planted {LEFT} and {RIGHT}; what moves the answer most: {consensus(heights[:8])} and {consensus(heights[8:])}")

    shown = np.flatnonzero(there)[np.abs(places).argmin()]
    stream, (left, right) = model.stream(), truth[shown]
    print(f"a sequence in which it finds the site, as a stream, base by base (left half at {left}, right half at {right}):")
    p = np.array([1 / (1 + np.exp(-stream.step(base)[0])) for base in one_hot(test[shown])])
    marked = "".join(BASES[base] if left <= k < left + 8 or right <= k < right + 8 else BASES[base].lower()
                     for k, base in enumerate(test[shown]))
    for start in range(0, LENGTH, 60):
        print(f"  {marked[start:start + 60]}\n  " + "".join(str(int(10 * one)) for one in p[start:start + 60]) + "   tenths of certainty")
    if options.plot:
        draw(heights, options.plot)
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
