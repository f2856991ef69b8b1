"""Requests a second and latencies of the service, beside three servers that only run a model, in one run.

    python benchmarks/serving/bench_serving.py [WORKSPACE]      default: a demo of 8,000 leads, trained first (a minute)
        [--seconds 15] [--steady-seconds 300] [--only kizashi,bentoml,mlflow,fastapi] [--rounds 1]

One server process at a time, 8 keep-alive connections, the machine shared with the load generator:

- kizashi: POST /v1/score {"lead_id"} of random leads that are held, each asked for once before; with points, reasons,
  the ledger's row committed before the answer, an API key of the state and every guard (the rate limit set high);
- bentoml: the same BentoML service shape and uvicorn, native route, no guards; its handler only runs
  Booster.predict(row, num_threads=1) on the champion's shallow member;
- mlflow: `mlflow models serve` of the champion, whose pyfunc scores without points, reasons and ledger;
- fastapi: a bare FastAPI handler with the same Booster.predict.

Then kizashi alone: batches of 1,000 leads one after the other, and a steady rate for minutes, in which a stall is a
time in which answers took more than 100 ms. A request is late from when it was due, not from when it was sent.

How to read it: look at the ratios of one run; other work on the machine only takes. "CPU ms" is
the server's own work a request, all threads together, which other work touches least. "client late" is the longest
that the load generator itself woke up late: stalls about as long as that are the machine's.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before any library starts threads

import numpy as np
from http_load import Load, drive
from servers import KIZASHI, ROOT, Bench, Started, prepare, running

CONNECTIONS = 8
BATCH = 1_000
WARM_SECONDS = 3.0
BATCH_SECONDS, REACH_SECONDS = 15.0, 10.0
STALL_MS = 100.0
STEADY_SHARE = 0.6
"""Of the rate that was reached before, so that there is room for other work on the machine."""
SERVERS = ("kizashi", "bentoml", "mlflow", "fastapi")
HEADS = (
    f"{'':<10}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'errors':>8}{'CPU ms':>8}{'client late ms':>16}"
)


@dataclass(frozen=True)
class Measured:
    """Load, and the server's work for it, CPU seconds of all its threads."""

    load: Load
    cpu_seconds: float

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of work a request."""
        return 1e3 * self.cpu_seconds / max(1, len(self.load.done))


def observe(server: Started, requests: list[bytes], seconds: float | None, **how: Any) -> Measured:
    before = server.cpu_seconds
    load = drive(server.port, requests, seconds, **how)
    return Measured(load, server.cpu_seconds - before)


def line(name: str, measured: Measured) -> str:
    load = measured.load
    latencies = load.latencies_ms
    p50, p99, most = np.percentile(latencies, (50, 99, 100)) if len(latencies) else (np.nan,) * 3
    errors = sum(load.errors.values())
    return (
        f"{name:<10}{load.per_second:>12,.0f}{p50:>9.2f}{p99:>9.2f}{most:>9.1f}{errors:>8}{measured.cpu_ms:>8.2f}"
        f"{load.client_late * 1e3:>16.1f}"
    )


def requests_of(name: str, bench: Bench) -> list[bytes]:
    makers: dict[str, Callable[[], list[bytes]]] = {
        "kizashi": bench.score_requests,
        "bentoml": bench.row_requests,
        "mlflow": bench.frame_requests,
        "fastapi": bench.row_requests,
    }
    return makers[name]()


def measure(name: str, bench: Bench, seconds: float) -> Measured:
    with running(name, bench) as server:
        if name == "kizashi":
            gather(server, bench)
        requests = requests_of(name, bench)
        drive(server.port, requests, WARM_SECONDS, connections=CONNECTIONS)
        return observe(server, requests, seconds, connections=CONNECTIONS)


def gather(server: Started, bench: Bench) -> Measured:
    """Ask for every lead once, as the first requests of a day do: its rows are read and kept in memory."""
    return observe(server, bench.batch_requests(BATCH), None, connections=1)


def compare(bench: Bench, names: list[str], seconds: float, rounds: int) -> None:
    best: dict[str, Measured] = {}
    for number in range(rounds):
        print(f"\n{HEADS}   (round {number + 1} of {rounds}, {seconds:.0f} s each, load {os.getloadavg()[0]:.1f})")
        for name in names:
            found = measure(name, bench, seconds)
            print(line(name, found), flush=True)
            if name not in best or found.load.per_second > best[name].load.per_second:
                best[name] = found
    ours = best.pop("kizashi", None)
    if ours is None:
        return
    print("\nkizashi in the best rounds:")
    for name, peer in best.items():
        rate, work = ours.load.per_second / peer.load.per_second, peer.cpu_ms / ours.cpu_ms
        print(f"  / {name:<8} {rate:>6.2f} requests/s{work:>8.2f} requests a second of CPU")
    p50, p99 = np.percentile(ours.load.latencies_ms, (50, 99))
    print(f"  p99 is {p99 / p50:.1f} x p50")


def steady(bench: Bench, seconds: float, per_second: float | None) -> None:
    with running("kizashi", bench) as server:
        first = gather(server, bench)
        print(f"\nbatches of {BATCH:,} leads, one after the other")
        print(f"{'':<10}{'leads/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'errors':>8}{'CPU ms':>8}")
        print(batch_line("first", first), "  each lead for the first time: its rows are read from the disk")
        batches = observe(server, bench.batch_requests(BATCH), BATCH_SECONDS, connections=1)
        print(batch_line("again", batches), flush=True)
        requests = bench.score_requests()
        reached = drive(server.port, requests, REACH_SECONDS, connections=CONNECTIONS).per_second
        rate = per_second or STEADY_SHARE * reached
        print(f"\n{HEADS}   (steady: {rate:,.0f} requests/s for {seconds:.0f} s, of {reached:,.0f} reached before)")
        found = observe(server, requests, seconds, connections=CONNECTIONS, per_second=rate)
        print(line("kizashi", found))
        print(f"stalls over {STALL_MS:.0f} ms: {found.load.stalls(STALL_MS / 1e3)}; memory {server.memory_mb:,.0f} MB")


def batch_line(name: str, measured: Measured) -> str:
    load = measured.load
    p50, p99, most = np.percentile(load.latencies_ms, (50, 99, 100))
    errors = sum(load.errors.values())
    figures = f"{load.per_second * BATCH:>12,.0f}{p50:>9.1f}{p99:>9.1f}{most:>9.1f}{errors:>8}{measured.cpu_ms:>8.1f}"
    return f"{name:<10}{figures}"


@contextmanager
def workspace_of(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "demo"
        command = [sys.executable, "-c", KIZASHI, "demo", "--leads", "8000", "--workspace", str(made)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
        yield made


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("workspace", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--steady-seconds", type=float, default=300.0)
    parser.add_argument("--steady-rate", type=float)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default=",".join(SERVERS))
    asked = parser.parse_args()
    names = [name for name in SERVERS if name in asked.only.split(",")]
    parts = ", ".join(f"{name} {version(name)}" for name in ("bentoml", "mlflow", "lightgbm", "fastapi", "uvicorn"))
    print(f"Python {platform.python_version()}, {parts}; {os.cpu_count()} cores")
    with workspace_of(asked.workspace) as original, tempfile.TemporaryDirectory() as folder:
        bench = prepare(original, Path(folder))
        print(f"{len(bench.lead_ids):,} leads, {len(bench.columns)} features")
        compare(bench, names, asked.seconds, asked.rounds)
        if "kizashi" in names and asked.steady_seconds > 0:
            steady(bench, asked.steady_seconds, asked.steady_rate)


if __name__ == "__main__":
    main()
