"""With weights that are set by hand, a DeltaNet is the least-mean-squares rule and a mesa layer is ridge regression."""

import pytest
import torch

from examples import in_context_by_hand as study


@pytest.mark.parametrize("unit", study.UNITS)
@pytest.mark.parametrize("inputs", [1, 3])
def test_the_network_is_the_algorithm(unit, inputs):
    x, y, seen = study.sequences(torch.Generator().manual_seed(1), 1, 5, 20, inputs)
    found, _ = study.network(unit, inputs).forward(study.by_hand(unit, inputs), seen)
    expected = study.ALGORITHMS[unit](x, y)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert (found - y).square().mean() < 0.8 * y.square().mean()
