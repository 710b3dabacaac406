"""A saved configuration is what the run began with, or one line: whatever happens to its file."""

import random
from pathlib import Path

import pytest

from learning_to_learn.config import fingerprint
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.job import run_job
from learning_to_learn.runs.run_folder import CONFIG, RunFolder
from learning_to_learn.runs.saved_config import load_config
from tests.helpers import job

SNIPPETS = [
    "${oc.env:HOME}", "${seed}", "&a [*a]", "[" * 3000, "{" * 50, "!!python/object/apply:os.system ['touch hacked']", "? :",
    "_target_: os.system", "*x", "&x", "\t", "\x00", "\ufeff", "---\n", "...\n", "- 1\n", "a: b: c\n", "nan", "1e999", "~",
    "9" * 5000, "'", '"', "{neuron: 4}", "[{neuron: 4}]", "seed: 7\n", "  lr: 0.5\n", "<<: {seed: 9}\n", "null",
]  # fmt: skip


def changed(text: str, chance: random.Random) -> str:
    """The text with one to three mistakes: lines lost, doubled or swapped, characters changed, pieces put in."""
    lines = text.splitlines(keepends=True)
    for _ in range(chance.randint(1, 3)):
        at, what = chance.randrange(len(lines)), chance.randrange(7)
        line = lines[at]
        place = chance.randrange(max(1, len(line)))
        if what == 0:
            lines[at] = ""
        elif what == 1:
            lines.insert(chance.randrange(len(lines)), line)
        elif what == 2:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], line
        elif what == 3:
            lines[at] = line[:place] + chr(chance.choice([*range(9, 14), *range(32, 127), 0xE9, 0x202E])) + line[place + 1 :]
        elif what == 4:
            lines[at] = line[:place] + chance.choice(SNIPPETS) + line[place:]
        elif what == 5:
            lines[at] = f"{line.partition(':')[0]}: {chance.choice(SNIPPETS)}\n"
        else:
            lines[at:] = [line[:place]] if chance.random() < 0.2 else lines[at:]
    return "".join(lines) or "\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_job(job("arch=elman", "trainer.epochs=2", "trainer.sequences=10", "replicas=1"), folder, console=False)
    return folder


@pytest.mark.parametrize("count", [150, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_changed_configuration_is_noticed(run, count, tally):
    chance, path = random.Random(count), run / CONFIG
    text, before, same = path.read_text(), load_config(run), 0
    try:
        for number in range(count):
            path.write_text(changed(text, chance), encoding="utf-8", errors="surrogatepass")
            try:
                found = load_config(run)
            except UserError as error:
                said = str(error)
            else:
                assert fingerprint(found) == fingerprint(before), f"change {number} is taken for what the run began with"
                said, same = "", same + 1
            assert "\n" not in said, said
            assert "\n" not in RunFolder(run).damage()
        assert not Path("hacked").exists()
    finally:
        path.write_text(text)
    tally("A changed config.yaml is noticed, and nothing in it is executed", count, 0, f"{same} changes are of no consequence")
