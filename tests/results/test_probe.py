import numpy as np
import pytest

from learning_to_learn import figures
from learning_to_learn.errors import UserError
from learning_to_learn.results import probe as probing
from learning_to_learn.results.probe import accuracy, explained, information, probe, table_accuracy, trajectory
from learning_to_learn.training.learner import MetaLearner
from tests.helpers import job


def test_a_linear_code_is_read_off_exactly_and_noise_not_at_all():
    random = np.random.default_rng(0)
    wanted = random.normal(size=(2000, 3))
    states = wanted @ random.normal(size=(3, 8)) + 2
    np.testing.assert_allclose(explained(states, wanted), 1, atol=0.01)
    assert np.abs(explained(random.normal(size=(2000, 8)), wanted)).max() < 0.05


def test_classes_are_told_apart_where_they_can_be():
    random = np.random.default_rng(0)
    classes = random.integers(0, 16, 2000)
    bits = (classes[:, None] >> np.arange(4)) & 1
    one_hot = np.eye(16)[classes] + 0.01 * random.normal(size=(2000, 16))
    assert accuracy(one_hot, classes) == 1
    assert accuracy(random.normal(size=(2000, 4)), classes) < 0.2
    assert explained(bits + 0.01 * random.normal(size=(2000, 4)), bits).min() > 0.99


def test_four_cells_that_hold_the_outputs_tell_the_table_and_noise_a_sixteenth_of_them():
    random = np.random.default_rng(1)
    tables = random.integers(0, 2, (2000, 4)).astype(float)
    assert table_accuracy(2 * tables - 1 + 0.01 * random.normal(size=tables.shape), tables) == 1
    assert table_accuracy(random.normal(size=(2000, 6)), tables) == pytest.approx(1 / 16, abs=0.03)


def test_information_in_bits():
    classes = np.tile(np.arange(16), 100)
    assert information(classes >= 8, classes) == pytest.approx(1)
    assert information(classes == 0, classes) == pytest.approx(1 / 16 * 4 + 15 / 16 * np.log2(16 / 15))
    assert information(np.tile([True, False], 800), np.repeat(np.arange(2), 800)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("family", ["boolean", "semilinear", "quadratic"])
def test_a_network_is_probed(tmp_path, family):
    learner = MetaLearner(job("arch=lstm", f"family={family}", "evaluation.mappings=64"))
    found = probe(learner, tmp_path)
    assert found["cells"] == 6
    assert found["sequences"] >= 16_000
    assert {p.name for p in tmp_path.iterdir()} >= {"probe.json", "readout.png"}


@pytest.mark.parametrize("family", ["boolean", "quadratic"])
def test_shuffled_mappings_stand_beside_every_figure_and_are_not_told(tmp_path, family, monkeypatch):
    drawn = []

    def seen(figure):
        def draw(*values, **named):
            drawn.append(str((values, named)))
            return figure(*values, **named)

        return draw

    for figure in (figures.lines_figure, figures.map_figure):
        monkeypatch.setattr(probing, figure.__name__, seen(figure))
    found = probe(MetaLearner(job("arch=lstm", f"family={family}", "evaluation.mappings=64")), tmp_path)
    assert len(drawn) == (2 if family == "boolean" else 1)
    assert all("shuffled" in one for one in drawn)
    if family == "boolean":
        assert found["accuracy_shuffled"] == pytest.approx(1 / 16, abs=0.02)
        assert found["bits_of_all_signs_shuffled"] < 0.06  # (16 - 1)(64 - 1) / (2 N ln 2) of pure bias is 0.04
        assert max(found["bits_of_each_cell_shuffled"]) < 0.01
    else:
        assert all(abs(r2) < 0.01 for r2 in found["r2_at_the_end_shuffled"].values())


def test_what_is_below_zero_is_in_the_picture():
    axes = figures.lines_figure({"a": np.array([0.2, -0.7, 0.1])}, ylabel="R²", title="").axes[0]
    assert axes.get_ylim()[0] < -0.7


def test_the_trajectory_ends_where_the_engine_ends():
    learner = MetaLearner(job("arch=lstm"))
    seen = trajectory(learner, 16)
    from learning_to_learn.randomness import Stream
    from learning_to_learn.training.sequences import held_out

    data = held_out(learner.config, Stream.TEST)
    one = learner.weights[seen.replica : seen.replica + 1].detach()
    _, state = learner.engine.outputs(one, data.inputs)
    np.testing.assert_allclose(learner.network.split_state(state)[1][0][0].numpy(), seen.states[:, -1], atol=1e-5)


def test_a_network_without_cells_is_refused(tmp_path):
    with pytest.raises(UserError, match="no cells"):
        probe(MetaLearner(job("arch=elman")), tmp_path)
