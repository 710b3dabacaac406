"""Whatever is typed is the right job, or one line: no traceback, no second line, nothing written, nothing executed.

`make test` tries a few hundred words. `make fuzz` tries thousands.
"""

import dataclasses
import io
import os
import string
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from learning_to_learn.commands import train
from learning_to_learn.composing import compose_config
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError
from learning_to_learn.topology import UNITS, Network


def keys(node: object, path: str = "") -> list[str]:
    """Every key of a configuration, with its groups: "trainer.batch"."""
    found = []
    for one in dataclasses.fields(node):  # type: ignore[arg-type]
        value, key = getattr(node, one.name), f"{path}{one.name}"
        found += [key, *keys(value, f"{key}.")] if dataclasses.is_dataclass(value) else [key]
    return found


EXAMPLES = int(os.environ.get("FUZZ", "0"))
"""`make fuzz` sets it."""
KEYS = keys(compose_config())


def plainly(layer: dict) -> str:
    """A layer as one types it: {neuron: 4}"""
    return f"[{layer}]".replace("'", "")


GROUPS = ["arch", "family", "optimizer", "trainer", "experiment", "launcher", "sweep", "hydra/sweeper", "hydra.mode"]
ATOMS = st.one_of(
    st.sampled_from(["", "null", "true", "nan", "inf", "-inf", "0", "-1", "1e400", "1e-320", "0x10", "1_000", "2.5", "??", "''",
                     '"', "{", "}", "[", "]", "[]", "{}", "[[[]]]", "{a: 1}", "{a: {b: [1]}}", "${seed}", "${oc.env:HOME}",
                     "${nothing}", "${", "a,b", "choice(1,2)", "range(1,3)", "glob(*)", "sort(3,1)", "shuffle(1,2)",
                     "interval(0,1)", "tag(a,choice(1))", "extend_list(3)", "str(1)", "float(x)", "../../out", "/etc/passwd",
                     "a/b", "~", "@", "#", "\\", "\x00", "ü", "\u202e", "😀", "9" * 400, "[" * 60, "lstm", "boolean", "soap",
                     "!!python/object/apply:os.system [touch hacked]", "{_target_: os.system, command: touch hacked}"]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
    st.lists(st.integers(-9, 9), max_size=3).map(str),
    st.dictionaries(st.sampled_from([*UNITS, "heads", "x"]), st.integers(-2, 9), max_size=2).map(plainly),
)  # fmt: skip
SIGNS = st.sampled_from(["", "", "", "", "+", "++", "~"])
OVERRIDES = st.one_of(
    st.tuples(SIGNS, st.sampled_from([*KEYS, *GROUPS]), st.just("="), ATOMS).map("".join),
    st.tuples(SIGNS, st.text(string.ascii_letters + "._/@:=~+", max_size=12), st.sampled_from(["=", ""]), ATOMS).map("".join),
    st.text(max_size=20),
)


def nothing_was_written() -> bool:
    return not list(Path.cwd().iterdir())


def answer(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the call returns, or the UserError that it raises, which is one line."""
    try:
        with redirect_stdout(io.StringIO()):
            return call(*arguments)
    except UserError as error:
        said = error
    assert len(str(said).splitlines()) == 1, str(said)
    return said


@settings(max_examples=max(150, EXAMPLES))
@given(words=st.lists(OVERRIDES, min_size=1, max_size=3))
def test_overrides(words):
    """Composed without being run; the words that begin with a dash are flags, which have a test of their own."""
    words = [word.lstrip("-") for word in words]
    found = answer(lambda: check(compose_config(*words)))
    assert found is None or isinstance(found, UserError)
    assert nothing_was_written()


@settings(max_examples=max(60, EXAMPLES // 10))
@given(flags=st.lists(st.sampled_from(["-m", "--cfg", "job", "--info", "all", "--help", "-x", "--resolve", "-p",
                                       "--config-name", "--hydra-help", "-c", "--explain",
                                       "seed", "trainer", "seed=1"]),
                      min_size=1, max_size=3))  # fmt: skip
def test_flags(flags):
    """Always with --cfg, so that none of them starts a job."""
    found = answer(train._main, [*flags, "--cfg=job"])
    assert found == 0 or isinstance(found, UserError)
    assert nothing_was_written()


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 10**12), st.floats(), st.text(max_size=4), st.sampled_from([*UNITS])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)
NAMES = st.sampled_from([*UNITS, "heads", "recurrent", "residual", "feedback", "fixed", "radius", "x", ""])
LAYERS = st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3)
"""What the type of `arch.layers` allows."""


@settings(max_examples=max(400, EXAMPLES))
@given(layers=LAYERS)
def test_layer_specifications(layers):
    """What is no list of layers of units is one line; what is one has parameters and a state."""
    found = answer(Network.of, layers)
    if not isinstance(found, UserError):
        assert found.parameters > 0
        assert found.state_size > 0
