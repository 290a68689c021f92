"""Attention over the last `window` inputs: softmax(q k / sqrt(size)) v, in heads, then an output projection.

q, k and v of the newest input are products (cells/linear.py), and so is the projection. Keys and values of the last steps
stay in two rings in the stream's row; a step costs O(window) and never looks ahead. In the beginning there are fewer.
A head is padded to 16 floats: with W = heads x padded size and N = padded window,
x: [q][k][v], each W; y: what the heads saw (W), then their shares of attention [head][N];
state: keys [W][N], values [window][W], and how many steps came, counted up to 2 window and back to window.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Rowwise, apart, glorot, positive, uniform
from streamrnn.cells.linear import padded, spread, sums
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, get, larger, load, put, root, splat, store
from streamrnn.maths import exp
from streamrnn.sums import dot, total

ZERO = np.float32(0)
MOST = 1 << 20  # places in a ring: float32 counts them with ease


@inline
def place_of(count, window):
    """From the count before a step: its place in the rings, how many places hold something after it, and the count then."""
    came = np.int64(count) if count > ZERO and count < np.float32(2 * window) else np.int64(0)  # whatever a row was set to
    return came % window, min(came + 1, window), came + 1 if came + 1 < 2 * window else window


@inline
def sizes(shape, weights):
    """(window, heads, size of a head, that padded, all heads padded, the window padded)"""
    heads = np.int64(get(weights, 0))
    size = shape[1] // heads
    wide = -(-size // BLOCK) * BLOCK
    return shape[0], heads, size, wide, heads * wide, -(-shape[0] // BLOCK) * BLOCK


@inline
def score(q, keys, slots, size, room, seen, scale):
    """room[j] = scale q . key j for a head's places, the four blocks of a round at once to hide the latency of an fma."""
    j = 0
    while j + 3 * LANES < seen and j + 4 * LANES <= slots:
        a, b, c, e = splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO)
        for d in range(size):
            one, row = get(q, d), at(keys, d * slots + j)
            a, b, c, e = fma(one, load(row, 0), a), fma(one, load(row, LANES), b), fma(one, load(row, 2 * LANES), c), fma(
                one, load(row, 3 * LANES), e)
        store(room, j, a * scale)
        store(room, j + LANES, b * scale)
        store(room, j + 2 * LANES, c * scale)
        store(room, j + 3 * LANES, e * scale)
        j += 4 * LANES
    while j < seen:
        a = splat(ZERO)
        for d in range(size):
            a = fma(get(q, d), load(keys, d * slots + j), a)
        store(room, j, a * scale)
        j += LANES


@inline
def shares(room, seen, slots, spare):
    """Softmax in place over the places that hold something; the others get exactly 0."""
    for j in range(seen, slots):
        put(room, j, get(room, 0))
    top = load(room, 0)
    for j in range(LANES, slots, LANES):
        top = larger(load(room, j), top)
    store(spare, 0, top)
    most = get(spare, 0)
    for j in range(1, LANES):
        most = larger(get(spare, j), most)
    for j in range(0, slots, LANES):
        store(room, j, exp(load(room, j) - splat(most)))
    for j in range(seen, slots):
        put(room, j, ZERO)
    whole = splat(total(room, slots))
    for j in range(0, slots, LANES):
        store(room, j, load(room, j) / whole)


@inline
def mix(share, values, step, seen, y):
    """y = sum of share[j] values[j] for one register of units, in four sums by turns."""
    a, b, c, e, j = splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO), 0
    while j + 4 <= seen:
        row = at(values, j * step)
        a = fma(get(share, j), load(row, 0), a)
        b = fma(get(share, j + 1), load(row, step), b)
        c = fma(get(share, j + 2), load(row, 2 * step), c)
        e = fma(get(share, j + 3), load(row, 3 * step), e)
        j += 4
    while j < seen:
        a = fma(get(share, j), load(values, j * step), a)
        j += 1
    store(y, 0, (a + b) + (c + e))


@apart
def attention(shape, weights, x, y, old, new):
    """weights: the number of heads"""
    window, heads, size, wide, every, slots = sizes(shape, weights)
    counter, values = every * (slots + window), at(new, every * slots)
    here, seen, following = place_of(get(old, counter), window)
    put(new, counter, np.float32(following))
    if get(old, counter) != np.float32(following):  # a step that serves works in place, one in training goes from row to row
        for k in range(0, counter, LANES):
            store(new, k, load(old, k))
    for d in range(every):
        put(new, d * slots + here, get(x, every + d))
    for u in range(0, every, LANES):
        store(values, here * every + u, load(x, 2 * every + u))
    scale = np.float32(1) / root(np.float32(size))
    for head in range(heads):
        room = at(y, every + head * slots)
        score(at(x, head * wide), at(new, head * wide * slots), slots, size, room, seen, scale)
        shares(room, seen, slots, at(y, head * wide))
        for u in range(head * wide, (head + 1) * wide, LANES):
            mix(room, at(values, u), every, seen, at(y, u))


@apart
def attention_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    """With p the shares: dv_j = p_j dy, dp_j = v_j dy, ds = p (dp - sum(p dp)), dq = sum ds_j k_j, dk_j = ds_j q. What belongs to
    places of before goes on to the rings before the step."""
    window, heads, size, wide, every, slots = sizes(shape, weights)
    values, d_values = at(new, every * slots), at(d_old, every * slots)
    d_new_values, d_v = at(d_new, every * slots), at(d_x, 2 * every)
    here, seen, _ = place_of(get(old, every * (slots + window)), window)
    scale = splat(np.float32(1) / root(np.float32(size)))
    for head in range(heads):
        first, share, d_score = head * wide, at(y, every + head * slots), at(d_y, every + head * slots)
        for j in range(seen):
            put(d_score, j, dot(at(d_y, first), at(values, j * every + first), wide))
        for j in range(seen, slots):
            put(d_score, j, ZERO)
        along = splat(dot(share, d_score, slots))
        for j in range(0, slots, LANES):
            store(d_score, j, load(share, j) * (load(d_score, j) - along) * scale)
        for d in range(first, first + wide):
            q, d_keys, d_new_keys = get(x, d), at(d_old, d * slots), at(d_new, d * slots)
            put(d_x, d, get(d_x, d) + dot(d_score, at(new, d * slots), slots))
            before = get(d_keys, here)
            for j in range(0, slots, LANES):
                store(d_keys, j, fma(load(d_score, j), q, load(d_keys, j) + load(d_new_keys, j)))
            put(d_x, every + d, get(d_x, every + d) + (get(d_keys, here) - before))
            put(d_keys, here, before)
        for j in range(window):
            p = get(share, j)
            for u in range(first, first + wide, LANES):
                d = fma(p, load(d_y, u), load(d_new_values, j * every + u))
                if j == here:
                    store(d_v, u, load(d_v, u) + d)
                else:
                    store(d_values, j * every + u, load(d_values, j * every + u) + d)


STAGE = Rowwise(attention, attention_grad, apart=True)


@dataclass(frozen=True)
class Attention(Layer):
    """Attention of the newest input to itself and the window - 1 before it, as torch.nn.MultiheadAttention under a band mask."""
    units: int
    window: int
    heads: int = 1
    kind: ClassVar[str] = "attention"

    def __post_init__(self):
        positive(self, "units", "window", "heads")
        if self.units % self.heads:
            raise ConfigError(f"Attention: units must be a multiple of heads, got {self.units} units and {self.heads} heads")
        if self.window > MOST:
            raise ConfigError(f"Attention: window must be at most {MOST:,} inputs, got {self.window:,}")

    def outputs(self, inputs):
        return self.units

    def parameters(self, inputs):
        return {"in_proj_weight": (3 * self.units, inputs), "in_proj_bias": (3 * self.units,),
                "out_proj_weight": (self.units, self.units), "out_proj_bias": (self.units,)}

    def initial(self, inputs, rng, scheme):
        """Biases of 0; weights Glorot's for q, k and v each, or for the three together as torch draws them."""
        projections = [glorot(rng, 3 * self.units, inputs)] if scheme == "torch" else [glorot(rng, self.units, inputs) for _ in range(3)]
        out = (uniform(rng, self.units ** -0.5, {"": (self.units, self.units)})[""] if scheme == "torch"
               else glorot(rng, self.units, self.units))
        return {"in_proj_weight": np.concatenate(projections), "in_proj_bias": np.zeros(3 * self.units, np.float32),
                "out_proj_weight": out, "out_proj_bias": np.zeros(self.units, np.float32)}

    def emit(self, plan, source, inputs):
        size = self.units // self.heads
        every, slots = self.heads * padded(size), padded(self.window)
        x = sums(plan, source, inputs, 3 * self.heads, size, self.before)
        state = plan.state("keys", every * slots)
        plan.state("values", self.window * every)
        plan.state("count", 1)
        seen = plan.work(every + self.heads * slots)
        plan.rowwise(STAGE, x, self.window, seen, self.units, state=state, weights=lambda tensors: np.array([self.heads], np.float32))
        return sums(plan, seen, every, 1, self.units, self.behind)

    def before(self, tensors):
        return tuple(spread(tensors[name], 3 * self.heads) for name in ("in_proj_weight", "in_proj_bias"))

    def behind(self, tensors):
        return spread(spread(tensors["out_proj_weight"].T, self.heads).T, 1), spread(tensors["out_proj_bias"], 1)


STAGES, LAYERS = (STAGE,), (Attention,)
