"""The compiled way back through time against the float64 twin: whatever the layers, their sizes, the batch and its lengths."""

import numpy as np
import pytest
import reference

from streamrnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Activation,
    Attention,
    Dense,
    Detector,
    Dropout,
    Embedding,
    LayerNorm,
    MinGRU,
    MinLSTM,
    Model,
    Recurrence,
    Scale,
    Unscale,
)
from streamrnn.cells import CELLS
from streamrnn.cells.general import elementwise, recurrence
from streamrnn.errors import ConfigError
from streamrnn.kernels.tile import GROUP
from streamrnn.training.tape import Tape
from streamrnn.training.weights import DIGIT, Weights

LAYERS = {layer.kind: layer for cell in (*CELLS, recurrence, elementwise) for layer in cell.LAYERS}  # a detector's parts: tests/detect

SIZES = (1, 3, 16, 17, 33, 64, 100)
SHAPES = ((1, 16), (5, 3), (17, 5), (40, 1))  # inputs, streams: also fewer and other than a tile takes
STEPS = 19                                    # no multiple of the steps whose weights' gradients are added up at once
CLOSE, REGROUPED = 1e-4, 2e-6                 # relative, of a whole tensor: against float64 (2e-5 is seen), another order of sums
F = np.float32

# kind -> the layers to try, for each size
EXAMPLES = {
    "rnn": [lambda n: RNN(n), lambda n: RNN(n, "relu")],
    "lstm": [lambda n: LSTM(n)],
    "gru": [lambda n: GRU(n), lambda n: GRU(n, reset_after=False)],
    "mingru": [lambda n: MinGRU(n)],
    "minlstm": [lambda n: MinLSTM(n)],
    "lru": [lambda n: LRU(n), lambda n: LRU(9, n)],
    "attention": [lambda n: Attention(n, 7), lambda n: Attention(3 * n, 17, heads=3)],
    "recurrence": [
        lambda n: Recurrence("lstm", n, peepholes=True, clip=0.9, projection=5),
        lambda n: Recurrence("lstm", n, ("hard_sigmoid", ("scaled_tanh", 0.8, 0.6), "softsign"), input_forget=True, peepholes=True,
                             projection=n + 20, starts=True),
        lambda n: Recurrence("lstm", n, (("hard_sigmoid", 0.25, 0.5), "elu", "tanh"), clip=0.9, starts=True),
        lambda n: Recurrence("gru", n, ("sigmoid", ("scaled_tanh", 0.9, 1.2)), clip=0.8, starts=True),
        lambda n: Recurrence("gru", n, ("hard_sigmoid", "softsign"), reset_after=False, clip=1.5, starts=True),
        lambda n: Recurrence("rnn", n, ("softsign",), clip=0.9, starts=True)],
    "activation": [lambda n, a=a: Activation(*a) for a in (
        ("softplus",), ("elu", 0.7), ("affine", 0.5, 0.1), ("leaky_relu",), ("thresholded_relu", 0.1), ("hard_sigmoid", -0.4, 0.3),
        ("scaled_tanh", 0.8, 0.6), ("softsign",), ("sigmoid",), ("softmax",))],
    "dense": [lambda n, a=a: Dense(n, a) for a in (None, "relu", "tanh", "sigmoid", "softmax")],
    "embedding": [lambda n: Embedding(29, n)],
    "layernorm": [lambda n: LayerNorm(), lambda n: LayerNorm(epsilon=0.1)],
    "dropout": [lambda n: Dropout(0.25), lambda n: Dropout(0.5, variational=True), lambda n: Dropout(0)],
    "scale": [lambda n: Scale()],
    "unscale": [lambda n: Unscale()],
}
AS_WIDE_AS_ITS_INPUT = {"layernorm", "dropout", "scale", "unscale", "activation"}

STACKS = {
    "recurrent": ([LSTM(23), GRU(17), RNN(33)], None),
    "gru both ways, normed": ([GRU(20), LayerNorm(), GRU(9, reset_after=False), Dense(3, "sigmoid")], None),
    "dropout everywhere": ([Dropout(0.5), LSTM(18), Dropout(0.25), RNN(7, "relu"), Dropout(0.1), Dense(2)], None),
    "a table below": ([Embedding(29, 5), LSTM(12), Dense(29, "softmax")], None),
    "dense, wide and narrow": ([Dense(9, "tanh"), Dense(8, "tanh"), Dense(40, "relu"), Dense(1)], None),
    "dense, narrow first": ([Dense(8, "sigmoid"), Dense(17)], None),
    "scaled on both ends": ([Scale(), GRU(18), Dense(9, "relu"), Dense(2), Unscale()], None),
    "none that waits for a product": ([MinGRU(18), LRU(9), Dropout(0.25), Attention(6, 5, 2), LayerNorm(), MinLSTM(21), Dense(2)], None),
    "deep heads": ([LSTM(19), Dense(12, "tanh")], {"few": Dense(3), "share": [Dense(23, "relu"), Dense(11, "softmax")],
                                                   "slow": [GRU(10), Dropout(0.5), LayerNorm(), Dense(1)]}),
}
TRUNKS = [Dense(4), Dense(4, "tanh"), Dense(20), LSTM(6), Dropout(0.1)]
HEADS = {
    "one value each": {"a": Dense(1), "b": Dense(1)},
    "recurrent": {"a": GRU(9), "b": LSTM(20)},
    "identity, then a dense one": {"a": Dropout(0), "b": Dense(3)},
    "identity twice": {"a": Dropout(0), "b": Dropout(0)},
    "a masked one, then identity": {"a": Dropout(0.5), "b": Dropout(0)},
}

every_example = pytest.mark.parametrize(
    ("kind", "example", "size"),
    [pytest.param(kind, example, size, id=f"{kind}-{i}-{size}")
     for kind in LAYERS for i, example in enumerate(EXAMPLES.get(kind, [])) for size in SIZES])
every_stack = pytest.mark.parametrize(("layers", "heads"), STACKS.values(), ids=STACKS)


# -- both ways ---------------------------------------------------------------------------------------------------------

def model_of(rng, inputs, layers, heads=None):
    """Biases, scales and shifts are drawn: none of them is 0 or 1."""
    model = Model(inputs, layers, heads, seed=inputs)
    return model.with_tensors({name: rng.uniform(-0.5, 0.5, t.shape).astype(F) if t.ndim == 1 else t for name, t in model.tensors.items()})


def samples(rng, model, *shape):
    if model.layers[0].kind == "embedding":
        return rng.integers(0, model.layers[0].vocabulary, (*shape, model.inputs)).astype(F)
    return numbers(rng, *shape, model.inputs)


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype(F)


class Window:
    """A model in training, with samples, gradients of results and dropout's masks drawn for it: (streams, time, width)."""

    def __init__(self, rng, model, streams, time=STEPS, lengths=None):
        self.model, self.weights, self.time = model, Weights(model), time
        self.lengths = np.full(streams, time) if lengths is None else lengths
        self.over = np.arange(time) >= self.lengths[:, None]
        self.x = samples(rng, model, streams, time)
        self.d_y = np.where(self.over[..., None], F(0), numbers(rng, streams, time, model.outputs))
        dropping = [(name, layer) for name, layer, _ in model.stacks() if layer.kind == "dropout" and layer.rate]
        self.masks, self.places = {}, {}  # by layer; where a tape's work has them
        for (name, layer), (offset, size, masked) in zip(dropping, self.weights.plan.masks, strict=True):
            assert masked is layer
            self.masks[name] = rng.choice([0, 1 / (1 - layer.rate)], (streams, time, size)).astype(F)
            self.places[name] = slice(offset, offset + size)

    def masks_of(self, stream, time=None):
        return {name: mask[stream, :time] for name, mask in self.masks.items()}

    def laid(self, part=slice(None), sample_gradients=True):
        """On a tape: all of it or a part of its steps."""
        x = self.x[:, part]
        tape = Tape(self.weights, len(x), x.shape[1], sample_gradients=sample_gradients)
        tape.samples[:, :len(x), :self.model.inputs] = x.swapaxes(0, 1)
        tape.lengths[:len(x)] = self.lengths
        for name, mask in self.masks.items():
            tape.work[1:, :len(x), self.places[name]] = mask[:, part].swapaxes(0, 1)
        return tape

    def gone(self, **options):
        """On a tape, after its forward steps."""
        tape = self.laid(**options)
        tape.forwards(self.time)
        return tape

    def back(self, tape, cuts=(), arena=None):
        """The arena of gradients, by going back in one piece or in several."""
        arena = np.zeros(self.weights.size, F) if arena is None else arena
        tape.d_results[:, :len(self.x)] = self.d_y.swapaxes(0, 1)
        ends = [0, *cuts, self.time]
        for first, last in zip(ends[-2::-1], ends[:0:-1], strict=True):
            tape.backwards(arena, first, last)
        assert (arena[self.weights.learnt == 0] == 0).all()
        return arena

    def d_x(self, tape):
        return tape.d_samples[:, :len(self.x), :self.model.inputs].swapaxes(0, 1)

    def twin(self, model=None):
        """What it should be: the streams' gradients of tensors, added up, and of x."""
        model, d_x = model or self.model, np.zeros(self.x.shape)
        total = {name: np.zeros(tensor.shape) for name, tensor in model.tensors.items()}
        for b, length in enumerate(self.lengths):
            found, d_x[b, :length] = reference.gradient(model, self.x[b, :length], self.d_y[b, :length], self.masks_of(b, length))
            for name, gradient in found.items():
                total[name] += gradient
        return total, d_x

    def check(self):
        """Everything that it tells: results, the gradients of tensors and of samples."""
        tape = self.gone()
        for b, length in enumerate(self.lengths):
            y, x = tape.results[:length, b], self.x[b, :length]
            if self.masks:
                assert np.allclose(y, reference.run(self.model, x, self.masks_of(b, length)), atol=1e-5)
            else:
                assert same_bits(y, self.model.run(x))
        self.compare(tape, *self.twin())

    def compare(self, tape, want, want_x):
        gradients = self.weights.gradients(self.back(tape))
        assert gradients.keys() == want.keys()
        for name in want:
            assert close(gradients[name], want[name]), name
        assert close(self.d_x(tape), want_x)


def close(got, want, tolerance=CLOSE):
    return got.shape == want.shape and np.linalg.norm(got - want) <= tolerance * np.linalg.norm(want)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype == F and a.tobytes() == b.tobytes()


# -- every layer -------------------------------------------------------------------------------------------------------

def test_every_layer_there_is_has_an_example_here():
    assert set(EXAMPLES) == set(LAYERS) == set(reference.BACK)


@every_example
def test_a_layer_matches_the_twin(kind, example, size, rng):
    for inputs, streams in SHAPES:
        model = model_of(rng, size if kind in AS_WIDE_AS_ITS_INPUT else inputs, [example(size)])
        Window(rng, model, min(streams, GROUP)).check()


@pytest.mark.parametrize("layer", [RNN(9), LSTM(9), GRU(9), GRU(9, reset_after=False), Dense(8), Dense(9)], ids=repr)
def test_every_number_of_inputs_matches_the_twin(layer, rng):
    """Their gradients are shared among sweeps in ways of their own, and so are those of their weights."""
    for inputs in [*range(1, 36), 48, 63, 64, 65, 96, 113, 150, 240]:
        Window(rng, model_of(rng, inputs, [layer]), 3, time=3).check()


@pytest.mark.parametrize("streams", range(1, GROUP + 1))
def test_every_number_of_streams_matches_the_twin(streams, rng):
    for time in (1, 2, 16, 17, 33):
        Window(rng, model_of(rng, 3, [LSTM(5), Dense(2)]), streams, time).check()


@every_stack
def test_a_stack_matches_the_twin(layers, heads, rng):
    Window(rng, model_of(rng, 5, layers, heads), 5).check()


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("trunk", TRUNKS, ids=repr)
def test_heads_on_one_trunk_add_up(trunk, heads, rng):
    Window(rng, model_of(rng, 5, [trunk], heads), 3).check()


# -- lengths, states, pieces -------------------------------------------------------------------------------------------

SOME = {f"{kind}-{i}": ([example(11)], None) for kind, examples in EXAMPLES.items() for i, example in enumerate(examples)} | STACKS
some = pytest.mark.parametrize(("layers", "heads"), SOME.values(), ids=SOME)


@some
def test_nothing_behind_a_streams_length_counts(layers, heads, rng):
    streams = GROUP - 3
    window = Window(rng, model_of(rng, 5, layers, heads), streams, lengths=rng.permutation(np.linspace(0, STEPS, streams).astype(int)))
    window.check()

    over = window.over[..., None]
    garbage = samples(rng, window.model, streams, STEPS) * F(1 if layers[0].kind == "embedding" else 1e4)
    found = []
    for behind in (np.zeros_like(garbage), garbage):
        window.x = np.where(over, behind, window.x)
        tape = window.laid()
        tape.samples[:, streams:, :window.model.inputs] = behind[:1].swapaxes(0, 1)  # slots that no stream has
        tape.forwards(STEPS)
        arena = window.back(tape)
        assert (window.d_x(tape)[window.over] == 0).all() and (tape.d_samples[:, streams:] == 0).all()
        assert (tape.rows[1:, :streams].swapaxes(0, 1)[window.over] == 0).all()  # so what runs on there stays finite
        found.append((arena, tape.d_samples, *(tape.results[:length, b] for b, length in enumerate(window.lengths))))
    assert all(map(same_bits, *found))


def random_states(rng, model, plan, streams):
    """Values for each segment of a row: as rows, and as every stream's {layer: {name: value}}.

    A segment may have padding of its own: where a stream that has run has zeros. A count is one, no gradient of it counts.
    """
    stream = model.stream()
    stream.run(samples(rng, model, 100))
    used = stream.state()
    rows, states = np.zeros((streams, plan.stride), F), [{} for _ in range(streams)]
    for segment in plan.segments:
        layer, name = segment.name.rsplit(".", 1)
        values = (used[segment.name] != 0) * numbers(rng, streams, segment.size) / 2 if name != "count" else np.full((streams, 1), F(4))
        rows[:, segment.offset:segment.offset + segment.size] = values
        for state, value in zip(states, values, strict=True):
            state.setdefault(layer, {})[name] = value
    return rows, states


@some
@pytest.mark.parametrize("time", [1, 6])
def test_rows_before_the_first_step_and_behind_the_last_one_take_part(layers, heads, time, rng):
    window, streams = Window(rng, model_of(rng, 5, layers, heads), 5, time), range(5)
    plan = window.weights.plan
    (rows, states), (d_rows, d_states) = (random_states(rng, window.model, plan, 5) for _ in range(2))
    tape = window.laid()
    tape.rows[0, streams] = rows
    tape.d_rows[streams, (time - 1) % 2] = d_rows
    tape.forwards(time)
    found = [reference.gradient_from(window.model, window.x[b], window.d_y[b], window.masks_of(b), states[b], d_states[b]) for b in streams]
    tensors, d_x, d_first = zip(*found, strict=True)
    window.compare(tape, {name: sum(gradients[name] for gradients in tensors) for name in tensors[0]}, np.array(d_x))
    want = np.zeros(rows.shape)
    for segment in plan.segments:
        layer, name = segment.name.rsplit(".", 1)
        want[:, segment.offset:segment.offset + segment.size] = [state[layer][name] for state in d_first]
    assert close(tape.d_rows[streams, 1], want)  # where those behind a step -1 would lie


@some
@pytest.mark.parametrize("cut", [1, 8])
def test_windows_that_carry_the_rows_over_give_one_windows_results(layers, heads, cut, rng):
    window = Window(rng, model_of(rng, 5, layers, heads), 5)
    whole, first, second = window.gone(), window.laid(part=slice(None, cut)), window.laid(part=slice(cut, None))
    first.forwards(cut)
    second.rows[0] = first.rows[cut]
    second.forwards(STEPS - cut)
    assert same_bits(np.concatenate([first.results, second.results])[:, :5], whole.results[:, :5])
    assert same_bits(second.rows[-1, :5], whole.rows[-1, :5])


@some
@pytest.mark.parametrize("cut", [1, 8, STEPS - 1])
def test_going_back_in_two_pieces_is_going_back(layers, heads, cut, rng):
    window = Window(rng, model_of(rng, 5, layers, heads), 5)
    one, two = window.gone(), window.gone()
    arena, other = window.back(one), window.back(two, cuts=[cut])
    want, got = window.weights.gradients(arena), window.weights.gradients(other)
    assert all(close(got[name], want[name], REGROUPED) for name in want)  # the weights' sums are grouped differently
    assert same_bits(two.d_samples, one.d_samples) and same_bits(two.d_rows[:, 1], one.d_rows[:, 1])


@some
@pytest.mark.parametrize("piece", [1, 7, 8])
def test_pieces_that_are_gone_through_again_and_handed_back_are_going_back(layers, heads, piece, rng):
    """A tape of fewer steps than the window for each: what recomputing does."""
    window = Window(rng, model_of(rng, 5, layers, heads), 5)
    whole, arena, d_x, d_rows = window.gone(), np.zeros(window.weights.size, F), [], None
    for start in reversed(range(0, STEPS, piece)):
        steps = min(piece, STEPS - start)
        tape = window.laid(part=slice(start, start + steps))
        tape.rows[0] = whole.rows[start]
        tape.forwards(steps)
        if d_rows is not None:
            tape.d_rows[:] = d_rows
            tape.hand_back(steps)
        tape.d_results[:, :5] = window.d_y[:, start:start + steps].swapaxes(0, 1)
        tape.backwards(arena, 0, steps)
        d_rows = tape.d_rows.copy()
        d_x.insert(0, tape.d_samples)
    want, got = window.weights.gradients(window.back(whole)), window.weights.gradients(arena)
    assert all(close(got[name], want[name], REGROUPED) for name in want)
    assert same_bits(np.concatenate(d_x), whole.d_samples) and same_bits(d_rows[:, 1], whole.d_rows[:, 1])


@some
def test_gradients_of_samples_change_no_others_when_left_out(layers, heads, rng):
    window = Window(rng, model_of(rng, 5, layers, heads), 3)
    assert same_bits(window.back(window.gone()), window.back(window.gone(sample_gradients=False)))


@some
def test_a_tape_may_be_used_again(layers, heads, rng):
    """Nothing is left of the first time but the gradients of samples and rows, which the caller clears."""
    window = Window(rng, model_of(rng, 5, layers, heads), 3)
    used = window.gone()
    window.back(used)
    window.x = samples(rng, window.model, 3, STEPS)
    fresh = window.gone()
    used.samples[:] = fresh.samples
    used.d_samples[:] = used.d_rows[:] = 0
    used.forwards(STEPS)
    assert same_bits(used.results, fresh.results)
    assert same_bits(window.back(used), window.back(fresh)) and same_bits(used.d_samples, fresh.d_samples)


@some
def test_gradients_are_added_to_what_is_there(layers, heads, rng):
    window = Window(rng, model_of(rng, 5, layers, heads), 3)
    once = window.back(window.gone())
    twice = window.back(window.gone(), arena=once.copy())
    gradients, want = window.weights.gradients(twice), window.weights.gradients(2 * once)
    assert all(close(gradients[name], want[name], REGROUPED) for name in want)


def test_masks_of_ones_change_nothing(rng):
    window = Window(rng, model_of(rng, 5, *STACKS["dropout everywhere"]), 5)
    window.masks = {name: np.ones_like(mask) for name, mask in window.masks.items()}
    assert same_bits(window.gone().results[:, :5].swapaxes(0, 1), window.model.run(window.x))


@pytest.mark.parametrize("layer", [RNN, lambda n: RNN(n, "relu"), LSTM, GRU], ids=["rnn-tanh", "rnn-relu", "lstm", "gru"])
@pytest.mark.parametrize("units", [3, 17, 64])
def test_three_layers_and_a_linear_one_match_torch(layer, units, rng):
    torch = pytest.importorskip("torch")
    streams, time, inputs, outputs = min(13, GROUP), 30, 5, 2
    config = layer(units).config()
    options = {"nonlinearity": config["activation"]} if config["kind"] == "rnn" else {}
    torch.manual_seed(11)
    net = getattr(torch.nn, config["kind"].upper())(inputs, units, 3, batch_first=True, **options)
    top = torch.nn.Linear(units, outputs)
    named = {f"layers.{key[-1]}.{key[:-1]}0": p for key, p in net.named_parameters()}  # ..._l2 -> layers.2...._l0
    named |= {f"layers.3.{key}": p for key, p in top.named_parameters()}
    model = Model(inputs, [layer(units)] * 3 + [Dense(outputs)], tensors={name: p.detach().numpy() for name, p in named.items()})
    window = Window(rng, model, streams, time)
    x = torch.from_numpy(window.x).requires_grad_()
    (top(net(x)[0]) * torch.from_numpy(window.d_y)).sum().backward()
    window.compare(window.gone(), {name: p.grad.numpy() for name, p in named.items()}, x.grad.numpy())


# -- weights -----------------------------------------------------------------------------------------------------------

@some
def test_weights_pack_to_the_same_arena_again(layers, heads, rng):
    model = model_of(rng, 5, layers, heads)
    weights = Weights(model)
    tensors = weights.tensors()
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in model.tensors.items()}
    assert all(t.dtype == F for t in tensors.values())
    assert same_bits(weights.plan.fill(tensors)[0], weights.values) and same_bits(weights.values, model.packed.arena)
    other = numbers(rng, weights.size) * weights.learnt + weights.values * (1 - weights.learnt)  # padding and constants stay
    assert same_bits(weights.plan.fill(weights.tensors(other))[0], other)
    gradients = weights.gradients(other)
    assert {name: t.shape for name, t in gradients.items()} == {name: t.shape for name, t in model.tensors.items()}


@some
def test_weights_that_changed_are_those_that_run_and_go_back(layers, heads, rng):
    window = Window(rng, model_of(rng, 5, layers, heads), 3)
    weights = window.weights
    weights.values += numbers(rng, weights.size) / 10 * weights.learnt
    weights.refresh()
    window.compare(window.gone(), *window.twin(window.model.with_tensors(weights.tensors())))


@pytest.mark.parametrize(("layer", "apart"), [
    (RNN(5), []), (LSTM(5), []), (GRU(5), range(10, 15)), (GRU(5, reset_after=False), [])], ids=repr)
def test_biases_that_appear_as_a_sum_are_one_parameter(layer, apart, rng):
    """The first has the sum, the second is 0; only the two of torch's candidate stay `apart`."""
    model = model_of(rng, 3, [layer])
    weights = Weights(model)
    tensors, gradients = weights.tensors(), weights.gradients(numbers(rng, weights.size))
    first, second = (model.tensors[f"layers.0.bias_{name}_l0"] for name in ("ih", "hh"))
    own = np.isin(np.arange(len(first)), apart)
    assert same_bits(tensors["layers.0.bias_ih_l0"], np.where(own, first, first + second))
    assert same_bits(tensors["layers.0.bias_hh_l0"], np.where(own, second, F(0)))
    assert ((gradients["layers.0.bias_ih_l0"] == gradients["layers.0.bias_hh_l0"]) == ~own).all()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        assert same_bits(tensors[f"layers.0.{name}"], model.tensors[f"layers.0.{name}"])
    biases = len(first) + len(apart)
    assert weights.learnt.sum() == biases + sum(t.size for name, t in tensors.items() if "weight" in name)


def test_a_layers_constants_are_tensors_that_are_not_learnt(rng):
    model = model_of(rng, 5, [Scale(), Dense(3), Unscale()])
    weights = Weights(model)
    assert weights.learnt.sum() == 18
    assert {name: gradient.max() for name, gradient in weights.gradients(weights.learnt).items()} == {
        name: name.startswith("layers.1.") for name in model.tensors}
    assert all(same_bits(tensor, model.tensors[name]) for name, tensor in weights.tensors().items())


def test_layernorms_epsilon_is_a_constant_of_the_arena(rng):
    model = model_of(rng, 5, [LayerNorm(epsilon=0.125)])
    weights = Weights(model)
    assert weights.learnt.sum() == 10
    constants = weights.values[weights.learnt == 0]
    assert sorted(constants[constants != 0]) == [0.125]
    assert set(weights.tensors()) == {"layers.0.weight", "layers.0.bias"}
    Window(rng, model, 3).check()  # it counts, and has no gradient


def test_a_tensor_of_more_numbers_than_float32_counts_finds_its_places(rng):
    model = Model(1, [Embedding(DIGIT // 40, 41)])
    assert model.parameters > DIGIT
    weights = Weights(model)
    assert same_bits(weights.tensors()["layers.0.weight"], model.tensors["layers.0.weight"])
    assert weights.learnt.sum(dtype=np.int64) == model.parameters


def test_a_stage_without_a_derivative_is_refused_by_its_layer():
    with pytest.raises(ConfigError, match=r"layers\.0 cannot be trained"):
        Weights(Detector.cold(1).model)
