"""Layers from elsewhere in training: gradients beside the usual layers' and torch's, what learns and what never changes."""
import numpy as np
import pytest
from learning import F, course, echoes, small

from streamrnn import GRU, LSTM, RNN, Activation, Adam, AdamW, Dense, Recurrence, fit, gradient_flow
from streamrnn.cells.base import Rowwise
from streamrnn.training.tape import Tape
from streamrnn.training.weights import Weights

CLOSE = 1e-5
STEPS = 25
USUAL = [(LSTM(20), Recurrence("lstm", 20)), (GRU(17), Recurrence("gru", 17)),
         (GRU(9, reset_after=False), Recurrence("gru", 9, reset_after=False)), (RNN(33), Recurrence("rnn", 33)),
         (RNN(5, "relu"), Recurrence("rnn", 5, ("relu",)))]
ODD = {
    "lstm": Recurrence("lstm", 12, ("hard_sigmoid", "tanh", ("scaled_tanh", 1.2, 0.8)), peepholes=True, clip=3.0, starts=True),
    "projected, coupled": Recurrence("lstm", 12, projection=5, input_forget=True, peepholes=True),
    "gru": Recurrence("gru", 12, ("hard_sigmoid", "softsign"), starts=True, clip=3.0),
    "gru before": Recurrence("gru", 12, ("sigmoid", "elu"), reset_after=False),
    "rnn": Recurrence("rnn", 12, (("scaled_tanh", 1.0, 0.8),), starts=True),
}
odd = pytest.mark.parametrize("layer", ODD.values(), ids=ODD)


def close(got, want):
    return np.abs(got - want).max() <= CLOSE * max(np.abs(want).max(), 1e-3)


def gradients(model, x, d_y):
    """({tensor: its gradient}, that of x (T, inputs)) of one sequence."""
    weights = Weights(model)
    tape, arena = Tape(weights, 1, len(x), sample_gradients=True), np.zeros(weights.size, F)
    tape.samples[:, 0, :model.inputs], tape.lengths[0] = x, len(x)
    tape.forwards(len(x))
    tape.d_results[:, 0] = d_y
    tape.backwards(arena, 0, len(x))
    return weights.gradients(arena), tape.d_samples[:, 0, :model.inputs]


def drawn(rng, model):
    return rng.standard_normal((STEPS, 3)).astype(F), rng.standard_normal((STEPS, model.outputs)).astype(F)


# -- beside others -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("usual", "general"), USUAL, ids=repr)
def test_the_usual_settings_have_the_usual_layers_gradients(usual, general, rng):
    model = small(usual, Dense(2))
    other = small(general, Dense(2), tensors=dict(model.tensors))
    (want, want_x), (got, got_x) = (gradients(one, *given) for given in [drawn(rng, model)] for one in (model, other))
    assert close(got_x, want_x) and all(close(got[name], want[name]) for name in want)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("cell", "general", "options"), [
    ("LSTM", Recurrence("lstm", 10, projection=4), {"proj_size": 4}), ("LSTM", Recurrence("lstm", 10), {}),
    ("GRU", Recurrence("gru", 10), {}), ("RNN", Recurrence("rnn", 10), {}),
    ("RNN", Recurrence("rnn", 10, ("relu",)), {"nonlinearity": "relu"})], ids=repr)
def test_torchs_gradients(cell, general, options, rng):
    torch = pytest.importorskip("torch")
    torch.manual_seed(2)
    own = getattr(torch.nn, cell)(3, 10, **options)
    model = small(general, tensors={f"layers.0.{name}": value.detach().numpy() for name, value in own.named_parameters()})
    x, d_y = drawn(rng, model)
    given = torch.tensor(x, requires_grad=True)
    (own(given)[0] * torch.tensor(d_y)).sum().backward()
    got, got_x = gradients(model, x, d_y)
    assert close(got_x, given.grad.numpy())
    assert all(close(got[f"layers.0.{name}"], value.grad.numpy()) for name, value in own.named_parameters())


@pytest.mark.parametrize("after", [Activation("softmax"), Activation("sigmoid")], ids=repr)
def test_an_activation_that_the_loss_has_in_it_is_left_out(after, rng):
    """As it is where the Dense before has it."""
    x, y = echoes(rng)
    loss, target = ("cross_entropy", (y[..., 0] > 0)) if after.function == "softmax" else ("bce", (y > 0).astype(F))
    one, other = small(LSTM(9), Dense(2, after.function)), small(LSTM(9), Dense(2), after)
    assert course(fit(one, x, target, loss=loss, epochs=2)) == course(fit(other, x, target, loss=loss, epochs=2))
    assert other.layers[-1] == after and np.array_equal(one.run(x), other.run(x))


# -- learning ----------------------------------------------------------------------------------------------------------

@odd
def test_it_learns_to_forecast(layer, rng):
    """An echo one step late, as an imported model would be tuned further; every tensor takes part."""
    x, y = echoes(rng, count=40)
    model = small(layer, Activation("softsign"), Dense(2))
    before = dict(model.tensors)
    history = fit(model, x, y, epochs=60, batch=10, optimizer=Adam(2e-2, clip=1.0), validation=0.2)
    assert history.loss[-1] < 0.25 * history.loss[0] and min(history.validation) < 0.4 * history.validation[0]
    assert all((model.tensors[name] != tensor).any() for name, tensor in before.items())
    assert np.array_equal(model.run(x), np.stack([model.run(one) for one in x]))


@odd
def test_settings_and_padding_never_change(layer, rng):
    """The numbers of cell, sizes, clip and activations lie among the weights: neither gradient nor decay may touch them."""
    x, y = echoes(rng, outputs=1)
    model = small(layer, Activation("scaled_tanh", 1.1, 0.9), Dense(1))
    before = Weights(model)
    model_after = small(layer, Activation("scaled_tanh", 1.1, 0.9), Dense(1))
    fit(model_after, x, y, epochs=3, optimizer=AdamW(1e-2, decay=0.1))
    after = Weights(model_after)
    assert any(isinstance(stage, Rowwise) and stage.apart for stage in before.plan.stages)
    assert np.array_equal(before.learnt, after.learnt) and (before.values[before.learnt == 0] != 0).any()
    assert np.array_equal(before.values[before.learnt == 0], after.values[before.learnt == 0])
    assert before.learnt.sum() <= sum(tensor.size for tensor in model.tensors.values())


def test_the_optimiser_itself_leaves_settings_alone(rng):
    """Not only what comes back as tensors: the arena that it goes through."""
    weights = Weights(small(ODD["lstm"], Dense(1)))
    still = weights.values[weights.learnt == 0].copy()
    moments = [np.zeros(weights.size, F) for _ in range(2)]
    for number in range(1, 4):
        gradient = rng.standard_normal(weights.size).astype(F) * weights.learnt
        AdamW(1e-1, decay=0.3).apply(number, 1e-1, weights.values, gradient, moments, weights.learnt)
    assert np.array_equal(weights.values[weights.learnt == 0], still) and still.any()


@odd
@pytest.mark.parametrize("options", [{"window": 5}, {"recompute": 4}, {"batch": 1}], ids=repr)
def test_two_runs_at_any_number_of_threads_are_equal_bit_for_bit(layer, options, rng):
    x, y = echoes(rng, count=17)
    courses = []
    for threads in (1, 2):
        model = small(layer, Dense(2))
        courses.append((course(fit(model, x, y, epochs=2, threads=threads, seed=1, **options)), model.run(x).tobytes()))
    assert courses[0] == courses[1]


@odd
def test_the_gradients_way_back_through_time_can_be_followed(layer, rng):
    x, y = echoes(rng)
    flow = gradient_flow(small(layer, Dense(2)), x, y)
    assert flow.norms["layers.0"].shape == (x.shape[1] + 1,) and (flow.norms["layers.0"][:5] > 0).all()
