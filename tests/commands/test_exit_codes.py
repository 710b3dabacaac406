"""Exit codes, as docs/commands.md lists them: 0 all is done, 1 a job failed, 2 the request was wrong, 130 interrupted."""

import errno
import re
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from learning_to_learn.commands import evaluate, sweep, train
from learning_to_learn.runs.run_folder import set_status

ROOT = Path(__file__).parents[2]
QUICK = ["trainer=quick", "trainer.epochs=2", "replicas=2", "family.sequence_length=20", "evaluation.mappings=16",
         "logger.mode=disabled"]  # fmt: skip
TWO = ["-m", "seed=0,10"]


def code_of(command, *words):
    """What the shell gets."""
    with patch.object(sys, "argv", ["command", *words]), pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a run and a sweep that are done, and copies of them that are not."""
    folder = tmp_path_factory.mktemp("finished")
    assert code_of(train, *QUICK, f"hydra.run.dir={folder / 'run'}") == 0
    assert code_of(train, *TWO, *QUICK, f"hydra.sweep.dir={folder / 'sweep'}") == 0
    for name, job in (("run", ""), ("sweep", "1_lstm_boolean")):
        shutil.copytree(folder / name, folder / f"open_{name}")
        set_status(folder / f"open_{name}" / job, "interrupted")
    return folder


@pytest.fixture
def _here(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


@contextmanager
def failing(place):
    """Whatever calls this finds the disk full."""
    with patch(f"learning_to_learn.{place}", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        yield


@contextmanager
def interrupted(place):
    """The user presses Ctrl-C as this is called."""
    with patch(f"learning_to_learn.{place}", side_effect=lambda *_, **__: signal.raise_signal(signal.SIGINT)):
        yield


JOB, SWEEP, REPORT = "jobs.job.evaluate", "jobs.job.evaluate", "dashboard.report.write_report"
MEASURE, STATUS = "jobs.measuring.evaluate", "commands.sweep.survey"
CASES = [
    # what, what goes wrong, the command, the code
    ("job", None, (train, *QUICK), 0),
    ("job", failing(JOB), (train, *QUICK), 1),
    ("job", None, (train, *QUICK, "arch=nothing"), 2),
    ("job", None, (train, *QUICK, "optimizer.lr=-1"), 2),
    ("job", None, (train, *QUICK, "replicas=1000000000"), 2),
    ("job", None, (train, *QUICK, "seed=5", "hydra.run.dir=run"), 2),
    ("job", interrupted(JOB), (train, *QUICK), 130),
    ("sweep", None, (train, *TWO, *QUICK), 0),
    ("sweep", None, (train, *TWO, *QUICK, "optimizer.lr=0.01,-1"), 1),
    ("sweep", failing(SWEEP), (train, *TWO, *QUICK), 1),
    ("sweep", failing("jobs.job.held"), (train, *TWO, *QUICK), 1),
    ("sweep", None, (train, *TWO, *QUICK, "arch=lstm,nothing"), 2),
    ("sweep", None, (train, *TWO, *QUICK, "hydra.sweep.dir=run"), 2),
    ("sweep", interrupted(SWEEP), (train, *TWO, *QUICK), 130),
    ("sweep by joblib", None, (train, *TWO, *QUICK, "launcher=joblib", "optimizer.lr=0.01,-1"), 1),
    ("resume", None, (train, "resume=run"), 0),
    ("resume", None, (train, "resume=open_run"), 0),
    ("resume", failing(JOB), (train, "resume=open_run"), 1),
    ("resume", None, (train, "resume=nothing"), 2),
    ("resume", interrupted(JOB), (train, "resume=open_run"), 130),
    ("resume of a sweep", None, (train, "resume=open_sweep"), 0),
    ("resume of a sweep", None, (sweep, "resume", "open_sweep"), 0),
    ("resume of a sweep", failing(JOB), (sweep, "resume", "open_sweep"), 1),
    ("resume of a sweep", None, (sweep, "resume", "nothing"), 2),
    ("resume of a sweep", interrupted(JOB), (sweep, "resume", "open_sweep"), 130),
    ("status", None, (sweep, "status", "sweep"), 0),
    ("status", None, (sweep, "status", "open_sweep"), 1),
    ("status", None, (sweep, "status", "nothing"), 2),
    ("status", interrupted(STATUS), (sweep, "status", "sweep"), 130),
    ("evaluate", None, (evaluate, "run=run"), 0),
    ("evaluate", failing(MEASURE), (evaluate, "run=run"), 1),
    ("evaluate", None, (evaluate, "run=nothing"), 2),
    ("evaluate", None, (evaluate, "run=run", "family=cubic"), 2),
    ("evaluate", interrupted(MEASURE), (evaluate, "run=run"), 130),
    ("report", None, (sweep, "report", "sweep"), 0),
    ("report", failing(REPORT), (sweep, "report", "sweep"), 1),
    ("report", None, (sweep, "report", "nothing"), 2),
    ("report", interrupted(REPORT), (sweep, "report", "sweep"), 130),
]  # fmt: skip


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("wrong", "command", "code"), [case[1:] for case in CASES], ids=[f"{c[0]}-{c[3]}-{n}" for n, c in enumerate(CASES)]
)
def test_exit_code(wrong, command, code, capfd):
    if wrong:
        with wrong:
            assert code_of(*command) == code
    else:
        assert code_of(*command) == code
    said = capfd.readouterr()
    assert "Traceback" not in said.err
    assert code == 0 or (said.err + said.out).strip()


def test_the_codes_are_documented():
    table = (ROOT / "docs/commands.md").read_text(encoding="utf-8").split("## Exit codes")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| (\d+) \|", table, re.MULTILINE)) == {str(case[3]) for case in CASES}
