"""The adding problem: remember two numbers out of a hundred and add them. LSTM and GRU learn it, the plain RNN does not.

Run it: python examples/adding.py
Each step brings a random number and a marker, which is 1 at two steps, one in each half (Hochreiter and Schmidhuber 1997).
The target is the sum of the two marked numbers, at the last step. Who always guesses 1 has a squared error of 1/6; to do
better, a net must carry the first number over dozens of steps, and back the error must come the same way."""
import argparse

import numpy as np

import streamrnn as sr

GUESS = 1 / 6  # the variance of the sum of two numbers from 0 to 1


def sequences(count, length, rng):
    """x (count, length, 2): number and marker; y (count, 1): the sum, one target a sequence."""
    x = np.zeros((count, length, 2), np.float32)
    x[..., 0] = rng.random((count, length))
    every, half = np.arange(count), length // 2
    x[every, rng.integers(0, half, count), 1] = 1
    x[every, rng.integers(half, length, count), 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(1, keepdims=True)


def train(cell, length=100, units=32, count=5000, epochs=20, seed=0):
    """A trained model, its mean squared error on a thousand fresh sequences, and the seconds that the training took."""
    rng = np.random.default_rng(seed)
    x, y = sequences(count, length, rng)
    model = sr.Model(inputs=2, layers=[cell(units), sr.Dense(1)], seed=seed)
    history = sr.fit(model, x, y, optimizer=sr.Adam(5e-3, clip=1.0), batch=50, epochs=epochs, seed=seed)
    x, y = sequences(1000, length, rng)
    return model, float(np.mean((model.run(x)[:, -1] - y) ** 2)), sum(history.seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--length", type=int, default=100, help="steps in a sequence")
    parser.add_argument("--units", type=int, default=32, help="units of the recurrent layer")
    parser.add_argument("--count", type=int, default=5000, help="sequences to learn from")
    parser.add_argument("--epochs", type=int, default=20, help="times through them")
    parser.add_argument("--seed", type=int, default=0, help="of data and first weights")
    options = parser.parse_args()

    print(f"{options.count:,} sequences of {options.length} steps, {options.epochs} epochs; squared error on 1,000 others:")
    print(f"  {'always 1':<10}{GUESS:>10.5f}")
    for cell in (sr.RNN, sr.LSTM, sr.GRU):
        model, error, seconds = train(cell, **vars(options))
        print(f"  {cell.__name__:<10}{error:>10.5f}   {model.parameters:>6,} parameters, {seconds:.1f} s")

    x, y = sequences(1, options.length, np.random.default_rng(options.seed + 1))
    stream = model.stream()
    for x_t in x[0]:
        answer = stream.step(x_t)
    first, second = x[0, x[0, :, 1] == 1, 0]
    print(f"the {cell.__name__} as a stream, number by number: {first:.3f} + {second:.3f} = {answer[0]:.3f} (exactly {y[0, 0]:.3f})")


if __name__ == "__main__":
    main()
