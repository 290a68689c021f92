"""Producer and Consumer against a running server: each output once, in order, whatever is restarted between."""
import asyncio
import threading

import numpy as np
import pytest
import zmq

import streamrnn as sr
from streamrnn.clients.wire import sample
from streamrnn.errors import BufferFull, TimedOut


def samples(stream, count):
    rng = np.random.default_rng(sum(map(ord, stream)))
    return rng.standard_normal((count, 3)).astype(np.float32)


def expected(model, stream, count):
    own = model.stream()
    return [own.step(x).tobytes() for x in samples(stream, count)]


def outputs(results):
    """{stream: [y...]}, checked to be numbered from 1 without a gap."""
    found = {}
    for result in results:
        line = found.setdefault(result.stream, [])
        assert result.seq == len(line) + 1
        line.append(result.y.tobytes())
    return found


@pytest.mark.parametrize("window", [1, 20])
def test_results_come_once_each_in_order(model, serve, context, window):
    results = []
    with sr.Producer(serve().endpoints["router"], on_result=results.append, window=window, context=context) as producer:
        for n in range(100):
            for id in "abc":
                assert producer.send(id, samples(id, 100)[n], t=n / 2) == n + 1
        producer.flush(10)
        assert producer.waiting == 0 and producer.gaps == [] and producer.lost == []
    assert outputs(results) == {id: expected(model, id, 100) for id in "abc"}


def test_a_server_that_restarts_with_its_state_changes_nothing(model, serve, context, tmp_path):
    """Stopped in the middle, many times; the producer sends on."""
    server = serve(state=tmp_path / "state.db", save_every=0.05)
    endpoint, results = server.endpoints["router"], []
    with sr.Producer(endpoint, on_result=results.append, context=context) as producer:
        for n in range(120):
            if n % 30 == 20:
                server.stop()
            for id in "abcde":
                producer.send(id, samples(id, 120)[n])
            if n % 30 == 25:
                server = serve(listen=endpoint, state=tmp_path / "state.db", save_every=0.05)
        producer.flush(20, durable=True)
        assert producer.waiting == 0 and producer.gaps == [] and producer.lost == [] and producer.connections > 1
    assert outputs(results) == {id: expected(model, id, 120) for id in "abcde"}


def test_a_server_that_forgets_is_reported(model, serve, context):
    server = serve()
    endpoint = server.endpoints["router"]
    with sr.Producer(endpoint, context=context) as producer:
        for x in samples("a", 5):
            producer.send("a", x)
        producer.flush(5)
        server.stop()
        serve(listen=endpoint)
        producer.send("a", samples("a", 6)[5])
        producer.flush(10)
        assert producer.lost == [("a", 1, 5)]


def test_a_new_producer_goes_on_where_the_server_stands(model, serve, context):
    endpoint = serve().endpoints["router"]
    x, results = samples("a", 30), []
    for part in range(3):
        with sr.Producer(endpoint, on_result=results.append, context=context) as producer:
            for n in range(10 * part, 10 * part + 10):
                assert producer.send("a", x[n]) == n + 1
    assert outputs(results) == {"a": expected(model, "a", 30)}


def test_a_result_that_was_not_recorded_is_had_again(model, serve, context):
    """The producer's program died between the server's step and its own note."""
    endpoint, x = serve().endpoints["router"], samples("a", 8)
    with sr.Producer(endpoint, context=context) as producer:
        for row in x[:6]:
            producer.send("a", row)
    results = []
    with sr.Producer(endpoint, on_result=results.append, context=context) as producer:
        assert producer.begin(["a", "b"], answered={"a": 5}) == {"a": 6, "b": 1}
        for row in x[5:]:
            producer.send("a", row)
    assert [(result.seq, result.y.tobytes()) for result in results] == list(enumerate(expected(model, "a", 8), 1))[5:]


def test_a_full_buffer_refuses_or_waits_and_drops_nothing(model, serve, context):
    server = serve()
    endpoint, results = server.endpoints["router"], []
    with sr.Producer(endpoint, buffer=20, when_full="refuse", on_result=results.append, context=context) as producer:
        producer.begin(["a"])
        server.stop()
        producer.poll(0.2)
        for x in samples("a", 20):
            producer.send("a", x)
        with pytest.raises(BufferFull, match="20"):
            producer.send("a", samples("a", 21)[20])
        with pytest.raises(TimedOut):
            producer.flush(0.2)
        serve(listen=endpoint)
        producer.flush(10)
    assert outputs(results) == {"a": expected(model, "a", 20)}
    results.clear()
    with sr.Producer(endpoint, buffer=5, on_result=results.append, context=context) as producer:
        for x in samples("b", 50):
            producer.send("b", x)
    assert outputs(results) == {"b": expected(model, "b", 50)}


def test_a_sample_that_the_server_refuses_is_skipped_and_said(serve, context):
    with sr.Producer(serve().endpoints["router"], context=context) as producer:
        producer.send("a", [1, 2, 3])
        producer.send("a", [1, 2, np.inf])
        producer.send("a", [1, 2, 3])
        producer.flush(5)
        assert [result.seq for result in producer.results()] == [1, 3]
        assert [(error.code, error.seq) for error in producer.refused] == [("bad_value", 2)]


def test_a_consumer_hears_each_result_once(model, serve, context):
    server = serve(publish="tcp://127.0.0.1:*")
    with sr.Consumer(server.endpoints["publish"], timeout=1.0, context=context) as all_, \
            sr.Consumer(server.endpoints["publish"], ["pump-1"], timeout=1.0, context=context) as one, \
            sr.Client(server.endpoints["router"], context=context) as client:
        while all_.receive(0.05) is None or one.receive(0.05) is None:  # until both have subscribed
            client.step("pump-1", [0, 0, 0])
        list(all_), list(one)
        for seq in (1, 2, 2, 3):
            client.step("pump-1", [1, 2, 3], seq=seq)
            client.step("pump-10", [1, 2, 3], seq=seq)
        assert [(result.stream, result.seq) for result in all_] == [(id, seq) for seq in (1, 2, 3) for id in ("pump-1", "pump-10")]
        assert [result.seq for result in one] == [1, 2, 3]
        assert all_.repeats == 2 and all_.gaps == [] and one.missed == 0


def test_a_consumer_that_is_too_slow_sees_its_gaps(serve, context):
    """Stepped = received + missed, and nobody waits for it."""
    server, count, gaps = serve(publish="tcp://127.0.0.1:*", pull="tcp://127.0.0.1:*", hwm=100), 300_000, []
    with sr.Consumer(server.endpoints["publish"], hwm=10, on_gap=lambda *gap: gaps.append(gap), context=context) as consumer, \
            sr.Client(server.endpoints["router"], context=context) as client, context.socket(zmq.PUSH) as push:
        while consumer.receive(0.05) is None:
            client.step("warm", [0, 0, 0])
        client.step("a", [1, 2, 3], seq=1)
        while consumer.receive(1).stream != "a":
            pass
        push.set_hwm(0)
        push.connect(server.endpoints["pull"])
        for seq in range(2, count):
            push.send(sample("a", [1, 2, 3], seq))
        while client.resume(["a"])["last"]["a"] < count - 1:
            pass
        received = 1
        while consumer.receive(0.5):
            received += 1
        client.step("a", [1, 2, 3], seq=count)
        assert consumer.receive(2).seq == count
        assert gaps and received + 1 + consumer.missed == count and consumer.missed == sum(last - first + 1 for _, first, last in gaps)


def test_the_async_producer_and_consumer(model, serve, tmp_path):
    server = serve(publish="tcp://127.0.0.1:*")
    results = []

    async def main():
        heard = []
        async with sr.AsyncConsumer(server.endpoints["publish"], ["a"]) as consumer:
            async with sr.AsyncProducer(server.endpoints["router"], on_result=results.append) as producer:
                await producer.send("warm", [0, 0, 0])
                await asyncio.sleep(0.3)
                for x in samples("a", 40):
                    await producer.send("a", x)
                await producer.flush(10)
            async for result in consumer:
                heard.append(result)
                if len(heard) == 40:
                    break
        return heard

    heard = asyncio.run(main())
    own = expected(model, "a", 40)
    assert [result.y.tobytes() for result in results if result.stream == "a"] == own == [result.y.tobytes() for result in heard]


def test_two_producers_side_by_side(model, serve, context):
    endpoint, results = serve().endpoints["router"], {}

    def work(id):
        with sr.Producer(endpoint, on_result=results.setdefault(id, []).append, context=context) as producer:
            for x in samples(id, 200):
                producer.send(id, x)

    threads = [threading.Thread(target=work, args=(id,)) for id in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id: [result.y.tobytes() for result in results[id]] for id in "ab"} == {id: expected(model, id, 200) for id in "ab"}
