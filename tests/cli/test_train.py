"""streamrnn train, as a user calls it: tables in, a model file out that runs as it is, and everything wrong said at once."""
import re

import numpy as np
import pytest
from test_cli import streamrnn

import streamrnn as sr
from streamrnn import metrics
from streamrnn.cli import examples, main, recipe, tune

ROWS = 300


def write(path, columns):
    """A CSV of columns by name."""
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def series(rows=ROWS, seed=0):
    """Two sensors in units that are far apart."""
    rng, t = np.random.default_rng(seed), np.arange(rows)
    return {"pressure": np.round(101325 + 300 * np.sin(t / 5) + rng.normal(0, 10, rows), 2),
            "vibration": np.round(0.01 + 0.002 * np.sin(t / 3) + rng.normal(0, 1e-4, rows), 7)}


def task(arguments):
    """These tests are about forecasts and labels; without a target, `train` would make a detector."""
    return [] if "--task" in arguments else ["--task", "forecast"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """table.csv in the working folder: a time stamp and two sensors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return write(tmp_path / "table.csv", {"time": [f"2026-01-01 00:{n // 60:02}:{n % 60:02}" for n in range(ROWS)], **series()})


@pytest.fixture
def train(table, capsys):
    """train(arguments) -> (status, what was printed, errors)"""
    def run(*arguments):
        status = main(["train", *task(arguments), *map(str, arguments)])
        return status, *capsys.readouterr()
    return run


def read(*arguments):
    return examples.read(tune.parsed(list(map(str, arguments))))


def columns(path="table.csv"):
    return np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(1, 2), dtype=np.float64).astype(np.float32)


SMALL = "--layers", "lstm:4", "--epochs", "2"


# -- what comes out ----------------------------------------------------------------------------------------------------

def test_a_user_trains_looks_and_loads(table):
    done = streamrnn("train", "table.csv", "--target", "pressure", *SMALL, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for words in ("pressure, 1 row ahead", "LSTM(units=4)", "memory: ", "epoch    2: loss", "MAE", "RMSE", "R2", "this model", "naive",
                  "the value does not change", "saved model.safetensors", "streamrnn info model.safetensors"):
        assert words in done.stdout
    assert repr(sr.load("model.safetensors")) in streamrnn("info", "model.safetensors").stdout


def test_the_file_holds_the_scalers_and_its_figures_are_those_printed(train):
    status, printed, _ = train("table.csv", "--layers", "lstm:8", "--epochs", "30", "--rate", "0.01", "-o", "m.safetensors")
    assert status == 0
    model, values = sr.load("m.safetensors"), columns()
    assert [layer.kind for layer in model.layers] == ["scale", "lstm", "dense", "unscale"]
    x, y = values[:-1], values[1:]
    cut = len(x) - round(0.2 * len(x))
    assert model.tensors["layers.0.shift"] == pytest.approx(x[:cut].mean(0), rel=1e-5)
    assert model.tensors["layers.3.shift"] == pytest.approx(y[:cut].mean(0), rel=1e-5)
    assert model.tensors["layers.3.factor"] == pytest.approx(y[:cut].std(0), rel=1e-3)
    found = model.run(x)
    for k, name in enumerate(("pressure", "vibration")):
        for forecast, row in ((found, rf"{name} +this model"), (x, rf"{name}.*\n +naive")):
            wanted = [measure(y[cut:, k], forecast[cut:, k]) for measure in (metrics.mae, metrics.rmse, metrics.r2)]
            shown = re.search(row + r" +(\S+) +(\S+) +(\S+)", printed)
            assert [float(number) for number in shown.groups()] == pytest.approx(wanted, rel=1e-3, abs=1e-3 * abs(wanted[0]))


def test_targets_in_units_far_apart_are_all_learnt(train):
    status, printed, _ = train("table.csv", "--layers", "lstm:16", "--epochs", "60", "--rate", "0.01")
    assert status == 0
    assert "No better than the naive forecast" not in printed


def test_a_model_that_is_no_better_is_said_to_be(train):
    _, printed, _ = train("table.csv", *SMALL, "--rate", "1e-9")
    assert "No better than the naive forecast: pressure, vibration." in printed


@pytest.mark.parametrize("options", [
    ["--loss", "mae"], ["--loss", "huber"], ["--loss", "quantile"], ["--loss", "gaussian"], ["--no-scale"], ["--ahead", "5"],
    ["--ahead", "0", "--target", "vibration"], ["--optimizer", "sgd"], ["--optimizer", "adamw", "--schedule", "cosine"],
    ["--optimizer", "rmsprop", "--schedule", "plateau"], ["--clip", "0"], ["--window", "20", "--batch", "3"], ["--recompute", "10"],
    ["--validation", "0"], ["--patience", "0"], ["--layers", "rnn:4:relu,layernorm,dropout:0.2,gru:3:before,dense:4:tanh,dense:2"],
], ids=" ".join)
def test_every_option_trains_a_model_that_loads_and_runs(train, options):
    status, printed, errors = train("table.csv", *SMALL, *options)
    assert (status, errors) == (0, "")
    model = sr.load("model.safetensors")
    assert np.isfinite(model.run(columns()[:50, :model.inputs])).all()
    assert ("the training data itself" in printed) == ("--validation" in options)
    assert ("always the mean" in printed) == ("0" in options and "--ahead" in options)
    assert any(layer.kind == "scale" for layer in model.layers) == ("--no-scale" not in options)


def test_patience_ends_a_training_that_gets_no_better(train):
    _, printed, _ = train("table.csv", "--layers", "lstm:4", "--epochs", "50", "--patience", "2", "--rate", "1e-12")
    assert "(no better one came)" in printed
    assert "50 epochs" not in printed


def test_the_number_of_threads_and_a_stop_half_way_change_no_bit(train):
    train("table.csv", "--layers", "lstm:4", "--epochs", "4", "--threads", "1", "-o", "one")
    train("table.csv", "--layers", "lstm:4", "--epochs", "4", "--threads", "2", "-o", "two")
    train("table.csv", "--layers", "lstm:4", "--epochs", "2", "--checkpoint", "half", "-o", "three")
    train("table.csv", "--layers", "lstm:4", "--epochs", "4", "--checkpoint", "half", "-o", "three")
    assert sr.load("one").digest == sr.load("two").digest == sr.load("three").digest


def test_ctrl_c_keeps_the_best_so_far(train, monkeypatch):
    trained = recipe.fit

    def stopped(*arguments, on_epoch, **options):
        def stop(history):
            raise KeyboardInterrupt
        return trained(*arguments, on_epoch=stop, **options)
    monkeypatch.setattr(recipe, "fit", stopped)
    status, printed, _ = train("table.csv", *SMALL)
    assert status == 0
    assert "1 epoch (stopped early)" in printed
    assert sr.load("model.safetensors").outputs == 2


def test_ctrl_c_before_there_is_anything_saves_nothing(train, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "fit", lambda *arguments, **options: sr.History(stopped="interrupted"))
    status, printed, _ = train("table.csv", *SMALL)
    assert status == 130
    assert "nothing is saved" in printed
    assert not (tmp_path / "model.safetensors").exists()


def test_a_plot_is_drawn(train, tmp_path):
    pytest.importorskip("matplotlib")
    assert train("table.csv", *SMALL, "--plot", "p.svg")[0] == 0
    assert "training" in (tmp_path / "p.svg").read_text() or (tmp_path / "p.svg").stat().st_size > 1000


@pytest.mark.parametrize("loss", ["quantile", "gaussian"])
def test_what_goes_with_the_forecast_comes_back_in_its_units(table, loss):
    chosen = tune.parsed(["table.csv", *SMALL, "--loss", loss])
    data = examples.read(chosen)
    plan = recipe.Recipe(chosen, data)
    model, _ = plan.fit(progress=False)
    layers = len(model.layers) - 1
    tensors = {name: tensor for name, tensor in model.tensors.items() if not name.startswith(f"layers.{layers}.")}
    inner, outer = sr.Model(model.inputs, model.layers[:-1], tensors=tensors).run(data.x[0]), model.run(data.x[0])
    y = data.y[0][:data.cuts[0]]
    mean, spread = y.mean(0, dtype=np.float64), y.std(0, dtype=np.float64)
    if loss == "gaussian":
        assert outer[:, :2] == pytest.approx(inner[:, :2] * spread + mean, rel=1e-4)
        assert np.exp(outer[:, 2:] / 2) == pytest.approx(np.exp(inner[:, 2:] / 2) * spread, rel=1e-4)
    else:
        assert outer == pytest.approx(inner * np.repeat(spread, 3) + np.repeat(mean, 3), rel=1e-4)
    assert plan.point.tolist() == {"gaussian": [0, 1], "quantile": [1, 4]}[loss]


# -- the data ----------------------------------------------------------------------------------------------------------

def test_the_target_is_its_value_some_rows_later_and_the_naive_forecast_that_of_now(table):
    data, values = read("table.csv", "--target", "vibration", "--ahead", "7"), columns()
    assert (data.inputs, data.targets) == (["pressure", "vibration"], ["vibration"])
    np.testing.assert_array_equal(data.x[0], values[:-7])
    np.testing.assert_array_equal(data.y[0], values[7:, 1:])
    np.testing.assert_array_equal(data.baseline[0], values[:-7, 1:])


def test_a_target_of_the_same_row_is_told_from_the_other_columns(table):
    data, values = read("table.csv", "--target", "vibration", "--ahead", "0"), columns()
    assert data.inputs == ["pressure"]
    np.testing.assert_array_equal(data.x[0], values[:, :1])
    np.testing.assert_array_equal(data.y[0], values[:, 1:])
    assert data.baseline[0][0] == pytest.approx(values[:240, 1].mean(), rel=1e-6)


def test_names_with_a_comma_are_quoted(tmp_path):
    (tmp_path / "t.csv").write_text('"T, C",b\n' + "1,2\n" * 20)
    assert read(tmp_path / "t.csv", "--target", 'b,"T, C"').targets == ["b", "T, C"]


def test_names_are_printed_as_they_are(train, tmp_path):
    write(tmp_path / "t.csv", {"temp [C]": np.sin(np.arange(50)), "[bold]:smile:": np.arange(50)})
    status, printed, _ = train("t.csv", *SMALL)
    assert status == 0
    assert printed.count("temp [C]") >= 3
    assert printed.count("[bold]:smile:") >= 3


def grouped(tmp_path, kind, keys):
    """Rows of three machines, one after the other, and what each machine's rows are."""
    rng = np.random.default_rng(3)
    values, whose = np.round(rng.normal(size=(90, 2)), 3).astype(np.float32), np.tile([0, 1, 2], 30)
    path = tmp_path / f"g.{kind}"
    if kind == "csv":
        write(path, {"time": ["2026-01-01"] * 90, "machine": [keys[n] for n in whose], "a": values[:, 0], "b": values[:, 1]})
    elif kind == "npy":
        np.save(path, np.column_stack([[keys[n] for n in whose], values]))
    else:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"time": np.arange(90).astype("datetime64[s]"), "machine": [keys[n] for n in whose],
                                 "a": values[:, 0], "b": values[:, 1]}), path)
    return path, [values[whose == n] for n in range(3)]


@pytest.mark.parametrize(("kind", "keys"), [
    ("csv", ["pump", "fan", "a pump"]), ("csv", [1 << 24, (1 << 24) + 1, 5]), ("parquet", ["pump", "fan", "a pump"]),
    ("parquet", [1 << 24, (1 << 24) + 1, 5]), ("npy", [1 << 24, (1 << 24) + 1, 5])])
def test_rows_of_a_group_are_a_sequence(tmp_path, kind, keys):
    path, machines = grouped(tmp_path, kind, keys)
    data = read(path, "--group", "0" if kind == "npy" else "machine")
    assert data.inputs == (["1", "2"] if kind == "npy" else ["a", "b"])
    assert len(data.x) == 3
    for x, y, values in zip(data.x, data.y, machines, strict=True):
        np.testing.assert_array_equal(x, values[:-1])
        np.testing.assert_array_equal(y, values[1:])


def test_groups_without_a_header_are_columns_by_number(tmp_path):
    (tmp_path / "t.csv").write_text("".join(f"{n % 2},{n},7\n" for n in range(40)))
    data = read(tmp_path / "t.csv", "--group", "0")
    assert (data.inputs, len(data.x)) == (["1", "2"], 2)
    assert data.x[1][:3, 0].tolist() == [1, 3, 5]


def test_a_group_that_is_too_short_is_left_out_and_said_so(train, tmp_path):
    write(tmp_path / "t.csv", {"machine": ["a"] * 30 + ["b"] * 2, "v": np.arange(32)})
    status, printed, _ = train("t.csv", "--group", "machine", "--ahead", "3", *SMALL)
    assert status == 0
    assert "1 sequence left out: shorter than 4 rows" in printed


def test_fill_previous_carries_on_and_drops_what_nothing_comes_before(tmp_path):
    (tmp_path / "t.csv").write_text("g,a,b\n" + "x,,1\nx,2,\ny,5,\nx,,3\ny,,6\ny,7,8\nx,4,\n" + "x,9,9\ny,9,9\n" * 10)
    data = read(tmp_path / "t.csv", "--group", "g", "--fill", "previous")
    assert data.x[0][:3].tolist() == [[2, 1], [2, 3], [4, 3]]
    assert data.x[1][:2].tolist() == [[5, 6], [7, 8]]
    assert data.real[0][:2].tolist() == [[False, True], [True, False]]
    assert data.notes == ["4 missing values filled in (--fill previous), 4 in targets",
                          "2 rows left out: a value is missing and none comes before"]
    assert read(tmp_path / "t.csv", "--group", "g", "--fill", "zero").x[0][:2].tolist() == [[0, 1], [2, 0]]


def test_targets_that_were_filled_in_are_not_measured(train, tmp_path):
    write(tmp_path / "t.csv", {"n": range(100), "v": [n if n < 80 or n % 2 else "" for n in range(100)]})
    _, printed, _ = train("t.csv", "--target", "v", "--fill", "previous", *SMALL)
    assert re.search(r"naive +(\S+) +(\S+)", printed.split("RMSE")[1]).groups() == ("2", "2")  # each real one is 2 above the last real one


# -- classes -----------------------------------------------------------------------------------------------------------

def gestures(path, groups=30):
    """Sequences whose frequency is their class."""
    rng = np.random.default_rng(1)
    parts = [(n, n % 3, np.sin(2 * np.pi * np.arange(rng.integers(12, 20)) / (4, 7, 12)[n % 3] + rng.uniform(0, 6))) for n in range(groups)]
    return write(path, {"id": [f"g{n}" for n, _, x in parts for _ in x], "label": [c for _, c, x in parts for _ in x],
                        "x": [f"{v:.4f}" for _, _, x in parts for v in x]})


def test_a_label_for_each_group(train, tmp_path):
    gestures(tmp_path / "t.csv")
    status, printed, _ = train("t.csv", "--group", "id", "--target", "label", "--task", "classify", "--last", "--layers", "gru:12",
                               "--rate", "0.02", "--epochs", "60")
    assert status == 0
    model, data = sr.load("model.safetensors"), read("t.csv", "--group", "id", "--target", "label", "--task", "classify", "--last")
    assert (data.inputs, data.classes, len(data.x)) == (["x"], 3, 30)
    held = [n for n, _ in data.measured()]
    assert len(held) == 6
    found = [model.run(data.x[n])[-1] for n in held]
    assert np.sum(found, 1) == pytest.approx(1, abs=1e-5)  # probabilities
    right = np.mean([p.argmax() == data.y[n][0, 0] for n, p in zip(held, found, strict=True)])
    assert float(re.search(r"label +this model +(\S+)", printed).group(1)) == pytest.approx(right, abs=1e-3)
    assert right >= 0.8
    assert "20 % of the sequences" in printed


def test_a_label_for_each_row(train, tmp_path):
    x = np.sin(np.arange(ROWS) / 5)
    write(tmp_path / "t.csv", {"x": np.round(x, 4), "state": (x > 0.5).astype(int)})
    status, printed, _ = train("t.csv", "--target", "state", "--task", "classify", "--layers", "gru:8", "--rate", "0.02", "--epochs", "40")
    assert status == 0
    model = sr.load("model.safetensors")
    assert (model.inputs, model.outputs) == (1, 2)
    assert "always 0, the most frequent label" in printed
    assert float(re.search(r"state +this model +(\S+)", printed).group(1)) > 0.9


# -- layers in words ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("words", "layers"), [
    ("lstm:8", [sr.LSTM(8), sr.Dense(2)]),
    ("lstm:8,dense:2", [sr.LSTM(8), sr.Dense(2)]),
    ("rnn:3:relu, gru:4:before", [sr.RNN(3, "relu"), sr.GRU(4, reset_after=False), sr.Dense(2)]),
    ("dense:5:tanh,lstm:3,layernorm,dropout:0.25", [sr.Dense(5, "tanh"), sr.LSTM(3), sr.LayerNorm(), sr.Dropout(0.25), sr.Dense(2)]),
    ("dropout:0.5:variational,gru:2", [sr.Dropout(0.5, variational=True), sr.GRU(2), sr.Dense(2)]),
])
def test_layers_in_words(words, layers):
    assert recipe.stack(words, 2, None, "") == layers


@pytest.mark.parametrize(("words", "message"), [
    ("lsm:8", "did you mean 'lstm'"), ("embedding:8", "no layer is called 'embedding'"), ("", "no layer is called ''"),
    ("lstm", "Write lstm:SIZE"), ("lstm:0", "1 or more"), ("lstm:x", "lstm:SIZE"), ("lstm:8:relu", "lstm:SIZE"),
    ("gru:8:relu", "gru:SIZE[:before]"),
    ("dense:8:before", "dense:SIZE[:relu|"), ("rnn:8:variational", "rnn:SIZE[:relu]"), ("dropout:1", "RATE from 0 to below 1"),
    ("layernorm:8", "Write layernorm"), ("lstm:8,", "no layer is called ''"),
    ("lstm:8,dense:1", "2 are needed: why. Write --layers lstm:8,dense:2"),
    ("lstm:8,dense:4:relu", "Write --layers lstm:8,dense:4:relu,dense:2"),
])
def test_words_that_are_no_layers(words, message):
    with pytest.raises(sr.ConfigError, match=re.escape(message)):
        recipe.stack(words, 2, None, "why")


# -- what is refused ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("arguments", "message"), [
    (["none.csv"], "none.csv"),
    (["table.txt"], ".csv, .npy, .parquet"),
    (["table.csv", "--target", "presure"], "did you mean 'pressure'"),
    (["table.csv", "--inputs", "a", "--target", "vibration"], "it has time, pressure, vibration"),
    (["table.csv", "--inputs", "b"], "has no column 'b'"),
    (["table.csv", "--group", "machine"], "has no column 'machine'"),
    (["table.csv", "--ahead", "300"], "needs 301 rows or more"),
    (["table.csv", "--ahead", "0"], "needs --target"),
    (["table.csv", "--ahead", "0", "--target", "pressure,vibration"], "there are none"),
    (["table.csv", "--ahead", "0", "--target", "vibration", "--inputs", "vibration"], "leave it out of --inputs"),
    (["table.csv", "--last"], "goes with --task classify and --group"),
    (["table.csv", "--task", "classify"], "one column of labels"),
    (["table.csv", "--task", "classify", "--target", "pressure"], "whole numbers from 0, got 10"),
    (["table.csv", "--task", "classify", "--target", "pressure", "--loss", "mse"], "--loss is for forecasts"),
    (["table.csv", "--layers", "lstm:4,dense:1"], "Write --layers lstm:4,dense:2"),
    (["table.csv", "--loss", "gaussian", "--layers", "lstm:4,dense:2"], "mean and log-variance"),
    (["table.csv", "--validation", "0.0001"], "change it or set it to 0"),
    (["table.csv", "-o", "none/m"], "there is no folder none"),
    (["table.csv", "--checkpoint", "."], "is a folder"),
    (["gap.csv"], "row 3 (the header not counted), column 'b': the value is missing (2 in all). --fill previous"),
    (["inf.csv"], "row 2 (the header not counted), column 'a': infinite"),
    (["text.csv"], "name the columns to read: --inputs a,b --target c"),
    (["labels.csv", "--task", "classify", "--target", "one", "--inputs", "x"], "one label only"),
    (["labels.csv", "--task", "classify", "--target", "far", "--inputs", "x"], "number them 0 to 1"),
    (["labels.csv", "--task", "classify", "--target", "gap", "--fill", "zero"], "row 2 (the header not counted) has no label"),
    (["labels.csv", "--task", "classify", "--target", "far", "--inputs", "x", "--last", "--group", "one"], "more than one far"),
    (["two.csv", "--task", "classify", "--target", "y", "--last", "--group", "id"], "of 2 sequences"),
    (["labels.csv", "--target", "x", "--group", "gap"], "whose row is it?"),
], ids=lambda part: " ".join(part) if isinstance(part, list) else "")
def test_what_is_wrong_is_said_before_the_first_step(train, tmp_path, monkeypatch, arguments, message):
    (tmp_path / "gap.csv").write_text("a,b\n" + "1,2\n" * 2 + "1,\n1,na\n" + "1,2\n" * 20)
    (tmp_path / "inf.csv").write_text("a,b\n" + "1,2\n1e60,2\n" + "1,2\n" * 20)
    (tmp_path / "text.csv").write_text("a,b\n" + "1,red\n" * 20)
    (tmp_path / "table.txt").write_text("a,b\n")
    (tmp_path / "labels.csv").write_text("x,one,far,gap,id\n" + "1,3,0,1,0\n2,3,500,,1\n" * 10)
    (tmp_path / "two.csv").write_text("x,y,id\n" + "1,0,a\n2,1,b\n" * 10)
    monkeypatch.setattr(recipe, "fit", None)
    status, printed, errors = train(*arguments)
    assert (status, printed) == (1, "")
    assert errors.startswith("streamrnn train: ")
    assert len(errors.splitlines()) == 1
    assert message in errors
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--ahead", "-1"], ["--validation", "1"], ["--rate", "nan"], ["--rate", "0"],
                                       ["--clip", "x"], ["--task", "sing"], ["--loss", "bce"], ["--seed", "a"]], ids=" ".join)
def test_an_argument_that_is_no_such_thing_is_refused(table, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(["train", "table.csv", *task(arguments), *arguments])
    assert stop.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err


def test_a_training_that_diverges_says_so_and_saves_nothing(train, tmp_path):
    status, _, errors = train("table.csv", "--layers", "lstm:4", "--epochs", "50", "--optimizer", "sgd", "--rate", "1e9", "--clip", "0")
    assert status == 1
    assert "Lower the learning rate" in errors
    assert not (tmp_path / "model.safetensors").exists()


def test_a_plot_of_no_known_kind_is_refused(train):
    pytest.importorskip("matplotlib")
    status, _, errors = train("table.csv", "--plot", "p.foo")
    assert status == 1
    assert "png" in errors
