"""streamrnn import: a model from another framework's file, proven against that framework where it is installed.

A format is a reader in streamrnn/interop, `from_NAME(path, tolerance=, say=, ...)`, that returns (model, report).
"""
import argparse
import math
from importlib import import_module
from pathlib import Path
from typing import NamedTuple


class Format(NamedTuple):
    suffixes: tuple[str, ...]
    takes: tuple[str, ...] = ()  # options beside --tolerance and --seed


FORMATS = {
    "torch": Format((".pt", ".pth", ".safetensors", ".ckpt", ".bin"), ("layers",)),
    "keras": Format((".keras", ".h5", ".hdf5"), ("accept",)),
    "onnx": Format((".onnx",), ("inputs", "outputs")),
}


def tolerance(text):
    """An argument that is an error above 0; inf takes everything."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"a number above 0, such as 1e-4, got {text!r}")
    return value


def options(parser):
    known = "; ".join(f"{name}: {', '.join(form.suffixes)}" for name, form in FORMATS.items())
    parser.add_argument("file", help=f"the file to import ({known})")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="where to save the model (.safetensors)")
    parser.add_argument("--format", choices=list(FORMATS), help="what the file is, where its name does not say it")
    parser.add_argument("--tolerance", type=tolerance, default=1e-4, help="the largest error of the proof (1e-4)")
    parser.add_argument("--layers", metavar="WORDS",
                        help='torch: what a state_dict does not tell, such as "rnn=RNN:relu,fc1=Linear:relu,fc2=Linear"')
    parser.add_argument("--accept", action="append", metavar="NAME",
                        help="keras: what does not matter to your streams, such as embedding.mask_zero")
    parser.add_argument("--inputs", metavar="NAME", help="onnx: the graph input that brings samples; by default the first")
    parser.add_argument("--outputs", action="append", metavar="NAME", help="onnx: an output to take; by default all that are no states")


def run(chosen):
    from streamrnn.errors import ConfigError

    name = chosen.format or _format_of(chosen.file)
    options_of_one = sorted({key for form in FORMATS.values() for key in form.takes})
    given = {key: getattr(chosen, key) for key in options_of_one if getattr(chosen, key) is not None}
    for key in given:
        if key not in FORMATS[name].takes:
            homes = ", ".join(other for other, form in FORMATS.items() if key in form.takes)
            raise ConfigError(f"--{key} is for {homes}, and {chosen.file} is read as {name}")
    output = Path(chosen.output)
    if output.exists() and output.samefile(chosen.file):
        raise ConfigError(f"-o {output} is the file that is imported: name another one")
    read = getattr(import_module(f"streamrnn.interop.from_{name}"), f"from_{name}")
    model, _ = read(chosen.file, tolerance=chosen.tolerance, **given)
    model.save(output)
    print(f"saved {output}: {model}")
    return 0


def _format_of(file):
    from streamrnn.errors import ConfigError

    suffix = Path(file).suffix.lower()
    for name, form in FORMATS.items():
        if suffix in form.suffixes:
            return name
    raise ConfigError(f"{file}: its name does not say what it is: give --format, one of {', '.join(FORMATS)}")
