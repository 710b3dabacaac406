"""Linear read-outs of states, fitted on one half of the sequences and measured on the other."""

import numpy as np

RIDGE = 1e-3
"""The penalty, as a part of the states' variance."""


def read_out(states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return predictions [N/2, K] of `wanted` [N, K] by a linear map of `states` [N, cells], fitted on the other half."""
    half = len(states) // 2
    centre, spread = states[:half].mean(0), states[:half].std(0) + 1e-9
    z = np.hstack([(states - centre) / spread, np.ones((len(states), 1))])
    penalty = RIDGE * half * np.eye(z.shape[1])
    penalty[-1, -1] = 0
    weights = np.linalg.solve(z[:half].T @ z[:half] + penalty, z[:half].T @ wanted[:half])
    return z[half:] @ weights


def explained(states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return R^2 of the read-out, [K], on rows that it was not fitted on."""
    truth = wanted[len(wanted) // 2 :]
    return 1 - ((read_out(states, wanted) - truth) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)
