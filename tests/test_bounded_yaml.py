"""Reading YAML from elsewhere: what it holds, as PyYAML reads it, and every hostile file refused at once."""

import math
import time

import pytest
import yaml

from learning_to_learn.bounded_yaml import DEEPEST, LONGEST, MOST_BYTES, read_yaml
from learning_to_learn.config import to_yaml
from learning_to_learn.errors import UserError
from tests.helpers import job


def read(tmp_path, content):
    (tmp_path / "f.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(tmp_path / "f.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\nb: [1.5, true, null, x, {c: d}]\n",
        "a: 'x: y'\nb: \"\\u00fc\"\nc: |\n  two\n  lines\n",
        "[" * DEEPEST + "]" * DEEPEST,
        "a: .inf",
    ],
)
def test_plain_values_are_what_pyyaml_reads(tmp_path, text):
    assert read(tmp_path, text) == yaml.safe_load(text)


def test_a_saved_configuration_is_read_whole(tmp_path):
    text = to_yaml(job("arch.bias={input_gate: -1}", "trainer.curriculum=[5,10]"))
    assert read(tmp_path, text) == yaml.safe_load(text)


def test_a_date_is_text_and_nan_a_number(tmp_path):
    assert read(tmp_path, "a: 2026-01-31") == {"a": "2026-01-31"}
    assert math.isnan(read(tmp_path, "a: .nan")["a"])


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}, *a{n}, *a{n}]\n" for n in range(30))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("bias: &a [*a]", "alias"),
        (BOMB, "alias"),
        ("[" * 3000 + "]" * 3000, "nested deeper than 20"),
        ("{a: " * 100_000, "nested deeper"),
        ("- " * 100_000 + "x", "nested deeper"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice"),
        ("x: {a: 1, a: 1}", "there twice"),
        ("1: x", "a key is no text"),
        ("? [a]\n: x", "a key is no text"),
        ("a: !!python/object/apply:os.system [x]", "a tag is not allowed"),
        ("a: !!binary aGk=", "a tag is not allowed"),
        ("a: !x {}", "a tag is not allowed"),
        ("a: " + "x" * (LONGEST + 1), "longer than"),
        ("a: " + ":".join(["59"] * 3000), "more than 64 bits"),
        ("a: 0x" + "f" * 17, "more than 64 bits"),
        ("a: " + "9" * 5000, "digits"),
        ("#" * (MOST_BYTES + 1), "larger than"),
        (b"a: \xff\xfe", "utf-8"),
        (b"a: \x00", "special characters are not allowed|control characters"),
        ("a: [", "expected|did not find"),
        ("{{{", "expected|did not find|unhashable|no text"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("<<: {a: 1}\nb: 2\n<<: {c: 1}", "there twice"),
    ],
)
def test_what_is_hostile_or_damaged_is_refused_at_once_in_a_line(tmp_path, content, says):
    began = time.monotonic()
    with pytest.raises(UserError, match=says) as caught:
        read(tmp_path, content)
    assert time.monotonic() - began < 2
    assert "\n" not in str(caught.value)
