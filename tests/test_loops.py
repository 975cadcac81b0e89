"""Features of loops against closed forms, symmetries, the twin's truth and the measured scan; seams and effects."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter

from helpers.figures.physics import figure_effects
from helpers.loops import (
    UNITS,
    crossing_V,
    feature_errors,
    intermediate_concavity,
    loop_area,
    loop_features,
    resonance_differences,
)
from helpers.physics import (
    channel_effects,
    harden_under_both,
    hardened_shares,
    mean_loop_rows,
    narrow_loops,
    share_along,
)
from helpers.scans.drive import seam, seam_drift, shared_interpolations
from helpers.scans.reading import load_scan
from helpers.scans.scan import simulated_scan
from helpers.twin.domains import MECHANISMS, draw_truth
from helpers.twin.switching import noise_free

TIP_V = 16.0
SCAN = simulated_scan(seed=3, shape=(4, 5))
LOOPS, CURVES = SCAN.piezoresponse.reshape(-1, 96), SCAN.resonance_kHz.reshape(-1, 96)
OF_RESONANCE = [name for name in UNITS if name.startswith(("softening", "hardening"))]
OF_PIEZORESPONSE = [name for name in UNITS if name not in OF_RESONANCE]


def features(loops, curves, voltage_V):
    return loop_features(np.stack([loops, curves], axis=-1), voltage_V)


FEATURES = features(LOOPS, CURVES, SCAN.voltage_V)


def sweep_V(steps=96):
    """Triangle from +16 V to -16 V and back to one step below +16 V."""
    return TIP_V * (4 * np.abs(np.arange(steps) / steps - 0.5) - 1)


def tanh_loops(negative_V, positive_V, width_V=2.0, amplitude=1.0, offset=0.0):
    """Two tanh branches in which either step lies at a known voltage; shape (1, 96)."""
    step_V = np.where(np.arange(96) <= 48, negative_V, positive_V)
    return (amplitude * np.tanh((sweep_V() - step_V) / width_V) + offset)[None]


def pure(mechanism):
    """Noise-free loops of 12 x 12 pixels that all switch by one mechanism, and their truth."""
    truth = draw_truth(seed=1, shape=(12, 12))
    truth |= {name: np.full((12, 12), float(name == mechanism)) for name in MECHANISMS}
    loops = [channel.reshape(-1, 96) for channel in noise_free(truth)]
    return *loops, {name: values.ravel() for name, values in truth.items()}


coercive = st.floats(1.0, 10.0)


@given(coercive, coercive, st.floats(1.0, 3.0), st.floats(0.1, 5), st.floats(-0.6, 0.6))
def test_closed_forms_of_tanh_loops(low, high, width_V, amplitude, shift):
    offset = shift * amplitude
    loops = tanh_loops(-low, high, width_V, amplitude, offset)
    found = features(loops, np.full(loops.shape, 1320.0), sweep_V())
    moved_V = width_V * np.arctanh(shift)
    for polarity, coercive_V, remanent in (("negative", -low, -high), ("positive", high, low)):
        assert found[f"coercive_{polarity}_V"] == pytest.approx(coercive_V - moved_V, abs=0.1)
        assert found[f"remanent_{polarity}_arb"] == pytest.approx(amplitude * np.tanh(remanent / width_V) + offset)
        assert found[f"concavity_{polarity}"] == pytest.approx(0, abs=1e-9)
    assert found["imprint_V"] == pytest.approx((high - low) / 2 - moved_V, abs=0.1)


@given(arrays(float, (3, 12), elements=st.floats(-1, 1)))
def test_area_is_the_difference_of_the_branches_by_the_trapezium_rule(loops):
    voltage_V = sweep_V(12)
    closed = np.concatenate([loops, loops[:, :1]], axis=1)
    # Both integrals run towards +16 V and -16 V, so their sum is falling less rising.
    around = np.trapezoid(closed, np.append(voltage_V, voltage_V[0]), axis=1)
    assert loop_area(loops, voltage_V) == pytest.approx(-around, abs=1e-9)


def test_crossing_is_interpolated_and_counts_repeats_with_alternating_sign():
    branches = np.array([[3.0, 1, -1, -3, -3, -3], [1, -1, 1, -1, -1, -1], [1, -1, 1, 1, 1, 1],
                         [2, 0, -2, -2, -2, -2], [-2, 0, 2, 2, 2, 2], [1, 0, 1, 1, 1, 1]])
    found = crossing_V(branches, np.arange(6.0))
    assert found == pytest.approx([1.5, 0.5 - 1.5 + 2.5, np.nan, 1, 1, np.nan], nan_ok=True)


def brute_concavity(branch, voltage_V):
    """From the definition: the worst of all triples of slopes by `numpy.polyfit`."""
    slope = [np.polyfit(voltage_V[i:i + 5], branch[i:i + 5], 1)[0] for i in range(len(branch) - 4)]
    slope = np.array(slope) * np.sign((branch[-1] - branch[0]) * (voltage_V[-1] - voltage_V[0]))
    valleys = [min(left, right) - middle for left, middle, right in combinations(slope, 3)]
    return max(0, *valleys) / slope.max() if slope.max() > 1e-9 else np.nan


@given(arrays(float, 11, elements=st.integers(-9, 9)), st.booleans())
def test_concavity_against_its_definition(branch, falling):
    voltage_V = np.cumsum(np.linspace(0.5, 1.5, 11)) * (-1 if falling else 1)
    expected = brute_concavity(branch, voltage_V)
    if branch[0] != branch[-1]:
        found = intermediate_concavity(branch[None], voltage_V)
        assert found == pytest.approx([expected], abs=1e-9, nan_ok=True)


def resonance(dip_kHz, at_V, width_V=3.0):
    """Bow and difference of the states, with a Gaussian dip on the branch of either polarity."""
    voltage_V = sweep_V()
    falling = np.arange(96) <= 48
    here = np.where(falling, voltage_V < 0, voltage_V > 0)
    dip = dip_kHz * np.exp(-((np.abs(voltage_V) - at_V) / width_V) ** 2 / 2)
    state = 0.8 * (1 - np.abs(voltage_V) / TIP_V) * np.where(falling, 1, -1)
    return (1320 - np.abs(voltage_V) + state - here * dip)[None]


@pytest.mark.parametrize(("sign", "misfits"), [(1, []), (-1, []), (1, [40, 90])])
def test_softening_and_hardening_of_a_known_dip(sign, misfits):
    curves = resonance(sign * 1.5, 8.0)
    curves[0, misfits] -= 8.0
    found = features(tanh_loops(-8, 8), curves, sweep_V())
    for polarity, at_V in (("negative", -8.0), ("positive", 8.0)):
        peak, none = ("softening", "hardening")[::sign]
        assert found[f"{peak}_{polarity}_kHz"] == pytest.approx(1.5, rel=0.05)
        assert found[f"{none}_{polarity}_kHz"] == pytest.approx(0, abs=0.05)
        if sign == 1:
            assert found[f"softening_at_{polarity}_V"] == pytest.approx(at_V, abs=0.7)


def compare(found, expected, names, **tolerance):
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], err_msg=name, **tolerance)


@given(st.integers(0, 95))
def test_the_cycle_may_begin_anywhere(start):
    rolled = [np.roll(x, start, axis=-1) for x in (LOOPS, CURVES, SCAN.voltage_V)]
    compare(features(*rolled), FEATURES, UNITS, rtol=0, atol=0)


@given(st.floats(0.01, 100), st.booleans(), st.floats(0.1, 10), st.floats(-1000, 1000))
def test_scale_and_sign_of_the_piezoresponse_scale_and_origin_of_the_resonance(scale, flip, scale_kHz, origin_kHz):
    scale = -scale if flip else scale
    found = features(scale * LOOPS, scale_kHz * CURVES + origin_kHz, SCAN.voltage_V)
    proportional = dict.fromkeys(("remanent_positive_arb", "remanent_negative_arb", "loop_area_arb_V"), scale)
    proportional |= {name: scale_kHz for name in UNITS if name.endswith("_kHz")}
    expected = {name: values * proportional.get(name, 1) for name, values in FEATURES.items()}
    compare(found, expected, OF_PIEZORESPONSE, rtol=1e-8, atol=1e-12)
    compare(found, expected, OF_RESONANCE, rtol=1e-7, atol=1e-9)


@given(st.floats(-6, 6))
def test_a_bias_moves_coercive_voltages_and_imprint_alone(bias_V):
    found = features(LOOPS, CURVES, SCAN.voltage_V + bias_V)
    moved = ("coercive_negative_V", "coercive_positive_V", "imprint_V")
    compare(found, {name: FEATURES[name] + bias_V for name in moved}, moved, atol=1e-9)
    same = ("loop_area_arb_V", "concavity_negative", "concavity_positive")
    compare(found, FEATURES, same, rtol=1e-6, atol=1e-12)


def test_pixels_and_channels_do_not_depend_on_others_and_reversing_the_voltage_swaps_the_polarities():
    one = features(LOOPS[7:8], CURVES[7:8], SCAN.voltage_V)
    compare(one, {name: values[7:8] for name, values in FEATURES.items()}, UNITS, rtol=1e-12)
    assert all(len(v) == 0 for v in features(LOOPS[:0], CURVES[:0], SCAN.voltage_V).values())
    alone = loop_features(LOOPS[..., None], SCAN.voltage_V)
    assert list(alone) == OF_PIEZORESPONSE
    compare(alone, FEATURES, OF_PIEZORESPONSE, rtol=0, atol=0)
    compare(features(-3 * LOOPS, CURVES, SCAN.voltage_V), FEATURES, OF_RESONANCE, rtol=0, atol=0)
    found = features(LOOPS, CURVES, -SCAN.voltage_V)
    for name, values in FEATURES.items():
        other = name.replace("negative", "?").replace("positive", "negative").replace("?", "positive")
        sign = -1 if name.endswith("_V") else 1
        np.testing.assert_allclose(found[other], sign * values, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.filterwarnings("error")
def test_what_does_not_exist_is_nan_and_counted():
    loops = np.concatenate([tanh_loops(-8, 8, offset=3.0), np.zeros((1, 96)), np.full((1, 96), 0.1),
                            tanh_loops(-8, 8), tanh_loops(-8, 8)])
    curves = np.repeat(resonance(1.5, 8.0), 5, axis=0)
    curves[3] = 1320.1
    loops[4, 5], curves[4, 7] = np.nan, np.inf
    found = features(loops, curves, sweep_V())
    assert found.keys() == UNITS.keys()
    for name in ("coercive_negative_V", "coercive_positive_V", "imprint_V"):
        assert np.isnan(found[name]).tolist() == [True, True, True, False, True]
    for name in ("concavity_negative", "concavity_positive"):
        assert np.isnan(found[name]).tolist() == [False, True, True, False, True]
    assert found["loop_area_arb_V"][1:3].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert found["softening_positive_kHz"][3] == found["hardening_negative_kHz"][3] == 0
    assert np.isnan(found["softening_at_positive_V"]).tolist() == [False] * 3 + [True] * 2
    assert all(np.isnan(values[4]) for values in found.values())


@pytest.mark.filterwarnings("error")
def test_a_polarity_that_was_not_swept_has_no_features():
    found = features(tanh_loops(-8, 8), resonance(1.5, 8.0), sweep_V() + TIP_V + 1)
    assert all(np.isnan(found[name]) for name in UNITS if name.startswith(("remanent", "softening", "hardening")))
    assert found["coercive_negative_V"] == pytest.approx(-8 + TIP_V + 1, abs=0.05)


@pytest.mark.parametrize("change, message", [
    (lambda loops, v: (loops, np.tile(v[::2], 2)), "not one cycle"),
    (lambda loops, v: (loops, np.append(v[:-1], 16.0)), "not one cycle"),
    (lambda loops, v: (loops, np.where(v > 15.9, np.nan, v)), "not one cycle"),
    (lambda loops, v: (loops, v[None]), "not one cycle"),
    (lambda loops, v: (loops[:, ::12], v[::12]), "fewer than 5 steps"),
    (lambda loops, v: (loops[:, :-1], v), r"loops have shape \(20, 95, 2\)"),
    (lambda loops, v: (loops[..., 0], v), r"loops have shape \(20, 96\)"),
])
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        loop_features(*change(SCAN.spectra, SCAN.voltage_V))


def test_coercive_voltages_of_the_twin_are_its_truth():
    loops, curves, truth = pure("c")
    found = features(loops - truth["offset"][:, None], curves, SCAN.voltage_V)
    coercive_V = (found["coercive_positive_V"] - found["coercive_negative_V"]) / 2
    assert found["imprint_V"] == pytest.approx(truth["imprint_V"], abs=0.15)
    # The linear response moves both crossings outwards.
    assert coercive_V == pytest.approx(truth["coercive_V"], abs=0.4)
    assert np.corrcoef(coercive_V, truth["coercive_V"])[0, 1] > 0.98
    softening_V = found["softening_at_negative_V"] - found["coercive_negative_V"]
    assert np.median(np.abs(softening_V)) < 1
    ratio = found["softening_negative_kHz"] / truth["softening_kHz"]
    assert np.median(ratio) == pytest.approx(1, abs=0.15)


def test_mechanisms_of_the_twin_have_the_marks_of_the_paper():
    found = {name: features(*pure(name)[:2], SCAN.voltage_V) for name in MECHANISMS}
    median = {name: {key: np.median(values) for key, values in of.items()} for name, of in found.items()}
    for polarity in ("negative", "positive"):
        concavity, hardening = f"concavity_{polarity}", f"hardening_{polarity}_kHz"
        assert (found["three_state"][concavity] > 0).all()
        assert median["three_state"][concavity] > 0.15
        assert (found["c"][concavity] == 0).all()
        assert (found["a"][concavity] < 0.1).all()
        assert median["three_state"][hardening] > 0.5
        assert median["c"][hardening] < 0.2
    wall = median["charged_wall"]
    assert wall["hardening_positive_kHz"] > 1
    assert wall["hardening_negative_kHz"] < 0.2
    areas = [median[name]["loop_area_arb_V"] for name in ("c", "a", "three_state")]
    assert areas[0] > areas[1] > areas[2] > 0


def test_measured_loops_are_plausible_and_narrow_ones_harden_more_often(measured):
    scan = load_scan(measured)
    found = loop_features(scan.spectra, scan.voltage_V)
    assert np.isnan(found["imprint_V"]).sum() < 5 and np.isnan(found["softening_at_positive_V"]).sum() < 500
    low, middle, high = (dict(zip(found, row, strict=True)) for row in np.nanpercentile(
        list(found.values()), [5, 50, 95], axis=1))
    assert -10 < low["coercive_negative_V"] and high["coercive_negative_V"] < -2
    assert 5 < low["coercive_positive_V"] and high["coercive_positive_V"] < 12
    assert low["remanent_positive_arb"] > 0 > high["remanent_negative_arb"]
    assert low["loop_area_arb_V"] > 0
    assert 0.5 < middle["softening_positive_kHz"] < middle["softening_negative_kHz"] < 2
    # The paper sees hardening under positive bias in the a1/a2 bands, where loops are narrow.
    narrow = found["loop_area_arb_V"] < np.median(found["loop_area_arb_V"])
    hardening = found["hardening_positive_kHz"]
    assert np.median(hardening[narrow]) > 1.5 * np.median(hardening[~narrow])
    assert scan.moved == 24
    assert shared_interpolations(*(channel.reshape(-1, 96) for channel in scan.channels.values())).argmax() == 0
    at, jump = seam(scan.spectra[..., 1])
    assert at == 71 and jump == pytest.approx(-0.46, abs=0.05) and seam(scan.spectra[..., 0]) is None
    undrifted = scan.spectra - seam_drift(scan.spectra)
    found = loop_features(undrifted, scan.voltage_V)
    assert np.median(found["softening_negative_kHz"]) == pytest.approx(0.98, abs=0.03)
    assert all(0.15 < np.median(found[name]) < 0.35 for name in ("hardening_negative_kHz", "hardening_positive_kHz"))
    narrow, twice = narrow_loops(found), harden_under_both(undrifted[..., 1], scan.voltage_V, 0)
    assert twice[narrow].mean() > 2 * twice[~narrow].mean()


FILM = simulated_scan(seed=3, shape=(14, 14))
DRIFT_KHZ = FILM.truth["drift_kHz"].reshape(-1, 1)


def drifted(last, drift_kHz):
    """The twin's loops, its drift replaced by that of a cycle measured from the step after `last` on."""
    x = FILM.spectra.copy()
    x[..., 1] += ramp(last) * drift_kHz - ramp(71) * DRIFT_KHZ
    return x


def ramp(last):
    return np.roll(np.arange(96) / 96 - 0.5, last + 1)


STILL = drifted(71, 0)
UNDRIFTED = loop_features(STILL, FILM.voltage_V)


def test_loops_without_a_seam_have_none_and_the_twin_s_own_is_found():
    assert seam(STILL[..., 1]) is None and seam(STILL[..., 0]) is None
    assert not seam_drift(STILL).any()
    at, jump = seam(FILM.spectra[..., 1])
    assert at == 71 and -jump == pytest.approx(np.median(DRIFT_KHZ), rel=0.1)


@given(st.integers(0, 95), st.floats(0.4, 2).flatmap(lambda size: st.sampled_from([size, -size])))
def test_a_seam_is_found_wherever_it_lies(last, drift_kHz):
    at, jump = seam(drifted(last, drift_kHz)[..., 1])
    assert at == last and jump == pytest.approx(-drift_kHz, abs=0.15)


@pytest.mark.parametrize("last", [71, 60, 20, 95])
def test_features_with_the_drift_taken_out_are_those_without_a_seam(last):
    x = drifted(last, 0.45)
    found = loop_features(x - seam_drift(x), FILM.voltage_V)
    for name in ("softening_negative_kHz", "softening_positive_kHz"):
        assert np.median(found[name]) == pytest.approx(np.median(UNDRIFTED[name]), rel=0.05), name
    raw = loop_features(FILM.spectra, FILM.voltage_V)
    assert abs(np.median(raw["softening_negative_kHz"]) / np.median(UNDRIFTED["softening_negative_kHz"]) - 1) > 0.1


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
    drawn = figure_effects(found, ["z1", "z2"], source="twin").axes[0]
    texts = {text.get_text().replace("−", "-") for text in drawn.texts}
    assert f"{found.slope[0, 0]:+.2f}" in texts and f"({found.slope[0, 1]:+.2f})" in texts


@pytest.mark.parametrize(("persistence", "most"), [(0.0, 0.02), (0.7, 0.05)])
def test_noise_of_any_size_and_persistence_hardens_in_few_loops(persistence, most):
    random = np.random.default_rng(1)
    noise = lfilter([1], [1, -persistence], random.normal(size=(400, 150)), axis=1)[:, 54:]
    uneven = np.geomspace(0.03, 3, 400)[:, None] * (1 + 2 * np.exp(-(np.abs(FILM.voltage_V) - 8) ** 2))
    assert harden_under_both(uneven * noise, FILM.voltage_V, seed=0).mean() < most


def test_a_rise_under_both_polarities_hardens_and_a_loop_without_values_does_not():
    there = np.where(np.arange(96) <= 48, FILM.voltage_V < 0, FILM.voltage_V > 0)
    rise = there * np.exp(-((np.abs(FILM.voltage_V) - 8) / 4) ** 2)
    assert harden_under_both(np.random.default_rng(1).normal(rise, 0.1, (400, 96)), FILM.voltage_V, seed=0).all()
    assert not harden_under_both(np.full((3, 96), np.nan), FILM.voltage_V, seed=0).any()


def test_of_the_twin_three_state_pixels_harden_under_both_and_hardly_any_others():
    scan = simulated_scan(0, (30, 30))
    hardens = harden_under_both((scan.spectra - seam_drift(scan.spectra))[..., 1], scan.voltage_V, seed=0)
    three_state = scan.truth["three_state"].ravel() > 0.5
    assert hardens[three_state].mean() > 0.2 and hardens[~three_state].mean() < 0.02


def test_points_interpolated_in_both_channels_tell_by_how_much_one_lags():
    bridged, lag = [channel.reshape(-1, 96) for channel in FILM.channels.values()], 17
    assert shared_interpolations(bridged[0], np.roll(bridged[1], lag, axis=1)).argmax() == lag
    assert shared_interpolations(*bridged).argmax() == 0


def test_shares_that_harden_are_counted_and_a_kind_that_is_not_there_has_none():
    narrow, hardened, blocks = np.arange(400) % 4 == 0, np.arange(400) % 8 == 0, np.arange(400) // 40
    assert hardened_shares(hardened, narrow, blocks) == {"narrow": (0.5, 0.5, 0.5), "wide": (0, 0, 0)}
    assert np.isnan(hardened_shares(hardened, np.ones(400, bool), blocks)["wide"]).all()


def test_what_the_branches_differ_by_at_0_V_is_no_hardening_where_they_are_levelled():
    voltage = SCAN.voltage_V
    falling = np.diff(voltage, append=voltage[0]) < 0
    offset_kHz = np.where(falling, -0.8, 0)[None] * (1 - np.abs(voltage) / voltage.max())
    below, above = resonance_differences(offset_kHz, voltage, levelled=False)
    assert below[1].min() == pytest.approx(-0.8, abs=0.1) and above[1].max() == pytest.approx(0.8, abs=0.1)
    for _, levelled in resonance_differences(offset_kHz, voltage):
        np.testing.assert_allclose(levelled, 0, atol=0.03)


def test_a_model_that_doubles_a_mean_loop_has_its_error_and_twice_its_hardening():
    scan = SCAN.spectra - np.array([0, 1])
    double = scan + scan.mean(axis=0) - scan.mean(axis=(0, 1))
    measured, modelled = mean_loop_rows({"all": np.ones(len(scan), bool)}, scan, {"DL": double}, SCAN.voltage_V,
                                        ["Piezoresponse", "Resonance"])
    assert measured["error, resonance"] == "" and modelled["error, resonance"] == "100.0%"
    assert modelled["error, piezoresponse"] == "100.0%"
    for change in ("levelled (+) (kHz)", "branches (−) (kHz)"):
        once, twice = (float(row[change].replace("−", "-")) for row in (measured, modelled))
        assert twice == pytest.approx(2 * once, abs=0.02)
    alone = mean_loop_rows({"all": np.ones(len(scan), bool)}, scan[..., :1], {}, SCAN.voltage_V, ["Piezoresponse"])
    assert list(alone[0]) == ["region", "mean loop", "error, piezoresponse"]


def test_the_error_of_a_feature_is_a_median_and_an_erased_one_counts_as_the_whole_range():
    measured = {"a": np.array([[0.0, 1, 4], [2, np.nan, 3]]), "b": np.arange(6.0).reshape(2, 3)}
    modelled = {"a": np.array([[np.nan, 1.5, np.nan], [np.nan, 0, 3]]), "b": measured["b"] + [[1], [3]]}
    assert feature_errors(measured, modelled) == {"a": 4, "b": 2}


def test_a_share_along_a_feature_is_counted_in_parts_of_equal_size():
    values, blocks = np.arange(800.0), np.arange(800) % 40
    event = values % 8 < values // 100  # of each hundred 0, 1/8, 2/8 …
    centre, share, interval = share_along(np.append(values, np.nan), np.append(event, True), np.append(blocks, 0))
    np.testing.assert_allclose(centre, 49.5 + 100 * np.arange(8))
    np.testing.assert_allclose(share, np.arange(8) / 8, atol=0.02)
    assert ((interval[:, 0] <= share) & (share <= interval[:, 1])).all()
