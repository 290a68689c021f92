"""A model as one C99 file, for the microcontroller beside the sensor: `export(model, "plant.c")`."""
from streamrnn.interop.c.check import Parity, compiler, parity
from streamrnn.interop.c.writer import Program, export, program

__all__ = ["export", "program", "Program", "parity", "Parity", "compiler"]
