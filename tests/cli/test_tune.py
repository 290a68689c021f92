"""streamrnn tune: a search that can be stopped and resumed, and whose best can be trained again by the command it prints."""
import re
import shlex
import sqlite3
import sys

import pytest
from test_train import series, write

import streamrnn as sr
from streamrnn.cli import main

FAST = "--epochs", "3", "--units", "2:6", "--depth", "1:2", "--target", "vibration"


@pytest.fixture
def tune(tmp_path, monkeypatch, capsys):
    """tune(arguments) -> (status, what was printed, errors)"""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    write(tmp_path / "my table.csv", series())

    def run(*arguments, command="tune"):
        status = main([command, "my table.csv", *arguments])
        return status, *capsys.readouterr()
    return run


def test_without_optuna_it_says_how_to_get_it(tune, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert tune(*FAST) == (1, "", "streamrnn tune: tune needs Optuna: pip install 'streamrnn[tune]'\n")


@pytest.mark.parametrize("arguments", [["--units", "8"], ["--units", "0:4"], ["--units", "9:8"], ["--dropout", "0:1"], ["--rate", "0:1"],
                                       ["--kinds", "lstm,dense"], ["--trials", "0"], ["--time", "-1"]], ids=" ".join)
def test_a_range_that_is_none_is_refused(tune, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        tune(*arguments)
    assert stop.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err


class TestSearch:
    @pytest.fixture(autouse=True)
    def optuna(self):
        pytest.importorskip("optuna")

    def test_the_printed_command_trains_the_best_again_bit_for_bit(self, tune):
        status, printed, errors = tune(*FAST, "--trials", "4", "-o", "best")
        assert (status, errors) == (0, "")
        command = shlex.split(re.search("^  (streamrnn train .*)$", printed, re.M).group(1))
        assert command[2] == "my table.csv"
        assert main([*command[1:-1], "again"]) == 0
        assert sr.load("best").digest == sr.load("again").digest
        value = re.search(r"^ +\d+ +(\S+) ", printed.split("trial   validation")[1], re.M).group(1)
        assert f"validation {value} (mse" in " ".join(printed.split())
        lines = [line for line in printed.splitlines() if not line.startswith("  streamrnn ")]
        assert max(map(len, lines)) <= 80

    def test_running_it_again_goes_on_where_it_stopped(self, tune):
        _, first, _ = tune(*FAST, "--trials", "2", "--study", "s.db")
        status, second, _ = tune(*FAST, "--trials", "4", "--study", "s.db")
        assert status == 0
        assert "4, 2 of them done before, kept in s.db" in second
        tried = re.findall(r"^ +(\d)  \S+ +(\d x .*)$", first + second, re.M)
        assert [number for number, _ in tried] == ["0", "1", "2", "3"]
        assert len({words for _, words in tried}) == 4
        _, third, _ = tune(*FAST, "--trials", "4", "--study", "s.db")
        assert third.split("trial   validation")[1] == second.split("trial   validation")[1]

    def test_one_seed_searches_alike(self, tune):
        assert tune(*FAST, "--trials", "2") == tune(*FAST, "--trials", "2")
        assert tune(*FAST, "--trials", "2") != tune(*FAST, "--trials", "2", "--seed", "1")

    @pytest.mark.parametrize(("change", "words"), [(["--epochs", "4"], "--epochs differ"), (["--units", "2:4"], "--units differ"),
                                                   (["--ahead", "2"], "--ahead differ")], ids=["epochs", "units", "ahead"])
    def test_another_search_does_not_go_into_its_file(self, tune, change, words):
        tune(*FAST, "--trials", "1", "--study", "s.db")
        status, _, errors = tune(*FAST, *change, "--trials", "1", "--study", "s.db")
        assert status == 1
        assert words in errors

    def test_other_data_do_not_go_into_its_file(self, tune, tmp_path):
        tune(*FAST, "--trials", "1", "--study", "s.db")
        write(tmp_path / "my table.csv", series(seed=1))
        assert "the data differ" in tune(*FAST, "--trials", "1", "--study", "s.db")[2]

    def test_a_file_that_is_no_study_is_left_alone(self, tune, tmp_path):
        with sqlite3.connect("state.db") as file:
            file.execute("create table rows (id)")
        file.close()
        before = (tmp_path / "state.db").read_bytes()
        status, _, errors = tune(*FAST, "--study", "state.db")
        assert status == 1
        assert "holds no study of Optuna" in errors
        assert (tmp_path / "state.db").read_bytes() == before
        assert "holds no study" in tune(*FAST, "--study", "my table.csv")[2]

    def test_it_ends_in_time_with_what_it_has(self, tune):
        status, printed, _ = tune("--trials", "1000", "--time", "0.5", "--target", "vibration", "--units", "64:64", "--epochs", "100000",
                                  "--patience", "0")
        assert status == 0
        assert "streamrnn train" in printed

    def test_if_every_trial_diverges_it_says_so(self, tune):
        status, printed, errors = tune(*FAST, "--trials", "2", "--rate", "1e20:1e21", "--optimizer", "sgd", "--clip", "0", "--epochs", "30")
        assert status == 1
        assert printed.count("diverged") == 2
        assert "lower --rate" in errors

    def test_ctrl_c_shows_the_best_so_far(self, tune, monkeypatch):
        from streamrnn.cli import recipe
        trained, calls = recipe.fit, []

        def stopped(*arguments, on_epoch, **options):
            calls.append(1)

            def stop(history):
                raise KeyboardInterrupt
            return trained(*arguments, on_epoch=stop if len(calls) == 2 else on_epoch, **options)
        monkeypatch.setattr(recipe, "fit", stopped)
        status, printed, _ = tune(*FAST, "--trials", "3", "--study", "s.db", "-o", "best")
        assert status == 130
        assert "streamrnn train" in printed
        assert "saved" not in printed
        assert "3, 1 of them done before" in tune(*FAST, "--trials", "3", "--study", "s.db")[1]

    def test_without_validation_there_is_nothing_to_compare(self, tune):
        assert "--validation 0 leaves nothing" in tune(*FAST, "--validation", "0")[2]
