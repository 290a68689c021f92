"""What a training went through, epoch by epoch."""
from dataclasses import asdict, dataclass, field

from streamrnn.errors import MissingExtra


@dataclass
class History:
    """How a training went; lists have a value an epoch.

    loss, validation  the mean over the epoch's steps, and after it over what was held back (empty without validation)
    rate, norm        the last learning rate, and the largest norm of a gradient before it was clipped
    seconds           what the epoch took
    best              the epoch whose weights the model has, counted from 0
    stopped           why it ended: "epochs" (all were done), "patience", "callback" or "interrupted"
    memory            what the tapes took, in words
    warnings          those of the gradient's flow, in words
    """
    loss: list = field(default_factory=list)         # mean over the epoch, while the weights changed
    validation: list = field(default_factory=list)
    rate: list = field(default_factory=list)         # of the last step
    norm: list = field(default_factory=list)         # largest gradient norm before clipping
    seconds: list = field(default_factory=list)
    best: int | None = None
    stopped: str = ""
    memory: str = ""
    warnings: list = field(default_factory=list)

    @property
    def epochs(self):
        """How many were gone through."""
        return len(self.loss)

    def config(self):
        """As plain values: what a checkpoint carries."""
        return asdict(self)

    def __repr__(self):
        if not self.loss:
            return "<History: nothing done yet>"
        validation = f", validation {self.validation[-1]:.4g}" if self.validation else ""
        best = "" if self.best is None else f", weights of epoch {self.best + 1}"
        return (f"<History: {self.epochs} epochs ({self.stopped or 'running'}), loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}"
                f"{validation}{best}{''.join(f'; {warning}' for warning in self.warnings)}>")

    def plot(self, path=None):
        """Loss, rate and gradient norm by epoch (matplotlib); written to `path` if given, else the figure is answered."""
        pyplot = matplotlib()
        figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 5), height_ratios=(2, 1), layout="constrained")
        epochs, dot = range(1, self.epochs + 1), "." if self.epochs == 1 else None
        above.plot(epochs, self.loss, label="training", color="tab:blue", marker=dot)
        if self.validation:
            above.plot(epochs, self.validation, label="validation", color="tab:orange", marker=dot)
        if self.best is not None:
            above.axvline(self.best + 1, color="0.6", linestyle=":", label=f"weights of epoch {self.best + 1}")
        if min(self.loss + self.validation, default=0) > 0:
            above.set_yscale("log")
        above.set_ylabel("loss")
        above.legend(frameon=False)
        below.plot(epochs, self.norm, color="tab:green", label="largest gradient norm", marker=dot)
        below.plot(epochs, self.rate, color="0.4", label="learning rate", marker=dot)
        if min(self.norm + self.rate, default=0) > 0:
            below.set_yscale("log")
        below.set_xlabel("epoch")
        below.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        below.legend(frameon=False)
        return finished(figure, path)


def matplotlib():
    """pyplot, or how to get it."""
    try:
        import matplotlib.pyplot as pyplot
    except ImportError:
        raise MissingExtra("drawing needs matplotlib: pip install 'streamrnn[plot]'") from None
    return pyplot


def finished(figure, path, dpi=150):
    if path is None:
        return figure
    figure.savefig(path, dpi=dpi)
    matplotlib().close(figure)
    return None
