"""streamrnn export: a model for elsewhere; each target is an option that names the file to write."""


def options(parser):
    parser.add_argument("model", help="a model file (.safetensors)")
    for name, (_, text) in TARGETS.items():
        parser.add_argument(f"--{name}", metavar="OUT", help=text)
    parser.add_argument("--sequence", action="store_true", help="onnx: a whole sequence a call, instead of one step")


def run(chosen):
    from streamrnn.errors import ConfigError
    from streamrnn.model.model import load

    wanted = [name for name in TARGETS if getattr(chosen, name)]
    if not wanted:
        raise ConfigError(f"nothing to write: name a file for one or more of {', '.join(f'--{name}' for name in TARGETS)}")
    model = load(chosen.model)
    return max(TARGETS[name][0](model, getattr(chosen, name), chosen) for name in wanted)


def onnx(model, path, chosen):
    from streamrnn.interop.to_onnx import to_onnx

    proto = to_onnx(model, path, sequence=chosen.sequence)
    shown = lambda value: f"{value.name} ({', '.join(dim.dim_param or str(dim.dim_value) for dim in value.type.tensor_type.shape.dim)})"
    print(f"{path}: takes {', '.join(map(shown, proto.graph.input))}; gives {', '.join(map(shown, proto.graph.output))}")
    return 0


TARGETS = {"onnx": (onnx, "write an ONNX graph, its state as inputs and outputs: OUT.onnx (needs onnx)")}
