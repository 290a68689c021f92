"""What moves how: a net that watches small noisy frames, one at a time, and says after each which of eight activities it sees.

Run it: python examples/jobs/video.py   (--plot video.png draws a clip and what the net said; needs matplotlib)
The clips are made here: a disc, a square, a ring, a cross or a bar of any size, brightness and speed, somewhere on 12 x 12 pixels, on
a camera that shakes, under noise. What leaves on the right comes in on the left. Sizes and brightnesses of a single frame are
distributed alike in all activities and places nearly so: one frame says next to nothing, and it takes several to see a direction.
The baselines see the same clips and need scikit-learn: pip install scikit-learn"""
import argparse
import sys

import numpy as np

import streamrnn as sr
from streamrnn import metrics

SIDE, FRAMES, NOISE = 12, 24, 0.15
ACTIVITIES = "left", "right", "circling", "anticlockwise", "to and fro", "growing", "shrinking", "blinking"
SMALL, LARGE, DIM, BRIGHT = 1.2, 3.8, 0.5, 1.3


SHAPES = (lambda x, y, size: size - np.hypot(x, y),                                # how far inside: a disc,
          lambda x, y, size: 0.9 * size - np.maximum(x, y),                        # a square,
          lambda x, y, size: 0.8 - np.abs(np.hypot(x, y) - size),                  # a ring,
          lambda x, y, size: np.minimum(size - np.maximum(x, y), 0.7 - np.minimum(x, y)),   # a cross,
          lambda x, y, size: np.minimum(1.2 * size - y, 0.5 * size - x))           # a bar


def clips(count, rng):
    """frames (count, FRAMES, SIDE, SIDE) and activities (count,)"""
    kind, t = rng.integers(0, len(ACTIVITIES), count), np.arange(FRAMES)[None]
    column = lambda low, high: rng.uniform(low, high, (count, 1))
    phase, speed, size, light = column(0, 1), column(0.4, 1.0), column(SMALL, LARGE), column(DIM, BRIGHT)
    turn, radius = 2 * np.pi * (phase + t * speed / 12), column(2, 3.5)
    is_ = lambda name: (kind == ACTIVITIES.index(name))[:, None]
    sway = np.abs((phase + t * speed / 14) % 1 * 2 - 1) * 7 - 3.5                                  # to and fro over 8 pixels
    x = is_("right") * speed * t - is_("left") * speed * t + is_("to and fro") * sway
    x = x + column(-6, 6) * (is_("left") | is_("right"))
    x = x + (is_("circling") | is_("anticlockwise")) * radius * np.cos(turn)
    y = (is_("circling") * 1.0 - is_("anticlockwise")) * radius * np.sin(turn)
    wave = (phase + t * speed / 10) % 1
    grows = is_("growing") * wave + is_("shrinking") * (1 - wave)
    size = np.where(is_("growing") | is_("shrinking"), SMALL + (LARGE - SMALL) * grows, size)    # and from the start again
    light = np.where(is_("blinking"), DIM + (BRIGHT - DIM) * np.abs(2 * wave - 1), light)
    shake = 0.15 * rng.standard_normal((2, count, FRAMES)).cumsum(-1)
    return _drawn(x + shake[0] + column(4, SIDE - 4), y + shake[1] + column(4, SIDE - 4), size, light, rng), kind


def _drawn(x, y, size, light, rng):
    """The frames of shapes at x, y (count, FRAMES), their edges blurred over a pixel, under noise."""
    pixels, shape = np.arange(SIDE, dtype=np.float32), rng.integers(0, len(SHAPES), len(x))
    frames = NOISE * rng.standard_normal((*x.shape, SIDE, SIDE), np.float32)
    apart = lambda place: np.abs((pixels - place[..., None] + SIDE / 2) % SIDE - SIDE / 2).astype(np.float32)
    wide, tall = apart(x), apart(y)
    size, light = (np.broadcast_to(one, x.shape)[..., None, None].astype(np.float32) for one in (size, light))
    for k, inside in enumerate(SHAPES):
        of = shape == k
        frames[of] += light[of] * np.clip(inside(wide[of][:, :, None, :], tall[of][:, :, :, None], size[of]) + 0.5, 0, 1)
    return frames


def flat(frames):
    """(clips, FRAMES, pixels), as the net takes them."""
    return frames.reshape(*frames.shape[:2], -1)


def train(frames, kinds, units=64, epochs=24, seed=0):
    """A trained model and its History; the target stands at every frame but the first three."""
    y = np.repeat(kinds[:, None], FRAMES, 1)
    y[:, :3] = -100
    layers = [sr.Dense(48, "relu"), sr.LSTM(units), sr.Dropout(0.2), sr.Dense(len(ACTIVITIES), "softmax")]
    model = sr.Model(inputs=SIDE * SIDE, layers=layers, seed=seed)
    history = sr.fit(model, flat(frames), y, loss="cross_entropy", optimizer=sr.Adam(4e-3, clip=1.0), schedule=sr.Cosine(),
                     batch=64, epochs=epochs, seed=seed)
    return model, history


def regression(x, kinds, test):
    """What logistic regression calls the rows of test (clips, columns)."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        sys.exit("this example takes its baselines from scikit-learn: pip install scikit-learn")
    return LogisticRegression(C=1e-3, max_iter=500, tol=1e-3).fit(x.reshape(len(x), -1), kinds).predict(test.reshape(len(test), -1))


def baselines(frames, kinds, test, truth):
    """{name: accuracy} of what looks at one frame, at all differences between frames, and at how much each pixel changes."""
    single = [metrics.accuracy(truth, regression(frames[:, t], kinds, test[:, t])) for t in range(0, FRAMES, 6)]
    step, changes = np.diff(frames, axis=1), lambda clips: np.abs(np.diff(clips, axis=1)).mean(1)
    return {"the best single frame": max(single),
            "all differences of frames": metrics.accuracy(truth, regression(step, kinds, np.diff(test, axis=1))),
            "how much pixels change": metrics.accuracy(truth, regression(changes(frames), kinds, changes(test)))}


def draw(clip, p, truth, path):
    """Every third frame of a clip, and below how likely each activity was after each frame."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(9, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, FRAMES // 3, height_ratios=[1, 2.4])
    for k, t in enumerate(range(0, FRAMES, 3)):
        axes = figure.add_subplot(grid[0, k])
        axes.imshow(clip[t], cmap="gray", vmin=-0.5, vmax=1.5)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"frame {t + 1}", fontsize=9)
    axes = figure.add_subplot(grid[1, :])
    for k in np.argsort(-p.max(0)):
        shown = p[:, k].max() > 0.2
        axes.plot(range(1, FRAMES + 1), p[:, k], lw=3 if k == truth else 1.5, color=None if shown else "lightgrey",
                  label=ACTIVITIES[k] + (" (the truth)" if k == truth else "") if shown else None)
    axes.set(xlabel="frames seen", ylabel="probability", xlim=(1, FRAMES), ylim=(0, 1.02))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--count", type=int, default=8000, help="clips to learn from")
    parser.add_argument("--units", type=int, default=64, help="units of the LSTM")
    parser.add_argument("--epochs", type=int, default=24, help="times through them")
    parser.add_argument("--seed", type=int, default=0, help="of the clips and the first weights")
    parser.add_argument("--plot", metavar="FILE", help="draw a clip and what the net said")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    (frames, kinds), (test, truth) = clips(options.count, rng), clips(1000, rng)
    model, history = train(frames, kinds, options.units, options.epochs, options.seed)
    print(f"{model}\ntrained on {len(frames):,} clips of {FRAMES} frames, {history.epochs} epochs, {sum(history.seconds):.1f} s")

    p = model.run(flat(test))
    right = (p.argmax(-1) == truth[:, None]).mean(0)
    print(f"right on {len(test):,} other clips, of eight activities:")
    for name, share in {**baselines(frames, kinds, test, truth), "net, after the last frame": right[-1]}.items():
        print(f"  {name:<28}{share:>7.1%}")
    print("net, after frames 1, 3, 5 ...: " + " ".join(f"{share:.0%}" for share in right[::2]))
    print("down: what it was; across: what it was called")
    for name, row in zip(ACTIVITIES, metrics.confusion(truth, p[:, -1].argmax(-1), classes=len(ACTIVITIES)), strict=True):
        print(f"  {name:<15}" + "".join(f"{count:>5}" if count else "    ." for count in row))

    changes = (np.diff(p.argmax(-1), axis=1) != 0).sum(1)
    shown = np.where(p[np.arange(len(p)), -1, truth] > 0.95, changes, 0).argmax()   # right in the end, and it changed its mind most
    print(f"the clip over which it changed its mind most, as a stream, frame by frame; it is: {ACTIVITIES[truth[shown]]}")
    stream = model.stream()
    for t, frame in enumerate(flat(test)[shown], 1):
        p_t = stream.step(frame)
        second, first = np.argsort(p_t)[-2:]
        if t % 2:
            bar = "#" * round(20 * p_t[first])
            print(f"  {t:>2}  {ACTIVITIES[first]:<14}{p_t[first]:>4.0%} {bar:<20}  {ACTIVITIES[second]} {p_t[second]:.0%}")
    if options.plot:
        draw(test[shown], p[shown], truth[shown], options.plot)
        print(f"drew {options.plot}")


if __name__ == "__main__":
    main()
