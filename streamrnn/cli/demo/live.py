"""A server in this process, producers in processes of their own, and a thread that hears the results and notes them in the tally."""
import multiprocessing
import shutil
import signal
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from streamrnn.bus.server import Server
from streamrnn.cli.demo import producer
from streamrnn.cli.demo.plan import name
from streamrnn.clients.consumer import Consumer
from streamrnn.detect import plant
from streamrnn.errors import StreamRNNError

PRODUCERS = 3
ANYWHERE = "tcp://127.0.0.1:*"
SUBSCRIBING = 0.3    # seconds that a subscription may take to reach the server
LOST = 5.0           # seconds without a result after which, with all producers gone, no more are waited for


class Live:
    """`with Live(model, plan, rows, tally, rate) as live: ... live.over`; leaving it ends everything, whatever was under way."""

    def __init__(self, model, plan, rows, tally, rate):
        self.plan, self.tally, self._rate = plan, tally, rate
        self._places = {name(machine): machine for machine in range(plan.machines)}
        self._folder = Path(tempfile.mkdtemp(prefix="streamrnn-demo-"))
        np.save(self._folder / "rows.npy", rows)
        np.save(self._folder / "sent.npy", np.zeros(rows.shape[:2], np.int64))
        self._sent = np.load(self._folder / "sent.npy", mmap_mode="r")
        self._server = Server(model, listen=ANYWHERE, publish=ANYWHERE)
        self._ending, self._error = threading.Event(), None
        self._ear = threading.Thread(target=self._hear, daemon=True)
        self.processes = []

    def __enter__(self):
        self._server.start()
        try:
            self._ear.start()
            time.sleep(SUBSCRIBING)
            with _deaf():
                self._start_producers()
        except BaseException:
            self.end()
            raise
        return self

    def _start_producers(self):
        spawn = multiprocessing.get_context("spawn")
        number = min(PRODUCERS, self.plan.machines)
        self._together = together = spawn.Barrier(number)  # it must live until all of them have it
        ids, times = list(self._places), (self.plan.time(0), plant.PERIOD)
        for k in range(number):
            task = producer.Task(self._server.endpoints["router"], self._folder, {id: self._places[id] for id in ids[k::number]}, times,
                                 self._rate)
            self.processes.append(spawn.Process(target=producer.stream, args=(task, together), daemon=True))
            self.processes[-1].start()

    def _hear(self):
        """Alerts have a topic of their own, but whoever hears all results finds them there as well."""
        try:
            with Consumer(self._server.endpoints["publish"]) as consumer:
                while not self._ending.is_set() and not self.tally.whole:
                    result = consumer.receive(0.1)
                    if result is not None:
                        now = time.perf_counter_ns()
                        machine, row = self._places[result.stream], self.plan.row(result.t)
                        self.tally.take(machine, row, result, int(self._sent[machine, row]), now)
        except BaseException as error:
            self._error = error

    @property
    def over(self):
        """Has everything come, or will no more come?"""
        if self._error:
            raise self._error
        if self.tally.whole:
            return True
        for process in self.processes:
            if process.exitcode:
                raise StreamRNNError(f"a producer of the demo ended with status {process.exitcode}: its own message stands above")
        if any(process.is_alive() for process in self.processes):
            return False
        return time.perf_counter_ns() - self.tally.last_ns > LOST * 1e9

    def end(self):
        self._ending.set()
        for process in self.processes:
            if process.is_alive() and not self.tally.whole:
                process.terminate()
        for process in self.processes:
            process.join(10)
        self._ear.join(10)
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(self, *_):
        self.end()


@contextmanager
def _deaf():
    """Processes that are started meanwhile never hear of Ctrl-C: it is for us, who end them."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
