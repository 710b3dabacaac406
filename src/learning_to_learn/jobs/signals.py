"""Ctrl-C and SIGTERM, at any moment, leave a run that can be resumed.

`interruption` owns the two signals. The first one counts, later ones change nothing. Where nothing forbids it, it raises
KeyboardInterrupt at once. While a job trains (`deferred`) it only sets `asked`, and training stops after the epoch with a
checkpoint; while a file is written that others rely on (`protected`) it is raised after that. Each job and sweep says with
`ending` what is to be done then: write the status, print how to resume.

A command has LIMIT seconds. A thread, which the operating system wakes even while the main thread is in compiled code, then
does what is left of the endings and ends the process.
"""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from learning_to_learn import lazy

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""The exit code of a command that was interrupted."""
LIMIT = 1.5
"""Seconds from a signal until a command has ended, whatever it was doing."""
GRACE = 1.0
"""Seconds after which one more signal ends, at once, a job that no command started."""
_LOCK_SECONDS = 0.3


class Interrupted(Exception):
    """The user or the cluster wants the job to end. It is no KeyboardInterrupt, which Lightning would turn into SystemExit."""


class Interruption:
    """What SIGINT and SIGTERM do to this process."""

    def __init__(self) -> None:
        self.asked = False
        """Whether a signal has come."""
        self._since = 0.0
        self._deferred = 0
        self._limited = False
        self._handling = False
        self._told = False
        self._endings: list[Callable[[], None]] = []
        self._forwards: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        """Held while the main thread writes what the other thread must not write at the same time."""

    def own(self) -> None:
        """Handle the signals from now to the end of the process, which comes at most LIMIT seconds after the first one."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._limited = True
        threading.Thread(target=self._watch, args=(read,), daemon=True).start()
        atexit.register(_ignore)  # registered first, so that it runs last
        lazy.guard = self.deferred
        self.handle()

    def handle(self) -> None:
        """Make the signals ours, also where Lightning has just made them its own."""
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def settle(self) -> None:
        """Let signals change nothing any more: the command has its exit code."""
        self._deferred += 1
        if self.asked:
            _ignore()
            # Where KeyboardInterrupt was raised within exec("..."), as dataclasses do while modules are imported, CPython ends
            # itself by SIGINT, whatever exit code it is given. It forgets that with the next text that is executed.
            exec("")  # noqa: S102

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Handle the signals within this context, unless a command does already. Afterwards all is as it was."""
        if self._limited or self._handling or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._handling = True
        try:
            self.handle()
            yield
        finally:
            self.asked = self._handling = self._told = False
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise KeyboardInterrupt for a signal that comes within this context only at its end. See `asked`."""
        self._deferred += 1
        try:
            yield
        finally:
            self._deferred -= 1
        self.check()

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Let what is written within this context be written whole: neither a signal nor the limit breaks it off."""
        with self.deferred(), self._lock:
            yield

    def check(self) -> None:
        """Raise KeyboardInterrupt where a signal has come and nothing defers it."""
        if self.asked and not self._deferred:
            raise KeyboardInterrupt

    @contextmanager
    def ending(self, call: Callable[[], None], *, forward: Callable[[], None] | None = None) -> Iterator[None]:
        """Make `call` the last act of what runs within this context, where it is interrupted.

        The context then raises KeyboardInterrupt, whatever exception the signal has been turned into. `forward` tells other
        processes as soon as the signal comes.
        """
        self._endings.append(call)
        forwards = [forward] if forward else []
        self._forwards += forwards
        try:
            yield
        except BaseException as error:
            if not self.asked and not isinstance(error, KeyboardInterrupt):
                raise
            self._end(call)
            raise KeyboardInterrupt from None
        finally:
            with suppress(ValueError):
                self._endings.remove(call)
            for one in forwards:
                self._forwards.remove(one)

    def tell(self, line: str = "interrupted") -> None:
        """Say that this was interrupted; the bare word only where nothing better was said."""
        if line != "interrupted" or not self._told:
            print(line, file=sys.stderr, flush=True)
        self._told = True

    def _end(self, call: Callable[[], None]) -> None:
        with self._lock:
            if call in self._endings:
                self._endings.remove(call)
                call()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            if not self._limited and time.monotonic() - self._since > GRACE:
                raise KeyboardInterrupt
            return
        self.asked, self._since = True, time.monotonic()
        for forward in self._forwards:
            forward()
        self.check()

    def _watch(self, pipe: int) -> None:
        """Wait for a signal, then for the end of the process; if that does not come, bring it about."""
        while os.read(pipe, 1)[0] not in SIGNALS:
            pass
        time.sleep(LIMIT)
        # What the main thread is writing now is either whole soon, or on a disk that does not answer.
        if self._lock.acquire(timeout=_LOCK_SECONDS):
            for call in reversed(self._endings):
                with suppress(Exception):
                    call()
        self.tell()
        os._exit(INTERRUPTED)


def _ignore() -> None:
    """Ignore the signals. Python gives back those with a handler as it ends: one more would then kill it, with another code."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


interruption = Interruption()
"""That of this process."""
