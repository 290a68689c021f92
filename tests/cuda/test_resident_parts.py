"""How a plan is cut for a resident kernel: on the host, whatever the GPU."""
from importlib.util import find_spec

import numpy as np
import pytest

from streamrnn import LSTM, RNN, ConfigError, Dense, Model

pytestmark = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")


def cut(model, blocks=132, **how):
    from streamrnn.cuda.parts import parts
    return parts(model.packed.plan, model.packed.tensors, blocks, **how)


def rows(own, block):
    from streamrnn.cuda import parts as p
    table = own.tables.reshape(own.blocks, own.size)[block]
    return table, table[p.HEAD:p.HEAD + table[p.ROWS] * p.WIDTH].reshape(-1, p.WIDTH)


@pytest.mark.parametrize("units, layers, blocks", [(128, 2, 17), (256, 3, 49)])
def test_the_target_sizes_lie_on_chip_with_room_to_spare(units, layers, blocks):
    own = cut(Model(8, [LSTM(units)] * layers + [Dense(1)]))
    assert own.blocks == blocks
    assert not own.far
    assert own.shared * 4 < 232448


@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 132])
def test_every_unit_of_every_stage_has_one_block(blocks):
    from streamrnn.cuda import parts as p
    from streamrnn.kernels import frame

    model = Model(3, [LSTM(37), RNN(16), Dense(9), Dense(1)])
    own = cut(model, blocks)
    assert own.blocks <= blocks
    units = {}
    for block in range(own.blocks):
        for row in rows(own, block)[1]:
            if row[p.COUNT]:
                units.setdefault(row[frame.KIND], []).extend(range(row[p.FIRST], row[p.FIRST] + row[p.COUNT]))
    assert {kind: sorted(numbers) for kind, numbers in units.items()} == {
        kind: list(range(size)) for kind, size in enumerate([37, 16, 9])}


def test_a_slice_has_its_weights_in_quads():
    from streamrnn.cuda.parts import _weights
    from streamrnn.plan import Gated

    model = Model(5, [LSTM(6)])
    plan, own = model.packed.plan, []
    plan.fill(model.packed.tensors, lambda stage, gates: own.append(gates) or np.zeros(0, np.float32))
    stage = next(stage for stage in plan.stages if isinstance(stage, Gated))
    flat = _weights(own[0], stage, 2, 3)  # units 2 to 4: 12 sums
    assert flat.size == 12 + 8 * 12 + 8 * 12
    bias, hidden, inputs = flat[:12], flat[12:108].reshape(2, 12, 4), flat[108:].reshape(2, 12, 4)
    for u in range(3):
        for g in range(4):
            np.testing.assert_array_equal(bias[4 * u + g], own[0].bias[g, 2 + u])
            np.testing.assert_array_equal(hidden[:, 4 * u + g].ravel(), np.r_[own[0].hidden[g, 2 + u], 0, 0])
            np.testing.assert_array_equal(inputs[:, 4 * u + g].ravel(), np.r_[own[0].inputs[g, 2 + u], 0, 0, 0])


def test_what_does_not_fit_is_named():
    own = cut(Model(8, [LSTM(256), LSTM(256)]), blocks=2)
    assert sum(own.far.values()) > 0
    assert set(own.far) <= {"layers.0", "layers.1"}
    with pytest.raises(ConfigError, match="shared memory"):
        cut(Model(8, [LSTM(64)]), shared=2048)
