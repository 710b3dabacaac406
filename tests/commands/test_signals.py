"""SIGINT and SIGTERM at any moment: a folder that resumes, a status that is true, exit code 130."""

import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

import learning_to_learn.jobs.job as jobs
import learning_to_learn.jobs.train as training
from learning_to_learn import commands
from learning_to_learn.commands import train
from learning_to_learn.jobs.job import run_job
from learning_to_learn.jobs.signals import Interruption, interruption
from learning_to_learn.runs.checkpoint import load_checkpoint
from learning_to_learn.runs.run_folder import Status, get_status
from learning_to_learn.runs.sweep_folder import survey
from tests.helpers import job

ROOT = Path(__file__).parents[2]
QUICK = ["trainer=quick", "replicas=2", "family.sequence_length=20", "evaluation.mappings=16", "logger.mode=disabled"]
LIMIT = 2.0
"""Seconds from the signal to the end of the process."""


# ------------------------------------------------------------------------------------------- in this process, step by step

STEPS = ["begin", "MetaData", "MetaLearner", "WandbRun", "make_trainer", "save_checkpoint", "evaluate", "write_evaluation",
         "draw_pictures", "set_status"]  # fmt: skip


def results(folder):
    found = json.loads((folder / "result.json").read_text())
    return load_checkpoint(folder)["state_dict"]["weights"], {k: v for k, v in found.items() if k not in ("seconds", "sha256")}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert run_job(job(), folder).status == "finished"
    return results(folder)


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", STEPS)
def test_a_signal_around_any_step_leaves_a_run_that_resumes(tmp_path, monkeypatch, capsys, unbroken, step, when):
    place = jobs if hasattr(jobs, step) else training
    original = getattr(place, step)
    number = random.Random(step + when).choice([signal.SIGINT, signal.SIGTERM])

    def signalled(*arguments, **options):
        if when == "before":
            signal.raise_signal(number)
        found = original(*arguments, **options)
        signal.raise_signal(number)  # after "before" it is the second of two
        return found

    with monkeypatch.context() as patch:
        patch.setattr(place, step, signalled)
        with pytest.raises(KeyboardInterrupt):
            run_job(job(), tmp_path / "run")
    said = capsys.readouterr().err
    assert get_status(tmp_path / "run") == "interrupted"
    assert said.count("resume=") == 1
    assert "Traceback" not in said
    assert not interruption.asked
    assert run_job(job(), tmp_path / "run").status == "finished"
    weights, found = results(tmp_path / "run")
    assert torch.equal(weights, unbroken[0])
    assert found == unbroken[1]


@pytest.mark.parametrize("error", [SystemExit(1), RuntimeError("a library has caught it"), KeyboardInterrupt()])
def test_whatever_a_library_makes_of_the_signal_it_is_an_interruption(tmp_path, monkeypatch, error):
    def swallow(_learner):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        raise error

    monkeypatch.setattr(jobs, "evaluate", swallow)
    with pytest.raises(KeyboardInterrupt):
        run_job(job(), tmp_path)
    assert get_status(tmp_path) == "interrupted"


def test_a_signal_after_the_last_word_leaves_a_finished_run(tmp_path, monkeypatch):
    original = jobs.set_status

    def signalled(folder, status, **more):
        original(folder, status, **more)
        if status is Status.FINISHED:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(jobs, "set_status", signalled)
    with pytest.raises(KeyboardInterrupt):
        run_job(job(), tmp_path)
    assert get_status(tmp_path) == "finished"


def test_the_handlers_are_put_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run_job(job(), tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_without_a_command_a_later_second_signal_ends_the_job_at_once(monkeypatch):
    one = Interruption()
    with one.owned(), one.deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert one.asked
        monkeypatch.setattr("learning_to_learn.jobs.signals.GRACE", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        one.asked = False


# -------------------------------------------------------------------------------------------------------- real processes


def start(*words):
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until(lambda: catches(process, signal.SIGTERM))  # Python itself takes its time to start
    return process


def catches(process, number):
    """Whether a process has a handler for a signal; one that has ended needs none."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return True
    if "State:\tZ" in status:
        return True
    return int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1


def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def end(process, *numbers, apart=0.0):
    """The exit code, what was said, and the seconds it took from the first signal on."""
    began = time.monotonic()
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        time.sleep(apart)
    said = process.communicate(timeout=60)[1]
    return process.returncode, said, time.monotonic() - began


def test_a_signal_during_the_imports_says_only_that(tmp_path):
    process = start(*QUICK, f"hydra.run.dir={tmp_path / 'run'}")
    time.sleep(0.3)
    assert end(process, signal.SIGTERM, signal.SIGTERM, apart=0.005)[:2] == (130, "interrupted\n")
    assert get_status(tmp_path / "run") is None


def test_a_signal_within_executed_text_keeps_the_exit_code(tmp_path):
    """Text is executed as modules with dataclasses are imported. CPython remembers a signal there to the end of the process."""
    (tmp_path / "slow.py").write_text("""exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)")""")
    words = [sys.executable, "-m", "src.train", f"plugins=[{tmp_path / 'slow.py'}]", *QUICK]
    process = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_at_once_while_training(tmp_path, number):
    folder = tmp_path / "run"
    process = start(*QUICK, "trainer.epochs=100000", f"hydra.run.dir={folder}")
    until((folder / "metrics.csv").exists)
    code, said, _ = end(process, number, number, apart=0.005)
    assert code == 130
    assert said.splitlines()[-1] == f"interrupted; resume it with: python -m src.train resume={folder}"
    assert "Traceback" not in said
    assert get_status(folder) == "interrupted"
    assert load_checkpoint(folder)["learning"]["epochs_done"] > 0


def test_a_long_epoch_is_not_waited_for(tmp_path):
    folder = tmp_path / "run"
    process = start(
        *QUICK, "engine=reference", "trainer.sequences=2000", "family.sequence_length=200", f"hydra.run.dir={folder}"
    )
    until((folder / "status.json").exists)
    time.sleep(4)
    code, said, _ = end(process, signal.SIGINT)
    assert (code, get_status(folder)) == (130, "interrupted")
    assert f"resume={folder}" in said


def jobs_of(folder):
    return [one.status for one in survey(folder)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_workers_of_joblib_end_with_their_parent(tmp_path, number):
    folder = tmp_path / "sweep"
    process = start("-m", "seed=0,10", "launcher=joblib", "launcher.jobs=2", *QUICK, "trainer.epochs=100000",
                    f"hydra.sweep.dir={folder}")  # fmt: skip
    until(lambda: len(list(folder.glob("*/metrics.csv"))) == 2)
    workers = [json.loads(path.read_text())["process"] for path in folder.glob("*/status.json")]
    code, said, _ = end(process, number)
    until(lambda: not any(alive(worker) for worker in workers), 10)
    assert jobs_of(folder) == ["interrupted"] * 2
    assert len(list(folder.glob("*/checkpoints/last.ckpt"))) == 2
    if number == signal.SIGTERM:
        assert code == 130
        assert f"python -m src.sweep resume {folder}" in said
        assert "Traceback" not in said


def alive(process):
    """Whether it runs; one that has ended may be left for its new parent to see."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_signal_between_two_jobs_of_a_sweep(tmp_path, monkeypatch, capsys):
    original = jobs.set_status

    def signalled(folder, status, **more):
        original(folder, status, **more)
        if status is Status.FINISHED:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(jobs, "set_status", signalled)
    with pytest.raises(KeyboardInterrupt):
        train._main(["-m", "seed=0,10", *QUICK, "trainer.epochs=2", f"hydra.sweep.dir={tmp_path / 's'}"])
    assert jobs_of(tmp_path / "s") == ["finished", "not started"]
    assert f"python -m src.sweep resume {tmp_path / 's'}" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------- any moment, by chance

POLITE = [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT,) * 2, (signal.SIGTERM, signal.SIGINT)]
KILL = [(signal.SIGKILL,)]


def phase(folder):
    """How far the run in a folder has come."""
    if not (folder / "config.yaml").exists():
        return "start"
    if (folder / "curve.csv").exists():
        return "end" if get_status(folder) == "finished" else "pictures"
    if any(folder.glob("checkpoints/.*")):
        return "checkpoint"
    if has_trained(folder):
        return "evaluation"
    return "training" if (folder / "metrics.csv").exists() else "before training"


def has_trained(folder):
    """Whether the last epoch is done."""
    path = folder / "metrics.csv"
    return path.exists() and len(path.read_text().splitlines()) > EPOCHS // EVERY


EPOCHS, EVERY = 40, 4


def command(words, said):
    """The command in a process that has imported everything: what it says goes into a file."""
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
    sys.argv = ["train", *words]
    commands.start("train")


@pytest.fixture(scope="module")
def forks():
    """Starts the command in processes that are copies of one that has imported everything; returns each and its file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "learning_to_learn.jobs.sweeps", "learning_to_learn.results.table"])
    numbers = itertools.count()

    def fork(*words):
        said = Path.cwd() / f"said{next(numbers)}"
        process = context.Process(target=command, args=(words, said))
        process.start()
        return process, said

    return fork


def ended(process, said):
    process.join(300)
    return process.exitcode, said.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("kinds", "moments"), [(POLITE, 60), (KILL, 40)], ids=["signals", "kill"])
def test_at_random_moments(tmp_path, forks, kinds, moments, tally):
    """Seeded moments from composing to the end: no wrong status or exit code, and the resumed run is an unbroken one.

    Every third lies after the training.
    """
    words = [*QUICK, f"trainer.epochs={EPOCHS}", f"trainer.evaluate_every={EVERY}", "trainer.checkpoint_seconds=0"]
    for n in range(2):  # the second finds all kernels
        began = time.monotonic()
        process, said = forks(*words, f"hydra.run.dir={tmp_path / f'unbroken{n}'}")
        until(lambda n=n: has_trained(tmp_path / f"unbroken{n}"))
        trained = time.monotonic()
        assert ended(process, said)[0] == 0
        whole, after = time.monotonic() - began, time.monotonic() - trained
    expected = results(tmp_path / "unbroken0")
    chance = random.Random(moments)
    wrong, slowest, met, codes = [], 0.0, Counter(), Counter()
    for number, signals in zip(range(moments), itertools.cycle(kinds), strict=False):
        folder = tmp_path / f"run{number}"
        process, said = forks(*words, f"hydra.run.dir={folder}")
        until(lambda process=process: catches(process, signal.SIGTERM))
        if number % 3:
            time.sleep(whole * (number + chance.random()) / moments)
        else:  # evaluation and pictures are too short to be met often
            until(lambda folder=folder: has_trained(folder))
            time.sleep(after * chance.random())
        met[phase(folder)] += 1
        began = time.monotonic()
        for one in signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, one)
            time.sleep(chance.uniform(0, 0.1))
        code, told = ended(process, said)
        took, status = time.monotonic() - began, get_status(folder)
        slowest, codes[code, str(status)] = max(slowest, took), codes[code, str(status)] + 1
        stopped = (130, "interrupted") if kinds is POLITE else (-signal.SIGKILL, "running")
        if (code, status) not in ((0, "finished"), *((stopped[0], s) for s in (stopped[1], "finished", None))):
            wrong.append((number, signals, code, status, told))
        if "Traceback" in told or took > LIMIT or (status == "interrupted" and f"resume={folder.name}" not in told):
            wrong.append((number, signals, took, told))
        if status is not None:
            again, told = ended(*forks(f"resume={folder}"))
            weights, found = results(folder)
            if again or not torch.equal(weights, expected[0]) or found != expected[1]:
                wrong.append((number, signals, "resumed to something else", told))
    print(f"{moments} moments in {whole:.1f} s: {dict(met)}; {dict(codes)}; slowest end {slowest:.2f} s; {len(wrong)} wrong")
    seen = ", ".join(f"{count} {name}" for name, count in met.items()) + f"; the slowest end took {slowest:.1f} s"
    what = "Ctrl-C and SIGTERM leave a run that resumes to the same bits" if kinds is POLITE else "So does kill -9"
    tally(what, moments, len(wrong), seen)
    assert not wrong
    assert len(met) >= 4


@pytest.mark.slow
def test_at_random_moments_of_the_start(tmp_path, tally):
    """Real processes, while they import: nothing is begun, and nothing else is said."""
    chance, wrong = random.Random(0), []
    for number, signals in zip(range(12), itertools.cycle(POLITE), strict=False):
        process = start(*QUICK, f"hydra.run.dir={tmp_path / f'run{number}'}")
        time.sleep(chance.uniform(0, 1.5))
        code, said, took = end(process, *signals, apart=chance.uniform(0, 0.1))
        if (code, said.splitlines()[-1:]) != (130, ["interrupted"]) or "Traceback" in said or took > LIMIT:
            wrong.append((number, signals, code, took, said))
    tally("A signal while a command starts ends it", 12, len(wrong))
    assert not wrong
