"""What is known of the peers, for the limits a peer: a small table by the hash of a peer's name, the idlest one makes room.

A peer without a name of its own gets a new one at each connect: against those who mean harm, these limits stand behind CURVE.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.names import hash_of
from streamrnn.jit import inline, part
from streamrnn.kernels.frame import fields

int64 = types.int64
WAYS = 8
MILLION = 1_000_000


@part
def record_of(desk, message):
    """The record of the peer that sent this message; a fresh one may send at once what it may send in a second."""
    h = int64(hash_of(message[L.PEER_AT], message[L.PEER_SIZE], 1)) if message[L.PEER_SIZE] > 0 else int64(1)
    set_at = desk[L.PEERS] + (h & desk[L.PEER_MASK]) * WAYS * 8 * L.PEER
    oldest = fields(set_at)
    for way in range(WAYS):
        peer = fields(set_at + way * 8 * L.PEER)
        if peer[L.PEER_HASH] == h:
            return peer
        if peer[L.PEER_SEEN] < oldest[L.PEER_SEEN]:
            oldest = peer
    oldest[L.PEER_HASH], oldest[L.PEER_SEEN], oldest[L.PEER_OPENED] = h, desk[L.NOW], 0
    oldest[L.PEER_TOKENS] = desk[L.RATE] * MILLION
    return oldest


@inline
def may_open(desk, message, count):
    limit = desk[L.STREAMS_PER_PEER]
    return limit == 0 or record_of(desk, message)[L.PEER_OPENED] + count <= limit


@inline
def may_send(desk, message, samples):
    """A bucket that fills at the rate and holds a second of it."""
    peer = record_of(desk, message)
    most = desk[L.RATE] * MILLION
    passed = min(desk[L.NOW] - peer[L.PEER_SEEN], MILLION)
    tokens = min(most, peer[L.PEER_TOKENS] + passed * desk[L.RATE])
    peer[L.PEER_SEEN] = desk[L.NOW]
    fine = tokens >= min(samples * MILLION, most)
    peer[L.PEER_TOKENS] = tokens - samples * MILLION if fine else tokens
    return fine
