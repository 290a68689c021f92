"""Training as a user sees it: the same bits every time, the loss that was asked for, the best weights, and a model that changes once."""
import threading
import time

import numpy as np
import pytest
from learning import F, bits, course, echoes, pieces, small

from streamrnn import (
    BCE,
    GRU,
    LSTM,
    MSE,
    RNN,
    SGD,
    Adam,
    AdamW,
    ConfigError,
    Cosine,
    CrossEntropy,
    Dense,
    Diverged,
    Dropout,
    Embedding,
    Gaussian,
    InputError,
    LayerNorm,
    Model,
    Plateau,
    Quantile,
    RMSprop,
    Scale,
    Unscale,
    fit,
    load,
)

STILL = SGD(1e-30)  # a rate at which no weight changes
RAGGED = np.random.default_rng(4).integers(0, 13, 37)
CLASSES = 4


def logits(model):
    """The same model, its last Dense without an activation."""
    config = model.config()
    for stack in [config["layers"], *config.get("heads", {}).values()]:
        if stack[-1]["kind"] == "dense":
            stack[-1]["activation"] = None
    return Model.from_config(config, tensors=model.tensors)


# -- the same bits -----------------------------------------------------------------------------------------------------

TRAININGS = {
    "plain": ([LSTM(9), Dense(2)], {}),
    "batches that are no multiple of 8": ([GRU(9), Dense(2)], {"batch": 21}),
    "dropout": ([Dropout(0.2), LSTM(9), Dropout(0.4), Dense(2)], {"batch": 21, "validation": 0.3}),
    "one mask a sequence, windows": ([Dropout(0.2, variational=True), GRU(9), Dropout(0.4, variational=True), Dense(2)], {"window": 5}),
    "ragged, windows": ([LSTM(9), LayerNorm(), Dropout(0.2), Dense(2)], {"lengths": RAGGED, "window": 5, "batch": 22}),
    "recomputed": ([RNN(9), Dropout(0.3), GRU(5, reset_after=False), Dense(2)], {"recompute": 5, "lengths": RAGGED}),
    "scaled, split in time": ([Scale(), LSTM(9), Dense(2), Unscale()], {"validation": 0.3, "split": "time"}),
    "RMSprop, cosine": ([LSTM(9), Dense(2)], {"optimizer": RMSprop(clip=1.0), "schedule": Cosine(warmup=2), "batch": 8}),
    "AdamW, plateau": ([LSTM(9), Dense(2)], {"optimizer": AdamW(0.1), "schedule": Plateau(patience=0), "validation": 0.2, "batch": 8}),
}


@pytest.mark.parametrize(("layers", "options"), TRAININGS.values(), ids=TRAININGS)
def test_two_runs_and_any_number_of_threads_are_equal_bit_for_bit(layers, options, rng):
    x, y = echoes(rng, count=37)
    done = []
    for threads in (1, 1, 2, 3):
        model = small(*layers)
        before = bits(model)
        history = fit(model, x, y, epochs=3, seed=5, threads=threads, **options)
        assert bits(model) != before and history.epochs == 3
        done.append((course(history), bits(model)))
    assert all(one == done[0] for one in done)


def test_heads_and_one_long_series_are_equal_bit_for_bit(rng):
    x, y = (part.reshape(-1, part.shape[-1]) for part in echoes(rng, count=60, time=30))
    done = []
    for threads in (1, 2, 3):
        model = small(LSTM(9), heads={"a": [Dropout(0.3), Dense(2)], "sign": Dense(1, "sigmoid")})
        history = fit(model, x, {"a": y, "sign": y[:, 0] > 0}, loss={"a": "huber", "sign": "bce"}, epochs=2, batch=30, window=10,
                      validation=0.1, threads=threads)
        done.append((course(history), bits(model)))
    assert done[0] == done[1] == done[2]


@pytest.mark.parametrize("what", ["seed", "seed of the model", "data"])
def test_another_seed_or_other_data_give_other_weights(what, rng):
    x, y = echoes(rng)
    first, other = small(Dropout(0.5), LSTM(9), Dense(2)), small(Dropout(0.5), LSTM(9), Dense(2), seed=3 + (what == "seed of the model"))
    fit(first, x, y, epochs=1)
    fit(other, x, y + (what == "data"), epochs=1, seed=int(what == "seed"))
    assert bits(first) != bits(other)


@pytest.mark.parametrize("number", [int, np.int32, np.int64, np.uint64])
def test_numpy_numbers_are_numbers(number, rng):
    x, y = echoes(rng)
    one, other = small(Dropout(0.5), LSTM(9), Dense(2)), small(Dropout(0.5), LSTM(9), Dense(2))
    fit(one, x, y, epochs=2, seed=7, batch=8, window=5)
    fit(other, x, y, epochs=number(2), seed=number(7), batch=number(8), window=number(5))
    assert bits(one) == bits(other)


# -- what is minimised -------------------------------------------------------------------------------------------------

def first_loss(model, x, y, **options):
    """The loss of the first and only update: that of the weights before it."""
    history = fit(model, x, y, epochs=1, batch=len(x) if np.ndim(x[0]) == 2 else 1, **options)
    return history.loss[0]


def test_every_step_counts_with_a_target_for_every_step(rng):
    x, y = echoes(rng)
    model = small()
    want = ((model.run(x) - y) ** 2).mean()
    assert first_loss(model, x, y) == pytest.approx(want, rel=1e-5)


def test_steps_within_the_lengths_count(rng):
    x, y = echoes(rng, count=37)
    model, inside = small(), np.arange(12) < RAGGED[:, None]
    want = ((model.run(x, RAGGED) - y) ** 2)[inside].mean()
    assert first_loss(model, x, y, lengths=RAGGED) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["whole", "ragged"])
def test_the_last_step_counts_with_a_target_for_every_sequence(lengths, rng):
    x, y = echoes(rng, count=37)
    model, some = small(), np.full(37, True) if lengths is None else lengths > 0
    ends = np.full(37, 11) if lengths is None else lengths - 1
    want = ((model.run(x)[np.arange(37), ends] - y[:, -1]) ** 2)[some].mean()
    assert first_loss(model, x, y[:, -1], lengths=lengths) == pytest.approx(want, rel=1e-5)


def test_one_series_has_a_target_for_every_step_or_one(rng):
    x, y = (part[0] for part in echoes(rng, count=1))
    model = small()
    run = model.run(x)
    assert first_loss(small(), x, y) == pytest.approx(((run - y) ** 2).mean(), rel=1e-5)
    assert first_loss(small(), x, y[-1:]) == pytest.approx(((run - y)[-1] ** 2).mean(), rel=1e-5)
    assert first_loss(small(LSTM(9), Dense(1), seed=3), x, y[:, 0]) == first_loss(small(LSTM(9), Dense(1), seed=3), x, y[:, :1])


@pytest.mark.parametrize("each", [True, False], ids=["every step", "every sequence"])
def test_targets_of_one_column_need_no_last_axis(each, rng):
    x, y = echoes(rng)
    y = y[:, :, 0] if each else y[:, -1, 0]
    flat, wide = small(GRU(5), Dense(1)), small(GRU(5), Dense(1))
    assert course(fit(flat, x, y, epochs=2)) == course(fit(wide, x, y[..., None], epochs=2))
    assert bits(flat) == bits(wide)


@pytest.mark.parametrize("each", [True, False], ids=["every step", "every sequence"])
def test_a_list_of_sequences_is_the_padded_batch(each, rng):
    x, y = echoes(rng, count=37)
    padded, listed = small(Scale(), Dropout(0.2), LSTM(9), Dense(2)), small(Scale(), Dropout(0.2), LSTM(9), Dense(2))
    options = {"epochs": 2, "batch": 11, "window": 5}
    one = fit(padded, x, y if each else y[:, -1], lengths=RAGGED, validation=(x, y, RAGGED), **options)
    xs, ys = pieces(x, RAGGED), pieces(y, RAGGED)
    other = fit(listed, xs, ys if each else list(y[:, -1]), validation=(tuple(xs), tuple(ys)), **options)
    assert course(one) == course(other) and bits(padded) == bits(listed)


def test_plain_lists_of_numbers_will_do(rng):
    x, y = echoes(rng, count=3, time=4)
    arrays, lists = small(), small()
    fit(arrays, x, y, epochs=1)
    fit(lists, x.tolist(), y.tolist(), epochs=1)
    assert bits(arrays) == bits(lists)


def test_losses_of_heads_add_up(rng):
    x, y = echoes(rng)
    labels = (y[:, :, 0] > 0) + 2 * (y[:, :, 1] > 0)
    model = small(LSTM(9), heads={"level": Dense(2), "kind": Dense(CLASSES, "softmax"), "spread": Dense(2), "idle": Dense(1)})
    parts = logits(model).split(logits(model).run(x))
    logs = parts["kind"] - np.log(np.exp(parts["kind"]).sum(-1, keepdims=True))
    mean, s = parts["spread"][..., 0], parts["spread"][..., 1]
    want = (((parts["level"] - y) ** 2).mean() - np.take_along_axis(logs, labels[..., None], -1).mean()
            + ((s + (mean - y[..., 0]) ** 2 * np.exp(-s)) / 2).mean())
    idle = {name: tensor for name, tensor in bits(model).items() if "idle" in name}
    loss = first_loss(model, x, {"kind": labels, "level": y, "spread": y[..., :1]},
                      loss={"level": "mse", "kind": "cross_entropy", "spread": Gaussian()})
    assert loss == pytest.approx(want, rel=1e-5)
    assert all(bits(model)[name] == tensor for name, tensor in idle.items())  # a head without a loss learns nothing


def test_heads_may_mix_targets_for_steps_and_for_sequences(rng):
    x, y = echoes(rng, count=37)
    model = small(LSTM(9), heads={"a": Dense(2), "b": Dense(2)})
    run, inside = model.split(model.run(x, RAGGED)), np.arange(12) < RAGGED[:, None]
    some = RAGGED > 0
    want = ((run["a"] - y)[inside] ** 2).mean() + ((run["b"][np.arange(37), RAGGED - 1] - y[:, -1])[some] ** 2).mean()
    loss = first_loss(model, x, {"a": y, "b": y[:, -1]}, loss={"a": "mse", "b": MSE}, lengths=RAGGED)
    assert loss == pytest.approx(want, rel=1e-5)


def test_windows_without_a_target_do_not_stop_the_state(rng):
    """One target at the end of each sequence: the windows before it only carry the state."""
    x, y = echoes(rng, time=23)
    model = small()
    want = ((model.run(x)[:, -1] - y[:, -1]) ** 2).mean()
    assert first_loss(model, x, y[:, -1], window=5) == pytest.approx(want, rel=1e-5)


def test_class_weights_and_ignored_labels_weigh_the_mean(rng):
    x, y = echoes(rng)
    labels = (y[:, :, 0] > 0) + 2 * (y[:, :, 1] > 0)
    labels[:, :3] = -100
    weights = (1.0, 0.0, 2.5, 0.5)
    model = small(LSTM(9), Dense(CLASSES, "softmax"))
    logs = np.log(model.run(x).astype(float))
    counts = np.where(labels >= 0, np.array(weights)[np.maximum(labels, 0)], 0)
    want = -(counts * np.take_along_axis(logs, np.maximum(labels, 0)[..., None], -1)[..., 0]).sum() / counts.sum()
    assert first_loss(model, x, labels, loss=CrossEntropy(weights)) == pytest.approx(want, rel=1e-5)


def test_a_function_is_a_loss(rng):
    def cubic(y, target):
        assert y.shape == target.shape and y.dtype == F
        return (np.abs(y - target) ** 3).sum(1), 3 * (y - target) * np.abs(y - target)
    x, y = echoes(rng, count=37)
    model = small()
    want = (np.abs(model.run(x) - y)[np.arange(12) < RAGGED[:, None]] ** 3).sum(1).mean()
    assert first_loss(model, x, y, loss=cubic, lengths=RAGGED) == pytest.approx(want, rel=1e-5)

    ours, same = small(), small()
    fit(ours, x, y, loss=lambda y, target: (((y - target) ** 2).sum(1), 2 * (y - target)), epochs=3)
    fit(same, x, 0 + y, loss="mse", epochs=3, optimizer=Adam())
    assert all(np.abs(ours.tensors[name] - same.tensors[name]).max() < 2e-3 for name in ours.tensors)


def test_what_a_function_raises_comes_through_and_changes_nothing(rng):
    def broken(y, target):
        raise KeyError("mine")
    x, y = echoes(rng)
    model = small()
    before = bits(model)
    with pytest.raises(KeyError, match="mine"):
        fit(model, x, y, loss=broken, threads=2)
    assert bits(model) == before


def test_quantiles_learn_theirs(rng):
    x = np.ones((400, 1, 1), F)
    y = rng.normal(size=(400, 1)).astype(F)
    model = small(Dense(3), inputs=1)
    fit(model, x, y, loss=Quantile((0.1, 0.5, 0.9)), epochs=60, optimizer=Adam(0.03), batch=50)
    assert np.abs(model.run(x[:1])[0, 0] - np.quantile(y, [0.1, 0.5, 0.9])).max() < 0.15


def test_an_embedding_learns_a_sequence_by_heart():
    tokens = np.resize([3, 1, 4, 1, 5, 9, 2, 6], 240)
    model = Model(1, [Embedding(10, 8), LSTM(24), Dense(10, "softmax")], seed=1)
    history = fit(model, tokens[:-1, None], tokens[1:], loss="cross_entropy", window=20, batch=4, epochs=40, optimizer=Adam(0.02))
    assert history.loss[-1] < 0.2
    assert (model.run(tokens[:-1, None]).argmax(-1)[2:] == tokens[3:]).mean() > 0.95


# -- probabilities -----------------------------------------------------------------------------------------------------

def test_a_softmax_trains_on_logits_and_serves_probabilities(rng):
    x, y = echoes(rng)
    labels = (y[:, :, 0] > 0) + 2 * (y[:, :, 1] > 0)
    served, bare = small(LSTM(9), Dense(CLASSES, "softmax")), small(LSTM(9), Dense(CLASSES))
    assert course(fit(served, x, labels, loss="cross_entropy", epochs=3)) == course(fit(bare, x, labels, loss="cross_entropy", epochs=3))
    assert bits(served) == bits(bare) and served.layers[-1].activation == "softmax"
    assert np.abs(served.run(x).sum(-1) - 1).max() < 1e-6


@pytest.mark.parametrize("heads", [None, 1, 2])
def test_a_sigmoid_trains_on_logits_and_serves_probabilities(heads, rng):
    def model(activation):
        tops = {f"h{i}": Dense(2 // heads, activation) for i in range(heads)} if heads else None
        return small(LSTM(9), *([] if heads else [Dense(2, activation)]), heads=tops)
    x, y = echoes(rng)
    served, bare = model("sigmoid"), model(None)
    assert course(fit(served, x, y > 0, loss=BCE, epochs=3)) == course(fit(bare, x, y > 0, loss="bce", epochs=3))
    assert bits(served) == bits(bare)
    assert ((served.run(x) > 0) & (served.run(x) < 1)).all()


def test_only_the_activation_in_the_loss_is_left_out(rng):
    """mse on a sigmoid: its values are what is compared."""
    x, y = echoes(rng)
    model = small(LSTM(9), Dense(2, "sigmoid"))
    want = ((model.run(x) - y) ** 2).mean()
    assert first_loss(model, x, y) == pytest.approx(want, rel=1e-5)


# -- validation --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["whole", "ragged"])
@pytest.mark.parametrize("loss", ["mse", "quantile", "gaussian", "cross_entropy"])
def test_validation_on_the_same_data_is_the_training_loss(loss, lengths, rng):
    x, y = echoes(rng, count=37)
    target = {"mse": y, "quantile": y[..., :1], "gaussian": y[..., :1], "cross_entropy": y[..., 0] > 0}[loss]
    model = small(Scale(), LSTM(9), Dropout(0.0), Dense({"quantile": 3}.get(loss, 2)))
    history = fit(model, x, target, loss=loss, lengths=lengths, validation=(x, target, lengths), epochs=2, batch=11, optimizer=STILL)
    assert history.validation == pytest.approx(history.loss, rel=1e-5)
    assert history.validation[0] == history.validation[1]


def test_validation_leaves_dropout_out(rng):
    x, y = echoes(rng)
    model = small(Dropout(0.9), LSTM(9), Dense(2))
    want = ((model.run(x) - y) ** 2).mean()
    assert fit(model, x, y, validation=(x, y), epochs=1, optimizer=STILL).validation[0] == pytest.approx(want, rel=1e-5)


def test_a_share_of_sequences(rng):
    """What is held out is not trained on: with other values there, the weights are the same and the validation is not."""
    x, y = echoes(rng)
    order = np.random.default_rng(6).permutation(20)  # as split in Sequences draws it
    for how in ("auto", "sequence"):
        one, other = small(Scale(), LSTM(9), Dense(2)), small(Scale(), LSTM(9), Dense(2))
        a = fit(one, x, y, validation=0.25, seed=6, epochs=1, split=how)
        changed = x.copy()
        changed[order[:5]] *= 1.5
        b = fit(other, changed, y, validation=0.25, seed=6, epochs=1, split=how)
        assert a.loss == b.loss and bits(one) == bits(other)
        assert a.validation != b.validation


@pytest.mark.parametrize("count", [1, 20])
def test_a_share_in_time(count, rng):
    x, y = echoes(rng, count=count, time=40)
    x, y = (x[0], y[0]) if count == 1 else (x, y)
    options = {"validation": 0.25, "epochs": 1, "window": 7, "optimizer": STILL} | ({"split": "time"} if count > 1 else {})
    one, other = small(Scale(), LSTM(9), Dense(2)), small(Scale(), LSTM(9), Dense(2))
    a = fit(one, x, y, **options)
    changed = x.copy()
    changed[..., 30:, :] *= 1.5
    b = fit(other, changed, y, **options)
    assert a.loss == b.loss and bits(one) == bits(other)
    assert a.validation != b.validation
    run = one.run(x[..., 23:, :])  # the state of validation has a window to warm up
    assert a.validation[0] == pytest.approx(((run - y[..., 23:, :])[..., 7:, :] ** 2).mean(), rel=1e-5)


def noise(rng, count=30):
    """Something to learn from, and then noise to learn by heart, which makes validation worse."""
    x = rng.normal(size=(count, 6, 3)).astype(F)
    return x, (x[:, -1, :2] + rng.normal(size=(count, 2))).astype(F)


def test_the_weights_of_the_best_epoch_are_restored(rng):
    x, y = noise(rng)
    model, options = small(), {"optimizer": Adam(0.03), "batch": 8}
    history = fit(model, x[:20], y[:20], validation=(x[20:], y[20:]), epochs=25, **options)
    best = history.best
    assert history.stopped == "epochs" and history.epochs == 25
    assert 0 < best < 20 and history.validation[best] == min(history.validation) and best == int(np.argmin(history.validation))
    captured = small()
    fit(captured, x[:20], y[:20], epochs=best + 1, **options)  # no validation: the last weights, those of that epoch
    assert bits(model) == bits(captured) and (model.run(x) == captured.run(x)).all()
    want = ((model.run(x[20:])[:, -1] - y[20:]) ** 2).mean()
    assert history.validation[best] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("patience", [1, 4])
def test_patience_ends_a_training_that_no_longer_gets_better(patience, rng):
    x, y = noise(rng)
    model, options = small(), {"optimizer": Adam(0.03), "batch": 8, "validation": (x[20:], y[20:])}
    history = fit(model, x[:20], y[:20], epochs=60, patience=patience, **options)
    assert history.stopped == "patience" and history.epochs < 60 and history.epochs == history.best + 1 + patience
    full = fit(small(), x[:20], y[:20], epochs=60, **options)
    assert full.validation[:history.epochs] == history.validation


def test_without_validation_the_last_weights_are_kept(rng):
    x, y = noise(rng)
    history = fit(small(), x, y, epochs=4, optimizer=SGD(2.0))
    assert history.best == 3 and history.stopped == "epochs" and history.validation == []


# -- scalers -----------------------------------------------------------------------------------------------------------

def test_scalers_are_set_from_the_training_part_only(rng):
    x, y = echoes(rng)
    x, y = x * 100 + 5, y * 40 - 7
    order = np.random.default_rng(0).permutation(20)
    x[order[:5]], y[order[:5]] = 1e6, -1e6
    model = small(Scale(), LSTM(9), Dense(2), Unscale(by="minmax"))
    fit(model, x, y, validation=0.25, epochs=1)
    inside = np.sort(order[5:])
    flat, goals = x[inside].reshape(-1, 3).astype(float), y[inside].reshape(-1, 2).astype(float)
    got = model.tensors
    np.testing.assert_allclose(got["layers.0.shift"], flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(got["layers.0.factor"], 1 / flat.std(0), rtol=1e-5)
    np.testing.assert_allclose(got["layers.3.shift"], goals.min(0), rtol=1e-5)
    np.testing.assert_allclose(got["layers.3.factor"], np.ptp(goals, 0), rtol=1e-5)


def test_scalers_look_at_what_counts_only(rng):
    x, y = echoes(rng, count=37)
    model = small(Scale(), LSTM(9), Dense(2), Unscale())
    fit(model, x, y[:, -1], lengths=RAGGED, epochs=1)
    np.testing.assert_allclose(model.tensors["layers.0.shift"], np.concatenate(pieces(x, RAGGED)).mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.tensors["layers.3.shift"], y[RAGGED > 0, -1].mean(0), rtol=1e-4)


@pytest.mark.parametrize("single", [True, False], ids=["one loss", "a loss each"])
def test_scalers_at_the_end_of_heads_are_set_too(single, rng):
    x, y = echoes(rng)
    model = small(Scale(), GRU(5), heads={"a": [Dense(1), Unscale()], "b": [Dense(1), Unscale()]})
    target = y * [3, 50] + [100, -7]
    options = {"y": target} if single else {"y": {"a": target[..., :1], "b": target[..., 1:]}, "loss": {"a": "mse", "b": "mae"}}
    fit(model, x, epochs=1, **options)
    shifts = [model.tensors[f"heads.{head}.1.shift"][0] for head in "ab"]
    np.testing.assert_allclose(shifts, target.mean((0, 1)), rtol=1e-4)


def test_scalers_are_constants_and_what_is_set_stays(rng):
    x, y = echoes(rng)
    model = small(Scale(), LSTM(9), Dense(2), Unscale())
    fit(model, x, y, epochs=1)
    before = bits(model)
    fit(model, x * 100 + 3, y * 30, epochs=3, optimizer=AdamW(0.1, decay=0.5))
    changed = {name for name, tensor in bits(model).items() if tensor != before[name]}
    assert changed and all(name.split(".")[1] in "12" for name in changed)


def test_a_scaled_model_is_fit_for_values_far_from_zero_and_constant_columns(rng, tmp_path):
    x, y = echoes(rng, count=40)
    x, y = np.concatenate([x * [1e4, 1e-4, 1] + [1e6, 0, -5], np.full((40, 12, 1), 7)], -1), y * 300 + 1000
    model = small(Scale(), LSTM(16), Dense(2), Unscale(), inputs=4)
    history = fit(model, x, y, epochs=30, optimizer=Adam(0.02), batch=10)
    assert history.loss[-1] < 0.3 * y.var()
    assert history.loss[-1] < 0.2 * history.loss[0]
    run = model.run(x)
    model.save(tmp_path / "scaled.safetensors")
    again = load(tmp_path / "scaled.safetensors")
    assert again.run(x).tobytes() == run.tobytes() and bits(again) == bits(model)


# -- the model ---------------------------------------------------------------------------------------------------------

def test_streams_opened_before_keep_the_old_weights_and_a_run_has_the_new(rng):
    x, y = echoes(rng)
    model = small()
    stream, old = model.stream(), model.run(x)
    first = stream.run(x[0, :5])
    fit(model, x, y, epochs=2, optimizer=Adam(0.05))
    assert np.concatenate([first, stream.run(x[0, 5:])]).tobytes() == old[0].tobytes()
    assert model.run(x).tobytes() != old.tobytes()
    assert model.stream().run(x[0]).tobytes() == model.run(x)[0].tobytes()


def test_a_trained_model_is_the_same_after_a_file(rng, tmp_path):
    x, y = echoes(rng)
    model = small(LSTM(9), heads={"a": Dense(1, "sigmoid"), "b": [Dropout(0.1), Dense(1)]})
    fit(model, x, {"a": y[..., :1] > 0, "b": y[..., 1]}, loss={"a": "bce", "b": "mse"}, epochs=2)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert bits(again) == bits(model) and again.digest == model.digest and again.run(x).tobytes() == model.run(x).tobytes()


def test_training_goes_on_from_where_the_model_is(rng):
    x, y = echoes(rng)
    model = small()
    first = fit(model, x, y, epochs=30, optimizer=Adam(0.02))
    second = fit(model, x, y, epochs=1)
    assert second.loss[0] < first.loss[0] / 2 and second.loss[0] <= first.loss[-1]


def test_on_epoch_sees_the_history_and_may_end_the_training(rng):
    x, y = echoes(rng)
    seen, model, same = [], small(), small()
    history = fit(model, x, y, epochs=9, on_epoch=lambda history: seen.append(history.epochs) or history.epochs == 4)
    assert seen == [1, 2, 3, 4] and history.stopped == "callback" and history.epochs == 4
    fit(same, x, y, epochs=4)
    assert bits(model) == bits(same)


def test_no_thread_is_left_behind(rng):
    x, y = echoes(rng, count=64)
    before = threading.active_count()
    for _ in range(5):
        fit(small(), x, y, epochs=1, threads=3, validation=(x, y))
    for _ in range(100):  # they end when nobody needs them, not at once
        if threading.active_count() <= before:
            return
        time.sleep(0.05)
    raise AssertionError(f"{threading.active_count()} threads, {before} before")


# -- interruptions -----------------------------------------------------------------------------------------------------

def stopping_after(calls):
    """A loss that presses Ctrl-C."""
    left = [calls]

    def loss(y, target):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return ((y - target) ** 2).mean(1), 2 * (y - target) / y.shape[1]
    return loss


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c_keeps_the_best_so_far(threads, rng):
    x, y = echoes(rng, count=24)  # 3 shards an epoch
    model, same = small(), small()
    history = fit(model, x, y, loss=stopping_after(3 * 4 + 1), epochs=50, threads=threads)
    assert history.stopped == "interrupted" and history.epochs == 4 and history.best == 3
    fit(same, x, y, loss=stopping_after(1000), epochs=4)
    assert bits(model) == bits(same)


def test_ctrl_c_within_validation_leaves_a_history_that_is_whole(rng, tmp_path):
    x, y = echoes(rng, count=24)
    model = small()
    history = fit(model, x, y, loss=stopping_after(4 * 2 + 3), epochs=50, validation=(x, y))
    assert history.stopped == "interrupted" and history.epochs == 2
    assert len(history.loss) == len(history.validation) == len(history.rate) == len(history.norm) == len(history.seconds)


def test_ctrl_c_in_the_first_epoch_keeps_what_there_is(rng):
    x, y = echoes(rng, count=24)
    model, same = small(), small()
    history = fit(model, x, y, loss=stopping_after(2), batch=8)
    assert history.stopped == "interrupted" and history.epochs == 0 and "nothing done" in repr(history)
    assert bits(model) != bits(same)


def test_ctrl_c_in_on_epoch_keeps_that_epoch(rng):
    def press(history):
        raise KeyboardInterrupt
    x, y = echoes(rng)
    model, same = small(), small()
    history = fit(model, x, y, on_epoch=press)
    fit(same, x, y, epochs=1)
    assert history.stopped == "interrupted" and history.epochs == 1 and bits(model) == bits(same)


# -- what goes wrong ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("layers", [[RNN(9, "relu"), Dense(2)], [GRU(5), Dense(4, "relu"), Dense(2)]], ids=repr)
@pytest.mark.parametrize("options", [{}, {"window": 5}, {"batch": 11}, {"validation": 0.3}, {"recompute": 4}], ids=str)
def test_a_rate_that_is_far_too_high_is_said_and_changes_nothing(layers, options, rng):
    x, y = echoes(rng, count=37)
    model = small(*layers)
    before, digest = bits(model), model.digest
    message = r"^step \d+ \(epoch \d+\): .*(the values of|weights|weights are) layers\.\d.*Lower the learning rate.*clip=1.0.*Scale\(\)"
    with pytest.raises(Diverged, match=message) as error:
        fit(model, x, y, epochs=40, optimizer=SGD(1e17), **options)
    assert "keeps its old weights" in str(error.value) and "1e+17" in str(error.value)
    assert bits(model) == before and model.digest == digest


def test_weights_that_are_no_longer_finite_are_named(rng):
    x, y = echoes(rng)
    with pytest.raises(Diverged, match=r"the weights layers\.\d\.\w+ are not finite"):
        fit(small(), x, y * 1e10, epochs=1, optimizer=SGD(1e38))


def test_clipping_is_the_remedy_it_is_said_to_be(rng):
    x, y = echoes(rng)
    model = small(RNN(9, "relu"), Dense(2))
    with pytest.raises(Diverged):
        fit(model, x, y, epochs=40, optimizer=SGD(10.0))
    history = fit(model, x, y, epochs=40, optimizer=SGD(0.05, clip=1.0))
    assert history.loss[-1] < history.loss[0]


OPTIONS = [
    ({"epochs": 0}, "epochs must be a whole number of 1 or more, got 0"), ({"epochs": 2.5}, "epochs"), ({"epochs": True}, "epochs"),
    ({"epochs": None}, "epochs"), ({"batch": 0}, "batch"), ({"batch": None}, "batch"), ({"batch": "8"}, "batch"), ({"window": 0}, "window"),
    ({"window": 1.0}, "window"), ({"patience": 0, "validation": 0.5}, "patience"), ({"patience": 2}, "patience waits.*validation"),
    ({"seed": -1}, "seed"), ({"seed": None}, "seed"), ({"seed": 0.5}, "seed"), ({"threads": 0}, "threads"), ({"threads": 2.0}, "threads"),
    ({"threads": "all"}, "threads"), ({"recompute": 0}, "recompute"), ({"recompute": True}, "recompute"), ({"every": "1"}, "every must be"),
    ({"every": -1}, "every"), ({"every": None}, "every"), ({"every": np.nan}, "every"), ({"checkpoint": 5}, "checkpoint must be the path"),
    ({"checkpoint": True}, "checkpoint"), ({"split": "random"}, "split must be one of auto, time, sequence"), ({"split": None}, "split"),
    ({"optimizer": "adan"}, r"optimizer must be .*Adam\(1e-3\), got 'adan'"), ({"optimizer": Adam}, "optimizer must be"),
    ({"optimizer": False}, "optimizer"), ({"schedule": 0.1}, r"schedule must be .*Cosine\(warmup=100\).*, got 0.1"),
    ({"schedule": False}, "schedule"), ({"loss": None}, "loss must be"), ({"loss": "MSE"}, "loss must be mse, "), ({"loss": 3}, "loss"),
    ({"loss": {}}, "names heads of the model"), ({"loss": {"a": "mse"}}, "heads of the model: it has none, got 'a'"),
    ({"on_epoch": 3}, "on_epoch must be a function"), ({"progress": "yes"}, "progress must be"), ({"progress": 3}, "progress"),
    ({"loss": CrossEntropy((1, 2, 3))}, "one for each of the 2 outputs, got 3"),
    ({"loss": "quantile"}, "outputs must be a multiple of 3, got 2"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=str)
def test_options_of_the_wrong_kind_are_refused_before_the_first_step(options, message, rng):
    x, y = echoes(rng)
    model = small()
    before = bits(model)
    with pytest.raises(ConfigError, match=message):
        fit(model, x, y, **options)
    assert bits(model) == before


@pytest.mark.parametrize(("validation", "message"), [
    (0, "share between 0 and 1"), (1, "share between"), (1.5, "share between"), (-0.1, "share between"), (True, "share between"),
    ("0.2", "share between .*got '0.2'"), (np.zeros((20, 12, 3)), r"got shape \(20, 12, 3\)"), ((1,), r"got a tuple of 1"),
    ((1, 2, 3, 4), r"got a tuple of 4"), (np.nan, "share between"), (0.01, "leaves 20 to train on and 0"), (0.99, "leaves 0 to train on"),
    (([[1, 2, 3.0]], [[1.0]]), r"y must be"),
    (([[1, 2, np.nan]], [[1.0, 2]]), r"x\[0\]\[2\] is nan"), (([[1, 2]], [[1.0, 2]]), r"\(T, 3\)"),
], ids=str)
def test_validation_that_cannot_be_is_refused_before_the_first_step(validation, message, rng):
    x, y = echoes(rng)
    model = small()
    before = bits(model)
    with pytest.raises(InputError, match=message):
        fit(model, x, y, validation=validation)
    assert bits(model) == before


def test_validation_takes_any_kind_of_number(rng):
    x, y = echoes(rng)
    assert course(fit(small(), x, y, epochs=1, validation=F(0.25))) == course(fit(small(), x, y, epochs=1, validation=0.25))


def test_a_split_that_leaves_no_target_is_refused(rng):
    x, y = echoes(rng)
    with pytest.raises(InputError, match="no target that counts to train on"):
        fit(small(), x, y[:, -1], validation=0.2, split="time")  # the only targets are at the ends
    labels = np.full((20, 12), -100)
    labels[:, :3] = 1
    with pytest.raises(InputError, match="no target that counts to validate on"):
        fit(small(), x, labels, loss="cross_entropy", validation=0.2, split="time")


def test_only_a_model_can_be_trained(rng):
    with pytest.raises(ConfigError, match="fit trains a Model, got 'model'"):
        fit("model", *echoes(rng))


def test_one_cross_entropy_over_several_softmaxes_is_refused(rng):
    x, y = echoes(rng)
    model = small(LSTM(5), heads={"a": Dense(2, "softmax"), "b": Dense(2, "softmax")})
    with pytest.raises(ConfigError, match=r"a loss of its own, loss=\{'a': \.\.\., 'b': \.\.\.\}"):
        fit(model, x, y[..., 0] > 0, loss="cross_entropy")


# -- torch -------------------------------------------------------------------------------------------------------------

TORCH = {
    "lstm, mse": (lambda: [LSTM(9), Dense(2)], "mse"),
    "gru, mae": (lambda: [GRU(9), Dense(2)], "mae"),
    "rnn, huber": (lambda: [RNN(9), Dense(2)], "huber"),
    "lstm, softmax": (lambda: [LSTM(9), Dense(CLASSES, "softmax")], "cross_entropy"),
    "gru, sigmoid": (lambda: [GRU(9), Dense(2, "sigmoid")], "bce"),
    "two layers": (lambda: [LSTM(9), LayerNorm(), GRU(5), Dense(2)], "mse"),
}


@pytest.mark.parametrize(("layers", "loss"), TORCH.values(), ids=TORCH)
def test_an_update_is_that_of_torch(layers, loss, rng):
    """Biases that are only ever added up are one parameter here: the second is zero, and torch does not update it."""
    torch = pytest.importorskip("torch")
    x, y = echoes(rng)
    labels = (y[:, :, 0] > 0) + 2 * (y[:, :, 1] > 0)
    target = {"cross_entropy": labels, "bce": (y > 0).astype(F)}.get(loss, y)
    rate, model = 0.1, small(*layers(), init="torch")
    model = model.with_tensors({name: tensor * 0 if "bias_hh" in name else tensor for name, tensor in model.tensors.items()})

    parts, width = [], 3
    for i, layer in enumerate(model.layers):
        kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}.get(layer.kind)
        if kind:
            parts.append(kind(width, layer.units, batch_first=True))
        else:
            parts.append(torch.nn.LayerNorm(width) if layer.kind == "layernorm" else torch.nn.Linear(width, layer.units))
        parts[-1].load_state_dict({name: torch.tensor(model.tensors[f"layers.{i}.{name}"]) for name in parts[-1].state_dict()})
        width = layer.outputs(width)
    values = torch.tensor(x)
    for part in parts:
        values = part(values)
        values = values[0] if isinstance(values, tuple) else values
    goal = torch.tensor(target)
    criterion = {"mse": torch.nn.MSELoss(), "mae": torch.nn.L1Loss(), "huber": torch.nn.HuberLoss(), "bce": torch.nn.BCEWithLogitsLoss(),
                 "cross_entropy": lambda a, b: torch.nn.functional.cross_entropy(a.flatten(0, 1), b.flatten())}[loss]
    wanted = criterion(values, goal)
    wanted.backward()

    before = model.tensors
    history = fit(model, x, target, loss=loss, epochs=1, optimizer=SGD(rate))
    assert history.loss[0] == pytest.approx(wanted.item(), rel=1e-5)
    for i, (layer, part) in enumerate(zip(model.layers, parts, strict=True)):
        for name, parameter in part.named_parameters():
            got = model.tensors[f"layers.{i}.{name}"] - before[f"layers.{i}.{name}"]
            want = -rate * parameter.grad.numpy()
            if name.startswith("bias_hh"):
                want[:2 * layer.units if layer.kind == "gru" else None] = 0  # a GRU's candidate has a bias of its own there
            assert np.abs(got - want).max() <= 1e-5 * max(np.abs(want).max(), 1e-2), name


def test_optimisers_and_schedules_go_by_name(rng):
    x, y = echoes(rng)
    named, made = small(LSTM(4), Dense(2)), small(LSTM(4), Dense(2))
    fit(named, x, y, epochs=2, optimizer="rmsprop", schedule="cosine")
    fit(made, x, y, epochs=2, optimizer=RMSprop(), schedule=Cosine())
    assert bits(named) == bits(made)
    with pytest.raises(ConfigError, match="optimizer must be sgd, rmsprop, adam, adamw, or one of them with its options"):
        fit(named, x, y, optimizer="adan")
