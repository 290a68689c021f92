"""Text as whole numbers and back, by a fixed vocabulary: token 0 is padding, token 1 is whatever was not known.

Words are cut from lower-cased text by one expression, PIECE. It knows no language: what is written without spaces, as
Chinese is, stays one word, and letters with separate accents fall apart (unicodedata.normalize("NFC", text) joins them).
"""
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from streamrnn.errors import ConfigError, InputError

PADDING, UNKNOWN = "", "<unk>"
PIECE = re.compile(r"""
    \d+ (?: [.,] \d+ )*                   # a number: 7, 3.14, 1,000
  | [^\W\d_] \w* (?: ['\u2019] \w+ )*    # a word, from a letter on: don't, x1, snake_case
  | \S                                   # any other mark by itself
""", re.VERBOSE)
GLUED = re.compile(r" (?=[.,;:!?%)\]}…])|(?<=[(\[{]) ")  # the spaces that " ".join puts before marks and inside brackets


@dataclass(frozen=True, repr=False)
class Tokens:
    """A vocabulary (pieces by token) and the two ways through it; a kind says what a piece is."""
    vocabulary: tuple[str, ...]
    kind: ClassVar[str]

    def __post_init__(self):
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        if self.vocabulary[:2] != (PADDING, UNKNOWN):
            raise ConfigError(f"{self.kind}: a vocabulary starts with {PADDING!r} and {UNKNOWN!r}, got {list(self.vocabulary[:2])}")
        seen = set()
        for token, piece in enumerate(self.vocabulary[2:], 2):
            if not isinstance(piece, str) or list(self.pieces(piece)) != [piece]:
                raise ConfigError(f"{self.kind}: vocabulary[{token}] is {piece!r}, which is not one of the pieces that text is cut into")
            if piece in seen:
                raise ConfigError(f"{self.kind}: vocabulary[{token}] is {piece!r} once more: each piece is one token")
            seen.add(piece)

    @classmethod
    def of(cls, texts, most=None, least=1):
        """The vocabulary of a text or a list of texts: the most frequent pieces first, ties by alphabet.

        most: the largest vocabulary, padding and unknown included; least: how often a piece must occur.
        """
        if most is not None and most < 3:
            raise InputError(f"most must leave room for padding, unknown and one of the {cls.kind}: at least 3, got {most}")
        counts = Counter()
        for i, text in enumerate([texts] if isinstance(texts, str) else texts):
            counts.update(cls.pieces(_text(text, f"texts[{i}]")))
        known = sorted((piece for piece, count in counts.items() if count >= least), key=lambda piece: (-counts[piece], piece))
        if not known:
            raise InputError(f"a vocabulary needs text: these texts hold no {cls.kind} that occur {least} times or more")
        return cls((PADDING, UNKNOWN, *known)[:most])

    def encode(self, text):
        """Tokens of a text, (pieces,) int64."""
        token = self._token
        return np.array([token.get(piece, 1) for piece in self.pieces(_text(text, "text"))], np.int64)

    def decode(self, tokens):
        """The text of tokens (n,): padding is nothing, an unknown piece is "<unk>"."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise InputError(f"tokens must be whole numbers (n,), got shape {tokens.shape}, dtype {tokens.dtype}")
        wrong = np.flatnonzero((tokens < 0) | (tokens >= len(self)))
        if len(wrong):
            raise InputError(f"tokens[{wrong[0]}] is {tokens[wrong[0]]}: this vocabulary has tokens from 0 to {len(self) - 1}")
        return self.join([self.vocabulary[token] for token in tokens.tolist() if token])

    def config(self):
        """Plain JSON values, which `from_config` takes."""
        return {"kind": self.kind, "vocabulary": list(self.vocabulary)}

    @cached_property
    def _token(self):
        return {piece: token for token, piece in enumerate(self.vocabulary)}  # no text is cut into the first two

    def __len__(self):
        return len(self.vocabulary)

    def __repr__(self):
        most = ", ".join(map(repr, self.vocabulary[2:6]))
        return f"<{type(self).__name__} of {len(self)} tokens: {most}{', ...' if len(self) > 6 else ''}>"


class Characters(Tokens):
    """Every character is a token: text of known characters comes back exactly."""
    kind = "characters"
    pieces = staticmethod(iter)
    join = staticmethod("".join)


class Words(Tokens):
    """Lower-cased words, numbers and single marks (see PIECE); decode puts one space between, none before closing marks."""
    kind = "words"

    @staticmethod
    def pieces(text):
        return PIECE.findall(text.lower())

    @staticmethod
    def join(pieces):
        return GLUED.sub("", " ".join(pieces))


KINDS = {kind.kind: kind for kind in (Characters, Words)}


def from_config(config):
    """The tokeniser whose config() this is, or a ConfigError that says what is wrong with it."""
    if not isinstance(config, dict) or set(config) != {"kind", "vocabulary"}:
        raise ConfigError(f"a tokeniser's config has kind and vocabulary, and nothing else; got {config!r:.200}")
    if not isinstance(config["kind"], str) or config["kind"] not in KINDS:
        raise ConfigError(f"unknown tokeniser kind {config['kind']!r}: this version knows {', '.join(KINDS)}")
    if not isinstance(config["vocabulary"], list | tuple):
        raise ConfigError(f"a tokeniser's vocabulary is a list of strings, got {type(config['vocabulary']).__name__}")
    return KINDS[config["kind"]](tuple(config["vocabulary"]))


def _text(text, what):
    if not isinstance(text, str):
        raise InputError(f"{what} must be a string, got {type(text).__name__}")
    return text
