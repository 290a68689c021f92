"""Tokenisers: text comes back, vocabularies are fixed and ordered, and a config is checked."""
import json

import numpy as np
import pytest

from streamrnn.data.tokens import Characters, Words, from_config
from streamrnn.errors import ConfigError, InputError

TEXT = "The cat sat on the mat; the dog (a big one) didn't. It's 3.14 or 1,000!\n\tNaïve café, 東京 🙂 <unk> a_b x1"
KINDS = {"characters": Characters, "words": Words}


@pytest.fixture(params=KINDS)
def tokens(request):
    return KINDS[request.param].of(TEXT)


def test_characters_come_back_exactly(rng):
    tokens = Characters.of(TEXT)
    letters = list(tokens.vocabulary[2:])
    for text in [TEXT, "", "\n\n", *("".join(rng.choice(letters, 50)) for _ in range(20))]:
        encoded = tokens.encode(text)
        assert encoded.dtype == np.int64
        assert encoded.shape == (len(text),)
        assert tokens.decode(encoded) == text


def test_words_are_lower_cased_and_cut_by_the_expression():
    tokens = Words.of(TEXT)
    cut = [tokens.vocabulary[t] for t in tokens.encode(TEXT)]
    assert cut == ["the", "cat", "sat", "on", "the", "mat", ";", "the", "dog", "(", "a", "big", "one", ")", "didn't", ".", "it's", "3.14",
                   "or", "1,000", "!", "naïve", "café", ",", "東京", "🙂", "<", "unk", ">", "a_b", "x1"]
    assert tokens.decode(tokens.encode("The dog (a CAT), on; 3.14!")) == "the dog (a cat), on; 3.14!"


def test_either_apostrophe_stays_inside_its_word():
    assert Words.of("don't can\u2019t 'quoted'").vocabulary[2:] == ("'", "can\u2019t", "don't", "quoted")


def test_what_words_decode_is_encoded_to_the_same_tokens(rng):
    tokens = Words.of(TEXT + " 3 ' - _ % : ? [ ] { } 5")
    for _ in range(200):
        some = rng.integers(2, len(tokens), 12)
        assert np.array_equal(tokens.encode(tokens.decode(some)), some)


def test_vocabulary_has_the_most_frequent_first_and_ties_by_alphabet():
    assert Characters.of("cbbaa d").vocabulary == ("", "<unk>", "a", "b", " ", "c", "d")
    assert Characters.of(["cbb", "aa", " d"], most=4).vocabulary == ("", "<unk>", "a", "b")
    assert Words.of("b a b c C", least=2).vocabulary == ("", "<unk>", "b", "c")
    assert Words.of(["b a", "b"], most=3).vocabulary == ("", "<unk>", "b")


def test_padding_is_nothing_and_the_unknown_is_said():
    characters, words = Characters.of("ab"), Words.of("a b.")
    assert characters.encode("azb").tolist() == [2, 1, 3]
    assert characters.decode([2, 1, 3, 0, 0]) == "a<unk>b"
    assert words.decode([0, *words.encode("b what a."), 0, 0]) == "b <unk> a."
    assert characters.encode("<unk>").tolist() == [1] * 5  # text is never read as a special token
    assert words.encode("").shape == (0,)
    assert words.decode([]) == ""


def test_a_config_is_plain_json_and_gives_the_same_back(tokens):
    config = json.loads(json.dumps(tokens.config()))
    again = from_config(config)
    assert again == tokens
    assert hash(again) == hash(tokens)
    assert type(again) is type(tokens)
    assert again.config() == config
    assert np.array_equal(again.encode(TEXT), tokens.encode(TEXT))


def test_equality_is_of_kind_and_vocabulary():
    assert Characters.of("ab") == Characters.of("ab")
    assert Characters.of("ab") != Characters.of("abc")
    assert Characters.of("a b") != Words.of("a b")
    assert Characters(("", "<unk>", "a")) != Words(("", "<unk>", "a"))


def test_length_and_repr():
    tokens = Words.of("a b a c d e")
    assert len(tokens) == 7
    assert repr(tokens) == "<Words of 7 tokens: 'a', 'b', 'c', 'd', ...>"
    assert repr(Characters.of("a")) == "<Characters of 3 tokens: 'a'>"


@pytest.mark.parametrize("kind", KINDS)
def test_every_piece_of_any_text_may_stand_in_a_vocabulary(kind):
    everything = " ".join(chr(i) for i in range(0x3000) if not 0xD800 <= i < 0xE000)
    tokens = KINDS[kind].of(everything)  # checks each piece
    assert 1 not in tokens.encode(everything)


@pytest.mark.parametrize(("config", "words"), [
    (None, "kind and vocabulary"), ({}, "kind and vocabulary"), ({"kind": "words"}, "kind and vocabulary"),
    ({"kind": "words", "vocabulary": ["", "<unk>"], "more": 1}, "nothing else"),
    ({"kind": "bytes", "vocabulary": ["", "<unk>"]}, "unknown tokeniser kind 'bytes': this version knows characters, words"),
    ({"kind": ["words"], "vocabulary": ["", "<unk>"]}, "unknown tokeniser kind"),
    ({"kind": "words", "vocabulary": "abc"}, "list of strings, got str"), ({"kind": "words", "vocabulary": None}, "got NoneType"),
    ({"kind": "words", "vocabulary": []}, "starts with '' and '<unk>'"), ({"kind": "words", "vocabulary": ["a", "b", "c"]}, "starts with"),
    ({"kind": "words", "vocabulary": ["", "<unk>", "a", "b", "a"]}, r"vocabulary\[4\] is 'a' once more"),
    ({"kind": "words", "vocabulary": ["", "<unk>", "a b"]}, r"vocabulary\[2\] is 'a b'"),
    ({"kind": "words", "vocabulary": ["", "<unk>", "The"]}, r"vocabulary\[2\] is 'The'"),
    ({"kind": "characters", "vocabulary": ["", "<unk>", "ab"]}, r"vocabulary\[2\] is 'ab'"),
    ({"kind": "characters", "vocabulary": ["", "<unk>", ""]}, r"vocabulary\[2\] is ''"),
    ({"kind": "characters", "vocabulary": ["", "<unk>", 7]}, r"vocabulary\[2\] is 7"),
    ({"kind": "characters", "vocabulary": ["", "<unk>", "a", ["b"]]}, r"vocabulary\[3\] is \['b'\]")])
def test_a_wrong_config_is_explained(config, words):
    with pytest.raises(ConfigError, match=words):
        from_config(config)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: Words.of(""), "hold no words that occur 1 times"), (lambda: Words.of([]), "hold no words"),
    (lambda: Words.of("a b", least=2), "occur 2 times or more"), (lambda: Characters.of("abc", most=2), "at least 3, got 2"),
    (lambda: Characters.of(["a", 5]), r"texts\[1\] must be a string, got int"), (lambda: Characters.of(b"abc"), "got int"),
    (lambda: Characters.of("a").encode(b"a"), "text must be a string, got bytes"),
    (lambda: Characters.of("a").decode([0, 3]), r"tokens\[1\] is 3: .* from 0 to 2"),
    (lambda: Characters.of("a").decode([-1]), r"tokens\[0\] is -1"), (lambda: Characters.of("a").decode([1.0]), "dtype float64"),
    (lambda: Characters.of("a").decode([[1]]), r"shape \(1, 1\)")])
def test_what_is_refused_is_explained(call, words):
    with pytest.raises(InputError, match=words):
        call()
