"""Which device: measured on this machine, with this very model. Both are timed at two numbers of streams; a line through them says
where they cross."""
import time
from dataclasses import dataclass

import numpy as np

from streamrnn.cuda import device
from streamrnn.errors import MissingExtra, NoDevice
from streamrnn.streams.rows import Rows

FEW, MANY, ROUNDS = 256, 16_384, 5


@dataclass(frozen=True)
class Cost:
    """Seconds of a batch: `call` and `stream` for each of its streams."""
    call: float
    stream: float

    def of(self, count):
        return self.call + self.stream * count


def choose(packed, count, threads):
    """("cpu" or "cuda", why)."""
    try:
        device.require()
    except (MissingExtra, NoDevice) as error:
        return "cpu", str(error).partition(". ")[0]
    if count is None:
        return "cpu", "no capacity was given, so nobody knows how many streams there will be"
    from streamrnn.cuda.rows import CudaRows  # there is a GPU: what it takes is installed

    cpu, gpu = measured(Rows(packed, threads=threads)), measured(CudaRows(packed))
    found = "cuda" if gpu.of(count) < cpu.of(count) else "cpu"
    return found, (f"measured here, a batch of {count:,} streams takes {cpu.of(count) * 1e6:,.0f} us on the CPU with {threads} "
                   f"thread(s) and {gpu.of(count) * 1e6:,.0f} us on {device.name()}; {crossing(cpu, gpu)}")


def crossing(cpu, gpu):
    """From how many streams on the GPU is faster, in words."""
    if cpu.stream <= gpu.stream:
        return "the GPU is never faster" if gpu.call >= cpu.call else "the GPU is faster for small batches only"
    return f"they cross at {max(0, int((gpu.call - cpu.call) / (cpu.stream - gpu.stream))):,} streams"


def measured(rows):
    handles = np.array([rows.open() for _ in range(MANY)], np.int64)
    times = []
    for part in (handles[:FEW], handles):
        x = np.zeros((len(part), 1, rows.plan.inputs), np.float32)
        rows.steps(part, x)
        times.append(min(_timed(rows, part, x) for _ in range(ROUNDS)))
    slope = max(0.0, times[1] - times[0]) / (MANY - FEW)
    return Cost(max(0.0, times[0] - slope * FEW), slope)


def _timed(rows, handles, x):
    start = time.perf_counter()
    rows.steps(handles, x)
    return time.perf_counter() - start
