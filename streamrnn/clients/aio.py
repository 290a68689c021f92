"""The clients for asyncio: the same names and arguments, `async` where something is waited for."""
import asyncio
import time

import numpy as np
import zmq
import zmq.asyncio

from streamrnn.clients import wire
from streamrnn.clients.consumer import Consumer
from streamrnn.clients.producer import TICK, Producer
from streamrnn.clients.requests import Requests, silent
from streamrnn.clients.sockets import opened
from streamrnn.errors import TimedOut


class AsyncClient:
    """`result = await client.step("pump-7", x)`; many at once with asyncio.gather. See Client."""

    def __init__(self, endpoint, timeout=5.0, *, server_key=None, key=None, context=None):
        self.endpoint, self.timeout = endpoint, timeout
        self._context = zmq.asyncio.Context.instance() if context is None else context
        self._socket = opened(self._context, zmq.DEALER, endpoint, server_key, key)
        self._requests, self._reader = Requests(), None

    async def step(self, stream, x, seq=None, t=None, model=None):
        """One sample -> its Result."""
        return await self._ask(lambda tag: wire.sample(stream, x, seq, t, model, tag=tag))

    async def step_many(self, streams, x, seqs=None, t=None, model=None):
        """One sample for each stream, (n, inputs) -> (n, outputs)."""
        x = np.asarray(x, np.float32)
        cut = lambda values, piece: None if values is None else values[piece]
        parts = [self._ask(lambda tag, p=piece: wire.block(streams[p], x[p], cut(seqs, p), cut(t, p), model, tag=tag))
                 for piece in wire.pieces(len(streams), x.shape[-1], streams)]
        return np.concatenate([part.y for part in await asyncio.gather(*parts)])

    async def ping(self):
        """The server's epoch."""
        return (await self._control("ping"))["epoch"]

    async def info(self):
        """What is served: models, limits, version, in plain values."""
        return await self._control("info")

    async def stats(self):
        """The server's counters and latencies, in plain values."""
        return await self._control("stats")

    async def resume(self, streams, model=None):
        """{"durable": {id: seq}, "last": {id: seq}, "store": bool}"""
        return await self._control("resume", streams=list(streams), model=model)

    async def reset(self, stream, model=None):
        """The stream goes back to the zero state."""
        await self._control("reset", stream=stream, model=model)

    async def close_stream(self, stream, model=None):
        """The server forgets the stream."""
        await self._control("close", stream=stream, model=model)

    async def snapshot(self, timeout=60.0):
        """Return when all that was stepped before is durable; how many streams there are."""
        return (await self._control("snapshot", timeout))["streams"]

    async def swap(self, path, of=None, state="keep", timeout=60.0):
        """Serve another model from now on. See Client.swap."""
        return await self._control("swap", timeout, model=path, of=of, state=state)

    def _control(self, op, timeout=None, **more):
        return self._ask(lambda tag: wire.control(op, tag=tag, **more), timeout)

    async def _ask(self, frame_of, timeout=None):
        if self._reader is None or self._reader.done():
            self._reader = asyncio.ensure_future(self._read())
        timeout = self.timeout if timeout is None else timeout
        future = asyncio.get_running_loop().create_future()
        tag = self._requests.tag(future)
        try:
            await self._socket.send(frame_of(tag))
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise TimedOut(silent(self.endpoint, timeout)) from None
        finally:
            self._requests.waiting.pop(tag, None)

    async def _read(self):
        while True:
            answered = self._requests.answered(await self._socket.recv())
            if answered is None or answered[0].done():
                continue
            future, value = answered
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)

    async def close(self):
        """Hang up; also at the end of an `async with`."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._socket.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()


class AsyncProducer:
    """`seq = await producer.send("pump-7", x)`; results come to `on_result`, or out of `results()`. See Producer.

    A task of its own keeps it going between your calls.
    """

    def __init__(self, endpoint, **options):
        self._producer = Producer(endpoint, **options)
        self._task = None

    async def begin(self, streams, answered=None):
        """See Producer.begin."""
        self._keep_going()
        session, outbox = self._producer._session, self._producer._outbox
        streams = [stream for stream in streams if stream not in outbox]
        session.places, end, asked_on = {}, time.monotonic() + self._producer.timeout, None
        while not session.places.keys() >= set(streams):
            if time.monotonic() > end:
                raise TimedOut(silent(self._producer.endpoint, self._producer.timeout))
            if session.open and asked_on != self._producer.connections:
                asked_on = self._producer.connections
                self._producer._send_all(session.ask_for(streams))
            await self._turn()
        known = answered or {}
        return {stream: outbox.know(stream, session.places[stream], known.get(stream)) for stream in streams}

    async def send(self, stream, x, t=None):
        """A sample; its seq."""
        outbox = self._producer._outbox
        if stream not in outbox:
            await self.begin([stream])
        while outbox.count >= outbox.capacity and self._producer.when_full == "block":
            await self._turn()
        self._keep_going()
        seq = self._producer.send(stream, x, t)
        await asyncio.sleep(0)
        return seq

    async def flush(self, timeout=None, durable=False):
        """Until everything is answered (and durable)."""
        end = None if timeout is None else time.monotonic() + timeout
        outbox = self._producer._outbox
        while outbox.unanswered or (durable and outbox.not_durable()):
            if end is not None and time.monotonic() > end:
                raise TimedOut(
                    f"{outbox.unanswered:,} samples are unanswered after {timeout:g} s: " + silent(self._producer.endpoint, timeout)
                )
            await self._turn()

    def results(self):
        """New results, in order for each stream, each exactly once."""
        return self._producer.results()

    gaps = property(lambda self: self._producer.gaps)
    lost = property(lambda self: self._producer.lost)
    refused = property(lambda self: self._producer.refused)
    waiting = property(lambda self: self._producer.waiting)

    def _keep_going(self):
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def _run(self):
        while True:
            await self._turn()

    async def _turn(self):
        """Work without waiting, then let others work: at once if something is under way, else after a moment."""
        self._producer._work(0)
        await asyncio.sleep(0.0005 if self._producer._outbox.unanswered else TICK / 5)

    async def close(self):
        """Give up what is still waiting; `flush` first to wait for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._producer.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, *_):
        try:
            if kind is None:
                await self.flush(self._producer.timeout)
        finally:
            await self.close()


class AsyncConsumer(Consumer):
    """`async for result in AsyncConsumer(endpoint): ...` See Consumer."""

    def __init__(self, endpoint, streams=None, *, context=None, **options):
        super().__init__(endpoint, streams, context=zmq.asyncio.Context.instance() if context is None else context, **options)

    async def receive(self, timeout=None):
        while await self._socket.poll(None if timeout is None else 1000 * timeout):
            value = self._sorted(*await self._socket.recv_multipart())
            if value is not None:
                return value
        return None

    async def __aiter__(self):
        while (value := await self.receive(self.timeout)) is not None:
            yield value

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()

