"""Jobs of a sweep that are composed from one another are what Hydra composes of their words."""

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from learning_to_learn import composing
from learning_to_learn.alike import Composer

JOBS = [
    ["arch=lstm", "optimizer.lr=0.1", "seed=0"],
    ["arch=lstm", "optimizer.lr=1e-3", "seed=7"],
    ["arch=elman", "optimizer.lr=0.1", "seed=0"],
    ["arch=elman", "optimizer.lr=null", "seed=0"],
    ["arch=lstm", "seed=1", "optimizer.lr=0.1"],
    ["optimizer=sgd", "optimizer.momentum=0.5"],
    ["optimizer=sgd", "optimizer.momentum=0.25"],
    ["optimizer.momentum=0.25", "optimizer=sgd"],
    ["arch.layers=[{neuron: 4}]", "arch.name='two words, and a comma'"],
    ["arch.layers=[{neuron: 8}]", "arch.name=other"],
    ["arch.bias={input_gate: 1.5}", "arch.init_scale=0.5"],
    ["arch.bias={forget_gate: 2.5}", "arch.init_scale=0.25"],
    ["arch.bias=null", "arch.init_scale=0.25"],
    ["+logger.tags=[a]", "logger.mode=offline"],
    ["logger.tags=[b]", "logger.mode=disabled"],
    ["threads=null", "trainer.average=0.5"],
    ["threads=2", "trainer.average=0"],
    ["trainer.epochs=3", "trainer.evaluate_every=${trainer.epochs}"],
    ["trainer.epochs=4", "trainer.evaluate_every=${trainer.epochs}"],
    ["hydra.job.name=x", "seed=1"],
    ["hydra.job.name=y", "seed=2"],
]


def composed(compose):
    """What each job is, in plain text; what Hydra says where it is none."""
    found = []
    for words in JOBS:
        try:
            config = compose(words)
        except Exception as error:  # noqa: BLE001 - Hydra raises many kinds
            found.append((type(error).__name__, str(error)))
        else:
            found.append((OmegaConf.to_yaml(config), str(config.hydra.job.override_dirname)))
    return found


def test_jobs_are_what_hydra_makes_of_them():
    with composing._hydra(composing.read(["-m", "seed=0,1"])) as hydra:
        master = hydra.compose_config(composing.NAME, ["seed=0,1"], run_mode=RunMode.MULTIRUN, with_log_configuration=False)
        alike = Composer(hydra.config_loader, master)
        truth = composed(lambda words: hydra.config_loader.load_sweep_config(master, words))
        asked = []
        real = hydra.config_loader.load_sweep_config
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hydra.config_loader, "load_sweep_config", lambda *given: asked.append(given) or real(*given))
            assert composed(alike.compose) == truth
        assert len(asked) < len(JOBS) - 4  # it was not just asked for each
        for words, (kind, _) in zip(JOBS, truth, strict=True):
            if kind.endswith("Exception"):
                with pytest.raises(Exception, match=r"."):
                    alike.check(words)
            else:
                alike.check(words)
        assert composed(alike.compose) == truth  # in whatever order they come
