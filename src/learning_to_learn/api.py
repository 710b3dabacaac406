"""The Python API: compose a configuration, train it, read runs back. `learning_to_learn/__init__.py` hands the names out."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from learning_to_learn import plugins
from learning_to_learn.composing import compose_config, new_folder
from learning_to_learn.config import Config
from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import Status

if TYPE_CHECKING:
    from learning_to_learn.training.evaluation import Evaluation
    from learning_to_learn.training.learner import MetaLearner
    from learning_to_learn.training.sequences import Sequences


def compose(*overrides: str) -> Config:
    """The configuration that `python -m src.train <overrides>` would run.

    It is a plain dataclass: `config.optimizer.lr = 0.01` is as good as compose("optimizer.lr=0.01"). Raises `UserError`, a
    ValueError of one line, on a key or an option that does not exist.

    >>> compose("arch=lstm", "seed=3").seed
    3
    """
    return compose_config(*overrides)


@dataclass(frozen=True)
class Run:
    """A trained run, read from its folder."""

    folder: Path
    config: Config
    learner: "MetaLearner"
    """The trained replicas."""

    @property
    def metrics(self) -> dict:
        """What was measured on test data: medians and ranges over the replicas, such as `score_median`."""
        from learning_to_learn.runs.run_folder import RESULT, read_json

        return read_json(self.folder / RESULT) or {}

    def predict(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Every replica's outputs, [R, N, T, m], on sequences of your own.

        `x`, [N, T, d], are the inputs, `y`, [N, T, m], the targets; a class is one-hot. The output at cycle t has seen x[1..t]
        and y[1..t-1]; the network's last inputs, the previous target, are made from `y`. Where the family has one output, `y`
        may be [N, T]; the outputs are then [R, N, T].
        """
        found = _sequences(self.learner, x, y)
        outputs = self.learner.outputs(found).numpy()
        return outputs[..., 0] if np.ndim(y) == 2 else outputs

    def states(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The states of every replica's cells after each cycle, [R, N, T, cells], on sequences of your own; see `predict`.

        Raises UserError where the network has units without states only.
        """
        import torch

        network = self.learner.network
        if not network.cells:
            raise UserError("this network has no cells: only units with a state keep something")
        weights = self.learner.evaluated
        inputs = _sequences(self.learner, x, y).inputs.expand(len(weights), -1, -1, -1)
        state, kept = None, []
        with torch.no_grad():
            for t in range(inputs.shape[2]):
                _, state = network.forward(weights, inputs[:, :, t : t + 1], state)
                kept.append(torch.cat(network.split_state(state)[1], -1))
        return torch.stack(kept, 2).numpy()


def train(config: Config, folder: Path | str | None = None) -> Run:
    """Train what the configuration says and measure it on test data, in `folder`, or in a new one under runs/.

    A finished run in that folder is not run again, an unfinished one is resumed. Raises UserError where the folder holds
    another run, and RuntimeError where training fails; the traceback is then in the folder's train.log.
    """
    from learning_to_learn.jobs.job import run_job

    plugins.load(config.plugins)
    plugins.name_class(config.arch.module)
    folder = new_folder() if folder is None else Path(folder)
    outcome = run_job(config, folder, console=False)
    if outcome.status is Status.FAILED:
        raise (UserError if outcome.refused else RuntimeError)(outcome.error)
    return load_run(outcome.folder)


def load_run(folder: Path | str, plugins: Iterable[str] = ()) -> Run:
    """The run in a folder, as it was when it ended.

    Raises UserError where there is none, or where it needs plugins that this process has not imported: name them.
    """
    from learning_to_learn.runs.trained import load_run as load_learner

    _load_plugins(plugins)
    learner = load_learner(Path(folder))
    return Run(Path(folder), learner.config, learner)


def evaluate(run: Run, folder: Path | str | None = None, **changes: object) -> "Evaluation":
    """Measure a run on test data again, or on what it was not trained on, such as sequence_length=1000.

    `changes` are those of `python -m src.evaluate --help`. What is found is also written into `folder`, by default into
    evaluations/ in the run's own folder.
    """
    from learning_to_learn.jobs.measuring import measure

    return measure(
        run.folder,
        {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in changes.items()},
        into=None if folder is None else Path(folder),
    )[1]


_load_plugins = plugins.load


def _sequences(learner: "MetaLearner", x: np.ndarray, y: np.ndarray) -> "Sequences":
    """Sequences of a user's own (R = 1), as a learner sees them."""
    import torch

    from learning_to_learn.training.sequences import show

    d, m = learner.family.input_size, learner.family.output_size
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    flat = m == 1 and y.ndim == 2
    if x.ndim != 3 or x.shape[2] != d or y.shape != (x.shape[:2] if flat else (*x.shape[:2], m)):
        wanted = f"[N, T, {d}] and [N, T, {m}]" + (" or [N, T]" if m == 1 else "")
        raise UserError(f"x has shape {x.shape} and y {y.shape}: they must be {wanted}")
    inputs, targets = torch.from_numpy(x.copy())[None], torch.from_numpy(y.reshape(*x.shape[:2], m).copy())[None]
    stacked = learner.config.family.encoding == "stacked"
    return show(learner.family, inputs, targets, targets[:, :, 0, :0], stacked=stacked)
