"""python -m bench.bus.loop MODEL ENDPOINT: the service in plain Python, over pyzmq and msgpack, with the very same compiled step."""
import sys

import msgpack
import numpy as np
import zmq

import streamrnn as sr


def main(path, endpoint):
    model = sr.load(path)
    engine, last = sr.Engine(model, capacity=1_000_000), {}
    socket = zmq.Context.instance().socket(zmq.ROUTER)
    socket.set_hwm(100_000)
    socket.bind(endpoint)
    print("ready", flush=True)
    while True:
        peer, frame = socket.recv_multipart()
        try:
            reply = answer(engine, last, msgpack.unpackb(frame))
        except (ValueError, KeyError, TypeError, sr.EngineFull) as error:
            reply = {"error": "bad_frame", "detail": str(error)}
        socket.send_multipart([peer, msgpack.packb(reply)])


def answer(engine, last, sample):
    stream, seq = sample["stream"], sample["seq"]
    old, result = last.get(stream, (0, b""))
    if seq <= old:
        return {"stream": stream, "seq": old, "y": result, "duplicate": True}
    x = np.frombuffer(sample["x"], np.float32).copy()  # step takes a writable array much faster than bytes seen as one
    y = engine.step(stream, x).tobytes()
    last[stream] = seq, y
    return {"stream": stream, "seq": seq, "y": y} if seq == old + 1 else {"stream": stream, "seq": seq, "y": y, "jump": True}


if __name__ == "__main__":
    main(*sys.argv[1:])
