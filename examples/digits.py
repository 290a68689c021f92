"""Handwritten digits, read a row of pixels at a time: trained on whole pictures, then run as a stream that says what it believes.

Run it: python examples/digits.py
It needs scikit-learn for its 1,797 pictures of 8 x 8: pip install scikit-learn
The target stands at every row, not at the last alone, so that the belief means something before the picture is complete."""
import argparse
import sys

import numpy as np

import streamrnn as sr
from streamrnn import metrics

SHADES = " .:-=+*#%@"


def pictures(seed):
    """(x, labels) to learn from and to test on: x (n, 8, 8) from 0 to 1, a quarter of the pictures in the test."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("this example takes its pictures from scikit-learn: pip install scikit-learn")
    digits = load_digits()
    x, labels = digits.images.astype(np.float32) / 16, digits.target
    order = np.random.default_rng(seed).permutation(len(x))
    learn, test = order[len(x) // 4:], order[:len(x) // 4]
    return (x[learn], labels[learn]), (x[test], labels[test])


def train(x, labels, units=64, epochs=30, seed=0):
    """A trained model and the seconds that the training took."""
    x = np.concatenate([np.roll(x, shift, axis=2) for shift in (-1, 0, 1)])  # also a pixel to the left, a pixel to the right
    y = np.tile(labels[:, None], (3, x.shape[1]))                            # (n, 8): the same label at every row
    model = sr.Model(inputs=8, layers=[sr.Dropout(0.1), sr.LSTM(units), sr.Dropout(0.3), sr.Dense(10, "softmax")], seed=seed)
    history = sr.fit(model, x, y, loss="cross_entropy", optimizer=sr.AdamW(1e-2, decay=0.1, clip=1.0), schedule=sr.Cosine(),
                     batch=32, epochs=epochs, seed=seed)
    return model, sum(history.seconds)


def belief(model, picture):
    """Stream one picture: after each row, print it and the two digits that are most likely."""
    stream = model.stream()
    for row in picture:
        p = stream.step(row)
        second, first = np.argsort(p)[-2:]
        shown = "".join(SHADES[int(pixel * 9)] * 2 for pixel in row)
        print(f"  |{shown}|  {first} {p[first]:>4.0%} {'#' * round(20 * p[first]):<20}  {second} {p[second]:>4.0%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--units", type=int, default=64, help="units of the LSTM")
    parser.add_argument("--epochs", type=int, default=30, help="times through the pictures")
    parser.add_argument("--seed", type=int, default=0, help="of the split and the first weights")
    options = parser.parse_args()

    (x, labels), (test, truth) = pictures(options.seed)
    model, seconds = train(x, labels, **vars(options))
    print(f"{model}\ntrained on {len(x):,} pictures, {options.epochs} epochs, {seconds:.1f} s")

    p = model.run(test)     # (n, 8, 10): a belief after every row
    called = p.argmax(-1)
    print(f"right on {len(test)} others: {metrics.accuracy(truth, called[:, -1]):.1%} after the last row; "
          "after each: " + " ".join(f"{share:.0%}" for share in (called == truth[:, None]).mean(0)))
    print("down: the digit; across: what it was called")
    for digit, row in enumerate(metrics.confusion(truth, called[:, -1], classes=10)):
        print(f"  {digit} " + "".join(f"{count:>4}" if count else "   ." for count in row))

    changes = (called[:, 1:] != called[:, :-1]).sum(1)
    picture = np.where(p[:, -1].max(-1) > 0.9, changes, 0).argmax()  # it is sure in the end, and changed its mind most
    print(f"a {truth[picture]} as a stream, row by row: what it believes, and its second thought")
    belief(model, test[picture])


if __name__ == "__main__":
    main()
