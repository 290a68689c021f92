"""Plain detectors to be measured against: linear autoregression with a smoothed squared error, and half-space trees.
Each takes a `Series` and scores its rows in order, the score of a row from rows up to it alone."""
from dataclasses import replace

import numba
import numpy as np

SMOOTH = 20             # rows of memory of the smoothed error
RIDGE = 1e-4            # penalty per fit row, on standardised values
CLIP = 20.0             # standard deviations a value or an error may reach
FLOOR = 0.1             # least error scale, in standard deviations of the channel: some channels never move in the fit
CALIBRATION = 0.4       # share of the fit rows held out to set a threshold
QUANTILE = 0.999


def ar_ewma(series):
    """AR(20) of every channel by itself; AR(3) learnt online where there are no fit rows."""
    if series.fit is None:
        return np.mean([_online_ar(np.ascontiguousarray(c), 3, SMOOTH) for c in series.values.T], axis=0)
    return _linear(series, 20, joint=False)


def var_ewma(series):
    """VAR(2): every channel from the last two rows of all channels."""
    return _linear(series, 2, joint=True)


def half_space_trees(series):
    """River's HalfSpaceTrees behind its MinMaxScaler, learning on while it scores."""
    from river import anomaly, compose, preprocessing

    model = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    names = range(series.values.shape[1])
    for row in () if series.fit is None else series.fit.tolist():
        model.learn_one(dict(zip(names, row, strict=True)))
    scores = np.empty(len(series.values))
    for t, row in enumerate(series.values.tolist()):
        x = dict(zip(names, row, strict=True))
        scores[t] = model.score_one(x)
        model.learn_one(x)
    return scores


def threshold(detector, series):
    """Score above which a row is an alert: the 99.9 % quantile over the last 40 % of the fit rows, by a detector fitted
    on the rows before them."""
    split = len(series.fit) - int(CALIBRATION * len(series.fit))
    held_out = replace(series, fit=series.fit[:split], values=series.fit[split:], times=None)
    return float(np.quantile(detector(held_out), QUANTILE))


def _linear(series, lags, joint):
    """Smoothed mean over channels of the squared error of a ridge regression on the last rows."""
    start = len(series.fit)
    mean, scale = series.fit.mean(0), series.fit.std(0)
    scale[scale < 1e-4] = 1.0
    z = np.clip((np.concatenate([series.fit, series.values]) - mean) / scale, -CLIP, CLIP)
    past = np.lib.stride_tricks.sliding_window_view(z[:-1], lags, axis=0)       # (rows - lags, d, lags)
    truth, fitted = z[lags:], start - lags
    errors = np.empty_like(truth)
    channels = range(z.shape[1])
    for group in [list(channels)] if joint else [[c] for c in channels]:
        x = np.column_stack([past[:, group].reshape(len(past), -1), np.ones(len(past))])
        weights = _ridge(x[:fitted], truth[:fitted, group])
        errors[:, group] = truth[:, group] - x @ weights
    spread = np.sqrt((errors[:fitted] ** 2).mean(0) + FLOOR ** 2)
    surprise = (np.clip(errors / spread, -CLIP, CLIP) ** 2).mean(1)
    return _ewma(surprise, SMOOTH)[fitted:]


def _ridge(x, y):
    return np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)


@numba.njit(cache=True)
def _ewma(values, memory):
    out = np.empty(len(values))
    level = values[0]
    for t in range(len(values)):
        level += (values[t] - level) / memory
        out[t] = level
    return out


@numba.njit(cache=True)
def _online_ar(values, lags, memory):
    """Smoothed squared error of recursive least squares in running standard units; starts as persistence."""
    forget, prior = 0.9995, 10.0
    weights = np.zeros(lags + 1)
    weights[0] = 1.0
    cov = np.eye(lags + 1) * prior
    past = np.zeros(lags + 1)
    past[lags] = 1.0
    out = np.empty(len(values))
    mean, square, error_square, level = values[0], 0.0, 0.0, 0.0
    for t in range(len(values)):
        deviation = np.sqrt(square / t) if t and square > 0 else 1.0
        z = min(max((values[t] - mean) / deviation, -CLIP), CLIP)
        error = z - weights @ past
        spread = np.sqrt(error_square / t + FLOOR ** 2) if t else 1.0
        surprise = min(abs(error) / spread, CLIP) ** 2
        level += (surprise - level) / memory
        out[t] = level
        error_square += error * error
        gain = cov @ past / (forget + past @ cov @ past)
        weights += gain * error
        cov = (cov - np.outer(gain, past @ cov)) / forget
        if np.trace(cov) > 1e6:         # without excitation forgetting lets the covariance grow without end
            cov *= 0.1
        past[1:lags] = past[:lags - 1].copy()
        past[0] = z
        shift = values[t] - mean
        mean += shift / (t + 1)
        square += shift * (values[t] - mean)
    return out
