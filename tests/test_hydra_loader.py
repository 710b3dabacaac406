"""What our loader keeps and lays over is what Hydra composes of the same words, also after a file or a schema has changed."""

import dataclasses
import shutil

import pytest
from hydra import __version__ as hydra_version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import OmegaConf

from learning_to_learn import composing, hydra_loader
from learning_to_learn.composing import CONF, NAME, compose_config
from learning_to_learn.config import TrainerConfig
from tests.helpers import job

WORDS = [
    [],
    ["arch=lstm", "optimizer.lr=0.1", "seed=0"],
    ["arch=lstm", "optimizer.lr=1e-3", "seed=7"],
    ["arch=elman", "optimizer.lr=0.1", "seed=0"],
    ["arch=elman", "optimizer.lr=null", "seed=0"],
    ["arch=lstm", "seed=1", "optimizer.lr=0.1"],
    ["optimizer=sgd", "optimizer.momentum=0.5"],
    ["optimizer=sgd", "optimizer.momentum=0.25"],
    ["optimizer.momentum=0.25", "optimizer=sgd"],
    ["optimizer.momentum=0.25"],
    ["arch.layers=[{neuron: 4}]", "arch.name='two words, and a comma'"],
    ["arch.layers=[{neuron: 8}]", "arch.layers.0={neuron: 3}", "arch.name=other"],
    ["arch.bias={input_gate: 1.5}", "arch.init_scale=0.5"],
    ["arch.bias=null", "arch.init_scale=0.25"],
    ["+logger.tags=[a]", "logger.mode=offline"],
    ["logger.tags=[b]", "logger.mode=disabled"],
    ["threads=null", "trainer.average=0.5"],
    ["threads=2", "trainer.average=0"],
    ["trainer.epochs=3", "trainer.evaluate_every=${trainer.epochs}"],
    ["trainer.epochs=4", "trainer.evaluate_every=${trainer.epochs}"],
    ["hydra.job.name=x", "seed=1"],
    ["hydra.job.config.override_dirname.item_sep=_", "seed=1", "seed=2"],
    ["hydra.verbose=true", "hydra.run.dir=here", "hydra/launcher=joblib"],
    ["trainer=quick", "+size=s", "~logger.tags"],
    ["trainer={epochs: 3}", "replicas=2"],
    ["~trainer", "replicas=2"],
    ["~trainer.epochs"],
    ["+trainer=quick"],
    ["size=none", "arch=none"],
    ["arch=[lstm,elman]"],
    ["family@other=boolean"],
    ["seed@other=3"],
    ["optimizer=null"],
    ["no_such_key=3"],
    ["++some.new.key=3"],
    ["trainer.epochs=many"],
    ["arch=lstm,elman", "seed=3"],
    ["seed=1,2"],
]


def _of(compose, words):
    """What they make, in text, and whether it takes a key that it has not; what Hydra says where they make nothing."""
    try:
        config = compose(words)
    except Exception as error:  # noqa: BLE001 - Hydra raises many kinds
        return type(error).__name__, str(error), repr(error.__cause__)
    return OmegaConf.to_yaml(config), OmegaConf.is_struct(config), OmegaConf.is_struct(config.hydra), config.hydra.runtime.cwd


@pytest.fixture
def loaders(monkeypatch):
    """Ours, Hydra's, and the words that ours has asked Hydra to compose."""
    if not hydra_version.startswith("1.3."):
        pytest.skip("Hydra's own loader is used with other versions")
    hydra_loader._kept.clear()
    asked, real = [], ConfigLoaderImpl._load_configuration_impl
    with composing._hydra(composing.read([])) as hydra:
        theirs = ConfigLoaderImpl(hydra.config_loader.config_search_path)

        def ask(self, **given):
            if self is not theirs:
                asked.append(given["overrides"])
            return real(self, **given)

        monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", ask)
        yield hydra.config_loader, theirs, asked


@pytest.mark.parametrize("mode", [RunMode.RUN, RunMode.MULTIRUN])
def test_words_make_what_hydra_makes_of_them(loaders, tmp_path, monkeypatch, mode):
    ours, theirs, asked = loaders
    several = WORDS if mode == RunMode.RUN else WORDS[::3]
    truth = [_of(lambda words: theirs.load_configuration(NAME, words, mode), words) for words in several]
    assert sum(len(one) == 4 for one in truth) > len(several) / 2
    for backwards in (1, -1):  # in whatever order they come
        found = [_of(lambda words: ours.load_configuration(NAME, words, mode), words) for words in several[::backwards]]
        assert found[::backwards] == truth
    assert len(asked) < 1.3 * len(several)  # it was not just asked for each
    monkeypatch.chdir(tmp_path.parent)
    assert ours.load_configuration(NAME, ["seed=3"], mode).hydra.runtime.cwd == str(tmp_path.parent)


def test_jobs_of_a_sweep_are_what_hydra_makes_of_them(loaders):
    ours, theirs, asked = loaders
    master = theirs.load_configuration(NAME, ["hydra.sweep.dir=here", "seed=0,1"], RunMode.MULTIRUN)
    for words in WORDS[:8]:
        assert _of(lambda words: ours.load_sweep_config(master, words), words) == _of(
            lambda words: theirs.load_sweep_config(master, words), words
        )
    assert len(asked) < 5


def test_a_changed_or_new_file_is_read(tmp_path):
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    words = [f"--config-path={conf}", "optimizer=adam"]
    assert compose_config(*words).optimizer.lr == 0.02
    file = conf / "optimizer/adam.yaml"
    file.write_text(file.read_text().replace("0.02", "0.03"))
    assert compose_config(*words).optimizer.lr == 0.03
    (conf / "trainer/default.yaml").write_text("defaults: [schema, more]\n")
    (conf / "trainer/more.yaml").write_text("epochs: 7\n")
    assert compose_config(*words).trainer.epochs == 7


def test_a_file_of_a_folder_that_the_configuration_names_is_read_each_time(tmp_path):
    """Hydra looks into hydra.searchpath, of which the loader knows nothing."""
    conf, more = tmp_path / "conf", tmp_path / "more"
    shutil.copytree(CONF, conf)
    text = (conf / "train.yaml").read_text()
    (conf / "train.yaml").write_text(text.replace("hydra:\n  output", f"hydra:\n  searchpath: [file://{more}]\n  output"))
    (more / "trainer").mkdir(parents=True)
    for epochs in (7, 8):
        (more / "trainer/mine.yaml").write_text(f"defaults: [schema]\nepochs: {epochs}\n")
        assert compose_config(f"--config-path={conf}", "trainer=mine", "seed=3").trainer.epochs == epochs


def test_a_changed_schema_is_used(monkeypatch):
    assert job().trainer.average == 0

    @dataclasses.dataclass
    class Other(TrainerConfig):
        average: float = 0.5

    monkeypatch.setattr("learning_to_learn.config.TrainerConfig", Other)
    assert job().trainer.average == 0.5


def test_what_is_composed_is_a_copy():
    first = job("seed=1")
    first.trainer.curriculum.append(3)
    first.arch.layers[0]["neuron"] = 77
    assert job("seed=1").trainer.curriculum != first.trainer.curriculum
    assert job("seed=1").arch.layers != first.arch.layers


def test_where_too_many_files_lie_hydra_is_asked(tmp_path, monkeypatch):
    """To look at all of them each time would take longer than to compose."""
    monkeypatch.setattr(hydra_loader, "FILES", 20)
    hydra_loader._kept.clear()
    assert job("seed=3").seed == 3
    assert not any(kept.composed for kept in hydra_loader._kept.values())
