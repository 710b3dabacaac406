"""Reproduce Table 1 and Figure 3, test section 5, measure README's figures: `python -m src.reproduce --help`."""

import os

import click

from learning_to_learn.commands.cli import FAILED, Verbs, command, complain, exit_with, invoke


def main() -> None:
    """Run the command on the shell's arguments."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(reproduce, arguments, name="reproduce")


@click.group(cls=Verbs, what="report")
def reproduce() -> None:
    """Reproduce the paper's Table 1 and Figure 3, test its sections 2 and 5, and measure the figures that README.md states.

    What has been trained before is not trained again. QUICK=1 in the environment trains a small version into folders of its
    own.

    Examples:
      python -m src.reproduce table1
      python -m src.reproduce figure3
      python -m src.reproduce why
      python -m src.reproduce ancestors
      python -m src.reproduce families
      python -m src.reproduce readme

    """


@reproduce.add_command
@command(name="table1")
def table1() -> int:
    """Train and measure every row of Table 1, and write reports/table1.md, .html and .csv."""
    from learning_to_learn.composing import CONF, compose_config
    from learning_to_learn.paper.reproduce import report_folder
    from learning_to_learn.paper.reproduce import table1 as train_table1

    quick = bool(os.environ.get("QUICK"))
    failed = train_table1(compose_config, CONF / "experiment", quick=quick)
    return _end(failed, f"{report_folder(quick=quick)}/table1.md, .html and .csv are written")


@reproduce.add_command
@command(name="figure3")
def figure3() -> int:
    """Draw the error over a stream of functions, before and after meta-training, into reports/figure3.png."""
    from learning_to_learn.composing import compose_config
    from learning_to_learn.paper.reproduce import figure3 as draw_figure3
    from learning_to_learn.paper.reproduce import report_folder

    quick = bool(os.environ.get("QUICK"))
    failed = draw_figure3(compose_config, quick=quick)
    return _end(failed, f"{report_folder(quick=quick)}/figure3.png is written")


@reproduce.add_command
@command(name="why")
def why() -> int:
    """Test which features of the memory cell are necessary, and what its cells keep, and write reports/why.md and .html."""
    from learning_to_learn.jobs.sweeps import start
    from learning_to_learn.paper.reproduce import report_folder
    from learning_to_learn.paper.why import why as test_why

    quick = bool(os.environ.get("QUICK"))
    reports = report_folder(quick=quick)
    unfinished = test_why(start, reports, quick=quick)
    return _end([str(job.folder) for job in unfinished], f"{reports}/why.md and .html are written")


@reproduce.add_command
@command(name="ancestors")
def ancestors() -> int:
    """Put section 2 of the paper to the test, fixed-weight networks and evolution, and write reports/ancestors.md and .html."""
    from learning_to_learn.composing import compose_config
    from learning_to_learn.paper.ancestors import ancestors as test_ancestors
    from learning_to_learn.paper.reproduce import report_folder

    quick = bool(os.environ.get("QUICK"))
    test_ancestors(compose_config, report_folder(quick=quick), quick=quick)
    return _end([], f"{report_folder(quick=quick)}/ancestors.md and .html are written")


@reproduce.add_command
@command(name="families")
def families() -> int:
    """Train two archs on every family, beside its reference learners, and write reports/families.md, .html and .csv."""
    from learning_to_learn.composing import compose_config
    from learning_to_learn.paper.families import families as train_families
    from learning_to_learn.paper.reproduce import report_folder

    quick = bool(os.environ.get("QUICK"))
    failed = train_families(compose_config, report_folder(quick=quick), quick=quick)
    return _end(failed, f"{report_folder(quick=quick)}/families.md, .html and .csv are written")


@reproduce.add_command
@command(name="readme")
def readme() -> int:
    """Train what README.md tells its reader to train; write reports/readme.csv, README's figures and its pictures."""
    from learning_to_learn.composing import compose_config
    from learning_to_learn.jobs.sweeps import start
    from learning_to_learn.results.figures_in_text import write_readme

    return _end(write_readme(compose_config, start), "reports/readme.csv, README.md and docs/ are written")


@reproduce.add_command
@command(name="texts")
def texts() -> int:
    """Write the figures of README.md and docs/ again from the files of reports/, without training anything."""
    from learning_to_learn.results.figures_in_text import write_texts

    write_texts()
    return _end([], "README.md and docs/ are written")


def _end(failed: list[str], written: str) -> int:
    if failed:
        complain(f"these did not finish, and are not in the report: {', '.join(failed)}")
        return FAILED
    print(written)
    return 0
