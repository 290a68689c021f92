"""streamrnn import: a model from another framework's file, proven against that framework where it is installed."""
import argparse
import math


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
    parser.add_argument("file", help="the file to import (.onnx)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="where to save the model (.safetensors)")
    parser.add_argument("--tolerance", type=tolerance, default=1e-4, help="the largest error of the proof (1e-4)")
    parser.add_argument("--inputs", metavar="NAME", help="onnx: the graph input that brings samples; by default the first")
    parser.add_argument("--outputs", action="append", metavar="NAME", help="onnx: an output to take; by default all that are no states")


def run(chosen):
    from streamrnn.interop.from_onnx import from_onnx

    model, _ = from_onnx(chosen.file, tolerance=chosen.tolerance, inputs=chosen.inputs, outputs=chosen.outputs)
    model.save(chosen.output)
    print(f"saved {chosen.output}: {model}")
    return 0
