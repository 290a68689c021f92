"""The demo: the truth it draws, how it scores alerts against it, and a small run from its seed to its table."""
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli.test_cli import python, streamrnn

import streamrnn as sr
from streamrnn.cli.demo import plan, score, view
from streamrnn.cli.demo.tally import Latencies, Tally
from streamrnn.detect import plant
from streamrnn.detect.plant import Fault

FAULTS = (Fault("leak", 0, 100, 50), Fault("dropout", 1, 500, 20, sensor="flow"))


def event(machine, start, end):
    return score.Event(machine, start, end, "level", (("flow", 1.0),))


def judged(*events):
    return score.judged(list(events), FAULTS, machines=3, rows=1000)


# -- what is drawn -----------------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_faults_and_readings():
    one, same, other = (plan.drawn(seed, 6, 5) for seed in (1, 1, 2))
    assert one == same
    assert one.faults != other.faults
    for first, second in zip(one.readings(), same.readings(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_histories_are_clean_and_the_stream_goes_on_from_them():
    drawn = plan.drawn(3, 10, 12)
    histories, rows = drawn.readings()
    assert histories.shape == (plan.TAUGHT, plan.HISTORY, 8) and rows.shape == (10, 720, 8)
    clean = plant.simulate(plan.HISTORY + 720, machine=2, seed=3)[0]
    np.testing.assert_array_equal(histories[2], clean[:plan.HISTORY])
    for machine in range(10):
        own = [fault.start for fault in drawn.faults if fault.machine == machine]
        until = min(own, default=720)
        clean = plant.simulate(plan.HISTORY + 720, machine=machine, seed=3)[0][plan.HISTORY:]
        np.testing.assert_array_equal(rows[machine, :until], clean[:until])


def test_there_is_a_fault_for_every_two_machines_and_each_kind_in_turn():
    faults = plan.drawn(0, 24, 36).faults
    assert sorted(fault.kind for fault in faults) == sorted(plant.KINDS * 2)
    assert all(plan.SETTLE <= fault.start < fault.start + fault.rows <= 36 * 60 for fault in faults)


def test_rows_and_times_are_each_others_inverse():
    drawn = plan.drawn(0, 2, 2)
    assert [drawn.row(drawn.time(row)) for row in (0, 1, 119)] == [0, 1, 119]
    assert drawn.clock(61) == "Thu 13:01"


# -- how it is scored --------------------------------------------------------------------------------------------------------


def test_an_event_that_begins_during_a_fault_finds_it():
    outcome = judged(event(0, 100, 101), event(0, 149, 400))
    assert outcome.found == [(FAULTS[0], event(0, 100, 101)), (FAULTS[1], None)]
    assert (len(outcome.within), len(outcome.after), len(outcome.false)) == (2, 0, 0)


def test_an_event_after_a_fault_is_neither_found_nor_false_for_a_while():
    outcome = judged(event(0, 150, 151), event(0, 150 + score.TAIL - 1, 600), event(0, 150 + score.TAIL, 600))
    assert (len(outcome.within), len(outcome.after), len(outcome.false)) == (0, 2, 1)
    assert not any(found for _, found in outcome.found)


def test_an_event_before_a_fault_or_on_another_machine_is_false():
    outcome = judged(event(0, 99, 140), event(2, 120, 130), event(1, 120, 130))
    assert len(outcome.false) == 3
    assert not any(found for _, found in outcome.found)


def test_clean_rows_leave_out_faults_and_tails():
    assert judged().clean == 3 * 1000 - (50 + score.TAIL) - (20 + score.TAIL)
    late = (Fault("leak", 0, 900, 90), Fault("leak", 0, 700, 100))
    assert score.clean_rows(late, 1, 1000) == 700


# -- what comes --------------------------------------------------------------------------------------------------------------


def result(alert, blame=(0.2, 0.75, 0.05)):
    return SimpleNamespace(score=1.5 if alert else 0.1, alert=alert, cause="level", expected=np.zeros(3), spread=np.ones(3),
                           blame=np.array(blame))


def test_alerts_become_events_across_short_pauses():
    tally = Tally(2, 40, ("a", "b", "c"))
    alerts = {2, 3, 3 + score.JOIN, 3 + 2 * score.JOIN + 2}
    for row in range(40):
        for machine in range(2):
            tally.take(machine, row, result(machine == 1 and row in alerts), 0, 1000)
    assert [(one.machine, one.start, one.end) for one in tally.events] == [(1, 2, 4 + score.JOIN), (1, 25, 26)]
    assert tally.events[0].cause == "level"
    assert tally.events[0].blamed == (("b", 0.75), ("a", 0.2))
    assert tally.whole and tally.row == 39 and tally.number == 80


def test_latencies_are_right_to_a_percent():
    latencies, durations = Latencies(), np.random.default_rng(0).integers(1000, 10**7, 5000).tolist()
    latencies.add(durations)
    for share in (50, 99):
        assert latencies.percentile(share) == pytest.approx(np.percentile(durations, share), rel=0.02)


@pytest.mark.parametrize(("share", "bar"), [(0, "     "), (0.1, "▌    "), (0.5, "██▌  "), (1, "█████"), (7, "█████"), (-1, "     ")])
def test_a_bar_is_always_as_wide(share, bar):
    assert view._bar(share) == bar


def test_the_live_view_fits_a_small_terminal():
    from rich.console import Console

    drawn = plan.drawn(1, 24, 4)
    tally = Tally(24, drawn.rows, plant.SENSORS)
    for width in (80, 140):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(view.panel(drawn, tally, width, 24))
        lines = console.export_text().splitlines()
        assert len(lines) <= 23 and max(map(len, lines)) <= width
        assert all(plan.name(machine) in "".join(lines) for machine in range(24))


# -- all of it ---------------------------------------------------------------------------------------------------------------


def test_a_small_run_ends_and_its_numbers_add_up(tmp_path):
    small = "demo", "--machines", "4", "--hours", "5", "--speed", "1e9", "--seed", "7", "--no-picture", "-o", tmp_path
    runs = [streamrnn(*small) for _ in range(2)]
    for run in runs:
        assert run.returncode == 0, run.stderr
        assert run.stderr == ""
    out = runs[0].stdout
    assert "seed 7" in out
    assert (tmp_path / "detector.safetensors").exists()
    assert not (tmp_path / "demo.png").exists()

    table = [line for line in out.splitlines() if re.match(r"pump-\d\d ", line)]
    assert [line.split()[0] for line in table] == [plan.name(fault.machine) for fault in plan.drawn(7, 4, 5).faults]
    missed = sum("missed" in line for line in table)
    found, faults = map(int, re.search(r"^(\d+) of (\d+) faults found", out, re.M).groups())
    assert (found + missed, faults) == (len(table), 2)
    total = re.search(r"(\d+) alerts? in all: (\d+) during faults, (\d+) false, (\d+) neither", out)
    every, within, false, neither = map(int, total.groups())
    assert every == within + false + neither == len(re.findall(r"in truth: ", out))
    assert re.search(rf"^{false} false alarm", out, re.M)
    assert within >= found
    assert re.search(rf"^{4 * 300:,} rows in ", out, re.M) and "never came" not in out
    assert [line for line in runs[1].stdout.splitlines() if re.match(r"pump-\d\d ", line)] == table


def test_a_producer_needs_no_compiler():
    done = python("-c", "import sys, streamrnn.cli.demo.producer, streamrnn.clients.producer\n"
                        "print([name for name in ('numba', 'llvmlite', 'rich', 'safetensors') if name in sys.modules])")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


WRONG = ("--hours", "0.5"), ("--hours", "nan"), ("--speed", "0"), ("--machines", "0"), ("--seed", "-1")


@pytest.mark.parametrize("wrong", WRONG, ids=" ".join)
def test_wrong_options_are_refused_in_a_line(wrong):
    done = streamrnn("demo", *wrong)
    assert done.returncode == 2
    assert wrong[0] in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_without_matplotlib_the_demo_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    from rich.console import Console

    from streamrnn.cli.demo import picture
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    picture.told(Console(), plan.drawn(1, 2, 2), None, None, SimpleNamespace(found=[None]), tmp_path / "demo.png")
    assert "pip install 'streamrnn[plot]'" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_it_and_leaves_no_process(tmp_path):
    command = sys.executable, "-m", "streamrnn", "demo", "--machines", "4", "--seed", "1", "-o", tmp_path
    environment = os.environ | {"PYTHONPATH": str(Path(sr.__file__).parents[1])}
    running = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=environment)
    for line in running.stdout:
        if "producer processes" in line:
            break
    time.sleep(2)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert errors.strip() == "stopped"
    end = time.monotonic() + 10
    while time.monotonic() < end:  # multiprocessing's own helper ends a little later
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("processes are left")
