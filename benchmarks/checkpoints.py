"""What the checks of a checkpoint cost when it is written: the checksum of its content, beside the whole of writing it."""

import tempfile
import time
from pathlib import Path
from statistics import median

from learning_to_learn.composing import compose_config
from learning_to_learn.runs.checkpoint import checksum, save_checkpoint
from learning_to_learn.training.learner import MetaLearner

CASES = {"4 replicas of the LSTM": ("arch=lstm", "replicas=4"), "64 replicas of lstm4": ("arch=lstm4", "replicas=64")}
TIMES = 15


def cost_of_checks() -> list[tuple[str, float, float]]:
    """Return for each case the median milliseconds of writing a checkpoint, and those of its checksum."""
    found = []
    for name, words in CASES.items():
        learner = MetaLearner(compose_config("family=boolean", *words))
        content = {"state_dict": learner.state_dict(), "learning": learner.learning_state(), "fingerprint": ""}
        with tempfile.TemporaryDirectory() as folder:
            whole = _milliseconds(lambda folder=folder, learner=learner: save_checkpoint(Path(folder), learner))
        found.append((name, whole, _milliseconds(lambda content=content: checksum(content))))
    return found


def _milliseconds(work: object) -> float:
    assert callable(work)
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - began))
    return median(times)


def table() -> list[str]:
    """The section of docs/benchmarks.md."""
    lines = ["## Checkpoints", "", "Milliseconds of writing one, and those of them for its checksum:", ""]
    lines += ["| checkpoint | written in | of which checksum |", "|---|--:|--:|"]
    lines += [f"| {name} | {whole:.1f} | {check:.2f} |" for name, whole, check in cost_of_checks()]
    return [*lines, ""]


if __name__ == "__main__":
    print("\n".join(table()))
