"""A pipe: batches of samples of the same streams go down while others are worked on and results come up.

Two batches may be under way. Each has pinned memory for samples and results, arrays on the device, and its own word on which
sample was refused; copies down, steps and copies up have a queue each.
"""
from collections import deque
from dataclasses import dataclass

import numpy as np

from streamrnn.cuda import device
from streamrnn.cuda.step import FINE
from streamrnn.errors import InputError
from streamrnn.streams import samples

DEPTH = 2


@dataclass
class _Batch:
    x: np.ndarray
    y: np.ndarray
    wrong: np.ndarray
    there: tuple           # x, y, wrong on the device
    come: object           # events: samples are down and looked at, steps are done, results are up
    stepped: object
    back: object


class Pipe:
    """pipe.room() is pinned memory for a batch (n, inputs); fill it, `send()`, and `receive()` results in the order of sending.

    A batch with a sample that would be refused steps nothing, and `receive` says so; batches sent after it are stepped all the same.
    Results are valid until the next but one `send`.
    """

    def __init__(self, rows, handles, touch=None):
        cuda = device.require()
        self._rows, self._touch = rows, touch
        self._count, self._inputs = len(handles), rows.plan.inputs
        self._handles = handles
        self._lengths = device.upload(np.ones(self._count, np.int64))
        self._down, self._work, self._up = cuda.stream(), cuda.stream(), cuda.stream()
        self._idle = deque(self._made(cuda) for _ in range(DEPTH))
        self._under_way = deque()

    def _made(self, cuda):
        shapes = (self._count, 1, self._inputs), (self._count, 1, self._rows.plan.outputs)
        there = *(device.array(shape) for shape in shapes), device.upload(np.array([FINE]))
        return _Batch(*(device.pinned(shape) for shape in shapes), device.pinned(1, np.int64), there,
                      *(cuda.event() for _ in range(3)))

    def room(self):
        """Where the next batch's samples go: float32 (n, inputs)."""
        if not self._idle:
            raise InputError(f"{DEPTH} batches are under way: receive() one first")
        return self._idle[0].x[:, 0]

    def send(self, x=None):
        """Have the batch in `room()` stepped, or this one (n, inputs), which is copied there."""
        room = self.room()
        if x is not None:
            x = samples.as_float32(x)
            if x.shape != room.shape:
                raise InputError(f"a batch of this pipe has shape {room.shape}, got {x.shape}")
            room[:] = x
        slots = self._rows.slots(self._handles)
        batch = self._idle.popleft()
        x, y, wrong = batch.there
        x.copy_to_device(batch.x, stream=self._down)
        self._rows.look(x, self._lengths, wrong, self._down)
        batch.come.record(self._down)
        batch.come.wait(self._work)
        self._rows.launch(slots, x, y, self._lengths, wrong, self._work)
        batch.stepped.record(self._work)
        batch.stepped.wait(self._up)
        y.copy_to_host(batch.y, stream=self._up)
        wrong.copy_to_host(batch.wrong, stream=self._up)
        batch.back.record(self._up)
        self._under_way.append(batch)
        if self._touch:
            self._touch()

    def receive(self):
        """Results (n, outputs) of the oldest batch under way, in pinned memory."""
        if not self._under_way:
            raise InputError("no batch is under way: send() one first")
        batch = self._under_way.popleft()
        batch.back.synchronize()
        self._idle.append(batch)
        if batch.wrong[0] != FINE:
            batch.there[2].copy_to_device(np.array([FINE]))
            samples.refuse_value(batch.x[batch.wrong[0], 0], self._rows.plan.vocabulary, f"[{batch.wrong[0]}]")
        return batch.y[:, 0]

    def __len__(self):
        """Batches under way."""
        return len(self._under_way)
