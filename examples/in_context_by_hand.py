"""Represent, keep, learn: networks of fast weights that are online learning rules, by weights that are set by hand.

In every cycle the network sees (x[t-1], y[t-1], x[t]) and must say what y[t] = w x[t] is. With the key x[t-1], the value y[t-1]
and the query x[t] a DeltaNet *is* the least-mean-squares rule and a mesa layer *is* ridge regression. The study asks whether
training keeps such a solution when it starts there or beside it, and whether it finds one from a random start::

    python examples/in_context_by_hand.py reports

writes in_context.csv, in_context.png and in_context.md into reports.
"""

import csv
import math
import sys
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network
from learning_to_learn.topology.initial import initial_parameters

INPUTS, LENGTH, REPLICAS, BATCH, UPDATES = 4, 24, 8, 64, 1500
RATE, RIDGE = 0.12, 0.1
UNITS = {"delta_rule": "least mean squares", "mesa": "ridge regression"}


def network(unit: str, inputs: int) -> Network:
    """One group that is as wide as there are inputs, with keys as they are, below a linear output neuron."""
    return Network.of([{unit: {"count": 1, "width": inputs, "keys": "plain"}}], inputs=2 * inputs + 1, kind="linear")


def by_hand(unit: str, inputs: int, *, rate: float = RATE, ridge: float = RIDGE) -> Tensor:
    """The parameters [1, P] with which the network's outputs are the algorithm's predictions."""
    net = network(unit, inputs)
    layer, parameters = net.layers[0], torch.zeros(1, net.parameters, dtype=torch.float64)
    block = layer.blocks[0]
    rows = dict(zip(block.unit.pre_activations, block.rows(), strict=True))
    for i in range(inputs):
        parameters[:, layer.places[rows["key"].start + i][i]] = 1.0
        parameters[:, layer.places[rows["query"].start + i][inputs + 1 + i]] = 1.0
    parameters[:, layer.places[rows["value"].start][inputs]] = 1.0
    if unit == "mesa":
        parameters[:, layer.weights + block.numbers()[0].start] = math.log(ridge)
    else:
        parameters[:, layer.places[rows["strength"].start][-1]] = math.log(rate / (1 - rate))
    parameters[:, layer.parameters] = 1.0  # the output neuron hears the first number of the answer
    return parameters


def sequences(generator: torch.Generator, replicas: int, batch: int, length: int, inputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs x [R, B, T, n], targets y [R, B, T, 1], and what the network sees [R, B, T, 2 n + 1]."""
    x = torch.randn(replicas, batch, length, inputs, generator=generator, dtype=torch.float64)
    w = torch.randn(replicas, batch, 1, inputs, generator=generator, dtype=torch.float64) / math.sqrt(inputs)
    y = (w * x).sum(-1, keepdim=True)
    pair = torch.cat([x, y], -1)
    before = torch.cat([torch.zeros_like(pair[:, :, :1]), pair[:, :, :-1]], 2)
    return x, y, torch.cat([before, x], -1)


def least_mean_squares(x: Tensor, y: Tensor, rate: float = RATE) -> Tensor:
    """Its predictions [..., T, 1]."""
    w, predictions = torch.zeros_like(x[..., 0, :]), []
    for t in range(x.shape[-2]):
        predictions.append((w * x[..., t, :]).sum(-1, keepdim=True))
        w = w + rate * (y[..., t, :] - predictions[-1]) * x[..., t, :]
    return torch.stack(predictions, -2)


def ridge_regression(x: Tensor, y: Tensor, ridge: float = RIDGE) -> Tensor:
    """Its predictions [..., T, 1], each from all pairs before."""
    predictions = []
    for t in range(x.shape[-2]):
        k, v = x[..., :t, :], y[..., :t, :]
        w = torch.linalg.solve(k.mT @ k + ridge * torch.eye(x.shape[-1], dtype=x.dtype), k.mT @ v)
        predictions.append((w[..., 0] * x[..., t, :]).sum(-1, keepdim=True))
    return torch.stack(predictions, -2)


HEAD = f"""\
# Represent, keep, learn

Written by `python examples/in_context_by_hand.py reports`. In each cycle a network of one group sees (x[t-1], y[t-1],
x[t]) and says what y[t] = w x[t] is: {INPUTS} inputs, w drawn anew for each sequence of {LENGTH} cycles, no noise.
Weights that are set by hand make a DeltaNet the least-mean-squares rule (rate {RATE}) and a mesa layer ridge regression
(ridge {RIDGE}), to 1e-10 (a test). Then {UPDATES} updates of {BATCH} sequences by Adam, {REPLICAS} replicas from each
start. "Beside it" adds 0.3 times what is drawn at random. The loss is that on test sequences, divided by that of a
learner that knows nothing. The distance is the mean squared difference between the network's outputs and the
algorithm's, divided by the same. Medians over the replicas.

| unit | start | loss before | loss after (worst) | distance before | distance after | the algorithm's loss |
|---|---|--:|--:|--:|--:|--:|
"""
ALGORITHMS = {"delta_rule": least_mean_squares, "mesa": ridge_regression}


def train(unit: str, start: str, seed: int = 0) -> list[dict[str, object]]:
    """Rows of the loss and of the distance to the algorithm, both relative to the loss without learning, over training."""
    net, generator = network(unit, INPUTS), torch.Generator().manual_seed(seed)
    drawn = initial_parameters(net, list(range(REPLICAS)))
    hand = by_hand(unit, INPUTS).float().expand(REPLICAS, -1)
    first = {"by hand": hand, "beside it": hand + 0.3 * drawn, "at random": drawn}[start]
    parameters = torch.nn.Parameter(first.clone())
    engine, optimizer = make_engine("fused", net, make_gradient("bptt")), torch.optim.Adam([parameters], 3e-3)
    x, y, seen = sequences(torch.Generator().manual_seed(10_000), 1, 1000, LENGTH, INPUTS)
    algorithm, nothing = ALGORITHMS[unit](x, y), y.square().mean()
    seen, rows = seen.float().expand(REPLICAS, -1, -1, -1).contiguous(), []
    for update in range(UPDATES + 1):
        if update % 100 == 0:
            found = engine.outputs(parameters.detach(), seen)[0].double()
            for replica in range(REPLICAS):
                loss = (found[replica] - y[0]).square().mean() / nothing
                distance = (found[replica] - algorithm[0]).square().mean() / nothing
                rows.append({"unit": unit, "start": start, "replica": replica, "update": update,
                             "loss": f"{loss:.6f}", "distance": f"{distance:.6f}",
                             "algorithm": f"{(algorithm - y).square().mean() / nothing:.6f}"})  # fmt: skip
        _, target, now = sequences(generator, REPLICAS, BATCH, LENGTH, INPUTS)
        gradient = engine.segment(parameters.detach(), now.float(), target.float()).gradient
        norm = gradient.norm(dim=1, keepdim=True)
        parameters.grad = gradient / norm.clamp_min(1.0)
        optimizer.step()
    return rows


def main(folder: Path) -> None:
    rows = [row for unit in UNITS for start in ("by hand", "beside it", "at random") for row in train(unit, start)]
    with (folder / "in_context.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    picture(rows, folder / "in_context.png")
    (folder / "in_context.md").write_text("\n".join(table(rows)) + "\n", encoding="utf-8")


def table(rows: list[dict]) -> list[str]:
    """What training made of each start: medians over the replicas, and the worst of them."""
    lines = HEAD.splitlines()
    for unit, start in dict.fromkeys((row["unit"], row["start"]) for row in rows):
        mine = [row for row in rows if (row["unit"], row["start"]) == (unit, start)]
        first, last = ([row for row in mine if row["update"] == at] for at in (0, UPDATES))
        after = sorted(float(row["loss"]) for row in last)
        before, apart, apart_after = (
            median(float(row[key]) for row in some) for key, some in (("loss", first), ("distance", first), ("distance", last))
        )
        lines.append(
            f"| `{unit}` | {start} | {before:.4f} | {median(after):.4f} ({after[-1]:.4f}) | {apart:.4f} | {apart_after:.4f} | "
            f"{float(mine[0]['algorithm']):.4f} ({UNITS[str(unit)]}) |"
        )
    return [*lines, "", "![The loss over training](in_context.png)"]


def picture(rows: list[dict], path: Path) -> None:
    """The loss over training of every replica, by unit and start, beside that of the algorithm."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(UNITS), figsize=(9, 3.2), sharey=True, constrained_layout=True)
    colours = {"by hand": "tab:green", "beside it": "tab:blue", "at random": "tab:red"}
    for axis, (unit, name) in zip(axes, UNITS.items(), strict=True):
        mine = [row for row in rows if row["unit"] == unit]
        for start, colour in colours.items():
            for replica in range(REPLICAS):
                one = [row for row in mine if row["start"] == start and row["replica"] == replica]
                label = f"started {start}" if replica == 0 else None
                axis.plot([r["update"] for r in one], [float(r["loss"]) for r in one], color=colour, lw=0.8, label=label)
        axis.axhline(float(mine[0]["algorithm"]), color="black", ls=":", label=name)
        axis.set(title=unit, xlabel="updates", yscale="log", ylim=(0.07, 3))
        axis.legend(fontsize=7)
    axes[0].set_ylabel("loss / loss without learning")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
