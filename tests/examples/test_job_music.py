"""Tunes: better than n-grams at tunes that it has not seen, and what it writes is a MIDI file that others read."""
import struct

import numpy as np
import pytest
from scripts import example, printed, stream_is_the_model

music = example("jobs/music")


def read_midi(data):
    """[(tick, pitch, length)] of a file of format 0, and its ticks a quarter; by the standard, not by the writer."""
    kind, length, form, tracks, division = struct.unpack(">4sIHHH", data[:14])
    assert (kind, length, form, tracks) == (b"MThd", 6, 0, 1)
    assert struct.unpack(">4sI", data[14:22]) == (b"MTrk", len(data) - 22)
    at, tick, sounding, notes = 22, 0, {}, []
    while at < len(data):
        delta = 0
        while True:
            byte, at = data[at], at + 1
            delta = delta << 7 | byte & 127
            if byte < 128:
                break
        tick += delta
        if data[at] == 0xff:
            kind, size = data[at + 1], data[at + 2]
            at += 3 + size
            if kind == 0x2f:
                assert at == len(data)
        else:
            command, pitch, at = data[at], data[at + 1], at + 3
            if command == 0x90:
                sounding[pitch] = tick
            else:
                assert command == 0x80
                notes.append((sounding[pitch], pitch, tick - sounding.pop(pitch)))
    assert not sounding
    return notes, division


@pytest.fixture(scope="module")
def singer():
    """(a trained model, tunes to learn from, tunes of the test)"""
    tunes = music.songs()
    learn, held, test = ([tunes[name] for name in part] for part in music.split(tunes, 0))
    return music.train(learn, held, epochs=24)[0], learn + held, test


def test_every_bar_of_every_tune_is_full():
    for name, (metre, notes) in music.songs().items():
        full = {"4/4": 8, "3/4": 6, "6/8": 6}[metre]
        assert set(music.bars(notes)) == {full}, name
        assert len(notes) > 20
        assert all(music.LOW + 6 <= note[0] <= music.HIGH - 5 for note in notes if note and note[0] is not None), name


def test_tokens_and_keys():
    notes = music.songs()["Frere Jacques"]
    assert music.tokens(notes)[:6].tolist() == [4, music.FIRST_PITCH + 16, 8, music.FIRST_PITCH + 18, 8, music.FIRST_PITCH + 20]
    assert (music.tokens(notes, 3) - music.tokens(notes)).max() == 3
    assert len(music.in_all_keys([notes])) == 12


def test_ngrams_are_probabilities():
    tune = np.array([4, 20, 8, 22, 8, 20, 8, 22, 8, 0])
    music.of_ngram.__globals__["in_all_keys"] = lambda some: some
    p_of = music.of_ngram([tune], 3)
    assert sum(p_of(np.array([4, 20, token]))[1] for token in range(music.SIZE)) == pytest.approx(1)
    music.of_ngram.__globals__["in_all_keys"] = music.in_all_keys


def test_a_note_takes_fewer_bits_than_by_an_ngram(singer):
    model, learn, test = singer
    net = music.bits(test, music.of_net(model))
    for order in (3, 5):
        assert net < music.bits(test, music.of_ngram(learn, order)) - 1


def test_what_it_writes_keeps_the_metre_and_can_be_played(singer):
    model, rng = singer[0], np.random.default_rng(0)
    written = [music.write(model, "4/4", 0.7, rng) for _ in range(10)]
    assert np.mean(np.array([bar for notes in written for bar in music.bars(notes)]) == 8) > 0.85
    for notes in written:
        found, division = read_midi(music.midi(notes))
        at, wanted = 0, []
        for pitch, eighths in filter(None, notes):
            if pitch is not None:
                wanted.append((at, pitch, eighths * division // 2 - 20))
            at += eighths * division // 2
        assert found == wanted


def test_numbers_of_midi_of_any_length():
    assert read_midi(music.midi([(60, 2), (None, 8), (None, 80), (62, 1)]))[0] == [(0, 60, 460), (90 * 240, 62, 220)]


def test_a_stream_sings_what_the_model_says(singer):
    assert stream_is_the_model(singer[0], music.tokens(music.songs()["Winter ade"])[:, None])


def test_the_script(tmp_path):
    pytest.importorskip("matplotlib")
    midi, picture = tmp_path / "tune.mid", tmp_path / "tune.png"
    out = printed("jobs/music", "--units", 16, "--epochs", 2, "--metre", "3/4", "--midi", midi, "--plot", picture)
    assert "bits a note of 8 other tunes" in out and "as a stream, at temperature 0.7, it writes" in out
    assert read_midi(midi.read_bytes())[1] == 480
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "--temperature" in printed("jobs/music", "--help")
