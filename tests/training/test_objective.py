"""What is minimised: heads and their losses, targets by head, and means over what counts."""
import numpy as np
import pytest
from learning import F, bits, echoes, small

from streamrnn import BCE, LSTM, MSE, ConfigError, Dense, InputError, fit
from streamrnn.training.objective import Objective

HEADS = {"a": Dense(2), "b": Dense(3), "c": Dense(1)}


@pytest.fixture
def model():
    return small(LSTM(4), heads=HEADS)


def test_a_part_has_the_columns_of_its_head(model):
    parts = Objective(model, {"c": "bce", "a": MSE}).parts
    assert [(part.head, part.start, part.stop, part.loss) for part in parts] == [("c", 5, 6, BCE()), ("a", 0, 2, MSE())]
    one, = Objective(model, "mse").parts
    assert (one.head, one.start, one.stop) == (None, 0, 6)
    one, = Objective(small(LSTM(4), heads={"a": Dense(2)}), "mse").parts
    assert (one.head, one.start, one.stop) == ("a", 0, 2)


def test_sums_are_those_of_the_parts_and_gradients_stand_in_their_columns(model, rng):
    objective = Objective(model, {"a": "mse", "c": "mae"}, shares={"c": 3})
    y, d_y = rng.normal(size=(2, 10, 6)).astype(F)
    targets = [rng.normal(size=(10, k)).astype(F) for k in (2, 1)]
    counts = [np.where(rng.random(10) < 0.5, 2, 0).astype(F), np.ones(10, F)]
    divisors = objective.divisors([float(count.sum()) for count in counts])
    got = objective.add(y, d_y, targets, [count * F(divisor) for count, divisor in zip(counts, divisors, strict=True)])
    some = counts[0] > 0
    want = ((y[some, :2] - targets[0][some]) ** 2).mean(), 3 * np.abs(y[:, 5:] - targets[1]).mean()
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert (d_y[:, 2:5] == 0).all() and (d_y[~some, :2] == 0).all()
    np.testing.assert_allclose(d_y[some, :2], 2 * (y[some, :2] - targets[0][some]) / (2 * some.sum()), rtol=1e-5)
    np.testing.assert_allclose(d_y[:, 5:], 3 * np.sign(y[:, 5:] - targets[1]) / 10, rtol=1e-5)


def test_what_does_not_count_has_no_gradient(model):
    assert Objective(model, {"a": "mse", "b": "mse"}).divisors([0.0, 4.0]) == [0.0, 1 / 12]


@pytest.mark.parametrize(("loss", "message"), [
    ({"z": "mse"}, "it has a, b, c, got 'z'"), ({}, "got none"), ({"a": "mse", "d": "mse"}, "got 'a', 'd'"), ({"a": None}, "loss must be"),
    ({"a": {"b": "mse"}}, "loss must be"), ({3: "mse"}, "got 3"), ({"b": "gaussian"}, "multiple of 2, got 3"),
    ({"c": "cross_entropy"}, "2 or more")], ids=str)
def test_losses_that_do_not_fit_the_heads_are_refused(loss, message, model):
    with pytest.raises(ConfigError, match=message):
        fit(model, x, dict.fromkeys(loss, y), loss=loss)


x, y = echoes(np.random.default_rng(1), count=4, time=5)
both = {"a": y, "c": y[..., :1]}


@pytest.mark.parametrize(("target", "message"), [
    (y, "with a loss for each head, y is {head: target}.*got a loss for each head and ndarray"),
    ({"a": y}, "y needs a target for each head that has a loss, 'a', 'c'; got 'a'"), ({}, "got none"),
    (both | {"z": y}, "'a', 'c'; got 'a', 'c', 'z'"), (both | {"b": y}, "got 'a', 'c', 'b'"),
    (both | {"c": y}, r"y\['c'\] must be \(4, 5, 1\), a target for every step, or \(4, 1\).* Got shape \(4, 5, 2\)"),
    (both | {"a": y * np.nan}, r"y\['a'\]\[0\]\[0\] is \[nan, nan\]: mse takes finite numbers"),
    (both | {"a": None}, r"y\['a'\] must be numbers"),
    ([y, y], "got a loss for each head and list")], ids=range(9))
def test_targets_that_do_not_fit_the_heads_are_refused(target, message, model):
    before = bits(model)
    with pytest.raises(InputError, match=message):
        fit(model, x, target, loss={"a": "mse", "c": "mae"})
    with pytest.raises(InputError, match=message):
        fit(model, x, both, loss={"a": "mse", "c": "mae"}, validation=(x, target))
    assert bits(model) == before


def test_a_dict_of_targets_needs_a_dict_of_losses(model):
    with pytest.raises(InputError, match="got one loss and dict"):
        fit(model, x, both)


def test_the_order_of_heads_does_not_matter(model):
    other = model.with_tensors(model.tensors)
    one = fit(model, x, both, loss={"a": "mse", "c": "mae"}, epochs=2)
    again = fit(other, x, dict(reversed(both.items())), loss={"c": "mae", "a": "mse"}, epochs=2)
    assert one.loss == pytest.approx(again.loss, rel=1e-12) and bits(model) == bits(other)
