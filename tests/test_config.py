import dataclasses
import re
import shutil
import typing

import pytest
import yaml

from learning_to_learn.composing import CONF, PACKAGE, SWEEPS, compose_config
from learning_to_learn.config import (
    ArchConfig,
    Config,
    EvaluationConfig,
    LauncherConfig,
    LoggerConfig,
    TrainerConfig,
    fingerprint,
    lacking,
    load,
    to_yaml,
)
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError
from learning_to_learn.families import FAMILIES
from learning_to_learn.optimizers import OPTIMIZERS
from learning_to_learn.optimizers.sgd import Sgd, SgdConfig
from tests.helpers import job

GROUPS = ("arch", "size", "family", "optimizer", "trainer", "experiment", "launcher")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
OPTIONS += [("sweep", path.stem) for path in sorted(SWEEPS.glob("*.yaml"))]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_config_composes_and_is_sound(group, option):
    """Saved and read as plain YAML, as a table reads it, it is complete and has the same fingerprint."""
    with_it = ["arch.gradient=none"] if option == "cma" else []
    config = compose_config(f"{group}={option}", *with_it)
    check(config)
    plain = yaml.safe_load(to_yaml(config))
    assert lacking(plain) == []
    assert fingerprint(plain) == fingerprint(config)


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_published_experiment_does_not_change_with_the_defaults(path, tmp_path):
    """Its report would no longer be what its file trains. held_out.yaml asks its question of the defaults."""
    shutil.copytree(CONF, tmp_path / "conf")
    for group, option in (("trainer", "default"), ("optimizer", "adam"), ("optimizer", "soap")):
        file = tmp_path / "conf" / group / f"{option}.yaml"
        trainer = {"curriculum": [3], "curriculum_part": 0.3, "epochs": 7, "batch": 20}
        changed = trainer if group == "trainer" else {"lr": 0.5, "clip": 0.25}
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changed))
    here, there = (compose_config(*flag, f"experiment={path.stem}") for flag in ([], [f"--config-path={tmp_path / 'conf'}"]))
    if path.stem == "held_out":
        assert (there.optimizer.lr, there.trainer.epochs) == (0.5, 7)
    else:
        assert there == here


def test_every_folder_of_conf_is_tested():
    assert {p.name for p in CONF.iterdir() if p.is_dir()} == set(GROUPS)


def test_every_key_is_read_by_something():
    """No key that nothing reads: each field's name appears in the code outside the schema."""
    code = "".join(p.read_text() for p in PACKAGE.rglob("*.py"))
    for name in FAMILIES:
        config = job(f"family={name}")
        assert isinstance(config.family.sequence_length, int)
        for group in ("arch", "family", "optimizer", "trainer", "logger", "launcher", "evaluation"):
            for key in dataclasses.fields(getattr(config, group)):
                assert f".{key.name}" in code, f"{group}.{key.name}"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optimizer.name=lamb", "choose one of adam, cma, rmsprop, sgd, soap"),
        ("optimizer.schedule=exp", "choose one of constant, cosine, linear"),
        ("optimizer.lr=-1", "above 0"),
        ("optimizer.lr=inf", "above 0"),
        ("optimizer.lr=nan", "above 0"),
        ("optimizer=sgd optimizer.momentum=nan", "optimizer.momentum=nan: it must be at least 0"),
        ("optimizer=rmsprop optimizer.decay=nan", "optimizer.decay=nan"),
        ("optimizer=soap optimizer.decay=1", "optimizer.decay=1"),
        ("optimizer.betas=[2,2]", "optimizer.betas=.*below 1"),
        ("optimizer.betas=[]", "give 2 numbers"),
        ("optimizer.betas=[0.9]", "give 2 numbers"),
        ("optimizer.betas=[0.9,nan]", "at least 0"),
        ("arch.bias={input_gate: nan}", "give a number for each"),
        ("arch.bias={input_gate: true}", "give a number for each"),
        ("arch.bias={input_gate: 1e39}", "give a number for each"),
        ("arch.init_scale=1e39", "arch.init_scale=.*above 0"),
        ("seed=18446744073709551616", "seed=.*below"),
        ("seed=9223372036854775808", "seed=.*below"),
        ("evaluation.seed=18446744073709551616", "evaluation.seed=.*below"),
        ("replicas=true", "replicas: .*'True'"),
        ("family=quadratic family.scaling=none", "scaling"),
        ("family.functions=[]", r"family\.functions=\[\]"),
        ("family.functions=[-1]", "0 to 15"),
        ("family.test.functions=[]", r"family\.test\.functions=\[\]"),
        ("family.test.functions=[16]", r"family\.test\.functions=\[16\].*0 to 15"),
        ("launcher.jobs=0", "launcher.jobs=0: it must be at least 1"),
        ("launcher.cores=0", "launcher.cores=0: it must be at least 1"),
        ("launcher.name=pbs", "choose one of"),
        ("threads=0", "threads=0"),
        ("trainer.checkpoint_seconds=nan", "trainer.checkpoint_seconds=nan"),
        ("trainer.checkpoint_seconds=-1", "trainer.checkpoint_seconds=-1"),
        ("optimizer.warmup=1", "optimizer.warmup=1"),
        ("optimizer.clip=0", "optimizer.clip=0"),
        ("family.feedback=both", "choose one of error, target"),
        ("family.corpus=none", "choose one of fixed, fresh"),
        ("family.sequence_length=0", "at least 1"),
        ("family.functions=[16]", "0 to 15"),
        ("arch.layers=[{lstm: 3}]", "choose one of"),
        ("arch.layers=[]", "at least one layer"),
        ("arch.gradient=evolution", "choose one of bptt, es, none, rtrl, truncated"),
        ("arch.window=3", "only bptt"),
        ("arch.bias=3", "give a number for each"),
        ("arch.bias={input_gate: x}", "give a number for each"),
        ("arch.hold=3", "arch.hold=3: give a number for each"),
        ("arch.hold={input_gate: x}", "give a number for each"),
        ("arch.hold={input_gate: true}", "give a number for each"),
        ("arch.hold={input_gate: inf}", "give a number for each"),
        ("arch.hold={reset: 1}", "arch.hold.*choose one of cell_input, input_gate, output_gate, z"),
        ("replicas=0", "at least 1"),
        ("seed=-1", "at least 0"),
        ("trainer.batch=7", "no multiple"),
        ("trainer.average=1", "below 1"),
        ("trainer.curriculum=[0]", "whole numbers"),
        ("engine=cuda", "choose one of auto, fused, reference"),
        ("logger.mode=sometimes", "choose one of disabled, offline, online"),
    ],
)
def test_a_value_no_job_could_run_with_is_one_line(override, says):
    with pytest.raises(UserError, match=says) as error:
        check(job(*re.split(r" (?=\w+[.=])", override)))
    assert "\n" not in str(error.value)


def test_a_saved_configuration_comes_back(tmp_path):
    config = job("arch.bias={input_gate: -2}", "arch.hold={output_gate: 10}", "family.functions=[1,2]")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[: len(text) // 2] + "\n: [", "is damaged"),
        (lambda text: "- 1\n- 2\n", "no configuration of ours"),
        (lambda text: "", "no configuration of ours"),
        (lambda text: re.sub(r"lr: [\d.]+", "lr: fast", text), "no configuration of ours.*optimizer.lr"),
        (lambda text: text + "callback: {_target_: os.system}\n", "unknown key callback"),
        (lambda text: text.replace("name: boolean", "name: fourier"), "choose one of bernoulli, boolean"),
        (lambda text: text.replace("seed: 0", "seed: !!python/object/apply:os.system ['touch hacked']", 1), "is damaged"),
        (lambda text: re.sub(r"lr: [\d.]+", "lr: ${oc.env:HOME}", text), "no configuration of ours"),
    ],
)
def test_a_damaged_or_hostile_file_is_one_line_and_runs_nothing(tmp_path, damage, says):
    path = tmp_path / "config.yaml"
    path.write_text(damage(to_yaml(job())))
    with pytest.raises(UserError, match=says) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "hacked").exists()


def test_no_line_can_be_lost_from_a_saved_configuration(tmp_path):
    """A line that is gone is refused, or leaves another fingerprint behind."""
    config = job("optimizer=soap", "arch.bias={input_gate: -2, output_gate: 1}", "family.functions=[1,2]")
    lines, path, accepted = to_yaml(config).splitlines(), tmp_path / "config.yaml", []
    for gone in range(len(lines)):
        path.write_text("\n".join(lines[:gone] + lines[gone + 1 :]))
        try:
            if fingerprint(load(path)) == fingerprint(config):
                accepted.append(lines[gone])
        except UserError:
            pass
    assert accepted == []


def test_a_bias_is_the_same_number_with_or_without_its_point():
    whole, point = (job(f"arch.bias={{input_gate: {text}}}", "arch.hold={output_gate: 1}") for text in ("4", "4.0"))
    assert fingerprint(whole) == fingerprint(point)
    assert whole.arch.bias == {"input_gate": 4.0}
    assert type(whole.arch.hold["output_gate"]) is float


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "override",
    ["optimizer=adam optimizer.refresh=7", "optimizer=sgd optimizer.betas=[0.9,0.99]", "optimizer=soap optimizer.momentum=0.9"],
)
def test_a_key_that_the_chosen_optimizer_does_not_have_is_refused(override):
    key = override.split()[1].split("=")[0]
    with pytest.raises(UserError, match=rf"unknown key {key} \(only with optimizer=.*\): choose one of .*lr"):
        job(*override.split())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_a_file_and_comes_back(name, tmp_path):
    config = job(f"optimizer={name}")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load(tmp_path / "config.yaml") == config
    assert type(config.optimizer) is OPTIMIZERS[name].config


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_file_and_comes_back(name, tmp_path):
    config = job(f"family={name}")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load(tmp_path / "config.yaml") == config
    assert type(config.family) is FAMILIES[name].config


def test_every_number_of_the_schema_has_a_range():
    """A new key cannot be forgotten: every int and float field declares what it may be."""
    schemas = [ArchConfig, TrainerConfig, LoggerConfig, LauncherConfig, EvaluationConfig, Config]
    schemas += [owner.config for table in (FAMILIES, OPTIMIZERS) for owner in table.values()]
    for schema in schemas:
        hints = typing.get_type_hints(schema)
        for key in dataclasses.fields(schema):
            if {int, float} & {hints[key.name], *typing.get_args(hints[key.name])} and hints[key.name] is not bool:
                assert "range" in key.metadata or key.name in JUDGED_IN_CODE, f"{schema.__name__}.{key.name}"


JUDGED_IN_CODE = {"curriculum", "functions"}
"""Lists whose check says more than a range can."""


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trainer.curriculum=[{}]", "trainer.curriculum=[{}]: a list of whole numbers"),
        ("trainer.curriculum=[[1]]", "a list of whole numbers"),
        ("optimizer.betas=[{},0.9]", "a list of numbers"),
        ("logger.tags=[{}]", "a list of words"),
    ],
)
def test_a_list_that_holds_a_table_is_refused(word, message):
    with pytest.raises(UserError, match=re.escape(message)):
        check(compose_config(word))


def test_an_option_that_is_registered_anew_has_its_new_keys(monkeypatch):
    """As where a plugin is loaded again in a notebook, after a change."""

    def registered(key):
        config = dataclasses.make_dataclass("MyConfig", [("name", str, "mine"), (key, float, 0.5)], bases=(SgdConfig,))
        mine = type("Mine", (Sgd,), {"config": config, "__module__": "my_plugin"})
        monkeypatch.setitem(OPTIMIZERS, "mine", mine)

    registered("first")
    assert compose_config("optimizer=mine", "optimizer.lr=0.1", "optimizer.first=0.7").optimizer.first == 0.7
    registered("second")
    assert compose_config("optimizer=mine", "optimizer.lr=0.1", "optimizer.second=0.9").optimizer.second == 0.9
    with pytest.raises(UserError, match="first"):
        compose_config("optimizer=mine", "optimizer.lr=0.1", "optimizer.first=0.7")
