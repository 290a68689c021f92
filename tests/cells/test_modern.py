"""Attention and the cells without hidden weights: against torch, at the ends of their range, and whether they learn."""
import numpy as np
import pytest
import reference

from streamrnn import LRU, Adam, Attention, ConfigError, Dense, MinGRU, MinLSTM, Model, fit, load

F = np.float32


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype(F)


# -- attention ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("units", "window", "heads"), [(8, 5, 2), (30, 17, 3), (16, 1, 1), (64, 70, 4), (5, 200, 1)])
def test_attention_is_torchs_under_a_band_mask(units, window, heads, rng):
    torch = pytest.importorskip("torch")
    model, time, size = Model(6, [Attention(units, window, heads)], seed=3), 120, units // heads
    w = {name.rpartition(".")[2]: torch.from_numpy(t.copy()).requires_grad_() for name, t in model.tensors.items()}
    x = torch.from_numpy(numbers(rng, time, 6))
    q, k, v = (part.reshape(time, heads, size).transpose(0, 1) for part in (x @ w["in_proj_weight"].T + w["in_proj_bias"]).chunk(3, 1))
    back = torch.arange(time)[:, None] - torch.arange(time)
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=(back >= 0) & (back < window))
    want = y.transpose(0, 1).reshape(time, units) @ w["out_proj_weight"].T + w["out_proj_bias"]
    assert np.abs(model.run(x.numpy()) - want.detach().numpy()).max() <= 5e-6


def test_attention_of_as_many_units_as_inputs_takes_torchs_tensors(rng):
    torch = pytest.importorskip("torch")
    torch.manual_seed(4)
    net = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    tensors = {f"layers.0.{name.replace('.', '_')}": p.detach().numpy() for name, p in net.named_parameters()}
    model, x = Model(12, [Attention(12, 9, heads=3)], tensors=tensors), numbers(rng, 40, 12)
    back = torch.arange(40)[:, None] - torch.arange(40)
    want, _ = net(*[torch.from_numpy(x)[None]] * 3, attn_mask=(back < 0) | (back >= 9))
    assert np.abs(model.run(x) - want[0].detach().numpy()).max() <= 2e-6


def test_attention_sees_the_window_and_nothing_else(rng):
    """A change that lies `window` steps back shows no more, one a step nearer does."""
    model, window = Model(3, [Attention(4, 7)], seed=1), 7
    x = numbers(rng, 60, 3)
    other = x.copy()
    other[20] += 1
    differs = (model.run(x) != model.run(other)).any(1)
    assert not differs[:20].any() and differs[20:20 + window].all()
    assert np.abs(model.run(x) - model.run(other))[20 + window:].max() <= 1e-6  # the ring may stand elsewhere, the sums do not


@pytest.mark.parametrize("count", [-1, 0.5, 13, 14, 1e30, -1e30])
def test_a_row_with_any_count_in_it_stays_within_its_rings(count, rng):
    model = Model(3, [Attention(4, 7), Dense(1)], seed=1)
    stream = model.stream()
    state = stream.state()
    state["layers.0.count"][:] = count
    stream.set_state(state)
    assert np.isfinite(stream.run(numbers(rng, 40, 3))).all()
    assert 7 <= stream.state()["layers.0.count"][0] < 14


def test_heads_must_share_the_units():
    with pytest.raises(ConfigError, match="multiple of heads"):
        Attention(10, 5, heads=3)


# -- the ends of the range ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("f", "i", "share"), [(-200, -200, 0.5), (200, 200, 0.5), (-200, 200, 0), (200, -200, 1), (-50, -40, 0)])
def test_minlstms_gates_add_up_to_one_however_far_they_are(f, i, share):
    tensors = {"layers.0.weight": np.zeros((3, 1)), "layers.0.bias": np.array([f, i, 1.0])}
    stream = Model(1, [MinLSTM(1)], tensors=tensors).stream()
    state = stream.state()
    state["layers.0.h"][:] = 3
    stream.set_state(state)
    assert abs(stream.step(np.zeros(1, F))[0] - (3 * share + 1 - share)) <= 1e-4


def test_lru_of_long_memories_is_close_to_its_twin(rng):
    """The rounding of a factor counts once for each step of its memory."""
    model, x = Model(5, [LRU(30, r_min=0.99, r_max=0.9999)], seed=3), numbers(rng, 3000, 5)
    want = reference.run(model, x)
    assert np.abs(model.run(x) - want).max() <= 1e-3 * np.abs(want).max()


@pytest.mark.parametrize("nu_log", [-100.0, -20.0, 0.0, 100.0])
@pytest.mark.parametrize("theta_log", [-100.0, 0.3, 5.0, 100.0])
def test_lru_is_stable_whatever_its_weights(nu_log, theta_log):
    model = Model(1, [LRU(1)], seed=1)
    stream = model.with_tensors({**model.tensors, "layers.0.nu_log": [nu_log], "layers.0.theta_log": [theta_log]}).stream()
    state = stream.state()
    state["layers.0.re"][:], state["layers.0.im"][:] = 0.6, 0.8
    stream.set_state(state)
    stream.run(np.zeros((100_000, 1), F))
    assert np.hypot(stream.state()["layers.0.re"][0], stream.state()["layers.0.im"][0]) <= 1


def test_lrus_first_factors_lie_in_their_ring():
    model = Model(3, [LRU(4, 500, r_min=0.9, r_max=0.99, max_phase=0.5)], seed=2)
    size, angle = np.exp(-np.exp(model.tensors["layers.0.nu_log"])), np.exp(model.tensors["layers.0.theta_log"])
    assert 0.899 < size.min() < 0.91 and 0.98 < size.max() < 0.9901 and angle.min() > 0 and 0.45 < angle.max() <= 0.5


# -- files and learning ------------------------------------------------------------------------------------------------

def test_a_file_brings_all_of_them_back(tmp_path, rng):
    model = Model(3, [MinGRU(5), MinLSTM(6), LRU(7, states=3, r_min=0.2, max_phase=1.5), Attention(8, 4, heads=2)], seed=1)
    model.save(tmp_path / "m.safetensors")
    again, x = load(tmp_path / "m.safetensors"), numbers(rng, 30, 3)
    assert again.layers == model.layers and again.run(x).tobytes() == model.run(x).tobytes()


def score(layers, x, y, **options):
    """The mean squared error on sequences that were held back, as a share of their variance."""
    model = Model(x.shape[2], [*layers, Dense(1)], seed=0)
    fit(model, x[:-8], y[:-8], optimizer=Adam(1e-2, clip=1.0), batch=8, progress=False, **options)
    return float(((model.run(x[-8:]) - y[-8:]) ** 2).mean() / y[-8:].var())


def by_the_sample_alone(x, y):
    """The same of the best linear function of the sample: what is left to whoever remembers nothing."""
    design = np.concatenate([x, np.ones_like(x[..., :1])], 2).reshape(-1, x.shape[2] + 1)
    weights = np.linalg.lstsq(design, y.reshape(-1, 1), rcond=None)[0]
    return float(((design @ weights - y.reshape(-1, 1)) ** 2).mean() / y.var())


CELLS = [MinGRU(16), MinLSTM(16), LRU(16), Attention(16, 12)]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.kind)
def test_each_learns_a_moving_average(cell, rng):
    """Of the last twelve samples: the sample alone explains little of it."""
    x = numbers(rng, 72, 64, 1)
    sums = np.cumsum(np.pad(x, ((0, 0), (12, 0), (0, 0))), 1)
    y = ((sums[:, 12:] - sums[:, :-12]) / 12).astype(F)
    assert by_the_sample_alone(x, y) > 0.85
    assert score([cell], x, y, epochs=40) < 0.35


@pytest.mark.parametrize("cell", [MinGRU(16), MinLSTM(16)], ids=lambda cell: cell.kind)
def test_gates_of_the_sample_learn_to_keep_a_marked_value(cell, rng):
    """x: a value and a mark; y: the value at the last mark. No linear recurrence with fixed factors does that."""
    x = numbers(rng, 72, 64, 2)
    x[..., 1] = rng.uniform(size=x.shape[:2]) < 0.1
    x[:, 0, 1] = 1
    last = np.maximum.accumulate(np.where(x[..., 1] > 0, np.arange(64), 0), 1)
    y = np.take_along_axis(x[..., 0], last, 1)[..., None]
    assert by_the_sample_alone(x, y) > 0.85
    assert score([cell], x, y, epochs=60) < 0.2
