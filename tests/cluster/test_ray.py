"""Sweeps on a Ray cluster of two nodes end with the table of the basic launcher, also when a node dies."""

import signal

import pytest

from learning_to_learn.runs.run_folder import read_json
from tests.cluster.ray_nodes import Nodes
from tests.cluster.sweeps import LONG, ROOT, TWO, Sweep, results

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def nodes(place):
    with Nodes(place / "ray") as running:
        yield running


@pytest.mark.parametrize("address", ["auto", "ray://"])
def test_plain(nodes, of_two, tmp_path, address):
    address = address.replace("ray://", f"ray://127.0.0.1:{nodes.client_port}")
    words = [*TWO, "launcher=ray", f"launcher.address={address}"]
    with Sweep(tmp_path / "s", *words, environment=nodes.environment) as sweep:
        assert sweep.wait() == 0, sweep.said
    assert results(tmp_path / "s") == of_two


def test_one_job_fails_and_plugin(nodes, tmp_path):
    words = [f"plugins=[{ROOT / 'examples/leaky_neuron.py'}]", "arch=bptt", "arch.name=leaky",
             "arch.layers=[{leaky_neuron: 4}]", "optimizer.lr=-1,0.03", *TWO[2:]]  # fmt: skip
    remote = ["launcher=ray", "launcher.address=auto"]
    with Sweep(tmp_path / "b", *words) as basic, Sweep(tmp_path / "s", *words, *remote, environment=nodes.environment) as sweep:
        assert basic.wait() == 1
        assert sweep.wait() == 1, sweep.said
    assert sweep.statuses() == ["failed", "finished"]
    assert results(tmp_path / "s") == results(tmp_path / "b")


def test_ctrl_c_ends_the_tasks(nodes, of_long, tmp_path):
    words = [*LONG, "launcher=ray", "launcher.address=auto"]
    with Sweep(tmp_path / "s", *words, environment=nodes.environment) as sweep:
        sweep.until_in_training(1)
        sweep.send(signal.SIGINT)
        assert sweep.wait(30) == 130
        sweep.until(lambda: "running" not in sweep.statuses(), "no task holds a folder any more", 30)
    assert {"interrupted", "killed"} & set(sweep.statuses())
    assert sweep.resume() == 0
    assert results(tmp_path / "s") == of_long


def test_a_node_dies(nodes, of_long, tmp_path):
    words = [*LONG, "launcher=ray", "launcher.address=auto"]
    with Sweep(tmp_path / "s", *words, environment=nodes.environment) as sweep:
        sweep.until_in_training(2)
        nodes.kill()
        assert sweep.wait() == 0, sweep.said
    assert results(tmp_path / "s") == of_long
    starts = [len((read_json(path) or {})["starts"]) for path in (tmp_path / "s").glob("*/provenance.json")]
    assert sorted(starts) == [1, 2]
