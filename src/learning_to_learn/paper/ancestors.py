"""The paper's section 2, put to the test: fixed-weight networks by construction, and learning rules found by evolution.

reports/ancestors.md, .html         the report: each claim, the test, the answer
reports/ancestors.json              all numbers, stage after stage; a stage that is there is not computed again
reports/ancestors_*.png             the pictures
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learning_to_learn.config import Config
from learning_to_learn.engine import make_engine
from learning_to_learn.families.semilinear import RATES, gradient_descent
from learning_to_learn.figures import save
from learning_to_learn.gradients import make_gradient
from learning_to_learn.paper.rule_evolution import Found, best_delta, cosine, descend, evolve, formula, to_json
from learning_to_learn.paper.search_cost import PASSES, compare_searches, cost_growth, trained
from learning_to_learn.paper.wiring_figure import wiring_figure
from learning_to_learn.randomness import Stream
from learning_to_learn.results.markdown import markdown_table, to_html
from learning_to_learn.runs.run_folder import read_json, write_atomically, write_json
from learning_to_learn.topology.fixed_weight import FixedWeight, delta, fixed_weight, learner
from learning_to_learn.topology.multiplier import factor_ranges, fit_multiplier, plain_neurons
from learning_to_learn.training.evaluation import metrics_of
from learning_to_learn.training.sequences import held_out

Compose = Callable[..., Config]
RUNS = Path("runs/ancestors")
FAMILIES = ("boolean", "semilinear", "quadratic")
SEQUENCES, CYCLES = 100, 64
RATE_OF_WEIGHTS = 8.0
"""gradient_descent's neuron is (1 + tanh z) / 2, which is the logistic function of 2 z, and its rate is that of z."""


def ancestors(compose: Compose, reports: Path, *, quick: bool = False) -> None:
    """Compute what is not yet computed, stage by stage, and write the report after each."""
    runs = RUNS / "quick" if quick else RUNS
    reports.mkdir(parents=True, exist_ok=True)
    path = reports / "ancestors.json"
    found: dict[str, Any] = read_json(path) or {}
    stages: dict[str, Callable[[], Any]] = {
        "equality": equality,
        "multipliers": lambda: multipliers((4, 8) if quick else (4, 8, 16, 32)),
        "learning": lambda: learning(compose, runs, epochs=4 if quick else 150, replicas=2 if quick else 16),
        "searches": lambda: compare_searches(compose, runs, epochs=20 if quick else 1000, replicas=2 if quick else 4),
        "growth": lambda: cost_growth((2, 4) if quick else (2, 6, 13, 27)),
        "evolution": lambda: evolution(runs=2 if quick else 10, generations=10 if quick else 300, steps=10 if quick else 400),
    }
    for name, compute in stages.items():
        if name not in found:
            began = time.perf_counter()
            print(f"ancestors: {name} ...", flush=True)
            found[name] = compute()
            found.setdefault("seconds", {})[name] = time.perf_counter() - began
            write_json(path, found)
        write(found, reports, quick=quick)


def _sequences(inputs: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(SEQUENCES, CYCLES, inputs, generator=generator, dtype=torch.float64) - 1
    return x, torch.rand(SEQUENCES, CYCLES, generator=generator, dtype=torch.float64)


def _online(made: FixedWeight, hidden: int, rate: float, engine: str, dtype: torch.dtype) -> float:
    """The largest difference between the network and the ordinary learner, whose weights autograd changes after every cycle."""
    network, (x, target) = learner(hidden=hidden), _sequences()
    initial = torch.randn(SEQUENCES, network.parameters, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights, expected = initial.clone(), []
    for t in range(CYCLES):
        leaf = weights.clone().requires_grad_()
        y = network.forward(leaf, x[:, None, t : t + 1])[0][:, 0, 0, 0]
        weights -= rate * torch.autograd.grad(((target[:, t] - y) ** 2 / 2).sum(), leaf)[0]
        expected.append(y.detach())
    run = make_engine(engine, made.network, make_gradient("bptt"), dtype=dtype)
    found = run.outputs(made.parameters(initial).to(dtype), _shown(x, target).to(dtype))[0]
    return float((found[:, 0, :, 0].double() - torch.stack(expected, 1)).abs().max())


def _shown(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    previous = torch.cat([torch.full_like(target[:, :1], 0.5), target[:, :-1]], 1)
    return torch.cat([x, previous.unsqueeze(-1)], -1).unsqueeze(1)


def equality() -> list[dict[str, Any]]:
    """Compare networks of constant weights with the learners they were made of."""
    found = []
    for hidden in (0, 3):
        made = fixed_weight(learner(hidden=hidden), delta(1.0))
        errors = {
            "reference, float64": _online(made, hidden, 1.0, "reference", torch.float64),
            "fused, float64": _online(made, hidden, 1.0, "fused", torch.float64),
            "fused, float32": _online(made, hidden, 1.0, "fused", torch.float32),
        }
        units = sum(block.count for layer in made.network.layers for block in layer.blocks)
        found.append({
            "hidden": hidden, "learner": learner(hidden=hidden).parameters, "layers": len(made.network.layers), "units": units,
            "parameters": made.network.parameters, "errors": errors,
        })  # fmt: skip
    return found


def multipliers(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Replace the Π units of the neuron's network by trained networks of plain neurons."""
    network, (x, target) = learner(), _sequences()
    exact = fixed_weight(network, delta(1.0))
    initial = torch.zeros(SEQUENCES, network.parameters, dtype=torch.float64)
    ranges = factor_ranges(exact, initial, _shown(x, target))
    expected = exact.network.forward(exact.parameters(initial), _shown(x, target))[0]
    found = []
    for size in sizes:
        multiplier = fit_multiplier(size)
        plain = fixed_weight(network, delta(1.0), product=plain_neurons(multiplier, ranges))
        outputs = plain.network.forward(plain.parameters(initial), _shown(x, target))[0]
        off = (outputs - expected).abs()
        found.append({
            "neurons": size, "parameters": plain.network.parameters, "error": multiplier.error,
            "outputs": float(off.max()), "last": float(off[:, :, -1].mean()),
        })  # fmt: skip
    return found


def learning(compose: Compose, runs: Path, *, epochs: int, replicas: int) -> dict[str, Any]:
    """Score the constructed network, the same after training, one of its size that starts at random, and the LSTM."""
    found: dict[str, Any] = {}
    common = (f"replicas={replicas}", "optimizer.lr=0.003", f"trainer.evaluate_every={max(1, epochs // 6)}")
    for family in FAMILIES:
        config = compose("arch=fwnn", f"family={family}")
        looked_at = held_out(config, Stream.VALIDATION, dtype=torch.float64)
        x, y = looked_at.inputs[0, ..., :2].numpy(), looked_at.targets[0].numpy()
        errors = [np.mean((gradient_descent(x, y, rate) - y) ** 2) for rate in RATES]
        rate = float(RATES[int(np.argmin(errors))])
        words = (f"family={family}", "arch=fwnn", f"arch.rate={RATE_OF_WEIGHTS * rate:.6g}", *common)
        rows = {
            "constructed": trained(compose, runs / family / "constructed", *words, "trainer.epochs=0"),
            "constructed, trained": trained(compose, runs / family / "trained", *words, f"trainer.epochs={epochs}"),
            "random start, trained": trained(
                compose, runs / family / "random", *words, "arch.start=random", f"trainer.epochs={epochs}"
            ),
            "lstm": trained(
                compose, runs / family / "lstm", f"family={family}", "arch=lstm", f"replicas={replicas}",
                f"trainer.evaluate_every={max(1, epochs // 6)}", f"trainer.epochs={epochs}",
            ),
        }  # fmt: skip
        test = held_out(config, Stream.TEST, dtype=torch.float64)
        x, y = test.inputs[0, ..., :2].numpy(), test.targets[0].numpy()
        curve = ((gradient_descent(x, y, rate) - y) ** 2).mean((0, 2))
        keys = ("score_median", "mse_median", "successes", "replicas", "parameters", "seconds", "excess_median")
        found[family] = {
            "rate": RATE_OF_WEIGHTS * rate,
            "neuron": {"score": metrics_of(config, curve[None], test=True)[0].score, "mse": float(curve.mean())},
            "rows": {name: {key: row.get(key) for key in keys} for name, row in rows.items()},
        }
    return found


def evolution(*, runs: int, generations: int, steps: int) -> dict[str, Any]:
    """Find Chalmers's coefficients by a genetic algorithm and by gradient descent."""
    began = time.perf_counter()
    evolved = [to_json(evolve(seed, generations)) for seed in range(runs)]
    middle = time.perf_counter()
    descended = [to_json(found) for found in descend(runs, steps)]
    seconds = {"evolution": middle - began, "gradient": time.perf_counter() - middle}
    return {"delta": to_json(best_delta()), "evolution": evolved, "gradient": descended, "seconds": seconds}


def write(found: dict[str, Any], reports: Path, *, quick: bool) -> None:
    """Write the report of the stages that are there."""
    reports.mkdir(parents=True, exist_ok=True)
    title = "The paper's ancestors, running" + (" (QUICK: small, and says nothing)" if quick else "")
    lines = [
        f"# {title}", "",
        "Written by `make ancestors`. Section 2 of the paper motivates its method with fixed-weight learning networks (Cotter & "
        "Conwell 1990; Younger, Conwell & Cotter 1999), and sets it against genetic search (Chalmers 1990; Runarsson & Jonsson "
        "2000). Each claim, a test of it, and the answer:",
    ]  # fmt: skip
    for name, section in SECTIONS.items():
        if name in found:
            lines += ["", *section(found[name], reports)]
    seconds = found.get("seconds", {})
    parts = ", ".join(f"{k} {v:.0f} s" for k, v in seconds.items())
    lines += ["", f"{sum(seconds.values()) / 60:.1f} minutes in all, on a machine that may have had other work: {parts}."]
    text = "\n".join(lines) + "\n"
    write_atomically(reports / "ancestors.md", text)
    write_atomically(reports / "ancestors.html", to_html(text, reports, title=title))


def _equality(rows: list[dict[str, Any]], reports: Path) -> list[str]:
    for hidden, name in ((0, "neuron"), (2, "hidden")):
        made, what = fixed_weight(learner(hidden=hidden), delta(1.0)), "a neuron" if not hidden else f"{hidden} hidden neurons"
        save(wiring_figure(made.wired, title=f"{what} and gradient descent, as a network of constant weights"),
             reports / f"ancestors_{name}.png")  # fmt: skip
    exact = max(max(row["errors"][k] for k in row["errors"] if "64" in k) for row in rows)
    head = ["learner", "its weights", "layers", "units", "parameters", *(rows[0]["errors"])]
    body = [
        ["one neuron" if not row["hidden"] else f"{row['hidden']} hidden neurons", row["learner"], row["layers"], row["units"],
         row["parameters"], *(f"{error:.1e}" for error in row["errors"].values())]
        for row in rows
    ]  # fmt: skip
    return [
        "## Networks of constant weights can learn (Figure 1, steps 1 to 3)", "",
        'The claim: "they can learn without changing any of their synaptic weights". The test: `fixed_weight` wires a learner and '
        f"its online gradient descent into a recurrent network; on {SEQUENCES} random sequences of {CYCLES} cycles its answers are "
        "compared with those of the ordinary learner, whose weights autograd changes. The largest difference:", "",
        *markdown_table(head, body), "",
        f"**{'Yes' if exact < 1e-12 else 'No'}: in float64 they are the same but for rounding ({exact:.0e}).** float32, which "
        "training uses, rounds the stored weights.", "",
        "![One neuron](ancestors_neuron.png)", "", "![Two hidden neurons](ancestors_hidden.png)",
    ]  # fmt: skip


def _multipliers(rows: list[dict[str, Any]], reports: Path) -> list[str]:
    from matplotlib.figure import Figure

    sizes = np.array([row["neurons"] for row in rows])
    curves = {"a product, at most": np.array([r["error"] for r in rows]), "an answer, at most": np.array([r["outputs"] for r in rows]),
              "the last answer, mean": np.array([r["last"] for r in rows])}  # fmt: skip
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for label, curve in curves.items():
        axes.plot(sizes, curve, "o-", label=label)
    axes.set(title="Π units replaced by plain neurons", ylabel="absolute error", xlabel="neurons in the place of a Π unit")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, map(str, sizes))
    axes.legend(fontsize=8)
    save(figure, reports / "ancestors_multipliers.png")
    body = [[r["neurons"], r["parameters"], *(f"{r[k]:.1e}" for k in ("error", "outputs", "last"))] for r in rows]
    return [
        "## A Π unit can be replaced by plain neurons (step 4)", "",
        'The claim: "The Π units could be replaced by an equivalent (standard neuron) network at the expense of more complexity". '
        "The test: a layer of tanh neurons is trained to multiply, once, and put in the place of every Π unit of the neuron's "
        "network, scaled to the range of its factors.", "",
        *markdown_table(["neurons", "parameters", "error of a product", "of an answer, at most", "of the last answer"], body), "",
        f"**Yes, not exactly but nearly: {rows[-1]['neurons']} neurons a Π unit leave the last answer off by "
        f"{rows[-1]['last']:.0e}.** The stored weights sum up what the products are off, so that errors grow with the cycles.", "",
        "![Multipliers](ancestors_multipliers.png)",
    ]  # fmt: skip


def _learning(found: dict[str, Any], reports: Path) -> list[str]:
    del reports
    body, better = [], []
    for family, one in found.items():
        neuron = one["neuron"]
        body.append([family, "ordinary neuron, gradient descent", "3", f"{neuron['score']:.3f}", f"{neuron['mse']:.5f}", "–"])
        for name, row in one["rows"].items():
            body.append([
                family, name, row["parameters"], f"{row['score_median']:.3f}", f"{row['mse_median']:.5f}",
                f"{row['successes']}/{row['replicas']}",
            ])  # fmt: skip
        rows = one["rows"]
        better.append(
            f"{family}: {rows['constructed']['score_median']:.3f} as constructed, "
            f"{rows['constructed, trained']['score_median']:.3f} after training, "
            f"{rows['random start, trained']['score_median']:.3f} from a random start"
        )
    agree = max(abs(one["neuron"]["mse"] - one["rows"]["constructed"]["mse_median"]) for one in found.values())
    return [
        "## Gradient descent on these weights is meta-learning", "",
        'The claim: "a recurrent network with random weights is simply a very inefficient learning machine. By applying standard '
        'gradient descent to these synaptic weights we improve the embedded learning algorithm". The test: the network that was '
        "constructed from a neuron and its delta rule (at the rate that is best on validation data), the same meta-trained from "
        "there, one of its size from a random start, and the LSTM, with the same data and epochs; medians over replicas.", "",
        *markdown_table(["family", "network", "parameters", "score", "MSE", "succeed"], body), "",
        f"The constructed network and the ordinary neuron differ by {agree:.0e} in MSE.", "",
        f"**Median scores: {'; '.join(better)}.**",
    ]  # fmt: skip


def _searches(found: dict[str, Any], reports: Path) -> list[str]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    for axes, key, label in zip(
        figure.subplots(1, 2), ("passes", "time"), ("forward passes of a sequence", "seconds"), strict=True
    ):
        for name, one in found.items():
            axes.plot(one[key], np.maximum(one["scores"], -0.1), label=name)
        axes.set(xlabel=label, ylabel="score", ylim=(-0.13, 1.05))
    figure.axes[1].set_xscale("log")
    figure.axes[0].legend(fontsize=8)
    save(figure, reports / "ancestors_searches.png")
    body = [[name, PASSES[name], one["epochs"], f"{one['score']:.3f}", f"{one['seconds']:.0f}"] for name, one in found.items()]
    gradient = max(("truncated", "bptt", "rtrl"), key=lambda name: found[name]["score"])
    search = max(("es", "cma"), key=lambda name: found[name]["score"])
    return [
        "## Gradients and evolution with as many forward passes", "",
        "The LSTM of 6 cells and 6 neurons on Boolean functions of 32 cycles. A gradient counts as three forward passes. All have the default rate; none is tuned. es is the "
        "antithetic evolution strategy of Salimans et al. (2017), cma is CMA-ES of the library `cma`.", "",
        *markdown_table(["search", "passes a sequence", "epochs", "score (median)", "seconds"], body), "",
        f"**The best gradient ({gradient}) reaches {found[gradient]['score']:.3f}, the best evolution ({search}) "
        f"{found[search]['score']:.3f}.**", "", "![Searches](ancestors_searches.png)",
    ]  # fmt: skip


def _growth(rows: list[dict[str, Any]], reports: Path) -> list[str]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = np.array([row["parameters"] for row in rows])
    names = list(rows[0]["seconds"])
    for name in names:
        known = [(row["parameters"], row["seconds"][name]) for row in rows if name in row["seconds"]]
        left.plot(*zip(*known, strict=True), "o-", label=name)
    left.set(xscale="log", yscale="log", xlabel="parameters", ylabel="seconds an update (16 sequences of 32 cycles)")
    left.legend(fontsize=8)
    right.plot(sizes, [row["cosine"] for row in rows], "o-", label="measured")
    right.plot(sizes, np.sqrt(16 / (16 + sizes)), "--", color="#999999", label="√(n / (n + P)), n = 16 pairs")
    right.set(xscale="log", yscale="log", xlabel="parameters", ylabel="cosine of es with the gradient")
    right.legend(fontsize=8)
    save(figure, reports / "ancestors_growth.png")
    body = [
        [row["parameters"], *(f"{1000 * row['seconds'][n]:.2g}" if n in row["seconds"] else "–" for n in names),
         f"{row['cosine']:.3f}"]
        for row in rows
    ]  # fmt: skip
    first, last = rows[0], rows[-1]
    return [
        "## Genetic search becomes intractable for large networks", "",
        'The claim: "For large networks, genetic-based meta-learning can become intractable due to the number of computations '
        'required". The test: the time of an update (milliseconds, one replica), and how well an update of es with 32 networks '
        "knows the direction of the gradient, for LSTMs of four sizes at their random start. cma is not timed at 6400 parameters, "
        "where finding its axes takes P³ operations.", "",
        *markdown_table(["parameters", *(f"{n} (ms)" for n in names), "cosine"], body), "",
        f"**From {first['parameters']} to {last['parameters']} parameters the cosine falls from {first['cosine']:.2f} to "
        f"{last['cosine']:.2f}: for the same direction evolution needs networks in proportion to the parameters, a gradient does "
        "not.**", "", "![Growth](ancestors_growth.png)",
    ]  # fmt: skip


def _evolution(found: dict[str, Any], reports: Path) -> list[str]:
    del reports
    body = []
    best = Found(**found["delta"])
    body.append(
        ["delta rule, best of 13 rates", "–", f"{best.fitness:.3f}", f"{best.held_out:.3f}", "1.00", formula(best.coefficients)]
    )
    counts = {}
    for name in ("evolution", "gradient"):
        many = sorted((Found(**one) for one in found[name]), key=lambda one: -one.fitness)
        counts[name] = f"{sum(one.is_delta for one in many)} of {len(many)}"
        body += [
            [name, f"{one.learnt:,}", f"{one.fitness:.3f}", f"{one.held_out:.3f}", f"{cosine(one.coefficients):.2f}",
             formula(one.coefficients)]
            for one in many
        ]  # fmt: skip
    return [
        "## A learning rule by evolution (Chalmers 1990), and by gradient descent", "",
        "A logistic neuron of five inputs learns 20 linearly separable tasks of 60 examples. How much a weight changes is a sum of "
        "ten terms. A genetic algorithm (40 genomes of 35 bits) evolves the coefficients; or gradient descent finds them through the "
        "network of constant weights. Fitness is 1 minus the mean absolute error over the last 20 examples, held-out that on 20 "
        "other tasks. *learnt* counts how often a task was learnt from the start, a gradient three times. A rule counts as the delta "
        "rule where its cosine with t x - y x is 0.95 or more. The rule is Chalmers's; tasks and operators are ours.", "",
        *markdown_table(["found by", "learnt", "fitness", "held-out", "cosine", "rule"], body), "",
        f"**The delta rule is found in {counts['evolution']} runs of evolution and {counts['gradient']} of gradient descent; "
        f"{found['seconds']['evolution']:.0f} s and {found['seconds']['gradient']:.0f} s.**",
    ]  # fmt: skip


SECTIONS: dict[str, Callable[[Any, Path], list[str]]] = {
    "equality": _equality, "multipliers": _multipliers, "learning": _learning, "searches": _searches, "growth": _growth,
    "evolution": _evolution,
}  # fmt: skip
