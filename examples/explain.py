"""What a net looks at, where the answer is known: of fifty numbers, two are marked, and the net adds the two.

Run it: python examples/explain.py   (--plot explain.png draws it; needs matplotlib)
Which numbers does its answer come from? Move each a little, and the answer should move with the two marked ones, one for one,
and with no other. The saliency says it without moving any: it is the gradient of the last output by every past input."""
import argparse

import numpy as np

import streamrnn as sr


def sequences(count, length, rng):
    """x (count, length, 2): number and mark; y (count, 1): the sum of the two that are marked, one in each half."""
    x = np.zeros((count, length, 2), np.float32)
    x[..., 0] = rng.random((count, length))
    every, half = np.arange(count), length // 2
    x[every, rng.integers(0, half, count), 1] = 1
    x[every, rng.integers(half, length, count), 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(1, keepdims=True)


def train(length=50, units=32, count=5000, epochs=15, seed=0):
    x, y = sequences(count, length, np.random.default_rng(seed))
    model = sr.Model(inputs=2, layers=[sr.LSTM(units), sr.Dense(1)], seed=seed)
    sr.fit(model, x, y, optimizer=sr.Adam(5e-3, clip=1.0), batch=50, epochs=epochs, seed=seed)
    return model


def found(model, x):
    """(the two steps whose numbers the answer comes from most, their shares of all numbers' gradients)"""
    moments = sr.saliency(model, x, columns=["number", "mark"]).strongest(2, column="number", by="gradient")
    return sorted(one.step for one in moments), [one.share for one in moments]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--length", type=int, default=50, help="steps in a sequence")
    parser.add_argument("--count", type=int, default=5000, help="sequences to learn from")
    parser.add_argument("--epochs", type=int, default=15, help="times through them")
    parser.add_argument("--seed", type=int, default=0, help="of data and first weights")
    parser.add_argument("--plot", metavar="FILE", help="draw the first sequence")
    options = parser.parse_args()

    model = train(options.length, count=options.count, epochs=options.epochs, seed=options.seed)
    x, y = sequences(100, options.length, np.random.default_rng(options.seed + 1))
    saliency = sr.saliency(model, x[0], columns=["number", "mark"])
    print(f"the marked steps are {', '.join(map(str, np.flatnonzero(x[0, :, 1])))}, the sum is {y[0, 0]:.3f}")
    print(saliency.explain(3, by="gradient"))
    right = sum(found(model, part)[0] == np.flatnonzero(part[:, 1]).tolist() for part in x)
    print(f"the two strongest numbers are the marked ones in {right} of {len(x)} sequences")

    inside = sr.activations(model, x[0])["layers.0"]
    marked, others = (inside["i"][x[0, :, 1] == mark].mean(0) for mark in (1, 0))
    unit = int(np.argmax(marked - others))
    print(f"the input gate of unit {unit} is {marked[unit]:.2f} at marked steps, {others[unit]:.2f} at others")
    print(sr.projection(model, x))
    if options.plot:
        saliency.plot(options.plot, by="gradient")
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
