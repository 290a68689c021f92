"""A window's tape on a GPU: where the values of its steps lie, and their gradients. The same records as kernels/unroll.py.

A record a step and slot, float32 [time + 1][slot][work, row, sums]; samples and results beside it as [time][slot][width]; the
gradients of one step only, [slot][sample, work, row, row]. The slots are those of the window: fewer of them lie closer together.
A desk, int64, is all of this behind one number: addresses first, then sizes in floats.
"""
from streamrnn.cells.base import NEW, OLD, SUMS, WORK, X, Y
from streamrnn.cuda.tile import THREADS
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames

# a desk: addresses; then sizes in floats, and how many teams of a block go back through rowwise stages
(PROGRAM, RECORDS, SAMPLES, RESULTS, D_RESULTS, D_STEP, BACK, SHARES, STATES, FIRSTS, LENGTHS, KEYS,
 RECORD, SAMPLE, SHARE, TEAMS, DESK) = range(17)


@inline
def record(desk, program, slots, t, n):
    """Where the record of slot n at step t starts."""
    return desk[RECORDS] + ((t + 1) * slots + n) * desk[RECORD] * 4


@inline
def d_step(desk, program, n):
    """Where the gradients of slot n start."""
    return desk[D_STEP] + n * (desk[SAMPLE] + program[frames.WORK_SIZE] + 2 * program[frames.STRIDE]) * 4


def value_setter(most):
    """point(frame, ...): where the values of slots first, first + 1, ... lie at step t; one that is not there is another's double."""
    @inline
    def point(frame, desk, program, slots, first, here, t, thread):
        work, stride = program[frames.WORK_SIZE], program[frames.STRIDE]
        for s in range(thread, most, THREADS):
            n = first + min(s, here - 1)
            new = record(desk, program, slots, t, n)
            frame[X * most + s] = desk[SAMPLES] + (t * slots + n) * desk[SAMPLE] * 4
            frame[WORK * most + s] = new
            frame[NEW * most + s] = new + work * 4
            frame[OLD * most + s] = record(desk, program, slots, t - 1, n) + work * 4
            frame[SUMS * most + s] = new + (work + stride) * 4
            frame[Y * most + s] = desk[RESULTS] + (t * slots + n) * program[frames.OUTPUTS_OF_MODEL] * 4
    return point


def gradient_setter(most):
    """The same for their gradients, in the second half of a frame. The row's behind step t is half t % 2 of the two rows."""
    second = frames.SPACES * most

    @inline
    def point(frame, desk, program, slots, first, here, t, thread):
        stride = program[frames.STRIDE]
        for s in range(thread, most, THREADS):
            n = first + min(s, here - 1)
            sample = d_step(desk, program, n)
            work = sample + desk[SAMPLE] * 4
            rows = work + program[frames.WORK_SIZE] * 4
            frame[second + X * most + s] = sample
            frame[second + WORK * most + s] = work
            frame[second + NEW * most + s] = rows + (t & 1) * stride * 4
            frame[second + OLD * most + s] = rows + (1 - (t & 1)) * stride * 4
            frame[second + Y * most + s] = desk[D_RESULTS] + (t * slots + n) * program[frames.OUTPUTS_OF_MODEL] * 4
    return point
