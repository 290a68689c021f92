"""A model keeps the vocabulary that its tokens come from, and its first weights follow the scheme that is asked for."""
import numpy as np
import pytest

from streamrnn import GRU, LSTM, Characters, ConfigError, Dense, Embedding, Model, Words, load

TEXT = "the quick brown fox"


def speaker(tokens, **options):
    return Model(1, [Embedding(len(tokens), 4), LSTM(5), Dense(len(tokens))], tokens=tokens, **options)


@pytest.mark.parametrize("tokens", [Characters.of(TEXT), Words.of(TEXT)], ids=["characters", "words"])
def test_the_vocabulary_comes_back_from_the_file(tokens, tmp_path):
    model = speaker(tokens)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.tokens == tokens and again.tokens.decode(again.tokens.encode(TEXT)) == TEXT
    assert again.digest == model.digest and model.with_tensors(model.tensors).tokens == tokens


def test_a_state_does_not_depend_on_the_vocabulary():
    tokens = Characters.of(TEXT)
    assert speaker(tokens).signature == speaker(tokens, seed=3).signature
    plain = Model(1, [Embedding(len(tokens), 4), LSTM(5), Dense(len(tokens))])
    assert plain.signature == speaker(tokens).signature and plain.digest != speaker(tokens).digest and plain.tokens is None


def test_a_vocabulary_that_does_not_fit_is_refused():
    tokens = Characters.of(TEXT)
    with pytest.raises(ConfigError, match=f"Embedding\\({len(tokens)}, ...\\)"):
        Model(1, [Embedding(3, 4), Dense(1)], tokens=tokens)
    with pytest.raises(ConfigError, match="tokens must be Characters or Words"):
        Model(1, [Embedding(30, 4), Dense(1)], tokens=list(TEXT))
    config = speaker(tokens).config()
    config["tokens"]["vocabulary"] = config["tokens"]["vocabulary"][1:]
    with pytest.raises(ConfigError, match="vocabulary"):
        Model.from_config(config)


@pytest.mark.parametrize("layer", [LSTM(24), GRU(24)], ids=repr)
def test_orthogonal_weights_are_rotations_and_an_lstm_remembers(layer):
    tensors = Model(6, [layer], seed=4).tensors
    for gate in tensors["layers.0.weight_hh_l0"].reshape(layer.gates, 24, 24):
        np.testing.assert_allclose(gate @ gate.T, np.eye(24), atol=1e-5)
    bound = (6 / (6 + 24)) ** 0.5
    assert bound * 0.9 < np.abs(tensors["layers.0.weight_ih_l0"]).max() <= bound
    biases = tensors["layers.0.bias_ih_l0"].reshape(layer.gates, 24)
    assert [float(bias[0]) for bias in biases] == [float(gate == layer.remembers) for gate in range(layer.gates)]
    assert (tensors["layers.0.bias_hh_l0"] == 0).all()


def test_a_seed_gives_the_same_weights_and_schemes_differ():
    draw = lambda **options: Model(3, [LSTM(8), Dense(2)], **options).digest
    assert draw(seed=1) == draw(seed=1) != draw(seed=2)
    assert draw(seed=1, init="torch") not in (draw(seed=1), draw(seed=2, init="torch"))
    with pytest.raises(ConfigError, match="init must be one of orthogonal, torch, got 'zeros'"):
        draw(init="zeros")
