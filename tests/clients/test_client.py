"""Client and AsyncClient against a running server."""
import asyncio

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.bus.security import make_keys
from streamrnn.errors import ConfigError, FileError, InputError, ServerRefused, TimedOut


def test_a_client_steps_streams(model, serve, context, rng):
    stream, x = model.stream(), rng.standard_normal((20, 3)).astype(np.float32)
    with sr.Client(serve().endpoints["router"], context=context) as client:
        for seq, row in enumerate(x, 1):
            result = client.step("a", row, seq=seq, t=seq / 2)
            assert (result.stream, result.seq, result.t, result.jump) == ("a", seq, seq / 2, False)
            assert result.y.tobytes() == stream.step(row).tobytes()
        assert client.step("a", [1, 2, 3], seq=5).duplicate
        assert client.resume(["a", "b"])["last"] == {"a": 20, "b": 0}
        client.reset("a")
        assert client.step("a", x[0]).y.tobytes() == model.stream().step(x[0]).tobytes()
        client.close_stream("a")
        assert client.info()["models"][0]["streams"] == 0 and client.stats()["samples"] == 21 and client.ping() > 0


def test_blocks_are_cut_to_fit(model, serve, context, rng):
    ids = [f"stream {n} with a long name, so that a frame is full sooner" for n in range(2500)]
    x = rng.standard_normal((30_000, 3)).astype(np.float32)
    engine = sr.Engine(model)
    with sr.Client(serve().endpoints["router"], context=context) as client:
        y = client.step_many([ids[n % 2500] for n in range(30_000)], x)
    assert y.tobytes() == engine.step_many([ids[n % 2500] for n in range(30_000)], x).tobytes()


def test_many_under_way(model, serve, context, rng):
    x = rng.standard_normal((3000, 3)).astype(np.float32)
    engine = sr.Engine(model)
    with sr.Client(serve().endpoints["router"], context=context) as client:
        results = list(client.pipeline(((f"s{n % 7}", row) for n, row in enumerate(x)), window=100))
        assert all(result.y.tobytes() == engine.step(f"s{n % 7}", x[n]).tobytes() for n, result in enumerate(results))
        pending = [client.submit("z", row) for row in x[:5]]
        info = client.info()  # a reply that comes between
        assert info["op"] == "info"
        stream = model.stream()
        expected = [stream.step(row).tobytes() for row in x[:5]]
        assert [p.result().y.tobytes() for p in reversed(pending)] == expected[::-1]


def test_errors_say_what_the_server_said(serve, context):
    with sr.Client(serve().endpoints["router"], context=context) as client:
        with pytest.raises(ServerRefused, match="3") as caught:
            client.step("a", [1, 2], seq=1)
        assert (caught.value.code, caught.value.stream, caught.value.seq) == ("bad_width", "a", 1)
        with pytest.raises(ServerRefused, match="unknown_stream"):
            client.close_stream("nobody")
        with pytest.raises(InputError):
            client.step("a", [[1, 2, 3]])
        assert client.step("a", [1, 2, 3]).stream == "a"


def test_a_server_that_is_not_there(context):
    with sr.Client("tcp://127.0.0.1:1", timeout=0.2, context=context) as client, pytest.raises(TimedOut, match="streamrnn serve"):
        client.ping()


def test_the_async_client(model, serve, rng):
    endpoint = serve().endpoints["router"]
    x = rng.standard_normal((50, 3)).astype(np.float32)

    async def main():
        async with sr.AsyncClient(endpoint, timeout=5) as client:
            results = await asyncio.gather(*(client.step(f"s{n}", row) for n, row in enumerate(x)))
            many = await client.step_many([f"s{n}" for n in range(50)], x)
            with pytest.raises(ServerRefused, match="bad_width"):
                await client.step("a", [1])
            assert await client.ping() > 0 and (await client.info())["models"][0]["streams"] == 50
            await client.close_stream("s0")
            assert (await client.resume(["s0"]))["last"] == {"s0": 0}
        async with sr.AsyncClient("tcp://127.0.0.1:1", timeout=0.1) as nobody:
            with pytest.raises(TimedOut):
                await nobody.ping()
        return results, many

    results, many = asyncio.run(main())
    engine = sr.Engine(model)
    assert np.stack([result.y for result in results]).tobytes() == engine.step_many([f"s{n}" for n in range(50)], x).tobytes()
    assert many.tobytes() == engine.step_many([f"s{n}" for n in range(50)], x).tobytes()


def test_keys(serve, context, tmp_path):
    make_keys(tmp_path, ["server"])
    make_keys(tmp_path / "clients", ["pump", "stranger"])
    (tmp_path / "clients" / "stranger.key").unlink()
    server = serve(server_key=tmp_path / "server.key_secret", allow=tmp_path / "clients")
    keys = lambda name: {"server_key": tmp_path / "server.key", "key": tmp_path / "clients" / f"{name}.key_secret", "context": context}
    endpoint = server.endpoints["router"]
    with sr.Client(endpoint, **keys("pump")) as client, sr.Producer(endpoint, **keys("pump")) as producer:
        assert client.step("a", [1, 2, 3], seq=1).seq == 1 and producer.send("a", [1, 2, 3]) == 2
    for wrong in (keys("stranger"), {"context": context}):
        with sr.Client(endpoint, timeout=0.5, **wrong) as client, pytest.raises(TimedOut, match="keys"):
            client.ping()
    with pytest.raises(FileError, match="streamrnn keys"):
        sr.Client(endpoint, server_key=tmp_path / "none.key", context=context)
    with pytest.raises(ConfigError, match="key_secret"):
        sr.Client(endpoint, server_key=tmp_path / "server.key", key=tmp_path / "server.key", context=context)
