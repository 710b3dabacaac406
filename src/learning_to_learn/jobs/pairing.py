"""The jobs of a sweep: every combination of the values, but for keys whose values are paired (`zip=[arch,optimizer.lr]`)."""

import itertools
from collections.abc import Sequence

from hydra._internal.core_plugins import basic_sweeper
from hydra.core.override_parser.types import Override

from learning_to_learn.errors import UserError
from learning_to_learn.runs.varying import resolve


def words_of_jobs(overrides: Sequence[Override], paired: Sequence[str] = ()) -> list[list[str]]:
    """Return the overrides of every job.

    The first values of the `paired` keys go together, then the second ones, as in Python's zip. Raises UserError where these
    keys have not equally many values, or are no keys of the sweep.
    """
    words: dict[str, list[str]] = {}
    for override in overrides:  # a later one takes the place of an earlier one of the same key
        [jobs] = basic_sweeper.BasicSweeper.split_arguments([override], None)
        words[override.get_key_element()] = [word for job in jobs for word in job]
    together = _keys(paired, words)
    axes = [[key] for key in words if key not in together]
    if together:
        axes.insert(list(words).index(together[0]), together)
    crossed = itertools.product(*(list(zip(*(words[key] for key in axis), strict=True)) for axis in axes))
    found = [dict(zip(itertools.chain(*axes), itertools.chain(*chosen), strict=True)) for chosen in crossed]
    return [[job[key] for key in words] for job in found]


def _keys(paired: Sequence[str], words: dict[str, list[str]]) -> list[str]:
    """The keys that are paired, in the order of the sweep's."""
    bare = {key.lstrip("+"): key for key in words}
    found = {bare[resolve(name, bare)] for name in paired}
    if len(found) != len(paired) or len(found) == 1:
        raise UserError(f"zip=[{','.join(paired)}]: name two keys of the sweep or more, each once")
    keys = [key for key in words if key in found]
    if len({len(words[key]) for key in keys}) > 1:
        counts = ", ".join(f"{key} has {len(words[key])}" for key in keys)
        raise UserError(f"zip=[{','.join(paired)}]: paired keys have equally many values, and {counts}")
    return keys
