"""What a sweep says and does about a SLURM whose commands are stand-ins here; tests/cluster has a real one."""

import pickle
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus

from learning_to_learn import composing
from learning_to_learn.commands import sweep, train
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError
from learning_to_learn.jobs import ray_cluster, slurm
from learning_to_learn.runs import slurm_queue
from learning_to_learn.runs.monitor import summary
from learning_to_learn.runs.run_folder import held, set_status
from learning_to_learn.runs.slurm_queue import in_queue, record
from learning_to_learn.runs.sweep_folder import survey
from tests.commands.test_train import SMALL
from tests.helpers import job

WORDS = [*SMALL, "launcher=submitit_slurm"]
TWO = ["-m", "arch=elman", "seed=0,10", *WORDS, "hydra.sweep.dir=s"]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A SLURM that submits every array as number 7 and says of its jobs what the file `queue` says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "queue").touch()

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    write("srun", "exit 1")
    write("sbatch", "echo Submitted batch job 7")
    write("squeue", f"cat '{tmp_path / 'queue'}'")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(slurm_queue, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.1)
    return write


def queue(text: str) -> None:
    Path("queue").write_text(text)


def test_a_job_that_is_cancelled_does_not_keep_the_others_from_being_waited_for(commands, tmp_path, capsys):
    """The first job is cancelled before it begins; the second leaves its result, a failure, some time later."""
    Path("s/1_elman_boolean").mkdir(parents=True)
    set_status(Path("s/1_elman_boolean"), "failed", overrides=["arch=elman", "seed=10", *WORDS], error="its own error")
    queue("7_0|CANCELLED|None\n7_1|RUNNING|None\n")
    (tmp_path / "result").write_bytes(pickle.dumps(("success", JobReturn(status=JobStatus.COMPLETED, _return_value=0.5))))
    result = "s/.submitit/7_1/7_1_0_result.pkl"
    commands("sbatch", f"(sleep 2; cp result {result}.new; mv {result}.new {result}) > /dev/null 2>&1 &\n"
             "echo Submitted batch job 7")  # fmt: skip
    assert train._main(TWO) == 1
    assert Path(result).exists()
    assert [job.status for job in survey(Path("s"))] == ["cancelled", "failed"]
    assert "cancelled: s/0_elman_boolean" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "state", "after", "error"),
    [
        ("running", "CANCELLED", "cancelled", ""),
        ("interrupted", "CANCELLED", "cancelled", ""),
        ("running", "OUT_OF_MEMORY", "failed", "SLURM: OUT_OF_MEMORY"),
        ("running", "", "failed", "SLURM: it left no result"),
        ("finished", "CANCELLED", "finished", ""),
        ("failed", "NODE_FAIL", "failed", "its own error"),
    ],
)
def test_what_is_written_of_a_job_that_left_no_result(commands, before, state, after, error):
    words = ["arch=elman", "seed=0", *WORDS]
    Path("s/0_elman_boolean").mkdir(parents=True)
    its_own = {"error": "its own error"} if before == "failed" else {}
    set_status(Path("s/0_elman_boolean"), before, overrides=words, epochs=4, **its_own)
    queue(f"7|{state}|None\n" if state else "")
    train._main(["-m", *words, "hydra.sweep.dir=s"])
    (found,) = survey(Path("s"))
    assert (found.status, found.error) == (after, error)


def test_a_slurm_that_does_not_answer_is_asked_again(commands, monkeypatch):
    """It may be restarting: its silence does not mean that a job has ended."""
    commands("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert slurm_queue.ask(["7_0"]) is None
    commands("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert slurm_queue.ask(["7_0"]) == {}
    answers = [None, None, None, {}, {}]
    monkeypatch.setattr(slurm, "ask", lambda _ids: answers.pop(0))
    assert train._main(TWO) == 1
    assert answers == []


@pytest.mark.parametrize(
    ("status", "place", "shown", "error"),
    [
        (None, "PENDING|Priority", "queued", ""),
        (None, "PENDING|PartitionConfig", "queued", "SLURM: PartitionConfig, the partition has no node with"),
        (None, "PENDING|ReqNodeNotAvail", "queued", "SLURM: ReqNodeNotAvail"),
        (None, "RUNNING|None", "not started", ""),
        (None, "CANCELLED|None", "cancelled", ""),
        ("running", "PENDING|BeginTime", "queued again", ""),
        ("running", "RUNNING|None", "queued again", ""),
        ("running", "COMPLETED|None", "killed", ""),
        ("interrupted", "PENDING|BeginTime", "queued again", ""),
        ("interrupted", "CANCELLED|None", "cancelled", ""),
        ("finished", "PENDING|None", "finished", ""),
        ("failed", "PENDING|None", "failed", ""),
    ],
)
def test_where_a_job_is(commands, tmp_path, capsys, status, place, shown, error):
    """`sweep status` and the console show what SLURM says of a job that no process holds."""
    words = ["seed=1"]
    (tmp_path / "sweep.json").write_text('{"arguments": ["seed=1"], "jobs": [["seed=1"]], "started": 0}')
    if status:
        (tmp_path / "0_a").mkdir()
        set_status(tmp_path / "0_a", status, overrides=words)
    record(tmp_path, {"6_0": words})
    record(tmp_path, {"7_0": words})
    queue(f"6_0|FAILED|None\n7_0|{place}\n")
    (found,) = in_queue(tmp_path, survey(tmp_path))
    assert found.status == shown
    assert found.error.startswith(error)
    assert bool(found.error) == bool(error)
    assert summary([found], 0.0).endswith(error and found.error)
    if shown != "not started":
        assert f"1 {shown}" in summary([found], 0.0)
    sweep._main(["status", str(tmp_path)])
    assert shown in capsys.readouterr().out


def test_a_damaged_list_of_what_was_submitted_is_no_list(commands, tmp_path):
    set_status(tmp_path, "running", overrides=["seed=1"])
    for text in ("{", "[]", '{"7_0": 3}', '{"--help": ["seed=1"], "7_0": [["seed=1"], {}]}'):
        (tmp_path / "slurm.json").write_text(text)
        assert in_queue(tmp_path, survey(tmp_path))[0].status == "killed"


def test_a_job_that_a_process_holds_is_running(commands, tmp_path):
    set_status(tmp_path, "running", overrides=["seed=1"])
    record(tmp_path, {"7_0": ["seed=1"]})
    queue("7_0|PENDING|None\n")
    with held(tmp_path, lambda: None):
        assert in_queue(tmp_path, survey(tmp_path))[0].status == "running"


def test_ctrl_c_says_that_the_jobs_go_on_and_how_to_cancel_them(commands, monkeypatch, capsys):
    def interrupt(_jobs):
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train._main(TWO)
    said = capsys.readouterr().err
    assert "the jobs that wait or run on the cluster go on" in said
    assert "python -m src.sweep status s; cancel them with: scancel 7\n" in said


def test_submit_and_leave(commands, capsys):
    with pytest.raises(SystemExit) as left:
        train._main([*TWO, "launcher.wait=false"])
    assert left.value.code == 0
    assert "2 jobs are submitted. See them with: python -m src.sweep status s" in capsys.readouterr().err
    queue("7_0|PENDING|None\n7_1|PENDING|None\n")
    assert [job.status for job in in_queue(Path("s"), survey(Path("s")))] == ["queued", "queued"]


def test_what_slurm_refuses_leaves_nothing_to_be_kept(commands):
    """Nor a folder, where nobody has named one."""
    commands("sbatch", "echo 'sbatch: error: invalid partition specified: nosuch' >&2; exit 1")
    with pytest.raises(UserError, match=r"^SLURM refuses the jobs: invalid partition specified: nosuch$"):
        train._main(TWO[:-1])
    assert not list(Path("runs").glob("*/*"))


@pytest.mark.parametrize(("minutes", "signal", "least"), [(1, 120, 4), (3, 120, 4), (2, 1, 3), (1, 0, 2)])
def test_a_time_that_is_too_short_to_train_is_refused(minutes, signal, least):
    with pytest.raises(UserError, match=f"timeout_min={minutes}: give at least {least}, because"):
        slurm.check_time(minutes, signal)
    slurm.check_time(least, signal)


def test_too_short_a_time_is_refused_before_anything_is_submitted(commands):
    commands("sbatch", "touch submitted; echo Submitted batch job 7")
    with pytest.raises(UserError, match=r"timeout_min=1: give at least 4"):
        train._main([*TWO, "hydra.launcher.timeout_min=1"])
    assert not Path("submitted").exists()


@pytest.mark.parametrize("words", [["launcher.wait=false"], ["launcher=joblib", "launcher.address=auto"]])
def test_a_setting_of_another_launcher_is_refused(words):
    with pytest.raises(UserError, match=r"only launcher="):
        check(job(*words))


@pytest.mark.parametrize(("address", "memory", "says"), [("auto", None, "auto"), (None, 75 * 2**20, "local")])
def test_a_ray_cluster_is_given_nothing_that_it_does_not_accept(address, memory, says):
    """The plug-in sets a size of the object store where there is none, which ray.init refuses where it joins a cluster."""
    words = ["launcher=ray", *([f"launcher.address={address}"] if address else [])]
    composing.register()
    with initialize_config_dir(str(composing.CONF), version_base="1.3"):
        init = compose(composing.NAME, words, return_hydra_config=True).hydra.launcher.ray.init
    assert init.setdefault("object_store_memory", 1) == memory  # as the plug-in does
    assert init.address == says


def test_a_ray_job_runs_in_the_commands_folder_wherever_its_worker_started(tmp_path, monkeypatch):
    with initialize_config_dir(str(composing.CONF), version_base="1.3"):
        composing.register()
        config = compose(composing.NAME, ["launcher=ray", "hydra.sweep.dir=s"], return_hydra_config=True)
    job = ray_cluster.from_here(config, lambda _config: Path.cwd())
    assert config.hydra.overrides.hydra[-1] == f"hydra.sweep.dir='{tmp_path / 's'}'"
    monkeypatch.chdir("/")
    assert job(config) == tmp_path
