import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from helpers import toy
from helpers.coordinates import elbow, eliminate, find_coordinates, innovations
from helpers.beta_vae import build_beta_vae, decode, encode, open_channels, reconstruct
from helpers.scores import matched_spearman
from helpers.profiles import Network, Training
from helpers.start import start_from_isomap, start_from_pca
from helpers.training import shuffled_batches


@pytest.fixture(scope="module")
def colours():
    rgb = toy.sample_rgb(3000, 0)
    x = toy.spectra(rgb)
    return rgb, ((x - x.mean(axis=0)) / x.std(axis=0))[..., None]


def test_three_coordinates_are_found_for_three_colours_and_each_is_one_colour(colours):
    rgb, spectra = colours
    coordinates = find_coordinates(spectra, 16, "isomap")
    assert coordinates.found == 3
    start = innovations(coordinates.values[:, coordinates.kept])
    assert matched_spearman(start, rgb).min() > 0.85
    components = find_coordinates(spectra, 16, "pca")
    three = PCA(3).fit_transform(spectra[..., 0])
    assert matched_spearman(three, rgb).min() < 0.3, "principal components mix the colours"
    assert components.values.shape == (3000, 16)


def test_a_function_of_another_coordinate_goes_before_a_smaller_one_of_its_own():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-3, 3, 1000), rng.uniform(-1, 1, 1000)
    order, errors = eliminate(np.column_stack([a, a**2, b]), np.column_stack([a, a**2, np.sin(a), b]))
    assert set(order[:2]) == {0, 2}, "a² varies most, but a tells it"
    assert errors[0] > 10 * errors[1] and errors[1] < 0.01


@pytest.mark.parametrize(("errors", "number"), [
    ([1.0, 0.1, 0.01, 0.009, 0.0085, 0.008], 3), ([1.0, 0.01, 0.009], 2), ([0.5], 1), ([0.5, 0.1], 2),
    ([0.3, 0.3, 0.3], 1), ([0.2, 0.3, 0.4], 1),
])
def test_elbow(errors, number):
    assert elbow(np.array(errors)) == number


@given(st.floats(0.01, 100), st.integers(2, 9))
def test_elbow_of_a_kinked_line_is_its_kink_whatever_the_scale(scale, kink):
    k = np.arange(1, 13)
    errors = scale * np.exp(-np.where(k <= kink, k, kink + 0.05 * (k - kink)))
    assert elbow(errors) == kink


def test_innovations_are_free_of_what_the_coordinates_before_tell():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-3, 3, 4000), rng.normal(size=4000)
    new = innovations(np.column_stack([a, 0.5 * b + a**2, np.cos(a) - b**3]))
    np.testing.assert_allclose(new.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(new.std(axis=0), 1)
    assert abs(spearmanr(new[:, 1], b).statistic) > 0.98


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="expected one of pca, isomap"):
        find_coordinates(np.zeros((9, 5, 1)), 2, "umap")


def test_start_from_pca_is_the_optimum_of_the_linear_beta_vae():
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(400, 6)) * [8, 4, 2, 1, 0.5, 0.2] @ rng.normal(size=(6, 20))).reshape(400, 10, 2)
    drive = np.linspace(-1, 1, 10)[:, None]
    model = build_beta_vae(Network(units=3, blocks=0, latents=6, linear_path=True), drive, 2, seed=0)
    start_from_pca(model, x, np.arange(6))
    pca = PCA(6).fit(x.reshape(400, -1))
    noise = np.minimum(0.5 * pca.explained_variance_[5] / pca.explained_variance_, 1)
    scores = pca.transform(x.reshape(400, -1)) * (1 - noise)
    expected = scores @ pca.components_ + pca.mean_
    np.testing.assert_allclose(reconstruct(model, x).reshape(400, -1), expected, atol=2e-4)
    start_from_pca(model, x, np.array([0, 2]))
    assert open_channels(model).tolist() == [0, 2]


def test_start_from_isomap_puts_the_coordinates_into_the_encoder(colours):
    rgb, spectra = colours
    spectra = spectra.astype("float32")
    training = Training(epochs=1, batch=100, learning_rate=1e-2, priming=0)
    coordinates = find_coordinates(spectra, 16, "isomap")
    model = build_beta_vae(Network(units=8, blocks=0, latents=5), toy.time_steps()[:, None], 1, seed=0)
    before = np.square(reconstruct(model, spectra) - spectra).mean()
    start_from_isomap(model, spectra, coordinates, training, lambda x, y: shuffled_batches(x, y, 100, 0))
    means = encode(model, spectra)[0]
    assert open_channels(model).tolist() == [0, 1, 2] and (means[:, 3:] == 0).all()
    targets = innovations(coordinates.values[:, coordinates.kept])
    assert [np.corrcoef(means[:, i], targets[:, i])[0, 1] > 0.5 for i in (0, 1)] == [True, True]
    assert np.square(decode(model, means) - spectra).mean() < 0.6 * before
