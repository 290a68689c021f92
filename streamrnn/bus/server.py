"""Server: models on ZeroMQ. Sockets and threads are made, wired and ended here; what they do stands in files of their own.

Threads: the loop (runner.py), which owns the sockets; the control thread (control.py); the store's, if there is a state file
(keeper.py). They hear of each other through inproc pipes and plain fields of the tables only.
"""
import itertools
import logging
import struct
import threading
import time
from pathlib import Path

import zmq

import streamrnn
from streamrnn.bus.control import STAGES, Control, counted, quantiles
from streamrnn.bus.core import layout as L
from streamrnn.bus.core import libzmq
from streamrnn.bus.desk import Desk, Limits
from streamrnn.bus.keeper import Keeper
from streamrnn.bus.runner import CompiledRunner, pair
from streamrnn.bus.security import Guard, check_bind
from streamrnn.bus.store import Store
from streamrnn.bus.watches import Silence, TimeToLive
from streamrnn.errors import ConfigError, StateError
from streamrnn.model.model import Model, load

log = logging.getLogger("streamrnn.bus")
PUBLISHED = 20   # times as many results as replies may wait: they are small
PATIENCE = 10.0  # seconds for the last pages to be written at the end


class Server:
    """Models on ZeroMQ: `with Server(model, listen="tcp://127.0.0.1:5555", state="state.db"): ...`

    models       a Model, or {name: Model}; the first one is meant when a frame names none
    listen       endpoint of the ROUTER socket: requests and replies
    pull         endpoint of the PULL socket: samples without replies
    publish      endpoint of the PUB socket: every result, and events
    state        path of the state file: streams survive a restart or a crash, as docs/guarantees.md says
    keep_state   also take a state file of the same layers with other weights
    save_every   seconds between two writes of what has changed, at least
    limits       Limits(frame, streams, per_peer, rate)
    spin         microseconds to look for messages before the loop sleeps: CPU for latency
    ttl, silent  seconds without a sample after which a stream is closed, or said to be silent
    reorder      milliseconds that a sample waits for those before it, if their seqs are missing
    server_key   path of a CURVE secret key file; `allow`: a folder of public keys of clients that may connect
    insecure     bind beyond this machine without CURVE
    swap_from    a folder from which clients may swap in models; None: they may not
    hwm          replies that wait for a slow peer before they are dropped and counted; results for a slow consumer: 20 times
    context      a zmq.Context to use (for inproc); one of its own otherwise
    """

    def __init__(
        self,
        models,
        *,
        listen=None,
        pull=None,
        publish=None,
        state=None,
        keep_state=False,
        save_every=1.0,
        limits=Limits(),  # noqa: B008
        spin=0,
        ttl=None,
        silent=None,
        reorder=0,
        server_key=None,
        allow=None,
        insecure=False,
        swap_from=None,
        hwm=5_000,
        context=None,
        compiled=True,
    ):
        models = {"": models} if isinstance(models, Model) else dict(models)
        endpoints = {name: endpoint for name, endpoint in (("router", listen), ("pull", pull), ("publish", publish)) if endpoint}
        _check(models, endpoints, limits, save_every=save_every, ttl=ttl, silent=silent)
        for endpoint in endpoints.values():
            check_bind(endpoint, curve=server_key is not None, insecure=insecure)
        self.swap_from, self.publishes = swap_from, "publish" in endpoints
        self._began, self._cycles = time.monotonic(), itertools.count(1)
        self.store = Store(state, list(models.items()), keep=keep_state) if state is not None else None
        self._closing, self._own_context = [], context is None
        self._context = zmq.Context() if context is None else context
        try:
            epoch = self.store.epoch if self.store else int(time.time())
            self.desk = Desk(
                list(models.items()), limits, keeps=self.store is not None, publishes=self.publishes, epoch=epoch, reorder=reorder
            )
            if self.store:
                self._load()
            self._guard = Guard(self._context, server_key, allow) if server_key is not None else None
            self.endpoints = {}
            sockets = {name: self._bind(name, endpoint, hwm, limits) for name, endpoint in endpoints.items()}
            self._pipe, control_end = pair(self._context, "control")
            self._notes, keeper_end = pair(self._context, "keeper")
            self._closing += [self._pipe, control_end, self._notes, keeper_end]
            runner = CompiledRunner if compiled and libzmq.available else _slow_runner()
            self._runner = runner(self.desk, sockets, self._pipe, self._notes, spin=spin, save_every=save_every if self.store else None)
            self._closing += [poke.socket for poke in self._runner.pokes]
            for_control, for_keeper = self._runner.pokes or (lambda: None, lambda: None)
            self.watches = [TimeToLive(self.desk, ttl)] if ttl else []
            self.watches += [Silence(self.desk, silent)] if silent else []
            self._control = Control(self, control_end, self._context, for_control)
            self._keeper = Keeper(self.store, self.desk, keeper_end, self.swapped, for_keeper) if self.store else None
        except BaseException:
            self._close()
            raise
        self._settled = threading.Event()  # no swap is under way
        self._settled.set()
        self._stopping = threading.Lock()
        self._stopped = False

    def _load(self):
        for house in self.desk.houses:
            for slots, ids, seqs, states in self.store.load(house.name):
                house.fill(slots, ids, seqs, states)
            house.free_the_rest()

    def _bind(self, name, endpoint, hwm, limits):
        socket = self._context.socket({"router": zmq.ROUTER, "pull": zmq.PULL, "publish": zmq.PUB}[name])
        self._closing.append(socket)
        socket.sndhwm = PUBLISHED * hwm if name == "publish" else hwm
        socket.rcvhwm = min(hwm, 1000)                           # then TCP makes the peer wait
        socket.linger = 1000
        if name != "publish":
            socket.setsockopt(zmq.MAXMSGSIZE, 2 * limits.frame)  # what is somewhat too large gets an error, the rest is cut off
        if name == "router":
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)           # so that replies nobody takes are counted
            socket.setsockopt(zmq.ROUTER_HANDOVER, 1)            # a peer that comes back under its name is the same one
        for option, value in ((zmq.TCP_KEEPALIVE, 1), (zmq.TCP_KEEPALIVE_IDLE, 30), (zmq.TCP_KEEPALIVE_INTVL, 10),
                              (zmq.HEARTBEAT_IVL, 10_000), (zmq.HEARTBEAT_TIMEOUT, 30_000)):
            socket.setsockopt(option, value)                     # half-open connections are found and dropped
        if self._guard:
            self._guard.protect(socket)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ConfigError(f"cannot bind {endpoint}: {error}. Is another server there? Choose another endpoint") from None
        self.endpoints[name] = socket.last_endpoint.decode()
        return socket

    # -- life --------------------------------------------------------------------------------------------------------------

    def start(self):
        """Serve, in threads of its own, from now on."""
        if self._keeper:
            self._keeper.start()
        self._control.start()
        self._runner.start()
        return self

    def stop(self):
        """Answer what has come, write what has changed, and end. False if the last changes could not be written."""
        with self._stopping:
            if self._stopped:
                return True
            self._stopped = True
        if self._keeper:
            self._keeper.hurry()
        self._control.call(lambda: self._control.send(L.STOP))
        self._runner.join()
        self._control.stop()
        fine = True
        if self._keeper:
            self._notes.send(struct.pack("<2q", L.QUIT, 0))
            fine = self._keeper.finish(PATIENCE)
            unsaved = sum(int(house.table[L.DIRTY_LAST] - house.table[L.DIRTY_FIRST]) for house in self.desk.houses)
            if not fine or unsaved:
                log.error("stopped with changes that could not be written: %s", self._keeper.failing or f"{unsaved} streams")
                fine = False
        self._close()
        return fine

    def _close(self):
        for socket in self._closing:
            socket.close()
        if getattr(self, "_guard", None):
            self._guard.close()
        if self._own_context:
            self._context.term()
        if self.store:
            self.store.close()

    def wait(self, timeout=None):
        """Until the loop ends by itself (it should not); True if it did."""
        return self._runner.join(timeout)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # -- seeing it -----------------------------------------------------------------------------------------------------------

    def info(self):
        """What is served, in plain values."""
        desk = self.desk
        return {
            "version": streamrnn.__version__, "epoch": int(desk.table[L.EPOCH]), "store": self.store is not None,
            "models": [{"name": house.name, "inputs": house.model.inputs, "outputs": house.outputs, "digest": house.model.digest,
                        "layers": repr(house.model), "streams": len(house), "capacity": house.capacity} for house in desk.houses],
            "limits": desk.limits._asdict(),
        }

    def stats(self):
        """Counters since the start, latencies of the loop in microseconds, and how the store fares."""
        waits = self.desk.waits
        return {
            "uptime": round(time.monotonic() - self._began, 3), **counted(self.desk.counters),
            "streams": sum(map(len, self.desk.houses)),
            "silent": sum(watch.count for watch in self.watches if isinstance(watch, Silence)),
            "latency_us": {stage: dict(zip(("p50", "p99", "p99.9"), quantiles(waits[n]), strict=True)) for n, stage in enumerate(STAGES)},
            "waits": waits[L.WHOLE, :L.BUCKETS].tolist(),
            "denied": self._guard.denied if self._guard else 0,
            **({"state": {"failing": self._keeper.failing, "commits": self._keeper.commits, "rows": self._keeper.rows,
                          "seconds": round(self._keeper.seconds, 3), "age": round(time.monotonic() - self._keeper.kept_at, 3)}}
               if self._keeper else {}),
        }

    # -- asking for something ------------------------------------------------------------------------------------------------

    def snapshot(self, timeout=60):
        """Return when all that was stepped before this call is durable."""
        done, fine = threading.Event(), []
        self._control.call(lambda: self.snapshot_soon(lambda result: (fine.append(result), done.set()), timeout))
        if not done.wait(timeout + 1) or not fine[0]:
            raise StateError(f"the state file could not be written in time{': ' + self._keeper.failing if self._keeper.failing else ''}")

    def snapshot_soon(self, then, timeout=30):
        """In the control thread: ask the loop for a cycle, and say `then(fine)` when it is durable."""
        if not self._keeper:
            raise StateError("this server keeps no state file: start it with --state PATH")
        cycle = next(self._cycles)
        self._keeper.hurry(cycle)
        self._control.send(L.SAVE, cycle)
        threading.Thread(target=lambda: then(self._keeper.wait_for(cycle, timeout)), daemon=True).start()


    def swap(self, model, of=None, state="keep"):
        """Serve another model (or the file at a path) in place of the one named `of`, from between two samples on.

        state="keep": streams go on from their rows; the layers must be the same. "reset": they start from zeros, their seqs
        go on. No sample is lost either way.
        """
        done, result = threading.Event(), []

        def work():
            try:
                result.append(self.swap_in_control(model, of, state))
            except BaseException as error:
                result.append(error)
            done.set()
        self._settled.wait(PATIENCE)  # one swap at a time
        self._control.call(work)
        done.wait()
        if isinstance(result[0], BaseException):
            raise result[0]
        if not self._settled.wait(PATIENCE):
            raise StateError("the swap is done, but the state file could not be told of it yet: see the log")
        return result[0]

    def swap_in_control(self, model, of, state, remote=False):
        if not self._settled.is_set():
            raise ConfigError("another swap is under way: try again")
        if remote:
            model = self._swappable(model)
        if not isinstance(model, Model):
            model = load(model)
        places = [place for place, house in enumerate(self.desk.houses) if of in (None, house.name)]
        if not places:
            raise ConfigError(f"no model named {of!r} is served here, but {', '.join(repr(house.name) for house in self.desk.houses)}")
        if state not in ("keep", "reset"):
            raise ConfigError(f'state is "keep" or "reset", got {state!r}')
        house = self.desk.houses[places[0]]
        same = model.signature == house.model.signature
        if state == "keep" and not same:
            raise StateError(f"the streams' rows do not fit a model of other layers: {model!r} for {house.model!r}. "
                             'Swap with state "reset" to start them from zeros')
        self._settled.clear()
        self.desk.expect(places[0], house.successor(model, state == "reset"))
        self._control.send(L.SWAP, places[0], int(self.desk.houses[places[0]].table.ctypes.data))
        log.info("swapped %r for %r, states %s", house.model, model, state)
        return {"model": model.digest, "state": "kept" if state == "keep" else "reset"}

    def swapped(self, place, by_keeper=False):
        """The loop has done it; with a state file, the store's thread is the last one to need the former house."""
        if by_keeper or not self._keeper:
            self.desk.forget_former(place)
            self._settled.set()

    def _swappable(self, path):
        """A client's path within the folder that it may name."""
        if self.swap_from is None:
            raise ConfigError("clients may not swap models on this server: start it with --swap-from FOLDER")
        folder = Path(self.swap_from).resolve()
        found = (folder / str(path)).resolve()
        if not found.is_relative_to(folder) or not found.is_file():
            raise ConfigError(f"no model file {path!r} in the folder that models may be swapped in from")
        return found


def _check(models, endpoints, limits, **seconds):
    if not models or not all(isinstance(model, Model) for model in models.values()):
        raise ConfigError(f"a server needs a Model, or several by name, got {models!r}: load them with streamrnn.load(path)")
    if not {"router", "pull"} & endpoints.keys():
        raise ConfigError("a server listens somewhere: give it listen= (requests) or pull= (samples without replies)")
    if limits.frame < 64 or limits.per_peer < 0 or limits.rate < 0:
        raise ConfigError(f"limits are 64 bytes a frame or more, and no less than 0 for a peer; got {limits}")
    for name, value in seconds.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
            raise ConfigError(f"{name} must be seconds above 0, got {value!r}")


def _slow_runner():
    from streamrnn.bus.slow_loop import PolledRunner
    return PolledRunner
