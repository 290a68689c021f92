"""streamrnn export: a model for elsewhere; each target is an option that names the file to write."""
from pathlib import Path


def options(parser):
    parser.add_argument("model", help="a model file (.safetensors)")
    for name, (_, text) in TARGETS.items():
        parser.add_argument(f"--{name}", metavar="OUT", help=text)
    parser.add_argument("--name", help="what the functions of the C file begin with (default: the name of that file)")
    parser.add_argument("--sequence", action="store_true", help="the ONNX graph takes a whole sequence a call, instead of one step")
    parser.add_argument("--check", action="store_true", help="compile the C file here and compare it with the model over random samples")


def run(chosen):
    from streamrnn.errors import ConfigError
    from streamrnn.model.model import load

    wanted = [name for name in TARGETS if getattr(chosen, name)]
    if not wanted:
        raise ConfigError(f"nothing to write: name a file for one or more of {', '.join(f'--{name}' for name in TARGETS)}")
    if not chosen.c and (chosen.name or chosen.check):
        raise ConfigError("--name and --check belong to --c OUT.c")
    if chosen.sequence and not chosen.onnx:
        raise ConfigError("--sequence belongs to --onnx OUT.onnx")
    model = load(chosen.model)
    return max(TARGETS[name][0](model, getattr(chosen, name), chosen) for name in wanted)


def c(model, path, chosen):
    from streamrnn.interop import c

    made = c.export(model, path, c_name(path) if chosen.name is None else chosen.name)
    print(f"{path}: {made.name}_step; {made.weight_bytes:,} bytes of weights, {made.state_bytes:,} bytes a stream, "
          f"{made.work_bytes:,} bytes of work on the stack")
    if not chosen.check:
        return 0
    fused, rounded = c.parity(model, made), c.parity(model, made, fused=False)
    bits = "equal bit for bit" if fused.differing == 0 else f"{fused.differing:,} differ, by up to {fused.largest:.1e}"
    print(f"checked over {fused.results:,} results of up to {fused.peak:.3g}: with a fused multiply-add {bits}; "
          f"without one they differ by up to {rounded.largest:.1e}")
    return int(fused.differing > 0)


def c_name(path):
    """A file's name as C takes it: my-plant.c -> my_plant."""
    stem = Path(path).stem
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in stem)


def onnx(model, path, chosen):
    from streamrnn.interop.to_onnx import to_onnx

    proto = to_onnx(model, path, sequence=chosen.sequence)
    shown = lambda value: f"{value.name} ({', '.join(dim.dim_param or str(dim.dim_value) for dim in value.type.tensor_type.shape.dim)})"
    print(f"{path}: takes {', '.join(map(shown, proto.graph.input))}; gives {', '.join(map(shown, proto.graph.output))}")
    return 0


def torch(model, path, chosen):
    from streamrnn.interop import torch

    net = torch.export(model, path)
    found = torch.parity(model, net)
    print(f"{path}: state_dict of {len(net.state_dict())} tensors, and the config; "
          f"torch's results differ by up to {found.largest:.1e} over {found.results:,} of up to {found.peak:.3g}")
    return 0


TARGETS = {
    "c": (c, "write one C99 file for a microcontroller: OUT.c"),
    "onnx": (onnx, "write an ONNX graph, its state as inputs and outputs: OUT.onnx (needs onnx)"),
    "torch": (torch, "write a torch state_dict and the config: OUT.pt (needs torch)"),
}
