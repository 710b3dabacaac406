"""The table of runs: what counts, what is pooled, what it is called, and that nothing of it is ever cut."""

import csv
import io
import json
import re
import shlex

import pytest

from learning_to_learn import results
from learning_to_learn.commands import sweep
from learning_to_learn.composing import compose_config
from learning_to_learn.config import fingerprint
from learning_to_learn.dashboard.data import collect
from learning_to_learn.errors import UserError
from learning_to_learn.results.sweep_report import write_tables
from learning_to_learn.results.table import find_jobs, result_text, tabulate
from learning_to_learn.results.text_table import Column, lay_out
from learning_to_learn.runs.identity import study_of
from learning_to_learn.runs.varying import flatten
from tests.helpers import finished_run, job

SCORES = {0: 0.2, 1: 0.5, 2: 0.95}
CELLS = "arch.layers=[{memory_cell: 2, neuron: 2}]"
NEURONS = "arch.layers=[{neuron: 4}]"


def test_the_name_is_no_part_of_what_a_job_computes():
    assert fingerprint(job("arch=lstm", NEURONS)) == fingerprint(job("arch=elman", NEURONS))
    assert fingerprint(job("arch=bptt", NEURONS)) != fingerprint(job("arch=elman", NEURONS))  # another gradient
    assert fingerprint(job("family=boolean")) != fingerprint(job("family=semilinear"))


def test_the_same_job_three_times_counts_once_everywhere(tmp_path):
    for name in "abc":
        finished_run(tmp_path / name, job("arch=lstm"), SCORES)
    jobs = find_jobs(tmp_path)
    (row,) = tabulate(jobs)
    assert (row["successes"], row["replicas"], row["seconds"]) == (1, 3, 6.0)
    assert len(results(tmp_path)) == 3
    write_tables(jobs, tmp_path / "report", title="x")
    assert "| lstm | boolean | 1/3 |" in (tmp_path / "report/report.md").read_text()
    counted = [run["counted"] for run in collect(tmp_path)["runs"]]
    assert sorted(counted, key=len) == [[], [], [0.2, 0.5, 0.95]]


def test_replicas_of_jobs_that_overlap_count_once(tmp_path):
    finished_run(tmp_path / "four", job("replicas=4"), dict.fromkeys(range(4), 0.5))
    finished_run(tmp_path / "eight", job("replicas=8"), dict.fromkeys(range(8), 0.5))
    finished_run(tmp_path / "others", job("replicas=2", "seed=7"), {7: 0.5, 8: 0.5})
    (row,) = tabulate(find_jobs(tmp_path))
    assert row["replicas"] == 9
    assert sorted(results(tmp_path)["seed"]) == list(range(9))
    assert sum(len(run["counted"]) for run in collect(tmp_path)["runs"]) == 9


@pytest.mark.parametrize(
    "other", ["trainer.epochs=8", "family.sequence_length=30", NEURONS, "evaluation.seed=1", "optimizer=soap"]
)
def test_what_differs_is_another_row(tmp_path, other):
    finished_run(tmp_path / "a", job(), SCORES)
    finished_run(tmp_path / "b", job(other), SCORES)
    rows = tabulate(find_jobs(tmp_path))
    assert [row["replicas"] for row in rows] == [3, 3]
    key = {"optimizer=soap": "optimizer.name"}.get(other, other.partition("=")[0])
    assert len({row[key] for row in rows}) == 2
    labels = {(run["arch"], *run["topics"].values()) for run in collect(tmp_path)["runs"]}
    assert len(labels) == 2


def test_one_setting_under_two_names_is_one_row_called_by_a_name_that_is_true(tmp_path):
    finished_run(tmp_path / "a", job("arch=lstm", "arch.layers=[{neuron: 12}]"), SCORES)
    finished_run(tmp_path / "b", job("arch=elman"), SCORES)
    (row,) = tabulate(find_jobs(tmp_path))
    assert (row["arch.name"], row["replicas"]) == ("elman", 3)


def test_a_name_that_lies_is_marked_and_explained(tmp_path):
    finished_run(tmp_path / "a", job("arch=lstm", NEURONS), SCORES)
    finished_run(tmp_path / "b", job("arch=lstm"), SCORES)
    finished_run(tmp_path / "c", job("arch=elman", "arch.gradient=bptt"), SCORES)
    jobs = find_jobs(tmp_path)
    assert sorted(row["arch.name"] for row in tabulate(jobs)) == ["elman*", "lstm", "lstm*"]
    text = "\n".join(result_text(jobs))
    assert "* the settings differ from conf/arch/lstm.yaml: layers=[{neuron: 4}]\n" in text
    assert "* the settings differ from conf/arch/elman.yaml: gradient=bptt" in text
    assert sorted(run["arch"] for run in collect(tmp_path)["runs"]) == ["elman*", "lstm", "lstm*"]


def test_an_unknown_name_is_true_unless_two_topologies_have_it(tmp_path):
    finished_run(tmp_path / "a", job("arch.name=mine", NEURONS), SCORES)
    assert [row["arch.name"] for row in tabulate(find_jobs(tmp_path))] == ["mine"]
    finished_run(tmp_path / "b", job("arch.name=mine", CELLS), SCORES)
    jobs = find_jobs(tmp_path)
    assert [row["arch.name"] for row in tabulate(jobs)] == ["mine*", "mine*"]
    assert "several topologies are called mine: " in "\n".join(result_text(jobs))


@pytest.fixture
def many(tmp_path):
    """Forty-eight settings: 2 archs x 2 sizes x 4 rates x 3 clips, and one of a search with sixteen digits."""
    folder, number = tmp_path / "s", 0
    for arch, layers in (("lstm", CELLS), ("lstm", "arch.layers=[{memory_cell: 4, neuron: 4}]"), ("elman", NEURONS),
                         ("elman", "arch.layers=[{neuron: 8}]")):  # fmt: skip
        config = job(f"arch={arch}", layers)
        for lr in (0.001, 0.003, 0.01, 0.030123456789012345):
            for clip in (0.1, 1.0, None):
                config.optimizer.lr, config.optimizer.clip = lr, clip
                words = [f"arch={arch}", layers, f"optimizer.lr={lr}", f"optimizer.clip={'null' if clip is None else clip}"]
                finished_run(folder / f"{number}_{arch}", config, {0: number / 50 - 0.1, 1: number / 50}, words)
                number += 1
    return folder


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, None])
def test_no_value_is_cut_at_any_width(many, width):
    jobs = find_jobs(many)
    lines = result_text(jobs, width)
    table = [line for line in lines if not line.startswith(("best", "again", "worse", "*"))]
    text = re.sub(r"\s+", " ", " ".join(table))
    assert "…" not in "".join(lines)
    assert "\x1b" not in "".join(lines)
    if width is not None:
        assert max(map(len, table)) <= width
    for row in tabulate(jobs):
        assert f"{row['score_median']:.3f}" in text
    for value in ("0.001", "0.0301", "0.1", "null", "neuron: 8}]", "memory_cell: 4,"):
        assert value in text
    if width is None:
        assert len(table) == 49
        assert len({len(re.split(r"\s{2,}", line.strip())) for line in table}) == 1


def test_the_best_is_first_and_named_with_the_command_that_trains_it_again(many):
    lines = result_text(find_jobs(many))
    at = re.split(r"\s{2,}", lines[0]).index("score")
    scores = [float(re.split(r"\s{2,}", line)[at]) for line in lines[1:49]]
    assert scores == sorted(scores, reverse=True)
    assert "best: elman* boolean layers=[{neuron: 8}] lr=0.0301 clip=null: score 0.890, 1 of 2 succeed" in lines
    (again,) = [line for line in lines if line.startswith("again on fresh seeds: ")]
    words = shlex.split(again.partition(": ")[2])
    assert words[:3] == ["python", "-m", "src.train"]
    config = compose_config(*words[3:])
    assert (config.seed, config.replicas) == (2, 16)
    wanted = find_jobs(many)[-1].settings
    import dataclasses

    assert study_of(flatten(dataclasses.asdict(config))) == study_of(wanted)


def test_a_replica_worse_than_no_learning_is_flagged(tmp_path):
    finished_run(tmp_path / "a", job(), {0: 0.5, 1: -0.2, 2: float("nan")})
    (row,) = tabulate(find_jobs(tmp_path))
    assert row["worse_than_no_learning"] == 2
    text = result_text(find_jobs(tmp_path))
    assert text[0].split()[:7] == ["arch", "family", "success", "worse", "score", "MSE", "floor"]
    assert "worse: replicas that end worse than no learning (score < 0): seeds 1, 2" in text


def test_csv_and_json_hold_the_whole_table(many, capsys):
    assert sweep._main(["table", str(many), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 48
    assert {"arch", "family", "layers", "lr", "clip", "score_median", "replicas"} <= set(rows[0])
    assert (rows[0]["layers"], rows[0]["clip"]) == ("[{neuron: 8}]", "null")
    assert sweep._main(["table", str(many), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [float(row["score_median"]) for row in rows] == [row["score_median"] for row in found]
    with pytest.raises(UserError, match="not both"):
        sweep._main(["table", str(many), "--json", "--csv"])
    assert sweep._main(["table", str(many)]) == 0
    assert capsys.readouterr().out.splitlines() == result_text(find_jobs(many))


def test_status_has_a_line_for_a_job(many, capsys):
    assert sweep._main(["status", str(many)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 48 + 1
    name = "lstm layers=[{memory_cell: 2, neuron: 2}] lr=0.001 clip=0.1"
    assert re.split(r"\s{2,}", lines[1]) == ["0_lstm", "finished", "100%", "0.000", "2 s", name]
    assert lines[-1] == "48 jobs: 48 finished, best score 0.940"
    assert sweep._main(["status", str(many), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"finished": 48}
    assert found["jobs"][0]["name"] == name


def test_texts_wrap_between_words_and_what_is_equal_stands_above():
    columns = [Column("what", ["[{memory_cell: 6, neuron: 6}]", "x"]), Column("same", ["b", "b"]),
               Column("n", ["1.5", "22"], number=True)]  # fmt: skip
    assert lay_out(columns) == ["what                           same    n", "[{memory_cell: 6, neuron: 6}]  b     1.5",
                                "x                              b      22"]  # fmt: skip
    assert lay_out(columns, 24) == ["same b", "what                   n", "[{memory_cell: 6,    1.5", "neuron: 6}]",
                                    "x                     22"]  # fmt: skip
    block = ["same b", "what", "  [{memory_cell:", "  6, neuron: 6}]", "  n 1.5", "what x", "  n 22"]
    assert lay_out(columns, 18) == block


def test_a_foreign_name_gives_the_terminal_no_commands():
    (_, line) = lay_out([Column("a", ["\x1b[31mred\n[bold]"])])
    assert line == "?[31mred?[bold]"
