"""Where a training left the finite numbers: the right layer, step and sequence, in windows, pieces and short last shards."""
import numpy as np
import pytest
from learning import F, small

from streamrnn import RNN, Dense, Diverged, Scale, fit


def growing():
    """Each step multiplies by 1e9: from 1, the state leaves float32 at step 5."""
    values = {"layers.0.weight_ih_l0": 1, "layers.0.weight_hh_l0": 1e9, "layers.1.weight": 1e-30}
    model = small(RNN(1, "relu"), Dense(1), inputs=1)
    return model.with_tensors({name: np.full(tensor.shape, values.get(name, 0), F) for name, tensor in model.tensors.items()})


def no_loss(y, target):
    """Nothing comes back, so that only what is not finite is felt: 0 times it is not 0."""
    return np.zeros(len(y)), np.zeros_like(y)


@pytest.mark.parametrize("options", [{}, {"window": 2}, {"window": 3}, {"window": 5}, {"recompute": 2}, {"recompute": 4, "window": 7},
                                     {"threads": 2}, {"window": 3, "recompute": 2, "threads": 3}], ids=str)
@pytest.mark.parametrize("start", [0, 4])
def test_the_step_and_the_sequence_are_named(start, options):
    x = np.zeros((11, 12, 1), F)
    x[9, start] = 1
    message = f"the values of layers.0 are the first that are not finite, at time step {start + 5} of sequence 9. Lower"
    with pytest.raises(Diverged, match=message):
        fit(growing(), x, np.zeros_like(x), loss=no_loss, **options)


def test_a_batch_that_is_shorter_than_the_others_is_looked_through_too():
    x = np.zeros((11, 12, 1), F)
    x[:, 0] = 1
    with pytest.raises(Diverged, match=r"the values of layers\.0 .* at time step 5 of sequence \d"):
        fit(growing(), x[:3], np.zeros((3, 12, 1)), batch=8, loss=no_loss)
    with pytest.raises(Diverged, match=r"step 3 \(epoch 1\).*the values of layers\.0 .* at time step 5"):
        order = np.random.default_rng((0, 0)).permutation(11)  # the last three of the epoch
        x[order[:8]] = 0
        fit(growing(), x, np.zeros_like(x), batch=4, loss=no_loss)


def test_a_later_layer_is_named():
    """A sample so large that the scaler is the first to leave float32."""
    model = small(RNN(2), Scale(), Dense(2), heads={"a": Dense(1), "b": Dense(1)}, inputs=1)
    model = model.with_tensors({**model.tensors, "heads.b.0.weight": np.full((1, 2), 3e38, F), "layers.2.bias": np.full(2, 5, F)})
    with pytest.raises(Diverged, match=r"the values of heads\.b\.0 are the first that are not finite, at time step 0 of sequence 0"):
        fit(model, np.zeros((2, 3, 1)), {"a": np.zeros((2, 3)), "b": np.zeros((2, 3))}, loss={"a": "mse", "b": "mse"})


def test_where_all_values_are_finite_the_largest_weights_are_named():
    model = small(Dense(4), Dense(1), inputs=1)
    model = model.with_tensors({**model.tensors, "layers.1.bias": np.full(1, 3e19, F)})
    with pytest.raises(Diverged, match=r"the loss is inf, .*all values are finite, the largest weights are layers\.1\.bias, up to 3e\+19"):
        fit(model, np.zeros((2, 3, 1)), np.zeros((2, 3)))
