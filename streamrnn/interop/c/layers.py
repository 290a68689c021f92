"""Every layer in C: the pieces of all, and by the layer's kind the function that puts it into the program.

A call (to, layer, tensors, x, inputs) writes to the program `to` (writer.py) and answers where its result lies. A new cell is a
function and its piece in a file of its own, and a name in its CALLS.
"""
from streamrnn.interop.c import gated, general, modern, plain

PIECES = plain.PIECES | gated.PIECES | general.PIECES | modern.PIECES
CALLS = gated.CALLS | plain.CALLS | modern.CALLS | general.CALLS
