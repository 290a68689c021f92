"""Schedules against torch.optim.lr_scheduler, and what Plateau leaves in its memory."""
import json
import math

import pytest

from streamrnn.errors import ConfigError
from streamrnn.training.schedules import Constant, Cosine, Plateau, Steps

STEPS = 40


def factors(schedule, count=STEPS):
    return [schedule.factor(step, STEPS, step, {}) for step in range(count)]


def in_torch(make, count=STEPS, losses=None):
    """The rates of a torch scheduler on an optimiser whose rate is 1."""
    torch = pytest.importorskip("torch")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make(torch.optim.lr_scheduler, optimiser), []
    for k in range(count):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step(*([losses[k]] if losses else []))
    return rates


def test_constant_is_one():
    assert set(factors(Constant())) == {1.0}


@pytest.mark.parametrize("schedule", [Cosine(), Cosine(floor=0.1), Cosine(25, floor=0.2), Cosine(warmup=1), Cosine(35, 10, 0.05)], ids=repr)
def test_cosine_with_warmup_is_torchs_linear_then_cosine(schedule):
    end = schedule.steps or STEPS

    def make(kinds, optimiser):
        cosine = kinds.CosineAnnealingLR(optimiser, end - schedule.warmup, eta_min=schedule.floor)
        if not schedule.warmup:
            return cosine
        rise = kinds.LinearLR(optimiser, 1 / (schedule.warmup + 1), total_iters=schedule.warmup)
        return kinds.SequentialLR(optimiser, [rise, cosine], [schedule.warmup])
    assert factors(schedule, end) == pytest.approx(in_torch(make, end), abs=1e-12)


def test_cosine_stays_at_its_floor_and_rises_even_where_training_is_shorter():
    assert set(factors(Cosine(20, floor=0.3))[20:]) == {0.3}
    assert Cosine(warmup=9).factor(4, 5, 0, {}) == 0.5


@pytest.mark.parametrize("schedule", [Steps(1, 0.9), Steps(7, 0.5), Steps(100, 0.1)], ids=repr)
def test_steps_are_torchs(schedule):
    assert factors(schedule) == pytest.approx(in_torch(lambda kinds, o: kinds.StepLR(o, schedule.every, schedule.drop)))


LOSSES = [5, 4, 4, 4.5, 3, 3, 3, 3, 3, 2.9, 3, 3, 3, math.nan, 3, 3, 3, -1, -2, -1.5, -1.5, -1.5, -1.5, -3] + [0] * 16


@pytest.mark.parametrize("schedule", [Plateau(), Plateau(2, 0.5), Plateau(0, 0.5), Plateau(1, 0.3, 0.2)], ids=repr)
def test_plateau_is_torchs_and_its_memory_is_json(schedule):
    memory, got = {}, []
    for epoch, loss in enumerate(LOSSES):
        got.append(schedule.factor(epoch, STEPS, epoch, memory))
        schedule.after_epoch(loss, memory)
        memory = json.loads(json.dumps(memory, allow_nan=False))
    make = lambda kinds, o: kinds.ReduceLROnPlateau(o, factor=schedule.drop, patience=schedule.patience, threshold=0, min_lr=schedule.least,
                                                    eps=0)
    assert got == pytest.approx(in_torch(make, len(LOSSES), LOSSES))
    assert min(got) < 1


def test_a_first_loss_that_is_no_number_is_not_the_best():
    memory = {}
    for loss in (math.nan, 2, 1):
        Plateau(1).after_epoch(loss, memory)
    assert memory == {"best": 1.0, "waited": 0}


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Cosine(0), "Cosine: steps"), (lambda: Cosine(warmup=-1), "Cosine: warmup must be a whole number of 0 or more, got -1"),
    (lambda: Cosine(5, warmup=5), "warmup must be less than steps, got 5 and 5"), (lambda: Cosine(floor=1.5), "Cosine: floor"),
    (lambda: Steps(0, 0.5), "Steps: every"), (lambda: Steps(2.5, 0.5), "Steps: every"), (lambda: Steps(1, 0), "Steps: drop"),
    (lambda: Plateau(-1), "Plateau: patience"), (lambda: Plateau(drop=1), "Plateau: drop"), (lambda: Plateau(least=2), "Plateau: least")])
def test_options_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
