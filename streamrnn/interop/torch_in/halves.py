"""What a torch network takes of a bidirectional layer: its output y, its final states h, a half of them, or halves put together again.

y is (batch, time, 2 H), forward half first; h is (layers x 2, batch, H), an axis that is called "directions" here. At the last step
the backward half has seen one sample; its final state belongs to the first one. Which it is, is an option of the layer's Part: see
`recurrent.joined`.
"""
from torch import nn

from streamrnn.interop.chain import refusal
from streamrnn.interop.torch_in.trace import JOINS, tensors_in

BATCH = 3  # of the probe


class Halves:
    """A Walker's part (walk.py): it brings parts, axes and last."""
    whole = 0  # the width of a bidirectional layer's half, while the tensor at hand is nothing but its result

    def result(self, event, result):
        """The output, or the final states h."""
        module, flat = event.module, tensors_in(event.result)
        self.whole = (module.proj_size or module.hidden_size) if module.bidirectional else 0
        if result is not flat[0]:
            if isinstance(module, nn.LSTM) and result is flat[2]:
                raise refusal(event.name, "its cell state c is used as a result", "use its output, or h")
            self.axes, self.last = ("directions" if module.bidirectional else "layers", "batch", "features"), True
            self.take("final")

    def take(self, end, merge="concat"):
        """Of the bidirectional layer that came last, this."""
        if self.whole:
            self.parts[-1] = self.parts[-1]._replace(options=self.parts[-1].options | {"end": end, "merge": merge})

    @property
    def taken(self):
        return self.parts[-1].options.get("end", "steps")

    def join(self, event):
        """Two halves of one bidirectional layer, which is the last part: side by side, or their sum."""
        sides = []
        for source, result, steps in event.halves:
            side = type(self)(self.axes, self.tensor, [])
            side.parts, side.last, side.tensor = self.parts[:], self.last, result
            side.result(source, result)
            for step, after in steps:
                side.step(step, after)
            sides.append(side)
        there, back = sides if sides[0].taken == "forward" else sides[::-1]
        merge, named = JOINS[event.name], dict(zip(("tensors", "dim"), event.args, strict=False)) | event.kwargs
        fits = (there.taken, back.taken.split(",")[0], there.axes, there.last) == ("forward", "backward", back.axes, back.last)
        if merge == "concat":
            dim = named.get("dim", named.get("axis", 0))
            fits = fits and there is sides[0] and there.axes[dim] == "features"
        elif "alpha" in named:
            fits = False
        if not fits:
            raise refusal(str(event), f"puts together [{sides[0].taken}] and [{sides[1].taken}] of {event.halves[0][0].name}",
                          "of a bidirectional layer, only the forward and the backward half, of the same steps and in this order, or "
                          "the final states of both, torch.cat((h[-2], h[-1]), -1), can be put together")
        self.whole, self.axes, self.last = there.whole, there.axes, there.last
        self.take("final" if back.taken == "backward, final" else "steps", merge)
        self.whole = 0

    def choose_half(self, axes, sizes, index):
        """Half of a bidirectional layer's features: `index` then takes all that is left of them."""
        for n, (axis, size, i) in enumerate(zip(axes, sizes, index, strict=False)):
            if axis == "features" and size == 2 * self.whole and isinstance(i, slice):
                chosen = range(*i.indices(size))
                if chosen in (range(self.whole), range(self.whole, size)):
                    self.take("forward" if chosen.start == 0 else "backward")
                    index[n] = slice(None)

    def end_of_half(self, axis, size, i):
        """Is that where the backward half ends, or one direction's final state, or the last layer's both? Then it is taken."""
        if axis == "time" and i in (0, -size) and self.taken == "backward" and not self.last:
            self.last = True
            self.take("backward, final")
        elif axis == "directions" and isinstance(i, int) and i % size >= size - 2:
            self.take("forward" if i % size == size - 2 else "backward, final")
        else:
            return axis == "directions" and i in (slice(-2, None), slice(size - 2, None), slice(size - 2, size))
        return True

    def states_aside(self, source, result):
        """Final states in another shape: the directions apart from the layers, or side by side."""
        if self.axes == ("batch", "directions", "features") and source.shape[1] == 2 and result.shape == (BATCH, 2 * self.whole):
            self.axes, self.whole = ("batch", "features"), 0
        elif self.axes[0] == "directions" and result.shape == (len(source) // 2, 2, *source.shape[1:]):
            self.axes = ("layers", *self.axes)
        else:
            return False
        return True
