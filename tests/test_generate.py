import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.generate import generate_sweeps, sweep_channel


def brute_force(embeddings, channel, points, neighbours):
    """The definition, one value at a time."""
    column = embeddings[:, channel]
    values = np.linspace(column.min(), column.max(), points)
    latents = []
    for value in values:
        nearest = np.argsort(np.abs(column - value), kind="stable")[:neighbours]
        mean = embeddings[nearest].mean(axis=0)
        mean[channel] = value
        latents.append(mean)
    return values, np.array(latents)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), pixels=st.integers(1, 300), neighbours=st.integers(1, 100))
def test_sweep_equals_its_definition(seed, pixels, neighbours):
    embeddings = np.random.default_rng(seed).normal(size=(pixels, 3))
    values, latents = sweep_channel(embeddings, 1, points=17, neighbours=neighbours)
    expected_values, expected = brute_force(embeddings, 1, 17, min(neighbours, pixels))
    np.testing.assert_allclose(values, expected_values)
    np.testing.assert_allclose(latents, expected, atol=1e-9)


def test_swept_channel_takes_the_values_and_the_others_follow_the_data():
    ramp = np.linspace(-1, 1, 1000)
    embeddings = np.stack([ramp, 3 * ramp], axis=1)
    values, latents = sweep_channel(embeddings, 0, points=200, neighbours=100)
    np.testing.assert_array_equal(latents[:, 0], values)
    inside = np.abs(values) < 0.85
    np.testing.assert_allclose(latents[inside, 1], 3 * values[inside], atol=0.02)


def test_generated_spectra_keep_the_order_of_channels():
    embeddings = np.random.default_rng(0).normal(size=(50, 2))
    values, spectra = generate_sweeps(embeddings, [1, 0], lambda z: z[:, None, :], points=5)
    assert spectra.shape == (2, 5, 1, 2)
    np.testing.assert_array_equal(spectra[0, :, 0, 1], values[0])
    np.testing.assert_array_equal(spectra[1, :, 0, 0], values[1])


def test_a_constant_channel_gives_constant_values():
    values, latents = sweep_channel(np.ones((5, 1)), 0, points=3)
    assert values == pytest.approx(1) and latents == pytest.approx(1)
