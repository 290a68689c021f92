"""streamrnn import: a model of another library as a model file, with a report of what became what."""


def options(parser):
    parser.add_argument("file", help="an ONNX file (.onnx)")
    parser.add_argument("-o", "--output", required=True, help="the model file to write (.safetensors)")
    parser.add_argument("--inputs", help="the graph input that brings samples; by default the first")
    parser.add_argument("--outputs", nargs="+", metavar="NAME", help="graph outputs to take; by default all that are no states")


def run(chosen):
    from streamrnn.interop.from_onnx import model_of

    model, report = model_of(chosen.file, inputs=chosen.inputs, outputs=chosen.outputs)
    model.save(chosen.output)
    print(report)
    print(f"wrote {chosen.output}: {model!r}")
    return 0
