"""The toy function against its equation, and the colours drawn for it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.toy import SELU_ALPHA, SELU_SCALE, sample_rgb, spectra, time_steps

colours = arrays(float, (3,), elements=st.floats(0, 1))


def scalar_spectrum(t: float, red: float, green: float, blue: float) -> float:
    """The equation of the paper, one number at a time, with no numpy."""
    x = t - 2 * (green - 0.5)
    if x > 0:
        bend = 1.0507009873554805 * x
    else:
        bend = 1.0507009873554805 * 1.6732632423543772 * (math.exp(x) - 1)
    step_down = 1 / (1 + math.exp(20 * (t - (blue - 0.5))))
    return math.tanh(20 * (t - 2 * (red - 0.5))) + bend + step_down


def test_time_steps():
    t = time_steps()
    assert t.shape == (25,)
    assert (t[0], t[12], t[-1]) == (-1, 0, 1)
    assert np.allclose(np.diff(t), 1 / 12)


def test_selu_constants_are_the_fixed_point():
    e, f = math.erfc(1 / math.sqrt(2)), math.erfc(math.sqrt(2))
    alpha = -math.sqrt(2 / math.pi) / (e * math.exp(0.5) - 1)
    root = (2 * f * math.e**2 + math.pi * e**2 * math.e
            - 2 * (2 + math.pi) * e * math.exp(0.5) + math.pi + 2)
    scale = (1 - e * math.exp(0.5)) * math.sqrt(2 * math.pi) / math.sqrt(root)
    assert SELU_ALPHA == pytest.approx(alpha, rel=1e-14)
    assert SELU_SCALE == pytest.approx(scale, rel=1e-14)


@given(colours)
def test_spectra_are_those_of_the_equation(rgb):
    expected = [scalar_spectrum(t, *rgb) for t in time_steps()]
    assert spectra(rgb) == pytest.approx(expected, abs=1e-13)


def test_no_overflow_far_from_the_interval():
    with np.errstate(over="raise", invalid="raise"):
        values = spectra((0.5, 0.5, 0.5), t=[-1e5, 1e5])
    assert values == pytest.approx([-SELU_SCALE * SELU_ALPHA, 1 + SELU_SCALE * 1e5])


@given(arrays(float, (2, 4, 3), elements=st.floats(0, 1)))
def test_leading_axes_and_bounds(rgb):
    given_rgb = rgb.copy()
    values = spectra(rgb)
    assert values.shape == (2, 4, 25) and np.array_equal(rgb, given_rgb)
    assert np.array_equal(values.reshape(-1, 25), spectra(rgb.reshape(-1, 3)))
    assert np.array_equal(values[1, 2], spectra(rgb[1, 2]))
    assert values.min() >= -1 - SELU_SCALE * SELU_ALPHA
    assert values.max() <= 2 + 2 * SELU_SCALE
    assert spectra(np.empty((0, 3))).shape == (0, 25)


@pytest.mark.parametrize("rgb, found", [
    (0.5, r"shape \(\)"), (np.zeros((3, 4)), r"shape \(3, 4\)"),
    ([0, 0, 1.01], "holds 1.01"), ([-0.1, 0, 0], "holds -0.1"),
    ([np.nan, 0, 0], "holds nan"), ([0, np.inf, 0], "holds inf"),
    (np.full((2, 2, 3), 255, "uint8"), "divide 8-bit colours by 255")])
def test_bad_rgb(rgb, found):
    with pytest.raises(ValueError, match=found):
        spectra(rgb)
    with pytest.raises(ValueError, match=r"t has shape \(1, 2\)"):
        spectra([0, 0, 0], t=[[0, 1]])


def test_sample_is_uniform_and_repeatable():
    rgb = sample_rgb(20_000, seed=3)
    assert rgb.shape == (20_000, 3)
    assert rgb.min() >= 0 and rgb.max() < 1
    assert np.array_equal(rgb, sample_rgb(20_000, seed=3))
    assert np.allclose(np.quantile(rgb, [0.1, 0.5, 0.9], axis=0).T,
                       [0.1, 0.5, 0.9], atol=0.02)
    assert np.abs(np.corrcoef(rgb.T) - np.eye(3)).max() < 0.03


def test_streams_and_seeds_are_independent():
    training = sample_rgb(10_000, seed=0)
    for other in (sample_rgb(10_000, 0, "gamut"), sample_rgb(10_000, 1)):
        assert not np.isin(other, training).any()
        assert np.abs(np.corrcoef(training.T, other.T)[:3, 3:]).max() < 0.05


@pytest.mark.parametrize("n, seed", [(0, 0), (3, -1)])
def test_bad_sample(n, seed):
    with pytest.raises(ValueError, match=f"n is {n} and seed is {seed}"):
        sample_rgb(n, seed)
