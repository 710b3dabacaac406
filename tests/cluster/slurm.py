"""A real SLURM on this machine: munge, MariaDB, slurmdbd, slurmctld and slurmd, with all their files in one folder."""

import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
WITH_ACCOUNTING = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
MEMORY_MB = 8000
REQUEUE_SECONDS = 15
"""A job that is queued again waits so long, until its old credential has expired (SLURM's default: 120)."""


@contextmanager
def slurm(folder: Path, *, accounting: bool) -> Iterator[dict[str, str]]:
    """A running cluster; gives the environment in which its commands work."""
    folder.mkdir(mode=0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    ports = dict(zip(("controller", "node", "accounting", "database"), _free_ports(4), strict=True))
    host = platform.node().split(".")[0]
    about = "\n".join(
        ["AccountingStorageType=accounting_storage/slurmdbd", "AccountingStorageHost=127.0.0.1",
         f"AccountingStoragePort={ports['accounting']}", f"AccountingStoragePass={folder / 'munge.socket'}"]
        if accounting else ["AccountingStorageType=accounting_storage/none"]
    )  # fmt: skip
    words = {f"{name}_port": port for name, port in ports.items()}
    words |= {
        "host": host,
        "folder": folder,
        "accounting": about,
        "memory": MEMORY_MB,
        "requeue_seconds": REQUEUE_SECONDS,
        "password": secrets.token_hex(8),
    }
    for name in ("slurm.conf", "slurmdbd.conf"):
        (folder / name).write_text(Template((HERE / f"{name}.template").read_text()).substitute(words))
        (folder / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def run(*command: object) -> subprocess.CompletedProcess:
        return subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True, check=False)

    with ExitStack() as stack:

        def start(*command: object) -> None:
            log = stack.enter_context((folder / f"{Path(str(command[0])).name}.out").open("w"))
            process = subprocess.Popen([str(c) for c in command], env=environment, stdout=log, stderr=log)
            stack.callback(_end, process)

        (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
        (folder / "munge.key").chmod(0o600)
        files = ("key-file", "munge.key"), ("socket", "munge.socket"), ("pid-file", "munge.pid"), ("seed-file", "munge.seed")
        start("munged", "--foreground", "--force", *(f"--{option}={folder / name}" for option, name in files))
        _until((folder / "munge.socket").exists, "munged", folder)
        if accounting:
            _start_database(folder, ports["database"], str(words["password"]), start, run)
            start("slurmdbd", "-D")
            _until(lambda: run("sacctmgr", "-i", "show", "cluster").returncode == 0, "slurmdbd", folder)
            for what in (["cluster", "lone"], ["account", "test"], ["user", "root", "account=test"]):
                run("sacctmgr", "-i", "add", *what)
        start("slurmctld", "-D", "-c")
        start("slurmd", "-D", "-N", host)
        _until(lambda: "idle" in run("sinfo", "--noheader", "--format=%t").stdout, "slurmctld and slurmd", folder)
        stack.callback(run, "scancel", "--user=root")
        yield environment


def _start_database(folder: Path, port: int, password: str, start: Callable, run: Callable) -> None:
    data, access = folder / "database", folder / "database.socket"
    made = run(
        "mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--auth-root-authentication-method=socket"
    )
    assert made.returncode == 0, made.stderr
    start("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={access}", f"--port={port}",
          "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M")  # fmt: skip
    client = ["mariadb", "--no-defaults", f"--socket={access}", "--user=root", "--execute"]
    _until(lambda: run(*client, "select 1").returncode == 0, "mariadbd", folder)
    user = f"grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1' identified by '{password}'"
    assert run(*client, user).returncode == 0


def _until(ready: Callable[[], bool], what: str, folder: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        logs = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in folder.glob("*.out"))
        assert time.monotonic() < end, f"{what} did not start\n{logs}"
        time.sleep(0.5)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def missing(programs: tuple[str, ...]) -> list[str]:
    """The programs that are not installed."""
    return [name for name in programs if shutil.which(name) is None]
