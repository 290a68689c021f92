"""A compiled loop over the one-stream step in which every sample waits for the last result, as in a control loop."""
from numba import types

from streamrnn.jit import kernel
from streamrnn.kernels.advance import advance_one
from streamrnn.kernels.frame import ARENA, fields
from streamrnn.kernels.step import room_for_one, set_frame
from streamrnn.lanes import at, data, get, pointer

int64, float32 = types.int64, types.float32


@kernel(int64(int64, float32[::1], float32[:, ::1], float32[::1], float32[::1], int64, float32))
def chain(program, row, x, y, work, steps, nothing):
    """`nothing` is 0, which the compiler cannot know: result * nothing is where the next sample is read from."""
    program = fields(program)
    arena, frame = pointer(program[ARENA]), room_for_one()
    time, inputs = x.shape
    turn, late = 0, 0
    for t in range(steps):
        set_frame(frame, 1, 0, at(data(x), (t % time) * inputs + late), data(work), data(row), data(y))
        advance_one(program, arena, frame, 1, turn)
        late = int64(get(data(y), 0) * nothing)
        turn = 1 - turn
    return late
