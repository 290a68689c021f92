"""What an import came to: which layer came from where, what to know, and the largest difference from the original."""
from dataclasses import dataclass, field


@dataclass
class Report:
    source: str                                              # "ONNX, opset 17, pytorch 2.13"
    layers: list[tuple[str, str, str]] = field(default_factory=list)  # (name here, layer, where it comes from)
    notes: list[str] = field(default_factory=list)
    result: str = "every step"                               # or "last step": model.run(x)[:, -1] is what the original gives
    error: float | None = None                               # largest difference from the original on random probes
    checked: str = "not compared"                            # with what, on what; or why not

    def __str__(self):
        wide = max((len(name) for name, _, _ in self.layers), default=0)
        lines = [f"from {self.source}", *(f"  {name:<{wide}}  {layer}  <- {origin}" for name, layer, origin in self.layers)]
        lines += [f"  note: {note}" for note in self.notes]
        lines.append(f"  result: {self.result}")
        lines.append(f"  largest difference {self.error:.2g}: {self.checked}" if self.error is not None else f"  {self.checked}")
        return "\n".join(lines)
