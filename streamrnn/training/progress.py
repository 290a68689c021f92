"""What a training shows while it runs: a bar a terminal can see, or nothing."""
import time

from streamrnn.errors import ConfigError


class Silent:
    def start(self, epochs, updates, memory):
        pass

    def update(self, epoch, done, loss, rate):
        pass

    def epoch(self, history):
        pass

    def say(self, texts):
        pass

    def stop(self):
        pass


class Bar(Silent):
    """One line for the training, with loss, rate and time left; a line behind it for each tenth of the epochs."""

    def __init__(self, console):
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._console = console
        self._progress = Progress(TextColumn("epoch {task.fields[epoch]}"), BarColumn(bar_width=12), TaskProgressColumn(),
                                  TextColumn("loss {task.fields[loss]}{task.fields[validation]}"),
                                  TextColumn("rate {task.fields[rate]}"), TimeRemainingColumn(), TextColumn("left"),
                                  console=console, transient=True)  # 80 columns hold it
        self._shown = 0.0

    def start(self, epochs, updates, memory):
        self._epochs = epochs
        self._console.print(memory, highlight=False)
        self._task = self._progress.add_task("", total=epochs * updates, epoch=f"1/{epochs}", loss="-", validation="", rate="-")
        self._progress.start()

    def update(self, epoch, done, loss, rate):
        if time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            self._progress.update(self._task, completed=done, epoch=f"{epoch + 1}/{self._epochs}", loss=f"{loss:.4g}", rate=f"{rate:.2g}")

    def epoch(self, history):
        n = history.epochs
        validation = f", validation {history.validation[-1]:.4g}" if history.validation else ""
        self._progress.update(self._task, validation=validation.replace("idation", ""))
        if n in (1, self._epochs) or n % max(1, self._epochs // 10) == 0:
            self._console.print(f"epoch {n:>4}: loss {history.loss[-1]:.4g}{validation}  ({history.seconds[-1]:.1f} s)")

    def say(self, texts):
        for text in texts:
            self._console.print(f"warning: {text}", highlight=False)

    def stop(self):
        self._progress.stop()


def display(wanted):
    """None: a bar where the output is a terminal; True or False: as told."""
    if wanted not in (None, True, False):
        raise ConfigError(f"progress must be True, False or None (a bar on a terminal), got {wanted!r}")
    if wanted is False:
        return Silent()
    from rich.console import Console
    console = Console()
    return Bar(console) if wanted or console.is_terminal else Silent()
