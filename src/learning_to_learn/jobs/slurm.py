"""Submitting the jobs of a sweep to SLURM, and waiting for them.

Submitit starts the jobs. It waits for one after the other, through the accounting database, and gives up at the first that has
left no result; here SLURM's queue is asked, and a job that was cancelled or killed does not keep the others from being waited
for.
"""

import itertools
import math
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from omegaconf import OmegaConf, open_dict

from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import STATUS, Status, read_json, set_status
from learning_to_learn.runs.slurm_queue import CANCELLED, GONE, Place, arrays, ask, record
from learning_to_learn.runs.sweep_folder import survey

if TYPE_CHECKING:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
    from submitit import Job

EARLY, WORK = 60, 60
"""Seconds: SLURM sends a signal up to so much early, and a job must have so much for its work."""
LOOK_SECONDS = 1.0
GRACE_SECONDS = 20.0
"""A result may come so long after its job has left the queue: file systems lag."""


def launch(launcher: "BaseSubmititLauncher", job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Submit the jobs, numbered from `first`, and wait until each has ended, in whichever way.

    A job without a result returns NaN, and its status.json says "cancelled", or "failed" with SLURM's word. With
    launcher.wait=false the program ends here, with exit code 0. Raises UserError where a job's time is too short to train.
    """
    assert launcher.config
    folder = Path(str(launcher.config.hydra.sweep.dir))
    check_time(launcher.params["timeout_min"], launcher.params["signal_delay_s"])
    jobs = _submit(launcher, job_overrides, first)
    ids = [job.job_id for job in jobs]
    words = [list(filter_overrides(overrides)) for overrides in job_overrides]
    record(folder, dict(zip(ids, words, strict=True)))
    how = f"{_see(folder)}; cancel them with: scancel {' '.join(arrays(ids))}"
    if not launcher.config.launcher.wait:
        print(f"{len(jobs)} jobs are submitted. {how}", file=sys.stderr)
        raise SystemExit(0)
    try:
        ended = _wait(jobs)
    except KeyboardInterrupt:
        print(f"the jobs that wait or run on the cluster go on. {how}", file=sys.stderr)
        raise
    for number, place in ended.items():
        if isinstance(place, Place):
            _note(launcher, folder, first + number, list(job_overrides[number]), words[number], place)
    return [one if isinstance(one, JobReturn) else _nothing() for _, one in sorted(ended.items())]


def check_time(minutes: int, signal_seconds: int) -> None:
    """Raise UserError where SLURM would stop a job before it has worked for a minute.

    Submitit has SLURM signal a job `signal_seconds` before its time is up, so that it is queued again. SLURM counts in minutes
    and may send the signal a minute earlier (sbatch's manual, --signal).
    """
    least = math.ceil((signal_seconds + EARLY + WORK) / 60)
    if minutes < least:
        raise UserError(
            f"hydra.launcher.timeout_min={minutes}: give at least {least}, because a job is stopped and queued again "
            f"hydra.launcher.signal_delay_s={signal_seconds} seconds, or a minute more, before its time is up"
        )


def _see(folder: Path) -> str:
    return f"See them with: python -m src.sweep status {folder}"


def _submit(launcher: "BaseSubmititLauncher", job_overrides: Sequence[Sequence[str]], first: int) -> "list[Job[JobReturn]]":
    """Submit an array job as the launcher's settings say. Raises UserError with what SLURM says where it refuses."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from submitit.core.utils import FailedJobError

    settings = dict(launcher.params)
    executor = submitit.AutoExecutor(
        cluster="slurm", folder=settings.pop("submitit_folder"), slurm_max_num_timeout=settings.pop("max_num_timeout")
    )
    general = set(OmegaConf.structured(BaseQueueConf))
    executor.update_parameters(**{key if key in general else f"slurm_{key}": value for key, value in settings.items()})
    arguments = [
        (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
        for number, overrides in enumerate(job_overrides, first)
    ]
    try:
        with redirect_stderr(StringIO()):  # submitit repeats there what it raises
            return executor.map_array(launcher, *zip(*arguments, strict=True))
    except FailedJobError as error:
        lines = [line.removeprefix("sbatch: error: ") for line in str(error).splitlines() if line.strip()]
        raise UserError(f"SLURM refuses the jobs: {'; '.join(lines)}") from None


def _wait(jobs: "Sequence[Job[JobReturn]]") -> dict[int, JobReturn | Place]:
    """What each job returned, or where SLURM says that it has ended without a result."""
    ended: dict[int, JobReturn | Place] = {}
    left_at: dict[int, float] = {}
    while True:
        for number, job in enumerate(jobs):
            if number not in ended and job.paths.result_pickle.exists():
                ended[number] = _returned(job)
        answer = ask([job.job_id for job in jobs])
        for number, job in enumerate(jobs):
            place = (answer or {}).get(job.job_id, GONE)
            if number in ended or answer is None or place.alive:
                left_at.pop(number, None)
            elif time.monotonic() - left_at.setdefault(number, time.monotonic()) > GRACE_SECONDS:
                ended[number] = place
        if len(ended) == len(jobs):
            return ended
        time.sleep(LOOK_SECONDS)


def _returned(job: "Job[JobReturn]") -> JobReturn | Place:
    from submitit.core.utils import pickle_load

    outcome, result = pickle_load(job.paths.result_pickle)
    return result if outcome == "success" else Place("FAILED", str(result).strip().splitlines()[-1])


def _note(
    launcher: "BaseSubmititLauncher", sweep: Path, number: int, overrides: list[str], words: list[str], place: Place
) -> None:
    """Write into a job's folder that it has ended without a result."""
    found = [job for job in survey(sweep) if job.overrides == tuple(words)]
    if any(job.status in (Status.FINISHED, Status.DUPLICATE, Status.FAILED, Status.RUNNING) for job in found):
        return  # by this job or another
    folder = next((job.place for job in found if job.place), None) or _folder(launcher, number, overrides)
    folder.mkdir(parents=True, exist_ok=True)
    said: dict[str, Any] = {k: v for k, v in (read_json(folder / STATUS) or {}).items() if k not in ("status", "error")}
    said |= {"overrides": words}
    if place.state == CANCELLED:
        set_status(folder, Status.CANCELLED, **said)
    else:
        set_status(folder, Status.FAILED, error=f"SLURM: {place.reason or place.state or 'it left no result'}", **said)


def _folder(launcher: "BaseSubmititLauncher", number: int, overrides: list[str]) -> Path:
    """A folder for a job that has not begun, named as the job would have named it, and no other job's."""
    assert launcher.config
    assert launcher.hydra_context
    config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, overrides)
    with open_dict(config):
        config.hydra.job.num = number
    place = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
    beside = (place.with_name(f"{place.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([place], beside) if not (one / STATUS).exists())


def _nothing() -> JobReturn:
    """What a job without a result has returned: no score."""
    return JobReturn(status=JobStatus.COMPLETED, _return_value=float("nan"))
