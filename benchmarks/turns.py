"""Time several pieces of work beside each other."""

import csv
import time
from pathlib import Path
from statistics import median

from benchmarks.peers import Work

Row = dict[str, object]


def take_turns(work: dict[str, Work], seconds: float) -> dict[str, list[float]]:
    """Times of every piece of work; the faster ones get more turns, all get three."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for run in work.values():
        run()  # compiles
    spent = dict.fromkeys(work, 0.0)
    while True:
        due = [n for n in work if len(times[n]) < 3 or (spent[n] < seconds and len(times[n]) < 200)]
        if not due:
            return times
        for name in due:
            began = time.perf_counter()
            work[name]()
            times[name].append(time.perf_counter() - began)
            spent[name] += times[name][-1]


def rows_of(name: str, gradient: str, length: int, batch: int, replicas: int, times: dict[str, list[float]]) -> list[Row]:
    """A row of reports/bench.csv for every engine."""
    fused = median(times["fused"])
    return [
        {
            "case": name, "gradient": gradient, "T": length, "batch": batch, "replicas": replicas, "engine": engine,
            "median_ms": round(1e3 * median(t), 4), "ratio_to_fused": round(median(t) / fused, 3),
        }
        for engine, t in times.items()
    ]  # fmt: skip


def write_rows(rows: list[Row], path: Path) -> None:
    """Write the rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
