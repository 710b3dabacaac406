"""Judge archs, each tuned with the same budget, over fresh seeds: `python -m src.verdict --help`."""

import os
import shlex
from pathlib import Path

import click

from learning_to_learn.commands.cli import FAILED, command, exit_with, invoke
from learning_to_learn.errors import UserError

HOW = ("launcher", "logger", "threads")
DRY_RUN = "--dry-run"


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(check if arguments[:1] == ["check"] else judge, arguments[arguments[:1] == ["check"] :], name="verdict")


@command(name="verdict")
@click.argument("words", metavar="[NAME] [KEY=VALUE]...", nargs=-1)
@click.option(DRY_RUN, "dry_run", is_flag=True, help="what would be trained and how long it takes; nothing is")
def judge(words: tuple[str, ...], *, dry_run: bool) -> int:
    """Judge archs on families: the same number of random settings for each, fresh seeds at the best one, and statistics.

    NAME is a file of sweeps/verdicts/, by default verdict. What is trained is kept in runs/verdict/ and used again; the same
    command goes on where it was stopped. It writes reports/<name>.md and .csv, and what belongs to them into reports/<name>/.

    Keys:
      arch=lstm,gru  family=all       what is compared; any key may have several values
      against.arch=lstm               what each is tested against
      budget=3h                       take the largest plan that fits, by an estimate
      settings= replicas= fresh= epochs=   a plan of your own: random settings, tuning seeds, fresh seeds, epochs
      launcher=packed                 who runs the jobs; packed trains those of an arch together
      report=<folder>/<name>.md       where the report goes
      logger.mode=offline             also log the jobs, and the verdict, to wandb
    and any other key of a job, which all share.

    Examples:
      python -m src.verdict --dry-run budget=3h
      python -m src.verdict arch=lstm,gru,elman family=boolean budget=20min
      python -m src.verdict arch=lstm,gru family=boolean settings=4 fresh=6 epochs=50
      python -m src.verdict check reports/verdict.md

    """
    from learning_to_learn.composing import quoted
    from learning_to_learn.plugins import LOADED
    from learning_to_learn.verdicts.protocol import DEFAULT, load_protocol, seconds_of, with_words

    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise UserError(f"one verdict at a time: {' '.join(names)}")
    pairs = dict(word.split("=", 1) for word in words if "=" in word)
    budget, report = pairs.pop("budget", None), pairs.pop("report", None)
    against = {key.removeprefix("against."): pairs.pop(key) for key in list(pairs) if key.startswith("against.")}
    how = [f"{key}={pairs.pop(key)}" for key in list(pairs) if key.split(".")[0].split("/")[0] in HOW]
    if LOADED:
        how.append(f"plugins=[{','.join(quoted(plugin.given) for plugin in LOADED.values())}]")
    quick = bool(os.environ.get("QUICK"))
    small = ["settings=2", "replicas=1", "fresh=4", "epochs=10", "evaluation.mappings=64", "arch=lstm,elman"] if quick else []
    name = names[0] if names else DEFAULT
    protocol = with_words(load_protocol(name), [*small, *(f"{key}={value}" for key, value in pairs.items())], against)

    from learning_to_learn.verdicts.running import judge_all

    path = Path(report) if report else Path("reports") / ("quick" if quick else "") / f"{name}.md"
    if path.suffix != ".md":
        raise UserError(f"report={report}: give a path that ends in .md")
    shown = " ".join(["python -m src.verdict", *map(shlex.quote, words)])
    found = judge_all(protocol, path, None if budget is None else seconds_of(budget), how, again=shown, dry_run=dry_run)
    if dry_run:
        return 0
    print(f"{path} and {path.with_suffix('.csv')} are written")
    return 0 if found else FAILED


@command(name="verdict check")
@click.argument("words", metavar="REPORT [seed=N]", nargs=-1)
def check(words: tuple[str, ...]) -> int:
    """Train one replica of a verdict again, from what its report records, and compare the bits of its weights and its error.

    Which replica it is is drawn at random; seed=N draws the same one again. The exit code is 0 where all bits are equal.

    Examples:
      python -m src.verdict check reports/verdict.md
      python -m src.verdict check reports/verdict.md seed=3

    """
    from learning_to_learn.commands.cli import split
    from learning_to_learn.verdicts.checking import check_report

    reports, options = split(words, ("seed",))
    if len(reports) != 1:
        raise UserError("which one? python -m src.verdict check reports/verdict.md")
    draw = options.get("seed")
    if draw is not None and not draw.isdigit():
        raise UserError(f"seed={draw}: give a whole number")
    found = check_report(Path(reports[0]), None if draw is None else int(draw))
    print("\n".join(found.lines))
    return 0 if found.equal else FAILED
