"""Print what the layer options `norm` and `shift` add to the forward mode.

The layer above one with a norm hears J dh instead of dh, J being the derivatives of the normalised outputs by the outputs:

    J = (1 - [layer] 11'/H - n n'/H) scale      with n the normalised outputs of this cycle, and scale 1 / their size

J is symmetric. Going up, the sensitivities of a column go through it; coming down, what the network's output hears of the last
hidden layers does, once a cycle. Either way an element j of the result is (change[j] - mean - n[j] along) scale.
"""

from learning_to_learn.engine.fused.columns import Run
from learning_to_learn.engine.fused.kernel import KernelLayer
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.source import Source


def norm_places(part: KernelLayer, outputs: int, *, followed: bool) -> list[tuple[str, int, int]]:
    """Return the places that a layer needs in the workspace, as `Kernel.workspace` lists them.

    `followed` says that the network's output hears the layer.
    """
    i, each = part.index, part.layer.outputs * LANES
    if not part.layer.norm:
        return []
    places = [(f"normalised{i}", 0, each), (f"scale{i}", 0, LANES), (f"heard_changes{i}", 0, 2 * each)]
    return places + ([(f"output_derivatives{i}", 0, outputs * each)] if followed else [])


def keep_normalised(s: Source, part: KernelLayer, heard: str, below: str) -> None:
    """Print how a layer keeps n and scale. The layer above hears n at `heard`, plus what lies at `below` if it is residual."""
    i = part.index
    with s.block("if learn:"):
        s.add(f"store(memory, scale{i}, scale_)")
        with s.loop("i", part.layer.outputs):
            residual = f" - load(memory, {below})" if part.layer.residual else ""
            s.add(f"store(memory, normalised{i} + i * LANES, load(memory, {heard}){residual})")


def derivatives_through_norm(s: Source, part: KernelLayer, outputs: int) -> None:
    """Print how `output_derivatives` go through a layer's norm, to a place of its own."""
    i, count = part.index, part.layer.outputs
    with s.loop("k", outputs):
        change = f"load(memory, output_derivatives + (k * {count} + i) * LANES)"
        s.add(*_begin(part, "0"))
        with s.loop("i", count):
            s.add(f"change = {change}", f"said = {_said(part, 'i')}", *_gather(part, "0", "change"))
        s.add(*_end(part, "0"))
        with s.loop("i", count):
            result = f"({change}{_less_mean(part, '0')} - {_said(part, 'i')} * along0) * scale_"
            s.add(f"store(memory, output_derivatives{i} + (k * {count} + i) * LANES, {result})")


def change_heard(s: Source, part: KernelLayer, runs: list[Run]) -> Run:
    """Print what the layer above hears of the two columns at hand, which reach the outputs `runs` of a layer with a norm."""
    i, count = part.index, part.layer.outputs
    found = Run(0, "", count, memory=f"heard_changes{i}")
    s.add(*(line for c in "01" for line in _begin(part, c)))
    for run in runs:
        with s.loop("i", run.terms):
            s.add(f"said = {_said(part, run.index('i'))}")
            for c in (0, 1):
                s.add(f"change = {run.load(c, 'i')}", *_gather(part, str(c), "change"))
    s.add(*(line for c in "01" for line in _end(part, c)))
    # Outputs that a column does not reach change too, with the size and the mean.
    with s.loop("i", count):
        s.add(f"said = {_said(part, 'i')}")
        for c in (0, 1):
            change = f"negate(said * along{c}{' + mean' + str(c) if part.layer.norm == 'layer' else ''}) * scale_"
            s.add(f"store(memory, {found.place(c, 'i')}, {change})")
    for run in runs:
        with s.loop("i", run.terms):
            for c in (0, 1):
                target = found.place(c, run.index("i"))
                s.add(f"store(memory, {target}, fma(scale_, {run.load(c, 'i')}, load(memory, {target})))")
    return found


def pre_activations_of_delays(s: Source, part: KernelLayer, heard: list[Run]) -> None:
    """Print W dsource of a layer that `shift` has put below another: its unit i hears source i alone."""
    rows, far = "pre_activation_sensitivities", part.layer.rows * LANES
    with s.loop("i", 2 * part.layer.rows):
        s.add(f"store(memory, {rows} + i * LANES, 0.0)")
    for run in heard:
        with s.loop("i", run.terms):
            s.add(f"weight = splat(memory, weights{part.index} + {run.index('i')})")
            for c in (0, 1):
                row = f"{rows} + {c * far} + {run.index('i')} * LANES"
                s.add(f"store(memory, {row}, fma(weight, {run.load(c, 'i')}, load(memory, {row})))")


def _said(part: KernelLayer, index: str) -> str:
    """The normalised output of that index."""
    return f"load(memory, normalised{part.index} + {index} * LANES)"


def _begin(part: KernelLayer, c: str) -> list[str]:
    """Set to 0 what `_gather` sums: along n and, where it matters, over all outputs."""
    names = ["along", "mean"] if part.layer.norm == "layer" else ["along"]
    return [f"{name}{c} = fill(memory, 0.0)" for name in names]


def _gather(part: KernelLayer, c: str, change: str) -> list[str]:
    lines = [f"along{c} = fma(said, {change}, along{c})"]
    return [*lines, f"mean{c} = mean{c} + {change}"] if part.layer.norm == "layer" else lines


def _end(part: KernelLayer, c: str) -> list[str]:
    share = repr(1 / part.layer.outputs)
    lines = [f"scale_ = load(memory, scale{part.index})", f"along{c} = along{c} * {share}"]
    return [*lines, f"mean{c} = mean{c} * {share}"] if part.layer.norm == "layer" else lines


def _less_mean(part: KernelLayer, c: str) -> str:
    return f" - mean{c}" if part.layer.norm == "layer" else ""
