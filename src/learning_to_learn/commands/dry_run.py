"""`python -m src.train --dry-run ...` shows what the command would start, and starts nothing."""

from collections.abc import Sequence

from learning_to_learn.jobs.plan import Plan, PlannedJob, plan
from learning_to_learn.results.text_table import Column, lay_out
from learning_to_learn.runs.monitor import duration
from learning_to_learn.training.memory import shown_bytes


def show_plan(arguments: Sequence[str], width: int | None) -> bool:
    """Print a line for each job and one for all of them; return whether all jobs could run."""
    found = plan(arguments)
    print("\n".join([*_table(found.jobs, width), "", _total(found)]))
    return not found.refused


def _table(jobs: Sequence[PlannedJob], width: int | None) -> list[str]:
    columns = [
        Column("job", [str(number) for number in range(len(jobs))], number=True, always=True),
        Column("what", [f"{job.name}: error: {job.error}" if job.error else job.name for job in jobs], always=True),
        Column("epochs", [str(job.config.trainer.epochs) if job.config else "" for job in jobs], number=True, always=True),
        Column("replicas", [str(job.config.replicas) if job.config else "" for job in jobs], number=True, always=True),
        Column("parameters", [str(job.parameters) if job.config else "" for job in jobs], number=True, always=True),
        Column("time", [_time(job.seconds) if job.config else "" for job in jobs], number=True, always=True),
        Column("memory", [shown_bytes(job.memory) if job.config else "" for job in jobs], number=True, always=True),
    ]
    return lay_out(columns, width)


def _total(found: Plan) -> str:
    wrong = sum(bool(job.error) for job in found.jobs)
    count = found.trials or len(found.jobs)
    parts = [
        f"{count} {'trials, whose values the search draws' if found.trials else 'job' if count == 1 else 'jobs'}",
        f"{found.epochs} epochs",
        f"{_time(found.seconds)} of training"
        + (f" ({_time(found.elapsed)} with {found.at_a_time} at a time)" if found.at_a_time > 1 and count > 1 else ""),
        f"{shown_bytes(found.memory)} of memory",
        *([f"{wrong} would fail"] if wrong else []),
    ]
    return "; ".join(parts) + ". Times and memory are estimates."


def _time(seconds: float | None) -> str:
    """Such as 12 min, and a question mark where nothing is known."""
    if seconds is None:
        return "?"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
