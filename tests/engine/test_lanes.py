import numpy as np
import pytest
from numba import njit

from learning_to_learn.engine.fused import lanes


@njit
def apply_tanh(x, out):
    for i in range(0, x.size, lanes.LANES):
        lanes.store(out, i, lanes.tanh(lanes.load(x, i)))


@njit
def apply_sigmoid(x, out):
    for i in range(0, x.size, lanes.LANES):
        lanes.store(out, i, lanes.sigmoid(lanes.load(x, i)))


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float32, 4e-7), (np.float64, 1e-15)])
def test_tanh_and_sigmoid_are_as_accurate_as_stated(dtype, accuracy):
    x = np.concatenate([np.linspace(-12, 12, 65536), np.linspace(-1e-3, 1e-3, 4096)]).astype(dtype)
    out = np.empty_like(x)
    apply_tanh(x, out)
    assert np.abs(out - np.tanh(x.astype(np.float64))).max() < accuracy
    apply_sigmoid(x, out)
    assert np.abs(out - 1 / (1 + np.exp(-x.astype(np.float64)))).max() < accuracy / 2 + 1e-16


def test_tanh_of_nan_and_infinity():
    x = np.zeros(16, np.float32)
    x[:3] = np.nan, np.inf, -np.inf
    out = np.empty_like(x)
    apply_tanh(x, out)
    assert np.isnan(out[0])
    np.testing.assert_allclose(out[1:3], [1, -1], atol=1e-6)
