"""Against torch.nn, with torch's own weights: what a model learnt there is what runs here."""
import numpy as np
import pytest

from streamrnn import GRU, LSTM, RNN, Dense, Embedding, LayerNorm, Model

torch = pytest.importorskip("torch")

SIZES, STEPS = (1, 3, 17, 100), 1000
RECURRENT = {
    "rnn-tanh": (torch.nn.RNN, {"nonlinearity": "tanh"}, lambda units: RNN(units)),
    "rnn-relu": (torch.nn.RNN, {"nonlinearity": "relu"}, lambda units: RNN(units, "relu")),
    "lstm": (torch.nn.LSTM, {}, LSTM),
    "gru": (torch.nn.GRU, {}, GRU),
}
# every number of inputs from 1 to 9, and every kind with every size and depth
CASES = [(name, depth, units, 1 + i % 9) for i, (name, depth, units) in enumerate(
    (name, depth, units) for name in RECURRENT for depth in (1, 2, 3) for units in SIZES)]


def numbers(module):
    return {name: tensor.detach().numpy() for name, tensor in module.named_parameters()}


def answer(module, x):
    with torch.no_grad():
        y = module(torch.from_numpy(x))
    return (y[0] if isinstance(y, tuple) else y).numpy()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)


@pytest.mark.parametrize(("name", "depth", "units", "inputs"), CASES)
def test_recurrent_layers_match_torch_over_1000_steps(name, depth, units, inputs, rng):
    make, options, layer = RECURRENT[name]
    module = make(inputs, units, depth, **options)
    tensors = {f"layers.{key[-1]}.{key[:-1]}0": tensor for key, tensor in numbers(module).items()}  # ..._l2 -> layers.2...._l0
    model = Model(inputs=inputs, layers=[layer(units)] * depth, tensors=tensors)
    x = rng.standard_normal((STEPS, inputs)).astype(np.float32)
    assert np.abs(model.run(x) - answer(module, x)).max() <= 1e-5


@pytest.mark.parametrize("inputs", range(1, 10))
@pytest.mark.parametrize("units", SIZES)
def test_dense_matches_linear(units, inputs, rng):
    module = torch.nn.Linear(inputs, units)
    model = Model(inputs=inputs, layers=Dense(units), tensors={f"layers.0.{key}": tensor for key, tensor in numbers(module).items()})
    x = rng.standard_normal((STEPS, inputs)).astype(np.float32)
    assert np.abs(model.run(x) - answer(module, x)).max() <= 1e-5


@pytest.mark.parametrize("units", SIZES)
def test_dense_softmax_matches_torch(units, rng):
    module = torch.nn.Sequential(torch.nn.Linear(9, units), torch.nn.Softmax(-1))
    tensors = {f"layers.0.{key.removeprefix('0.')}": tensor for key, tensor in numbers(module).items()}
    model = Model(inputs=9, layers=Dense(units, "softmax"), tensors=tensors)
    x = 10 * rng.standard_normal((STEPS, 9)).astype(np.float32)
    assert np.abs(model.run(x) - answer(module, x)).max() <= 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_layernorm_matches_torch(size, rng):
    module = torch.nn.LayerNorm(size, eps=1e-3)
    with torch.no_grad():
        module.weight.uniform_(-1, 1)
        module.bias.uniform_(-1, 1)
    tensors = {f"layers.0.{key}": tensor for key, tensor in numbers(module).items()}
    model = Model(inputs=size, layers=LayerNorm(epsilon=1e-3), tensors=tensors)
    x = rng.standard_normal((STEPS, size)).astype(np.float32)
    assert np.abs(model.run(x) - answer(module, x)).max() <= 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_embedding_gives_torchs_rows(size, rng):
    module = torch.nn.Embedding(31, size)
    model = Model(inputs=2, layers=Embedding(31, size), tensors={"layers.0.weight": numbers(module)["weight"]})
    x = rng.integers(0, 31, (STEPS, 2))
    assert (model.run(x) == answer(module, x).reshape(STEPS, -1)).all()
