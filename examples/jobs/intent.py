"""What is wanted: "turn on the fan, no, the light" is about the light. An LSTM reads commands word by word, and changes its mind.

Run it: python examples/jobs/intent.py   (--plot intent.png draws what it believes after each word; needs matplotlib)
Commands to a house are drawn from a grammar of this script: a thing, on or off, often beside a thing or a direction that
is not meant. A third of all combinations (phrase, meant, not meant) is kept for the test: its words and phrases were all
seen, but never so together. Where the words are the same and their order is not, a bag of words cannot tell."""
import argparse
from itertools import product

import numpy as np

import streamrnn as sr
from streamrnn import metrics

THINGS = {"light": ("light", "lamp"), "fan": ("fan", "ventilator"), "heater": ("heater", "heating"),
          "radio": ("radio", "music"), "oven": ("oven", "stove"), "screen": ("screen", "television")}
CLASSES = [f"{thing} {way}" for thing in THINGS for way in ("on", "off")] + ["nothing"]
PHRASES = [  # {A} is meant, {B} is not; {on} is what is wanted, {off} what is not
    "turn {on} the {A}", "turn the {A} {on}", "could you switch the {A} {on}", "the {A} {on}",
    "turn {on} the {A}, not the {B}", "turn {on} not the {B} but the {A}", "not the {B}, turn the {A} {on}",
    "the {A} should be {on}, the {B} should stay", "leave the {B} and turn {on} the {A}",
    "leave the {B} {off}, but turn the {A} {on}", "turn {on} the {B}, no, the {A}", "turn the {B} {on}, sorry, i mean the {A}",
    "turn the {A} {off}, no, {on}", "switch {off} the {A}, wait, {on}", "the {B} {off}, no, the {A} {on}",
    "do not leave the {A} {off}", "the {A} should not be {off}", "i do not want the {A} {off}", "why is the {A} not {on}",
    "the {B} is {on}, why is the {A} not", "i want the {A} {on}, do not touch the {B}"]
NOTHING = [
    "the {A} is {on}, leave it", "turn {on} the {A}, no, forget it", "do not turn {on} the {A}, and not the {B}",
    "the {A} is not {off}, that is good", "turn the {A} {on}, no, leave it {off}", "leave the {A} and the {B} {off}"]
BEFORE = ["", "please ", "hey, ", "well, ", "now ", "okay, "]
AFTER = ["", " please", " now", " in the kitchen", " for me", " tonight"]


def commands(seed):
    """[(text, class)] to learn from and to test on: a third of all combinations is in the test alone."""
    rng, combinations = np.random.default_rng(seed), {}
    for phrase, a, b, on in product([*PHRASES, *NOTHING], THINGS, THINGS, ("on", "off")):
        if a != b:  # a phrase without {B} is one combination, whatever b is, and is said as often as the others together
            combinations.setdefault((phrase, a, b if "{B}" in phrase else "", on), []).append(b)
    keys, texts = list(combinations), ([], [])
    for number, key in enumerate(rng.permutation(len(keys))):
        phrase, a, b, on = keys[key]
        for _ in range(3 * len(combinations[keys[key]])):
            text = phrase.format(A=rng.choice(THINGS[a]), B=rng.choice(THINGS[b]) if b else "", on=on, off="off" if on == "on" else "on")
            said = "nothing" if phrase in NOTHING else f"{a} {on}"
            texts[number < len(keys) // 3].append((str(rng.choice(BEFORE)) + text + str(rng.choice(AFTER)), CLASSES.index(said)))
    return texts


def train(learn, units=64, epochs=30, seed=0):
    """A trained model; its tokens are in it. The class of a sentence is due once, after its last word."""
    words = sr.Words.of([text for text, _ in learn])
    model = sr.Model(inputs=1, layers=[sr.Embedding(len(words), 32), sr.Dropout(0.2), sr.LSTM(units), sr.Dropout(0.3),
                                       sr.Dense(len(CLASSES), "softmax")], seed=seed, tokens=words)
    x, lengths = sr.pad([words.encode(text) for text, _ in learn])
    history = sr.fit(model, x, [said for _, said in learn], lengths=lengths, loss="cross_entropy", batch=32, epochs=epochs,
                     optimizer=sr.Adam(1e-2, clip=1.0), schedule=sr.Cosine(), seed=seed)
    return model, sum(history.seconds)


def called(model, texts):
    """The class of each text: the most likely one after its last word."""
    x, lengths = sr.pad([model.tokens.encode(text) for text in texts])
    return model.run(x, lengths)[np.arange(len(x)), lengths - 1].argmax(-1)


def runs(tokens, longest):
    """Every run of up to `longest` neighbouring words."""
    return [tuple(tokens[k:k + length]) for length in range(1, longest + 1) for k in range(len(tokens) - length + 1)]


def bag(learn, test, longest=1, steps=300):
    """The share of test sentences that a logistic regression calls right from the words alone; with longest=2 also from pairs."""
    cut = [[runs(sr.Words.pieces(text), longest) for text, _ in texts] for texts in (learn, test)]
    column = {run: k for k, run in enumerate(sorted({run for found in cut[0] for run in found}))}
    x = [np.zeros((len(texts), len(column)), np.float32) for texts in cut]
    for counts, texts in zip(x, cut, strict=True):
        for row, found in zip(counts, texts, strict=True):
            np.add.at(row, [column[run] for run in found if run in column], 1)
    truth = [np.array([said for _, said in texts]) for texts in (learn, test)]
    weights, speed, goal = np.zeros((len(column), len(CLASSES)), np.float32), 0, np.eye(len(CLASSES), dtype=np.float32)[truth[0]]
    for _ in range(steps):  # gradient descent with momentum
        p = np.exp(x[0] @ weights)
        speed = 0.9 * speed - x[0].T @ (p / p.sum(1, keepdims=True) - goal) / len(goal)
        weights += speed
    return metrics.accuracy(truth[1], (x[1] @ weights).argmax(1))


def believe(model, text):
    """A stream, word by word: [(word, probabilities of the classes)]."""
    stream = model.stream()
    return [(model.tokens.vocabulary[token], stream.step([token])) for token in model.tokens.encode(text)]


def draw(believed, path):
    """What is believed after each word: a line for each class that was ever likely, and one for the others together."""
    from matplotlib import pyplot
    p = np.stack([p for _, p in believed])
    likely = np.flatnonzero(p.max(0) > 0.4)
    figure, axis = pyplot.subplots(figsize=(9, 3.6), layout="constrained")
    for k in likely:
        axis.plot(p[:, k], marker="o", linewidth=2, label=CLASSES[k])
    axis.plot(1 - p[:, likely].sum(1), color="0.7", linestyle="--", label="all others")
    axis.set_xticks(range(len(p)), [word for word, _ in believed], rotation=30 if len(p) > 12 else 0)
    axis.set(xlabel="the words, as they come", ylabel="probability after the word", ylim=(-0.03, 1.03))
    axis.set_title("The belief turns with the words", loc="left")
    axis.grid(alpha=0.25)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--units", type=int, default=64, help="units of the LSTM")
    parser.add_argument("--epochs", type=int, default=30, help="times through the sentences")
    parser.add_argument("--seed", type=int, default=0, help="of the sentences and the first weights")
    parser.add_argument("--say", default="turn on the fan, no, the light", help="a command to stream")
    parser.add_argument("--plot", metavar="FILE", help="draw what it believes while the command comes in")
    options = parser.parse_args()

    learn, test = commands(options.seed)
    model, seconds = train(learn, options.units, options.epochs, options.seed)
    truth, most = np.array([said for _, said in test]), np.bincount([said for _, said in learn]).argmax()
    print(f"{model}\ntrained on {len(learn):,} sentences, {options.epochs} epochs, {seconds:.1f} s")
    print(f"right on {len(test):,} others, whose combinations were never seen:")
    print(f"  {'always ' + CLASSES[most]:<24}{(truth == most).mean():>7.1%}")
    for name, longest in (("bag of words", 1), ("bag of words and pairs", 2)):
        print(f"  {name:<24}{bag(learn, test, longest):>7.1%}")
    print(f"  {'LSTM, word by word':<24}{metrics.accuracy(truth, called(model, [text for text, _ in test])):>7.1%}")

    print("as a stream: what it believes after each word, and its second thought")
    believed = believe(model, options.say)
    for word, p in believed:
        second, first = np.argsort(p)[-2:]
        print(f"  {word:<10}{CLASSES[first]:<12}{p[first]:>4.0%} {'#' * round(20 * p[first]):<22}{CLASSES[second]:<12}{p[second]:>4.0%}")
    if options.plot:
        draw(believed, options.plot)
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
