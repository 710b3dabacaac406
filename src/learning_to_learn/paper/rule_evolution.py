"""A learning rule found by evolution (Chalmers 1990), and the same rule found by gradient descent.

One logistic neuron learns linearly separable tasks. How much a weight changes is a sum of ten terms: the weight w, the input
x, the output y, the target t, and their six products. A genetic algorithm evolves the ten coefficients; or the neuron and its
rule are wired into a network of constant weights, which depend linearly on the coefficients, so that the error's gradient
reaches these.

After Chalmers are the rule and its 35 bits; the tasks, their length and the operators' rates are ours.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology.fixed_weight import CHALMERS, chalmers, fixed_weight, learner

INPUTS, CYCLES, TASKS = 5, 60, 20
JUDGED = 20
"""The last cycles, whose errors make the fitness."""
POPULATION, CROSSOVER, MUTATION = 40, 0.8, 0.01
SCALE_BITS, BITS = 5, 35
DELTA = np.array([{"xt": 1.0, "xy": -1.0}.get(term, 0.0) for term in CHALMERS]) / np.sqrt(2)
"""The direction of the rule of Widrow & Hoff, Δw = rate (t - y) x, which Chalmers calls the delta rule."""
LIKE_DELTA = 0.95
"""The cosine from which a rule counts as the delta rule."""


@dataclass(frozen=True)
class Tasks:
    """Linearly separable tasks: inputs [K, T, n] of zeros and ones, targets [K, T]."""

    x: np.ndarray
    t: np.ndarray

    @staticmethod
    def draw(seed: int, count: int = TASKS) -> "Tasks":
        random = np.random.default_rng(seed)
        x = random.integers(0, 2, (count, CYCLES, INPUTS)).astype(float)
        weights = random.normal(size=(count, 1, INPUTS))
        threshold = weights.sum(-1) / 2 + random.normal(size=(count, 1)) / 4
        return Tasks(x, ((x * weights).sum(-1) > threshold).astype(float))


@dataclass(frozen=True)
class Found:
    """What one run of a search has found."""

    coefficients: list[float]
    fitness: float
    """On the tasks it was found on: 1 - the mean absolute error of the last cycles."""
    held_out: float
    """The same on tasks that the search did not see."""
    learnt: int
    """How often a task was learnt from the start until then."""

    @property
    def is_delta(self) -> bool:
        return cosine(self.coefficients) >= LIKE_DELTA


def cosine(coefficients: Sequence[float]) -> float:
    """Return how near a rule is to the delta rule: 1 is the delta rule at some rate."""
    c = np.asarray(coefficients)
    return float(c @ DELTA / max(np.linalg.norm(c), 1e-12))


def answers(coefficients: np.ndarray, tasks: Tasks) -> np.ndarray:
    """Return what neurons with rules [N, 10] answer on the tasks while they learn them, [N, K, T].

    As in the network of constant weights, the first change is made with the answer and target 0.5 and no input but the bias.
    """
    rules, (count, length, _) = len(coefficients), tasks.x.shape
    source = np.concatenate([tasks.x, np.ones((count, length, 1))], -1)
    c = np.moveaxis(coefficients, 1, 0)[..., None, None]
    w = np.zeros((rules, count, INPUTS + 1))
    y, t = np.full((rules, count, 1), 0.5), np.full((1, count, 1), 0.5)
    x = np.zeros((1, count, INPUTS + 1))
    x[..., -1] = 1.0
    found = np.empty((rules, count, length))
    with np.errstate(over="ignore", invalid="ignore"):
        for cycle in range(length):
            change = c[0] * w + c[1] * x + c[2] * y + c[3] * t + w * (c[4] * x + c[5] * y + c[6] * t)
            w = np.clip(w + change + x * (c[7] * y + c[8] * t) + c[9] * y * t, -1e9, 1e9)
            x, t = source[None, :, cycle], tasks.t[None, :, cycle, None]
            y = 1 / (1 + np.exp(-np.clip((w * x).sum(-1, keepdims=True), -500, 500)))
            found[..., cycle] = y[..., 0]
    return found


def fitness(coefficients: np.ndarray, tasks: Tasks) -> np.ndarray:
    """Return 1 - the mean absolute error of the last cycles, of rules [N, 10]."""
    error = np.abs(answers(coefficients, tasks)[..., -JUDGED:] - tasks.t[:, -JUDGED:]).mean((1, 2))
    return 1 - np.nan_to_num(error, nan=1.0)


def decode(genomes: np.ndarray) -> np.ndarray:
    """Return the coefficients [N, 10] of genomes [N, 35]: a scale of sign and power of two, and ten of 0, ±1, ±2, ±4."""
    sign = 1 - 2 * genomes[:, :1].astype(float)
    exponent = (genomes[:, 1:SCALE_BITS] * [8, 4, 2, 1]).sum(1, keepdims=True)
    scale = sign * np.where(exponent == 0, 0.0, 2.0 ** (exponent - 9.0))
    genes = genomes[:, SCALE_BITS:].reshape(len(genomes), len(CHALMERS), 3)
    sizes = np.array([0.0, 1.0, 2.0, 4.0])[genes[..., 1] * 2 + genes[..., 2]]
    return scale * (1 - 2 * genes[..., 0]) * sizes


def evolve(seed: int, generations: int) -> Found:
    """Return the fittest rule of a genetic algorithm: selection by fitness, two-point crossover, mutation, an elite of one."""
    random, tasks = np.random.default_rng(seed), Tasks.draw(0)
    genomes = random.integers(0, 2, (POPULATION, BITS))
    for generation in range(generations + 1):
        fit = fitness(decode(genomes), tasks)
        best = int(fit.argmax())
        if generation == generations:
            break
        chance = (fit - fit.min() + 1e-9) ** 2
        parents = genomes[random.choice(POPULATION, (POPULATION, 2), p=chance / chance.sum())]
        cuts = np.sort(random.integers(0, BITS + 1, (POPULATION, 2)), 1)
        places = np.arange(BITS)
        swapped = (places >= cuts[:, :1]) & (places < cuts[:, 1:]) & (random.random((POPULATION, 1)) < CROSSOVER)
        children = np.where(swapped, parents[:, 1], parents[:, 0])
        children ^= random.random(children.shape) < MUTATION
        children[0] = genomes[best]
        genomes = children
    rule = decode(genomes[best : best + 1])
    return Found(rule[0].tolist(), float(fit[best]), _held_out(rule), (generations + 1) * POPULATION * TASKS)


def descend(runs: int, steps: int, *, rate: float = 0.03) -> list[Found]:
    """Return the rules that gradient descent finds from random coefficients: Adam on the mean squared error of all cycles.

    A step counts as three times learning a task: forward, and backward, which takes about twice as long.
    """
    tasks, network = Tasks.draw(0), learner(INPUTS)

    def template(coefficients: Sequence[float]) -> torch.Tensor:
        return fixed_weight(network, chalmers(coefficients)).wired.template

    zero = template([0.0] * len(CHALMERS))
    slopes = torch.stack([template(row) for row in np.eye(len(CHALMERS)).tolist()]) - zero
    made = fixed_weight(network, chalmers([0.0] * len(CHALMERS)))
    engine = make_engine("auto", made.network, make_gradient("bptt"), dtype=torch.float64)
    target = torch.from_numpy(tasks.t).expand(runs, -1, -1).contiguous()
    previous = torch.cat([torch.full_like(target[..., :1], 0.5), target[..., :-1]], -1)
    x = torch.cat([torch.from_numpy(tasks.x).expand(runs, -1, -1, -1), previous.unsqueeze(-1)], -1).contiguous()
    coefficients = torch.from_numpy(np.random.default_rng(1).normal(size=(runs, len(CHALMERS))) / 10)
    optimizer = torch.optim.Adam([coefficients], lr=rate, betas=(0.9, 0.99))
    for _ in range(steps):
        found = engine.segment(zero + coefficients @ slopes, x, target.unsqueeze(-1)).gradient @ slopes.T
        found = found.nan_to_num(0.0, 0.0, 0.0)
        coefficients.grad = found / found.norm(dim=1, keepdim=True).clamp(min=0.1)
        optimizer.step()
    rules = coefficients.numpy()
    fit, held_out = fitness(rules, tasks), [_held_out(rule[None]) for rule in rules]
    return [Found(c.tolist(), float(f), h, 3 * steps * TASKS) for c, f, h in zip(rules, fit, held_out, strict=True)]


def best_delta() -> Found:
    """Return the delta rule at the best of some rates, a power of two."""
    rules = np.array([2.0**k * np.sqrt(2) * DELTA for k in range(-6, 7)])
    fit = fitness(rules, Tasks.draw(0))
    best = int(fit.argmax())
    return Found(rules[best].tolist(), float(fit[best]), _held_out(rules[best : best + 1]), len(rules) * TASKS)


def _held_out(rule: np.ndarray) -> float:
    return float(fitness(rule, Tasks.draw(1))[0])


def formula(coefficients: Sequence[float], least: float = 0.05) -> str:
    """Return the rule as a formula, largest terms first, such as `Δw = 2 xt - 2 xy`, without terms below a twentieth of it."""
    largest = max(map(abs, coefficients), default=0.0)
    terms = sorted(zip(map(abs, coefficients), coefficients, CHALMERS, strict=True), reverse=True)
    kept = [(size, value, name) for size, value, name in terms if size and size >= least * largest]
    text = " ".join(f"{'-' if value < 0 else '+'} {size:.2g} {name}" for size, value, name in kept)
    return f"Δw = {text.removeprefix('+ ')}" if kept else "Δw = 0"


def to_json(found: Found) -> dict[str, object]:
    return asdict(found)
