"""Reading aloud: "$1,204.50; 9:05" becomes "one thousand two hundred four dollars and fifty cents, nine oh five", as a stream.

Run it: python examples/jobs/translation.py   (--plot shares.png draws where it looks; needs matplotlib)
Amounts, dates, times and long numbers, one or two in a line, as a voice must say them (Sproat and Jaitly 2016); this script
draws them itself. One stack does it all: characters go in one by one, then a mark, then the words, each as it came out. A
first GRU reads, attention looks back at what it read, a second GRU says the next word."""
import argparse
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np

import streamrnn as sr

SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
         "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"]
ORDINAL = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth"}
SAY, END = "|", "#"   # behind the characters: now the words; behind the words: that was all
IGNORED = -100        # a label that counts nothing: no word is due yet


def spoken(n):
    """A number below a million in words."""
    if n < 20:
        return SMALL[n]
    if n < 100:
        return TENS[n // 10 - 2] + (" " + SMALL[n % 10] if n % 10 else "")
    unit, name = (100, "hundred") if n < 1000 else (1000, "thousand")
    return f"{spoken(n // unit)} {name}" + (" " + spoken(n % unit) if n % unit else "")


def ordinal(n):
    rest, _, last = spoken(n).rpartition(" ")
    return f"{rest} {ORDINAL.get(last) or (last[:-1] + 'ieth' if last[-1] == 'y' else last + 'th')}".strip()


def pair(n):
    """Two digits as they are said in times and years."""
    return spoken(n) if n > 9 else f"oh {SMALL[n]}" if n else "hundred"


def many(n, names):
    return f"{spoken(n)} {names.removesuffix('s') if n == 1 else names}"


def amount(rng):
    whole, cents = int(rng.integers(10 ** int(rng.integers(1, 7)))), int(rng.integers(100))
    sign, name = (("$", "dollars"), ("£", "pounds"), ("€", "euros"))[rng.integers(3)]
    if rng.random() < 0.5:
        return f"{sign}{whole:,}", many(whole, name)
    return f"{sign}{whole:,}.{cents:02}", f"{many(whole, name)} and {many(cents, 'cents')}"


def date(rng):
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(12)), int(rng.integers(1910, 2100))
    written = (f"{year}-{month + 1:02}-{day:02}", f"{day}.{month + 1}.{year}", f"{month + 1}/{day}/{year}",
               f"{MONTHS[month][:3]} {day}, {year}")[rng.integers(4)]
    return written, f"the {ordinal(day)} of {MONTHS[month]} {spoken(year // 100)} {pair(year % 100)}"


def clock(rng):
    hour, minute = int(rng.integers(24)), int(rng.integers(60))
    return f"{hour:02}:{minute:02}", f"{spoken(hour)} {pair(minute)}"


def number(rng):
    digits = rng.integers(10, size=int(rng.integers(8, 13)))
    every, gap = int(rng.integers(2, 6)), "- "[rng.integers(2)]
    return (gap.join("".join(map(str, digits[k:k + every])) for k in range(0, len(digits), every)),
            " ".join(SMALL[digit] for digit in digits))


def lines(learn=8000, test=500, seed=0):
    """[(written, spoken)] to learn from and to test on, no line twice: one thing or two, with a semicolon between."""
    rng, drawn = np.random.default_rng(seed), {}
    while len(drawn) < learn + test:
        written, said = zip(*((amount, date, clock, number)[rng.choice(4, p=(0.35, 0.25, 0.1, 0.3))](rng)
                              for _ in range(rng.integers(1, 3))), strict=True)
        drawn["; ".join(written)] = ", ".join(said)
    return list(drawn.items())[:learn], list(drawn.items())[learn:]


def spelt(written):
    """Its characters as words of their own, so that one vocabulary holds them and the words."""
    return " ".join(written.replace(" ", "_") + SAY)


def train(learn, attention=True, units=64, epochs=10, seed=0):
    """A trained model; its tokens are in it. Labels count from the mark on, where words are due."""
    words = sr.Words.of([f"{spelt(written)} {said} {END}" for written, said in learn])
    sources, targets = ([words.encode(text) for text in texts] for texts in
                        ([spelt(written) for written, _ in learn], [f"{said} {END}" for _, said in learn]))
    x = [np.concatenate([source, target[:-1]])[:, None] for source, target in zip(sources, targets, strict=True)]
    y = [np.concatenate([np.full(len(source) - 1, IGNORED), target]) for source, target in zip(sources, targets, strict=True)]
    looks = [sr.Attention(units, window=max(map(len, x)), heads=4)] if attention else []  # the window spans the line and its words
    model = sr.Model(inputs=1, layers=[sr.Embedding(len(words), 32), sr.GRU(units), *looks, sr.GRU(units), sr.Dense(len(words))],
                     seed=seed, tokens=words)
    history = sr.fit(model, x, y, loss=sr.CrossEntropy(ignore_index=IGNORED), optimizer=sr.Adam(4e-3, clip=1.0),
                     schedule=sr.Cosine(warmup=300), batch=16, epochs=epochs, seed=seed)
    return model, sum(history.seconds)


def say(model, written, most=60):
    """The words of a line as they come out of a stream, each fed back in."""
    stream, vocabulary = model.stream(), model.tokens.vocabulary
    for token in model.tokens.encode(spelt(written)):
        logits = stream.step([token])
    for _ in range(most):
        token = int(logits.argmax())
        if vocabulary[token] == END:
            return
        yield vocabulary[token]
        logits = stream.step([token])


def exact(answer, test):
    """The share of lines that answer(written) says in exactly the right words."""
    return np.mean([answer(written) == said for written, said in test])


def phrasebook(learn):
    """answer(written) by counting, without a net. Each thing by itself, by its shape ("$0,000.00"): for each place among the words
    it votes by one character, or two and the word before, whichever tell most about words that were not counted themselves."""
    shape = lambda written: "".join("0" if c.isdigit() else "a" if c.isalpha() else c for c in written)
    keys = lambda written, j, before: {(j, 1): written[j], (j, 1, "after"): (written[j], before), (j, 2): (written[j:j + 2], before)}
    votes, worth = defaultdict(Counter), defaultdict(Counter)
    for line, answer in learn:
        for written, said in zip(line.split("; "), answer.split(", "), strict=True):
            for i, (before, word) in enumerate(pairwise([SAY, *said.split(), END])):
                for j in range(len(written)):
                    for kind, key in keys(written, j, before).items():
                        votes[shape(written), i, kind, key][word] += 1
    for (form, i, kind, _), counts in votes.items():
        worth[form, i][kind] += max(counts.values()) - 1  # each word is called by the others: itself left out
    ranked = {place: [kind for kind, _ in kinds.most_common()] for place, kinds in worth.items()}

    def one(written):
        said = [SAY]
        while said[-1] != END and (kinds := ranked.get((shape(written), len(said) - 1))):
            known = (votes.get((shape(written), len(said) - 1, kind, keys(written, kind[0], said[-1])[kind])) for kind in kinds)
            said.append(next((counts.most_common(1)[0][0] for counts in known if counts), END))
        return " ".join(said[1:]).removesuffix(" " + END)
    return lambda written: ", ".join(map(one, written.split("; ")))


def shares(model, written):
    """(words (n,), where attention looked when each came out: (n, characters), the mean of its heads)"""
    said, source = list(say(model, written)), model.tokens.encode(spelt(written))
    x = np.concatenate([source, [model.tokens.vocabulary.index(word) for word in said]])
    looks = sr.activations(model, x[:, None])["layers.2"]["shares"].mean(1)  # (steps, how many steps back)
    steps = np.arange(len(said))[:, None] + len(source) - 1  # a word comes out of the step before it
    return said, looks[steps, steps - np.arange(len(written))]


def draw(model, written, path):
    from matplotlib import pyplot
    said, looks = shares(model, written)
    figure, axis = pyplot.subplots(figsize=(0.32 * len(written) + 2.6, 0.24 * len(said) + 1.2), layout="constrained")
    shown = axis.imshow(looks, aspect="auto", cmap="Blues", vmin=0, vmax=looks.max())
    axis.set_xticks(range(len(written)), list(written.replace(" ", "\u2423")), fontsize=11)
    axis.set_yticks(range(len(said)), said, fontsize=9)
    axis.xaxis.tick_top()
    axis.set_xlabel("the line, character by character")
    axis.xaxis.set_label_position("top")
    axis.set_ylabel("the words that come out, downwards")
    figure.colorbar(shown, ax=axis, label="share of attention", fraction=0.04, pad=0.02)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--count", type=int, default=8000, help="lines to learn from")
    parser.add_argument("--units", type=int, default=64, help="units of each GRU and of the attention")
    parser.add_argument("--epochs", type=int, default=10, help="times through the lines")
    parser.add_argument("--seed", type=int, default=0, help="of the lines and the first weights")
    parser.add_argument("--say", default="nov 21, 2026; $4,085.12", help="a line to read aloud")
    parser.add_argument("--plot", metavar="FILE", help="draw where attention looks while it reads that line")
    options = parser.parse_args()

    learn, test = lines(options.count, seed=options.seed)
    print(f"{len(learn):,} lines to learn from, {options.epochs} epochs; every word right, on {len(test):,} other lines:")
    print(f"  {'phrasebook, no net':<22}{exact(phrasebook(learn), test):>7.1%}", flush=True)
    for attention in (False, True):
        model, seconds = train(learn, attention, options.units, options.epochs, options.seed)
        share = exact(lambda written, model=model: model.tokens.join(list(say(model, written))), test)
        print(f"  {'with attention' if attention else 'without attention':<22}{share:>7.1%}   {model.parameters:,} parameters, "
              f"{seconds:.1f} s", flush=True)

    print(f"{model}\nas a stream, word by word\n  {options.say}\n ", end="")
    for word in say(model, options.say):
        print(word if word == "," else f" {word}", end="", flush=True)
    print()
    if options.plot:
        draw(model, options.say, options.plot)
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
