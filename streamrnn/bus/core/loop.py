"""The server's loop, compiled: receive, decode, find, step, encode, send; between two rounds, commands and the store's copies.

It runs without the interpreter, in a thread of its own, from the first message to the last. Other threads reach it by an
inproc pair only; what they read meanwhile (counters, records) they read as it changes.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.answer import settle, start_over
from streamrnn.bus.core.batch import count_up
from streamrnn.bus.core.clock import note_time, now
from streamrnn.bus.core.commands import close_idle, swap_house
from streamrnn.bus.core.libzmq import (
    DONTWAIT,
    RCVMORE,
    RCVTIMEO,
    SNDMORE,
    poll,
    zmq_errno,
    zmq_getsockopt,
    zmq_recv,
    zmq_send,
    zmq_setsockopt,
)
from streamrnn.bus.core.memory import get_i64, get_u8, get_u32, put_i64
from streamrnn.bus.core.names import id_of
from streamrnn.bus.core.reorder import first_deadline, release
from streamrnn.bus.core.save import ENDED, GOES_ON, note_all_kept, save_some
from streamrnn.bus.core.take import LONGEST_NAME, SLACK, put_down, room_for_another
from streamrnn.jit import inline, kernel, part
from streamrnn.kernels.frame import fields

int64, int32 = types.int64, types.int32
POKE = 17               # bytes of the name that pokes come under, the first 16 are this server's secret
CALM = 5000             # nanoseconds without a message after which the next one is probably alone as well
LOOK_AFTER = 8          # busy rounds before commands have their turn
BUDGET = 256            # messages from one socket before the other has its turn
LAST_WORDS = 2_000_000  # microseconds that a stopping server goes on answering what still comes


@inline
def more_parts(loop, socket):
    put_i64(loop[L.SCRATCH] + 16, 0)
    put_i64(loop[L.SCRATCH] + 24, 4)
    zmq_getsockopt(socket, int32(RCVMORE), loop[L.SCRATCH] + 16, loop[L.SCRATCH] + 24)
    return get_u32(loop[L.SCRATCH] + 16) != 0


@inline
def receive(desk, loop, socket, origin, flags):
    """One message into the inbox: was there one? Another thread's poke counts as one, and says nothing."""
    peer = desk[L.INBOX] + desk[L.INBOX_USED]
    limit = desk[L.LARGEST_FRAME]
    peer_size, frame = int64(0), peer
    if origin == L.ROUTER:
        peer_size = int64(zmq_recv(socket, peer, LONGEST_NAME, int32(flags)))
        if peer_size < 0:
            return False
        frame = peer + peer_size
    size = int64(zmq_recv(socket, frame, limit, int32(DONTWAIT)))
    if size < 0:
        return False
    if peer_size == POKE and get_i64(peer) == get_i64(loop[L.POKES]) and get_i64(peer + 8) == get_i64(loop[L.POKES] + 8):
        loop[L.BUSY_ROUNDS] = LOOK_AFTER
        return True
    more, envelope, parts = more_parts(loop, socket), int64(0), int64(1)
    if size == 0 and more and origin == L.ROUTER:
        envelope = 1
        size = int64(zmq_recv(socket, frame, limit, int32(DONTWAIT)))
        more = more_parts(loop, socket)
    while more:
        parts += 1
        zmq_recv(socket, loop[L.SCRATCH] + 64, 0, int32(DONTWAIT))
        more = more_parts(loop, socket)
    put_down(desk, origin, peer, peer_size, envelope, frame, size, parts)
    desk[L.INBOX_USED] += peer_size + min(size, limit) + SLACK
    return True


@part
def gather(desk, loop):
    """What is there, from each socket until it is empty or has had its turn: how many messages."""
    got = 0
    for origin in (L.ROUTER, L.PULL):
        socket = loop[L.ROUTER_SOCKET] if origin == L.ROUTER else loop[L.PULL_SOCKET]
        taken = 0
        while socket != 0 and taken < BUDGET and room_for_another(desk) and receive(desk, loop, socket, origin, DONTWAIT):
            taken += 1
        got += taken
    return got


@part
def send_all(desk, loop):
    """The outbox to whom it may concern. A peer that is gone or does not read costs its replies, nobody else's."""
    for n in range(desk[L.ENTRY_COUNT]):
        entry = fields(desk[L.ENTRIES] + n * 8 * L.ENTRY)
        destination = entry[L.DESTINATION]
        socket = loop[L.ROUTER_SOCKET + destination] if destination != L.PIPE else loop[L.PIPE_SOCKET]
        fine = zmq_send(socket, entry[L.HEAD_AT], entry[L.HEAD_SIZE], int32(SNDMORE | DONTWAIT)) >= 0
        if fine and (entry[L.BETWEEN] or destination == L.PIPE):
            fine = zmq_send(socket, entry[L.HEAD_AT], entry[L.BETWEEN] if destination == L.PIPE else 0, int32(SNDMORE | DONTWAIT)) >= 0
        if fine:
            fine = zmq_send(socket, entry[L.BODY_AT], entry[L.BODY_SIZE], int32(DONTWAIT)) >= 0
        if fine and destination != L.PIPE:
            count_up(desk, L.PUBLISHED if destination == L.PUB else L.REPLIES, 1)
        elif fine:
            pass  # its answer is counted when it goes out
        elif destination == L.PUB:
            count_up(desk, L.PUBLISHED_FULL, 1)
        else:
            count_up(desk, L.REPLIES_GONE if zmq_errno() == loop[L.NO_ROUTE] else L.REPLIES_FULL, 1)
    desk[L.ENTRY_COUNT] = desk[L.OUTBOX_USED] = 0


@part
def serve_round(desk, loop, wait):
    """Everything that is there now, answered: how many messages. With `wait`, one message, as soon as there is one."""
    start = now(loop)
    if wait:
        began = start
        got = int64(receive(desk, loop, loop[L.ROUTER_SOCKET], L.ROUTER, 0))
        start = now(loop)
        loop[L.WAITED_FOR] = start - began
        desk[L.NOW] = start // 1000 - desk[L.STARTED]
    else:
        got = gather(desk, loop)
    if desk[L.HELD_COUNT] > 0:
        got += release(desk)
    if got == 0:
        return 0
    gathered = now(loop)
    left = settle(desk)
    stepped = now(loop)
    send_all(desk, loop)
    while left > 0:
        left = settle(desk)
        send_all(desk, loop)
    start_over(desk)
    sent = now(loop)
    count_up(desk, L.ROUNDS, 1)
    note_time(desk, L.WAITED, gathered - start, got)
    note_time(desk, L.STEPPED, stepped - gathered, got)
    note_time(desk, L.SENT, sent - stepped, got)
    note_time(desk, L.WHOLE, sent - start, got)
    return got


@inline
def _has_id(house, slot, id_at, id_size):
    at, size = id_of(house, slot)
    if size != id_size:
        return False
    same = True
    for i in range(size):
        same &= get_u8(at + i) == get_u8(id_at + i)
    return same


EVENT = 7  # bytes of "!event/"


@part
def commands(desk, loop):
    """What other threads ask for: a header of int64s and a payload, in one message."""
    at = loop[L.SCRATCH] + 64
    while True:
        size = int64(zmq_recv(loop[L.PIPE_SOCKET], at, loop[L.COMMAND_ROOM], int32(DONTWAIT)))
        if size < 8:
            return
        command, head = get_i64(at), fields(at)
        if command == L.STOP:
            loop[L.STOPPING] = desk[L.NOW] + LAST_WORDS
        elif command == L.SEND:  # size of the peer's name, an empty part?, then name and frame
            name, frame = at + 24, at + 24 + head[1]
            fine = zmq_send(loop[L.ROUTER_SOCKET], name, head[1], int32(SNDMORE | DONTWAIT)) >= 0
            if fine and head[2]:
                fine = zmq_send(loop[L.ROUTER_SOCKET], name, 0, int32(SNDMORE | DONTWAIT)) >= 0
            if fine:
                zmq_send(loop[L.ROUTER_SOCKET], frame, at + size - frame, int32(DONTWAIT))
            count_up(desk, L.REPLIES if fine else L.REPLIES_GONE, 1)
        elif command == L.PUBLISH:  # size of the topic, then topic and frame
            _publish(desk, loop, at + 16, head[1], at + size)
        elif command == L.CLOSE_IDLE:  # house, slot, when it was last seen, size of the topic, then topic and frame
            house = fields(fields(desk[L.HOUSES])[head[1]])
            topic = at + 40
            if _has_id(house, head[2], topic + EVENT, head[4] - EVENT) and close_idle(desk, house, head[2], head[3]):
                _publish(desk, loop, topic, head[4], at + size)
        elif command == L.SAVE:
            loop[L.ASKED] = head[1]
            loop[L.NEXT_SAVE] = 0
        elif command == L.SWAP:  # the place of a house, its new address: samples in the sockets meet the new one
            swap_house(desk, head[1], head[2])
            if desk[L.KEEPS]:
                _tell_keeper(loop, L.SWAPPED, head[1])
            zmq_send(loop[L.PIPE_SOCKET], at, 16, int32(DONTWAIT))


@inline
def _publish(desk, loop, topic, topic_size, end):
    if loop[L.PUB_SOCKET] != 0:
        zmq_send(loop[L.PUB_SOCKET], topic, topic_size, int32(SNDMORE | DONTWAIT))
        fine = zmq_send(loop[L.PUB_SOCKET], topic + topic_size, end - topic - topic_size, int32(DONTWAIT)) >= 0
        count_up(desk, L.PUBLISHED if fine else L.PUBLISHED_FULL, 1)


@part
def save_round(desk, loop):
    """A slice of copies for the store, if they are due: is there more to copy right now?"""
    houses = fields(desk[L.HOUSES])
    if loop[L.SAVING] == 0:
        if desk[L.NOW] < loop[L.NEXT_SAVE]:
            return False
        loop[L.SAVING], loop[L.CYCLE] = 1, loop[L.ASKED]
        for n in range(desk[L.HOUSE_COUNT]):
            house = fields(houses[n])
            house[L.DIRTY_GOAL] = house[L.DIRTY_LAST]
    busy, ended = False, True
    for n in range(desk[L.HOUSE_COUNT]):
        page = save_some(desk, fields(houses[n]))
        if page >= 0:
            _tell_keeper(loop, houses[n], page)
        busy |= page >= 0 or page == GOES_ON
        ended &= page == ENDED
    if ended:
        _tell_keeper(loop, L.END_OF_CYCLE, loop[L.CYCLE])
        loop[L.SAVING] = 0
        loop[L.NEXT_SAVE] = desk[L.NOW] + loop[L.SAVE_EVERY] if loop[L.ASKED] == loop[L.CYCLE] else 0
    return busy


@inline
def _tell_keeper(loop, a, b):
    """A page: (address of its house's table, number), or one of the notes in layout."""
    put_i64(loop[L.SCRATCH] + 32, a)
    put_i64(loop[L.SCRATCH] + 40, b)
    zmq_send(loop[L.KEEPER_SOCKET], loop[L.SCRATCH] + 32, 16, int32(DONTWAIT))


@inline
def anything_to_save(desk):
    houses = fields(desk[L.HOUSES])
    for n in range(desk[L.HOUSE_COUNT]):
        house = fields(houses[n])
        if house[L.DIRTY_FIRST] != house[L.DIRTY_LAST]:
            return True
    return False


@inline
def patience(desk, loop):
    """Milliseconds until something is due besides messages; -1: nothing is."""
    timeout = int64(-1)
    if desk[L.KEEPS] and loop[L.SAVING] == 0 and (loop[L.ASKED] != loop[L.CYCLE] or anything_to_save(desk)):
        timeout = max(0, (loop[L.NEXT_SAVE] - desk[L.NOW] + 999) // 1000)
    if desk[L.HELD_COUNT] > 0:
        until = (first_deadline(desk) + 999) // 1000
        timeout = until if timeout < 0 else min(timeout, until)
    if loop[L.STOPPING]:
        timeout = min(timeout, 10) if timeout >= 0 else 10
    return min(timeout, 1 << 30)


@part
def sleep(desk, loop):
    """Until something comes, or is due: is the next round to wait in its receive?

    Where there is one socket to hear, the wait is inside its receive: two calls of the system less than to poll, which is a
    tenth of a round trip. Other threads then poke it. A descriptor tells of new events once: before a poll, each socket has
    been read until it had no more.
    """
    timeout = patience(desk, loop)
    if loop[L.PULL_SOCKET] != 0 or loop[L.ROUTER_SOCKET] == 0:
        poll(loop[L.POLL], types.uint64(loop[L.POLL_COUNT]), int32(timeout))
        return False
    if timeout != loop[L.TIMEOUT]:
        loop[L.TIMEOUT] = timeout
        put_i64(loop[L.SCRATCH] + 16, timeout)
        zmq_setsockopt(loop[L.ROUTER_SOCKET], int32(RCVTIMEO), loop[L.SCRATCH] + 16, types.uint64(4))
    return True


@kernel(int64(int64, int64))
def serve(desk, loop):
    """Serve until a STOP; then answer what is left, copy what has changed, and return."""
    desk, loop = fields(desk), fields(loop)
    quiet_since, wait = int64(0), False
    while True:
        desk[L.NOW] = now(loop) // 1000 - desk[L.STARTED]
        listens = loop[L.STOPPING] == 0 or desk[L.NOW] < loop[L.STOPPING]
        got = serve_round(desk, loop, wait) if listens else 0
        calm = wait and got > 0 and loop[L.WAITED_FOR] > CALM
        wait = False
        more = save_round(desk, loop) if desk[L.KEEPS] else False
        if calm and not more and loop[L.STOPPING] == 0 and loop[L.BUSY_ROUNDS] < LOOK_AFTER:
            wait = sleep(desk, loop)  # one question at a time: whatever else is wanted comes with a poke
            continue
        if got > 0:
            quiet_since = desk[L.NOW]
            loop[L.BUSY_ROUNDS] += 1
            if loop[L.BUSY_ROUNDS] < LOOK_AFTER:
                continue
        loop[L.BUSY_ROUNDS] = 0
        commands(desk, loop)
        if desk[L.KEEPS]:
            while zmq_recv(loop[L.KEEPER_SOCKET], loop[L.SCRATCH] + 32, 16, int32(DONTWAIT)) >= 0:
                more = True  # a page came back
            if more:
                note_all_kept(desk)
        if got > 0 or more:
            continue
        if loop[L.STOPPING]:
            if not desk[L.KEEPS] or (loop[L.SAVING] == 0 and not anything_to_save(desk)) or desk[L.NOW] > loop[L.STOPPING] + LAST_WORDS:
                return 0
            loop[L.STOPPING] = min(loop[L.STOPPING], desk[L.NOW])  # nothing came: from now on nothing is taken
            loop[L.NEXT_SAVE] = 0
            wait = sleep(desk, loop)
        elif desk[L.NOW] - quiet_since >= loop[L.SPIN]:
            wait = sleep(desk, loop)
