"""The clusters that the tests run on: they are started once, on this machine, with all their files in a temporary folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.slurm import PROGRAMS, WITH_ACCOUNTING, missing, slurm
from tests.cluster.sweeps import LONG, TWO, Sweep, results

INSTALL = "apt-get install slurm-wlm munge slurmdbd mariadb-server"


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder with a short name: a socket's path may have no more than 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _refuse_without(programs: tuple[str, ...]) -> None:
    if os.geteuid() != 0:
        pytest.fail("SLURM's daemons need root")
    if missing(programs):
        pytest.fail(f"{', '.join(missing(programs))} not found: as root, {INSTALL}")


@pytest.fixture(scope="session")
def cluster(place: Path) -> Iterator[dict[str, str]]:
    """A SLURM with accounting, as most clusters have it."""
    _refuse_without((*PROGRAMS, *WITH_ACCOUNTING))
    with slurm(place / "slurm", accounting=True) as environment:
        yield environment


@pytest.fixture(scope="session")
def cluster_without_accounting(place: Path) -> Iterator[dict[str, str]]:
    """A SLURM whose `sacct` knows nothing."""
    _refuse_without(PROGRAMS)
    with slurm(place / "bare", accounting=False) as environment:
        yield environment


@pytest.fixture(scope="session")
def of_two(place: Path) -> tuple:
    """What the basic launcher finds in the two small jobs."""
    return _found(place / "two", TWO)


@pytest.fixture(scope="session")
def of_long(place: Path) -> tuple:
    """What the basic launcher finds in the two longer jobs."""
    return _found(place / "long", LONG)


def _found(folder: Path, words: list[str]) -> tuple:
    with Sweep(folder, *words, "threads=1") as sweep:
        assert sweep.wait() == 0, sweep.said
    return results(folder)
