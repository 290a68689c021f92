"""Run by test_widths.py under several CPU settings: prints LANES, then a hash of every result bit and state bit."""
from hashlib import blake2b

import numpy as np

from streamrnn import GRU, LRU, LSTM, RNN, Attention, Dense, Dropout, Embedding, Engine, LayerNorm, MinGRU, MinLSTM, Model, Scale, Unscale
from streamrnn.cells import CELLS
from streamrnn.lanes import LANES

LAYERS = {layer.kind: layer for cell in CELLS for layer in cell.LAYERS}  # a detector's parts have tests of their own

TRUNK = [Unscale(), LSTM(37), LayerNorm(), Scale("minmax"), GRU(19), GRU(21, reset_after=False), Dropout(0.5), RNN(33),
         RNN(18, "relu"), MinGRU(21), Attention(14, 9, 2), MinLSTM(18), LRU(20, 23), Attention(20, 70), Dense(35, "tanh")]
HEADS = {"few": Dense(3), "share": [Dense(23, "relu"), Dense(11, "softmax")], "odds": [Dense(1), Dense(17, "sigmoid")]}
STREAMS, TIME = 37, 12


def models():
    """Two models, each with samples for it."""
    rng = np.random.default_rng(2)
    yield Model(inputs=7, layers=TRUNK, heads=HEADS, seed=1), rng.standard_normal((STREAMS, TIME, 7))
    yield Model(inputs=2, layers=[Embedding(50, 9), *TRUNK], heads=HEADS, seed=3), rng.integers(0, 50, (STREAMS, TIME, 2))


def main():
    assert {layer.kind for layer in [*TRUNK, Dense(1), Embedding(1, 1)]} == set(LAYERS)
    key = blake2b(digest_size=16)
    for model, x in models():
        x = x.astype(np.float32)
        y = model.run(x)
        stream, engine = model.stream(), Engine(model)
        stepped = [stream.step(sample) for sample in x[0]]
        many = [engine.step_many(range(STREAMS), x[:, t]) for t in range(TIME)]
        for result in (y, *stepped, *many, stream.state(), engine.state(STREAMS - 1)):
            assert np.isfinite(result).all()
            key.update(np.asarray(result).tobytes())
    print(LANES, key.hexdigest())


if __name__ == "__main__":
    main()
