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


@njit
def apply_exp(x, out):
    for i in range(0, x.size, lanes.LANES):
        lanes.store(out, i, lanes.quick_exp(lanes.load(x, i)))


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float32, 3e-7), (np.float64, 1e-15)])
def test_exp_is_as_accurate_as_stated(dtype, accuracy):
    x = np.concatenate([np.linspace(-86.9, 87.9, 65536), np.linspace(-1, 1, 65536)]).astype(dtype)
    out = np.empty_like(x)
    apply_exp(x, out)
    assert np.abs(out / np.exp(x.astype(np.float64)) - 1).max() < accuracy


def test_exp_of_what_has_no_power():
    x = np.zeros(16, np.float32)
    x[:6] = np.nan, np.inf, -np.inf, 1e30, -1e30, 0
    out = np.empty_like(x)
    apply_exp(x, out)
    np.testing.assert_array_equal(out[:6], np.array([np.nan, np.inf, 0, np.inf, 0, 1], np.float32))


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
