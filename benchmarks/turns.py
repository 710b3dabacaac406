"""Time several pieces of work beside each other."""

import time

from benchmarks.peers import Work


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
