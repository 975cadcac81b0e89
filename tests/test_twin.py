"""The simulated twin: its truth, its mechanisms and its likeness to the measured scan."""

import h5py
import numpy as np
import pytest

from helpers.loops import loop_features
from helpers.twin.domains import MECHANISMS, draw_truth
from helpers.twin.measurement import PIEZORESPONSE_NOISE, RESONANCE_NOISE_kHz, simulate
from helpers.twin.switching import noise_free


@pytest.fixture(scope="module")
def twin():
    return simulate(seed=0)


def pure(mechanism: str) -> dict[str, np.ndarray]:
    """The truth of a small scan in which one mechanism switches every pixel."""
    truth = draw_truth(seed=1, shape=(12, 12))
    return truth | {name: np.full((12, 12), float(name == mechanism)) for name in MECHANISMS}


def second_difference_noise(channel: np.ndarray) -> float:
    """Robust standard deviation of white noise on smooth loops, blind to bridged points."""
    bend = np.abs(np.diff(channel, 2, axis=-1))
    return np.median(bend[bend > 1e-6 * channel.std()]) / 0.6745 / np.sqrt(6)


def pca_mse(piezoresponse: np.ndarray, resonance_kHz: np.ndarray, ranks: list[int]) -> np.ndarray:
    """MSE (each channel in its own standard deviations) of the best linear model of each rank."""
    z = [(x - x.mean()) / x.std() for x in (piezoresponse, resonance_kHz)]
    z = np.concatenate(z, axis=-1).reshape(-1, 2 * piezoresponse.shape[-1])
    power = np.linalg.svd(z - z.mean(0), compute_uv=False) ** 2
    return np.array([power[n:].sum() for n in ranks]) / z.size


def test_a_seed_is_a_scan_whose_fractions_share_every_pixel(twin):
    assert twin.piezoresponse.shape == twin.resonance_kHz.shape == (60, 60, 96)
    assert np.isfinite(twin.piezoresponse).all() and np.isfinite(twin.resonance_kHz).all()
    assert twin.voltage_V[[0, 24, 48, 72]].tolist() == [16, 0, -16, 0]
    assert np.allclose(np.abs(np.diff(twin.voltage_V)), 2 / 3)
    assert all(values.shape == (60, 60) for values in twin.truth.values())
    fractions = np.stack([twin.truth[name] for name in MECHANISMS])
    assert fractions.min() >= -1e-12
    assert np.allclose(fractions.sum(axis=0), 1)
    # Each mechanism somewhere dominates what a pixel does.
    assert (fractions.max(axis=(1, 2)) > 0.4).all()
    again, other = simulate(seed=0), simulate(seed=1)
    assert np.array_equal(twin.piezoresponse, again.piezoresponse)
    assert np.array_equal(twin.resonance_kHz, again.resonance_kHz)
    assert all(np.array_equal(twin.truth[name], again.truth[name]) for name in twin.truth)
    assert np.abs(np.corrcoef(twin.truth["c"].ravel(), other.truth["c"].ravel())[0, 1]) < 0.6


def test_smaller_scans_show_the_same_film_and_one_of_a_line_is_refused():
    small = simulate(seed=0, shape=(16, 20))
    assert small.piezoresponse.shape == (16, 20, 96)
    assert 0.4 < small.truth["c"].mean() < 0.8
    with pytest.raises(ValueError, match="2 or more"):
        simulate(shape=(1, 60))


def test_bands_run_diagonally(twin):
    opening = twin.piezoresponse[..., 24] - twin.piezoresponse[..., 72]
    rows, columns = np.indices(opening.shape)
    spread = {}
    for angle in range(0, 180, 5):
        across = columns * np.cos(np.radians(angle)) + rows * np.sin(np.radians(angle))
        bins = np.floor(across - across.min()).astype(int).ravel()
        counts = np.bincount(bins)
        means = np.bincount(bins, opening.ravel()) / np.maximum(counts, 1)
        spread[angle] = (counts * (means - opening.mean()) ** 2).sum()
    assert max(spread, key=spread.get) in (25, 30, 35)


def test_coercive_voltages_survive_the_noise(twin):
    square = twin.truth["c"] > 0.9
    found = loop_features(twin.piezoresponse[square][..., None], twin.voltage_V)
    coercive_V = (found["coercive_positive_V"] - found["coercive_negative_V"]) / 2
    assert np.abs(np.median(coercive_V - twin.truth["coercive_V"][square])) < 0.3


def test_a_loops_are_suppressed_and_tilted_and_c_loops_close():
    square, tilted = (noise_free(pure(name))[0] for name in ("c", "a"))
    opening = [(loops[..., 24] - loops[..., 72]).mean() for loops in (square, tilted)]
    assert opening[1] < 0.7 * opening[0]
    steepness = [np.abs(np.diff(loops, axis=-1)).max(-1).mean() for loops in (square, tilted)]
    assert steepness[1] / opening[1] < 0.8 * steepness[0] / opening[0]
    assert np.abs(square[..., 0] - square[..., -1]).max() < 0.1e-4


def test_noise_is_as_stated_and_four_points_a_loop_are_bridged(twin):
    assert second_difference_noise(twin.piezoresponse) == pytest.approx(PIEZORESPONSE_NOISE, rel=0.15)
    # A pixel of strong response, away from switching, where the stated noise holds.
    strong = np.abs(twin.piezoresponse[..., 0:20]).mean(-1) > 0.9e-4
    noise_kHz = second_difference_noise(twin.resonance_kHz[strong][:, 0:20])
    assert noise_kHz == pytest.approx(RESONANCE_NOISE_kHz, rel=0.25)
    bend = np.abs(np.diff(twin.piezoresponse, 2, axis=-1))
    straight = (bend < 1e-9 * twin.piezoresponse.std()).sum(axis=-1)
    assert straight.mean() == pytest.approx(4, abs=0.1)


def test_loops_are_not_a_linear_mixture(twin):
    mse = pca_mse(twin.piezoresponse, twin.resonance_kHz, [3, 5, 8])
    assert (mse > [0.008, 0.004, 0.0025]).all()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.all)])
def test_twin_is_like_the_measured_scan(measured, seed):
    with h5py.File(measured) as file:
        names = ("piezoresponse", "resonance", "voltage")
        piezoresponse, resonance_kHz, voltage_V = (file[name][:] for name in names)
    # The file keeps the resonance in the order of acquisition, which starts at 0 V rising.
    resonance_kHz = np.roll(resonance_kHz, -24, axis=-1)
    twin = simulate(seed=seed)
    assert np.allclose(twin.voltage_V, voltage_V)
    for mine, theirs in ((twin.piezoresponse, piezoresponse), (twin.resonance_kHz, resonance_kHz)):
        assert mine.std() == pytest.approx(theirs.std(), rel=0.25)
        assert mine.mean() == pytest.approx(theirs.mean(), abs=0.2 * theirs.std())
        noise = second_difference_noise(theirs)
        assert second_difference_noise(mine) == pytest.approx(noise, rel=0.25)
        mean_loops = mine.mean((0, 1)), theirs.mean((0, 1))
        assert np.corrcoef(*mean_loops)[0, 1] > 0.85
    ranks = [1, 3, 5, 8, 16]
    ratio = pca_mse(twin.piezoresponse, twin.resonance_kHz, ranks)
    ratio /= pca_mse(piezoresponse, resonance_kHz, ranks)
    assert ((ratio > 0.5) & (ratio < 2)).all(), ratio
