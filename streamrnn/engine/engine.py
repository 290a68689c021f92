"""Engine: many named streams of one model."""
import time
from collections.abc import Iterable
from threading import RLock

import numpy as np

from streamrnn.engine import snapshot
from streamrnn.engine.group import Group
from streamrnn.engine.ids import checked, possible
from streamrnn.errors import ConfigError, InputError, UnknownStream
from streamrnn.model.model import Model
from streamrnn.streams import places, samples
from streamrnn.streams.state import check_row, copy_row
from streamrnn.streams.stream import Stream


class Engine:
    """Streams by id, each with its own state; an id's first step opens it, from zeros.

    Engine(model, capacity=100_000, threads=2, ttl=3600, on_evict=print)

    capacity   most streams at once; None: as many as memory holds. Memory is taken as streams come, and never moves.
    threads    how many share a `step_many`, on the CPU
    device     "cpu"; "cuda": rows and weights lie on the GPU, samples go down and results come up, with the same bits (docs/cuda.md);
               "auto": whichever a short measurement finds faster for `capacity` streams at once, and repr says why
    ttl        seconds without a sample after which a stream is closed, with on_evict(id, last state); None: never

    Ids are strings of at most 64 bytes in UTF-8, or whole numbers. Threads: a single `step` is atomic, so any thread may
    call it; while `step_many` runs in one thread, every other call raises EngineBusy. Nothing races silently.
    """

    def __init__(self, model, capacity=None, *, device="cpu", threads=1, ttl=None, on_evict=None, clock=time.monotonic):
        if not isinstance(model, Model):
            raise ConfigError(f"an engine needs a Model, got {model!r}: load one with streamrnn.load(path)")
        places.checked(device)
        if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not ttl > 0):
            raise ConfigError(f"ttl must be seconds above 0, or None to keep streams for ever; got {ttl!r}")
        self._rows, self._why = places.rows_on(device, model.packed, _checked_capacity(capacity), threads)
        self.model, self.ttl, self.on_evict = model, ttl, on_evict
        self.evicted = 0
        self._clock = clock
        self._opening = RLock()            # two threads may open the same id at once: it is opened once
        self._handles = {}                 # id -> handle
        self._seen = {}                    # id -> when its last sample came, if there is a ttl
        self._next_sweep = clock() + ttl if ttl else float("inf")
        self._batch = None                 # the last batch of ids as a group: batches tend to repeat

    # -- stepping -------------------------------------------------------------------------------------------------------

    def step(self, id, x):
        """One sample of one stream -> its result (outputs,)."""
        try:
            handle = self._handles.get(id)
        except TypeError:
            handle = None
        if handle is None or self.ttl:
            return self._first_step(id, x)
        return self._rows.step(handle, x)

    def _first_step(self, id, x):
        """A step that opens the stream if it is new; a refused sample leaves no stream behind."""
        known = id in self
        if not known:
            samples.sample(x, self.model.inputs)
        handle = self._open(id)
        try:
            y = self._rows.step(handle, x)
        except BaseException:
            if not known:
                self._forget([id])
            raise
        self._touch([id])
        return y

    def _forget(self, ids):
        """Undo an opening, whoever is stepping meanwhile."""
        for id in ids:
            self._drop(id, wait=True)

    def _drop(self, id, wait=False):
        with self._opening:
            self._rows.close(self._handle(id), wait)
            del self._handles[id]
            self._seen.pop(id, None)
            self._batch = None

    def step_many(self, ids, x, out=None):
        """One sample for each id, (n, inputs) -> (n, outputs); an id that comes twice is stepped twice, in order.

        On a GPU, samples that lie there (anything with __cuda_array_interface__) give results there, in `out` (n, outputs) if given.
        For batches of many thousand ids in ever new orders, look them up once: `engine.group(ids)`, and pass groups.
        """
        x = self._rows.taken(x)
        if x.ndim != 2 or x.shape[1] != self.model.inputs:
            raise InputError(f"x must be one sample a row, shape (n, {self.model.inputs}); got shape {x.shape}")
        opened = []
        group = self._resolve(ids, opened)
        handles, distinct = group.handles, group.distinct
        try:
            if len(handles) != len(x):
                raise InputError(f"{len(handles)} ids for {len(x)} rows of x: each row needs its stream")
            y = self._rows.steps(handles, x.reshape(len(x), 1, self.model.inputs), distinct=distinct, **self._rows.into(out, len(x)))
        except BaseException:
            self._forget(opened)
            raise
        self._touch(group.ids)
        return y.reshape(len(x), self.model.outputs)

    def group(self, ids):
        """The streams of these ids, looked up (or opened) once: what step_many takes instead of ids, at no cost a call."""
        group = self._resolve(ids, [])
        self._touch(group.ids)
        return group

    def pipe(self, group):
        """On a GPU: a Pipe for batches of this group, whose copies go beside the steps (cuda.pipe)."""
        if self.device != "cuda":
            raise ConfigError("a pipe hides the copies to and from a GPU: this engine is on the CPU, use step_many")
        from streamrnn.cuda.pipe import Pipe

        group = self._resolve(group, [])
        if not group.distinct:
            raise InputError("the streams of a pipe must all be different")
        return Pipe(self._rows, group.handles, lambda: self._touch(group.ids))

    def _resolve(self, ids, opened):
        """The group of a batch of ids; new ones are opened and noted in `opened`."""
        if type(ids) is Group:
            if ids.engine is not self:
                raise InputError("this group belongs to another engine: make one with this engine's group(ids)")
            return ids
        if type(ids) is list and self._batch is not None and self._batch.names(ids):
            return self._batch
        self._sweep()
        if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
            raise InputError(f"ids must be a list of stream ids, got {ids!r}")
        ids = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        handles = list(map(self._handles.get, ids)) if all(map(possible, ids)) else [None] * len(ids)
        if None in handles:
            try:
                for n, handle in enumerate(handles):
                    if handle is None:
                        new = ids[n] not in self
                        handles[n] = self._open_now(ids[n])
                        if new:
                            opened.append(ids[n])
            except BaseException:
                self._forget(opened)
                raise
        self._batch = Group(self, ids, np.array(handles, np.int64), len(set(handles)) == len(handles))
        return self._batch

    def _open(self, id):
        self._sweep()
        return self._open_now(id)

    def _open_now(self, id):
        handle = self._handles.get(id) if possible(id) else None
        if handle is None:
            id = checked(id)
            with self._opening:
                handle = self._handles.get(id)
                if handle is None:
                    handle = self._handles[id] = self._rows.open()
        return handle

    # -- one stream -----------------------------------------------------------------------------------------------------

    def _handle(self, id):
        handle = self._handles.get(id) if possible(id) else None
        if handle is None:
            raise UnknownStream(f"no stream {id!r} in this engine: its first step opens it")
        return handle

    def stream(self, id):
        """A Stream bound to this id, opened if it is new; it stops working when the id is closed."""
        touch = (lambda: self._touch([id])) if self.ttl else None
        stream = Stream(self._rows, self._open(id), touch)
        self._touch([id])
        return stream

    def reset(self, id):
        """Back to the zero state."""
        self._rows.clear(self._handle(id))

    def close(self, id):
        """Forget the stream and free its slot."""
        self._drop(id)

    def state(self, id):
        """A copy of the stream's state; its parts by name: engine.state(id)["layers.0.h"]."""
        return copy_row(self._rows, self._handle(id))

    def set_state(self, id, row):
        """Give a stream a state that `state` gave, of this or another stream; opens the id if it is new."""
        values = check_row(self.model.packed.plan, row)
        self._rows.write(self._open(id), values)
        self._touch([id])

    def fork(self, id, new):
        """A new stream that starts from a copy of another's state."""
        if possible(new) and new in self._handles:
            raise InputError(f"stream {new!r} is already open: close it first, or copy with set_state")
        self.set_state(new, self.state(id))

    # -- all of them ----------------------------------------------------------------------------------------------------

    @property
    def device(self):
        """"cpu" or "cuda"."""
        return self._rows.device

    @property
    def ids(self):
        """The ids of all open streams, oldest first."""
        return list(self._handles)

    def __len__(self):
        return len(self._handles)

    def __contains__(self, id):
        return possible(id) and id in self._handles

    @property
    def capacity(self):
        """The most streams at once; may be changed, but not to fewer than are open."""
        return self._rows.capacity

    @capacity.setter
    def capacity(self, capacity):
        capacity = _checked_capacity(capacity)
        if capacity is not None and capacity < len(self):
            raise ConfigError(f"{len(self):,} streams are open: the capacity cannot drop to {capacity:,}")
        self._rows.capacity = capacity

    def snapshot(self, path):
        """Write every stream's state to a SQLite file, all of it or nothing; a former snapshot there is replaced."""
        snapshot.write(path, self.model, zip(self._handles, self._rows.read_all(self._handles.values()), strict=True))

    @classmethod
    def restore(cls, path, model, *, keep=False, **options):
        """An engine that goes on where a snapshot was taken: the same outputs, bit for bit.

        The snapshot must be of this very model; `keep=True` also takes one of the same layers with other weights.
        """
        rows = snapshot.read(path, model, keep)
        engine = cls(model, **options)
        engine._rows.write_all([engine._open(id) for id, _ in rows], [row for _, row in rows])
        engine._touch(engine.ids)
        return engine

    def __repr__(self):
        capacity = "no limit" if self.capacity is None else f"capacity {self.capacity:,}"
        ttl = f", ttl {self.ttl} s, {self.evicted:,} evicted" if self.ttl else ""
        where = self.device + (f" ({self._why})" if self._why else "")
        return f"<Engine: {len(self):,} streams, {capacity}{ttl}, {self._rows.threads} thread(s), {where}; {self.model!r}>"

    # -- time to live ---------------------------------------------------------------------------------------------------

    def _touch(self, ids):
        if self.ttl:
            self._seen.update(dict.fromkeys(ids, self._clock()))
            self._sweep()

    def _sweep(self):
        """Close what has been idle for the time to live, and say so; looks once in an eighth of it, or when full."""
        if not self.ttl:
            return
        now, full = self._clock(), self.capacity is not None and len(self) >= self.capacity
        if now < self._next_sweep and not full:
            return
        self._next_sweep = now + self.ttl / 8
        for id in [id for id, seen in self._seen.items() if now - seen >= self.ttl]:
            if now - self._seen.get(id, now) < self.ttl:
                continue  # a callback closed it, or stepped it
            last = self.state(id)
            self.close(id)
            self.evicted += 1
            if self.on_evict:
                self.on_evict(id, last)


def _checked_capacity(capacity):
    if capacity is not None and (isinstance(capacity, bool) or not isinstance(capacity, (int, np.integer)) or capacity < 1):
        raise ConfigError(f"capacity must be a whole number of 1 or more, or None for no limit; got {capacity!r}")
    return None if capacity is None else int(capacity)
