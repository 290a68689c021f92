"""What stands in for a model while it trains: no softmax that the loss has in it, and scaled targets where it ends in Unscale."""
import numpy as np
import pytest
from learning import echoes, small

from streamrnn import GRU, LSTM, Adam, ConfigError, Dense, Model, Quantile, Scale, Unscale, fit
from streamrnn.training.learner import Learner
from streamrnn.training.objective import Objective

FAR = np.float32([1e5, 1e-2]), np.float32([300, 2e-3])  # levels and deviations of two targets


def far(rng):
    x, y = echoes(rng)
    return x, (FAR[0] + FAR[1] * y).astype(np.float32)


def learner_of(model, x, y, loss="mse"):
    objective = Objective(model, loss)
    data = objective.sequences(x, y, None, model)
    return Learner(model, objective, data), data


@pytest.mark.parametrize(("loss", "outputs", "places"), [("mse", 2, [0, 1]), ("mae", 2, [0, 1]), ("huber", 2, [0, 1]),
                                                        (Quantile((0.1, 0.5, 0.9)), 6, [0, 3]), ("gaussian", 4, [0, 1])])
def test_targets_are_scaled_and_the_served_model_brings_them_back(rng, loss, outputs, places):
    x, y = far(rng)
    model = Model(3, [LSTM(5), Dense(outputs), Unscale()])
    learner, data = learner_of(model, x, y, loss)
    assert [layer.kind for layer in learner.model.layers] == ["lstm", "dense"]
    target = learner.scaled(data).goals[0].target
    np.testing.assert_allclose(target.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(target.std(0), 1, rtol=2e-3)
    served = learner.serving(learner.model.tensors)
    assert set(served) == set(model.tensors)
    shift, factor = served["layers.2.shift"], served["layers.2.factor"]
    np.testing.assert_allclose(shift[places], y.reshape(-1, 2).mean(0), rtol=1e-3)
    inner = learner.model.run(x[0])
    np.testing.assert_allclose(model.with_tensors(served).run(x[0]), inner * factor + shift, rtol=1e-5)
    if loss == "gaussian":  # the deviation that comes out is in the target's unit
        np.testing.assert_allclose(np.exp((inner * factor + shift)[:, 2:] / 2), np.exp(inner[:, 2:] / 2) * factor[:2], rtol=1e-4)


def test_targets_in_far_apart_units_are_learnt_alike(rng):
    x, y = far(rng)
    model = Model(3, [Scale(), GRU(16), Dense(2), Unscale()], seed=1)
    fit(model, x, y, epochs=60, batch=8, optimizer=Adam(1e-2))
    errors = ((model.run(x) - y) ** 2).mean((0, 1)) / y.reshape(-1, 2).var(0)
    assert (errors < 0.2).all()


def test_a_second_training_keeps_the_scale_of_the_first(rng):
    x, y = far(rng)
    model = Model(3, [LSTM(5), Dense(2), Unscale()])
    fit(model, x, y, epochs=1)
    first = {name: tensor.copy() for name, tensor in model.tensors.items()}
    fit(model, x[:5], 3 * y[:5], epochs=1)
    for name in ("layers.2.shift", "layers.2.factor"):
        assert (model.tensors[name] == first[name]).all()
    assert (model.tensors["layers.1.weight"] != first["layers.1.weight"]).any()


def test_each_head_has_its_own_end(rng):
    x, y = far(rng)
    labels = rng.integers(0, 3, y.shape[:2]).astype(np.float32)
    model = Model(3, [LSTM(5)], heads={"level": [Dense(2), Unscale()], "kind": Dense(3, "softmax")})
    learner, data = learner_of(model, x, {"level": y, "kind": labels}, {"level": "mse", "kind": "cross_entropy"})
    assert [len(stack) for stack in learner.model.config()["heads"].values()] == [1, 1]
    assert learner.model.config()["heads"]["kind"][0]["activation"] is None
    scaled = learner.scaled(data)
    assert abs(scaled.goals[0].target.mean()) < 1e-2 and (scaled.goals[1].target == data.goals[1].target).all()
    fit(model, x, {"level": y, "kind": labels}, loss={"level": "mse", "kind": "cross_entropy"}, epochs=2)
    answer = model.split(model.run(x[0]))
    np.testing.assert_allclose(answer["kind"].sum(1), 1, rtol=1e-5)
    assert (np.abs(answer["level"] - FAR[0]) < 20 * FAR[1]).all()


def test_one_loss_over_several_ends(rng):
    x, y = far(rng)
    heads = {"a": [Dense(1), Unscale()], "b": [Dense(1), Unscale()]}
    learner, data = learner_of(Model(3, [LSTM(5)], heads=heads), x, y)
    np.testing.assert_allclose(learner.scaled(data).goals[0].target.std(0), 1, rtol=2e-3)
    with pytest.raises(ConfigError, match="a loss of its own"):
        learner_of(Model(3, [LSTM(5)], heads={name: [Dense(2), Unscale()] for name in "ab"}), x, y, Quantile((0.2, 0.8)))


def test_a_loss_of_ones_own_sees_the_targets_as_they_are(rng):
    x, y = far(rng)
    learner, data = learner_of(Model(3, [Dense(2), Unscale()]), x, y, lambda y, target: ((y - target).sum(1), np.ones_like(y)))
    assert learner.model.layers[-1].kind == "unscale" and learner.scaled(data).goals[0].target is data.goals[0].target
    np.testing.assert_allclose(learner.model.tensors["layers.1.shift"], y.reshape(-1, 2).mean(0), rtol=1e-3)


def test_a_plain_model_stands_for_itself(rng):
    x, y = echoes(rng)
    model = small(LSTM(4), Dense(2))
    learner, data = learner_of(model, x, y)
    assert learner.model.digest == model.digest and learner.serving(model.tensors).keys() == model.tensors.keys()
    assert learner.scaled(data).goals[0].target is data.goals[0].target
