"""streamrnn send: the rows of a table to a server, as samples of one stream or of many, and what comes back as CSV."""
import csv
import sys
import time
from contextlib import ExitStack

AT_ONCE = 1000


def options(parser):
    parser.add_argument("table", help="CSV, NPY or Parquet file: a row is a sample")
    parser.add_argument("--to", default="tcp://127.0.0.1:5555", metavar="ENDPOINT", help="a server's --listen endpoint; tcp://127.0.0.1:5555")
    parser.add_argument("--stream", metavar="ID", help="the stream that all rows belong to; the file's name by default")
    parser.add_argument("--by", metavar="COLUMN", help="a column with each row's stream instead")
    parser.add_argument("--columns", metavar="A,B,...", help="the columns to send; all that hold numbers by default")
    parser.add_argument("--model", metavar="NAME", help="which of the server's models")
    parser.add_argument("--rate", type=float, metavar="N", help="rows a second; as fast as they are answered by default")
    parser.add_argument("-o", "--output", metavar="FILE", help="write results there instead of standard output")
    parser.add_argument("--server-key", metavar="FILE", help="the server's public key (CURVE)")
    parser.add_argument("--key", metavar="FILE", help="our own secret key")


def run(chosen):
    from pathlib import Path

    from streamrnn.clients.client import Client
    from streamrnn.data import tables

    columns = chosen.columns.split(",") if chosen.columns else None
    if chosen.by:
        from streamrnn.cli import groups
        table, ids = groups.read(chosen.table, columns, chosen.by)
    else:
        table = tables.read(chosen.table, columns)
        ids = [chosen.stream or Path(chosen.table).stem] * len(table.values)
    began = time.perf_counter()
    with ExitStack() as stack:
        client = stack.enter_context(Client(chosen.to, server_key=chosen.server_key, key=chosen.key))
        file = stack.enter_context(open(chosen.output, "w", newline="")) if chosen.output else sys.stdout
        writer = csv.writer(file)
        samples = ({"stream": str(id), "x": x, "model": chosen.model} for id, x in _paced(zip(ids, table.values, strict=True), chosen.rate))
        for n, result in enumerate(client.pipeline(samples, 1 if chosen.rate else AT_ONCE)):
            if n == 0:
                writer.writerow(["stream", *(f"y{i}" for i in range(len(result.y)))])
            writer.writerow([result.stream, *(f"{value:.9g}" for value in result.y.tolist())])
    seconds = time.perf_counter() - began
    print(f"{len(ids):,} samples of {len(set(ids)):,} stream(s) in {seconds:.2f} s, {len(ids) / seconds:,.0f} a second", file=sys.stderr)


def _paced(rows, rate):
    start = time.monotonic()
    for n, row in enumerate(rows):
        if rate:
            time.sleep(max(0.0, start + n / rate - time.monotonic()))
        yield row
