"""streamrnn watch: a live table of what a server does: rate, latencies, streams, drops, and how its state file fares."""
import time


def options(parser):
    parser.add_argument("endpoint", nargs="?", default="tcp://127.0.0.1:5555", help="the server's --listen endpoint; tcp://127.0.0.1:5555")
    parser.add_argument("--events", metavar="ENDPOINT", help="the server's --publish endpoint: show events and alerts as they come")
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between two looks; 1")
    parser.add_argument("--count", type=int, metavar="N", help="look so often, then end; for ever by default")
    parser.add_argument("--server-key", metavar="FILE", help="the server's public key (CURVE)")
    parser.add_argument("--key", metavar="FILE", help="our own secret key")


def run(chosen):
    from contextlib import ExitStack

    from rich.console import Console
    from rich.live import Live

    from streamrnn.clients.client import Client
    from streamrnn.clients.consumer import Consumer

    with ExitStack() as stack:
        keys = {"server_key": chosen.server_key, "key": chosen.key}
        client = stack.enter_context(Client(chosen.endpoint, **keys))
        consumer = stack.enter_context(Consumer(chosen.events, results=False, events=True, alerts=True, **keys)) if chosen.events else None
        view = View(chosen.endpoint, client.info(), client.stats())
        console = Console()
        live = stack.enter_context(Live(view.table(), console=console, auto_refresh=False, transient=False))
        looks = 0
        while chosen.count is None or looks < chosen.count:
            end = time.monotonic() + chosen.every
            while (left := end - time.monotonic()) > 0:
                event = consumer.receive(left) if consumer else time.sleep(left)
                if event is not None:
                    view.events.append(event)
            view.note(client.stats())
            live.update(view.table(), refresh=True)
            looks += 1


class View:
    """What is shown: the difference between the last two looks, and the totals."""

    def __init__(self, endpoint, info, stats):
        from collections import deque

        self._endpoint, self._info, self._old, self._new = endpoint, info, stats, stats
        self.events = deque(maxlen=8)

    def note(self, stats):
        self._old, self._new = self._new, stats

    def _latencies(self):
        """p50, p99 and p99.9 of the last interval, in microseconds, from the two histograms."""
        counts = [new - old for new, old in zip(self._new["waits"], self._old["waits"], strict=True)]
        total, passed, bounds = sum(counts), 0, iter((0.5, 0.99, 0.999))
        found, wanted = [], next(bounds)
        for n, count in enumerate(counts):
            passed += count
            while wanted is not None and total and passed >= wanted * total:
                found.append((n + 1 if n < 8 else (n % 4 + 5) * 2.0 ** (n // 4 - 1)) / 1000)
                wanted = next(bounds, None)
        return found or [0.0] * 3

    def table(self):
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        new, old = self._new, self._old
        seconds = max(new["uptime"] - old["uptime"], 1e-9)
        rate = lambda key: (new[key] - old[key]) / seconds
        names = ", ".join(f"{model['name'] or 'model'} ({model['inputs']} -> {model['outputs']})" for model in self._info["models"])
        table = Table(title=f"{self._endpoint}: {names}", title_justify="left", header_style="bold")
        for column in ("", "now", "since the start"):
            table.add_column(column, justify="left" if not column else "right", no_wrap=not column)
        table.add_row("samples a second", f"{rate('samples'):,.0f}", f"{new['samples']:,}")
        table.add_row("frames a second", f"{rate('frames_in'):,.0f}", f"{new['frames_in']:,}")
        p50, p99, p999 = self._latencies()
        whole = new["latency_us"]["whole"]
        table.add_row("loop p50 / p99 / p99.9", f"{p50:,.1f} / {p99:,.1f} / {p999:,.1f} us",
                      " / ".join(f"{whole[key]:,.1f}" for key in ("p50", "p99", "p99.9")) + " us")
        table.add_row("streams", f"{new['streams']:,}", f"{new['opened']:,} opened, {new['closed']:,} closed")
        table.add_row("silent streams", f"{new['silent']:,}", "")
        dropped = lambda stats: stats["replies_gone"] + stats["replies_full"] + stats["published_full"]
        table.add_row("dropped replies", f"{dropped(new) - dropped(old):,}", f"{dropped(new):,}",
                      style="red" if dropped(new) > dropped(old) else None)
        errors = ", ".join(f"{code} {count:,}" for code, count in new["by_error"].items())
        table.add_row("errors", f"{new['errors'] - old['errors']:,}", errors or "0", style="red" if new["errors"] > old["errors"] else None)
        table.add_row("duplicates, jumps", f"{new['duplicates'] - old['duplicates']:,}, {new['jumps'] - old['jumps']:,}",
                      f"{new['duplicates']:,}, {new['jumps']:,}")
        if "state" in new:
            state = new["state"]
            table.add_row(
                "state file",
                state["failing"] or f"durable {state['age']:.1f} s ago",
                f"{state['rows']:,} rows in {state['commits']:,} commits",
                style="red" if state["failing"] else None,
            )
        if new["denied"]:
            table.add_row("denied connections", f"{new['denied'] - old['denied']:,}", f"{new['denied']:,}")
        lines = [Text(f"{event.event:<8} {event.stream}  (seq {event.seq}, idle {event.idle:.1f} s)" if hasattr(event, "idle")
                      else f"alert    {event.stream}  (seq {event.seq})") for event in self.events]
        return Group(table, *lines)
