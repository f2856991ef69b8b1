"""How long ``kizashi align`` takes on 200,000 leads and 10 million touches, and how soon the board is painted.

Its peer is a bare read of the same files by DuckDB: one pass over every column, the least that anything could do.

    python benchmarks/alignment/bench_align.py [--leads 200000] [--touches 10000000]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm.simulator import SimulatorSettings, simulate

ROOT = Path(__file__).resolve().parents[2]


def write_workspace(folder: Path, leads: int, touches: int) -> None:
    """Write a simulated company as Parquet files; touches are repeated under other ids until there are so many."""
    tables = dict(simulate(SimulatorSettings(leads, 3)))
    parts, missing = [tables["touches"]], touches - tables["touches"].num_rows
    while missing > 0:
        again = tables["touches"].slice(0, missing)
        ids = pc.binary_join_element_wise(again["touch_id"].cast(pa.string()), f"-{len(parts)}", "")
        parts.append(again.set_column(again.schema.get_field_index("touch_id"), "touch_id", ids))
        missing -= again.num_rows
    tables["touches"] = pa.concat_tables(parts)
    (folder / "data").mkdir()
    for name, table in tables.items():
        pq.write_table(table, folder / "data" / f"{name}.parquet")
    own = ("lead_id", "created_at", "recorded_at", "account_id", "source")
    attributes = [f'"{name}"' for name in tables["leads"].column_names if name not in own]
    selects = [f"{name} = \"SELECT * FROM read_parquet('{name}.parquet')\"" for name in tables]
    (folder / "kizashi.toml").write_text(
        "\n".join(
            [
                '[source]\nurl = "dir:data"\n[source.tables]',
                *selects,
                f"[columns]\nknown_at_creation = [{', '.join(attributes)}]",
                "[segments]\nlarge = \"company_size IN ('1k-5k', '5k+')\"\njapan = \"country = 'JP'\"",
            ]
        ),
        encoding="utf-8",
    )


def bare_read(folder: Path) -> float:
    started = time.perf_counter()
    connection = duckdb.connect()
    for path in sorted((folder / "data").glob("*.parquet")):
        connection.execute(f"CREATE TABLE {path.stem} AS SELECT * FROM read_parquet('{path}')")
    return time.perf_counter() - started


def first_paint(page: Path) -> float | None:
    """Return milliseconds to the first contentful paint over a socket of this machine; None without Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        return None
    from playwright.sync_api import sync_playwright
    from starlette.applications import Starlette
    from starlette.responses import FileResponse
    from starlette.routing import Route

    from tests.fakes.serving import serving

    app = Starlette(routes=[Route("/", lambda request: FileResponse(page))])
    script = "performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)"
    with serving(app) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        times: list[float] = []
        for _ in range(5):
            tab.goto(url)
            found: list[float] = []
            while not found:
                found = tab.evaluate(script)
            times.append(found[0])
        browser.close()
    return sorted(times)[len(times) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--touches", type=int, default=10_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"Writing {given.leads:,} leads and {given.touches:,} touches", flush=True)
        write_workspace(folder, given.leads, given.touches)
        bare = bare_read(folder)
        command = [sys.executable, "-m", "cli", "align", "--workspace", str(folder), "--out", str(folder / "out")]
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        pages = sorted((folder / "out").glob("*.html"))
        sizes = ", ".join(f"{page.name} {page.stat().st_size / 1e6:.2f} MB" for page in pages)
        painted = first_paint(folder / "out" / "board.html")
    print(f"kizashi align --out: {seconds:.1f} s, {peak:.1f} GB; DuckDB reads the files in {bare:.1f} s")
    print(f"ratio {seconds / bare:.1f}; {sizes}")
    print(f"first contentful paint: {'no Chromium here' if painted is None else f'{painted:.0f} ms (median of 5)'}")


if __name__ == "__main__":
    main()
