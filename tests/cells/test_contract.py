"""What every layer must hold, whatever its kind: each example below goes through the whole suite."""
import numpy as np
import pytest
import reference

from streamrnn import ConfigError, Dense, Engine, Model
from streamrnn.cells import CELLS
from streamrnn.cells.general import elementwise, recurrence
from streamrnn.cells.general.functions import NAMES

LAYERS = {layer.kind: layer for cell in (*CELLS, recurrence, elementwise) for layer in cell.LAYERS}  # a detector's parts: tests/detect

SIZES = (1, 3, 17, 100)
INPUTS, STEPS = 5, 1000

# kind -> configurations to try, for each size
EXAMPLES = {
    "rnn": [lambda n: {"units": n}, lambda n: {"units": n, "activation": "relu"}],
    "lstm": [lambda n: {"units": n}],
    "gru": [lambda n: {"units": n}, lambda n: {"units": n, "reset_after": False}],
    "mingru": [lambda n: {"units": n}],
    "minlstm": [lambda n: {"units": n}],
    "lru": [lambda n: {"units": n, "r_max": 0.9}, lambda n: {"units": 20, "states": n, "r_min": 0.5, "r_max": 0.9, "max_phase": 1.0}],
    "attention": [lambda n: {"units": n, "window": 20}, lambda n: {"units": 2 * n, "window": 1},
                  lambda n: {"units": 3 * n, "window": 70, "heads": 3}],
    "recurrence": [
        lambda n: {"cell": "lstm", "units": n, "peepholes": True, "clip": 0.9, "projection": 5, "starts": True},
        lambda n: {"cell": "lstm", "units": n, "activations": ["hard_sigmoid", "tanh", "softsign"], "input_forget": True},
        lambda n: {"cell": "gru", "units": n, "activations": ["sigmoid", "softsign"], "starts": True},
        lambda n: {"cell": "gru", "units": n, "reset_after": False, "clip": 1.5}, lambda n: {"cell": "rnn", "units": n, "clip": 0.7}],
    "activation": [lambda n, a=a: {"function": a} for a in (*NAMES, "softmax")],
    "dense": [lambda n, a=a: {"units": n, "activation": a} for a in (None, "relu", "tanh", "sigmoid", "softmax")],
    "embedding": [lambda n: {"vocabulary": 29, "size": n}],
    "layernorm": [lambda n: {}],
    "dropout": [lambda n: {"rate": 0.25}, lambda n: {"rate": 0.5, "variational": True}],
    "scale": [lambda n: {}, lambda n: {"by": "minmax"}],
    "unscale": [lambda n: {}, lambda n: {"by": "minmax"}],
}
AS_WIDE_AS_ITS_INPUT = {"layernorm", "dropout", "scale", "unscale", "activation"}
BAD = [
    ("rnn", {"units": 0}, "units"), ("rnn", {"units": 2.5}, "units"), ("rnn", {"units": True}, "units"),
    ("rnn", {"units": 3, "activation": "sine"}, "activation"),
    ("lstm", {"units": -1}, "units"), ("lstm", {"units": "3"}, "units"), ("lstm", {}, "units"), ("lstm", {"units": 3, "size": 4}, "size"),
    ("gru", {"units": None}, "units"), ("gru", {"units": 3, "reset_after": 1}, "reset_after"),
    ("dense", {"units": 0}, "units"), ("dense", {"units": 3, "activation": "swish"}, "activation"),
    ("mingru", {"units": 0}, "units"), ("mingru", {}, "units"), ("minlstm", {"units": 1.5}, "units"), ("lru", {"units": -1}, "units"),
    ("lru", {"units": 3, "states": 0}, "states"), ("lru", {"units": 3, "r_min": 1.0}, "r_min"),
    ("lru", {"units": 3, "r_max": 1.5}, "r_max"),
    ("lru", {"units": 3, "r_max": True}, "r_max"), ("lru", {"units": 3, "max_phase": 0}, "max_phase"),
    ("lru", {"units": 3, "max_phase": float("nan")}, "max_phase"),
    ("attention", {"units": 3}, "window"), ("attention", {"units": 3, "window": 0}, "window"),
    ("attention", {"units": 3, "window": 2, "heads": 2}, "heads"), ("attention", {"units": 3, "window": 1 << 21}, "window"),
    ("embedding", {"vocabulary": 0, "size": 3}, "vocabulary"), ("embedding", {"vocabulary": 3, "size": 0}, "size"),
    ("embedding", {"vocabulary": (1 << 24) + 1, "size": 1}, "vocabulary"),
    ("layernorm", {"epsilon": 0}, "epsilon"), ("layernorm", {"epsilon": "small"}, "epsilon"), ("layernorm", {"epsilon": np.nan}, "epsilon"),
    ("dropout", {"rate": 1.0}, "rate"), ("dropout", {"rate": -0.1}, "rate"), ("dropout", {"rate": True}, "rate"), ("dropout", {}, "rate"),
    ("dropout", {"rate": 0.5, "variational": 1}, "variational"), ("dropout", {"rate": 0.5, "variational": None}, "variational"),
    ("scale", {"by": "max"}, "by"), ("scale", {"by": None}, "by"), ("scale", {"rate": 1}, "rate"),
    ("unscale", {"by": "Standard"}, "by"), ("unscale", {"by": 1}, "by"),
    ("recurrence", {"cell": "mgu", "units": 3}, "cell"), ("recurrence", {"cell": "lstm", "units": 0}, "units"),
    ("recurrence", {"cell": "rnn", "units": 3, "peepholes": True}, "peepholes"),
    ("recurrence", {"cell": "gru", "units": 3, "input_forget": True}, "input_forget"),
    ("recurrence", {"cell": "gru", "units": 3, "projection": 2}, "projection"),
    ("recurrence", {"cell": "lstm", "units": 3, "projection": 0}, "projection"),
    ("recurrence", {"cell": "lstm", "units": 3, "clip": 0}, "clip"), ("recurrence", {"cell": "lstm", "units": 3, "clip": np.inf}, "clip"),
    ("recurrence", {"cell": "lstm", "units": 3, "starts": 1}, "starts"),
    ("recurrence", {"cell": "lstm", "units": 3, "activations": ["tanh"]}, "activations"),
    ("recurrence", {"cell": "rnn", "units": 3, "activations": ["sine"]}, "sine"),
    ("recurrence", {"cell": "rnn", "units": 3, "activations": [["tanh", 2.0]]}, "no alpha"),
    ("recurrence", {"cell": "rnn", "units": 3, "activations": [3]}, "activations"),
    ("activation", {"function": "swish"}, "function"), ("activation", {"function": "tanh", "alpha": 2}, "function"),
    ("activation", {"function": "elu", "beta": 1}, "function"), ("activation", {"function": None}, "function"),
]

every_example = pytest.mark.parametrize(
    ("kind", "example", "size"),
    [pytest.param(kind, example, size, id=f"{kind}-{i}-{size}")
     for kind in LAYERS for i, example in enumerate(EXAMPLES.get(kind, [])) for size in SIZES])


def model_of(kind, example, size, **options):
    inputs = size if kind in AS_WIDE_AS_ITS_INPUT else INPUTS
    return Model(inputs=inputs, layers=[LAYERS[kind](**example(size))], seed=size, init="torch", **options)


def samples(rng, model, *shape):
    if model.layers[0].kind == "embedding":
        return rng.integers(0, model.layers[0].vocabulary, (*shape, model.inputs)).astype(np.float32)
    return rng.standard_normal((*shape, model.inputs)).astype(np.float32)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype == np.float32 and a.tobytes() == b.tobytes()


def test_every_layer_there_is_has_an_example_here():
    assert set(EXAMPLES) == set(LAYERS) == set(reference.LAYERS)
    assert {kind for kind, _, _ in BAD} == set(LAYERS)


@every_example
def test_matches_the_reference_over_1000_steps(kind, example, size, rng):
    model = model_of(kind, example, size)
    for name, tensor in model.tensors.items():  # bounds as torch draws them; scales and shifts that do something
        if kind in AS_WIDE_AS_ITS_INPUT:
            model = model.with_tensors({**model.tensors, name: rng.uniform(-1, 1, tensor.shape).astype(np.float32)})
    x = samples(rng, model, STEPS)
    y = model.run(x)
    want = reference.run(model, x)
    assert y.shape == want.shape == (STEPS, model.outputs)
    assert np.abs(y - want).max() <= 2e-6 * max(1, np.abs(want).max())  # a relu's values may grow


OF_MANY_SIZES = ("rnn", "lstm", "gru", "dense", "mingru", "lru")


@pytest.mark.parametrize(("kind", "example"), [pytest.param(kind, example, id=f"{kind}-{i}") for kind in OF_MANY_SIZES
                                               for i, example in enumerate(EXAMPLES[kind])])
def test_every_number_of_units_matches_the_reference(kind, example, rng):
    """Each one shares its blocks of units among sweeps of the tile in its own way."""
    for size in range(1, 100):
        model = model_of(kind, example, size)
        x = samples(rng, model, 20, 4)
        y = model.run(x)
        assert np.abs(y[0] - reference.run(model, x[0])).max() <= 2e-6, size
        assert same_bits(y, np.stack([model.run(one) for one in x])), size


@every_example
def test_step_run_and_step_many_give_the_same_bits_among_any_neighbours(kind, example, size, rng):
    model = model_of(kind, example, size)
    streams, time = 41, 6
    x = samples(rng, model, streams, time)
    alone = np.stack([model.run(one) for one in x])
    assert same_bits(model.run(x), alone)

    stream = model.stream()
    assert same_bits(np.stack([stream.step(sample) for sample in x[0]]), alone[0])
    stream.reset()
    assert same_bits(np.concatenate([stream.run(x[0, :2]), stream.run(x[0, 2:])]), alone[0])

    engine, done = Engine(model), np.zeros(streams, int)
    while (done < time).any():  # a random choice of those with samples left, in random order
        waiting = np.flatnonzero(done < time)
        ids = rng.permutation(waiting)[:rng.integers(1, len(waiting) + 1)]
        y = engine.step_many(ids, x[ids, done[ids]])
        assert same_bits(y, alone[ids, done[ids]])
        done[ids] += 1


@every_example
def test_rows_stay_zero_beyond_the_real_units(kind, example, size, rng):
    model = model_of(kind, example, size)
    streams, time = 19, 5
    engine = Engine(model)
    for _ in range(time):
        engine.step_many(range(streams), samples(rng, model, streams))
    engine.step(0, samples(rng, model, 1)[0])
    for id in range(streams):
        row = engine.state(id)
        real = np.zeros(row.shape, bool)
        for segment in row.segments:
            real[segment.offset:segment.offset + segment.size] = True
        assert (np.asarray(row)[~real] == 0).all()
        assert real.any() == (kind in {"rnn", "lstm", "gru", "mingru", "minlstm", "lru", "attention", "recurrence"})


@every_example
def test_config_builds_the_same_model_again(kind, example, size, rng):
    model = model_of(kind, example, size)
    again = Model.from_config(model.config(), tensors=model.tensors)
    assert again.config() == model.config() and again.layers == model.layers and again.digest == model.digest
    x = samples(rng, model, 4)
    assert same_bits(again.run(x), model.run(x))


@every_example
def test_initial_values_have_the_names_and_shapes_that_the_layer_declares(kind, example, size):
    model = model_of(kind, example, size)
    shapes = {f"layers.0.{name}": shape for name, shape in model.layers[0].parameters(model.inputs).items()}
    assert {name: tensor.shape for name, tensor in model.tensors.items()} == shapes
    assert all(tensor.dtype == np.float32 for tensor in model.tensors.values())
    assert model.outputs == model.layers[0].outputs(model.inputs)


@pytest.mark.parametrize(("kind", "config", "field"), BAD, ids=[f"{kind}-{field}-{i}" for i, (kind, _, field) in enumerate(BAD)])
def test_bad_configuration_is_refused_by_the_name_of_its_field(kind, config, field):
    with pytest.raises(ConfigError, match=field):
        Model.from_config({"inputs": 2, "layers": [{"kind": kind, **config}]})


@pytest.mark.parametrize("rest", [["lstm", "gru", "rnn"], ["gru", "layernorm", "dense"], ["lru", "mingru", "attention", "minlstm"],
                                  ["dropout", "lstm", "dropout", "dense"], ["recurrence", "activation", "recurrence"]])
def test_a_stack_matches_the_reference(rest, rng):
    layers = [LAYERS[kind](**EXAMPLES[kind][-1](23)) for kind in rest]
    model = Model(inputs=INPUTS, layers=layers, seed=7)
    x = samples(rng, model, STEPS)
    assert np.abs(model.run(x) - reference.run(model, x)).max() <= 1e-5


HEADS = {
    "one value each": {"a": {"kind": "dense", "units": 1}, "b": {"kind": "dense", "units": 1}},
    "recurrent": {"a": {"kind": "gru", "units": 9}, "b": {"kind": "lstm", "units": 20}},
    "identity, then a dense one": {"a": {"kind": "dropout", "rate": 0.5}, "b": {"kind": "dense", "units": 3}},
    "identity twice": {"a": {"kind": "dropout", "rate": 0.5}, "b": {"kind": "dropout", "rate": 0.1}},
    "a dense one, then identity": {"a": {"kind": "dense", "units": 12}, "b": {"kind": "dropout", "rate": 0.1}},
}


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("trunk", [Dense(4), Dense(4, "tanh"), Dense(20), LAYERS["lstm"](6), LAYERS["dropout"](0.1)], ids=repr)
def test_every_head_sees_the_trunk(trunk, heads, rng):
    config = {"inputs": INPUTS, "layers": [trunk.config()], "heads": {name: [layer] for name, layer in heads.items()}}
    model = Model.from_config(config, seed=5)
    x = samples(rng, model, 50)
    y, want = model.run(x), reference.run(model, x)
    assert np.abs(y - want).max() <= 2e-6
    assert {name: part.shape for name, part in model.split(y).items()} == {
        name: (50, columns.stop - columns.start) for name, columns in model.heads.items()}
    assert Model.from_config(model.config(), tensors=model.tensors).digest == model.digest
