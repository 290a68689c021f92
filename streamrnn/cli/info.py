"""streamrnn info: versions, processor and cache, what a model file holds, or what a server serves."""
import platform


def options(parser):
    parser.add_argument("model", nargs="?", help="a model file (.safetensors), or a server's endpoint (tcp://...)")


def run(chosen):
    if chosen.model and "://" in chosen.model:
        return _server(chosen.model)
    if chosen.model:
        return _model(chosen.model)
    import llvmlite
    import numba
    import numpy

    import streamrnn
    from streamrnn import jit, lanes
    from streamrnn.cuda import device

    folder = jit.cache_folder()
    files = sorted(folder.glob("*.bin")) if folder.is_dir() else []
    cached = f"{len(files)} kernels, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB" if files else "empty: run `streamrnn warmup`"
    for name, value in {
        "streamrnn": streamrnn.__version__, "python": platform.python_version(), "numba": numba.__version__,
        "llvmlite": llvmlite.__version__, "numpy": numpy.__version__, "processor": jit.CPU,
        "lanes": f"{lanes.LANES} float32 a register, {lanes.REGISTERS} registers", "gpu": device.described(),
        "cache": f"{folder} ({cached})",
    }.items():
        print(f"{name:<10} {value}")
    return 0


def _server(endpoint):
    from streamrnn.clients.client import Client

    with Client(endpoint) as client:
        info = client.info()
    state = "keeps a state file" if info["store"] else "keeps no state file"
    print(f"streamrnn {info['version']} at {endpoint}, epoch {info['epoch']}, {state}")
    for model in info["models"]:
        name, streams = model["name"] or "(default)", f"{model['streams']:,} of {model['capacity']:,} streams"
        print(f"{name:<10} {streams}; {model['layers']}; digest {model['digest']}")
    limits = info["limits"]
    print(f"limits     {limits['frame']:,} bytes a frame, {limits['per_peer'] or 'any number of'} streams a peer, "
          f"{limits['rate'] or 'any number of'} samples a second from one peer")
    return 0


def _model(path):
    from streamrnn.model.model import load

    model = load(path)
    plan = None if model.looks_ahead else model.packed.plan
    if plan and plan.report:
        told = "samples bring their time" if plan.timed else "samples bring no time"
        print(f"a detector of {len(plan.sensors)} sensors: {', '.join(plan.sensors)}")
        print(f"a row every {model.layers[0].period:g} s; {told}; {model.row_bytes:,} bytes a stream")
    print(model)
    print(f"digest     {model.digest}")
    for name, tensor in model.tensors.items():
        print(f"{name:<32} {tuple(tensor.shape)}")
    return 0
