"""Run by test_crash: produce until killed. Its record, one line a result, is all that a new run knows. ENDPOINT RECORD STREAMS COUNT"""
import sys

import numpy as np

import streamrnn as sr


def sample(stream, seq):
    return np.sin(np.arange(3) * seq + stream).astype(np.float32)


def record(path):
    """{(stream, seq): y} of all whole lines; what a kill left of a line is cut off."""
    found, kept = {}, 0
    with open(path, "a+b") as file:
        file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                break
            stream, seq, y = line.split()
            assert (stream, seq) not in found, "a result came twice"
            found[int(stream), int(seq)] = y.decode()
            kept += len(line)
        file.truncate(kept)
    return found


def main(endpoint, path, streams, count):
    streams, count = int(streams), int(count)
    ids, had = [f"s{n}" for n in range(streams)], record(path)
    answered = {id: max((seq for stream, seq in had if stream == n), default=0) for n, id in enumerate(ids)}
    with open(path, "ab", buffering=0) as file:
        def note(result):
            file.write(b"%d %d %s\n" % (int(result.stream[1:]), result.seq, result.y.tobytes().hex().encode()))
        with sr.Producer(endpoint, on_result=note, buffer=5000, timeout=60) as producer:
            following = producer.begin(ids, answered)
            for seq in range(min(following.values()), count + 1):
                for n, id in enumerate(ids):
                    if seq >= following[id]:
                        assert producer.send(id, sample(n, seq)) == seq
            producer.flush(60, durable=True)
            assert not producer.gaps and not producer.lost and not producer.refused, (producer.gaps, producer.lost, producer.refused)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
