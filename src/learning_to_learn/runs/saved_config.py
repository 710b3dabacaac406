"""The configuration of a run, read back from its folder and held against what status.json says of it."""

from contextlib import suppress
from pathlib import Path

from learning_to_learn.config import Config, fingerprint, judge_fingerprint, load
from learning_to_learn.runs.run_folder import CONFIG, DamagedRun, RunFolder


def load_config(folder: Path) -> Config:
    """Return the configuration of a run folder.

    Raise UserError, one line, where config.yaml is missing or damaged, or was changed after the run began. The keys that change
    nothing that is computed, such as `threads`, may be changed by hand.
    """
    config = load(folder / CONFIG)
    with suppress(DamagedRun):
        judge_fingerprint(fingerprint(config), RunFolder(folder).said().fingerprint, folder / CONFIG)
    return config
