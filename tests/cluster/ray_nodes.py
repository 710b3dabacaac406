"""A Ray cluster of several nodes on this machine: a raylet is a node."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path


class Nodes:
    """A head and further nodes, with a CPU each. Leaving the context ends them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.port, self.client_port = _free_port(), _free_port()
        self.environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
                            "RAY_ADDRESS": f"127.0.0.1:{self.port}"}  # fmt: skip
        self._nodes: list[subprocess.Popen] = []

    def __enter__(self) -> "Nodes":
        (self._folder / "token").write_text(secrets.token_hex(32))
        (self._folder / "token").chmod(0o600)
        try:
            self.start("--head", f"--port={self.port}", f"--ray-client-server-port={self.client_port}",
                       "--include-dashboard=false", f"--temp-dir={self._folder / 'ray'}")  # fmt: skip
            self.start(f"--address=127.0.0.1:{self.port}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        while self._nodes:
            self.kill()

    def start(self, *words: str) -> None:
        """Start a node, and wait until the cluster has it."""
        # Its working directory is no user's: a node is started by whoever, wherever.
        self._nodes.append(
            self._ray(
                "start", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=100000000", *words
            )
        )
        end = time.monotonic() + 180
        while self._alive() < len(self._nodes):
            dead = self._nodes[-1].poll() is not None or time.monotonic() > end
            assert not dead, f"the node did not start: {(self._folder / 'out').read_text()[-3000:]}"
            time.sleep(1)

    def kill(self) -> None:
        """End the youngest node, with all its processes, at once."""
        node = self._nodes.pop()
        with suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def _alive(self) -> int:
        code = (
            f"import ray; ray.init('127.0.0.1:{self.port}', logging_level='error'); print(sum(n['Alive'] for n in ray.nodes()))"
        )
        done = subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True, text=True, check=False)
        return int(done.stdout.split()[-1]) if done.returncode == 0 else 0

    def _ray(self, *words: str) -> subprocess.Popen:
        ray = Path(sys.executable).with_name("ray")
        with (self._folder / "out").open("a") as out:
            return subprocess.Popen(
                [ray, *words], env=self.environment, cwd="/", stdout=out, stderr=out, start_new_session=True
            )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
