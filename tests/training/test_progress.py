"""What a training shows: nothing where nobody looks, a bar and a line for tenths of the epochs where somebody does."""
import re

import pytest
from learning import bits, course, echoes, small
from rich.console import Console

from streamrnn import SGD, Diverged, fit
from streamrnn.training.progress import Bar, Silent, display


def shown(rng, capsys, **options):
    model = small()
    history = fit(model, *echoes(rng), **options)
    return model, history, capsys.readouterr()


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_is_written_where_there_is_no_terminal(progress, rng, capsys):
    _, _, output = shown(rng, capsys, epochs=3, progress=progress)
    assert output.out == output.err == ""


def test_tenths_of_the_epochs_have_a_line(rng, capsys):
    _, history, output = shown(rng, capsys, epochs=40, progress=True, validation=0.2, batch=8)
    lines = re.findall(r"epoch +(\d+): loss (\S+), validation (\S+)  \([\d.]+ s\)", output.out)
    assert [int(line[0]) for line in lines] == [1, *range(4, 41, 4)]
    assert lines[-1][1:] == (f"{history.loss[-1]:.4g}", f"{history.validation[-1]:.4g}") and "memory: " in output.out


def test_looking_changes_nothing(rng):
    x, y = echoes(rng)
    seen, unseen = small(), small()
    assert course(fit(seen, x, y, epochs=3, progress=True)) == course(fit(unseen, x, y, epochs=3, progress=False))
    assert bits(seen) == bits(unseen)


def test_the_bar_is_taken_down_when_a_training_fails(rng, capsys):
    def broken(y, target):
        raise KeyError("mine")
    for options in ({"loss": broken}, {"on_epoch": broken}):
        with pytest.raises((KeyError, TypeError)):
            fit(small(), *echoes(rng), progress=True, **options)
    with pytest.raises(Diverged):
        fit(small(), *echoes(rng), optimizer=SGD(1e38), progress=True, epochs=5)
    fit(small(), *echoes(rng), progress=True, epochs=1)  # two bars at once would be refused by rich


def test_a_terminal_has_a_bar_with_loss_rate_and_time_left(rng, monkeypatch):
    monkeypatch.setattr("rich.console.Console", lambda: console)
    console = Console(force_terminal=True, width=120, record=True, color_system=None)
    fit(small(), *echoes(rng, count=60), batch=4, epochs=60, validation=0.2)
    text = console.export_text()
    assert isinstance(display(None), Bar) and isinstance(display(False), Silent)
    assert re.search(r"epoch\s+\d+/60|epoch 60", text) and "memory: " in text
