"""The C file: the same bits as a stream where multiply-adds are fused, and no warning from a strict compiler."""
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.cells import CELLS, GENERAL
from streamrnn.cells.general.functions import NAMES, WITH_ALPHA, WITH_BETA
from streamrnn.cells.general.recurrence import USUAL
from streamrnn.interop import c, probes
from streamrnn.interop.c import check, layers, maths, writer

pytestmark = pytest.mark.skipif(c.compiler() is None, reason="needs a C compiler: none of $CC, cc, gcc and clang is there")

MODELS = {
    "lstm": lambda: sr.Model(2, [sr.LSTM(5), sr.Dense(1)]),
    "lstms": lambda: sr.Model(9, [sr.LSTM(33), sr.LSTM(1), sr.LSTM(18)], init="torch"),
    "gru": lambda: sr.Model(3, [sr.GRU(17), sr.Dense(8)], init="torch"),
    "gru-before": lambda: sr.Model(3, [sr.GRU(17, reset_after=False), sr.GRU(4, reset_after=False)], init="torch"),
    "rnn": lambda: sr.Model(1, [sr.RNN(40), sr.RNN(7, "relu")], init="torch"),
    "mixed": lambda: sr.Model(4, [sr.GRU(6), sr.Dropout(0.5), sr.RNN(5), sr.GRU(8, reset_after=False), sr.LSTM(3)], init="torch"),
    **{f"dense-{units}-{activation}": lambda units=units, activation=activation: sr.Model(21, sr.Dense(units, activation), init="torch")
       for units, activation in [(1, None), (7, "softmax"), (8, "relu"), (8, "tanh"), (8, "sigmoid"),
                                 (9, "sigmoid"), (40, None), (40, "relu"), (40, "tanh"), (40, "softmax")]},
    "embedding": lambda: sr.Model(2, [sr.Embedding(31, 7), sr.LSTM(9), sr.Dense(31, "softmax")], init="torch"),
    "layernorm": lambda: sr.Model(37, [sr.LayerNorm(), sr.GRU(5), sr.LayerNorm(1e-3)]),
    "scaled": lambda: scaled(sr.Model(3, [sr.Scale("minmax"), sr.LSTM(20), sr.Dense(2), sr.Unscale()])),
    "dropout-alone": lambda: sr.Model(3, sr.Dropout(0.2)),
    "heads": lambda: sr.Model(3, [sr.LSTM(6)], heads={"mean */ ??/": sr.Dense(3), "spread": [sr.Dense(16, "tanh"), sr.Dense(1)],
                                                      "state": sr.Dropout(0.1), "own": sr.GRU(4)}),
    "heads-on-work": lambda: sr.Model(3, [sr.Dense(12, "relu")], heads={
        "a": [sr.Dense(20), sr.LayerNorm(), sr.Dense(2)], "b": sr.LayerNorm(), "c": [sr.Dropout(0.1), sr.Dense(5)]}),
}

ODD = sr.Recurrence("lstm", 17, ("hard_sigmoid", ("scaled_tanh", 0.9, 0.7), ("elu", 0.5)), clip=0.6, peepholes=True, starts=True)
MODELS |= {
    "mingru": lambda: sr.Model(5, [sr.MinGRU(17), sr.MinGRU(3), sr.Dense(2)]),
    "minlstm": lambda: sr.Model(5, [sr.MinLSTM(33)], init="torch"),
    "lru": lambda: sr.Model(3, [sr.LRU(17), sr.Dense(9, "relu"), sr.LRU(5, states=21, r_min=0.5, r_max=0.9)]),
    "attention": lambda: sr.Model(3, [sr.Attention(6, window=4, heads=2), sr.LSTM(5)]),
    "attention-of-one": lambda: sr.Model(3, sr.Attention(17, window=1), init="torch"),
    "attention-wide": lambda: sr.Model(3, [sr.MinGRU(18), sr.Attention(57, window=35, heads=3), sr.Dense(1)]),
    "modern-heads": lambda: sr.Model(3, [sr.MinLSTM(6)], heads={"a": sr.Attention(4, 9), "b": [sr.Dense(8), sr.LRU(2)], "c": sr.MinGRU(3)}),
    "lstm-odd": lambda: sr.Model(3, [ODD]),
    "projection": lambda: sr.Model(3, [sr.Recurrence("lstm", 18, projection=5, peepholes=True, starts=True), sr.Dense(2)]),
    "coupled": lambda: sr.Model(3, [sr.Recurrence("lstm", 3, ("sigmoid", "softsign", "softplus"), projection=9, input_forget=True),
                                    sr.Recurrence("lstm", 4, clip=1.0, input_forget=True, peepholes=True)]),
    "gru-odd": lambda: sr.Model(3, [sr.Recurrence("gru", 17, ("hard_sigmoid", "softplus"), clip=1.0, starts=True)]),
    "gru-odd-before": lambda: sr.Model(3, [sr.Recurrence("gru", 6, ("sigmoid", ("affine", 0.2, -0.3)), reset_after=False, starts=True)]),
    "rnn-odd": lambda: sr.Model(3, [sr.Recurrence("rnn", 6, (("leaky_relu", -0.2),), starts=True), sr.Recurrence("rnn", 3, clip=0.5)]),
    **{f"activation-{name}": lambda name=name: sr.Model(3, [sr.Activation(name), sr.Dense(5), sr.Activation(name)]) for name in
       (*NAMES, "softmax")},
}


def scaled(model):
    values = {"layers.0.shift": [1e5, -3, 0.25], "layers.0.factor": [1e-4, 7, 1e6], "layers.3.shift": [-40, 1], "layers.3.factor": [2, 0.1]}
    return model.with_tensors({**model.tensors, **{name: np.array(numbers, np.float32) for name, numbers in values.items()}})


def test_every_layer_that_streams_is_here():
    kinds = {layer.kind for name in MODELS for _, layer, _ in MODELS[name]().stacks()}
    assert kinds == set(layers.CALLS) == {layer.kind for cell in CELLS + GENERAL for layer in cell.LAYERS if not layer.looks_ahead}


def stepped(model, x):
    stream = model.stream()
    return np.array([stream.step(x_t) for x_t in x])


@pytest.mark.parametrize("name", MODELS)
def test_results_are_those_of_a_stream(name):
    model = MODELS[name]()
    program, x = c.program(model, "plant"), probes.samples(model, 200)
    ours = stepped(model, x)
    fused = check.run(program, x, (*check.FUSED, "-ffp-contract=off"))
    assert fused.tobytes() == ours.tobytes()
    rounded = check.run(program, x, check.ROUNDED)
    assert np.abs(rounded - ours).max() <= 2e-6 * max(1, np.abs(ours).max())


@pytest.mark.parametrize("dialect", ["gnu99", "c99", "gnu17"])
@pytest.mark.parametrize("optimise", ["-O0", "-Os", "-O3"])
def test_no_dialect_or_optimisation_changes_a_bit(dialect, optimise):
    model = MODELS["layernorm"]()
    program, x = c.program(model, "plant"), probes.samples(model, 200)
    assert np.array_equal(check.run(program, x, (*check.FUSED, f"-std={dialect}", optimise)), stepped(model, x))


def test_random_stacks(rng):
    layers = [lambda n: sr.LSTM(n), lambda n: sr.GRU(n), lambda n: sr.GRU(n, reset_after=False), lambda n: sr.RNN(n),
              lambda n: sr.RNN(n, "relu"), lambda n: sr.Dense(n, "tanh"), lambda n: sr.LayerNorm(), lambda n: sr.Dropout(0.1),
              lambda n: sr.MinGRU(n), lambda n: sr.MinLSTM(n), lambda n: sr.LRU(n, states=41 - n), lambda n: sr.Attention(2 * n, n, 2)]
    for seed in range(12):
        stack = [layers[rng.integers(len(layers))](int(rng.integers(1, 40))) for _ in range(rng.integers(1, 6))]
        model = sr.Model(int(rng.integers(1, 20)), stack, seed=seed, init="torch")
        found = c.parity(model, c.program(model, "plant"), samples=100, seed=seed)
        assert found.differing == 0, model


def test_random_recurrences(rng):
    def function():
        name = NAMES[rng.integers(len(NAMES))]
        return (name, *rng.uniform(0.1, 1, 2 if name in WITH_BETA else 1 if name in WITH_ALPHA else 0))
    for seed in range(12):
        cell, units = ("lstm", "gru", "rnn")[seed % 3], int(rng.integers(1, 20))
        lstm, flip = cell == "lstm", lambda: bool(rng.integers(2))
        layer = sr.Recurrence(cell, units, tuple(function() for _ in USUAL[cell]), clip=rng.choice([None, 0.3]), peepholes=lstm and flip(),
                              input_forget=lstm and flip(), reset_after=flip(), projection=5 if lstm and flip() else None, starts=flip())
        model = sr.Model(int(rng.integers(1, 20)), layer, seed=seed)
        found = c.parity(model, c.program(model, "plant"), samples=100, seed=seed)
        assert found.differing == 0, model


def test_the_square_root_is_rounded_as_the_processors(rng):
    main = """
#include <stdio.h>
int main(void)
{
    float x;
    while (scanf("%f", &x) == 1)
        printf("%.9g\\n", (double)NAME_root(x));
    return 0;
}
"""
    text = "#include <stdint.h>\n" + "".join(writer.pieces({"root"})) + main
    program = writer.Program("plant", maths.with_constants(text).replace("NAME_", "plant_"), 0, 0, 0)
    x = np.abs(rng.integers(1, 0x7f800000, 20_000, dtype=np.int32).view(np.float32))
    edges = np.array([0, 1, 2, 4, 0.25, 1e-45, 1.1754942e-38, 1.17549435e-38, 3.4028235e38, 1 - 2 ** -24, 1 + 2 ** -23, 3.9999998],
                     np.float32)
    x = np.concatenate([edges, x, np.nextafter(edges, np.float32(9)), 1 + rng.random(5000, np.float32) * 3])[:, None]
    assert np.array_equal(check.run(program, x), np.sqrt(x))


USER = """
#include <stdio.h>
#define PLANT_HEADER
#include "plant.c"

int main(void)
{
    plant_state state;
    float good[PLANT_INPUTS] = {0.5f, -1.0f}, bad[PLANT_INPUTS] = {0.5f, 0.0f}, y[PLANT_OUTPUTS];
    plant_reset(&state);
    if (plant_step(&state, good, y) != 0)
        return 1;
    while (scanf("%f", bad + 1) == 1)
        if (plant_step(&state, bad, y) != 1)
            return 2;
    if (plant_step(&state, good, y) != 0)
        return 3;
    printf("%.9g\\n", (double)y[0]);
    return sizeof state != PLANT_STATE_BYTES;
}
"""


def test_a_refused_sample_steps_nothing(tmp_path):
    """Called from another file, and with -ffast-math too, which takes comparisons with NaN away."""
    model = MODELS["lstm"]()
    program, user = c.program(model, "plant"), tmp_path / "user.c"
    (tmp_path / "plant.c").write_text(program.text)
    user.write_text(USER)
    stream = model.stream()
    y = [stream.step(np.array([0.5, -1], np.float32)) for _ in range(2)][-1]
    for optimise in ("-O2", "-Ofast"):
        command = [c.compiler(), *check.STRICT, optimise, user, tmp_path / "plant.c", "-o", tmp_path / "user"]
        subprocess.run(command, check=True)
        done = subprocess.run([tmp_path / "user"], input="inf -inf nan -nan", capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert abs(float(done.stdout) - y[0]) <= 2e-6


@pytest.mark.parametrize("token", [31, -1, 0.5, np.nan, np.inf, 1e30])
def test_what_is_no_token_is_refused(token):
    program = c.program(MODELS["embedding"](), "plant")
    with pytest.raises(sr.ConfigError, match="sample 1 was refused"):
        check.run(program, np.array([[1, 2], [1, token]], np.float32))


def test_two_models_share_a_firmware(tmp_path):
    one, two = (c.program(MODELS[name](), prefix) for name, prefix in (("lstm", "pump"), ("lstms", "fan")))
    assert check.build(replace(one, text=one.text + two.text), tmp_path, ("-DCAPS_MAIN",)).exists()


def test_the_head_says_what_it_takes_and_how_to_call_it():
    model = MODELS["heads"]()
    program = c.program(model, "plant")
    head, declarations = program.text.split("*/", 1)
    weights = re.findall(r"static const float \w+\[(\d+)\]", program.text)
    assert program.weight_bytes == 4 * sum(map(int, weights))
    assert program.state_bytes == 4 * (6 + 6 + 4)
    for what in (f"{program.weight_bytes:,} bytes of weights", f"{program.state_bytes:,} bytes a stream", "plant_reset(&state)",
                 "plant_step(&state, x, y)", model.digest, sr.__version__, "y[0..2]: mean", "LSTM(units=6)"):
        assert what in head
    assert "#define PLANT_INPUTS 3\n#define PLANT_OUTPUTS 14\n" in declarations
    assert "math.h>" not in declarations and "malloc" not in declarations
    assert "NAME_" not in program.text and "CAPS_" not in program.text


def test_the_file_takes_its_name(tmp_path):
    made = c.export(MODELS["lstm"](), tmp_path / "boiler.c")
    assert made.name == "boiler"
    assert (tmp_path / "boiler.c").read_text() == made.text
    assert c.export(MODELS["lstm"](), tmp_path / "boiler.c", name="Fan2").text.count("int Fan2_step(") == 2


@pytest.mark.parametrize("name", ["", "2pumps", "my-plant", "a b", "größe", "_x", "a\n", None, 3])
def test_a_name_must_be_one_of_c(name):
    with pytest.raises(sr.ConfigError, match="letters, digits and _"):
        c.program(MODELS["lstm"](), name)


def test_a_detector_is_refused_by_its_layer():
    detector = sr.Detector.cold(["a", "b"])
    with pytest.raises(sr.ConfigError, match=r"layers\.0, Intake.*has no form in C"):
        c.program(detector.model, "plant")


@pytest.mark.parametrize("layer", [sr.Reverse(sr.LSTM(3)), sr.Bidirectional(sr.GRU(3))])
def test_a_layer_that_looks_ahead_is_refused_with_what_writes_it(layer):
    with pytest.raises(sr.ConfigError, match=rf"layers\.1, {type(layer).__name__}.*from its end.*--sequence"):
        c.program(sr.Model(2, [sr.Dense(3), layer]), "plant")


def test_without_a_compiler_the_check_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    model = MODELS["lstm"]()
    with pytest.raises(sr.MissingExtra, match=r"needs a C compiler.*apt install gcc"):
        c.parity(model, c.program(model, "plant"))
