"""Tiny families of other shapes through everything that a job does: no input and a class, two linear outputs with noise."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from learning_to_learn import api, compose
from learning_to_learn.commands import evaluate
from learning_to_learn.config import fingerprint
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError
from learning_to_learn.families import AtTest, Family, FamilyConfig
from learning_to_learn.families.boolean import Boolean
from learning_to_learn.families.estimation import estimate
from learning_to_learn.families.family import normal
from learning_to_learn.losses import loss_of
from learning_to_learn.randomness import Stream
from learning_to_learn.ranges import number
from learning_to_learn.results.sweep_report import summary_table
from learning_to_learn.results.table import find_jobs, tabulate
from learning_to_learn.training.baselines import bayes_of_a_finite_prior
from learning_to_learn.training.evaluation import evaluate as evaluation_of
from learning_to_learn.training.excess import measure_outputs
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData, held_out

LENGTH = 12


def register_families():
    """Three families, which are gone after the test."""

    @dataclass
    class DieConfig(FamilyConfig):
        name: str = "die"
        sequence_length: int = LENGTH

    class Die(Family):
        """One of three faces is twice as likely as each of the others; which one, the throws say."""

        config = DieConfig
        input_size, output_size, output, loss = 0, 3, "softmax", "log"
        dimensions, noise_uniforms = 1, 1

        def mappings(self, u):
            return (1 + torch.nn.functional.one_hot((3 * u[..., 0]).long(), 3).to(u)) / 4

        def evaluate(self, mapping, x):
            return mapping.unsqueeze(-2).expand(*x.shape[:-1], 3)

        def targets(self, mapping, x, u):
            p = self.evaluate(mapping, x)
            return torch.nn.functional.one_hot((u >= p.cumsum(-1)[..., :2]).sum(-1), 3).to(u)

        def bayes(self, mapping, x, y):
            before = y.cumsum(1) - y
            weights = 2.0**before / (2.0**before).sum(-1, keepdim=True)
            return (1 + weights) / 4

    @dataclass
    class PlanesAtTest(AtTest):
        noise: float | None = number(None, least=0, below=1)
        """The noise of the test data."""

    @dataclass
    class PlanesConfig(FamilyConfig):
        name: str = "planes"
        sequence_length: int = LENGTH
        noise: float = number(0.2, least=0)
        """The standard deviation of the noise."""
        test: PlanesAtTest = field(default_factory=PlanesAtTest)

    class Planes(Family):
        """y = w x with w in {-1, 1} for each of two outputs, x in [-1, 1), and noise."""

        config = PlanesConfig
        input_size, output_size, output = 1, 2, "linear"
        dimensions, noise_uniforms = 2, 2
        parameter_names = ("w1", "w2")

        def __init__(self, noise=0.2):
            self.noise = noise

        @classmethod
        def from_config(cls, config, *, test=False):
            return cls(config.noise)

        @property
        def floor_key(self):
            return f"planes{self.noise}"

        def mappings(self, u):
            return torch.where(u < 0.5, -1.0, 1.0).to(u)

        def evaluate(self, mapping, x):
            return mapping.unsqueeze(-2) * x

        def targets(self, mapping, x, u):
            return self.evaluate(mapping, x) + self.noise * normal(u)

        def bayes(self, mapping, x, y):
            evidence = x * y / self.noise**2
            return torch.tanh(evidence.cumsum(1) - evidence) * x

    return Die(), Planes()


def small(family, *more):
    return compose(
        f"family={family}", "arch=bptt", "arch.layers=[{forget_cell: 2, neuron: 2}]", "trainer=quick", "replicas=2",
        "engine=reference", "trainer.epochs=2", "trainer.evaluate_every=1", "trainer.sequences=4", "trainer.batch=2",
        "evaluation.mappings=12", "logger.mode=disabled", *more,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _ours():
    from learning_to_learn.config import register

    register_families()
    register()


@pytest.mark.parametrize(("family", "d", "m"), [("die", 0, 3), ("planes", 1, 2)])
def test_a_job_of_another_shape_from_training_to_probe(family, d, m, capsys):
    run = api.train(small(family, "family.training_mappings=5"), "run")
    assert run.learner.network.inputs == d + m
    data = held_out(run.config, Stream.TEST)
    outputs = run.predict(data.x[0].numpy(), data.targets[0].numpy())
    assert outputs.shape == (2, 12, LENGTH, m)
    np.testing.assert_array_equal(outputs, run.learner.outputs(data).numpy())
    assert run.states(data.x[0].numpy(), data.targets[0].numpy()).shape == (2, 12, LENGTH, 2)
    if family == "die":
        np.testing.assert_allclose(outputs.sum(-1), 1, atol=1e-6)
    floor = run.learner.test_floor
    result = json.loads((run.folder / "result.json").read_text())
    assert floor.limit < floor.floor < floor.no_learning
    assert result["floor_of_training_mappings"] < result["mse_on_training_mappings"]
    assert result["distance_to_memorizing"] > 0
    assert "distance to memorizing" in "".join(summary_table(tabulate(find_jobs(run.folder)), {}))
    assert result["excess_median"] > 0
    assert result["steps_to_learn"] is None  # of one noisy sequence nobody can tell
    assert (run.folder / "figures/curve.png").stat().st_size > 5000
    assert evaluate._main([f"run={run.folder}", "lengths=6,12"]) == 0
    assert "lengths" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"family=boolean needs a network of 3 inputs and 1 [a-z]+ output; the run in run has"):
        evaluate._main([f"run={run.folder}", "family=boolean"])


def test_runs_and_families_make_a_matrix(capsys):
    for family in ("boolean", "planes"):
        api.train(small(family, "family.sequence_length=12"), f"runs/{family}")
    assert evaluate._main(["run=runs", "families=boolean,semilinear,planes"]) == 0
    said = capsys.readouterr().out
    rows = (api.Path("runs/evaluations/families/families.csv")).read_text().splitlines()
    assert len(rows) == 1 + 2 * 3
    assert "–" in said  # boolean's network cannot be shown planes
    assert [row.split(",")[1] for row in rows if row.split(",")[2]] == ["test_family", "boolean", "semilinear", "planes"]


def test_the_test_data_are_those_of_family_test():
    config = small("planes", "family.test.noise=0.5", "family.test.length=20")
    one, other = held_out(config, Stream.VALIDATION), held_out(config, Stream.TEST)
    assert (one.targets.shape[2], other.targets.shape[2]) == (LENGTH, 20)
    family = config.family.make(test=True)
    rest = other.targets - family.evaluate(other.mappings, other.x)
    assert rest.std().item() == pytest.approx(0.5, rel=0.1)
    assert family.floor(20).limit == pytest.approx(0.25, rel=0.1)
    assert fingerprint(config) != fingerprint(small("planes"))
    found = evaluation_of(MetaLearner(config))
    assert found.curves.shape == (2, 20)
    assert found.result["sequence_length"] == 20


def test_the_stacked_encoding_shows_a_pair_together():
    for more in ((), ("family.carry_state=true",)):
        config = small("planes", "family.encoding=stacked", *more)
        now, before = MetaData(config).epoch(1), MetaData(config).epoch(0)
        assert now.inputs.shape[-1] == 1 + 1 + 2
        torch.testing.assert_close(now.inputs[:, :, 1:, 1:2], now.x[:, :, :-1])
        torch.testing.assert_close(now.inputs[:, :, 1:, 2:], now.targets[:, :, :-1])
        if more:
            torch.testing.assert_close(now.inputs[:, 2:, 0, 1:2], now.x[:, :2, -1])
            torch.testing.assert_close(now.inputs[:, :2, 0, 2:], before.targets[:, -2:, -1])
        else:
            assert (now.inputs[:, :, 0, 1:] == 0).all()
    assert MetaLearner(config).network.inputs == 4


def test_an_estimated_floor_is_that_of_the_closed_form():
    """Boolean with its squared loss, whose floor is known; and with noise the limit is the noise."""
    family = Boolean()
    found, exact = estimate(family, 8, 2000), family.losses(8)
    for value, error, known in zip(found.values, found.errors, exact.values, strict=True):
        assert abs(value - known) <= 4 * error + 1e-12
    assert abs(found.floor().floor - exact.floor().floor) < 4 * found.floor().floor_error
    assert found.no_learning == pytest.approx(0.25)
    assert found.limit == 0


def test_the_log_loss_of_booleans_starts_at_one_bit():
    config = small("boolean", "family.loss=log", "family.sequence_length=12")
    family = config.family.make()
    assert family.losses(12).values[0] == pytest.approx(np.log(2))
    assert MetaLearner(config).network.loss == "log"
    assert fingerprint(config) != fingerprint(small("boolean", "family.sequence_length=12"))


def test_the_excess_of_classes_is_the_divergence_from_the_bayes_predictor():
    die, _ = register_families()
    config = small("die", "evaluation.mappings=300")
    data = held_out(config, Stream.TEST, dtype=torch.float64)
    best = die.bayes(data.mappings[0], data.x[0], data.targets[0])[None]
    flat = torch.full_like(best, 1 / 3)
    found = measure_outputs(die, torch.cat([flat, best]), data.targets, best, LENGTH, 0.1)
    kl = (best * (best / flat).log()).sum(-1).mean(-1)
    np.testing.assert_allclose(found.excess[0], kl[0].numpy(), atol=1e-9)
    np.testing.assert_allclose(found.excess[1], 0, atol=1e-9)
    np.testing.assert_allclose(found.curves[0], np.log(3), atol=1e-9)


def test_a_finite_prior_of_all_mappings_is_the_bayes_predictor():
    """Of classes by their likelihood, of noisy outputs by the noise."""
    all_mappings = ([[2, 1, 1], [1, 2, 1], [1, 1, 2]], [[1, 1], [1, -1], [-1, 1], [-1, -1]])
    for family, mappings in zip(register_families(), all_mappings, strict=True):
        every = torch.tensor(mappings, dtype=torch.float64) / (4 if family.name == "die" else 1)
        data = held_out(small(family.name), Stream.TEST, dtype=torch.float64)
        x, y = data.x[0], data.targets[0]
        found = bayes_of_a_finite_prior(family, every, x.numpy(), y.numpy())
        np.testing.assert_allclose(found, family.bayes(data.mappings[0], x, y).numpy(), atol=1e-9)
        assert loss_of(torch.from_numpy(found), y, family.output, family.loss).shape == y.shape[:2]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            ("boolean", "family.output=softmax"),
            "family.output=softmax with family.loss=squared does not go with boolean: choose one",
        ),
        (("planes", "family.loss=log"), "family.output=linear with family.loss=log does not go with planes"),
        (("boolean", "family.loss=absolute"), "absolute"),
        (("planes", "family.training_mappings=0"), "family.training_mappings=0: it must be at least 1"),
        (("planes", "family.test.noise=2"), "family.test.noise=2.0: it must be below 1"),
        (("planes", "family.test.length=0"), "family.test.length=0: it must be at least 1"),
        (("planes", "family.test.switch_rate=0.1"), "switch_rate"),
        (("boolean", "family.test.noise=0.1"), "unknown key family.test.noise: choose one of length, functions"),
    ],
)
def test_what_does_not_go_together_is_one_line(given, says):
    with pytest.raises(UserError) as error:
        check(small(*given))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_jobs_that_are_trained_together_have_their_own_training_mappings():
    one, other = (small("planes", "family.training_mappings=2", f"seed={seed}") for seed in (0, 7))
    together = MetaData(one, other).epoch(0)
    for config, replicas in ((one, slice(0, 2)), (other, slice(2, 4))):
        torch.testing.assert_close(together.targets[replicas], MetaData(config).epoch(0).targets, rtol=0, atol=0)
