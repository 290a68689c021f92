"""The loss under some weights, seen where training changes them, the same on any number of threads."""
import numpy as np
import pytest
from learning import echoes, small

from streamrnn import LSTM, Dense, Dropout, Scale
from streamrnn.training import evaluate
from streamrnn.training.evaluate import Evaluation
from streamrnn.training.objective import Objective
from streamrnn.training.weights import Weights

LENGTHS = np.random.default_rng(4).integers(0, 13, 37)


def evaluation(model, x, y, lengths=None, loss="mse", threads=1):
    objective, weights = Objective(model, loss), Weights(model)
    return Evaluation(weights, objective, objective.sequences(x, y, lengths, model), threads), weights


@pytest.mark.parametrize("together", [1, 5, 256])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_it_is_the_mean_over_the_runs_of_the_model(together, lengths, rng, monkeypatch):
    monkeypatch.setattr(evaluate, "TOGETHER", together)
    x, y = echoes(rng, count=37)
    model = small(Scale(), Dropout(0.5), LSTM(9), heads={"a": Dense(2), "b": Dense(1)})
    inside = np.arange(12) < (np.full(37, 12) if lengths is None else lengths)[:, None]
    run = model.split(model.run(x, lengths))
    want = [((run["a"] - y)[inside] ** 2).mean(), np.abs(run["b"][..., 0] - y[..., 0])[inside].mean()]
    got = evaluation(model, x, {"a": y, "b": y[..., :1]}, lengths, {"a": "mse", "b": "mae"})[0].loss()
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_threads_do_not_matter(rng):
    x, y = echoes(rng, count=150)
    losses = [evaluation(small(), x, y, threads=threads)[0].loss() for threads in (1, 2, 3)]
    assert losses[0] == losses[1] == losses[2]


def test_weights_are_seen_as_they_are_now(rng):
    x, y = echoes(rng)
    model = small()
    measured, weights = evaluation(model, x, y)
    first = measured.loss()
    weights.values *= np.float32(1.5)
    want = ((model.with_tensors(weights.tensors()).run(x) - y) ** 2).mean()
    assert measured.loss() == pytest.approx(want, rel=1e-5) and measured.loss() != first


def test_a_list_may_end_with_an_empty_sequence(rng):
    x, y = echoes(rng, count=3)
    xs, ys = [x[0], x[1, :5], x[2, :0]], [y[0], y[1, :5], y[2, :0]]
    want = evaluation(small(), x[:2], y[:2], [12, 5])[0].loss()
    assert evaluation(small(), xs, ys)[0].loss() == pytest.approx(want, rel=1e-6)
