"""States and gates over time, against plain NumPy, and bit for bit against a stream's state."""
import numpy as np
import pytest
import reference

import streamrnn as sr
from streamrnn.explain import drive

STACKS = {
    "lstm": [sr.LSTM(19), sr.Dense(2)],
    "gru": [sr.GRU(17), sr.GRU(16, reset_after=False)],
    "rnn": [sr.Scale(), sr.RNN(5), sr.Dropout(0.5), sr.RNN(33, "relu"), sr.Dense(12)],
    "tokens": [sr.Embedding(5, 4), sr.LSTM(3), sr.LayerNorm(), sr.GRU(2)],
}
GATES = {"lstm": "h c i f g o", "gru": "h r z n", "rnn": "h"}


@pytest.mark.parametrize(("layers", "steps"), [(layers, steps) for layers in STACKS.values() for steps in (1, 7, 13)])
def test_gates_are_the_references(layers, steps, rng, monkeypatch):
    monkeypatch.setattr(drive, "PIECE", 6)
    model = sr.Model(3, layers, seed=3)
    x = rng.integers(0, 5, (steps, 3)) if layers[0].kind == "embedding" else rng.standard_normal((steps, 3)).astype(np.float32)
    found = sr.activations(model, x)
    for layer, name in zip(model.layers, [name for name, *_ in model.stacks()], strict=True):
        assert (name in found.layers) == (layer.kind in GATES)
    for t, seen in enumerate(reference.gates(model, x)):
        assert set(seen) == set(found)
        for layer, parts in seen.items():
            assert list(parts) == list(found[layer]) == GATES[model.layers[int(layer[-1])].kind].split()
            for name, values in parts.items():
                assert found[layer][name].shape == (steps, len(values))
                np.testing.assert_allclose(found[layer][name][t], values, atol=3e-6, rtol=1e-5, err_msg=f"{layer}.{name} at {t}")


def test_states_are_a_streams_bit_for_bit(rng):
    model = sr.Model(3, [sr.LSTM(9)], heads={"a": [sr.GRU(20), sr.Dense(1)], "b": sr.Dense(2)}, seed=3)
    x = rng.standard_normal((300, 3)).astype(np.float32)
    found, stream = sr.activations(model, x), model.stream()
    for t, x_t in enumerate(x):
        stream.step(x_t)
        state = stream.state()
        for name in ("layers.0.h", "layers.0.c", "heads.a.0.h"):
            layer, _, part = name.rpartition(".")
            assert found[layer][part][t].tobytes() == state[name].tobytes()


def test_batches_and_names(rng):
    model, x = sr.Model(3, [sr.LSTM(9), sr.GRU(4)], seed=3), rng.standard_normal((3, 8, 3)).astype(np.float32)
    found = sr.activations(model, x)
    assert found["1"]["z"].shape == (3, 8, 4) and len(found) == 2 and found.kinds["layers.1"] == "GRU"
    assert found["layers.0"]["f"][2].tobytes() == sr.activations(model, x[2])["layers.0"]["f"].tobytes()
    assert repr(found) == "<Activations: layers.0 (LSTM) h c i f g o, 9 units; layers.1 (GRU) h r z n, 4 units>"
    with pytest.raises(sr.InputError, match=r"no recurrent layer 'layers\.2': there are layers\.0, layers\.1"):
        found["layers.2"]
    with pytest.raises(sr.InputError, match="without a step"):
        sr.activations(model, x[:, :0])
    with pytest.raises(sr.InputError, match="finite"):
        sr.activations(model, x * np.inf)
    with pytest.raises(sr.ConfigError, match="without recurrent layers"):
        sr.activations(sr.Model(3, [sr.Dense(2)]), x)


@pytest.mark.parametrize(("heads", "window"), [(1, 5), (3, 5), (2, 17), (1, 30)])
def test_shares_of_attention_are_the_equations(heads, window, rng, monkeypatch):
    """softmax(q k / sqrt(size)) by how many steps back, also where a ring has gone round and a piece of the tape ends."""
    monkeypatch.setattr(drive, "PIECE", 6)
    model, time = sr.Model(4, [sr.GRU(7), sr.Attention(6, window, heads), sr.Dense(2)], seed=3), 23
    x = rng.standard_normal((time, 4)).astype(np.float32)
    found = sr.activations(model, x)
    assert list(found["layers.1"]) == ["shares"]
    assert repr(found).endswith(f"layers.1 (Attention) shares, {heads} head{'s' * (heads > 1)}, window {window}>")
    q, k, _ = np.split(found["layers.0"]["h"].astype(np.float64) @ model.tensors["layers.1.in_proj_weight"].T, 3, axis=1)
    wanted = np.zeros((time, heads, window))
    for t in range(time):
        seen = min(t + 1, window)
        for head, part in enumerate(np.split(np.arange(6), heads)):
            scores = k[t + 1 - seen:t + 1, part][::-1] @ q[t, part] / np.sqrt(6 / heads)
            wanted[t, head, :seen] = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(found["layers.1"]["shares"], wanted, atol=1e-6)
    assert sr.activations(model, np.stack([x, x]))["layers.1"]["shares"].shape == (2, time, heads, window)


def test_layers_without_h_are_shown(rng):
    model = sr.Model(3, [sr.LRU(4, states=5), sr.Attention(4, 6)], seed=3)
    found = sr.activations(model, rng.standard_normal((9, 3)).astype(np.float32))
    assert repr(found) == "<Activations: layers.0 (LRU) re im, 5 units; layers.1 (Attention) shares, 1 head, window 6>"
