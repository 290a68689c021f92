"""Copy memory: ten symbols come, then a long silence, then a signal to say them again, in order, from the state alone.

Run it: python examples/copy_memory.py
The alphabet is eight symbols, a blank and the signal (Arjovsky, Shah and Bengio 2016). A net without memory can do no better
than blanks while it waits and a guess among eight for each recalled symbol: a cross-entropy of 10 ln 8 / (delay + 20) a step.
A training that only saw the mean over all steps would dwell on the blanks, so their class weighs a tenth in the loss."""
import argparse
from math import log

import numpy as np

import streamrnn as sr
from streamrnn import metrics

SYMBOLS, REMEMBER = 8, 10
BLANK, SIGNAL = SYMBOLS, SYMBOLS + 1
FACES = "abcdefgh.?"  # how they are printed


def sequences(count, delay, rng):
    """x and y (count, delay + 20): the tokens that come in, and those that should go out."""
    symbols = rng.integers(0, SYMBOLS, (count, REMEMBER))
    x = np.full((count, delay + 2 * REMEMBER), BLANK)
    y = x.copy()
    x[:, :REMEMBER], y[:, -REMEMBER:] = symbols, symbols
    x[:, -REMEMBER - 1] = SIGNAL
    return x, y


def train(delay=30, units=128, count=20_000, epochs=7, seed=0):
    """A trained model and the seconds that the training took."""
    x, y = sequences(count, delay, np.random.default_rng(seed))
    model = sr.Model(inputs=1, layers=[sr.Embedding(SYMBOLS + 2, 10), sr.GRU(units), sr.Dense(SYMBOLS + 1)], seed=seed)
    history = sr.fit(model, x[..., None], y, loss=sr.CrossEntropy(weights=[1.0] * SYMBOLS + [0.1]),
                     optimizer=sr.Adam(1e-2, clip=1.0), schedule=sr.Cosine(), batch=32, epochs=epochs, seed=seed)
    return model, sum(history.seconds)


def measure(model, delay, rng):
    """(cross-entropy a step, the share of symbols recalled right) on a thousand fresh sequences; all steps count alike."""
    x, y = sequences(1000, delay, rng)
    logits = model.run(x[..., None])
    right = metrics.accuracy(y[:, -REMEMBER:], logits[:, -REMEMBER:].argmax(-1))
    return log(metrics.perplexity(y, logits)), right


def baseline(delay):
    return REMEMBER * log(SYMBOLS) / (delay + 2 * REMEMBER)


def show(tokens):
    return "".join(FACES[token] for token in tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--delay", type=int, default=30, help="steps between the last symbol and the first to recall")
    parser.add_argument("--units", type=int, default=128, help="units of the GRU")
    parser.add_argument("--count", type=int, default=20_000, help="sequences to learn from")
    parser.add_argument("--epochs", type=int, default=7, help="times through them")
    parser.add_argument("--seed", type=int, default=0, help="of data and first weights")
    options = parser.parse_args()

    model, seconds = train(**vars(options))
    print(f"{model}\ntrained on {options.count:,} sequences, {options.epochs} epochs, {seconds:.1f} s")
    rng = np.random.default_rng(options.seed + 1)
    loss, right = measure(model, options.delay, rng)
    print(f"on 1,000 others: cross-entropy {loss:.5f} a step, {baseline(options.delay):.5f} without memory; "
          f"{right:.2%} of the symbols recalled")

    x, _ = sequences(1, options.delay, rng)
    stream = model.stream()
    print("as a stream\n  in   " + show(x[0]))
    print("  out  " + show(stream.step([token]).argmax() for token in x[0]))


if __name__ == "__main__":
    main()
