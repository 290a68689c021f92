"""Row: parts by name, a copy and no view, and refused by any model it does not belong to."""
import copy
import pickle

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.streams.state import Row


@pytest.fixture(scope="module")
def model():
    return sr.Model(inputs=2, layers=[sr.LSTM(3), sr.GRU(17)], heads={"a": [sr.RNN(2), sr.Dense(1)], "b": sr.Dense(2)}, seed=1)


@pytest.fixture
def stream(model):
    stream = model.stream()
    stream.run(np.random.default_rng(0).standard_normal((5, 2), dtype=np.float32))
    return stream


def test_parts_go_by_layer_and_vector(stream):
    row = stream.state()
    assert sorted(row.parts) == ["heads.a.0.h", "layers.0.c", "layers.0.h", "layers.1.h"]
    assert {name: row[name].shape for name in row.parts} == {
        "layers.0.c": (3,), "layers.0.h": (3,), "layers.1.h": (17,), "heads.a.0.h": (2,)}
    assert all(row[name].any() for name in row.parts)


def test_the_last_layers_part_is_the_output():
    model = sr.Model(inputs=2, layers=[sr.LSTM(4)], seed=0)
    stream = model.stream()
    y = stream.step([1, 2])
    assert np.array_equal(stream.state()["layers.0.h"], y)
    assert not np.array_equal(stream.state()["layers.0.c"], y)


def test_a_part_is_a_view_to_write_through(stream):
    row = stream.state()
    row["layers.1.h"][:] = 0.5
    stream.set_state(row)
    assert (stream.state()["layers.1.h"] == 0.5).all()


def test_an_unknown_part_is_refused_with_the_known_ones(stream):
    with pytest.raises(KeyError, match=r"'layers.9.h'.*layers.0.c.*heads.a.0.h"):
        stream.state()["layers.9.h"]


def test_a_row_is_a_copy(stream):
    before = stream.state()
    row = stream.state()
    row[:] = 9
    assert np.array_equal(stream.state(), before)
    stream.set_state(before)
    before[:] = 7
    assert not (stream.state() == 7).any()


def test_a_row_indexes_as_an_array(stream):
    row = stream.state()
    assert isinstance(row, Row)
    assert row.dtype == np.float32
    assert row[0] == np.asarray(row)[0]
    assert row[2:5].shape == (3,)


def test_a_model_without_state_has_an_empty_row():
    stream = sr.Model(inputs=2, layers=[sr.Dense(1)], seed=0).stream()
    assert stream.state().parts == []
    stream.set_state(stream.state())
    with pytest.raises(KeyError, match="none"):
        stream.state()["h"]


@pytest.mark.parametrize("other", [
    [sr.GRU(32)], [sr.GRU(20, reset_after=False)], [sr.RNN(20)], [sr.LSTM(16)], [sr.GRU(20), sr.Dropout(0.2)],
    [sr.GRU(20), sr.Dense(3)]], ids=repr)
def test_a_row_of_another_model_is_refused_even_when_it_is_as_long(other):
    mine = sr.Model(inputs=2, layers=[sr.GRU(20)], seed=0)
    theirs = sr.Model(inputs=2, layers=other, seed=0)
    assert theirs.row_bytes == mine.row_bytes
    row = theirs.stream().state()
    for taker in (mine.stream(), sr.Engine(mine).stream("a")):
        with pytest.raises(sr.StateError, match=r"model of other layers.*layers.0.h"):
            taker.set_state(row)
    with pytest.raises(sr.StateError, match="other layers"):
        sr.Engine(mine).set_state("a", row)


@pytest.mark.parametrize("change", [copy.copy, copy.deepcopy, lambda row: row[:], lambda row: row.copy(), lambda row: row * 1,
                                    lambda row: pickle.loads(pickle.dumps(row))],
                         ids=["copy", "deepcopy", "slice", "method", "product", "pickle"])
def test_a_copied_row_still_knows_whose_it_is(stream, model, change):
    row = change(stream.state())
    assert row.parts == stream.state().parts
    with pytest.raises(sr.StateError):
        sr.Model(inputs=2, layers=[sr.RNN(model.row_bytes // 4)], seed=0).stream().set_state(row)
    stream.set_state(row)


def test_other_weights_of_the_same_layers_take_the_row(model, stream):
    other = model.with_tensors({name: t * 0.5 for name, t in model.tensors.items()}).stream()
    other.set_state(stream.state())
    assert np.array_equal(other.state(), stream.state())


def test_plain_numbers_of_the_right_length_are_a_state(model, stream):
    values = np.asarray(stream.state(), np.float64)
    for plain in (values, values.tolist()):
        other = model.stream()
        other.set_state(plain)
        assert np.array_equal(other.state(), stream.state())


@pytest.mark.parametrize(("change", "error", "words"), [
    (lambda row: row[:-1], sr.StateError, r"numbers, got shape"), (lambda row: row[None], sr.StateError, "got shape"),
    (lambda row: np.append(row, 0), sr.StateError, "got shape"), (lambda row: 0.0, sr.StateError, "got shape"),
    (lambda row: np.where(np.arange(row.size) == 3, np.nan, row), sr.StateError, r"\[3\] is not finite"),
    (lambda row: np.where(np.arange(row.size) == 4, np.inf, row), sr.StateError, r"\[4\] is not finite"),
    (lambda row: np.full(row.shape, 1e300), sr.StateError, "not finite"),
    (lambda row: row.astype(complex), sr.StreamRNNError, "complex"), (lambda row: None, sr.StreamRNNError, "object")],
    ids=["short", "matrix", "long", "scalar", "nan", "inf", "too large", "complex", "none"])
def test_what_is_no_state_is_refused_and_changes_nothing(stream, change, error, words):
    before = stream.state()
    with pytest.raises(error, match=words):
        stream.set_state(change(stream.state()))
    assert np.array_equal(stream.state(), before)
