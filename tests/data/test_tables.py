"""Tables: what a file says is what comes, whichever its kind, and what is refused."""
import datetime
import subprocess
import sys

import numpy as np
import pytest

from streamrnn.data.tables import CHUNK, read
from streamrnn.errors import FileError, InputError, MissingExtra

NAN = float("nan")


@pytest.fixture
def csv(tmp_path):
    def write(text, name="t.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name
    return write


def same(table, names, values):
    assert table.names == tuple(names)
    assert table.values.dtype == np.float32
    assert table.values.flags.c_contiguous
    np.testing.assert_array_equal(table.values, np.array(values, np.float32))


@pytest.mark.parametrize("mark", [",", ";", "\t", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_delimiters_line_ends_and_marks_of_order(csv, mark, end, bom):
    text = bom + end.join(mark.join(row) for row in (["a", "b c", '"d"'], ["1", "-2.5", '"3"'], ["4e3", "5", "6"]))
    same(read(csv(text)), ["a", "b c", "d"], [[1, -2.5, 3], [4000, 5, 6]])
    same(read(csv(text + end + end)), ["a", "b c", "d"], [[1, -2.5, 3], [4000, 5, 6]])


def test_without_a_header_columns_are_numbered(csv):
    same(read(csv("1,2\n3,4\n")), ["0", "1"], [[1, 2], [3, 4]])
    same(read(csv("1\n2"), columns=["0"]), ["0"], [[1], [2]])


def test_missing_cells_become_nan(csv):
    text = "a,b,c\n,nan,1\nNA,null,2\n3, NaN ,NULL\n"
    same(read(csv(text)), "abc", [[NAN, NAN, 1], [NAN, NAN, 2], [3, NAN, NAN]])


def test_columns_are_picked_and_ordered_by_name(csv):
    path = csv("time,a,what,b\nnoon,1,x,2\none,3,y,4\n")
    same(read(path, ["b", "a"]), "ba", [[2, 1], [4, 3]])
    same(read(str(path), ("a",)), "a", [[1], [3]])


@pytest.mark.parametrize(("name", "cells"), [
    ("Time", ["noon", "one"]), ("timestamp", ["12:00:01", "12:00:02"]), ("date", ["1/2/24", ""]), ("when", ["2024-01-31", "2024-02-01"]),
    ("when", ["2024-01-31T10:00:00Z", "?"]), ("when", ["2024-01-31 10:00:00.5+02:00", "1"]), ("when", ["NA", "2024-01-31 10:00"])])
def test_time_stamps_are_left_out(csv, name, cells):
    same(read(csv(f"a,{name},b\n1,{cells[0]},2\n3,{cells[1]},4\n")), "ab", [[1, 2], [3, 4]])


def test_too_large_for_float32_is_infinite(csv):
    same(read(csv("a,b\n1e39,inf\n")), "ab", [[np.inf, np.inf]])


def test_a_time_that_is_a_number_stays(csv):
    same(read(csv("time,a\n0.5,1\n1.5,2\n")), ["time", "a"], [[0.5, 1], [1.5, 2]])


def test_names_without_text_are_numbered(csv):
    same(read(csv(",temperature\n0,20\n1,21\n")), ["0", "temperature"], [[0, 20], [1, 21]])


@pytest.mark.parametrize("rows", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_files_of_any_length_agree_with_loadtxt(csv, rng, rows):
    values = rng.standard_normal((rows, 3)) * 10.0 ** rng.integers(-30, 30, (rows, 3))
    path = csv("a,b,c\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist()))
    same(read(path), "abc", np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2))


@pytest.mark.parametrize(("text", "words"), [
    ("a,b\n1,2\n3,high\n", r"t\.csv, line 3, column 'b': 'high' is not a number\. Correct"),
    ("\n\na,b\n1,2\n\n3,x\n", "line 6, column 'b': 'x'"), ("a;b\n1;2,5\n", r"'2,5' is not a number \(decimals take a point\)"),
    ("a,b\n1,1_000\n", "'1_000' is not a number"), ("a,b\n1,2\n3,2024-01-01\n", "'2024-01-01' is not a number"),
    ("a\n" + "1\n" * 2 * CHUNK + "2024-01-01\n", f"line {2 * CHUNK + 2}, column 'a'"),
    ("a,a\n1,2\n", "more than one column 'a'"), ("1,,3\n4,5,6\n", "names, or numbers in every cell; got 1, , 3"),
    ("2024-01-01,1\n2024-01-02,2\n", "add a row of names"), ("time\nnoon\n", "no numeric column"), ("0,1\n1,2\n3,x\n", "column '1': 'x'")])
def test_what_is_wrong_in_a_csv_is_said_with_its_place(csv, text, words):
    with pytest.raises(InputError, match=words):
        read(csv(text))


def test_a_time_stamp_that_was_asked_for_is_no_number(csv):
    with pytest.raises(InputError, match="line 2, column 'time': 'noon'"):
        read(csv("time,a\nnoon,1\n"), ["a", "time"])


def test_a_missing_column_is_explained(csv):
    path = csv("time,temperature,humidity\n1,2,3\n")
    with pytest.raises(InputError, match=r"no column 'temprature' \(did you mean 'temperature'\?\): it has time, temperature, humidity$"):
        read(path, ["humidity", "temprature"])
    with pytest.raises(InputError, match="no column 7: it has"):
        read(path, [7])
    with pytest.raises(InputError, match=r"write \['humidity'\]"):
        read(path, "humidity")
    with pytest.raises(InputError, match="no numeric column"):
        read(path, [])


@pytest.mark.parametrize(("text", "words"), [
    (b"", "is empty"), (b"\n\n", "blank lines only"), (b"\xef\xbb\xbf", "blank lines only"), (b"a,b\n", "no rows"),
    (b"a,b\n1,2\n3", "line 3: 1 cells"), (b"a,b\n1,2,\n", "line 2: 3 cells .*, the first row has 2"),
    ("a,b\n1,é".encode("latin-1"), "UTF-8"), ("a,b\n1,2\n".encode("utf-16"), "UTF-8"),
    (b"a\n" + b'"' + b"1" * 200_000, "field larger"), (b"\x89PNG\r\n\x1a\n\0\0", "UTF-8")])
def test_a_damaged_csv_is_refused(csv, text, words):
    with pytest.raises(FileError, match=words):
        read(csv(text))


@pytest.mark.parametrize("name", ["t.xlsx", "t.txt", "t", "t.npz"])
def test_other_kinds_are_refused(csv, name):
    with pytest.raises(FileError, match=r"\.csv, \.npy, \.parquet"):
        read(csv("a\n1\n", name))


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8", np.int16, bool])
@pytest.mark.parametrize("order", "CF")
def test_npy_of_any_numbers(tmp_path, dtype, order):
    values = np.array([[0, 1], [1, 1], [1, 0]], dtype, order=order)
    np.save(tmp_path / "t.npy", values)
    same(read(tmp_path / "t.npy"), "01", values)
    same(read(tmp_path / "t.npy", ["1"]), "1", values[:, 1:])
    np.save(tmp_path / "t.npy", values[:, 0])
    same(read(tmp_path / "t.npy"), "0", values[:, :1])


@pytest.mark.parametrize(("array", "error", "words"), [
    (np.zeros((2, 2, 2)), InputError, r"got shape \(2, 2, 2\)"), (np.float64(1), InputError, r"got shape \(\)"),
    (np.array(["a"]), InputError, "got dtype <U1"), (np.zeros(2, [("a", "f4")]), InputError, "got dtype"),
    (np.array([None]), FileError, r"no \.npy file of numbers"), (np.zeros((0, 3)), FileError, "no rows"),
    (np.zeros((3, 0)), InputError, "no numeric column"), (np.zeros(0), FileError, "no rows")])
def test_other_npy_are_refused(tmp_path, array, error, words):
    np.save(tmp_path / "t.npy", array, allow_pickle=True)
    with pytest.raises(error, match=words):
        read(tmp_path / "t.npy")


def test_a_damaged_npy_is_refused(tmp_path, rng):
    path = tmp_path / "t.npy"
    np.save(path, np.ones((5, 3)))
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:20], b"\x93NUMPY", b"PK\3\4 a zip", whole.replace(b"(5, 3)", b"(10**15, 3)"),
                    whole.replace(b"(5, 3), }  ", b"(9999, 3),}")):
        path.write_bytes(content)
        with pytest.raises(FileError, match="damaged"):
            read(path)


@pytest.fixture
def parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    writer = pytest.importorskip("pyarrow.parquet")

    def write(columns):
        writer.write_table(pa.table(columns), tmp_path / "t.parquet")
        return tmp_path / "t.parquet"
    return write


def test_parquet_of_any_numbers(parquet):
    day = datetime.datetime(2024, 1, 1)
    path = parquet({"when": [day, day], "a.b": [1, None], "on": [True, False], "date": ["x", "y"], "x": [0.5, 1.5], "none": [None, None],
                    "text": [None, "2024-01-01"]})
    same(read(path), ["a.b", "on", "x", "none"], [[1, 1, 0.5, NAN], [NAN, 0, 1.5, NAN]])
    same(read(path, ["x", "a.b"]), ["x", "a.b"], [[0.5, 1], [1.5, NAN]])


def test_parquet_that_is_not_numbers_is_refused(parquet):
    path = parquet({"a": [1, 2], "b": ["x", "y"], "time": ["noon", "one"]})
    with pytest.raises(InputError, match="column 'b' holds string, not numbers"):
        read(path)
    with pytest.raises(InputError, match="column 'time' holds string"):
        read(path, ["time"])
    with pytest.raises(InputError, match="no column 'c'"):
        read(path, ["c"])
    with pytest.raises(FileError, match="no rows"):
        read(parquet({"a": np.zeros(0)}))


def test_a_damaged_parquet_is_refused(parquet):
    path = parquet({"a": np.arange(1000.0)})
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:len(whole) // 2], b"a,b\n1,2\n", whole[:50] + b"\xff" * 300 + whole[350:]):
        path.write_bytes(content)
        with pytest.raises(FileError, match="damaged"):
            read(path)


def test_without_pyarrow_the_extra_is_named(csv, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install streamrnn\[tables\]"):
        read(csv("PAR1", "t.parquet"))


def test_reading_needs_no_kernels():
    code = "import sys; from streamrnn import metrics; from streamrnn.data import series, tables, tokens; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
