"""sweep.json: what a sweep was asked for, and its jobs."""

from dataclasses import dataclass
from pathlib import Path

from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import are_words, read_json

SWEEP = "sweep.json"


@dataclass(frozen=True)
class SweepRequest:
    """What sweep.json says."""

    arguments: list[str]
    """The words of the command line."""
    jobs: list[list[str]]
    """The overrides of every job; empty where the sweeper makes them up as it goes."""
    launcher: str = ""
    in_this_process: bool = True
    """Whether the jobs run in the process that was started."""
    started: float = 0.0
    """When it was started last."""
    trials: int | None = None
    """How many a search makes."""
    sampler_seed: int | None = None


def read_request(folder: Path) -> SweepRequest | None:
    """Return what sweep.json says, None where there is none. Raises UserError, which names the file, where it is damaged."""
    path = folder / SWEEP
    if not path.exists():
        return None
    found = read_json(path)
    if found is None:
        raise UserError(f"{path} is damaged: it holds no JSON object, or not what was written")
    jobs, trials, seed = found.get("jobs") or [], found.get("trials"), found.get("sampler_seed")
    started, launcher = found.get("started", 0.0), found.get("launcher", "")
    right = {
        "arguments": are_words(found.get("arguments")),
        "jobs": isinstance(jobs, list) and all(map(are_words, jobs)),
        "launcher": isinstance(launcher, str),
        "in_this_process": isinstance(found.get("in_this_process", True), bool),
        "started": isinstance(started, int | float) and 0 <= started < 2**53,
        "trials": trials is None or (type(trials) is int and 0 < trials < 2**53),
        "sampler_seed": seed is None or (type(seed) is int and 0 <= seed < 2**32),
    }
    for key, is_right in right.items():
        if not is_right:
            raise UserError(f"{path} is damaged: {key} is not what a sweep writes there")
    return SweepRequest(found["arguments"], jobs, launcher, found.get("in_this_process", True), float(started), trials, seed)


def readable_request(folder: Path) -> SweepRequest | None:
    """Return what sweep.json says; None where there is none or a damaged one."""
    try:
        return read_request(folder)
    except UserError:
        return None


def request_damage(folder: Path) -> str:
    """Return what is wrong with sweep.json, in a line that names it; nothing where all is well or there is none."""
    try:
        read_request(folder)
    except UserError as error:
        return f"{error}; which jobs the sweep has is not known"
    return ""
