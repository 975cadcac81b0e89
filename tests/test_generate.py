import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.generate import NEIGHBOURS, generate_sweeps, nearest_spectra, sweep_channel


def by_sorting(embeddings, channel, points, neighbours):
    """The definition in another way: a window of the sorted channel, as wide as ties make it."""
    ranked = embeddings[np.argsort(embeddings[:, channel])]
    along = ranked[:, channel]
    values, latents = np.linspace(along[0], along[-1], points), []
    for value in values:
        reach = min(max(value - along[i], along[i + neighbours - 1] - value)
                    for i in range(len(along) - neighbours + 1))
        window = (along >= value - reach - 1e-12) & (along <= value + reach + 1e-12)
        latents.append(ranked[window].mean(axis=0))
        latents[-1][channel] = value
    return values, np.array(latents)


@given(seed=st.integers(0, 10_000), pixels=st.integers(1, 300), sparsity=st.sampled_from([0.0, 0.5, 1.5]))
def test_sweep_equals_its_definition(seed, pixels, sparsity):
    embeddings = np.random.default_rng(seed).normal(size=(pixels, 3))
    embeddings = np.sign(embeddings) * np.maximum(np.abs(embeddings) - sparsity, 0)  # lasso codes: many are 0
    # 18 values, none half-way between two pixels, where rounding would choose.
    values, latents = sweep_channel(embeddings, 1, points=18)
    expected_values, expected = by_sorting(embeddings, 1, 18, min(NEIGHBOURS, pixels))
    np.testing.assert_allclose(values, expected_values)
    np.testing.assert_allclose(latents, expected, atol=1e-9)


def test_pixels_whose_code_is_zero_count_alike_and_measured_spectra_are_those_of_the_nearest():
    code = np.concatenate([np.zeros(900), np.linspace(-1, 1, 101)])
    others = np.concatenate([np.full(450, 5.0), np.full(450, -5.0), np.zeros(101)])  # rows of a scan, from the top
    values, latents = sweep_channel(np.stack([code, others], axis=1), 0, points=3)
    assert values[1] == pytest.approx(0) and latents[1, 1] == pytest.approx(0)
    channel = np.append(np.arange(300.0), np.nan)
    spectra = np.nan_to_num(channel)[:, None] * np.ones(4)
    found = nearest_spectra(channel[None], np.array([[150.0, 0.0]]), spectra)
    np.testing.assert_allclose(found, [[[150.0] * 4, [(NEIGHBOURS - 1) / 2] * 4]])


def test_generated_spectra_keep_the_order_of_channels_and_a_constant_one_gives_constant_values():
    embeddings = np.random.default_rng(0).normal(size=(50, 2))
    values, spectra = generate_sweeps(embeddings, [1, 0], lambda z: z[:, None, :], points=5)
    assert spectra.shape == (2, 5, 1, 2)
    np.testing.assert_array_equal(spectra[0, :, 0, 1], values[0])
    np.testing.assert_array_equal(spectra[1, :, 0, 0], values[1])
    values, latents = sweep_channel(np.ones((5, 1)), 0, points=3)
    assert values == pytest.approx(1) and latents == pytest.approx(1)
