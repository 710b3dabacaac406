"""The report of section 2, from numbers that are made up: its answers are those of the numbers."""

from learning_to_learn.paper.ancestors import SECTIONS, write
from learning_to_learn.paper.rule_evolution import CHALMERS, DELTA

ROW = {"score_median": 0.7, "mse_median": 0.01, "successes": 1, "replicas": 2, "parameters": 328}
HEBB = [1.0 if term == "xt" else 0.0 for term in CHALMERS]
FOUND = {
    "equality": [
        {"hidden": 0, "learner": 3, "layers": 5, "units": 27, "parameters": 328,
         "errors": {"reference, float64": 1e-15, "fused, float64": 2e-15, "fused, float32": 3e-7}},
    ],
    "multipliers": [
        {"neurons": n, "parameters": 100 * n, "error": 0.1 / n, "outputs": 0.2 / n, "last": 0.05 / n} for n in (4, 8)
    ],
    "learning": {
        "boolean": {
            "rate": 3.0, "neuron": {"score": 0.7, "mse": 0.0103},
            "rows": dict.fromkeys(("constructed", "constructed, trained", "random start, trained", "lstm"), ROW),
        }
    },
    "searches": {
        name: {"score": score, "epochs": 9, "seconds": 2.0, "passes": [1.0, 2.0], "time": [1.0, 2.0], "scores": [0.1, score]}
        for name, score in {"truncated": 0.5, "bptt": 0.6, "rtrl": 0.4, "es": 0.2, "cma": 0.3}.items()
    },
    "growth": [
        {"parameters": p, "seconds": {"bptt": p / 1e6, "es": p / 1e5}, "cosine": 4 / p**0.5} for p in (100, 6400)
    ],
    "evolution": {
        "delta": {"coefficients": DELTA.tolist(), "fitness": 0.9, "held_out": 0.9, "learnt": 260},
        "evolution": [{"coefficients": HEBB, "fitness": 0.6, "held_out": 0.6, "learnt": 10}],
        "gradient": [{"coefficients": DELTA.tolist(), "fitness": 0.9, "held_out": 0.88, "learnt": 20}],
        "seconds": {"evolution": 1.0, "gradient": 1.0},
    },
    "seconds": {"equality": 60.0},
}  # fmt: skip


def test_the_report_says_what_the_numbers_say(tmp_path):
    write(FOUND, tmp_path, quick=False)
    text = (tmp_path / "ancestors.md").read_text(encoding="utf-8")
    assert text.count("\n## ") == len(SECTIONS)
    assert "**Yes: in float64 they are the same but for rounding (2e-15).**" in text
    assert "The constructed network and the ordinary neuron differ by 3e-04 in MSE." in text
    assert "**The best gradient (bptt) reaches 0.600, the best evolution (cma) 0.300.**" in text
    assert "found in 0 of 1 runs of evolution and 1 of 1 of gradient descent" in text
    assert "| gradient | 20 | 0.900 | 0.880 | 1.00 | Δw = 0.71 xt - 0.71 xy |" in text
    assert (tmp_path / "ancestors.html").exists()
    for name in ("neuron", "hidden", "multipliers", "searches", "growth"):
        assert (tmp_path / f"ancestors_{name}.png").stat().st_size > 1000


def test_what_is_not_computed_yet_is_left_out(tmp_path):
    write({"growth": FOUND["growth"]}, tmp_path, quick=True)
    text = (tmp_path / "ancestors.md").read_text(encoding="utf-8")
    assert text.count("\n## ") == 1
    assert "QUICK" in text
