"""Sweeps on a real SLURM end with the table of the basic launcher, whatever happens to their jobs on the way."""

import signal

import pytest

from tests.cluster.sweeps import LONG, ROOT, SLURM, TWO, Sweep, array_of, results, says_how_to_cancel

pytestmark = pytest.mark.cluster
QUEUED_AGAIN = "queued again"


def test_plain(cluster, of_two, tmp_path):
    with Sweep(tmp_path / "s", *TWO, *SLURM, environment=cluster) as sweep:
        assert sweep.wait() == 0, sweep.said
    assert results(tmp_path / "s") == of_two
    logs = [log.read_text() for log in (tmp_path / "s").rglob("*.err")]
    assert logs
    assert not any("Warning" in log for log in logs)  # such as Lightning's, where srun is installed


def test_without_accounting(cluster_without_accounting, of_two, tmp_path):
    with Sweep(tmp_path / "s", *TWO, *SLURM, environment=cluster_without_accounting) as sweep:
        assert sweep.wait() == 0, sweep.said
    assert results(tmp_path / "s") == of_two
    assert "sacct" not in sweep.said


def test_one_job_fails(cluster, tmp_path):
    words = ["arch=elman", "optimizer.lr=-1,0.03", *TWO[2:]]
    with Sweep(tmp_path / "basic", *words) as basic, Sweep(tmp_path / "s", *words, *SLURM, environment=cluster) as sweep:
        assert basic.wait() == 1
        assert sweep.wait() == 1
    assert sweep.statuses() == ["failed", "finished"]
    assert sweep.said.count("error: 0_elman_boolean: optimizer.lr=-1.0: it must be a number above 0") == 1
    assert results(tmp_path / "s") == results(tmp_path / "basic")


def test_plugin(cluster, tmp_path):
    words = [
        f"plugins=[{ROOT / 'examples/leaky_neuron.py'}]",
        "arch=bptt",
        "arch.name=leaky",
        "arch.layers=[{leaky_neuron: 4}]",
        *TWO[1:],
    ]
    with Sweep(tmp_path / "basic", *words) as basic, Sweep(tmp_path / "s", *words, *SLURM, environment=cluster) as sweep:
        assert basic.wait() == 0, basic.said
        assert sweep.wait() == 0, sweep.said
    assert results(tmp_path / "s") == results(tmp_path / "basic")


def test_requeue(cluster, of_long, tmp_path):
    with Sweep(tmp_path / "s", *LONG, *SLURM, environment=cluster) as sweep:
        sweep.until_in_training(2)
        sweep.slurm("scontrol", "requeue", sweep.ids()[0])
        sweep.until(lambda: QUEUED_AGAIN in sweep.shown(), "it is queued again")
        assert "killed" not in sweep.shown()
        assert sweep.wait() == 0, sweep.said
    assert results(tmp_path / "s") == of_long


def test_preemption(cluster, of_long, tmp_path):
    with Sweep(tmp_path / "s", *LONG, *SLURM, "hydra.launcher.partition=short", environment=cluster) as sweep:
        sweep.until_in_training(2)
        sweep.slurm("sbatch", "--partition=urgent", "--cpus-per-task=2", "--mem=100", "--output=/dev/null", "--wrap=sleep 5")
        sweep.until(lambda: sweep.shown().count(QUEUED_AGAIN) >= 2, "both are queued again")
        assert sweep.wait() == 0, sweep.said
    assert results(tmp_path / "s") == of_long


def test_time_limit(cluster, tmp_path):
    """Submitit queues a job again that SLURM signals before its time is up; SLURM looks twice a minute."""
    words = [*LONG, "trainer.epochs=9600"]
    limits = ["hydra.launcher.timeout_min=30", "hydra.launcher.signal_delay_s=1500"]
    with Sweep(tmp_path / "s", *words, *SLURM, *limits, environment=cluster) as sweep:
        sweep.until_in_training(2)
        second = f"jobid={sweep.ids()[1]}"
        sweep.slurm("scontrol", "update", second, "timelimit=20")
        sweep.until(lambda: QUEUED_AGAIN in sweep.shown(), "it is queued again")
        sweep.slurm("scontrol", "update", second, "timelimit=30")
        assert sweep.wait() == 0, sweep.said
    with Sweep(tmp_path / "basic", *words, "threads=1") as basic:
        assert basic.wait() == 0, basic.said
    assert results(tmp_path / "s") == results(tmp_path / "basic")


def test_scancel_of_a_running_and_of_a_waiting_job(cluster, of_long, tmp_path):
    """The others are waited for; the two are "cancelled", and a resume runs them."""
    words = ["arch=elman", "seed=0,10,20", *LONG[2:]]
    with Sweep(tmp_path / "s", *words, *SLURM, "launcher.jobs=2", environment=cluster) as sweep:
        sweep.until_in_training(2)
        ids = sweep.ids()
        sweep.slurm("scancel", ids[0])
        sweep.slurm("scancel", ids[2])
        assert sweep.wait() == 1, sweep.said
    assert sweep.statuses() == ["cancelled", "finished", "cancelled"]
    assert sweep.said.count("cancelled: ") == 2
    assert "Traceback" not in sweep.said
    assert "Error" not in sweep.said
    assert sweep.resume() == 0
    table, replicas = results(tmp_path / "s")
    assert of_long[1].items() <= replicas.items()
    assert table[0]["replicas"] == 6


def test_the_waiting_parent_is_killed(cluster, of_long, tmp_path):
    with Sweep(tmp_path / "s", *LONG, *SLURM, environment=cluster) as sweep:
        sweep.until_in_training(1)
        sweep.send(signal.SIGKILL)
        assert sweep.wait() == -signal.SIGKILL
    assert sweep.resume() == 0
    assert results(tmp_path / "s") == of_long


def test_ctrl_c_at_the_waiting_parent(cluster, of_long, tmp_path):
    """It says that the jobs go on and how to cancel them, which works; a resume runs them to their end."""
    with Sweep(tmp_path / "s", *LONG, *SLURM, environment=cluster) as sweep:
        sweep.until_in_training(2)
        array = array_of(sweep.ids())
        sweep.send(signal.SIGINT)
        assert sweep.wait(20) == 130
    assert "go on" in sweep.said
    assert says_how_to_cancel(sweep.said, array)
    assert len(sweep.slurm("squeue", "--noheader", "--array", f"--jobs={array}").splitlines()) == 2
    sweep.slurm("scancel", array)
    sweep.until(lambda: sweep.shown().count("cancelled") >= 2, "status shows both as cancelled")
    assert sweep.resume() == 0
    assert results(tmp_path / "s") == of_long


def test_submit_and_leave(cluster, of_two, tmp_path):
    with Sweep(tmp_path / "s", *TWO, *SLURM, "launcher.wait=false", environment=cluster) as sweep:
        assert sweep.wait() == 0, sweep.said
    assert "2 jobs are submitted" in sweep.said
    assert says_how_to_cancel(sweep.said, array_of(sweep.ids()))
    sweep.until(lambda: sweep.statuses() == ["finished"] * 2, "both have finished")
    assert results(tmp_path / "s") == of_two


def test_more_cores_than_a_node_has(cluster, tmp_path):
    """SLURM queues the jobs for ever; the console and `status` say why."""
    with Sweep(tmp_path / "s", *TWO, *SLURM, "launcher.cores=4", environment=cluster) as sweep:
        sweep.until(lambda: "2 queued; SLURM: PartitionConfig, the partition has no node with" in sweep.said, "it says why")
        assert "PartitionConfig" in sweep.shown()
        sweep.send(signal.SIGINT)
        assert sweep.wait(20) == 130
    sweep.slurm("scancel", array_of(sweep.ids()))


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("hydra.launcher.partition=nosuch", "invalid partition specified: nosuch"),
        ("hydra.launcher.mem_gb=1000", "Memory specification can not be satisfied"),
        ("hydra.launcher.timeout_min=1", "timeout_min=1: give at least 4"),
    ],
)
def test_what_no_partition_has_is_one_line(cluster, tmp_path, word, says):
    with Sweep(tmp_path / "s", *TWO, *SLURM, word, environment=cluster) as sweep:
        assert sweep.wait() == 2
    assert says in sweep.said
    assert "kept" not in sweep.said
    assert "Traceback" not in sweep.said
    assert len(sweep.said.splitlines()) == 1
