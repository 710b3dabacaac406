"""Write the table of archs, docs/archs.md and reports/archs.csv: `make archs`.

What can be counted is counted. Times are those of the last `make bench`. Errors are those of the units,
in float64 with the same weights, against the peers of tests/topology/test_cells.py, such as torch.nn and torchrecurrent.
"""

import ast
import csv
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from learning_to_learn.composing import CONF, compose_config, options
from learning_to_learn.config_check import make_network
from learning_to_learn.topology import Network
from learning_to_learn.topology.module import ModuleNetwork
from learning_to_learn.topology.size import size_of
from tests.topology.test_cells import PEERS, errors_of

TABLE, PAGE = Path("reports/archs.csv"), Path("docs/archs.md")
TIMES = (Path("reports/bench_archs.csv"), Path("reports/bench.csv"))
"""What `make bench` writes; a time stands in the first file that has it."""
CYCLES = 100
TIMED = {"T": "256", "batch": "128", "replicas": "1"}
"""The rows that times are read from."""
CALLED = {"neurons": "bptt"}
"""What benchmarks call otherwise than conf/arch/ does."""
COLUMNS = {
    "arch": "arch", "network": "network", "gradient": "gradient", "parameters": "parameters", "state_size": "state",
    "multiplications": "multiplications", "ns": "ns", "ns_jax": "JAX", "ns_torch": "torch",
    "error": "error", "lines": "lines",
}  # fmt: skip
HEAD = """# The archs

Written by `make archs`, from [reports/archs.csv](../reports/archs.csv). For three inputs and one output:

- **parameters**: all of a replica, those of fixed layers too. `size=s`, `m` and `l` scale any arch to 400, 1600 or 6400.
- **state**: the numbers that a sequence carries from cycle to cycle, the network's previous output included.
- **multiplications**: of a cycle, without learning; a transformer's are those of the mean cycle of {cycles}, with masked ones.
- **ns**, **JAX**, **torch**: nanoseconds of a cycle and sequence, forward and backward, at 128 x 256 in `make bench`: of the
  fused engine, of the best of JAX, and of torch.nn or, where it has none, a compiled step. Empty: not measured.
- **error**: the largest difference of outputs and gradients from an implementation that shares nothing with ours, in float64.
  It is empty where other tests make the comparison: the paper's own units are held to its equations by hand, vector units to
  theirs, modules to themselves.
- **lines**: of the units and of the arch's file, without docstrings.

"""


def main() -> None:
    """Write both files."""
    times, errors = bench_times(), {peer.__name__: max(errors_of(peer)) for peer in PEERS}
    rows = [row_of(name, times, errors) for name in sorted(options("arch"))]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = ["| " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * 3 + "--:|" * (len(COLUMNS) - 3)]
    lines += ["| " + " | ".join(str(row[column]) for column in COLUMNS) + " |" for row in rows]
    PAGE.write_text(HEAD.format(cycles=CYCLES) + "\n".join(lines) + "\n", encoding="utf-8")


def row_of(name: str, times: dict[tuple[str, str], dict[str, float]], errors: dict[str, float]) -> dict[str, Any]:
    """Return the row of an arch of conf/arch/."""
    config = compose_config(f"arch={name}")
    network = make_network(config)
    units = {block.unit.name for layer in network.layers for block in layer.blocks}
    found = [errors[unit] for unit in units if unit in errors]
    size = size_of(network, CYCLES)
    ns = times.get((name, config.arch.gradient), {})
    torch_ns = ns.get("torch.nn", ns.get("torch, compiled step"))
    jax_ns = min((value for engine, value in ns.items() if engine.lower().startswith("jax")), default=None)
    return {
        "arch": name,
        "network": network.describe(),
        "gradient": config.arch.gradient,
        **{
            column: "grows" if size[column] is None else size[column]
            for column in ("parameters", "state_size", "multiplications")
        },
        **{
            column: "" if value is None else f"{value:.1f}"
            for column, value in (("ns", ns.get("fused")), ("ns_jax", jax_ns), ("ns_torch", torch_ns))
        },
        "error": f"{max(found):.0e}" if found and len(found) == len(units) else "",
        "lines": lines_of(name, network),
    }


def bench_times() -> dict[tuple[str, str], dict[str, float]]:
    """Return the nanoseconds of a cycle and sequence by engine, by arch and gradient."""
    rows = []
    for path in TIMES:
        with path.open(encoding="utf-8") as file:
            rows += [row for row in csv.DictReader(file) if all(row[key] == value for key, value in TIMED.items())]
    per_ms = 1e6 / (int(TIMED["T"]) * int(TIMED["batch"]))
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        key = (CALLED.get(row["case"], row["case"]), row["gradient"])
        found.setdefault(key, {}).setdefault(row["engine"], float(row["median_ms"]) * per_ms)
    return found


def lines_of(name: str, network: Network) -> int:
    """Return the lines of an arch: those of its units, or of its module where that is ours, and those of its file."""
    units: set[Any] = {block.unit.step for layer in network.layers for block in layer.blocks}
    if isinstance(network, ModuleNetwork) and network.name.startswith("learning_to_learn."):
        units = {inspect.getmodule(type(network.signature.module))}
    return sum(map(lines_of_code, units)) + len((CONF / "arch" / f"{name}.yaml").read_text(encoding="utf-8").splitlines())


def lines_of_code(code: Callable | Any) -> int:
    """Return the lines of a function or module that are neither blank nor docstrings."""
    source = textwrap.dedent(inspect.getsource(code))
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            text = node.body[0]
            skipped |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return sum(bool(line.strip()) and number not in skipped for number, line in enumerate(source.splitlines(), 1))


if __name__ == "__main__":
    main()
