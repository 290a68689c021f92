"""A training that is killed goes on as if it had not been; a file that is damaged or of another training is refused."""
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killed_script import EPOCHS, LENGTHS, train
from learning import bits, course, echoes, small

import streamrnn
from streamrnn import LSTM, SGD, Adam, AdamW, ConfigError, Cosine, Dense, Dropout, FileError, Plateau, Scale, Unscale, fit, load
from streamrnn.training import checkpoint as checkpoints


@pytest.fixture(scope="module")
def whole():
    """The same training without a stop: (tensors, course)."""
    model, history = train()
    assert history.stopped == "epochs" and history.rate[-1] < history.rate[0]  # the plateau has been reached
    return bits(model), course(history)


@pytest.fixture
def started():
    """Starts the script; what still runs at the end of a test is killed."""
    processes = []

    def start(*arguments):
        processes.append(_process(*arguments))
        assert processes[-1].stdout.readline() == "ready\n", processes[-1].communicate()
        return processes[-1]
    yield start
    for process in processes:
        process.kill()
        process.communicate()


def _process(folder, pace, every):
    path = os.pathsep.join(filter(None, [str(Path(streamrnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen([sys.executable, "-W", "error", Path(__file__).with_name("killed_script.py"), folder, str(pace), str(every)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path})


def ended(process, code=0):
    """What a process printed last."""
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return out.split()


def values_of(path):
    """What a checkpoint says of where it is, whoever owns it."""
    raw = path.read_bytes()
    return json.loads(json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])["__metadata__"][checkpoints.ENTRY])["values"]


def wait_for(true, what, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.002)


# -- killed ------------------------------------------------------------------------------------------------------------

def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bits(whole, started, tmp_path):
    """It is killed at random moments, some of them within a write, and goes on from the last file each time."""
    choice, path, kills = random.Random(5), tmp_path / "training", 0
    for _ in range(4):
        before = path.stat().st_mtime_ns if path.exists() else 0
        process = started(tmp_path, 0.02, 0)  # a file after each update
        wait_for(lambda before=before: path.exists() and path.stat().st_mtime_ns != before, "a checkpoint")
        time.sleep(choice.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        ended(process, -signal.SIGKILL)
        kills += 1
        assert not (tmp_path / "model").exists()
    assert ended(started(tmp_path, 0, 0.01)) == ["epochs", str(EPOCHS)] and kills == 4
    assert bits(load(tmp_path / "model")) == whole[0]


@pytest.mark.parametrize("stop", range(1, 40, 3))
def test_a_training_goes_on_from_any_update_with_the_same_bits_and_the_same_history(stop, whole, tmp_path, monkeypatch):
    """As if it were killed right after the write number `stop`."""
    class Killed(BaseException):
        pass

    def save(*arguments):
        nonlocal stop
        keep(*arguments)
        stop -= 1
        if stop == 0:
            raise Killed
    keep = checkpoints.save
    monkeypatch.setattr(checkpoints, "save", save)
    with pytest.raises(Killed):
        train(checkpoint=tmp_path / "c", every=0, threads=1)
    monkeypatch.undo()
    model, history = train(checkpoint=tmp_path / "c", every=0, threads=3)
    assert (bits(model), course(history)) == whole


def test_what_is_done_is_done(whole, tmp_path):
    train(checkpoint=tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    model, history = train(checkpoint=tmp_path / "c")
    assert (bits(model), course(history)) == whole
    assert (tmp_path / "c").read_bytes() == content
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.parametrize("stacked", [[LSTM(9), Dense(2)], [Dense(4, "tanh"), Dense(2)]], ids=["state", "no state"])
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), AdamW(0.01)], ids=repr)
def test_more_epochs_later_are_those_of_a_longer_training(optimizer, stacked, rng, tmp_path):
    x, y = echoes(rng)
    options = {"optimizer": optimizer, "batch": 8, "window": 5}
    once, twice = small(*stacked), small(*stacked)
    want = fit(once, x, y, epochs=5, **options)
    fit(small(*stacked), x, y, epochs=2, checkpoint=tmp_path / "c", **options)
    history = fit(twice, x, y, epochs=5, checkpoint=str(tmp_path / "c"), **options)
    assert course(history) == course(want) and bits(twice) == bits(once)
    back = small(*stacked)  # fewer than there are: those that there are
    assert fit(back, x, y, epochs=3, checkpoint=tmp_path / "c", **options).epochs == 5 and bits(back) == bits(once)


@pytest.mark.parametrize("scaled", [False, True])
def test_more_epochs_may_be_asked_of_the_trained_model_itself(scaled, rng, tmp_path):
    """In a notebook nobody builds the model anew."""
    x, y = echoes(rng)
    layers = [Scale(), Dropout(0.3), LSTM(9), Dense(2), Unscale()] if scaled else [Dropout(0.3), LSTM(9), Dense(2)]
    once, twice, options = small(*layers, init="torch"), small(*layers, init="torch"), {"batch": 8, "validation": 0.2}
    want = fit(once, x, y, epochs=6, **options)
    for epochs in (2, 4, 4, 6):
        history = fit(twice, x, y, epochs=epochs, checkpoint=tmp_path / "c", **options)
        assert history.epochs == epochs
    assert course(history) == course(want) and bits(twice) == bits(once)


def test_patience_stays_patience_and_a_callback_lets_go_on(rng, tmp_path):
    x, y = echoes(rng)
    options = {"validation": (x, -y), "optimizer": Adam(0.05), "checkpoint": tmp_path / "c"}
    done = fit(small(), x, y, patience=1, epochs=50, **options)
    assert done.stopped == "patience" and fit(small(), x, y, patience=1, epochs=99, **options).epochs == done.epochs
    options["checkpoint"] = tmp_path / "d"
    assert fit(small(), x, y, epochs=5, on_epoch=lambda history: True, **options).stopped == "callback"
    history = fit(small(), x, y, epochs=5, **options)
    assert history.stopped == "epochs" and history.epochs == 5


def test_a_loss_of_ones_own_is_known_by_its_name(rng, tmp_path):
    """In another process the function is another object."""
    def make():
        return lambda y, target: (((y - target) ** 2).sum(1), 2 * (y - target))
    x, y = echoes(rng)
    once, twice = small(), small()
    fit(once, x, y, loss=make(), epochs=3)
    fit(small(), x, y, loss=make(), epochs=1, checkpoint=tmp_path / "c")
    fit(twice, x, y, loss=make(), epochs=3, checkpoint=tmp_path / "c")
    assert bits(once) == bits(twice)


# -- interrupted -------------------------------------------------------------------------------------------------------

def test_ctrl_c_keeps_the_best_and_a_checkpoint_to_go_on_from(whole, started, tmp_path):
    process = started(tmp_path, 0.02, 0)
    path = tmp_path / "training"
    wait_for(lambda: path.exists() and values_of(path)["epoch"] >= 1, "an epoch")
    process.send_signal(signal.SIGINT)
    stopped, epochs = ended(process)
    assert stopped == "interrupted" and 1 <= int(epochs) < EPOCHS
    best = load(tmp_path / "model")
    shorter, history = train(epochs=int(epochs))
    assert history.validation[history.best] == min(history.validation) and bits(best) == bits(shorter)
    assert ended(started(tmp_path, 0, 60)) == ["epochs", str(EPOCHS)]
    assert bits(load(tmp_path / "model")) == whole[0]


@pytest.mark.parametrize("validation", [None, 0.2])
@pytest.mark.parametrize("calls", [2, 6, 9, 10, 11, 14])
def test_after_ctrl_c_the_same_model_goes_on(calls, validation, rng, tmp_path):
    """Wherever it was pressed: the model has newer weights than the file, and is still of this training."""
    left = [calls]

    def loss(y, target):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return ((y - target) ** 2).sum(1), 2 * (y - target)
    x, y = echoes(rng)
    once, twice, options = small(), small(), {"epochs": 6, "batch": 8, "validation": validation, "loss": loss}
    history = fit(twice, x, y, checkpoint=tmp_path / "c", every=0, **options)
    assert history.stopped == "interrupted" and bits(twice) != bits(once)
    history = fit(twice, x, y, checkpoint=tmp_path / "c", **options)
    assert course(history) == course(fit(once, x, y, **options)) and bits(once) == bits(twice)


def test_after_ctrl_c_in_on_epoch_the_same_model_goes_on(rng, tmp_path):
    def pressing(history):
        if history.epochs == 3:
            raise KeyboardInterrupt
    x, y = echoes(rng)
    once, twice = small(), small()
    fit(once, x, y, epochs=6, batch=8)
    history = fit(twice, x, y, epochs=6, batch=8, checkpoint=tmp_path / "c", every=0, on_epoch=pressing)
    assert history.stopped == "interrupted" and history.epochs == 3
    history = fit(twice, x, y, epochs=6, batch=8, checkpoint=tmp_path / "c")
    assert history.stopped == "epochs" and history.epochs == 6 and bits(once) == bits(twice)


# -- refused -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def written(rng, tmp_path):
    """(x, y, path) of a training that has a checkpoint."""
    x, y = echoes(rng)
    fit(small(), x, y, epochs=1, checkpoint=tmp_path / "c", seed=1, validation=0.2)
    return x, y, tmp_path / "c"


CHANGES = {
    "first weights": {"model": lambda: small(seed=9)}, "layers": {"model": lambda: small(LSTM(8), Dense(2))}, "loss": {"loss": "mae"},
    "activation": {"model": lambda: small(LSTM(9), Dense(2, "tanh"))}, "optimiser": {"optimizer": SGD()}, "rate": {"optimizer": Adam(2e-3)},
    "schedule": {"schedule": Plateau()}, "batch": {"batch": 7}, "window": {"window": 5}, "seed": {"seed": 2}, "recompute": {"recompute": 3},
    "cosine": {"schedule": Cosine()}, "share": {"validation": 0.3}, "no validation": {"validation": None}, "split": {"split": "time"},
    "x": {"x": lambda x: x + 1}, "y": {"y": lambda y: y + 1}, "fewer": {"x": lambda x: x[1:], "y": lambda y: y[1:]},
    "lengths": {"lengths": np.full(20, 11)}, "patience": {"patience": 3},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_of_another_training_is_refused(change, written):
    x, y, path = written
    change, before = dict(change), path.read_bytes()
    model, x, y = change.pop("model", small)(), change.pop("x", lambda x: x)(x), change.pop("y", lambda y: y)(y)
    tensors = bits(model)
    with pytest.raises(FileError, match=r"c belongs to another training .*a checkpoint of its own, or delete the file"):
        fit(model, x, y, **{"epochs": 2, "checkpoint": path, "seed": 1, "validation": 0.2} | change)
    assert path.read_bytes() == before and bits(model) == tensors


def test_other_validation_data_are_another_training(rng, tmp_path):
    x, y = echoes(rng)
    fit(small(), x, y, epochs=1, checkpoint=tmp_path / "c", validation=(x[:3], y[:3]))
    with pytest.raises(FileError, match="belongs to another training"):
        fit(small(), x, y, epochs=1, checkpoint=tmp_path / "c", validation=(x[:3], 2 * y[:3]))


@pytest.mark.parametrize("place", [0, 7, 8, 9, 60, 300, 0.3, 0.6, 0.9, -1])
def test_a_flipped_bit_anywhere_is_noticed(place, written):
    x, y, path = written
    raw = bytearray(path.read_bytes())
    raw[int(place * len(raw)) if isinstance(place, float) else place] ^= 4
    path.write_bytes(raw)
    model = small()
    before = bits(model)
    with pytest.raises(FileError, match=r"(damaged|no checkpoint|another version).*delete it to start again"):
        fit(model, x, y, epochs=2, checkpoint=path, seed=1, validation=0.2)
    assert bits(model) == before and path.read_bytes() == raw


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 100, b'{"a": 1}', None], ids=str)
def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(content, written):
    x, y, path = written
    if content is None:
        small().save(path)  # a model is no checkpoint
        content = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"is no checkpoint of a training, or a damaged one .*delete it to start again"):
        fit(small(), x, y, checkpoint=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(cut, written):
    x, y, path = written
    raw = path.read_bytes()
    path.write_bytes(raw[:int(cut * len(raw))])
    with pytest.raises(FileError, match="damaged"):
        fit(small(), x, y, checkpoint=path)


def test_a_place_that_cannot_be_is_refused_before_the_first_step(rng, tmp_path):
    x, y = echoes(rng)
    for path in (tmp_path / "none" / "c", tmp_path):
        with pytest.raises(FileError, match="a name in a folder that exists"):
            fit(small(), x, y, checkpoint=path, on_epoch=lambda history: pytest.fail("it began"))
    with pytest.raises(ConfigError, match="checkpoint must be the path of a file"):
        fit(small(), x, y, checkpoint=["c"])


def test_a_model_of_the_script_is_killed_within_epochs():
    """Several updates an epoch, and windows that carry states: else the tests above would show little."""
    assert len(LENGTHS) == 20 and LENGTHS.max() > 4 * 7
