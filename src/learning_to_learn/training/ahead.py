"""The data of the next epoch are drawn while this one is trained, where the machine has a core to spare."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from learning_to_learn.composing import usable_cores

T = TypeVar("T")


def ahead(draw: Callable[[int], T], numbers: Sequence[int], jobs: int = 1) -> Iterator[T]:
    """Yield `draw(n)` for each number; the next one is drawn by a second thread while the caller uses this one.

    What is drawn must depend on the number alone. An error in `draw` is raised where its result would have been yielded.
    `jobs` like this one run at a time on this machine.
    """
    if len(numbers) < 2 or not core_to_spare(jobs):
        yield from map(draw, numbers)
        return
    found = draw(numbers[0])
    for number in numbers[1:]:
        coming = _second_thread().submit(draw, number)
        yield found
        found = coming.result()
    yield found


def core_to_spare(jobs: int = 1) -> bool:
    """Whether more cores are there than the jobs compute with, and numba may be called by two threads at once."""
    import numba

    return jobs * numba.get_num_threads() < usable_cores() and _two_may_call()


def _two_may_call() -> bool:
    """Whether the library below numba's parallel loops lets two threads run loops at once; numba's own ends the process."""
    import numba

    try:
        return numba.threading_layer() in ("omp", "tbb")
    except ValueError:  # no loop has run yet, so that no library is chosen
        return False


@functools.cache
def _second_thread() -> Any:
    """One for the whole process: every new thread would cost OpenMP its own setting up."""
    return ThreadPoolExecutor(1, thread_name_prefix="ahead", initializer=_alone)


def _alone() -> None:
    """The second thread's loops run on one core."""
    import numba
    import torch

    numba.set_num_threads(1)
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_second_thread.cache_clear)
