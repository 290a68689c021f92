"""The command line: `streamrnn COMMAND`. One file a command; numba comes only with what needs it."""
import argparse
import keyword
import sys
from importlib import import_module

COMMANDS = {
    "demo": "watch a detector find faults in simulated pumping stations, live",
    "train": "fit an anomaly detector, or train a model, on a table and save it",
    "detect": "run a table through a detector: what was strange in it, when and why",
    "explain": "what a model's output comes from: which inputs, how far back, and what its gates do",
    "tune": "search for the layers and the rate that train best on a table",
    "import": "bring a model in from PyTorch, Keras or ONNX, proven against it",
    "serve": "serve models on ZeroMQ",
    "send": "send a table's rows to a server, and write what comes back",
    "watch": "show what a server does, live",
    "keys": "make CURVE keys for a server and its clients",
    "export": "write a model for elsewhere: C for a microcontroller, an ONNX graph, a torch state_dict",
    "warmup": "compile everything once, so that later starts take a fraction of a second",
    "info": "what this installation is: versions, processor, cache, what a model file holds, or what a server serves",
    "bench": "measure step latency and throughput on this machine",
}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="streamrnn", description="A compiled streaming inference engine for recurrent nets.")
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        _module(name).options(command)
    chosen = parser.parse_args(arguments)
    if chosen.version:
        from streamrnn import __version__
        print(__version__)
        return 0
    if chosen.command is None:
        parser.print_help()
        return 0
    from streamrnn.errors import StreamRNNError
    try:
        return _module(chosen.command).run(chosen) or 0
    except (StreamRNNError, OSError) as error:
        print(f"streamrnn {chosen.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _module(command):
    """The file of a command: of its name, but for `import`, which no module can be called in Python's own words."""
    return import_module(f"streamrnn.cli.{command}{'_' if keyword.iskeyword(command) else ''}")


if __name__ == "__main__":
    sys.exit(main())
