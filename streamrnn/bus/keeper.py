"""The store's thread: pages that the loop copied go into the state file; what is durable goes back to the loop.

It never holds up the loop. When the file cannot be written it says so, tries again every second, and nothing is acknowledged
meanwhile. It takes at most a tenth of one core, spread evenly: after each page it rests nine times as long as that took, unless
somebody waits for a snapshot.
"""
import logging
import os
import threading
import time
from contextlib import suppress
from functools import partial

import zmq

from streamrnn.bus.core import layout as L
from streamrnn.errors import StoreFailed

SHARE = 0.1
AGAIN_AFTER = 1.0  # seconds
log = logging.getLogger("streamrnn.bus")


class Keeper:
    """`notes`: our end of the loop's pipe."""

    def __init__(self, store, desk, notes, swapped, poke):
        self.store, self._desk, self._notes = store, desk, notes
        self._poke = poke          # wakes the loop
        self._swapped = swapped    # called with a place, when the file knows of the swap
        self.failing = None        # why nothing can be written at the moment
        self.commits = self.rows = 0
        self.seconds = 0.0
        self.kept_at = time.monotonic()
        self._cycle = 0            # the last one asked for that is durable
        self._ended = threading.Condition()
        self._giving_up = threading.Event()
        self._hurry = threading.Event()  # somebody waits: no rests
        self._asked = 0
        self._thread = threading.Thread(target=self._run, name="streamrnn-keeper", daemon=True)

    def start(self):
        self._thread.start()

    def hurry(self, cycle=float("inf")):
        """No rests until this cycle is durable."""
        self._asked = max(self._asked, cycle)
        self._hurry.set()

    def finish(self, timeout):
        """After the loop has ended and QUIT was sent: wait until all is written. False if it could not be."""
        self._thread.join(timeout)
        self._giving_up.set()
        self._thread.join()
        return self.failing is None

    def wait_for(self, cycle, timeout):
        """Until this cycle is durable; False if it is not in time."""
        with self._ended:
            return self._ended.wait_for(lambda: self._cycle >= cycle, timeout)

    def _run(self):
        _step_back()
        while True:
            note = self._notes.recv()
            first, second = (int.from_bytes(note[i:i + 8], "little", signed=True) for i in (0, 8))
            if first == L.QUIT:
                return
            if first == L.END_OF_CYCLE:
                self.kept_at = time.monotonic()
                with self._ended:
                    self._cycle = second
                    if second >= self._asked:
                        self._hurry.clear()
                    self._ended.notify_all()
                continue
            began = time.thread_time()
            work = partial(self._swap, second) if first == L.SWAPPED else partial(self._keep, self._desk.by_address[first], second)
            if not self._until_it_works(work):
                return
            with suppress(zmq.ZMQError):  # the loop may have ended
                self._notes.send(b"kept", zmq.DONTWAIT)
                self._poke()
            self._hurry.wait((time.thread_time() - began) * (1 / SHARE - 1))

    def _until_it_works(self, work):
        """However often it takes; False if told to give up."""
        while True:
            began = time.perf_counter()
            try:
                work()
                break
            except StoreFailed as error:
                if self.failing is None:
                    log.error("the state file cannot be written: %s. Nothing is acknowledged as durable until it can", error)
                self.failing = str(error)
                if self._giving_up.wait(AGAIN_AFTER):
                    return False
        if self.failing is not None:
            log.warning("the state file can be written again")
            self.failing = None
        self.seconds += time.perf_counter() - began
        return True

    def _keep(self, house, number):
        """One page into the store."""
        page = house.pages[number]
        count = int(page.table[L.PAGE_COUNT])
        self.store.commit_page(
            house.name, page.slots[:count], page.ids[:count], page.id_sizes[:count], page.seqs[:count], page.states[:count]
        )
        self.commits, self.rows = self.commits + 1, self.rows + count
        page.table[L.PAGE_STATE] = L.KEPT_PAGE

    def _swap(self, place):
        """The loop serves another model at this place: so does the state file from now on."""
        house = self._desk.houses[place]
        self.store.replace_model(house.name, house.model, house.reset)
        self._swapped(place, by_keeper=True)


def _step_back():
    """Let the loop go first where the two want the same core."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
