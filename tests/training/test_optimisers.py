"""Optimisers against slow twins in float64 and torch.optim; clipping, decay, what must not change, and refusals."""
import math

import numpy as np
import pytest

from streamrnn.errors import ConfigError
from streamrnn.training.optimisers import SGD, Adam, AdamW, RMSprop, norm

F = np.float32
SIZE, NUMBERS = 1003, range(1, 51)
OPTIMISERS = [SGD(), SGD(0.1, momentum=0.9), SGD(0.05, momentum=0.8, nesterov=True, decay=0.1), RMSprop(), RMSprop(0.01, 0.9, momentum=0.5),
              RMSprop(decay=0.2), Adam(), Adam(0.01, 0.8, 0.95, 1e-4, decay=0.1), AdamW(), AdamW(0.01, decay=0.3)]
CLIPS = [{}, {"clip": 1.0}, {"clip": 1e6}, {"clip_value": 0.5}, {"clip": 10.0, "clip_value": 0.7}]
every_optimiser = pytest.mark.parametrize("optimiser", OPTIMISERS, ids=repr)


def with_(optimiser, **options):
    return type(optimiser)(**{**optimiser.__dict__, **options})


def rate_at(optimiser, number):
    """Rates change from step to step, as under a schedule."""
    return optimiser.rate * (1 + 0.5 * math.cos(number))


@pytest.fixture
def setting(rng):
    """(values, one gradient for each step, decays)"""
    gradients = rng.normal(size=(len(NUMBERS), SIZE)) * rng.choice([1e-4, 1e-2, 1], size=SIZE)
    return rng.normal(size=SIZE).astype(F), gradients.astype(F), (rng.random(SIZE) < 0.6).astype(F)


def moments_of(optimiser, size=SIZE):
    return [np.zeros(size, F) for _ in range(optimiser.arenas)]


def ours(optimiser, values, gradients, decays):
    values, moments = values.copy(), moments_of(optimiser)
    for number, gradient in zip(NUMBERS, gradients, strict=True):
        before = gradient.copy()
        size = optimiser.apply(number, rate_at(optimiser, number), values, gradient, moments, decays)
        assert size == pytest.approx(np.linalg.norm(gradient.astype(float)), rel=1e-12) and (gradient == before).all()
    return values


def twin(o, values, gradients, decays):
    p, a, b, decays = values.astype(float), 0, 0, decays.astype(float)
    for number, g in zip(NUMBERS, gradients.astype(float), strict=True):
        rate, keep = rate_at(o, number), o.decay * decays * p
        if o.clip:
            g = g * min(1, o.clip / (np.sqrt((g ** 2).sum()) + 1e-6))
        if o.clip_value:
            g = np.clip(g, -o.clip_value, o.clip_value)
        if isinstance(o, AdamW):
            p = p - rate * keep
        else:
            g = g + keep
        if isinstance(o, SGD):
            a = o.momentum * a + g
            p = p - rate * (g + o.momentum * a if o.nesterov else a)
        elif isinstance(o, RMSprop):
            a = o.smoothing * a + (1 - o.smoothing) * g ** 2
            b = o.momentum * b + g / (np.sqrt(a) + o.epsilon)
            p = p - rate * b
        else:
            a, b = o.beta1 * a + (1 - o.beta1) * g, o.beta2 * b + (1 - o.beta2) * g ** 2
            p = p - rate * a / (1 - o.beta1 ** number) / (np.sqrt(b / (1 - o.beta2 ** number)) + o.epsilon)
    return p


def in_torch(torch, o, values, gradients, decays):
    """torch.optim in float64: what its updates mean, without its own rounding."""
    parts = [torch.tensor(values[decays == kind], dtype=torch.float64, requires_grad=True) for kind in (0, 1)]
    groups = [{"params": [part], "weight_decay": decay} for part, decay in zip(parts, (0, o.decay), strict=True)]
    name, options = {
        SGD: lambda: ("SGD", {"momentum": o.momentum, "nesterov": o.nesterov}),
        RMSprop: lambda: ("RMSprop", {"alpha": o.smoothing, "momentum": o.momentum, "eps": o.epsilon}),
        Adam: lambda: ("Adam", {"betas": (o.beta1, o.beta2), "eps": o.epsilon}),
        AdamW: lambda: ("AdamW", {"betas": (o.beta1, o.beta2), "eps": o.epsilon})}[type(o)]()
    optimiser = getattr(torch.optim, name)(groups, lr=o.rate, **options)
    for number, gradient in zip(NUMBERS, gradients, strict=True):
        for kind, part, group in zip((0, 1), parts, optimiser.param_groups, strict=True):
            part.grad, group["lr"] = torch.tensor(gradient[decays == kind], dtype=torch.float64), rate_at(o, number)
        if o.clip:
            torch.nn.utils.clip_grad_norm_(parts, o.clip)
        if o.clip_value:
            torch.nn.utils.clip_grad_value_(parts, o.clip_value)
        optimiser.step()
    out = np.empty(SIZE)
    for kind, part in enumerate(parts):
        out[decays == kind] = part.detach().numpy()
    return out


@pytest.mark.parametrize("clips", CLIPS, ids=str)
@every_optimiser
def test_fifty_steps_are_those_of_the_twin_and_of_torch(optimiser, clips, setting):
    optimiser = with_(optimiser, **clips)
    got, slow = ours(optimiser, *setting), twin(optimiser, *setting)
    assert np.abs(got - slow).max() <= 1e-6 * np.abs(slow).max()
    torch = pytest.importorskip("torch")
    want = in_torch(torch, optimiser, *setting)
    np.testing.assert_allclose(slow, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [0, 1, 7, 16, 33])
@every_optimiser
def test_every_size_is_stepped_to_its_end(optimiser, size, rng):
    values, gradient = rng.normal(size=(2, size)).astype(F)
    before = values.copy()
    optimiser.apply(1, 0.1, values, gradient, moments_of(optimiser, size), np.ones(size, F))
    assert (values != before).all()


@pytest.mark.parametrize("clips", CLIPS, ids=str)
@every_optimiser
def test_an_entry_without_gradient_and_decay_never_changes(optimiser, clips, setting):
    values, gradients, decays = setting
    still = np.arange(SIZE) % 3 == 0
    gradients[:, still], decays[still] = 0, 0
    values[still] = np.resize(np.array([0, 1, -1, 1e30, 1e-40, 3.3], F), still.sum())
    got = ours(with_(optimiser, **clips), values, gradients, decays)
    assert (got[still] == values[still]).all() and (got[~still] != values[~still]).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@every_optimiser
def test_a_gradient_that_is_not_finite_changes_nothing(optimiser, bad, setting):
    values, gradients, decays = setting
    gradients[0, 500] = bad
    moments, before = moments_of(optimiser), values.copy()
    assert not np.isfinite(optimiser.apply(1, 0.1, values, gradients[0], moments, decays))
    assert (values == before).all() and not np.any(moments)


@every_optimiser
def test_moments_that_fade_end_at_zero(optimiser):
    """Below float32's normal range they would get stuck: 0.9 times the smallest number rounds to itself."""
    moments = [np.full(20, 1e-38, F) for _ in range(optimiser.arenas)]
    for number in range(1, 4):
        optimiser.apply(number, 0.1, np.zeros(20, F), np.zeros(20, F), moments, np.zeros(20, F))
    assert not np.any(moments)


# -- the norm ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000, 70001])
def test_norm_is_sixteen_partial_sums_in_float64(size, rng):
    gradient = (rng.normal(size=size) * 10.0 ** rng.integers(-20, 20, size)).astype(F)
    squares = gradient.astype(float) ** 2
    whole = size // 16 * 16
    sums = np.cumsum(squares[:whole].reshape(-1, 16), axis=0)[-1] if whole else np.zeros(16)
    while len(sums) > 1:
        sums = sums[:len(sums) // 2] + sums[len(sums) // 2:]
    total = sums[0]
    for square in squares[whole:]:
        total += square
    assert norm(gradient) == math.sqrt(total)


def test_norm_is_finite_wherever_all_entries_are():
    assert norm(np.full(1000, np.finfo(F).max)) == pytest.approx(float(np.finfo(F).max) * math.sqrt(1000))
    assert norm(np.full(4, 1e-40, F)) == pytest.approx(2e-40, rel=1e-4)


# -- options -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("make", "message"), [
    (lambda: SGD(0), r"SGD: rate must be a number in \(0, inf\), got 0"), (lambda: SGD("a"), "SGD: rate"),
    (lambda: Adam(True), "Adam: rate"), (lambda: Adam(math.nan), "Adam: rate"),
    (lambda: SGD(momentum=1), r"SGD: momentum must be a number in \[0, 1\), got 1"),
    (lambda: SGD(nesterov=True), "SGD: nesterov needs a momentum"), (lambda: RMSprop(smoothing=-0.1), "RMSprop: smoothing"),
    (lambda: RMSprop(epsilon=0), "RMSprop: epsilon"), (lambda: Adam(beta1=1), "Adam: beta1"), (lambda: Adam(beta2=-1), "Adam: beta2"),
    (lambda: Adam(epsilon=0), "Adam: epsilon"), (lambda: AdamW(decay=-1), "AdamW: decay"), (lambda: Adam(clip=0), "Adam: clip must"),
    (lambda: Adam(clip_value=math.inf), "Adam: clip_value")])
def test_options_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_options_are_kept_as_plain_floats():
    assert AdamW() == AdamW(1e-3, 0.9, 0.999, 1e-8, decay=0.01)
    assert type(SGD(F(0.5)).rate) is float and type(SGD(clip=2).clip) is float
