"""Any order of calls gives, for every id, what a stream of its own gives, bit for bit."""
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import streamrnn as sr

IDS = st.one_of(st.integers(0, 11), st.sampled_from(["a", "b", "pump-7", "0"]))
MODELS = {
    "mixed": sr.Model(inputs=2, layers=[sr.LSTM(5), sr.GRU(9), sr.LayerNorm(), sr.Dense(3)], seed=1),
    "cho": sr.Model(inputs=2, layers=[sr.GRU(17, reset_after=False), sr.RNN(3)],
                    heads={"a": sr.Dense(1), "b": sr.Dense(12, "softmax")}, seed=2),
    "stateless": sr.Model(inputs=2, layers=[sr.Dense(10, "relu"), sr.Dense(1)], seed=3)}


class AnyOrder(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.alone, self.rows, self.handles = {}, [], {}

    @initialize(name=st.sampled_from(sorted(MODELS)), threads=st.sampled_from([1, 2]), seed=st.integers(0, 99))
    def start(self, name, threads, seed):
        self.model, self.threads = MODELS[name], threads
        self.engine, self.noise = sr.Engine(self.model, threads=threads), np.random.default_rng(seed)

    def samples(self, count):
        return self.noise.standard_normal((count, 2), dtype=np.float32) * np.float32(3)

    def twin(self, id):
        if id not in self.alone:
            self.alone[id] = self.model.stream()
        return self.alone[id]

    def wanted(self, ids, x):
        if not len(ids):
            return np.zeros((0, self.model.outputs), np.float32)
        return np.stack([self.twin(id).step(x_t) for id, x_t in zip(ids, x, strict=True)])

    @rule(id=IDS)
    def step(self, id):
        x = self.samples(1)
        assert np.array_equal(self.engine.step(id, x[0]), self.wanted([id], x)[0])

    @rule(ids=st.lists(IDS, max_size=24), unique=st.booleans(), as_group=st.booleans())
    def step_many(self, ids, unique, as_group):
        ids = list(dict.fromkeys(ids)) if unique else ids
        x = self.samples(len(ids))
        given = self.engine.group(ids) if as_group else ids
        assert np.array_equal(self.engine.step_many(given, x), self.wanted(ids, x))

    @rule(ids=st.lists(IDS, min_size=1, max_size=9), value=st.sampled_from([np.nan, np.inf, -np.inf]))
    def refused_batch(self, ids, value):
        x = self.samples(len(ids))
        x[-1, 1] = value
        try:
            self.engine.step_many(ids, x)
        except sr.InputError:
            return
        raise AssertionError("a value that is not finite went through")

    @precondition(lambda self: self.alone)
    @rule(data=st.data())
    def reset(self, data):
        id = data.draw(st.sampled_from(list(self.alone)))
        self.engine.reset(id)
        self.alone[id].reset()

    @precondition(lambda self: self.alone)
    @rule(data=st.data())
    def close(self, data):
        id = data.draw(st.sampled_from(list(self.alone)))
        handle = self.engine.stream(id)
        self.engine.close(id)
        del self.alone[id]
        try:
            handle.step(self.samples(1)[0])
        except sr.UnknownStream:
            return
        raise AssertionError("a closed stream was stepped")

    @precondition(lambda self: self.alone)
    @rule(data=st.data(), new=IDS)
    def fork(self, data, new):
        id = data.draw(st.sampled_from(list(self.alone)))
        if new in self.alone:
            return
        self.engine.fork(id, new)
        self.twin(new).set_state(self.alone[id].state())

    @precondition(lambda self: self.alone)
    @rule(data=st.data())
    def keep_state(self, data):
        self.rows.append(self.engine.state(data.draw(st.sampled_from(list(self.alone)))))

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), id=IDS)
    def put_state(self, data, id):
        row = self.rows[data.draw(st.integers(0, len(self.rows) - 1))]
        self.engine.set_state(id, row)
        self.twin(id).set_state(row)

    @rule(id=IDS, count=st.integers(0, 20))
    def run_a_stream(self, id, count):
        x = self.samples(count)
        assert np.array_equal(self.engine.stream(id).run(x), self.twin(id).run(x))

    @rule()
    def snapshot_and_restore(self):
        with tempfile.TemporaryDirectory() as folder:
            self.engine.snapshot(Path(folder) / "s")
            self.engine = sr.Engine.restore(Path(folder) / "s", self.model, threads=self.threads)

    @rule()
    def grow(self):
        """Past a chunk of memory, and back."""
        x = self.samples(1100)
        ids = [f"grown-{n}" for n in range(1100)]
        self.engine.step_many(ids, x)
        for id in ids:
            self.engine.close(id)

    @invariant()
    def all_states_are_equal(self):
        if self.alone:
            assert set(self.engine.ids) == set(self.alone)
            for id, stream in self.alone.items():
                assert self.engine.state(id).tobytes() == stream.state().tobytes()


AnyOrder.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, derandomize=True, database=None,
                                      suppress_health_check=list(HealthCheck))
TestAnyOrder = AnyOrder.TestCase
