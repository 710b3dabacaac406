"""Name what varies among jobs, the same way everywhere: `lr=0.003 layers=[{neuron: 4}]`, as one would type it.

Settings are flat: {"arch.name": "lstm", "optimizer.lr": 0.003, ...}. A key is spelled as short as it stays unambiguous, a value
as Hydra reads it. The names of arch, family and optimizer are spelled by their group, for `arch=lstm` chooses them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from learning_to_learn.errors import UserError, unknown

SEEDS = ("seed", "replicas", "engine")
"""Keys that do not make two jobs different studies, besides config.INCIDENTAL and config.LABELS."""
BARE = ("arch.name", "family.name")
"""Keys whose values speak for themselves in a name."""


class Absent:
    """The value of a key that a job has not, as an optimizer without momentum has none."""

    def __str__(self) -> str:
        return "–"


ABSENT = Absent()
PLAIN = re.compile(r"[\w./:@%+*?|-]+")
READ_OTHERWISE = re.compile(r"null|true|false|nan|inf|[\d_.+-]+(e[\d+-]+)?", re.IGNORECASE)
"""Texts that would be read as something else if they were typed without quotation marks."""
REAL = re.compile(r"-?\d+(\.\d+(e[+-]?\d+)?|e[+-]?\d+)", re.IGNORECASE)
DIGITS = 6
"""A number with more significant digits than this was drawn by a search, and is shortened where it stays distinct."""


def name_of(settings: Mapping[str, Any], varying: Sequence[str], known: Iterable[str] = ()) -> str:
    """Return a job's name, from its settings and the keys that vary: `lstm boolean lr=0.003`.

    `known` are the keys that a spelling must be told from; by default the job's own.
    """
    short = spelled(varying, [*settings, *known])
    return joined({key: typed(settings[key]) for key in varying if key in settings}, short)


def names_of_overrides(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return the name of every job of a sweep from what was typed for each: the overrides that they do not all share.

    A job is given as ["arch=lstm", "optimizer.lr=0.003", ...]. A single job has all of its overrides.
    """
    return [joined(job, spell_overrides([*job], jobs)) for job in varying_overrides(jobs)]


def varying_overrides(jobs: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Return what was typed for each job and not for all: {"optimizer.lr": "0.003"}."""
    parsed = [dict(map(_pair, job)) for job in jobs]
    given = [set(job.items()) for job in parsed if job]
    shared = set.intersection(*given) if len(given) > 1 else set()
    rest = [{key: value for key, value in job.items() if (key, value) not in shared} for job in parsed]
    shown = {key: _shown([job[key] for job in rest if key in job]) for key in {key for job in rest for key in job}}
    return [{key: shown[key][value] for key, value in job.items()} for job in rest]


def spell_overrides(keys: Iterable[str], jobs: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return the shortest spelling of each key, told from all that was typed."""
    return spelled(keys, ["seed", *(_pair(word)[0] for job in jobs for word in job)])


def spelled(keys: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return the shortest spelling of each key that no other known key has: `lr` for `optimizer.lr`."""
    keys = list(dict.fromkeys(keys))
    everything = {*keys, *known}
    return {key: next(s for s in _spellings(key) if s == key or _meant(s, everything) == [key]) for key in keys}


def resolve(word: str, known: Iterable[str]) -> str:
    """Return the key that a spelling means. Raises UserError where none or several are meant."""
    known = list(dict.fromkeys(known))
    found = _meant(word, known)
    if not found:
        raise unknown("key", word, sorted(spelled(known, known).values()))
    if len(found) > 1:
        raise UserError(f"{word} may be {' or '.join(sorted(found))}: write more of it")
    return found[0]


def typed(value: object) -> str:
    """Return a value as one would type it: `[{neuron: 4}]`, `0.003`, `null`."""
    if value is None or value is ABSENT:
        return "null" if value is None else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {typed(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(typed, value))}]"
    text = str(value)
    if isinstance(value, int):
        return text
    if PLAIN.fullmatch(text) and not READ_OTHERWISE.fullmatch(text):
        return text
    from learning_to_learn.composing import quoted

    return quoted(text)


def column(values: Sequence[object]) -> list[str]:
    """Return values as one would type them, shortened as `distinct` does."""
    return distinct([typed(value) for value in values])


def distinct(texts: Sequence[str]) -> list[str]:
    """Return texts of which a search's sixteen digits are shortened, as far as all that differ stay different."""
    drawn = {text: float(text) for text in texts if REAL.fullmatch(text) and _digits(text) > DIGITS}
    for digits in range(3, 17) if drawn else ():
        short = [f"{drawn[text]:.{digits}g}" if text in drawn else text for text in texts]
        if len(set(short)) == len(set(texts)):
            return short
    return list(texts)


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings as a flat table: {"arch": {"name": "lstm"}} as {"arch.name": "lstm"}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        below = flatten(value) if isinstance(value, Mapping) else {}
        flat |= {f"{key}.{inner}": one for inner, one in below.items()} or {str(key): value}
    return flat


def together(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the settings with one key for what is a table in some jobs and no table in others, such as `arch.bias`."""
    keys = {key for one in settings for key in one}
    heads = {head for key in keys for head in _heads(key) if head in keys}
    found: list[dict[str, Any]] = []
    for one in settings:
        flat: dict[str, Any] = {}
        for key, value in one.items():
            head = next((h for h in _heads(key) if h in heads), None)
            if head is None:
                flat[key] = value
            else:
                flat.setdefault(head, {})[key.removeprefix(f"{head}.")] = value
        found.append(flat)
    return found


def varying_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys that differ, in order, but those that the name of their own group tells: an arch implies its layers."""
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if _differs(key, settings) and not _implied(key, settings)]


def _differs(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    return len({_value(one, key) for one in settings}) > 1


def _implied(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    name = f"{key.split('.', maxsplit=1)[0]}.name"
    if key == name or not all(name in one for one in settings):
        return False
    pairs = {(_value(one, name), _value(one, key)) for one in settings}
    return len(pairs) == len({named for named, _ in pairs})


def _shown(texts: Sequence[str]) -> dict[str, str]:
    return dict(zip(texts, distinct(texts), strict=True))


def _value(one: Mapping[str, Any], key: str) -> str:
    return typed(one.get(key, ABSENT))


def _spellings(key: str) -> Iterable[str]:
    """From the shortest to the key itself."""
    parts = key.split(".")
    if len(parts) == 2 and parts[1] == "name":
        yield parts[0]
    else:
        yield from (".".join(parts[start:]) for start in range(len(parts) - 1, 0, -1))
    yield key


def _meant(word: str, known: Iterable[str]) -> list[str]:
    known = list(known)
    exact = [key for key in known if key in (word, f"{word}.name")]
    return exact or [key for key in known if key.endswith(f".{word}")]


def joined(values: Mapping[str, str], short: Mapping[str, str]) -> str:
    """Return spelled values as a name."""
    bare = [values[key] for key in BARE if key in values]
    return " ".join([*bare, *(f"{short[key]}={value}" for key, value in values.items() if key not in BARE)])


def _pair(override: str) -> tuple[str, str]:
    """The full key, and the value, of `optimizer.lr=0.003`, `+x=1` or `arch=lstm`."""
    key, _, value = override.partition("=")
    key = key.lstrip("+").split("@")[0]
    return (f"{key}.name" if key in ("arch", "family", "optimizer") else key), value


def _heads(key: str) -> list[str]:
    """The keys that this one may be an entry of, from the shortest."""
    parts = key.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _digits(number: str) -> int:
    """How many significant digits a number is written with."""
    return len(re.sub(r"e.*|\D", "", number).strip("0"))
