"""The bar of a single job: its score from the beginning, and nothing drawn after an interruption."""

import io
import json
import re

import pytest
from rich.console import Console

from learning_to_learn.jobs.progress_bar import ProgressBar, ProgressFile
from learning_to_learn.jobs.signals import Interrupted
from learning_to_learn.jobs.train import make_trainer
from learning_to_learn.training import sequences
from learning_to_learn.training.evaluation import curves_on
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job


@pytest.fixture(autouse=True)
def one_epoch_at_a_time(monkeypatch):
    monkeypatch.setattr(sequences, "AT_A_TIME", 0)


def train(config, *callbacks):
    learner, data = MetaLearner(config), MetaData(config)
    make_trainer(config, 0, list(callbacks)).fit(learner, datamodule=data)
    return learner


def text(file):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_the_score_is_there_from_the_first_look_and_training_is_the_same(tmp_path):
    config = job("trainer.evaluate_every=6")
    file = io.StringIO()
    bar = ProgressBar("lstm boolean", Console(file=file, force_terminal=True, width=80))
    learner = train(config, bar, ProgressFile(tmp_path))
    lines = [line for line in re.split(r"[\r\n]+", text(file)) if "epochs" in line]
    first = next(line for line in lines if "score" in line)
    assert re.search(r"0/6 epochs score -?\d\.\d\d", first)
    assert max(map(len, lines)) <= 80
    said = json.loads((tmp_path / "progress.json").read_text())
    assert said["epoch"] == 6
    plain = train(config)
    assert (plain.weights == learner.weights).all()
    assert (plain.validation_curves == learner.validation_curves).all()
    assert (curves_on(plain, MetaData(config).validation()) == learner.validation_curves).all()


class _Stop(ProgressFile):
    def on_train_batch_end(self, trainer, pl_module, *_):
        if pl_module.epochs_done == 3:
            raise Interrupted


def test_an_interruption_stops_the_bar_and_leaves_the_true_epoch(tmp_path):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80)
    bar = ProgressBar("lstm boolean", console)
    with pytest.raises(Interrupted):
        train(job("trainer.evaluate_every=6"), bar, _Stop(tmp_path))
    assert bar.bar is None
    before = file.getvalue()
    console.print("interrupted")
    assert file.getvalue() == f"{before}interrupted\n"
    assert json.loads((tmp_path / "progress.json").read_text())["epoch"] == 3
    assert "3/6 epochs" in text(file)


def test_lines_without_a_terminal(monkeypatch):
    monkeypatch.setattr("learning_to_learn.jobs.progress_bar.LINE_SECONDS", 0.0)
    file = io.StringIO()
    train(job("trainer.evaluate_every=6"), ProgressBar("lstm boolean", Console(file=file, width=40)))
    lines = file.getvalue().splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"lstm boolean: epoch \d/6, score -?\d\.\d\d, \d+ s left", line) for line in lines)
