"""Lines of printed source."""

from collections.abc import Iterator
from contextlib import contextmanager


class Source:
    """Lines of Python whose indentation follows `with`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 1

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self._depth + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def loop(self, variable: str, n: int | str) -> Iterator[None]:
        """A loop; nothing where it would run no times."""
        if n == 0:
            kept, self.lines = self.lines, []
            yield
            self.lines = kept
            return
        with self.block(f"for {variable} in range({n}):"):
            yield
