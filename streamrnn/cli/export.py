"""streamrnn export: a model file in the form of another library."""


def options(parser):
    parser.add_argument("model", help="a model file (.safetensors)")
    parser.add_argument("--onnx", metavar="FILE", required=True, help="write an ONNX graph: one step a call, states as inputs and outputs")
    parser.add_argument("--sequence", action="store_true", help="a whole sequence a call instead")


def run(chosen):
    from streamrnn.interop.to_onnx import to_onnx
    from streamrnn.model.model import load

    proto = to_onnx(load(chosen.model), chosen.onnx, sequence=chosen.sequence)
    shape = lambda value: ", ".join(dim.dim_param or str(dim.dim_value) for dim in value.type.tensor_type.shape.dim)
    for what, values in (("takes", proto.graph.input), ("gives", proto.graph.output)):
        print(what, *(f"{value.name} ({shape(value)})" for value in values), sep="\n  ")
    print(f"wrote {chosen.onnx}")
    return 0
