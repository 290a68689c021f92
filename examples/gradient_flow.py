"""How far back in time does a gradient reach? RNN, LSTM and GRU after learning to add two numbers far apart.

Run it: python examples/gradient_flow.py [--picture flow.png]
A net learns from what lies k steps back only if something of the error's gradient arrives there. In a plain RNN it
vanishes, or it explodes where the recurrent weights are large; the gates of LSTM and GRU learn to let it through.
"""
import argparse

import numpy as np
from adding import sequences

import streamrnn as sr


def flows(length=100, count=5000, epochs=20, seed=0):
    """{name: Flow} of each cell after the adding problem, and of an RNN whose recurrent weights are too large."""
    rng = np.random.default_rng(seed)
    x, y = sequences(count, length, rng)
    found = {}
    for cell in (sr.RNN, sr.LSTM, sr.GRU):
        model = sr.Model(inputs=2, layers=[cell(32), sr.Dense(1)], seed=seed)
        sr.fit(model, x, y, optimizer=sr.Adam(5e-3, clip=1.0), batch=50, epochs=epochs, seed=seed)
        found[cell.__name__] = sr.gradient_flow(model, x, y)
    large = sr.Model(inputs=2, layers=[sr.RNN(32, "relu"), sr.Dense(1)], seed=seed)
    hidden = "layers.0.weight_hh_l0"
    large = large.with_tensors({**large.tensors, hidden: 2 * large.tensors[hidden]})
    found["RNN, large weights"] = sr.gradient_flow(large, x, y)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--length", type=int, default=100, help="steps in a sequence")
    parser.add_argument("--count", type=int, default=5000, help="sequences to learn from")
    parser.add_argument("--epochs", type=int, default=20, help="times through the sequences")
    parser.add_argument("--picture", metavar="FILE", help="draw it (needs matplotlib)")
    options = parser.parse_args()

    found, look = flows(options.length, options.count, options.epochs), [1, options.length // 10, options.length // 3, options.length]
    print("share of the gradient that is left, steps back in time:")
    print(f"  {'':<20}" + "".join(f"{back:>10}" for back in look))
    for name, flow in found.items():
        share = flow.share("layers.0")
        print(f"  {name:<20}" + "".join(f"{share[back]:>10.1e}" for back in look))
    for name, flow in found.items():
        for warning in flow.warnings:
            print(f"{name}: {warning}")
    if options.picture:
        sr.plot_flows(found, options.picture)
        print(f"drawn in {options.picture}")


if __name__ == "__main__":
    main()
