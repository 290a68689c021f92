"""All blocks of a kernel at once in CUDA's simulator, in the background, as a GPU runs a resident kernel.

The stock simulator runs a launch to its end before it returns, and blocks one after the other: blocks that wait for each other, or
for the host, would wait for ever. Here every thread of every block is a Python thread, and a block has shared memory of its own.
"""
import sys
import threading

from numba.cuda.simulator.kernelapi import Dim3, FakeCUDAModule, FakeCUDAShared, swapped_cuda_module


class Thread(threading.Thread):
    """A thread of a block: what kernels and cuda/words.py ask of the current one."""

    def __init__(self, block, number, target):
        super().__init__(target=target, daemon=True)
        self.block, self.blockIdx, self.threadIdx, self.thread_id = block, Dim3(block.number, 0, 0), Dim3(number, 0, 0), number

    def run(self):
        try:
            super().run()
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            self.block.error = error
            self.block.barrier.abort()

    def syncthreads(self):
        self.block.barrier.wait()

    def _vote(self, value, agree):
        self.block.votes[self.thread_id] = bool(value)
        self.syncthreads()
        outcome = agree(self.block.votes)
        self.syncthreads()
        return outcome

    def syncthreads_and(self, value):
        return self._vote(value, all)

    def syncthreads_or(self, value):
        return self._vote(value, any)


class Block:
    def __init__(self, number, threads, shared):
        self.number, self.error = number, None
        self.barrier, self.votes, self.shared = threading.Barrier(threads), [False] * threads, FakeCUDAShared(shared)


class Module(FakeCUDAModule):
    @property
    def shared(self):
        return threading.current_thread().block.shared


class Launch:
    """One launch, running."""

    def __init__(self, kernel, blocks, threads, shared, arguments):
        function = kernel.fn
        self._swap = swapped_cuda_module(function, Module((blocks, 1, 1), (threads, 1, 1), shared))
        self._swap.__enter__()
        self.blocks = [Block(b, threads, shared) for b in range(blocks)]
        self.threads = [Thread(block, n, lambda: function(*arguments)) for block in self.blocks for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def wait(self, limit=None):
        """To its end; an error of a thread is raised here."""
        for thread in self.threads:
            thread.join(limit)
        self._swap.__exit__(None, None, None)
        for block in self.blocks:
            if block.error:
                raise block.error


class Together:
    """In place of chip.launch and chip.finish. `launches` are all there were."""

    def __init__(self, threads):
        from streamrnn.cuda import chip, resident_kernel
        sys.setswitchinterval(1e-4)  # threads that wait look again and again: the others must have their turns
        self.launches, resident_kernel.THREADS = [], threads
        chip.launch, chip.finish = self.launch, lambda stream: self.launches[-1].wait()

    def launch(self, kernel, blocks, threads, stream, shared, arguments):
        self.launches.append(Launch(kernel, blocks, threads, shared, arguments))
