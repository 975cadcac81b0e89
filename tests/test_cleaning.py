"""Cleaning against what was damaged on purpose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.scans.cleaning import MISSING, OUT_OF_RANGE, OUTLIER, Cleaning, clean
from helpers.scans.outliers import outlier_excess, pixel_noise, remaining_outliers
from helpers.sho import interpolated
from helpers.twin.measurement import simulate


@pytest.fixture(scope="module")
def twin():
    return simulate(seed=2, shape=(10, 8))


def channels(twin):
    return {"piezoresponse": twin.piezoresponse.copy(), "resonance_kHz": twin.resonance_kHz.copy()}


def test_sound_loops_are_returned_equal_and_an_open_drive_repeats_its_ends(twin):
    cleaned, report = clean(channels(twin), twin.voltage_V)
    for name, values in channels(twin).items():
        np.testing.assert_array_equal(cleaned[name], values)
    assert str(report) == "Cleaning changed nothing." and not report.unusable.any()
    loop = np.array([np.nan, 1.0, 2, 3, np.nan])
    filled = interpolated(loop[None], np.isnan(loop[None]), closed=False)
    np.testing.assert_array_equal(filled[0], [1, 1, 2, 3, 3])


def test_missing_points_are_bridged_counted_and_mapped(twin):
    """As in an earlier release: three NaN in two pixels of the piezoresponse."""
    damaged = channels(twin)
    for point in ((1, 2, 40), (1, 2, 41), (7, 3, 95)):
        damaged["piezoresponse"][point] = np.nan
    before = damaged["piezoresponse"].copy()
    cleaned, report = clean(damaged, twin.voltage_V)
    np.testing.assert_array_equal(damaged["piezoresponse"], before)
    assert report.counts()["piezoresponse"] == {"missing": 3, "out of range": 0, "outliers": 0, "poorly fitted": 0}
    assert report.map[1, 2] == 2 and report.map[7, 3] == 1 and report.map.sum() == 3
    loop, whole = cleaned["piezoresponse"][1, 2], twin.piezoresponse[1, 2]
    np.testing.assert_allclose(loop[40:42], whole[39] + (whole[42] - whole[39]) * np.array([1, 2]) / 3)
    # The last step lies between the one before and the first: the drive closes.
    last = cleaned["piezoresponse"][7, 3]
    assert last[95] == pytest.approx((last[94] + last[0]) / 2)
    assert "3 missing of piezoresponse, in 2 pixels" in str(report) and "no pixels beyond" in str(report)


def test_values_out_of_range_are_found_where_they_are_and_outliers_left_in_are_counted(twin):
    damaged = channels(twin)
    damaged["resonance_kHz"][2, 2, 10], damaged["resonance_kHz"][3, 4, 50] = 1000, 1e5
    rules = Cleaning(valid_range={"resonance_kHz": (1250, 1400)})
    cleaned, report = clean(damaged, twin.voltage_V, rules)
    assert np.argwhere(report.flags["resonance_kHz"] == OUT_OF_RANGE).tolist() == [[2, 2, 10], [3, 4, 50]]
    assert np.abs(cleaned["resonance_kHz"] - twin.resonance_kHz).max() < 5
    unchanged, _ = clean(damaged, twin.voltage_V)
    np.testing.assert_array_equal(unchanged["resonance_kHz"], damaged["resonance_kHz"])
    damaged = channels(twin)
    before = remaining_outliers({"piezoresponse": damaged["piezoresponse"]}, twin.voltage_V)
    damaged["piezoresponse"][[1, 2, 5], [3, 4, 0], [50, 51, 95]] += 1e-3
    said = remaining_outliers({"piezoresponse": damaged["piezoresponse"]}, twin.voltage_V)
    assert before == [] and len(said) == 1 and "off their neighbours: 3, left as they are (CLEAN=" in said[0]
    said = remaining_outliers({"piezoresponse": damaged["piezoresponse"]}, twin.voltage_V, repaired=True)
    assert said[0].endswith("3, left after the repair")


def test_every_excursion_of_twenty_deviations_is_found_and_nothing_else():
    """Smooth loops with known noise: singles and neighbours, in either direction."""
    rng = np.random.default_rng(0)
    step = np.arange(96)
    smooth = 1320 + 3 * np.cos(2 * np.pi * (step - rng.uniform(0, 96, (20, 20, 1))) / 96)
    cube = smooth + 0.05 * rng.standard_normal(smooth.shape)
    wrong = np.zeros(cube.shape, bool)
    wrong[rng.random((20, 20)) < 0.2, 30] = True
    wrong[5, :, 70:72] = True
    cube[wrong] += 1.0 + rng.uniform(0, 2, wrong.sum())
    voltage_V = np.cos(2 * np.pi * step / 96)
    cleaned, report = clean({"resonance_kHz": cube}, voltage_V, Cleaning(outlier_sd=10))
    np.testing.assert_array_equal(report.flags["resonance_kHz"] == OUTLIER, wrong)
    assert np.abs(cleaned["resonance_kHz"] - smooth).max() < 0.4


def test_sharp_switching_is_no_outlier_and_noise_of_a_pixel_its_standard_deviation():
    step = np.arange(96)
    loops = np.where((step > 20) & (step < 66), -1.0, 1.0) * np.ones((5, 5, 1))
    loops[:, :, 20] = 0.3  # caught in the middle of the jump
    assert outlier_excess(loops, closed=True).max() == 0
    loops += 0.01 * np.random.default_rng(0).standard_normal(loops.shape)
    _, report = clean({"piezoresponse": loops}, np.cos(2 * np.pi * step / 96), Cleaning(outlier_sd=8))
    assert report.map.sum() == 0
    rng = np.random.default_rng(1)
    noise = pixel_noise(5 * np.cos(np.arange(400) / 30) + 0.2 * rng.standard_normal((30, 30, 400)))
    assert np.median(noise) == pytest.approx(0.2, rel=0.03)


def test_pixels_beyond_repair_are_masked_and_never_reach_the_others(twin):
    damaged = channels(twin)
    damaged["piezoresponse"][0, 0] = np.nan
    damaged["resonance_kHz"][4, 4, 92:] = np.nan
    damaged["resonance_kHz"][4, 4, :3] = np.inf  # seven in a row, across the end of the loop
    damaged["resonance_kHz"][6, 6, 40:46] = np.nan  # six in a row
    damaged["piezoresponse"][9, 7, ::3] = np.nan  # a third of the loop
    cleaned, report = clean(damaged, twin.voltage_V)
    assert np.argwhere(report.unusable).tolist() == [[0, 0], [4, 4], [9, 7]]
    assert "3 pixels beyond repair" in str(report)
    usable = ~report.unusable
    for values in cleaned.values():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values[0, 0], np.median(values[usable], axis=0))
    np.testing.assert_array_equal(cleaned["piezoresponse"][usable], twin.piezoresponse[usable])


@pytest.mark.parametrize(("rules", "filled", "message"), [
    (Cleaning(valid_range={"amplitude": (0, 1)}), 0, "channel amplitude: expected one of piezoresponse"),
    (Cleaning(valid_range={"piezoresponse": (1, 0)}), 0, "expected a smaller value before a larger"),
    (None, np.nan, "every pixel is beyond repair"),
])
def test_rules_that_cannot_hold_are_refused(twin, rules, filled, message):
    with pytest.raises(ValueError, match=message):
        clean({"piezoresponse": np.full((2, 2, 96), filled)}, twin.voltage_V, rules)


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 0.2), outlier_sd=st.sampled_from([0, 8, 20]))
def test_only_flagged_points_and_masked_pixels_change(seed, share, outlier_sd):
    rng = np.random.default_rng(seed)
    cube = rng.normal(size=(5, 4, rng.integers(8, 40)))
    holes = rng.random(cube.shape) < share
    cube[holes] = np.nan
    if (holes.mean(axis=-1) > 0.15).all():
        return
    cleaned, report = clean({"x": cube}, np.arange(cube.shape[-1]), Cleaning(outlier_sd=outlier_sd))
    np.testing.assert_array_equal(report.flags["x"] == MISSING, holes)
    kept = (report.flags["x"] == 0) & ~report.unusable[..., None]
    np.testing.assert_array_equal(cleaned["x"][kept], cube[kept])
    assert np.isfinite(cleaned["x"]).all()
    assert (report.map == (report.flags["x"] > 0).sum(axis=-1)).all()
