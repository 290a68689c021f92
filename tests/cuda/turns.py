"""CUDA's simulator with threads that take turns: each runs to the next barrier by itself, then the next one does.

The simulator lets all threads of a block run at once and asks them in a loop whether they wait: most of the time goes there. In turns it
is many times faster, the same every time, and harder on a kernel: whoever reads what no barrier keeps apart reads it before it was
written, or after it was written over, as the turns go forwards and backwards.
"""
import threading

import numpy as np
from numba.cuda.simulator import kernel


class Thread(kernel.BlockThread):
    def __init__(self, *args):
        super().__init__(*args)
        self.go = threading.Lock()
        self.go.acquire()
        self.over = False

    def run(self):
        self.go.acquire()
        super().run()
        self.over = True
        self._manager.back.release()

    def syncthreads(self):
        self._manager.back.release()
        self.go.acquire()
        if self.abort:
            raise RuntimeError("another thread of the block failed")


def run(manager, grid_point, *args):
    manager.back = threading.Lock()
    manager.back.acquire()
    threads = [Thread(lambda: manager._f(*args), manager, grid_point, place, manager._debug) for place in np.ndindex(*manager._block_dim)]
    for thread in threads:
        thread.start()
    while threads:
        for thread in threads:
            thread.go.release()
            manager.back.acquire()
            if thread.exception:
                _let_go(threads, thread)
                raise thread.exception[0].with_traceback(thread.exception[1])
        threads = [thread for thread in reversed(threads) if not thread.over]


def _let_go(threads, failed):
    for thread in threads:
        if thread is not failed and not thread.over:
            thread.abort = True
            thread.go.release()
            thread._manager.back.acquire()


def install():
    kernel.BlockManager.run = run
