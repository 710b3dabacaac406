"""The configuration of a run, read back from its folder and held against what status.json says of it."""

from contextlib import suppress
from pathlib import Path

from learning_to_learn.config import Config, fingerprint, judge_fingerprint, lacking, load
from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import CONFIG, STATUS, DamagedRun, RunFolder, read_json


def load_config(folder: Path) -> Config:
    """Return the configuration of a run folder.

    Raise UserError, one line, where config.yaml is missing or damaged, or was changed after the run began. The keys that change
    nothing that is computed, such as `threads`, may be changed by hand.
    """
    config = load(folder / CONFIG)
    with suppress(DamagedRun):
        judge_fingerprint(fingerprint(config), RunFolder(folder).said().fingerprint, folder / CONFIG)
    return config


def config_damage(run: RunFolder) -> str:
    """Return what sets config.yaml apart from what the run began with, in a line; nothing where all is well.

    It is read as plain YAML, which a table of many runs can afford.
    """
    try:
        saved = run.config()
        if keys := lacking(saved):
            return f"{CONFIG} is damaged: it lacks {', '.join(keys[:5])}"
        judge_fingerprint(fingerprint(saved), run.said().fingerprint, CONFIG)
        began = (read_json(run.path / STATUS) or {}).get("name", saved["arch"]["name"])
        if saved["arch"]["name"] != began:  # a label, which no fingerprint has
            return f"{CONFIG} was changed after the run began: arch.name was {began}"
    except UserError as error:
        return str(error)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # such as a value that JSON has not
        return f"{CONFIG} is damaged: {error}"
    return ""
