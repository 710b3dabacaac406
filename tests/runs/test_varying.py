"""How what varies is named: as short as it is unambiguous, as one would type it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from learning_to_learn.composing import compose_config
from learning_to_learn.errors import UserError
from learning_to_learn.runs.varying import (
    column,
    flatten,
    name_of,
    names_of_overrides,
    resolve,
    spelled,
    together,
    typed,
    varying_keys,
)

KEYS = [
    "arch.name",
    "arch.layers",
    "optimizer.name",
    "optimizer.lr",
    "family.name",
    "seed",
    "evaluation.seed",
    "a.rate",
    "b.rate",
]


def test_a_key_is_spelled_as_short_as_it_stays_unambiguous():
    assert spelled(KEYS, ()) == {
        "arch.name": "arch", "arch.layers": "layers", "optimizer.name": "optimizer", "optimizer.lr": "lr",
        "family.name": "family", "seed": "seed", "evaluation.seed": "evaluation.seed", "a.rate": "a.rate", "b.rate": "b.rate",
    }  # fmt: skip
    assert spelled(["a.rate"], ["a.rate", "optimizer.lr"]) == {"a.rate": "rate"}
    assert spelled(["x.y.rate", "x.z.rate"], ()) == {"x.y.rate": "y.rate", "x.z.rate": "z.rate"}


def test_a_spelling_is_read_back():
    for key, short in spelled(KEYS, ()).items():
        assert resolve(short, KEYS) == key
        assert resolve(key, KEYS) == key
    with pytest.raises(UserError, match=r"rate may be a\.rate or b\.rate"):
        resolve("rate", KEYS)
    with pytest.raises(UserError, match=r"unknown key 'learning'.*layers, lr"):
        resolve("learning", KEYS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([{"neuron": 4}], "[{neuron: 4}]"),
        ([{"memory_cell": 6, "neuron": 6}, {"neuron": 40}], "[{memory_cell: 6, neuron: 6}, {neuron: 40}]"),
        (0.003, "0.003"),
        (1e-05, "1e-05"),
        (0.012345678901234567, "0.012345678901234567"),
        (1.0, "1"),
        (None, "null"),
        (True, "true"),
        ([], "[]"),
        ({"input_gate": -1.5}, "{input_gate: -1.5}"),
        ("boolean", "boolean"),
        ("8", "'8'"),
        ("null", "'null'"),
        ("a, 'b'", r"'a, \'b\''"),
        ("${oc.env:HOME}", r"'\${oc.env:HOME}'"),
    ],
)
def test_a_value_is_what_hydra_reads_as_it(value, text):
    assert typed(value) == text
    read = OverridesParser.create().parse_override(f"key={text}").value()
    if isinstance(value, str):
        read = str(read).replace(r"\${", "${")  # OmegaConf takes the backslash away
    assert read == value


def test_drawn_numbers_are_shortened_only_as_far_as_they_stay_distinct():
    assert column([0.003, 0.0123456789, None]) == ["0.003", "0.0123", "null"]
    assert column([0.0123456789, 0.0123499999]) == ["0.012346", "0.01235"]
    assert column([0.0123, 0.0123456789]) == ["0.0123", "0.01235"]
    assert column([0.012345678901234567, 0.012345678901234123]) == ["0.012345678901235", "0.012345678901234"]
    assert column([123456, 1234567]) == ["123456", "1234567"]


def test_so_are_those_that_were_typed():
    jobs = [[f"optimizer.lr={lr}", "trainer.epochs=1234567"] for lr in ("0.012345678901234567", "0.0223456789")]
    assert names_of_overrides(jobs) == ["lr=0.0123", "lr=0.0223"]


def test_an_arch_implies_its_layers_but_not_where_they_vary_under_its_name():
    lstm, elman = (
        flatten({"arch": {"name": n, "layers": [{u: 4}]}}) for n, u in (("lstm", "memory_cell"), ("elman", "neuron"))
    )
    assert varying_keys([lstm, elman]) == ["arch.name"]
    assert varying_keys([lstm, elman, {**lstm, "arch.layers": [{"neuron": 9}]}]) == ["arch.name", "arch.layers"]
    assert varying_keys([{"arch.name": "a", "x.y": 1}, {"arch.name": "a"}]) == ["x.y"]


def test_what_is_a_table_in_one_job_and_none_in_another_is_one_key():
    found = together([flatten({"arch": {"bias": None}}), flatten({"arch": {"bias": {"input_gate": -1}}})])
    assert found == [{"arch.bias": None}, {"arch.bias": {"input_gate": -1}}]


def test_a_job_is_named_alike_from_its_settings_and_from_what_was_typed():
    jobs = [["arch=lstm", f"optimizer.lr={lr}", f"arch.layers={layers}", "trainer.epochs=4", "seed=1"]
            for lr in ("0.003", "0.01") for layers in ("[{neuron: 4}]", "[{neuron: 8}]")]  # fmt: skip
    assert names_of_overrides(jobs)[0] == "lr=0.003 layers=[{neuron: 4}]"
    assert names_of_overrides(jobs[:1]) == ["lstm lr=0.003 layers=[{neuron: 4}] epochs=4 seed=1"]
    assert names_of_overrides([["arch=lstm"], ["arch=elman", "evaluation.seed=3"]]) == ["lstm", "elman evaluation.seed=3"]
    import dataclasses

    settings = flatten(dataclasses.asdict(compose_config(*jobs[0])))
    assert name_of(settings, ["optimizer.lr", "arch.layers"]) == "lr=0.003 layers=[{neuron: 4}]"
    assert name_of(settings, ["arch.name", "family.name", "optimizer.lr"]) == "lstm boolean lr=0.003"
