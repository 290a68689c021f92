"""Run by test_store.py: forks a process that commits without end, kills it, and looks at the file. Arguments: path, how often.

What commit n writes follows from n alone, so the file after n commits is known. Prints how many were killed, and how many of
them after a commit had begun and before it was known to be over.
"""
import os
import random
import signal
import sys
import time

import numpy as np

import streamrnn as sr
from streamrnn import jit
from streamrnn.bus.core.digest import checks_of
from streamrnn.bus.store import Store

MODEL = sr.Model(inputs=3, layers=[sr.LSTM(40)], seed=0)
WIDTH = MODEL.packed.plan.stride + MODEL.outputs
SLOTS = 3000


def page(n):
    """slots, ids, id sizes, seqs, states of commit n; some are closed by it."""
    rng = np.random.default_rng(n)
    count = int(rng.integers(1, 400))
    slots = rng.choice(SLOTS, count, replace=False)
    ids = np.frombuffer(b"".join((b"%05d, %05d" % (slot, n)).ljust(64) for slot in slots), np.uint8).reshape(count, 64)
    sizes = np.where(rng.random(count) < 0.1, 0, 12).astype(np.uint8)
    return slots, ids, sizes, np.full(count, n), rng.standard_normal((count, WIDTH), np.float32)


def commit_without_end(path, first, report):
    store = Store(path, [("", MODEL)])
    store._db.execute("PRAGMA wal_autocheckpoint=300").fetchall()  # checkpoints in between
    for n in range(first, 1 << 30):
        os.write(report, b"b")
        store.commit_page("", *page(n))
        os.write(report, b"e")


def look(path):
    """{slot: (seq, state)} of the file."""
    store = Store(path, [("", MODEL)])
    try:
        return {slot: (seq, state.tobytes()) for slots, _, seqs, states in store.load("")
                for slot, seq, state in zip(slots.tolist(), seqs.tolist(), states, strict=True)}
    finally:
        store.close()


def main(path, times):
    jit.ready(checks_of)  # once, not in every child
    choice, expected, done, within = random.Random(7), {}, 0, 0
    for _ in range(times):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                commit_without_end(path, done, writing)
            finally:
                os._exit(1)
        os.close(writing)
        time.sleep(choice.uniform(0.0, 0.2))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it ended by itself"
        with os.fdopen(reading, "rb") as pipe:
            report = pipe.read()
        begun, ended = report.count(b"b"), report.count(b"e")
        within += begun > ended
        found = look(path)
        for n in range(done, done + ended):
            expected = after(expected, n)
        if found != expected:
            assert begun > ended, "a commit that was never begun, or one that was over is gone"
            expected, ended = after(expected, done + ended), begun
            assert found == expected, "neither before the last commit nor after it"
        done += ended
    print(times, within)


def after(streams, n):
    slots, _, sizes, seqs, states = page(n)
    streams = dict(streams)
    for slot, size, seq, state in zip(slots.tolist(), sizes.tolist(), seqs.tolist(), states, strict=True):
        streams.pop(slot, None)
        if size:
            streams[slot] = (seq, state.tobytes())
    return streams


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
