"""The plain sentences of a verdict say what its tables say."""

from types import SimpleNamespace

import pandas as pd

from learning_to_learn.verdicts.conclusions import conclusions


def cell(contender, problem, successes, score, seconds=1.0):
    return {
        "contender": contender, "problem": problem, "seeds": 16, "successes": successes, "success_rate": successes / 16,
        "score": score, "score_low": score - 0.01, "score_high": score + 0.01, "seconds": seconds, "redrawn_low": 0.2,
        "redrawn_high": 0.5,
    }  # fmt: skip


def said(cells, contrasts=(), own=()):
    return conclusions(SimpleNamespace(cells=pd.DataFrame(cells), contrasts=pd.DataFrame(list(contrasts))), own)


CELLS = [
    cell("lstm", "boolean", 16, 0.99, 3.0), cell("elman", "boolean", 3, 0.5), cell("gru", "boolean", 16, 0.98, 2.0),
    cell("lstm", "semilinear", 15, 0.95), cell("elman", "semilinear", 0, 0.3), cell("gru", "semilinear", 16, 0.96),
    cell("lstm", "switching_bernoulli", 16, 0.99), cell("gru", "switching_bernoulli", 0, 0.1),
]  # fmt: skip


def test_a_claim_of_the_paper_is_held_against_every_replica_on_every_family_of_the_paper():
    text = "\n".join(said(CELLS))
    assert "Of the paper's topologies (lstm, elman), each tuned with the same budget: it does not hold as it stands." in text
    assert "None succeeds with every fresh replica on all of boolean, semilinear; the most often lstm, 31/32." in text
    assert "Of the later cells gru succeeds with every fresh replica on all of boolean, semilinear." in text
    assert "On boolean: lstm 16/16 (score 0.990); elman 3/16 (score 0.500)." in text
    all_of_lstm = [{**one, "successes": 16} if one["contender"] == "lstm" else one for one in CELLS]
    assert "it holds. lstm succeeds with every fresh replica on all of boolean, semilinear." in "\n".join(said(all_of_lstm))
    all_of_both = [{**one, "successes": 16} for one in CELLS]
    assert "it does not hold. lstm, elman succeed with every fresh replica" in "\n".join(said(all_of_both))


def test_where_a_plain_network_succeeds_and_how_problems_differ():
    assert not any("were not fully successful" in one or "rank correlation" in one for one in said(CELLS))
    plain = [cell("elman", "switching_bernoulli", 12, 0.9)]
    assert "not fully successful in the paper, these mostly succeed on switching_bernoulli: elman 12/16." in "\n".join(
        said(CELLS + plain)
    )
    many = [cell(f"arch{i}", problem, 0, i / 10) for i in range(8) for problem in ("a", "b")]
    many += [cell(f"arch{i}", "c", 0, (7 - i) / 10) for i in range(8)]
    assert "says least of another at a and c: rank correlation -1.00." in "\n".join(said(many))


def test_the_fastest_of_those_that_always_succeed_and_what_is_told_apart():
    contrasts = [
        {"contender": "gru", "against": "lstm", "difference": 0.1, "p_holm": 0.01},
        {"contender": "elman", "against": "lstm", "difference": -0.4, "p_holm": 0.001},
        {"contender": "bptt", "against": "lstm", "difference": 0.3, "p_holm": 0.2},
    ]
    text = "\n".join(said(CELLS, contrasts))
    assert "boolean: the fastest to train of which every replica succeeds is gru, 2 s a replica." in text
    assert "1 of 3 contenders score significantly above lstm: gru by +0.100; 1 below it." in text
    assert "switching_bernoulli: 1 of 2 contenders mostly succeed: lstm" in text
    assert "by 0.30" in text


def test_without_a_family_of_the_paper_nothing_is_said_of_its_claim():
    assert not any("only fully successful" in one for one in said(CELLS[-2:]))


def test_where_a_cell_of_ones_own_stands():
    contrasts = [
        {"contender": "gru", "against": "lstm", "difference": -0.1, "p_holm": 0.01},
        {"contender": "elman", "against": "lstm", "difference": -0.4, "p_holm": 0.2},
    ]
    text = said(CELLS, contrasts, own=["gru"])
    assert text[:4] == [
        "gru on boolean: place 2 of 3, below lstm and above elman; 16/16 succeed, score 0.980 (0.970 – 0.990).",
        "gru on semilinear: place 1 of 3, above lstm; 16/16 succeed, score 0.960 (0.950 – 0.970).",
        "gru on switching_bernoulli: place 2 of 2, below lstm; 0/16 succeed, score 0.100 (0.090 – 0.110).",
        "gru against lstm over all problems: -0.100, told apart (p 0.01 after Holm's correction).",
    ]
    assert "not told apart (p 0.2 after" in said(CELLS, contrasts, own=["elman"])[2]
    assert said(CELLS, contrasts, own=["nobody"]) == said(CELLS, contrasts)
