"""streamrnn info: versions, processor and cache, or what a model file holds."""
import platform


def options(parser):
    parser.add_argument("model", nargs="?", help="a model file (.safetensors) to describe")


def run(chosen):
    if chosen.model:
        return _model(chosen.model)
    import llvmlite
    import numba
    import numpy

    import streamrnn
    from streamrnn import jit, lanes

    folder = jit.cache_folder()
    files = sorted(folder.glob("*.bin")) if folder.is_dir() else []
    cached = f"{len(files)} kernels, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB" if files else "empty: run `streamrnn warmup`"
    for name, value in {
        "streamrnn": streamrnn.__version__, "python": platform.python_version(), "numba": numba.__version__,
        "llvmlite": llvmlite.__version__, "numpy": numpy.__version__, "processor": jit.CPU,
        "lanes": f"{lanes.LANES} float32 a register, {lanes.REGISTERS} registers", "cache": f"{folder} ({cached})",
    }.items():
        print(f"{name:<10} {value}")
    return 0


def _model(path):
    from streamrnn.model.model import load

    model = load(path)
    print(model)
    print(f"digest     {model.digest}")
    for name, tensor in model.tensors.items():
        print(f"{name:<32} {tuple(tensor.shape)}")
    return 0
