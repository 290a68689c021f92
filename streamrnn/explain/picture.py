"""One picture of a model at work: the output, what it looks at over time and columns, gates, and states in two dimensions.

Panels on the left share the time axis: the steps before the one that is explained. Heat maps are [column or unit][step].
"""
import numpy as np

from streamrnn.training.history import finished, matplotlib

WIDTH, DPI = 14, 100     # inches, dots each
SHOWN = 12               # columns at most, the strongest
UNITS = 6                # of a layer, those that vary most
LEAST, MOST = 24, 400    # steps of the time axis, unless it is said how many
POINTS = 5000            # of a trajectory
LETTERS = 80             # steps up to which tokens are written into their cells
RAISES, SIZE, GATE, TIME = "RdBu_r", "Blues", "viridis", "plasma"
HERE = "tab:red"
WORDS = {"deviation": "moved by, a standard\ndeviation of the column", "input": "gradient x input", "gradient": "gradient"}


def draw(saliency, activations=None, projection=None, *, layer=None, results=None, steps=None, units=UNITS, colour="time", by=None,
         tokens=None, sequence=0, title=None, path=None):
    """Written to `path` if given, else the figure is answered.

    results (T,): the output over time; tokens(number): the piece of text that it stands for; sequence: which of the projection's
    sequences is explained. Panels without data are left out.
    """
    pyplot = matplotlib()
    first = saliency.at + 1 - span(saliency, steps, by)
    gates = _gates(activations, layer, first, saliency.at, units) if activations is not None else []
    strongest = list(saliency.shares(by))[:SHOWN]
    heights = [1.0] * (results is not None) + [max(0.7, 0.26 * len(strongest))] + [0.14 * len(rows) + 0.05 for _, _, rows, _ in gates]
    planes = [] if projection is None else [name for name in dict.fromkeys(["time", saliency.output if colour == "time" else colour])
                                            if name in ("time", *projection.columns, *projection.outputs)]
    height = max(sum(heights) + 0.12 * len(heights) + 0.9, 3.5 * len(planes))
    figure = pyplot.figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    halves = figure.add_gridspec(1, 2, width_ratios=(2.4, 1)) if projection is not None else figure.add_gridspec(1, 1)
    left = halves[0].subgridspec(len(heights), 1, height_ratios=heights)
    axes = [figure.add_subplot(left[0])]
    axes += [figure.add_subplot(left[k], sharex=axes[0]) for k in range(1, len(heights))]
    rest = list(axes)
    if results is not None:
        _output(rest.pop(0), saliency, results, first)
    _heat(figure, rest.pop(0), saliency, strongest, first, by, tokens)
    for k, (axis, gate) in enumerate(zip(rest, gates, strict=True)):
        _gate(figure, axis, gate, first, f"inside {_named(activations, layer)}: {_shown_of(activations, layer)}" if k == 0 else "")
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)
    axes[-1].set_xlabel("step")
    axes[-1].set_xlim(first - 0.5, saliency.at + 0.5)
    axes[-1].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes[0].set_title(title or f"{saliency.output} at step {saliency.at}: where it comes from", loc="left")
    if projection is not None:
        right = halves[1].subgridspec(len(planes), 1)
        for k, name in enumerate(planes):
            _plane(figure, figure.add_subplot(right[k]), projection, name, (sequence, saliency.at))
    return finished(figure, path, DPI)


def draw_projection(projection, colour="time", path=None):
    pyplot = matplotlib()
    figure, axis = pyplot.subplots(figsize=(7, 6), dpi=DPI, layout="constrained")
    _plane(figure, axis, projection, colour)
    return finished(figure, path, DPI)


def span(saliency, steps=None, by=None):
    """How many steps the time axis has: as many as were asked for, or those that hold 99 % of the saliency, within limits."""
    wanted = min(MOST, max(LEAST, round(1.15 * (saliency.reach(by=by) + 1)))) if steps is None else steps
    return min(wanted, saliency.at + 1)


def varied(values, count):
    """The numbers of the `count` units whose values (T, units) vary most, in their order."""
    return np.sort(np.argsort(-values.std(0, dtype=np.float64), kind="stable")[:count])


# -- panels ------------------------------------------------------------------------------------------------------------

def _output(axis, saliency, results, first):
    steps = np.arange(first, saliency.at + 1)
    axis.plot(steps, results[first:saliency.at + 1], color="0.15", linewidth=1, marker="." if len(steps) < 3 else None)
    axis.plot(saliency.at, results[saliency.at], "o", color=HERE, markersize=5, clip_on=False, zorder=3)
    axis.set_ylabel(_short(saliency.output))
    axis.grid(alpha=0.25)


def _heat(figure, axis, saliency, columns, first, by, tokens):
    places = [saliency.columns.index(name) for name in columns]
    values = saliency.measured(by)[first:saliency.at + 1, places].T
    most = float(np.abs(values).max()) or 1.0
    signed = saliency.signed and not (saliency.embedded is not None and by == "gradient")
    shown = _map(axis, values, first, (-most, most) if signed else (0, most), RAISES if signed else SIZE)
    shares, hidden = saliency.shares(by), len(saliency.columns) - len(columns)
    axis.set_yticks(range(len(columns)), [f"{_short(name)}  {100 * shares[name]:.0f} %" for name in columns])
    if hidden:
        axis.set_ylabel(f"(+{hidden} weaker)", fontsize=8)
    bar = figure.colorbar(shown, ax=axis, pad=0.01, fraction=0.03, aspect=max(8, 2.5 * len(columns)))
    bar.set_label(WORDS[by or saliency.measure], fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.ax.locator_params(nbins=3)
    if tokens is not None and saliency.embedded is not None and values.shape[1] <= LETTERS:
        _write(axis, saliency, places, first, tokens, values, most)


def _write(axis, saliency, places, first, tokens, values, most):
    """Each token into its cell."""
    pieces = [[tokens(saliency.x[t, k]) for t in range(first, saliency.at + 1)] for k in places]
    turned = 90 if max(len(piece) for row in pieces for piece in row) > 2 else 0
    for k, row in enumerate(pieces):
        for j, piece in enumerate(row):
            axis.text(first + j, k, piece[:14], ha="center", va="center", rotation=turned, fontsize=9 if values.shape[1] <= 50 else 7,
                      color="white" if abs(values[k, j]) > 0.6 * most else "0.1")


def _gates(activations, layer, first, last, count):
    """[(name, limits, units, values (units, steps))]; of attention the share of each number of steps back, the mean of its heads."""
    parts = activations[_layer(activations, layer)]
    if "shares" in parts:
        parts = {"back": parts["shares"].mean(1)}
    units = varied(next(iter(parts.values()))[first:last + 1], count)
    found = []
    for name, values in parts.items():
        values = values[first:last + 1, units].T
        most = float(np.abs(values).max()) or 1.0
        limits = (0, 1) if values.min() >= 0 and most <= 1 else (-1, 1) if most <= 1 else (-most, most)
        found.append((name, limits, units, values))
    return found


def _gate(figure, axis, gate, first, title):
    name, limits, units, values = gate
    shown = _map(axis, values, first, limits, GATE if limits[0] == 0 else RAISES)
    axis.set_yticks(range(len(units)), [str(u) for u in units], fontsize=6)
    axis.set_ylabel(name, rotation=0, ha="right", va="center", fontweight="bold")
    if title:
        axis.set_title(title, loc="left", fontsize=10)
    bar = figure.colorbar(shown, ax=axis, pad=0.01, fraction=0.03, aspect=6, ticks=[limits[0], limits[1]])
    bar.ax.set_yticklabels([f"{limit:.3g}" for limit in limits], fontsize=8)


def _map(axis, values, first, limits, colours):
    return axis.imshow(values, aspect="auto", interpolation="nearest", cmap=colours, vmin=limits[0], vmax=limits[1],
                       extent=(first - 0.5, first + values.shape[1] - 0.5, len(values) - 0.5, -0.5))


def _plane(figure, axis, projection, colour, explained=None):
    """explained: (sequence, step) gets a ring around it."""
    values = projection.colours(colour)
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    shown = None
    for points, part in zip(projection.points, values, strict=True):
        each = -(-len(points) // POINTS)
        points, part = points[::each], part[::each]
        axis.plot(*points.T, color="0.6", linewidth=0.5, alpha=0.4, zorder=1)
        shown = axis.scatter(*points.T, c=part, s=9, cmap=TIME, vmin=low, vmax=high, linewidths=0, zorder=2)
        axis.plot(*points[0], marker="^", color="0.1", markersize=6, linestyle="", zorder=3)
    axis.plot([], [], marker="^", color="0.1", linestyle="", label="first step" if len(values) == 1 else "first steps")
    if explained is not None:
        axis.plot(*projection.points[explained[0]][explained[1]], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=HERE,
                  markeredgewidth=1.8, linestyle="", zorder=4, label=f"step {explained[1]}")
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    for label, share in zip((axis.set_xlabel, axis.set_ylabel), projection.explained, strict=True):
        label(f"{100 * share:.0f} % of the variance")
    axis.set_title(f"h of {projection.layer} ({projection.kind}) over {sum(map(len, values)):,} steps\n", loc="left", fontsize=10)
    bar = figure.colorbar(shown, ax=axis, pad=0.02, fraction=0.05, aspect=30)
    bar.set_label("step" if colour == "time" else colour, fontsize=9)


def _layer(activations, layer):
    from streamrnn.explain.activations import found_layer
    return list(activations)[-1] if layer is None else found_layer(activations.layers, layer)


def _named(activations, layer):
    layer = _layer(activations, layer)
    return f"{layer} ({activations.kinds[layer]})"


def _shown_of(activations, layer):
    shares = "shares" in activations[_layer(activations, layer)]
    return "its shares by how many steps back it looks, those that vary most" if shares else "the units that vary most"


def _short(name):
    return name if len(name) <= 22 else name[:21] + "\u2026"
