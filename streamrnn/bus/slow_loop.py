"""The same rounds over pyzmq, for platforms where libzmq's C functions cannot be called from compiled code.

What is per sample (decode, find, step, encode) is the same compiled code; only messages pass through the interpreter.
"""
import logging
import struct

import zmq

from streamrnn import jit
from streamrnn.bus.core import layout as L
from streamrnn.bus.core.commands import close_if_idle, exchange
from streamrnn.bus.core.save import ENDED, GOES_ON, save
from streamrnn.bus.desk import Entry
from streamrnn.bus.house import ROUND, address
from streamrnn.bus.runner import Runner

LAST_WORDS = 2_000_000
log = logging.getLogger("streamrnn.bus")
_said = False


class PolledRunner(Runner):
    """A tenth of the compiled loop's rate, or less; everything else is equal."""

    def __init__(self, desk, sockets, pipe, keeper, **options):
        super().__init__(desk, sockets, pipe, keeper, **options)
        for kernel in (close_if_idle, exchange):
            jit.ready(kernel)
        global _said
        if not _said:
            log.warning(
                "libzmq's C functions cannot be called from compiled code here: the loop runs over pyzmq, at a fraction of its rate"
            )
            _said = True
        self._poller = zmq.Poller()
        for socket in (
            *(socket for name, socket in sockets.items() if name != "publish"),
            pipe,
            *([keeper] if desk.table[L.KEEPS] else []),
        ):
            self._poller.register(socket, zmq.POLLIN)

    def _run(self):
        table, desk = self.table, self.desk.table
        while True:
            desk[L.NOW] = now = self.desk.now
            got = self._serve_round() if not table[L.STOPPING] or now < table[L.STOPPING] else 0
            self._commands()
            more = self._save_round() if desk[L.KEEPS] else False
            if got or more:
                continue
            if table[L.STOPPING]:
                unsaved = desk[L.KEEPS] and (table[L.SAVING] or self._anything_to_save())
                if not unsaved or now > table[L.STOPPING] + LAST_WORDS:
                    return
                table[L.STOPPING], table[L.NEXT_SAVE] = min(table[L.STOPPING], now), 0
            self._sleep()

    def _serve_round(self):
        got = 0
        for name, origin in (("router", L.ROUTER), ("pull", L.PULL)):
            socket = self.sockets.get(name)
            for _ in range(ROUND // 2 if socket is not None else 0):
                try:
                    parts = socket.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    break
                peer = parts.pop(0) if origin == L.ROUTER else b""
                if peer[:16] == self._secret.tobytes():
                    continue  # a poke: it has woken us
                envelope = origin == L.ROUTER and len(parts) > 1 and not parts[0]
                frames = parts[1:] if envelope else parts
                self.desk.take(frames[0] if frames else b"", peer, origin=origin, envelope=envelope, parts=len(frames))
                got += 1
        for entry in self.desk.answers() if got or self.desk.table[L.HELD_COUNT] else ():
            self._send(entry)
        return got

    def _send(self, entry):
        counters = self.desk.counters
        try:
            if entry.destination == L.PIPE:
                self.pipe.send_multipart([entry.head, b"\0" if entry.between else b"", entry.body], zmq.DONTWAIT)
            elif entry.destination == L.PUB:
                self.sockets["publish"].send_multipart([entry.head, entry.body], zmq.DONTWAIT)
                counters[L.PUBLISHED] += 1
            else:
                self.sockets["router"].send_multipart([entry.head, *([b""] if entry.between else []), entry.body], zmq.DONTWAIT)
                counters[L.REPLIES] += 1
        except zmq.ZMQError as error:
            counters[
                L.PUBLISHED_FULL if entry.destination == L.PUB else L.REPLIES_GONE if error.errno == zmq.EHOSTUNREACH else L.REPLIES_FULL
            ] += 1

    def _commands(self):
        while True:
            try:
                command = self.pipe.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._command(command)

    def _command(self, command):
        head = struct.unpack_from(f"<{min(len(command) // 8, 5)}q", command)
        if head[0] == L.STOP:
            self.table[L.STOPPING] = self.desk.now + LAST_WORDS
        elif head[0] == L.SEND:
            peer, frame = command[24:24 + head[1]], command[24 + head[1]:]
            self._send(Entry(L.ROUTER, peer, bool(head[2]), frame))
        elif head[0] == L.PUBLISH:
            self._publish(command[16:16 + head[1]], command[16 + head[1]:])
        elif head[0] == L.CLOSE_IDLE:
            topic, event = command[40:40 + head[4]], command[40 + head[4]:]
            house = self.desk.houses[head[1]]
            if house.id_of(head[2]) == topic[len(b"!event/") :] and close_if_idle(
                address(self.desk.table), address(house.table), head[2], head[3]
            ):
                self._publish(topic, event)
        elif head[0] == L.SAVE:
            self.table[L.ASKED], self.table[L.NEXT_SAVE] = head[1], 0
        elif head[0] == L.SWAP:
            exchange(address(self.desk.table), head[1], head[2])
            if self.desk.table[L.KEEPS]:
                self.keeper.send(struct.pack("<2q", L.SWAPPED, head[1]))
            self.pipe.send(command[:16])

    def _publish(self, topic, frame):
        if "publish" in self.sockets:
            self._send(Entry(L.PUB, topic, False, frame))

    def _anything_to_save(self):
        return any(house.table[L.DIRTY_FIRST] != house.table[L.DIRTY_LAST] for house in self.desk.houses)

    def _save_round(self):
        table, houses = self.table, self.desk.houses
        while self.keeper.poll(0):
            self.keeper.recv()
        if not table[L.SAVING]:
            if self.desk.table[L.NOW] < table[L.NEXT_SAVE]:
                return False
            table[L.SAVING], table[L.CYCLE] = 1, table[L.ASKED]
            for house in houses:
                house.table[L.DIRTY_GOAL] = house.table[L.DIRTY_LAST]
        pages = [save(address(self.desk.table), address(house.table)) for house in houses]
        for place, page in enumerate(pages):
            if page >= 0:
                self.keeper.send(struct.pack("<2q", address(houses[place].table), page))
        if all(page == ENDED for page in pages):
            self.keeper.send(struct.pack("<2q", L.END_OF_CYCLE, table[L.CYCLE]))
            table[L.SAVING] = 0
            table[L.NEXT_SAVE] = self.desk.table[L.NOW] + table[L.SAVE_EVERY] if table[L.ASKED] == table[L.CYCLE] else 0
        return any(page >= 0 or page == GOES_ON for page in pages)

    def _sleep(self):
        timeout = None
        if (
            self.desk.table[L.KEEPS]
            and not self.table[L.SAVING]
            and (self.table[L.ASKED] != self.table[L.CYCLE] or self._anything_to_save())
        ):
            timeout = max(0, (self.table[L.NEXT_SAVE] - self.desk.table[L.NOW]) / 1000 + 1)
        if self.table[L.STOPPING] or self.desk.table[L.HELD_COUNT]:
            timeout = min(timeout or 10, 10)
        self._poller.poll(timeout)
