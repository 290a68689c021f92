"""Any ZeroMQ and msgpack will do, nothing of streamrnn is needed here. Start a server first:

    streamrnn serve plant.safetensors --listen tcp://127.0.0.1:5555

and then    pip install pyzmq msgpack && python plain.py
"""
import math

import msgpack
import zmq

with zmq.Context() as context, context.socket(zmq.REQ) as socket:
    def ask(**request):
        socket.send(msgpack.packb(request))
        return msgpack.unpackb(socket.recv())

    socket.connect("tcp://127.0.0.1:5555")
    model = ask(op="info")["models"][0]
    print(f"{model['inputs']} inputs, {model['outputs']} outputs, {model['streams']:,} streams")
    last = ask(op="resume", streams=["pump-7"])["last"]["pump-7"]  # 0 for a new stream: where to go on
    for seq in range(last + 1, last + 11):
        print(ask(stream="pump-7", seq=seq, x=[math.sin(seq / 9)] * model["inputs"]))
