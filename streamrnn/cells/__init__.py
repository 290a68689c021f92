"""Every cell there is, named in one place: a new cell is one file and one name in CELLS."""
from streamrnn.cells import (
    activation,
    attention,
    dense,
    dropout,
    embedding,
    gru,
    layernorm,
    lru,
    lstm,
    mingru,
    minlstm,
    plumbing,
    rnn,
    scale,
)
from streamrnn.cells.general import both_ways, elementwise, recurrence
from streamrnn.cells.monitors import (
    alarm,
    echo,
    forecast,
    intake,
    level,
    novelty,
    patterns,
    recursive,
    regress,
    report,
    season,
    surprise,
)
from streamrnn.errors import ConfigError

CELLS = (plumbing, rnn, lstm, gru, mingru, minlstm, lru, attention, dense, activation, embedding, layernorm, dropout, scale)

GENERAL = (recurrence, elementwise, both_ways)
"""What models from elsewhere need besides."""

MONITORS = (intake, season, recursive, regress, forecast, surprise, level, patterns, novelty, echo, alarm, report)
"""The parts of a detector."""

STAGES = tuple(stage for cell in CELLS for stage in cell.STAGES if not getattr(stage, "apart", False))
"""What the kernels hold; a stage's number in a plan is its position here. Those that stand apart share the number behind."""

LAYERS = {layer.kind: layer for cell in CELLS + GENERAL + MONITORS for layer in cell.LAYERS}
"""What a model file names."""


def layer_of(config):
    """The layer of a saved configuration."""
    entry = dict(config)
    kind = entry.pop("kind", None)
    if kind not in LAYERS:
        raise ConfigError(f"unknown layer kind {kind!r}: this version knows {', '.join(LAYERS)}")
    try:
        return LAYERS[kind](**entry)
    except TypeError as error:
        raise ConfigError(f"layer {kind!r} cannot be built from {entry}: {error}") from None
