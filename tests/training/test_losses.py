"""Losses against slow twins in float64, their differences, and torch; then masks, labels, a user's own function, and refusals."""
import numpy as np
import pytest

from streamrnn import jit
from streamrnn.errors import ConfigError, InputError
from streamrnn.training.losses import BCE, MAE, MSE, CrossEntropy, Custom, Gaussian, Huber, Quantile, Student, loss_of

F = np.float32
ROWS, BEFORE, AFTER = 37, 2, 3  # columns of other losses on both sides


def cubed(y, target):
    """A user's loss, unlike any of ours."""
    r = y - target
    return np.abs(r ** 3).sum(1), 3 * r * np.abs(r)


def pinball(y, t, loss):
    r = np.repeat(t, len(loss.q), axis=1) - y
    q = np.tile(loss.q, t.shape[1])
    return np.maximum(q * r, (q - 1) * r)


def likelihood(y, t, loss):
    n = t.shape[1]
    s = np.clip(y[:, n:], loss.least, loss.most)
    return 0.5 * (s + (y[:, :n] - t) ** 2 * np.exp(-s))


def heavy(y, t, loss):
    n = t.shape[1]
    s = np.clip(y[:, n:], loss.least, loss.most)
    return 0.5 * s + (loss.freedom + 1) / 2 * np.log1p((y[:, :n] - t) ** 2 * np.exp(-s) / loss.freedom)


def surprise(y, t, loss):
    top = y.max(1)
    return (np.log(np.exp(y - top[:, None]).sum(1)) + top - y[np.arange(len(y)), t[:, 0].astype(int)])[:, None]


TWINS = {
    "mse": lambda y, t, loss: (y - t) ** 2,
    "mae": lambda y, t, loss: np.abs(y - t),
    "huber": lambda y, t, loss: np.where(np.abs(y - t) <= loss.delta, 0.5 * (y - t) ** 2, loss.delta * (np.abs(y - t) - 0.5 * loss.delta)),
    "quantile": pinball,
    "bce": lambda y, t, loss: -t * -np.logaddexp(0, -y) - (1 - t) * -np.logaddexp(0, y),
    "gaussian": likelihood,
    "student": heavy,
    "cross_entropy": surprise,
    "custom": lambda y, t, loss: np.abs(y - t) ** 3,
}
CASES = [(MSE(), 1), (MSE(), 3), (MAE(), 1), (MAE(), 2), (Huber(), 3), (Huber(0.3), 1), (Quantile(), 3), (Quantile(0.8), 2),
         (Quantile([0.05, 0.5]), 6), (BCE(), 1), (BCE(), 5), (Gaussian(), 2), (Gaussian(-0.5, 0.5), 6), (Student(), 2),
         (Student(1.5, -0.5, 0.5), 6), (Custom(cubed), 2),
         *((CrossEntropy(), classes) for classes in (2, 3, 15, 16, 17, 31, 32, 33, 64, 70)),
         (CrossEntropy(weights=(0.5, 0, 2, 1), ignore_index=3), 4)]
label = lambda value: getattr(value, "name", str(value))
every_case = pytest.mark.parametrize(("loss", "outputs"), CASES, ids=label)


def target_for(loss, outputs, rng, rows=ROWS):
    columns = loss.targets(outputs)
    if loss.name == "cross_entropy":
        return rng.integers(0, outputs, (rows, 1)).astype(F)
    return (rng.random((rows, columns)) if loss.name == "bce" else rng.normal(size=(rows, columns))).astype(F)


def data_for(loss, outputs, rng, rows=ROWS):
    """(y of a wider model, target, weight) with some rows masked."""
    y = (2 * rng.normal(size=(rows, BEFORE + outputs + AFTER))).astype(F)
    weight = rng.random(rows).astype(F) * (rng.random(rows) < 0.8)
    return y, target_for(loss, outputs, rng, rows), weight.astype(F)


def run(loss, y, target, weight):
    """(sum, gradient) of the columns between BEFORE and AFTER; those of others must stay as they are."""
    d_y = np.full_like(y, 77)
    total = loss.add(y, target, weight, d_y, BEFORE, y.shape[1] - AFTER)
    assert type(total) is float
    assert (d_y[:, :BEFORE] == 77).all() and (d_y[:, -AFTER:] == 77).all()
    return total, d_y[:, BEFORE:-AFTER]


def twin(loss, y, target, weight):
    """weight * loss of each row, (rows,)."""
    return weight.astype(float) * TWINS[loss.name](y[:, BEFORE:-AFTER].astype(float), target.astype(float), loss).sum(1)


def close(got, want, bound=1e-5):
    return np.abs(np.asarray(got) - want).max() <= bound * max(np.abs(want).max(), 1e-30)


@every_case
def test_sum_and_gradient_are_those_of_the_twin(loss, outputs, rng):
    y, target, weight = data_for(loss, outputs, rng)
    total, d_y = run(loss, y, target, weight)
    assert close(total, twin(loss, y, target, weight).sum(), 1e-6)
    step = 1e-6
    for column in range(outputs):  # of all rows at once: none depends on another
        nudge = np.zeros(y.shape[1])
        nudge[BEFORE + column] = step
        slope = (twin(loss, y + nudge, target, weight) - twin(loss, y - nudge, target, weight)) / (2 * step)
        assert np.abs(d_y[:, column] - slope).max() <= 1e-5 * np.abs(d_y).max()


@every_case
def test_masked_rows_may_hold_anything_and_leave_no_trace(loss, outputs, rng):
    y, target, weight = data_for(loss, outputs, rng)
    kept = weight > 0
    alone = run(loss, y[kept], target[kept], weight[kept])
    for junk in (np.nan, np.inf, -1e30):
        y[~kept], target[~kept] = junk, junk
        total, d_y = run(loss, y, target, weight)
        assert total == alone[0]
        assert (d_y[kept] == alone[1]).all() and (d_y[~kept] == 0).all()
    assert run(loss, y, target, np.zeros(ROWS, F))[0] == 0
    assert run(loss, y[:0], target[:0], weight[:0])[0] == 0


@pytest.mark.parametrize(("loss", "outputs"), [case for case in CASES if case[0].name != "custom"], ids=label)
def test_an_output_that_is_no_number_is_never_hidden(loss, outputs, rng):
    for column in range(outputs):
        y, target, _ = data_for(loss, outputs, rng, rows=3)
        y[1, BEFORE + column] = np.nan
        assert np.isnan(run(loss, y, target, np.ones(3, F))[0])


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_cross_entropy_of_an_infinite_logit_is_no_number(infinity, rng):
    y, target, _ = data_for(CrossEntropy(), 20, rng, rows=1)
    y[0, BEFORE + 7] = infinity
    assert np.isnan(run(CrossEntropy(), y, target, np.ones(1, F))[0])


def test_rows_add_up_in_order_in_float64(rng):
    y, target = rng.normal(size=(2, 5000, 1)).astype(F)
    weight = rng.random(5000).astype(F)
    want = np.cumsum(weight.astype(float) * ((y - target) ** 2)[:, 0].astype(float))[-1]
    assert MSE().add(y, target, weight, np.empty_like(y), 0, 1) == want


def test_logits_far_out_stay_finite_and_right():
    y = np.array([[1e4, -1e4], [-1e4, 1e4], [300, 300], [0, -90]], F)
    d_y, ones = np.empty_like(y), np.ones(4, F)
    assert CrossEntropy().add(y, np.array([[0], [0], [1], [0]], F), ones, d_y, 0, 2) == pytest.approx(2e4 + np.log(2))
    np.testing.assert_allclose(d_y, [[0, 0], [-1, 1], [0.5, -0.5], [0, 0]], atol=1e-7)
    assert BCE().add(y, np.array([[1, 0], [1, 0], [1, 0.5], [0, 0]], F), ones, d_y, 0, 2) == pytest.approx(2e4 + 150 + np.log(2))
    np.testing.assert_allclose(d_y, [[0, 0], [-1, 1], [0, 0.5], [0.5, 0]], atol=1e-7)


def test_slopes_where_the_twins_have_kinks_or_ends():
    y, zero, one = np.zeros((1, 1), F), np.zeros((1, 1), F), np.ones(1, F)
    for loss in (MAE(), Quantile(0.9), Huber()):
        d_y = np.full((1, 1), 5, F)
        assert loss.add(y, zero, one, d_y, 0, 1) == 0 and d_y[0, 0] == 0
    d_y = np.empty((2, 2), F)
    total = Gaussian(-1, 2).add(np.array([[1, -9], [1, 9]], F), np.zeros((2, 1), F), np.ones(2, F), d_y, 0, 2)
    assert total == pytest.approx(0.5 * (-1 + np.e) + 0.5 * (2 + np.exp(-2)))
    np.testing.assert_allclose(d_y, [[np.e, 0], [np.exp(-2), 0]], rtol=1e-6)


# -- torch -------------------------------------------------------------------------------------------------------------

def in_torch(loss, y, t):
    import torch
    from torch.nn import functional
    if loss.name == "cross_entropy":
        weight = None if loss.weights is None else torch.tensor(loss.weights)
        return functional.cross_entropy(y, t[:, 0].long(), weight, ignore_index=loss.ignore_index)
    if loss.name == "quantile":
        q = torch.tensor(loss.q * t.shape[1])
        r = t.repeat_interleave(len(loss.q), 1) - y
        return torch.maximum(q * r, (q - 1) * r).mean()
    if loss.name == "gaussian":
        n = t.shape[1]
        return functional.gaussian_nll_loss(y[:, :n], t, y[:, n:].clamp(loss.least, loss.most).exp())
    if loss.name == "student":
        n = t.shape[1]
        s = y[:, n:].clamp(loss.least, loss.most)
        return (0.5 * s + (loss.freedom + 1) / 2 * torch.log1p((y[:, :n] - t) ** 2 * torch.exp(-s) / loss.freedom)).mean()
    if loss.name == "custom":
        return ((y - t).abs() ** 3).sum(1).mean()
    return {"mse": functional.mse_loss, "mae": functional.l1_loss, "bce": functional.binary_cross_entropy_with_logits,
            "huber": lambda y, t: functional.huber_loss(y, t, delta=loss.delta)}[loss.name](y, t)


@every_case
def test_the_mean_and_its_gradient_are_torchs(loss, outputs, rng):
    torch = pytest.importorskip("torch")
    y, target, _ = data_for(loss, outputs, rng)
    if loss.name == "cross_entropy":
        target[::4] = loss.ignore_index
    rows = loss.row_weights(target)
    assert rows.dtype == F and rows.shape == (ROWS,)
    total, d_y = run(loss, y, target, (rows / (rows.sum() * loss.elements(outputs))).astype(F))
    leaf = torch.tensor(y[:, BEFORE:-AFTER], requires_grad=True)
    mean = in_torch(loss, leaf, torch.tensor(target))
    mean.backward()
    assert close(total, mean.item())
    assert close(d_y, leaf.grad.numpy())


# -- targets and labels ------------------------------------------------------------------------------------------------

def test_targets_and_elements_follow_the_outputs():
    pairs = [(MSE(), 3, 3, 3), (Quantile(), 6, 2, 6), (Gaussian(), 4, 2, 2), (CrossEntropy(), 9, 1, 1), (Custom(cubed), 4, 4, 1),
             (Custom(cubed, columns=1), 4, 1, 1)]
    for loss, outputs, targets, elements in pairs:
        assert (loss.targets(outputs), loss.elements(outputs)) == (targets, elements)


@pytest.mark.parametrize(("loss", "outputs", "message"), [
    (Gaussian(), 3, "Gaussian .* multiple of 2, got 3"), (Quantile(), 4, "Quantile .* multiple of 3, got 4"),
    (CrossEntropy(), 1, "2 or more.*take bce"), (CrossEntropy(weights=[1, 2]), 3, "each of the 3 outputs, got 2")])
def test_outputs_that_a_loss_cannot_have_are_refused(loss, outputs, message):
    with pytest.raises(ConfigError, match=message):
        loss.targets(outputs)


@pytest.mark.parametrize(("loss", "outputs", "bad", "message"), [
    (MSE(), 1, np.nan, r"mse: target must be finite numbers; row 5 is \[nan\]"), (Gaussian(), 2, np.inf, "finite"),
    (BCE(), 1, 1.01, r"bce: target must be in \[0, 1\]; row 5"), (BCE(), 1, np.nan, "row 5"),
    (CrossEntropy(), 3, 3, r"a whole number in \[0, 3\), or -100 to be ignored; row 5 is \[3.0\]"), (CrossEntropy(), 3, -1, "row 5"),
    (CrossEntropy(), 3, 0.5, "row 5"), (CrossEntropy(), 3, np.nan, "row 5"), (CrossEntropy(), 3, np.inf, "row 5"),
    (CrossEntropy(ignore_index=None), 3, -100, r"in \[0, 3\); row 5"), (Custom(cubed), 1, np.nan, "custom: .* row 5")])
def test_the_first_wrong_row_is_named(loss, outputs, bad, message, rng):
    target = target_for(loss, outputs, rng)
    loss.check(target, outputs)
    target[5], target[9] = bad, bad
    with pytest.raises(InputError, match=message):
        loss.check(target, outputs)


def test_a_target_of_the_wrong_width_is_refused():
    for shape in ((4,), (4, 2), (4, 1, 1)):
        with pytest.raises(InputError, match=r"gaussian: the target of 2 outputs has the shape \(rows, 1\), got"):
            Gaussian().check(np.zeros(shape, F), 2)


def test_row_weights_are_ones_or_those_of_the_classes():
    labels = np.array([[0], [2], [-100], [1], [np.nan], [7]], F)
    assert MSE().row_weights(labels).tolist() == [1] * 6
    assert CrossEntropy().row_weights(labels)[:4].tolist() == [1, 1, 0, 1]
    assert CrossEntropy(weights=[0.5, 2, 3]).row_weights(labels)[:4].tolist() == [0.5, 3, 0, 2]
    assert CrossEntropy(ignore_index=2).row_weights(labels)[:2].tolist() == [1, 0]
    CrossEntropy(ignore_index=2).check(labels[:2], 3)


# -- a user's own function ---------------------------------------------------------------------------------------------

def test_a_function_sees_the_rows_that_count_and_cannot_change_them(rng):
    seen = []

    def loss(y, target):
        seen.append((y.copy(), target))
        y[:] = 0
        return np.ones(len(y)), np.full(y.shape, 2.0)
    y, target, weight = data_for(MSE(), 2, rng)
    before = y.copy()
    total, d_y = run(loss_of(loss), y, target, weight)
    kept = weight > 0
    assert (seen[0][0] == y[kept, BEFORE:-AFTER]).all() and (seen[0][1] == target[kept]).all() and (y == before).all()
    assert total == pytest.approx(weight.sum()) and (d_y == 2 * weight[:, None]).all()


@pytest.mark.parametrize(("answer", "error", "message"), [
    (lambda y, t: 1.0, ConfigError, "loss <lambda>: must return a tuple .values, gradient., got float"),
    (lambda y, t: (y, y), ConfigError, r"values must have the shape \(3,\), got \(3, 2\)"),
    (lambda y, t: (y[:, 0], y[:, 0]), ConfigError, r"gradient must have the shape \(3, 2\), got \(3,\)"),
    (lambda y, t: (y[:, 0] * np.nan, y), InputError, r"finite, got nan and \[0.0, 0.0\] for y = \[0.0, 0.0\], target = \[1.0, 1.0\]"),
    (lambda y, t: (y[:, 0], y + np.inf), InputError, "finite")])
def test_what_a_function_must_not_answer(answer, error, message):
    with pytest.raises(error, match=message):
        Custom(answer).add(np.zeros((3, 2), F), np.ones((3, 2), F), np.ones(3, F), np.zeros((3, 2), F), 0, 2)


def test_every_kernel_has_a_name_of_its_own_in_the_cache():
    names = [f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}" for kernel, _ in jit.KERNELS]
    assert len(set(names)) == len(names) and "streamrnn.training.losses.elementwise.huber_rows" in names


# -- names and options -------------------------------------------------------------------------------------------------

def test_a_loss_comes_from_its_name_itself_or_a_function():
    for name in ("mse", "mae", "huber", "quantile", "bce", "gaussian", "cross_entropy"):
        assert loss_of(name).name == name
    assert loss_of(Huber(2)) == Huber(2) and loss_of(MAE) == MAE() and loss_of(cubed) == Custom(cubed)
    for unknown in ("l2", None, 3):
        with pytest.raises(ConfigError, match=f"mse, mae, huber.* got {unknown!r}"):
            loss_of(unknown)


def test_preparing_a_loss_compiles_its_kernel(monkeypatch):
    """Before threads share it: jit.ready refuses the second of two that compile at once."""
    seen = []
    monkeypatch.setattr("streamrnn.training.losses.base.ready", seen.append)
    for loss in (MSE(), Gaussian(), CrossEntropy()):
        assert loss_of(loss) is loss and seen.pop() is loss.rows
    loss_of(cubed)
    assert not seen


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Huber(0), r"Huber: delta must be a number in \(0, inf\), got 0"), (lambda: Huber("1"), "delta"),
    (lambda: Quantile([]), "Quantile: q"), (lambda: Quantile((0.5, 1)), "Quantile: q"), (lambda: Quantile("0.5"), "Quantile: q"),
    (lambda: Gaussian(2, 1), "least must lie below most"), (lambda: Gaussian(-np.inf), "Gaussian: least"),
    (lambda: CrossEntropy(weights=[1, -1]), "CrossEntropy: weights"), (lambda: CrossEntropy(weights=[0, 0]), "weights"),
    (lambda: CrossEntropy(ignore_index=0.5), "CrossEntropy: ignore_index"),
    (lambda: Custom(3), "Custom: function"), (lambda: Custom(cubed, columns=0), "Custom: columns")])
def test_options_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
