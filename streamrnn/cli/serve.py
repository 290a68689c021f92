"""streamrnn serve: models on ZeroMQ, until SIGTERM or Ctrl-C; then what has come is answered and what has changed is written."""
import json
import logging
import os
import select
import signal
import socket
import sys
import time
from contextlib import contextmanager

BY_DEFAULT = "tcp://127.0.0.1:5555"


def options(parser):
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model file, or NAME=FILE for several; the first is the default one")
    where = parser.add_argument_group("where (docs/protocol.md)")
    where.add_argument("--listen", metavar="ENDPOINT", help=f"requests and replies; {BY_DEFAULT} unless --pull is given")
    where.add_argument("--pull", metavar="ENDPOINT", help="samples without replies")
    where.add_argument("--publish", metavar="ENDPOINT", help="every result and event")
    state = parser.add_argument_group("state (docs/guarantees.md)")
    state.add_argument("--state", metavar="FILE", help="keep streams in this file: they survive a restart or a crash")
    state.add_argument("--save-every", type=float, default=1.0, metavar="S", help="seconds between two writes, at least; 1")
    state.add_argument("--keep-state", action="store_true", help="go on with a state file of the same layers with other weights")
    streams = parser.add_argument_group("streams")
    streams.add_argument("--ttl", type=float, metavar="S", help="close a stream after so many seconds without a sample")
    streams.add_argument("--silent", type=float, metavar="S", help="publish an event when a stream has stopped for so long")
    streams.add_argument("--reorder", type=float, default=0, metavar="MS", help="wait so long for a sample whose later ones came first; 0")
    limits = parser.add_argument_group("limits and security (docs/security.md)")
    limits.add_argument("--streams", type=int, default=1_000_000, metavar="N", help="streams of each model at most; 1,000,000")
    limits.add_argument("--max-frame", type=int, default=1 << 20, metavar="BYTES", help="1 MiB")
    limits.add_argument("--streams-per-peer", type=int, default=0, metavar="N", help="that one peer may open; no limit")
    limits.add_argument("--rate", type=int, default=0, metavar="N", help="samples a second from one peer; no limit")
    limits.add_argument("--hwm", type=int, default=5_000, metavar="N",
                        help="replies that wait for a slow peer (results for a slow consumer: 20 times as many); 5,000")
    limits.add_argument("--server-key", metavar="FILE", help="encrypt with CURVE: the server's secret key (streamrnn keys)")
    limits.add_argument("--allow", metavar="FOLDER", help="only clients whose public keys lie in this folder")
    limits.add_argument("--insecure", action="store_true", help="bind beyond this machine without CURVE")
    limits.add_argument("--swap-from", metavar="FOLDER", help="clients may swap in models from this folder")
    running = parser.add_argument_group("running")
    running.add_argument("--spin", type=int, default=0, metavar="US", help="look for messages so long before sleeping: CPU for latency; 0")
    running.add_argument("--metrics", metavar="[HOST:]PORT", help="Prometheus endpoint")
    running.add_argument("--log", choices=("text", "json"), default="text", help="how log lines look, on stderr")


def run(chosen):
    with _logging_to_stderr(chosen.log), _Stop() as stop:
        return _serve(chosen, stop)


def _serve(chosen, stop):
    from streamrnn.bus.desk import Limits
    from streamrnn.bus.metrics import serve_metrics
    from streamrnn.bus.server import Server
    from streamrnn.model.model import load

    _compile_first()
    models = dict(_named(text) for text in chosen.models)
    if len(models) != len(chosen.models):
        raise SystemExit("streamrnn serve: two models have the same name: call them NAME=FILE")
    listen = chosen.listen or (None if chosen.pull else BY_DEFAULT)
    server = Server(
        {name: load(path) for name, path in models.items()}, listen=listen, pull=chosen.pull, publish=chosen.publish, state=chosen.state,
        keep_state=chosen.keep_state, save_every=chosen.save_every, ttl=chosen.ttl, silent=chosen.silent, reorder=chosen.reorder,
        limits=Limits(chosen.max_frame, chosen.streams, chosen.streams_per_peer, chosen.rate), hwm=chosen.hwm,
        server_key=chosen.server_key, allow=chosen.allow, insecure=chosen.insecure, swap_from=chosen.swap_from, spin=chosen.spin)
    server.start()
    stop_metrics = serve_metrics(server, *_address(chosen.metrics)) if chosen.metrics else None
    where = ", ".join(f"{name} {endpoint}" for name, endpoint in server.endpoints.items())
    info = server.info()
    streams = sum(model["streams"] for model in info["models"])
    print(f"ready: {where}; {len(info['models'])} model(s), {streams:,} streams, epoch {info['epoch']}", flush=True)
    _tell_systemd("READY=1")
    log = logging.getLogger("streamrnn.bus")
    while not stop.wait(1.0):
        if server.wait(0):
            log.critical("the loop has ended: stopping")
            break
    _tell_systemd("STOPPING=1")
    if stop.signal:
        log.info("%s: answering what has come, writing what has changed", stop.signal)
    fine = server.stop()
    if stop_metrics:
        stop_metrics()
    return 0 if fine and stop.signal else 1


class _Stop:
    """SIGTERM or Ctrl-C, whichever thread the system gives them to: `wait` hears of them at once."""

    def __enter__(self):
        self.signal = None
        self._hear, self._say = os.pipe()
        os.set_blocking(self._say, False)
        self._former = signal.set_wakeup_fd(self._say, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former)
        for end in (self._hear, self._say):
            os.close(end)

    def _note(self, number, frame):
        self.signal = signal.Signals(number).name

    def wait(self, seconds):
        select.select([self._hear], [], [], 0 if self.signal else seconds)
        return self.signal is not None


def _named(text):
    name, _, path = text.rpartition("=")
    return name, path


def _address(text):
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


def _compile_first():
    """With a bar, if there is anything to compile."""
    from rich.console import Console

    from streamrnn.cli.warmup import BUS, SERVING, cache_is_cold, compile_all
    if cache_is_cold(SERVING + BUS):
        compile_all(Console(stderr=True), SERVING + BUS)


def _tell_systemd(state):
    """sd_notify: a datagram to the socket that systemd names, if it does."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + path[1:] if path.startswith("@") else path)
            notify.send(state.encode())


class _Json(logging.Formatter):
    def format(self, record):
        line = {"time": round(record.created, 3), "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def _logging_to_stderr(how):
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-8s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    text.converter = time.gmtime
    handler.setFormatter(_Json() if how == "json" else text)
    root = logging.getLogger("streamrnn")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
