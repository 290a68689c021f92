"""The next character: an LSTM reads the start of Alice's Adventures in Wonderland, then writes on by itself.

Run it: python examples/jobs/text.py [--text FILE]   (--plot text.png draws what surprises it; needs matplotlib)
The text is one long series. fit cuts it into `batch` pieces that run side by side, updates after every `window` characters
and carries the states over from window to window (truncated backpropagation through time). A tenth of the text says when to
stop, and the last tenth, which nothing has seen, is the test; there it is compared with a trigram model, which goes by the
two characters before. The text bundled is chapters I to IV (Lewis Carroll, 1865; public domain), a paragraph a line."""
import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

import streamrnn as sr
from streamrnn import metrics

ALICE = Path(__file__).parents[1] / "data" / "alice.txt"


def ngram(tokens, order, size):
    """P(next | the order - 1 before), (size, ..., size): each order fills up from the one below (Witten and Bell 1991)."""
    p = np.full(size, 1 / size)
    for n in range(1, order + 1):
        counts = np.zeros((size,) * n)
        np.add.at(counts, tuple(tokens[k:len(tokens) - n + 1 + k] for k in range(n)), 1)
        kinds = np.maximum(1, (counts > 0).sum(-1, keepdims=True))  # how many different characters came next
        p = (counts + kinds * p) / (counts.sum(-1, keepdims=True) + kinds)
    return p


def ngram_perplexity(learnt, test, order, size):
    p = ngram(learnt, order, size)
    before = tuple(test[k:len(test) - order + 1 + k] for k in range(order - 1))
    return metrics.perplexity(test[order - 1:], p[before], logits=False)


def train(tokens, size, units=128, epochs=30, seed=0):
    """A trained model and its History; the last ninth of the tokens picks the epoch."""
    model = sr.Model(inputs=1, layers=[sr.Embedding(size, 32), sr.LSTM(units), sr.Dropout(0.5), sr.Dense(size)], seed=seed)
    history = sr.fit(model, tokens[:-1, None], tokens[1:], loss="cross_entropy", batch=16, window=50, validation=1 / 9,
                     optimizer=sr.Adam(1e-2, clip=1.0), schedule=sr.Cosine(), epochs=epochs, seed=seed)
    return model, history


def write(model, characters, start, length, temperature, rng):
    """A stream goes through `start`; then each character that is drawn from its answer is given back to it. One at a time."""
    stream = model.stream()
    for token in characters.encode(start):
        logits = stream.step([token])
    for _ in range(length):
        p = np.exp((logits[2:] - logits[2:].max()) / temperature)  # tokens 0 and 1 are padding and unknown
        token = int(rng.choice(len(p), p=p / p.sum())) + 2
        yield characters.vocabulary[token]
        logits = stream.step([token])


def surprise(model, tokens):
    """What each token but the first cost, in bits: -log2 of the probability that it had, a stream's answer to the one before."""
    stream, bits = model.stream(), []
    for token, following in pairwise(tokens):
        logits = stream.step([token]).astype(np.float64)
        bits.append((np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[following]) / np.log(2))
    return np.array(bits)


def draw(model, characters, text, learnt, path):
    """The surprise at each character of a text (its first 80 are run through first), beside the trigram model's."""
    from matplotlib import pyplot
    tokens = characters.encode(text)
    theirs = -np.log2(ngram(learnt, 3, len(characters))[tokens[:-2], tokens[1:-1], tokens[2:]])[79:]
    ours, shown = surprise(model, tokens)[80:], text[81:].replace(" ", "\u2423")
    figure, axis = pyplot.subplots(figsize=(12, 3.4), layout="constrained")
    first = np.array([before == " " for before in text[80:-1]])
    for colour, chosen, name in (("tab:red", first, "LSTM, the first letter of a word"), ("tab:blue", ~first, "LSTM, what follows")):
        axis.bar(np.flatnonzero(chosen), ours[chosen], color=colour, label=name)
    axis.plot(theirs, color="0.3", marker="_", linestyle="", markersize=8, label="trigram")
    axis.set_xticks(range(len(ours)), list(shown), fontsize=9)
    axis.set(xlabel="the text, which neither has seen", ylabel="surprise, bits", xlim=(-1, len(ours)))
    axis.set_title("What is hard to guess is how a word begins", loc="left")
    axis.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1, ncols=3)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--text", type=Path, default=ALICE, help="a text file in UTF-8")
    parser.add_argument("--units", type=int, default=128, help="units of the LSTM")
    parser.add_argument("--epochs", type=int, default=30, help="times through the text")
    parser.add_argument("--start", default="Alice ", help="what it goes on from")
    parser.add_argument("--length", type=int, default=400, help="characters to write")
    parser.add_argument("--temperature", type=float, default=0.6, help="below 1 plays safe, above 1 dares")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of what is written")
    parser.add_argument("--plot", metavar="FILE", help="draw how surprised it is by a passage that it has not seen")
    options = parser.parse_args()

    text = options.text.read_text(encoding="utf-8")
    learn, test = text[:len(text) * 9 // 10], text[len(text) * 9 // 10:]
    characters = sr.Characters.of(learn)
    learnt, tested, size = characters.encode(learn), characters.encode(test), len(characters)
    model, history = train(learnt, size, options.units, options.epochs, options.seed)
    print(f"{model}\ntrained on {len(learn):,} characters, {history.epochs} epochs, {sum(history.seconds):.1f} s; "
          f"kept: epoch {history.best + 1}")

    print(f"perplexity on the {len(test):,} characters that follow: among how many it wavers, of {size}")
    for order, name in enumerate(("bigram", "trigram"), 2):
        print(f"  {name:<8}{ngram_perplexity(learnt, tested, order, size):>6.2f}")
    print(f"  {'LSTM':<8}{metrics.perplexity(tested[1:], model.run(tested[:-1, None])):>6.2f}")

    print(f"\nit writes, at temperature {options.temperature}:\n")
    print(options.start, end="")
    for character in write(model, characters, options.start, options.length, options.temperature, np.random.default_rng(options.seed)):
        print(character, end="", flush=True)
    print()
    if options.plot:
        draw(model, characters, test[:180], learnt, options.plot)
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
