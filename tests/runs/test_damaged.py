"""Files of runs damaged at random: nothing fails, the whole run is shown as before, and no damaged one is shown as whole."""

import json
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from learning_to_learn.commands import sweep, train
from learning_to_learn.config import INCIDENTAL
from learning_to_learn.dashboard.data import collect
from learning_to_learn.errors import UserError
from learning_to_learn.results.table import find_jobs, print_table, tabulate
from learning_to_learn.results.topologies import write_report
from learning_to_learn.runs.monitor import announce
from learning_to_learn.runs.run_folder import (
    CONFIG,
    CURVE,
    METRICS,
    REPLICAS,
    RESULT,
    STATUS,
    STREAM,
    RunFolder,
    Status,
    read_json,
    write_json,
)
from learning_to_learn.runs.sweep_folder import SWEEP, arguments_of, survey, trials_left
from tests.commands.test_train import SMALL

FILES = (STATUS, RESULT, REPLICAS, METRICS, CURVE, STREAM, CONFIG)
VALUES = (None, -1, "x", [], {}, True, 10**400, 1e308, "\x1b]0;x\x07", [[]], 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sweep of two finished jobs, named as none of the damaged ones is."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        train._main(["-m", "arch=elman", "seed=0,10", *SMALL, f"hydra.sweep.dir={folder}"])
    return folder


def flip(chance, content):
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def cut(chance, content):
    return content[: chance.randrange(len(content))]


def lose(chance, content):
    start = chance.randrange(len(content))
    return content[:start] + content[start + chance.randint(1, 40) :]


def repeat(chance, content):
    start = chance.randrange(len(content))
    return content[:start] + content[start : start + chance.randint(1, 60)] * 2 + content[start:]


def insert(chance, content):
    start = chance.randrange(len(content))
    return content[:start] + chance.randbytes(chance.randint(1, 9)) + content[start:]


def lose_line(chance, content):
    lines = content.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def swap_lines(chance, content):
    lines = content.splitlines(keepends=True)
    one, other = chance.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def other_digit(chance, content):
    places = [i for i, c in enumerate(content) if chr(c).isdigit()]
    place = chance.choice(places)
    return content[:place] + str((int(chr(content[place])) + 1) % 10).encode() + content[place + 1 :]


def other_value(chance, content):
    """Of a JSON file; of another, of one of its cells."""
    try:
        found = json.loads(content)
    except ValueError:
        lines = content.decode().splitlines()
        number = chance.randrange(len(lines))
        cells = lines[number].split(",")
        cells[chance.randrange(len(cells))] = chance.choice(["", "nan", "inf", "-1", "x", "9" * 400, "True", "\x00", '"'])
        lines[number] = ",".join(cells)
        return ("\r\n".join(lines) + "\r\n").encode()
    found[chance.choice(list(found))] = chance.choice(VALUES)
    return json.dumps(found).encode()


def without_a_key(chance, content):
    try:
        found = json.loads(content)
    except ValueError:
        return lose_line(chance, content)
    del found[chance.choice(list(found))]
    return json.dumps(found).encode()


def another_file(chance, content):
    return chance.choice([b"", b"\n", b"[" * 100_000, b"{}", b"[]", b"5", b"null", b"\xff\xfe\x00", b"{" * 4000 + b"}" * 4000])


DAMAGE = (flip, cut, lose, repeat, insert, lose_line, swap_lines, other_digit, other_value, without_a_key, another_file)


def damage(chance, path):
    """Damage a file, or put a folder in its place, or take it away."""
    before = path.read_bytes()
    for _ in range(20):
        after = chance.choice(DAMAGE)(chance, before)
        if after != before:
            break
    path.unlink()
    what = chance.randrange(40)
    if what == 0:
        path.mkdir()
    elif what > 1:
        path.write_bytes(after)


def reached(folder):
    """All that the displays show of a run."""
    run = RunFolder(folder)
    # Keys that change nothing that is computed may be changed by hand.
    settings = {key: value for key, value in run.settings().items() if not key.startswith(INCIDENTAL)}
    return settings, run.metrics(), run.replicas(), run.result(), run.curve(), run.stream()


@pytest.mark.parametrize("copies", [63, pytest.param(700, marks=pytest.mark.slow)])
def test_damaged_runs_are_named_and_leave_the_others_alone(whole, tmp_path, capsys, copies, tally):
    chance = random.Random(copies)
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    expected, (row,) = reached(whole / "0_elman_boolean"), tabulate(find_jobs(whole))
    for number in range(copies):
        shutil.copytree(whole / "0_elman_boolean", folder / f"{number + 2}_damaged")
        damage(chance, folder / f"{number + 2}_damaged" / FILES[number % len(FILES)])

    jobs = find_jobs(folder)
    assert len(jobs) == copies + 2
    assert tabulate(jobs) == [row]
    left_out = [job for job in jobs if job.damage or job.status is not Status.FINISHED]
    for job in jobs:  # what is not left out says what it said before
        assert job in left_out or job.folder.name == "1_elman_boolean" or reached(job.folder) == expected, job.folder
    assert len(left_out) > 0.9 * copies

    assert print_table(folder) == len(left_out)
    said = capsys.readouterr().err
    assert sweep._main(["status", str(folder)]) == 1
    status = capsys.readouterr().out
    assert sweep._main(["report", str(folder)]) == 0
    assert len(pd.read_csv(folder / "report" / REPLICAS)) == row["replicas"]
    write_report(find_jobs(folder), tmp_path / "compared")
    runs = {run["id"]: run for run in collect(folder)["runs"]}
    assert len(runs) == copies + 2
    for job in left_out:
        assert job.folder.name in said
        assert job.folder.name in status
        assert runs[job.folder.name]["error"] or job.status is not Status.FINISHED
        assert "successes" not in runs[job.folder.name]
    for name in ("0_elman_boolean", "1_elman_boolean"):
        assert runs[name] == next(run for run in collect(whole)["runs"] if run["id"] == name)
    seen = f"{len(left_out)} left out and named, {copies - len(left_out)} of no consequence"
    tally("A damaged file of a run takes nothing else down", copies, 0, seen)


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_damaged_sweep_file_is_named_and_its_jobs_are_shown(whole, tmp_path, capsys, times, tally):
    chance = random.Random(times)
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    asked = read_json(whole / SWEEP)
    for _ in range(times):
        shutil.rmtree(folder / SWEEP) if (folder / SWEEP).is_dir() else (folder / SWEEP).unlink(missing_ok=True)
        shutil.copy(whole / SWEEP, folder / SWEEP)
        damage(chance, folder / SWEEP)
        announce(folder, 0, [])
        assert [job.status for job in survey(folder)] == [Status.FINISHED] * 2
        code = sweep._main(["status", str(folder)])
        said = capsys.readouterr().err
        if code == 0:  # the damage is of no consequence, or nothing says any more that this is a sweep
            assert arguments_of(folder) in (None, asked["arguments"])
            assert trials_left(folder) == []
        else:
            assert SWEEP in said
            with pytest.raises(UserError, match=SWEEP):
                sweep._main(["resume", str(folder)])
    tally("A damaged sweep.json is named, and its jobs are shown", times, 0)


@pytest.mark.parametrize(
    "text",
    [
        '{"status": 5}',
        '{"status": "finished", "epochs": "x"}',
        '{"status": "finished", "overrides": 5}',
        '{"status": "finished", "error": 5}',
        '{"status": "running", "seconds": "x"}',
        '{"status": "finished", "files": 5}',
        '{"status": "failed", "error": "\\u001b]0;x\\u0007"}',
    ],
)
def test_a_status_of_the_wrong_types_is_named(tmp_path, text):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / STATUS).write_text(text)
    (job,) = survey(tmp_path)
    assert job.status is Status.FAILED
    assert STATUS in job.error


@pytest.mark.parametrize(
    "text",
    [
        '{"jobs": 5}',
        '{"arguments": [5]}',
        '{"arguments": [], "jobs": [5]}',
        '{"arguments": [], "jobs": ["ab"]}',
        '{"arguments": [], "started": "x"}',
        '{"arguments": [], "trials": "3"}',
    ],
)
def test_a_sweep_file_of_the_wrong_types_is_named(tmp_path, text):
    (tmp_path / SWEEP).write_text(text)
    assert survey(tmp_path) == []
    with pytest.raises(UserError, match=SWEEP):
        arguments_of(tmp_path)


def test_json_is_read_as_it_was_written_and_not_where_it_was_changed(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": [1, 0.1, float("nan")], "b": {"c": "ü"}, "d": None})
    assert read_json(path) == {"a": [1, 0.1, None], "b": {"c": "ü"}, "d": None}
    assert "NaN" not in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace("0.1", "0.2"), encoding="utf-8")
    assert read_json(path) is None
    path.write_text('{"a": 1}')  # by hand, or an older run
    assert read_json(path) == {"a": 1}


def test_a_row_that_was_cut_off_is_left_out_and_a_wrong_one_named(whole, tmp_path):
    shutil.copytree(whole / "0_elman_boolean", tmp_path / "run")
    path, run = tmp_path / "run" / METRICS, RunFolder(tmp_path / "run")
    rows = run.metrics()
    text = path.read_text()
    for length in range(1, 12):
        path.write_text(text[:-length])
        assert run.metrics() == rows[:-1]
    assert Path(path).name in run.damage()
