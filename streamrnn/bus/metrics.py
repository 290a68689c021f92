"""The Prometheus endpoint: counters, gauges and the loop's latency histograms, read when they are asked for.

No label is per stream: a million streams make no more series than one.
"""
import numpy as np
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from streamrnn.bus.control import STAGES, counted, upper_bounds
from streamrnn.bus.core import layout as L

SECONDS = [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 0.1, 1.0]
WORDS = {
    "frames_in": "frames that came in",
    "bytes_in": "their bytes",
    "samples": "samples stepped",
    "blocks": "block frames",
    "duplicates": "samples answered again, not stepped",
    "jumps": "samples whose seq left some out",
    "jumped_over": "seqs left out",
    "opened": "streams opened",
    "closed": "streams closed",
    "replies": "replies sent",
    "replies_gone": "replies to peers that are gone",
    "replies_full": "replies dropped because a peer does not read",
    "published": "results and events published",
    "published_full": "results that could not be published",
    "rounds": "rounds of the loop",
    "held_back": "samples that waited for earlier ones",
}


class Collector:
    """What Prometheus' client asks for the figures of a server."""

    def __init__(self, server):
        self._server = server

    def collect(self):
        counters = counted(self._server.desk.counters)
        for name, words in WORDS.items():
            yield CounterMetricFamily(f"streamrnn_{name}", words.capitalize(), value=counters[name])
        errors = CounterMetricFamily("streamrnn_errors", "Frames refused, by error code", labels=["code"])
        for code, count in counters["by_error"].items():
            errors.add_metric([code], count)
        yield errors
        streams = GaugeMetricFamily("streamrnn_streams", "Open streams", labels=["model"])
        for house in self._server.desk.houses:
            streams.add_metric([house.name], len(house))
        yield streams
        yield from self._latencies()
        stats = self._server.stats()
        yield GaugeMetricFamily("streamrnn_silent_streams", "Streams that used to speak and have stopped", value=stats["silent"])
        yield CounterMetricFamily("streamrnn_denied_peers", "Connections refused by CURVE", value=stats["denied"])
        if "state" in stats:
            state = stats["state"]
            yield GaugeMetricFamily(
                "streamrnn_state_failing", "1 while the state file cannot be written", value=state["failing"] is not None
            )
            yield GaugeMetricFamily("streamrnn_state_age_seconds", "Since all that had changed was last durable", value=state["age"])
            yield CounterMetricFamily("streamrnn_state_rows", "Streams written to the state file", value=state["rows"])
            yield CounterMetricFamily("streamrnn_state_seconds", "Spent writing it", value=state["seconds"])

    def _latencies(self):
        family = HistogramMetricFamily("streamrnn_latency_seconds", "In the loop, per message, by stage", labels=["stage"])
        bounds = upper_bounds() / 1e6
        for stage, waits in zip(STAGES, self._server.desk.waits.copy(), strict=True):
            sums = np.concatenate([[0], np.cumsum(waits[:L.BUCKETS])])
            buckets = [(f"{limit:g}", float(sums[np.searchsorted(bounds, limit, "right")])) for limit in SECONDS]
            family.add_metric([stage], [*buckets, ("+Inf", float(sums[-1]))], sum_value=float(waits[L.BUCKETS]) / 1e9)
        yield family


def serve_metrics(server, host, port):
    """Answer http://host:port/metrics in a thread; call the result to stop."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(server))
    http, thread = start_http_server(port, host, registry=registry)

    def stop():
        http.shutdown()
        http.server_close()
        thread.join()
    return stop
