"""Modules of torch's signature as networks: against the modules themselves, run by hand in float64, and their autograd."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.utils import vector_to_parameters

from learning_to_learn import plugins
from learning_to_learn.config import load, to_yaml
from learning_to_learn.config_check import check, make_network
from learning_to_learn.engine import make_engine
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.jobs.job import run_job
from learning_to_learn.jobs.measuring import measure
from learning_to_learn.modules.transformer import CausalTransformer
from learning_to_learn.results.probe import probe
from learning_to_learn.runs.run_folder import Status
from learning_to_learn.runs.trained import load_run
from learning_to_learn.topology.module import module_network
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job

BATCH, CYCLES, REPLICAS = 4, 5, 2


class Summing(torch.nn.Module):
    """A cell with its output apart from its states, which are nested, and one number of which is not trained."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(hidden_size, input_size))
        self.scale = torch.nn.Parameter(torch.rand(1), requires_grad=False)
        self.register_buffer("kept", torch.tensor(0.5))

    def forward(self, x, states=None):
        if states is None:
            states = (x.new_zeros(len(x)), {"h": x.new_zeros(len(x), len(self.weight))})
        h = self.kept * states[1]["h"] + self.scale * torch.tanh(x @ self.weight.T)
        return h + states[0][:, None], (states[0] + x[:, 0], {"h": h})


def by_hand(module, x):
    """The outputs [B, T, H] of a module or cell of torch."""
    if isinstance(module, torch.nn.RNNCellBase):
        state, outputs = None, []
        for t in range(x.shape[1]):
            state = module(x[:, t], state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs, 1)
    if isinstance(module, Summing):
        state, outputs = None, []
        for t in range(x.shape[1]):
            h, state = module(x[:, t], state)
            outputs.append(h)
        return torch.stack(outputs, 1)
    outputs = module(x if getattr(module, "batch_first", False) else x.transpose(0, 1))[0]
    return outputs if getattr(module, "batch_first", False) else outputs.transpose(0, 1)


CASES = [
    (torch.nn.RNN, {}), (torch.nn.GRU, {"batch_first": True}), (torch.nn.LSTM, {"num_layers": 2}),
    (torch.nn.GRUCell, {}), (torch.nn.RNNCell, {}), (torch.nn.LSTMCell, {}), (Summing, {}), (CausalTransformer, {}),
]  # fmt: skip


def case(cls, options):
    net = module_network(cls.__name__, cls, 4, options, None)
    parameters = net.initial_parameters(list(range(REPLICAS)), 0.5).double()
    x, y = (torch.rand(REPLICAS, BATCH, CYCLES, n, dtype=torch.float64) for n in (3, 1))
    return net, parameters, x, y


@pytest.mark.parametrize(("cls", "options"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_a_module_computes_what_it_computes_alone(cls, options):
    net, parameters, x, target = case(cls, options)
    segment = make_engine("auto", net, make_gradient("bptt")).segment(parameters, x, target)
    for r in range(REPLICAS):
        module = cls(3, 4, **options).double().eval()
        size = sum(p.numel() for p in module.parameters())
        vector_to_parameters(parameters[r, :size], module.parameters())
        weight, bias = parameters[r, size:-1].clone().requires_grad_(), parameters[r, -1:].clone().requires_grad_()
        y = torch.sigmoid(by_hand(module, x[r]) @ weight + bias).unsqueeze(-1)
        torch.testing.assert_close(segment.outputs[r], y.detach(), rtol=0, atol=1e-12)
        leaves = [p for p in module.parameters() if p.requires_grad] + [weight, bias]
        found = torch.autograd.grad((y - target[r]).square().mean(), leaves)
        learns = [i for i in range(net.parameters) if i not in net.fixed]
        torch.testing.assert_close(segment.gradient[r, learns], torch.cat([g.flatten() for g in found]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cls", "options"), CASES[:-1], ids=lambda value: getattr(value, "__name__", None))
def test_a_sequence_may_be_cut_anywhere(cls, options):
    net, parameters, x, _ = case(cls, options)
    whole, last = net.forward(parameters, x)
    first, state = net.forward(parameters, x[:, :, :2])
    second, end = net.forward(parameters, x[:, :, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], 2), whole)
    torch.testing.assert_close(end, last)
    assert last.shape == (REPLICAS, BATCH, net.state_size)


def test_what_does_not_learn_stays():
    net, *_ = case(Summing, {})
    assert net.fixed == [12]
    assert net.state_size == 1 + 4


def test_a_transformer_hears_the_past_only():
    net, parameters, x, _ = case(CausalTransformer, {"num_heads": 2})
    later = x.clone()
    later[:, :, 3:] += 1
    before, after = (net.forward(parameters, one)[0] for one in (x, later))
    torch.testing.assert_close(after[:, :, :3], before[:, :, :3])
    assert (after[:, :, 3:] != before[:, :, 3:]).all()
    assert net.state_size == 0


def test_a_replica_begins_by_its_seed_alone():
    net, *_ = case(torch.nn.GRU, {})
    both = net.initial_parameters([3, 4], 0.5)
    torch.testing.assert_close(both[1:], net.initial_parameters([4], 0.5))
    assert (both[0] != both[1]).all()


def test_multiplications_are_those_of_the_matrices_and_the_gates():
    """Of a GRU: three matrices each from below and from itself, and r * n, (1 - z) * n, z * h."""
    net, *_ = case(torch.nn.GRU, {})
    assert net.multiplications(5) in range(3 * 4 * (3 + 4) + 4, 3 * 4 * (3 + 4) + 4 * 4 + 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arch.module=torch.nn.Linear"], "arch.module=torch.nn.Linear has another signature than torch's recurrent layers"),
        (["arch.module=torch.nn.Nothing"], "arch.module=torch.nn.Nothing cannot be imported"),
        (["arch.module=no_such_library.Cell"], "arch.module=no_such_library.Cell cannot be imported"),
        (["arch.module=GRU"], "arch.module=GRU: name a class with its module"),
        (["arch.module=os.getcwd"], "arch.module=os.getcwd is no class"),
        (["arch.module=collections.Counter"], "arch.module=collections.Counter is no torch.nn.Module"),
        (["arch.gradient=rtrl"], "arch.gradient=rtrl: torch.nn.GRU is trained by bptt only"),
        (["engine=fused"], "engine=fused: torch.nn.GRU runs on the reference engine only"),
        (["family.feedback=error"], "family.feedback=error: torch.nn.GRU cannot hear"),
        (["arch.layers=[{neuron: 3}]"], "arch.layers: torch.nn.GRU has no units of ours"),
        (["arch.bias={input_gate: 1}"], "arch.bias: torch.nn.GRU has no units of ours"),
        (["arch.hidden_size=0"], "arch.hidden_size=0: it must be at least 1"),
        (["arch.options={depth: 3}"], "arch.module=torch.nn.GRU: GRU(3, 9, depth=3) fails"),
        (["arch.options=3"], "arch.options=3: give what torch.nn.GRU is made with"),
        (["arch.parameters=3"], "arch.parameters=3: no network of this shape has about as many parameters"),
    ],
)
def test_a_bad_module_is_one_line(words, message):
    with pytest.raises(UserError) as error:
        check(job("arch=module", *words))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", [["arch.window=2"], ["arch.update_every=2"], ["family.carry_state=true"]])
def test_a_sequence_of_a_transformer_cannot_be_cut(words):
    with pytest.raises(UserError, match="keeps no state of a fixed size"):
        check(job("arch=transformer", *words))


def test_a_class_is_named_by_the_user_not_by_a_folder(tmp_path, monkeypatch):
    """The class of a folder is not imported, unless its module is named as a plugin."""
    (tmp_path / "their_cells.py").write_text("import torch\n\n\nclass Cell(torch.nn.GRUCell):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "NAMED", set())
    monkeypatch.setattr(plugins, "LOADED", {})
    config = job("arch=module")
    config = dataclasses.replace(config, arch=dataclasses.replace(config.arch, module="their_cells.Cell"))
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    with pytest.raises(
        UserError, match=r"this run needs arch\.module=their_cells\.Cell: name it again as plugins=\[their_cells"
    ):
        load(tmp_path / "config.yaml")
    plugins.load(["their_cells.py"])
    assert make_network(load(tmp_path / "config.yaml")).state_size == 9


def test_a_class_that_is_typed_is_named(monkeypatch):
    monkeypatch.setattr(plugins, "NAMED", set())
    check(job("arch=module", "arch.module=torch.nn.modules.rnn.LSTM"))
    with pytest.raises(UserError, match="cannot be imported"):
        check(job("arch=module", "arch.module=no_library.Cell"))
    assert "no_library.Cell" in plugins.NAMED


def test_a_module_is_trained_measured_probed_and_resumed(tmp_path):
    """Two epochs and then two more give what four give."""
    config = job("arch=module", "arch.hidden_size=3", "trainer.epochs=4", "family.sequence_length=4", "trainer.sequences=10")
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert run_job(config, whole, console=False).status is Status.FINISHED
    from learning_to_learn.runs.checkpoint import restore, resume_checkpoint, save_checkpoint

    halves.mkdir()
    first, second = MetaLearner(config), MetaLearner(config)
    data = MetaData(config)
    for epoch in range(2):
        first.train_epoch(data.epoch(epoch))
    save_checkpoint(halves, first)
    restore(second, resume_checkpoint(halves, config))
    for epoch in range(2, 4):
        second.train_epoch(data.epoch(epoch))
    learner = load_run(whole)
    torch.testing.assert_close(second.weights, learner.weights)
    assert np.isfinite(measure(whole, {"sequence_length": "6"})[1].result["mse_median"])
    assert probe(learner, tmp_path / "probe")["cells"] == 3


CANNOT = {"IntersectionRNN": "requires input_size == hidden_size"}
"""Those of torchrecurrent that do not train as they stand, as docs/modules.md says."""


@pytest.mark.slow
def test_the_layers_of_torchrecurrent_train():
    peers = pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")
    trained, at_once = [], []
    for name in sorted(name for name in peers.__all__ if not name.endswith("Cell")):
        words = (f"arch.module=torchrecurrent.{name}", "arch.hidden_size=4", "family.sequence_length=5", "trainer.batch=20")
        config = job("arch=module", *words, "trainer.sequences=20", "trainer.epochs=8", "optimizer.lr=0.01")
        if name in CANNOT:
            with pytest.raises(UserError, match=CANNOT[name]):
                check(config)
            continue
        learner, batch = MetaLearner(config), MetaData(config).epoch(0)
        losses = []
        for _ in range(8):
            learner.train_epoch(batch)
            losses.append(learner.train_mse)
        assert (losses[-1] < losses[0]).all(), name
        trained.append(name)
        at_once += [name] if learner.network.signature.at_once else []
    assert len(trained) >= 30
    assert len(at_once) >= 30
