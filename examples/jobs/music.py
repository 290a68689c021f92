"""Tunes: a net learns pitch and duration, token by token, from songs that everybody knows, and writes new ones as MIDI files.

Run it: python examples/jobs/music.py   (--midi tune.mid writes what it sings, --plot music.png draws it; needs matplotlib)
The songs are in examples/data/tunes.txt, some forty traditional ones, and are taken in all twelve keys. A tune is its metre, then a
pitch and a duration a note, and bar lines. Eight tunes are in no training, in any key; measured is how many bits a note of theirs
takes: how surprised the net is by pitch, duration and bar lines together. It is compared with n-grams of the same tokens from the
same tunes, each order filled up from the one below (Witten and Bell 1991): over two tokens before, and over four, the two notes
before."""
import argparse
import re
import struct
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

import streamrnn as sr

TUNES = Path(__file__).parents[1] / "data" / "tunes.txt"
LETTERS = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
NOTE = re.compile(r"([_^]?)([A-Ga-gz])([,']*)(\d*)|(\|)")
PADDING, END, BAR, REST = 0, 1, 2, 3
METRES = {"4/4": 4, "3/4": 5, "6/8": 6}
EIGHTHS = (1, 2, 3, 4, 5, 6, 8)                      # durations that occur, tokens 7 to 13
LOW, HIGH = 44, 90                                   # MIDI pitches, tokens from 14 on
FIRST_LENGTH, FIRST_PITCH = 7, 7 + len(EIGHTHS)
SIZE = FIRST_PITCH + HIGH - LOW + 1


def songs(path=TUNES):
    """{name: (metre, notes)}: a note is (MIDI pitch or None for a rest, eighths), or None for a bar line."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, head, notes = line.split(";")
            found[name] = head.split()[0], [_note(*part.groups()) for part in NOTE.finditer(notes)]
    return found


def _note(sign, letter, octave, eighths, bar):
    if bar:
        return None
    pitch = None if letter == "z" else (60 + LETTERS[letter.upper()] + 12 * letter.islower() + {"^": 1, "_": -1, "": 0}[sign]
                                        + 12 * (octave.count("'") - octave.count(",")))
    return pitch, int(eighths or 1)


def tokens(song, up=0):
    """A song's tokens, `up` semitones higher: the metre, then pitch and duration of each note and the bar lines, then the end."""
    metre, notes = song
    found = [METRES[metre]]
    for note in notes:
        if note is None:
            found.append(BAR)
        else:
            found += [REST if note[0] is None else FIRST_PITCH + note[0] + up - LOW, FIRST_LENGTH + EIGHTHS.index(note[1])]
    return np.array([*found, END])


def in_all_keys(some):
    return [tokens(song, up) for song in some for up in range(-6, 6)]


def train(learn, held, units=128, epochs=36, seed=0):
    """A trained model and its History; the tunes in `held` pick the epoch."""
    parts = lambda some: ([one[:-1, None] for one in in_all_keys(some)], [one[1:] for one in in_all_keys(some)])
    layers = [sr.Embedding(SIZE, 48), sr.Dropout(0.2), sr.LSTM(units), sr.Dropout(0.5), sr.Dense(SIZE)]
    model = sr.Model(inputs=1, layers=layers, seed=seed)
    history = sr.fit(model, *parts(learn), loss="cross_entropy", optimizer=sr.Adam(4e-3, clip=1.0), schedule=sr.Cosine(), batch=16,
                     epochs=epochs, validation=parts(held), seed=seed)
    return model, history


def bits(some, p_of):
    """Bits a note; p_of(tokens) gives the probability of each token behind the first, (len(tokens) - 1,)."""
    some = in_all_keys(some)
    notes = sum(int((one >= FIRST_PITCH).sum() + (one == REST).sum()) for one in some)
    return -sum(np.log2(p_of(one)).sum() for one in some) / notes


def of_net(model):
    def p_of(one):
        logits = model.run(one[:-1, None]).astype(np.float64)
        p = np.exp(logits - logits.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True))[np.arange(len(one) - 1), one[1:]]
    return p_of


def of_ngram(learn, order):
    """The same of an n-gram: each order fills up from the one below."""
    counts = defaultdict(Counter)
    for one in in_all_keys(learn):
        one = one.tolist()
        for t in range(1, len(one)):
            for n in range(order):
                if n <= t:
                    counts[tuple(one[t - n:t])][one[t]] += 1

    def p_of(one):
        one, found = one.tolist(), []
        for t in range(1, len(one)):
            p = 1 / SIZE
            for n in range(min(order, t + 1)):
                seen = counts.get(tuple(one[t - n:t]))
                if seen:
                    p = (seen[one[t]] + len(seen) * p) / (seen.total() + len(seen))
            found.append(p)
        return np.array(found)
    return p_of


def split(some, seed):
    """Names (to learn from, to pick the epoch, to test), drawn by the seed."""
    names = np.array(sorted(some))[np.random.default_rng(seed).permutation(len(some))].tolist()
    return names[11:], names[8:11], names[:8]


# -- what it writes ----------------------------------------------------------------------------------------------------

def write(model, metre, temperature, rng, most=240):
    """Notes as in `songs`: the stream takes the metre, then each token that was drawn from what it said before."""
    stream, written = model.stream(), [METRES[metre]]
    while written[-1] != END and len(written) < most:
        logits = stream.step(written[-1:]).astype(np.float64)
        pitch_before = written[-1] == REST or written[-1] >= FIRST_PITCH
        allowed = [*range(FIRST_LENGTH, FIRST_PITCH)] if pitch_before else [END, BAR, REST, *range(FIRST_PITCH, SIZE)]
        p = np.exp((logits[allowed] - logits[allowed].max()) / temperature)
        written.append(allowed[rng.choice(len(p), p=p / p.sum())])
    notes, pitch = [], None
    for token in written[1:]:
        if token == BAR:
            notes.append(None)
        elif FIRST_LENGTH <= token < FIRST_PITCH:
            notes.append((pitch, EIGHTHS[token - FIRST_LENGTH]))
        else:
            pitch = None if token == REST else token - FIRST_PITCH + LOW
    return notes


def bars(notes):
    """How many eighths each bar between two bar lines has."""
    lines = [k for k, note in enumerate(notes) if note is None]
    return [sum(eighths for _, eighths in notes[a + 1:b]) for a, b in pairwise(lines)]


def midi(notes, beats=110, eighth=240):
    """A standard MIDI file, format 0: a header and one track, 480 ticks a quarter."""
    def number(value):  # seven bits a byte, the last without the high bit
        return (number(value >> 7)[:-1] + bytes([value >> 7 & 127 | 128]) if value > 127 else b"") + bytes([value & 127])

    track, silence = b"\x00\xff\x51\x03" + round(60e6 / beats).to_bytes(3, "big"), 0
    for pitch, eighths in filter(None, notes):
        if pitch is None:
            silence += eighths * eighth
        else:
            track += number(silence) + bytes([0x90, pitch, 80]) + number(eighths * eighth - 20) + bytes([0x80, pitch, 0])
            silence = 20                                       # notes that are repeated stay apart
    track += number(silence) + b"\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 2 * eighth) + b"MTrk" + struct.pack(">I", len(track)) + track


def name_of(pitch):
    return "rest" if pitch is None else ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")[pitch % 12] + str(pitch // 12 - 1)


def draw(notes, path):
    """A piano roll with bar lines."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 3.4), layout="constrained")
    at, heard = 0, sorted({note[0] for note in notes if note and note[0] is not None})
    for note in notes:
        if note is None:
            axes.axvline(at / 2, color="lightgrey", lw=1, zorder=0)
            continue
        if note[0] is not None:
            axes.barh(note[0], note[1] / 2 - 0.06, left=at / 2 + 0.03, height=0.8, color="#2b6cb0")
        at += note[1]
    axes.set(yticks=heard, yticklabels=[name_of(pitch) for pitch in heard], xlim=(0, at / 2), ylabel="pitch",
             xlabel="quarters (grey: the bar lines that it set)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--units", type=int, default=128, help="units of the LSTM")
    parser.add_argument("--epochs", type=int, default=36, help="times through the tunes")
    parser.add_argument("--metre", choices=METRES, default="4/4", help="of the tune that it writes")
    parser.add_argument("--temperature", type=float, default=0.7, help="below 1 plays safe, above 1 dares")
    parser.add_argument("--midi", type=Path, metavar="FILE", help="write the tune as MIDI")
    parser.add_argument("--plot", metavar="FILE", help="draw the tune")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and what is written")
    options = parser.parse_args()

    tunes = songs()
    learn, held, test = ([tunes[name] for name in part] for part in split(tunes, options.seed))
    model, history = train(learn, held, options.units, options.epochs, options.seed)
    print(f"{model}\ntrained on {len(learn)} tunes in twelve keys, {history.epochs} epochs, {sum(history.seconds):.1f} s; "
          f"kept: epoch {history.best + 1}")
    print(f"bits a note of {len(test)} other tunes: {', '.join(split(tunes, options.seed)[2])}")
    for name, p_of in (("n-gram, two tokens before", of_ngram(learn + held, 3)), ("n-gram, two notes before", of_ngram(learn + held, 5)),
                       ("net", of_net(model))):
        print(f"  {name:<27}{bits(test, p_of):>6.2f}")

    rng = np.random.default_rng(options.seed)
    notes = write(model, options.metre, options.temperature, rng)
    print(f"as a stream, at temperature {options.temperature}, it writes:")
    print("  " + " ".join("|" if note is None else f"{name_of(note[0])}:{note[1]}" for note in notes))
    full = 8 if options.metre == "4/4" else 6
    many = [bar for _ in range(20) for bar in bars(write(model, options.metre, options.temperature, rng))]
    share = np.mean(np.array(many) == full)
    print(f"of {len(many)} bars in twenty more tunes {share:.0%} last exactly the {full} eighths of {options.metre}")
    if options.midi:
        options.midi.write_bytes(midi(notes))
        print(f"wrote {options.midi}")
    if options.plot:
        draw(notes, options.plot)
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
