"""Every cell there is, named in one place: a new cell is one file and one name in CELLS."""
from streamrnn.cells import activation, dense, dropout, embedding, gru, layernorm, lstm, plumbing, rnn, scale

CELLS = (plumbing, rnn, lstm, gru, dense, activation, embedding, layernorm, dropout, scale)

STAGES = tuple(stage for cell in CELLS for stage in cell.STAGES)
"""What the kernels run; a stage's number in a plan is its position here."""

LAYERS = {layer.kind: layer for cell in CELLS for layer in cell.LAYERS}
"""What a model file names."""
