"""A process that streams some machines' rows to the server, no faster than it is told.

It shares two arrays with the demo, files in a folder: rows.npy (machines, rows, sensors), and sent.npy (machines, rows), where
it notes when each row was handed to the producer, in nanoseconds of the clock that all processes of a machine share.
"""
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

AHEAD = 8   # rows of a machine that may wait to be answered


@dataclass(frozen=True)
class Task:
    """`times`: of the first row, and seconds from one to the next; `rate`: rows of each machine a second, at most."""
    endpoint: str
    folder: Path
    machines: dict    # {id: place in the arrays}
    times: tuple
    rate: float


def stream(task, together):
    """`together`: a barrier, so that all producers and the demo begin at once."""
    import numpy as np

    from streamrnn.clients.producer import Producer

    rows, sent = np.load(task.folder / "rows.npy", mmap_mode="r"), np.load(task.folder / "sent.npy", mmap_mode="r+")
    parent = multiprocessing.parent_process()
    most = AHEAD * len(task.machines)
    with Producer(task.endpoint, on_result=lambda result: None, buffer=2 * most, window=AHEAD, timeout=30) as producer:
        producer.begin(list(task.machines))
        together.wait(60)
        began = time.perf_counter()
        for row in range(rows.shape[1]):
            producer.poll(max(0.0, began + row / task.rate - time.perf_counter()))
            while producer.waiting + len(task.machines) > most:
                producer.poll(0.001)
                if not parent.is_alive():
                    return
            for id, place in task.machines.items():
                sent[place, row] = time.perf_counter_ns()
                producer.send(id, rows[place, row], task.times[0] + row * task.times[1])
