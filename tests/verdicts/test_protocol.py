"""What a verdict compares and draws, what it costs, and what of it is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from learning_to_learn.commands import verdict as command
from learning_to_learn.composing import options
from learning_to_learn.config_check import make_network
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.rates import Rates
from learning_to_learn.topology import Network
from learning_to_learn.verdicts.cells import make_cells, packs_of, try_out, with_values
from learning_to_learn.verdicts.cost import choose_plan, correction_of, learn_correction, told
from learning_to_learn.verdicts.protocol import Draw, Plan, load_protocol, protocols, seconds_of, with_words
from tests.helpers import job

TINY = ["arch=lstm,elman", "family=boolean", "settings=3", "replicas=2", "fresh=4"]


def tiny(*words):
    return with_words(load_protocol(), [*TINY, *words])


@pytest.mark.parametrize("name", sorted(protocols()))
def test_every_protocol_says_what_it_asks_and_its_cells_are_sound(name):
    protocol = load_protocol(name)
    assert "?" in protocol.question
    assert set(protocol.axes["arch"]) <= set(options("arch"))
    first = {key: (values if key == "arch.gradient" else values[:2]) for key, values in protocol.axes.items()}
    cells = make_cells(replace(protocol, axes=first | {"family": protocol.axes["family"][:1]}), protocol.plans[0])
    assert all(0 < one.config.trainer.epochs == protocol.plans[0].epochs for one in cells)
    seconds = [(plan.settings * plan.replicas + plan.fresh) * plan.epochs for plan in protocol.plans]
    assert seconds == sorted(seconds)


def test_every_contender_has_the_same_settings_but_for_its_gates():
    lstm, elman = (cell.tuning() for cell in make_cells(tiny(), Plan(3, 2, 4, 10)))
    for one, other in zip(lstm, elman, strict=True):
        assert {key: value for key, value in one.values.items() if key != "arch.bias"} == other.values
        assert set(one.values["arch.bias"]) == {"input_gate"}
        assert -3 <= one.values["arch.bias"]["input_gate"] <= 1  # memory cells have -1 by themselves


def test_more_settings_keep_the_first_ones():
    few, many = (make_cells(tiny(), Plan(count, 2, 4, 10))[0].tuning() for count in (3, 9))
    assert [one.fingerprint for one in few] == [one.fingerprint for one in many[:3]]
    assert len({one.fingerprint for one in many}) == 9


def test_settings_are_drawn_from_what_the_file_says():
    protocol = load_protocol()
    drawn = [protocol.setting(number, {}) for number in range(200)]
    low, high = protocol.draw["optimizer.lr"].values
    logs = np.log([one["optimizer.lr"] for one in drawn])
    assert stats.kstest(logs, stats.uniform(np.log(low), np.log(high / low)).cdf).pvalue > 0.01
    assert {one["trainer.batch"] for one in drawn} == set(protocol.draw["trainer.batch"].values)
    assert abs(np.corrcoef(logs, np.log([one["optimizer.clip"] for one in drawn]))[0, 1]) < 0.2


def test_gates_are_those_that_units_start_with_a_bias_and_those_that_are_named():
    protocol = load_protocol()
    found = {name: protocol.gates(Network.of([{name: 1}])) for name in ("memory_cell", "forget_cell", "gru", "neuron", "slstm")}
    assert found["memory_cell"] == {"input_gate": -1.0}
    assert found["forget_cell"] == {"input_gate": -1.0, "forget_gate": 2.0}
    assert found["gru"] == {"update": 0.0}
    assert found["neuron"] == {}


def test_tuning_and_fresh_jobs_share_no_seed_and_no_test_data():
    for cell in make_cells(tiny(), Plan(3, 2, 16, 10)):
        fresh = cell.fresh(1).config
        for one in cell.tuning():
            assert one.config.seed >= 1000 > fresh.seed + fresh.replicas
            assert one.config.evaluation.seed != fresh.evaluation.seed
        assert (fresh.optimizer.lr, fresh.replicas) == (cell.tuning()[1].config.optimizer.lr, 16)


def test_jobs_of_one_batch_are_trained_together():
    (cell, _) = make_cells(tiny(), Plan(12, 2, 4, 10))
    packs = packs_of(cell.tuning())
    assert sorted(pack[0].config.trainer.batch for pack in packs) == [5, 10]
    assert all(len({one.config.trainer.batch for one in pack}) == 1 for pack in packs)


def test_each_is_tested_against_the_one_that_differs_in_that_alone():
    protocol = with_words(load_protocol(), ["arch=lstm,gru", "arch.gradient=bptt,truncated"])
    assert [contender.label for contender in protocol.contenders] == [
        "lstm gradient=bptt", "lstm gradient=truncated", "gru gradient=bptt", "gru gradient=truncated",
    ]  # fmt: skip
    partners = [partner and partner.label for partner in map(protocol.partner, protocol.contenders)]
    assert partners == [None, None, "lstm gradient=bptt", "lstm gradient=truncated"]
    other = with_words(protocol, [], {"arch.gradient": "bptt"})
    partners = [partner and partner.label for partner in map(other.partner, other.contenders)]
    assert partners == [None, "lstm gradient=bptt", None, "gru gradient=bptt"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["optimizer.lr=0.1"], "the verdict tunes optimizer.lr, log-uniform in"),
        (["settings=0"], "at least 1"),
        (["settings=x"], "give a whole number"),
        (["fresh=2000"], "tuning seeds begin at 1000 or later, above all fresh ones"),
        (["arch=foo"], "unknown arch 'foo'"),
        (["budget=3"], "budget=3: give a time such as 3h"),
        (["against.seed=1"], "unknown axis in against 'seed': choose one of arch, family, size"),
        (["nonsense"], "unknown verdict 'nonsense': choose one of"),
        (["verdict", "paper"], "one verdict at a time"),
        (["report=x"], "ends in .md"),
        (["check"], "which one?"),
        (["check", "nothing.md"], "record.json is missing or damaged"),
        (["check", "nothing.md", "seed=x"], "give a whole number"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_leaves_nothing(words, says, tmp_path):
    with pytest.raises(UserError) as error:
        command._main([*words, "--dry-run"] if words[0] != "check" else words)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "how", [{"log": [0, 1]}, {"uniform": [1, 0]}, {"choice": []}, {"loguniform": [1, 2]}, {"log": [1, 2], "x": 1}]
)
def test_a_range_that_is_none_is_refused(how):
    from learning_to_learn.verdicts.protocol import _draw

    with pytest.raises(UserError):
        _draw("optimizer.lr", how)


def test_the_ends_of_a_range_are_its_ends():
    draw = Draw("log", (0.01, 1.0))
    assert (draw.at(0.0), draw.at(0.5), draw.at(1 - 1e-12)) == (0.01, 0.1, 1.0)
    assert [Draw("choice", (5, 10)).at(u) for u in (0.0, 0.49, 0.5, 0.99)] == [5, 5, 10, 10]


def test_a_budget_takes_the_largest_plan_that_fits():
    plans = tuple(Plan(count, 2, 4, 100) for count in (2, 4, 8))
    protocol = replace(tiny(), plans=plans)
    rates = lambda: Rates(1e-3, 1e-9)  # noqa: E731

    def chosen(budget, kept=lambda cells: {}):
        return choose_plan(protocol, budget, kept, 1.0, rates)

    costs = [seconds for _, seconds in chosen(1e9).tried]
    assert costs == sorted(costs)
    assert [chosen(cost + 0.01).plan for cost in costs] == list(plans)
    assert chosen(None).plan == plans[-1]
    small = chosen(costs[0] / 2)
    assert not small.fits
    assert "even the smallest plan takes longer" in told(small, 1.0)[-1]
    assert "the next plan, 8 settings" in told(chosen(costs[1] + 0.01), costs[1] + 0.01)[-1]
    everything = {cell.name: frozenset(j.fingerprint for j in [*cell.tuning(), cell.fresh(0)]) for cell in chosen(None).cells}
    assert chosen(None, lambda cells: everything).total == 0


def test_an_estimate_learns_from_what_cells_took(tmp_path):
    assert correction_of(tmp_path) == 1.0
    for _ in range(5):
        learn_correction(tmp_path, 10.0, 25.0)
    assert correction_of(tmp_path) == pytest.approx(2.5)


def test_times():
    assert [seconds_of(text) for text in ("90s", "20min", "1.5h", "1d")] == [90, 1200, 5400, 86400]


def test_a_cell_is_another_one_where_anything_but_the_tuned_keys_differs():
    one, other = (make_cells(tiny(*words), Plan(3, 2, 4, 10))[0] for words in ([], ["family.sequence_length=12"]))
    assert one.text != other.text
    assert one.text == make_cells(tiny(), Plan(5, 1, 9, 10))[0].text
    assert one.text != make_cells(tiny(), Plan(3, 2, 4, 20))[0].text


def test_the_helpers_network_is_the_configurations():
    config = job("arch=lstm")
    assert make_network(config).parameters == 397


def test_a_default_that_is_changed_leaves_the_results_of_a_cell_what_they_are():
    config = job("replicas=1")
    changed = with_values(config, {"optimizer.lr": 0.3, "optimizer.clip": 5.0, "trainer.batch": 20, "arch.init_scale": 0.01})
    assert try_out(config, {"seed": 3}) == try_out(changed, {"seed": 3}) != try_out(config, {"seed": 4})
