"""A seam that is put into loops and found, effects of channels that are known, and hardening of noise."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.figures.physics import figure_effects
from helpers.loops import loop_features
from helpers.physics import HARDENING, channel_effects, harden_under_both, narrow_loops, share_along
from helpers.scans.drive import seam, seam_drift, shared_interpolations
from helpers.scans.reading import load_scan
from helpers.scans.scan import simulated_scan

SCAN = simulated_scan(seed=3, shape=(14, 14))
DRIFT_KHZ = SCAN.truth["drift_kHz"].reshape(-1, 1)


def drifted(last, drift_kHz):
    """The twin's loops, its drift replaced by that of a cycle measured from the step after `last` on."""
    x = SCAN.spectra.copy()
    x[..., 1] += ramp(last) * drift_kHz - ramp(71) * DRIFT_KHZ
    return x


def ramp(last):
    return np.roll(np.arange(96) / 96 - 0.5, last + 1)


STILL = drifted(71, 0)
FEATURES = loop_features(STILL, SCAN.voltage_V)


def test_loops_without_a_seam_have_none():
    assert seam(STILL[..., 1]) is None and seam(STILL[..., 0]) is None
    assert not seam_drift(STILL).any()


def test_the_twin_s_own_seam_is_found():
    at, jump = seam(SCAN.spectra[..., 1])
    assert at == 71 and -jump == pytest.approx(np.median(DRIFT_KHZ), rel=0.1)


@given(st.integers(0, 95), st.floats(0.4, 2).flatmap(lambda size: st.sampled_from([size, -size])))
def test_a_seam_is_found_wherever_it_lies(last, drift_kHz):
    at, jump = seam(drifted(last, drift_kHz)[..., 1])
    assert at == last and jump == pytest.approx(-drift_kHz, abs=0.15)


@pytest.mark.parametrize("last", [71, 60, 20, 95])
def test_features_with_the_drift_taken_out_are_those_without_a_seam(last):
    x = drifted(last, 0.45)
    found = loop_features(x - seam_drift(x), SCAN.voltage_V)
    for name in ("softening_negative_kHz", "softening_positive_kHz"):
        assert np.median(found[name]) == pytest.approx(np.median(FEATURES[name]), rel=0.05), name
    raw = loop_features(SCAN.spectra, SCAN.voltage_V)
    assert abs(np.median(raw["softening_negative_kHz"]) / np.median(FEATURES["softening_negative_kHz"]) - 1) > 0.1


def test_effects_are_the_slopes_that_were_put_in():
    random = np.random.default_rng(0)
    z, blocks = random.normal(size=(900, 2)), np.repeat(np.arange(36), 25)
    noise = random.normal(size=(2, 900))
    features = {"sum": 3 * z[:, 0] - z[:, 1] + 0.5 * noise[0], "none": noise[1], "constant": np.ones(900),
                "lacking": np.where(np.arange(900) < 600, np.nan, 1.0)}
    features["sum"][::50] = np.nan
    found = channel_effects(5 * z + 2, features, blocks, seed=0)
    assert found.features == ("sum", "none")
    spread = np.sqrt(9 + 1 + 0.25)
    np.testing.assert_allclose(found.slope[:, 0], [3 / spread, -1 / spread], atol=0.04)
    assert found.certain[:, 0].all() and not found.certain[:, 1].any()
    assert ((found.low < found.slope) & (found.slope < found.high)).all()
    texts = {text.get_text() for text in figure_effects(found, ["z1", "z2"], source="twin").axes[0].texts}
    assert f"{found.slope[0, 0]:+.2f}" in texts and f"({found.slope[0, 1]:+.2f})" in texts


def test_noise_hardens_in_few_loops_and_a_rise_under_both_polarities_in_all():
    random = np.random.default_rng(1)
    noise = np.stack([np.tile(np.tanh(SCAN.voltage_V), (400, 1)), random.normal(0, 0.1, (400, 96))], axis=-1)
    alone = harden_under_both(loop_features(noise, SCAN.voltage_V), SCAN.voltage_V, 0.1, seed=0)
    assert alone.mean() < 0.02
    falling = np.arange(96) <= 48
    there = np.where(falling, SCAN.voltage_V < 0, SCAN.voltage_V > 0)
    noise[..., 1] += there * np.exp(-((np.abs(SCAN.voltage_V) - 8) / 2) ** 2)
    assert harden_under_both(loop_features(noise, SCAN.voltage_V), SCAN.voltage_V, 0.1, seed=0).all()


def test_points_interpolated_in_both_channels_tell_by_how_much_one_lags():
    bridged, lag = [channel.reshape(-1, 96) for channel in SCAN.channels.values()], 17
    assert shared_interpolations(bridged[0], np.roll(bridged[1], lag, axis=1)).argmax() == lag
    assert shared_interpolations(*bridged).argmax() == 0


def test_a_share_along_a_feature_is_counted_in_parts_of_equal_size():
    values, blocks = np.arange(800.0), np.arange(800) % 40
    event = values % 8 < values // 100  # of each hundred 0, 1/8, 2/8 …
    centre, share, interval = share_along(np.append(values, np.nan), np.append(event, True), np.append(blocks, 0))
    np.testing.assert_allclose(centre, 49.5 + 100 * np.arange(8))
    np.testing.assert_allclose(share, np.arange(8) / 8, atol=0.02)
    assert ((interval[:, 0] <= share) & (share <= interval[:, 1])).all()


def test_narrow_loops_of_the_measured_film_harden_more_often():
    path = Path(os.environ.get("BEPS_DATA", ""))
    if not path.is_file():
        pytest.skip("set BEPS_DATA to the file of measured loops to run this test")
    scan = load_scan(path)
    assert scan.moved == 24
    assert shared_interpolations(*(channel.reshape(-1, 96) for channel in scan.channels.values())).argmax() == 0
    at, jump = seam(scan.spectra[..., 1])
    assert at == 71 and jump == pytest.approx(-0.46, abs=0.05) and seam(scan.spectra[..., 0]) is None
    found = loop_features(scan.spectra - seam_drift(scan.spectra), scan.voltage_V)
    assert np.median(found["softening_negative_kHz"]) == pytest.approx(0.98, abs=0.03)
    assert all(0.15 < np.median(found[name]) < 0.35 for name in HARDENING)
    narrow, twice = narrow_loops(found), harden_under_both(found, scan.voltage_V, 0.09, seed=0)
    assert twice[narrow].mean() > 2 * twice[~narrow].mean()
