"""What an import came to: which layer came from where, what to know, and the largest error of the proof."""
from dataclasses import dataclass
from typing import NamedTuple

from streamrnn.model.model import Model


@dataclass(frozen=True)
class Report:
    """`error` is the largest one of the proof, over max(1, what the source gave); None where there was none."""
    source: str                         # "opset 17, pytorch 2.13.0"
    parts: tuple[tuple[str, str], ...]  # (name in the source, our layer)
    notes: tuple[str, ...]              # what changed on the way, and what to know
    error: float | None
    values: int                         # how many results were compared
    unproven: str = ""                  # why not, and what to do
    result: str = "every step"          # or "last step": what the source gives is model.run(x)[:, -1]

    def __str__(self):
        wide = max((len(name) for name, _ in self.parts), default=0)
        lines = [f"{name:<{wide}}  ->  {layer}" for name, layer in self.parts] + [f"note: {words}" for words in self.notes]
        if self.result == "last step":
            lines.append("note: the source gives the last step's result alone: here it is model.run(x)[:, -1]")
        if self.error is None:
            return "\n".join([*lines, f"parity: not proven: {self.unproven}"])
        return "\n".join([*lines, f"parity: largest error {self.error:.1e} over {self.values:,} random results of {self.source}"])


class Imported(NamedTuple):
    """`model, report = sr.from_onnx(path)`"""
    model: Model
    report: Report
