import numpy as np
import pytest

from helpers.scores import matched_spearman, mean_squared_error_per_spectrum


def test_error_of_each_spectrum():
    x = np.zeros((2, 3, 2))
    model = x + np.array([1.0, 2.0])[:, None, None]
    np.testing.assert_allclose(mean_squared_error_per_spectrum(x, model), [1, 4])


def test_matching_undoes_order_sign_and_monotone_maps():
    truth = np.random.default_rng(0).random((500, 3))
    codes = np.stack([np.exp(3 * truth[:, 2]), -truth[:, 0], truth[:, 1] ** 5], axis=1)
    np.testing.assert_allclose(matched_spearman(codes, truth), 1)


def test_rotated_missing_and_constant_channels_score_low():
    truth = np.random.default_rng(0).random((2000, 2))
    rotated = truth @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    assert matched_spearman(rotated, truth) == pytest.approx(0.7, abs=0.05)
    np.testing.assert_allclose(matched_spearman(truth[:, :1], truth), [1, 0])
    np.testing.assert_allclose(matched_spearman(np.ones((2000, 2)), truth), 0)
