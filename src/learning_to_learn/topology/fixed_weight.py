"""A learner and its learning rule as a recurrent network whose weights never change (the paper's Figure 1).

    made = fixed_weight(learner(inputs=2), delta(0.5))      # a logistic neuron that learns by the delta rule
    outputs, _ = made.network.forward(made.parameters(), x)  # what the neuron would answer, while it learns

(Cotter & Conwell 1990; Younger, Conwell & Cotter 1999.) The ordinary learner predicts y[t] from x[t], is told the target, and
changes its weights: newW = f(x, y, δ, oldW). The network of constant weights hears (x[t], target[t-1]), as every network of
ours. Step by step of Figure 1:

- Each synapse is a *linear loop*, a linear neuron that hears itself with a weight of 1. It starts at 0; the learner's initial
  weight is a bias wherever the loop is heard.
- A *Π unit* stands in the synapse's place: it multiplies the loop's value and the synapse's input.
- The *rule* is more such units: each product in its formula is a Π unit, sums are their weights.

The timing that the paper leaves out: the target of cycle t is heard in cycle t+1. There the network must still know x[t] (a
delay line of two linear neurons for each input), its own answer (`feedback: true`), and, where a rule asks for them, the old
weights and the hidden neurons' answers (`feedback: last_layer`). All changes are made before the answer of cycle t+1 leaves the
network, since a cycle runs through all layers. In the first cycle, previous target and previous answer are both 0.5 and all
delays hold 0, so that an error-driven rule learns nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from learning_to_learn.errors import UserError
from learning_to_learn.lazy import torch
from learning_to_learn.topology.network import Network
from learning_to_learn.topology.signals import Graph, Loop, Signal, Wired

SLOPES: dict[str, Callable[[Signal], Signal]] = {"logistic": lambda y: y * (1.0 - y), "neuron": lambda y: 1.0 - y * y}
"""The derivative of a neuron, from its output."""
CHALMERS = ("w", "x", "y", "t", "wx", "wy", "wt", "xy", "xt", "yt")
"""The terms of Chalmers's rule: weight, input, output, target, and their products."""


def learner(inputs: int = 2, hidden: int = 0, unit: str = "logistic") -> Network:
    """Return a feedforward learner: one logistic neuron, or one hidden layer of neurons below it."""
    network = Network.of([{unit: hidden or inputs, "recurrent": False}], inputs=inputs)
    return network if hidden else Network((), network.output, inputs)


class Synapse:
    """A synapse as a rule sees it, in the cycle in which its change is due. A value costs units only where it is asked for."""

    def __init__(self, make: Mapping[str, Callable[[], Signal]]) -> None:
        self._make = make

    @cached_property
    def source(self) -> Signal:
        """x: what the synapse carried; 1 for a bias."""
        return self._make["source"]()

    @cached_property
    def output(self) -> Signal:
        """y: what the neuron answered."""
        return self._make["output"]()

    @cached_property
    def target(self) -> Signal:
        """t: what it should have answered. Of output neurons only."""
        if "target" not in self._make:
            raise UserError("this rule asks for a neuron's target, which hidden neurons have not: use rule=backprop")
        return self._make["target"]()

    @cached_property
    def delta(self) -> Signal:
        """δ: the neuron's error signal, -dE/dz of the squared error E = (t - y)^2 / 2, as backpropagation forms it."""
        return self._make["delta"]()

    @cached_property
    def weight(self) -> Signal:
        """w: the weight before the change."""
        return self._make["weight"]()


Rule = Callable[[Synapse], Signal]
"""How much a weight changes, from what its synapse knows."""


def delta(rate: float) -> Rule:
    """Return the (generalised) delta rule, Δw = rate δ x. On a network with hidden neurons this is online backpropagation
    (Rumelhart, Hinton & Williams 1986).
    """
    return lambda synapse: rate * (synapse.delta * synapse.source)


def widrow_hoff(rate: float) -> Rule:
    """Return the rule without the neuron's derivative, Δw = rate (t - y) x (Widrow & Hoff 1960): it descends the log loss."""
    return lambda synapse: rate * ((synapse.target - synapse.output) * synapse.source)


def chalmers(coefficients: Sequence[float]) -> Rule:
    """Return Chalmers's rule (1990): Δw is a weighted sum of w, x, y, t and their six products, in the order of `CHALMERS`."""

    def change(synapse: Synapse) -> Signal:
        w, x, y, t = synapse.weight, synapse.source, synapse.output, synapse.target
        terms = (w, x, y, t, w * x, w * y, w * t, x * y, x * t, y * t)
        return sum((c * term for c, term in zip(coefficients, terms, strict=True)), Signal(w.graph, {}))

    return change


RULES: dict[str, Callable[[float], Rule]] = {"delta": delta, "backprop": delta, "widrow_hoff": widrow_hoff}
"""The learning rules by their names in `arch.rule`; each is made with its rate."""


def check_rule(rule: str, hidden: int) -> None:
    """Raise UserError, one line, where a rule does not fit a learner."""
    if rule not in RULES:
        raise UserError(f"arch.rule={rule}: choose one of {', '.join(RULES)}")
    if hidden and rule != "backprop":
        raise UserError(f"arch.rule={rule} needs a target for every neuron: with arch.hidden={hidden} use arch.rule=backprop")


@dataclass(frozen=True)
class FixedWeight:
    """A network with the learner's rule in its weights."""

    wired: Wired

    @property
    def network(self) -> Network:
        return self.wired.network

    def parameters(self, initial: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weights [R, P] in float64, for learners that start with the weights `initial` [R, p]; None: with zeros."""
        if initial is None:
            return self.wired.template.unsqueeze(0).clone()
        return self.wired.template + initial.double() @ self.wired.slopes


def fixed_weight(
    network: Network, rule: Rule, *, product: Callable[[Graph, Signal, Signal], Signal] | None = None
) -> FixedWeight:
    """Return the recurrent network of constant weights that does what the learner does while it learns by the rule.

    `network` is feedforward, has at most one hidden layer, of `logistic` or `neuron` units, and hears the family's inputs; the
    recurrent network hears these and the previous target. Both begin with the same weights: `parameters(initial)` takes
    those of the learner, in its own layout. `product` makes a product of two signals, by default a Π unit; see multiplier.py
    for one of plain neurons. Raises UserError on another network.
    """
    _check(network)
    inputs = network.inputs
    labels = [*(f"x{i + 1}" for i in range(inputs)), "previous target"]
    graph = Graph(labels, initial=network.parameters, product=product)
    return FixedWeight(_Construction(graph, network, rule).wired())


def _check(network: Network) -> None:
    if len(network.layers) > 1:
        raise UserError(f"fixed_weight: {len(network.layers)} hidden layers; it knows how to wire none or one")
    for layer in network.layers:
        if layer.recurrent or any(block.unit.name not in SLOPES for block in layer.blocks):
            raise UserError(
                f"{network.describe()}: the learner must be feedforward (recurrent: false), of {' or '.join(SLOPES)}"
            )


class _Construction:
    def __init__(self, graph: Graph, network: Network, rule: Rule) -> None:
        self.graph, self.rule = graph, rule
        self.x = graph.inputs[:-1]
        self.t, self.y = graph.inputs[-1], graph.previous_output
        self.units = [block.unit.name for layer in network.layers for block in layer.blocks for _ in range(block.count)]
        width, hidden = len(self.x), len(self.units)
        self.fan_in = hidden or width
        self.hidden = [self._loops(f"w{j + 1},", range(j * (width + 1), (j + 1) * (width + 1))) for j in range(hidden)]
        first = hidden * (width + 1)
        self.top = self._loops("v" if hidden else "w", range(first, first + self.fan_in + 1))

    def _loops(self, name: str, places: range) -> list[Loop]:
        """The weights of a neuron, its bias last."""
        labels = [*(f"{name}{k}" for k in range(1, len(places))), f"{name} bias"]
        return [self.graph.loop(self.graph.initial(place), label) for place, label in zip(places, labels, strict=True)]

    def wired(self) -> Wired:
        graph, one = self.graph, Signal(self.graph, {}, 1.0)
        was = [graph.delay(x, f"x{i + 1}") for i, x in enumerate(self.x)]
        answers = [
            graph.unit(unit, _weighted(loops, self.x), label=f"h{j + 1}")
            for j, (unit, loops) in enumerate(zip(self.units, self.hidden, strict=True))
        ]
        # What the learner did in the cycle before, whose target is now known.
        sources = [h.before for h in answers] if answers else was
        slope = _Once(lambda: SLOPES["logistic"](self.y))
        blame = _Once(lambda: (self.t - self.y) * slope())
        self._learn(self.top, [*sources, one], {"output": lambda: self.y, "target": lambda: self.t, "delta": blame})
        for unit, answer, loops, above in zip(self.units, sources, self.hidden, self.top, strict=False):
            self._learn(loops, [*was, one], self._neuron(unit, answer, blame, above))
        return graph.wire(_weighted(self.top, answers or self.x))

    @staticmethod
    def _neuron(unit: str, answer: Signal, blame: _Once, above: Loop) -> dict[str, Callable[[], Signal]]:
        """A hidden neuron, whose δ is the output's times the old weight on the way there times its own derivative."""
        return {"output": lambda: answer, "delta": _Once(lambda: blame() * (above.before * SLOPES[unit](answer)))}

    def _learn(self, loops: Sequence[Loop], sources: Sequence[Signal], neuron: Mapping[str, Callable[[], Signal]]) -> None:
        """Let the synapses of a neuron change by the rule."""

        def synapse(loop: Loop, source: Signal) -> Synapse:
            return Synapse({**neuron, "source": lambda: source, "weight": lambda: loop.before})

        for loop, source in zip(loops, sources, strict=True):
            loop.add(self.rule(synapse(loop, source)))


class _Once:
    """A signal that is made when it is first asked for, and is the same whenever it is."""

    def __init__(self, make: Callable[[], Signal]) -> None:
        self._make = make
        self._made: Signal | None = None

    def __call__(self) -> Signal:
        if self._made is None:
            self._made = self._make()
        return self._made


def _weighted(loops: Sequence[Loop], sources: Sequence[Signal]) -> Signal:
    """A neuron's weighted sum: a Π unit for each synapse, and the bias."""
    products = [loop.signal * source for loop, source in zip(loops, sources, strict=False)]
    return sum(products, loops[-1].signal)
