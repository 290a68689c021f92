"""A detector on the bus: a server in this program, a producer that sends three pumps' rows, a consumer that hears of alerts alone.

Run it: python examples/detect/bus.py
All three would as well be programs of their own: `streamrnn serve pumps.safetensors --publish tcp://127.0.0.1:5556`."""
import threading

import streamrnn as sr
from streamrnn.detect import plant

DAY, PUMPS = 24 * 60, 3
leak = plant.Fault("leak", machine=1, start=16 * DAY, rows=8 * 60)
readings, times = zip(*(plant.simulate(17 * DAY, machine, seed=4, faults=[leak]) for machine in range(PUMPS)), strict=True)

# One detector for all: it learns from a list of histories, and keeps a state for each stream.
detector = sr.Detector.fit([rows[:14 * DAY] for rows in readings], sensors=plant.SENSORS, times=times[0][:14 * DAY])
heard = {}


def hear(consumer):
    for result in consumer:
        if result.stream not in heard:
            worst = plant.SENSORS[result.blame.argmax()]
            print(f"{result.stream}: alert at {(result.t - times[0][0]) / 86_400:.3f} days, seq {result.seq}, score {result.score:.2f}, "
                  f"{result.cause}, most of it {worst}")
        heard.setdefault(result.stream, []).append(result.seq)


with sr.Server(detector.model, listen="tcp://127.0.0.1:*", publish="tcp://127.0.0.1:*", limits=sr.Limits(streams=100)) as server:
    to, out = server.endpoints["router"], server.endpoints["publish"]
    with sr.Consumer(out, results=False, alerts=True, timeout=2) as consumer, sr.Producer(to, on_result=lambda result: None) as producer:
        listener = threading.Thread(target=hear, args=[consumer])
        listener.start()
        for t in range(14 * DAY, 17 * DAY):
            for k in range(PUMPS):
                producer.send(f"pump-{k}", readings[k][t], times[k][t])
        producer.flush()
        listener.join()

others = sum(len(seqs) for stream, seqs in heard.items() if stream != "pump-1")
minutes = heard["pump-1"][0] - (leak.start - 14 * DAY)
print(f"{3 * DAY * PUMPS:,} rows sent; pump-1 alarmed {minutes} minutes after its leak began; alerts of the other pumps: {others}")
