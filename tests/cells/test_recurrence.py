"""Recurrence against its float64 twin, for everything that it can say; Activation beside it."""
import numpy as np
import pytest
import reference
from recurrence_twin import FUNCTIONS

from streamrnn import GRU, LSTM, RNN, Activation, Dense, Engine, Model, Recurrence, load
from streamrnn.cells.general.functions import NAMES

BOUNDED = ("sigmoid", "tanh", "hard_sigmoid", "softsign", ("scaled_tanh", 0.8, 0.6))
ANY = (*BOUNDED, "relu", "elu", ("elu", 0.3), "leaky_relu", ("thresholded_relu", 0.1), ("affine", 0.5, 0.1), "softplus")
SIZES = (1, 5, 16, 17, 40)

EXAMPLES = {
    "lstm": lambda n: Recurrence("lstm", n), "gru": lambda n: Recurrence("gru", n), "rnn": lambda n: Recurrence("rnn", n),
    "before": lambda n: Recurrence("gru", n, reset_after=False), "peepholes": lambda n: Recurrence("lstm", n, peepholes=True),
    "coupled": lambda n: Recurrence("lstm", n, input_forget=True, peepholes=True, clip=0.3),
    "clip": lambda n: Recurrence("gru", n, clip=0.4),
    "projection": lambda n: Recurrence("lstm", n, projection=3), "wider": lambda n: Recurrence("lstm", n, projection=n + 20, starts=True),
    "starts": lambda n: Recurrence("gru", n, starts=True, activations=("hard_sigmoid", "softplus")),
    "lstm starts": lambda n: Recurrence("lstm", n, ("hard_sigmoid", ("affine", 0.3, 0.2), "softsign"), starts=True, peepholes=True),
    "rnn starts": lambda n: Recurrence("rnn", n, starts=True, activations=("softplus",)),
    "before, odd": lambda n: Recurrence("gru", n, reset_after=False, clip=0.7, activations=(("affine", 0.2, 0.4), "elu")),
}
every_example = pytest.mark.parametrize(("name", "size"), [(name, size) for name in EXAMPLES for size in SIZES])


def model_of(layer, seed=0):
    return Model(5, [layer], seed=seed)


@every_example
def test_matches_the_twin(name, size, rng):
    model, x = model_of(EXAMPLES[name](size)), rng.standard_normal((200, 5)).astype(np.float32)
    want = reference.run(model, x)
    assert np.abs(model.run(x) - want).max() <= 4e-6 * max(1, np.abs(want).max())


@pytest.mark.parametrize("seed", range(40))
def test_random_configurations_match_the_twin(seed):
    rng = np.random.default_rng(seed)
    cell = ("lstm", "gru", "rnn")[seed % 3]
    pick = lambda names: names[rng.integers(len(names))]
    coin = lambda: bool(rng.integers(2))
    functions = {"lstm": lambda: (pick(BOUNDED), pick(BOUNDED), pick(ANY)), "gru": lambda: ("sigmoid", pick(ANY)),
                 "rnn": lambda: (pick(BOUNDED),)}[cell]()
    options = {"peepholes": coin(), "input_forget": coin(), "projection": int(rng.integers(1, 20)) if coin() else None} \
        if cell == "lstm" else {"reset_after": coin()}
    layer = Recurrence(cell, int(rng.integers(1, 40)), functions, clip=pick((None, 0.2, 1.5)), starts=coin(), **options)
    model, x = model_of(layer, seed), rng.standard_normal((60, 5)).astype(np.float32)
    want = reference.run(model, x)
    assert np.abs(model.run(x) - want).max() <= 1e-5 * max(1, np.abs(want).max())


@every_example
def test_step_run_and_step_many_give_the_same_bits_and_padding_stays_zero(name, size, rng):
    model = model_of(EXAMPLES[name](size))
    x = rng.standard_normal((19, 6, 5)).astype(np.float32)
    alone = np.stack([model.run(one) for one in x])
    assert np.array_equal(model.run(x), alone)
    stream = model.stream()
    assert np.array_equal(np.stack([stream.step(sample) for sample in x[0]]), alone[0])
    stream.reset()
    assert np.array_equal(stream.run(x[0]), alone[0])
    engine = Engine(model)
    assert np.array_equal(np.stack([engine.step_many(range(19), x[:, t]) for t in range(6)], 1), alone)
    row = engine.state(3)
    real = np.zeros(row.shape, bool)
    for segment in row.segments:
        real[segment.offset:segment.offset + segment.size] = True
    assert (np.asarray(row)[~real] == 0).all()


@pytest.mark.parametrize(("usual", "general"), [(LSTM(20), Recurrence("lstm", 20)), (GRU(20), Recurrence("gru", 20)),
                                                (GRU(20, False), Recurrence("gru", 20, reset_after=False)),
                                                (RNN(20), Recurrence("rnn", 20)),
                                                (RNN(20, "relu"), Recurrence("rnn", 20, ("relu",)))])
def test_says_what_the_usual_layers_say(usual, general, rng):
    model = Model(5, [usual])
    x = rng.standard_normal((50, 5)).astype(np.float32)
    assert np.abs(Model(5, [general], tensors=dict(model.tensors)).run(x) - model.run(x)).max() <= 1e-6


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_gives_the_same_bits(name, tmp_path, rng):
    model, x = Model(5, [EXAMPLES[name](9), Activation("elu", 0.5), Dense(2)]), rng.standard_normal((30, 5)).astype(np.float32)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.digest == model.digest and again.layers == model.layers and np.array_equal(again.run(x), model.run(x))


def test_a_stream_that_was_saved_does_not_begin_again(rng):
    model, x = model_of(Recurrence("lstm", 7, starts=True)), rng.standard_normal((8, 5)).astype(np.float32)
    first, second = model.stream(), model.stream()
    there = first.run(x[:4])
    second.set_state(first.state())
    assert np.array_equal(np.concatenate([there, second.run(x[4:])]), model.run(x))


@pytest.mark.parametrize("name", [*NAMES, "softmax"])
def test_activation_alone(name, rng):
    x = np.concatenate([rng.standard_normal((200, 21)) * 4, np.zeros((1, 21))]).astype(np.float32)
    layer = Activation(name)
    y = Model(21, [layer]).run(x)
    if name == "softmax":
        want = np.exp(x - x.max(1, keepdims=True))
        want = want / want.sum(1, keepdims=True)
    else:
        want = FUNCTIONS[name](x.astype(np.float64), layer.alpha, layer.beta)
    assert np.abs(y - want).max() <= 1e-6 * max(1, np.abs(want).max())
