"""`launcher=packed`: a sweep whose jobs are trained together is the sweep whose jobs are trained one after the other."""

from pathlib import Path

import pytest
import torch

from learning_to_learn.commands import sweep, train
from learning_to_learn.jobs.pack import MOST_REPLICAS, packs
from learning_to_learn.jobs.wandb_run import WandbRun
from learning_to_learn.runs.run_folder import read_json
from learning_to_learn.runs.sweep_folder import survey
from learning_to_learn.training.sequences import MetaData
from tests.commands.test_train import SMALL
from tests.helpers import job

JOBS = ["-m", "arch=lstm,elman", "optimizer.lr=0.01,0.1", "seed=1000,1004", *SMALL]
EQUAL = ("replicas.csv", "curve.csv", "stream.csv", "config.yaml")


def weights(folder: Path) -> torch.Tensor:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]["weights"]


def without(table: dict, *keys: str) -> dict:
    return {key: value for key, value in table.items() if key not in keys}


def are_equal(one: Path, other: Path) -> None:
    """The two sweeps have the same jobs with the same results, to the bit; only seconds differ, and who ran them."""
    names = sorted(p.name for p in one.iterdir() if p.is_dir() and p.name[0].isdigit())
    assert names == sorted(p.name for p in other.iterdir() if p.is_dir() and p.name[0].isdigit())
    for name in names:
        for file in EQUAL[:3]:
            assert (one / name / file).read_bytes() == (other / name / file).read_bytes(), (name, file)
        assert torch.equal(weights(one / name), weights(other / name))
        results = [without(read_json(folder / name / "result.json") or {}, "seconds") for folder in (one, other)]
        assert results[0] == results[1]
        told = [read_json(folder / name / "status.json") or {} for folder in (one, other)]
        assert {key: told[0][key] for key in ("status", "fingerprint", "score", "epochs")} == {
            key: told[1][key] for key in ("status", "fingerprint", "score", "epochs")
        }
        rows = [
            [without(dict(zip(lines[0].split(","), line.split(","), strict=True)), "time/seconds") for line in lines[1:]]
            for lines in ((folder / name / "metrics.csv").read_text().splitlines() for folder in (one, other))
        ]
        assert rows[0] == rows[1]


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apart") / "s"
    assert train._main([*JOBS, f"hydra.sweep.dir={folder}"]) == 0
    return folder


def test_a_packed_sweep_is_the_sweep(apart, tmp_path):
    assert train._main([*JOBS, "launcher=packed", f"hydra.sweep.dir={tmp_path / 's'}"]) == 0
    assert [one.status for one in survey(tmp_path / "s")] == ["finished"] * 8
    assert all("trained together with 3 other jobs" in path.read_text() for path in (tmp_path / "s").glob("*/train.log"))
    are_equal(tmp_path / "s", apart)


def test_it_resumes_what_was_interrupted(apart, tmp_path, monkeypatch):
    from learning_to_learn.jobs import train as training

    class Enough(KeyboardInterrupt):
        pass

    real, calls = training.EachPart.on_validation_end, []

    def interrupt(self, trainer, learner):
        real(self, trainer, learner)
        calls.append(learner.epochs_done)
        for part, callbacks in zip(learner.parts, self.callbacks, strict=True):
            callbacks[-1].seconds = 0  # a checkpoint at every look
            callbacks[-1].on_train_batch_end(trainer, part)
        if len(calls) == 2:
            raise Enough

    monkeypatch.setattr(training.EachPart, "on_validation_end", interrupt)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train._main([*JOBS, "launcher=packed", f"hydra.sweep.dir={tmp_path / 's'}"])
    monkeypatch.undo()
    assert "finished" not in [one.status for one in survey(tmp_path / "s")]
    assert sweep._main(["resume", str(tmp_path / "s")]) == 0
    are_equal(tmp_path / "s", apart)


def test_what_cannot_be_packed_is_run_by_itself(tmp_path, capsys):
    """A job that fails, one that diverges, a duplicate and one that is done already are what they are without packing."""
    words = ["-m", "arch=elman", "optimizer=sgd", "optimizer.clip=null", *SMALL, f"hydra.sweep.dir={tmp_path / 's'}"]
    assert train._main([*words, "optimizer.lr=0.1", "launcher=packed"]) == 0
    code = train._main([*words, "optimizer.lr=0.1,-1,1e30,0.2,0.2", "launcher=packed"])
    assert code == 1
    found = sorted(str(one.status) for one in survey(tmp_path / "s"))
    assert found == ["duplicate", "failed", "finished", "finished", "finished"]


def test_jobs_with_few_mappings_of_their_own_keep_them():
    """Mappings that a job is trained on come of its own seeds, also where another seed's job is trained beside it."""
    jobs = [job("family.training_mappings=3", f"seed={seed}", "replicas=2", "trainer.sequences=4") for seed in (5, 9)]
    together = MetaData(*jobs).epoch(0)
    for number, one in enumerate(jobs):
        alone, replicas = MetaData(one).epoch(0), slice(2 * number, 2 * number + 2)
        assert torch.equal(together.mappings[replicas], alone.mappings)
        assert torch.equal(together.inputs[replicas], alone.inputs)


def test_every_job_of_a_pack_says_how_far_it_is(tmp_path):
    assert train._main(["-m", "arch=elman", "seed=0,2", *SMALL, "launcher=packed", f"hydra.sweep.dir={tmp_path / 's'}"]) == 0
    folders = sorted(path.parent for path in (tmp_path / "s").glob("*/progress.json"))
    assert len(folders) == 2
    for folder in folders:
        said = read_json(folder / "progress.json")
        assert said["epoch"] == read_json(folder / "status.json")["epochs"]
        assert said["score"] == read_json(folder / "status.json")["score"]


def test_what_goes_wrong_with_one_job_of_a_pack_leaves_the_others_alone(tmp_path, monkeypatch):
    """The job itself then runs as it does alone, from the checkpoint that the pack has left."""
    from learning_to_learn.jobs import pack

    real = pack.conclude

    def conclude(member, *more):
        if member.config.seed == 2:
            raise OSError("no room")
        return real(member, *more)

    monkeypatch.setattr(pack, "conclude", conclude)
    words = ["-m", "arch=elman", "seed=0,2,4", *SMALL, "launcher=packed", f"hydra.sweep.dir={tmp_path / 's'}"]
    assert train._main(words) == 0
    assert [one.status for one in survey(tmp_path / "s")] == ["finished"] * 3
    log = (tmp_path / "s/1_elman_boolean/train.log").read_text()
    assert "trained together with 2 other jobs" in log
    assert log.count("resumed after epoch") == 1


def test_which_jobs_make_a_pack():
    lr = [job(f"optimizer.lr={rate}") for rate in (0.1, 0.2)]
    others = [job("trainer.batch=5"), job("family.carry_state=true"), job("family.carry_state=true", "seed=9")]
    assert packs([lr[0], others[0], lr[1], *others[1:]]) == [[0, 2], [1], [3], [4]]
    many = [job("replicas=100", f"seed={100 * i}") for i in range(4)]
    assert all(sum(many[i].replicas for i in pack) <= MOST_REPLICAS for pack in packs(many))


def test_wandb_is_told_of_a_packed_job_what_it_is_told_of_a_job_alone(tmp_path, monkeypatch):
    """Its history is replayed from metrics.csv when the job ends, once."""
    told: list[dict] = []

    def log(self, method, values=None, *_, step=None, **__):
        if method == "log" and step is not None:
            told.append({"step": step, **{k: v for k, v in values.items() if isinstance(v, int | float)}})

    monkeypatch.setattr(WandbRun, "_call", log)
    words = ["-m", "arch=elman", "seed=0,2", *[w for w in SMALL if "logger" not in w], "logger.mode=offline"]
    assert train._main([*words, f"hydra.sweep.dir={tmp_path / 'apart'}"]) == 0
    apart, told[:] = list(told), []
    assert train._main([*words, "launcher=packed", f"hydra.sweep.dir={tmp_path / 's'}"]) == 0
    assert [without(row, "time/seconds") for row in told] == [without(row, "time/seconds") for row in apart]
    assert len(told) == 4
