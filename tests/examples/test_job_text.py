"""The net that writes: better than a trigram on text that it has not seen, and what it writes is what its stream answers."""
import numpy as np
import pytest
from scripts import example, printed

import streamrnn as sr
from streamrnn import metrics


@pytest.fixture(scope="module")
def text():
    return example("jobs/text")


@pytest.fixture(scope="module")
def writer(text):
    """(a model, its characters, the tokens that it learnt from, those that it did not)"""
    book = text.ALICE.read_text(encoding="utf-8")
    learn, test = book[:len(book) * 9 // 10], book[len(book) * 9 // 10:]
    characters = sr.Characters.of(learn)
    learnt, tested = characters.encode(learn), characters.encode(test)
    return text.train(learnt, len(characters), epochs=15)[0], characters, learnt, tested


def test_next_characters_are_guessed_better_than_by_a_trigram(text, writer):
    model, characters, learnt, tested = writer
    wavers = metrics.perplexity(tested[1:], model.run(tested[:-1, None]))
    assert wavers < 0.85 * text.ngram_perplexity(learnt, tested, 3, len(characters))


def test_what_it_writes_is_mostly_words_of_the_book(text, writer):
    model, characters, _, _ = writer
    written = "".join(text.write(model, characters, "Alice ", 200, 0.6, np.random.default_rng(0)))
    assert len(written) == 200
    assert np.mean(sr.Words.of(text.ALICE.read_text(encoding="utf-8")).encode(written) > 1) > 0.6


def test_a_cold_stream_writes_what_the_model_finds_most_likely(text, writer):
    model, characters, _, _ = writer
    written = "Alice " + "".join(text.write(model, characters, "Alice ", 50, 1e-3, np.random.default_rng(0)))
    tokens = characters.encode(written)
    assert (model.run(tokens[:-1, None])[5:, 2:].argmax(-1) + 2 == tokens[6:]).all()


def test_surprise_is_the_perplexity_a_character_at_a_time(text, writer):
    model, _, _, tested = writer
    bits = text.surprise(model, tested[:300])
    assert 2 ** bits.mean() == pytest.approx(metrics.perplexity(tested[1:300], model.run(tested[:299, None])), rel=1e-5)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_ngrams_by_hand(text, rng, order):
    """Against Witten and Bell's formula, a context at a time."""
    size, tokens = 4, rng.integers(0, 4, 40)

    def p(context, token):
        below = p(context[1:], token) if context else 1 / size
        next_ones = [tokens[i + len(context)] for i in range(len(tokens) - len(context))
                     if tuple(tokens[i:i + len(context)]) == context]
        kinds = len(set(next_ones))
        return (next_ones.count(token) + kinds * below) / (len(next_ones) + kinds) if next_ones else below

    table = text.ngram(tokens, order, size)
    assert np.allclose(table.sum(-1), 1)
    for index in np.ndindex(table.shape):
        assert table[index] == pytest.approx(p(index[:-1], index[-1]))


def test_the_script(tmp_path):
    assert "it writes, at temperature 0.6" in printed("jobs/text", "--units", 8, "--epochs", 1, "--length", 20)
    assert "--temperature" in printed("jobs/text", "--help")


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    assert "drew" in printed("jobs/text", "--units", 8, "--epochs", 1, "--length", 20, "--plot", tmp_path / "text.png")
    assert (tmp_path / "text.png").read_bytes().startswith(b"\x89PNG")
