"""Scores of codes whose values are known, and each score by a second formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mutual_info_score

from helpers import disentanglement as scores
from helpers.disentanglement import BINS, dci, disentanglement, disentanglement_and_completeness, mutual_information
from helpers.scores import (
    matched,
    matched_channels,
    matched_spearman,
    mean_squared_error_per_spectrum,
    ratio_interval,
)

N = 5000
BIAS = (BINS - 1) ** 2 / (2 * N) / np.log(BINS)  # of the MIG, from the classes being finite
NAMES = {"mig", "dci", "dci_completeness", "dci_informativeness", "sap", "r2", "spearman"}


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).random((N, 3))


def noise(channels, seed=1):
    return np.random.default_rng(seed).standard_normal((N, channels))


def gaussian_pair(degrees):
    """Two independent Gaussian factors, and codes that are these factors turned."""
    factors = PCA(whiten=True).fit_transform(noise(2))  # so that the correlations below are exact in the sample
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return factors @ np.array([[cos, -sin], [sin, cos]]), factors


def gaussian_information(correlation):
    return -np.log(1 - correlation**2) / 2


def test_identity_has_every_score_and_channels_of_noise_beside_it_change_nothing(truth):
    found = disentanglement(truth, truth)
    assert found.keys() == NAMES
    assert all(type(value) is float for value in found.values())
    assert found["r2"] == pytest.approx(1) and found["spearman"] == pytest.approx(1)
    assert found["mig"] == pytest.approx(1, abs=2 * BIAS)
    assert found["sap"] == pytest.approx(1, abs=0.005)
    assert min(found[name] for name in NAMES if name.startswith("dci")) > 0.99
    found = disentanglement(np.hstack([noise(5), truth]), truth)
    assert min(found.values()) > 0.98


def test_noise_has_no_score_and_twice_the_same_channels_no_gap(truth):
    found = disentanglement(noise(6), truth)
    assert found["mig"] == pytest.approx(0, abs=2 * BIAS)
    for name in NAMES - {"mig", "dci_informativeness"}:
        assert found[name] == pytest.approx(0, abs=0.05), name
    assert -0.2 < found["dci_informativeness"] < 0.02
    found = disentanglement(np.hstack([truth, -truth]), truth)
    assert found["sap"] == pytest.approx(0, abs=1e-12)
    assert found["mig"] == pytest.approx(0, abs=1e-3)
    assert found["r2"] == pytest.approx(1) and found["spearman"] == pytest.approx(1)
    assert found["dci"] > 0.99 and found["dci_informativeness"] > 0.99
    # Each factor is shared between two of six channels.
    assert found["dci_completeness"] == pytest.approx(1 - np.log(2) / np.log(6), abs=0.06)


def test_order_sign_and_scale_do_not_count(truth):
    codes = truth @ np.array([[1, 0.3, 0], [0, 1, 0.2], [0.4, 0, 1]])
    expected = disentanglement(codes, truth)
    found = disentanglement(codes[:, [2, 0, 1]] * [-3, 0.1, -1] + 5, truth)
    for name in NAMES:
        within = {"abs": 0.02} if "dci" in name else {"abs": 1e-3} if name == "mig" else {"rel": 1e-9}
        assert found[name] == pytest.approx(expected[name], **within), name


@pytest.mark.parametrize("degrees", [0, 15, 30, 45])
def test_turned_gaussian_factors_have_closed_forms(degrees):
    codes, factors = gaussian_pair(degrees)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert scores.separated_predictability(codes, factors) == pytest.approx(cos**2 - sin**2, abs=1e-9)
    np.testing.assert_allclose(matched(scores.univariate_r2(codes, factors).T), cos**2, atol=1e-9)
    if degrees:
        gap = gaussian_information(cos) - gaussian_information(sin)
        found = scores.mutual_information_gap(codes, factors)
        assert found == pytest.approx(gap / np.log(BINS), abs=0.05)


def test_codes_turned_by_45_degrees_are_informative_but_not_disentangled():
    found = disentanglement(*gaussian_pair(45))
    assert found["mig"] < 0.02 and found["dci"] < 0.02 and found["dci_completeness"] < 0.02
    # |Spearman| of a Gaussian pair is 6/pi arcsin(rho / 2).
    assert found["spearman"] == pytest.approx(6 / np.pi * np.arcsin(np.sqrt(0.5) / 2), abs=0.02)
    assert found["dci_informativeness"] > 0.9


def test_mutual_information_is_that_of_classes_of_equal_count_and_ranks_are_blind_to_monotone_maps(truth):
    codes = truth**2 + 0.1 * noise(3)

    def ranked(values):
        return values.argsort().argsort() * BINS // N

    expected = [[mutual_info_score(ranked(code), ranked(factor)) for factor in truth.T] for code in codes.T]
    np.testing.assert_allclose(mutual_information(codes, truth), expected, atol=2e-3)
    bent = np.stack([np.exp(codes[:, 0]), codes[:, 1] ** 3, np.arctan(codes[:, 2])], axis=1)
    np.testing.assert_allclose(matched_spearman(bent * [1, -1, 1], np.sqrt(truth)), matched_spearman(codes, truth))


def test_channels_are_matched_in_the_order_of_the_factors(truth):
    noise = np.random.default_rng(1).normal(size=(N, 2))
    bent = np.column_stack([noise[:, 0], -truth[:, 2] ** 3, truth[:, 0], noise[:, 1], np.sqrt(truth[:, 1])])
    assert matched_channels(bent, truth).tolist() == [2, 4, 1]


def test_equal_values_share_a_class():
    """A factor of two levels carries log 2, in a code that follows it and in one that does not."""
    level = np.repeat([0.0, 1.0], N // 2)[:, None]
    codes = np.hstack([3 - level, noise(1)])
    found = mutual_information(codes, level)
    np.testing.assert_allclose(found, [[np.log(2)], [0]], atol=0.01)
    assert scores.mutual_information_gap(codes, level) == pytest.approx(1, abs=0.01)


def test_linear_r2_is_that_of_the_regression_and_missing_channels_score_nothing(truth):
    codes = truth @ np.array([[1, 0.5, 0], [0, 1, 0.2], [0.4, 0, 1]]) + 0.3 * noise(3)
    expected = [[LinearRegression().fit(code[:, None], factor).score(code[:, None], factor)
                 for factor in truth.T] for code in codes.T]
    np.testing.assert_allclose(scores.univariate_r2(codes, truth), expected, atol=1e-12)
    np.testing.assert_allclose(matched(scores.univariate_r2(truth[:, 1:2], truth).T), [0, 1, 0], atol=1e-12)
    found = disentanglement(truth[:, 1:2], truth)
    assert found["spearman"] == pytest.approx(1 / 3)
    assert found["sap"] == pytest.approx(1 / 3, abs=0.01)
    assert found["mig"] == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.filterwarnings("error")
def test_closed_channels_have_no_score(truth):
    found = disentanglement(np.ones((N, 2)), truth)
    assert found.pop("dci_informativeness") == pytest.approx(0, abs=0.01)
    assert set(found.values()) == {0.0}
    open_one = disentanglement(np.hstack([np.zeros((N, 2)), truth]), truth)
    assert open_one["dci_completeness"] > 0.99 and open_one["sap"] > 0.99


@pytest.mark.parametrize("importances, expected", [
    (np.eye(3), (1, 1)), (np.ones((4, 3)), (0, 0)), (np.zeros((2, 2)), (0, 0)),
    (np.eye(4)[:, :3], (1, 1)), (np.repeat(np.eye(2), 2, axis=0), (1, 0.5)),
    (np.repeat(np.eye(2), 2, axis=1), (0.5, 1)), (np.ones((1, 1)), (1, 1)),
    ([[1, 0], [0, 0], [0, 0]], (1, 0.5)),
])
def test_dci_of_known_importances(importances, expected):
    found = disentanglement_and_completeness(np.array(importances, float))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("known", "expected"), [(1, (1, 1 / 3)), (2, (1, 2 / 3)), (3, (1, 1))])
def test_dci_of_colours_that_no_channel_tells(known, expected):
    truth = np.random.default_rng(0).uniform(size=(3000, 3))
    disentanglement, completeness, _ = dci(truth[:, :known], truth, 0)
    np.testing.assert_allclose((disentanglement, completeness), expected, atol=0.05)


@given(arrays(float, (4, 3), elements=st.floats(0.01, 1)))
def test_dci_against_the_formula_of_the_paper(importances):
    rows = importances / importances.sum(axis=1, keepdims=True)
    columns = importances / importances.sum(axis=0)
    weights = importances.sum(axis=1) / importances.sum()
    one_channel = 1 + (rows * np.log(rows) / np.log(3)).sum(axis=1)
    one_factor = 1 + (columns * np.log(columns) / np.log(4)).sum(axis=0)
    expected = (weights @ one_channel, one_factor.mean())
    assert disentanglement_and_completeness(importances) == pytest.approx(expected, abs=1e-9)


def test_informativeness_agrees_with_scores_out_of_bag(truth):
    codes = truth + 0.2 * noise(3)
    forest = RandomForestRegressor(60, min_samples_leaf=10, oob_score=True, random_state=5)
    expected = [forest.fit(codes, factor).oob_score_ for factor in truth.T]
    assert dci(codes, truth, seed=0)[2] == pytest.approx(np.mean(expected), abs=0.03)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_a_seed_is_a_result(seed):
    truth = np.random.default_rng(seed).random((400, 2))
    codes = truth @ np.array([[1, 0.5], [-0.2, 1]])
    found = disentanglement(codes, truth, seed)
    assert found == disentanglement(codes, truth, seed)
    assert found["dci"] == pytest.approx(disentanglement(codes, truth)["dci"], abs=0.2)


@pytest.mark.parametrize("codes, factors, message", [
    (np.ones(4), np.ones((4, 1)), r"embeddings have shape \(4,\)"),
    (np.ones((4, 2)), np.ones((5, 1)), r"truth \(5, 1\): expected \(n, channels\)"),
    (np.full((4, 2), np.nan), np.ones((4, 1)), "embeddings hold 8 NaN"),
    (np.ones((4, 2)), np.full((4, 1), np.inf), "truth hold 4 NaN"),
    (np.eye(4), np.column_stack([np.arange(4), np.ones(4)]), "factor 1 of truth is constant"),
])
def test_bad_input_is_named(codes, factors, message):
    with pytest.raises(ValueError, match=message):
        disentanglement(codes, factors)


def test_interval_of_a_ratio_covers_it_and_widens_with_few_blocks():
    """Two errors of the same pixels, whose blocks differ more than the pixels in them."""
    rng = np.random.default_rng(0)

    def interval(blocks):
        number = np.repeat(np.arange(blocks), 30)
        reference = rng.exponential(1 + rng.random(blocks)[number])
        return ratio_interval(reference * (0.8 + 0.2 * rng.standard_normal(blocks)[number]), reference, number)

    covered = np.mean([low < 0.8 < high for low, high in (interval(40) for _ in range(60))])
    (few_low, few_high), (low, high) = interval(10), interval(300)
    assert covered > 0.8 and high - low < 0.5 * (few_high - few_low)
    assert ratio_interval(np.full(60, 0.5), np.ones(60), np.arange(60) // 6) == pytest.approx((0.5, 0.5))
    assert np.isnan(ratio_interval(np.ones(5), np.ones(5), np.zeros(5))).all()


def test_error_of_each_spectrum():
    model = np.array([1.0, 2.0])[:, None, None] * np.ones((2, 3, 2))
    np.testing.assert_allclose(mean_squared_error_per_spectrum(0 * model, model), [1, 4])
