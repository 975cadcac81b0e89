"""Linear models of equal size against bounds, closed forms and known dictionaries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA, DictionaryLearning, sparse_encode
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler, normalize

from helpers import dictionary, toy
from helpers.dictionary import lasso_codes, learn_dictionary, pca_errors
from helpers.linear import compare, kernel_ridge, kernel_ridge_over_pca, refit_on_support

NAMES = ["PCA", "SVD, uncentred", "DL, lasso", "DL, lasso refit", "DL, OMP", "Mini-batch DL, lasso", "Sparse PCA",
         "NMF, shifted", "FastICA", "k-means"]


def toy_spectra(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    training, gamut = (toy.spectra(toy.sample_rgb(n, 0, stream)) for stream in ("training", "gamut"))
    scaler = StandardScaler().fit(training)
    return scaler.transform(training), scaler.transform(gamut)


def mse_by_name(training: np.ndarray, spectra: np.ndarray) -> dict[str, float]:
    return {row.name: row.mse for row in compare(training, spectra, 3, 0, sparsity=0.57, iterations=30)}


@settings(max_examples=settings.default.max_examples // 5)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), count=st.integers(12, 40),
       offset=st.sampled_from([0.0, 3.0, -50.0]), power=st.sampled_from([1, 3]),
       sparsity=st.sampled_from([0.01, 0.5, 2.0]))
def test_no_linear_model_is_below_pca_on_the_training_spectra(seed, n, count, offset, power, sparsity):
    rng = np.random.default_rng(seed)
    spectra = rng.normal(size=(count, 7)) ** power * rng.exponential(size=7) + offset
    rows = compare(spectra, spectra, n, seed, sparsity=sparsity, iterations=15)
    assert [row.name for row in rows] == NAMES
    bound = np.square(np.linalg.svd(spectra - spectra.mean(0), compute_uv=False))[n:].sum() / spectra.size
    assert rows[0].mse == pytest.approx(bound, rel=1e-6)
    for row in rows:
        assert row.mse >= bound * (1 - 1e-6), row.name


def test_errors_are_closed_forms_ordered_by_freedom_better_than_the_mean_and_repeatable():
    training, gamut = toy_spectra()
    trained, unseen = mse_by_name(training, training), mse_by_name(training, gamut)
    assert unseen == mse_by_name(training, gamut)
    assert unseen["PCA"] == pytest.approx(pca_errors(training, gamut)[2], rel=1e-9)
    assert unseen["FastICA"] == pytest.approx(unseen["PCA"], rel=1e-9)
    beyond = np.square(np.linalg.svd(training, compute_uv=False))[3:].sum() / training.size
    assert trained["SVD, uncentred"] == pytest.approx(beyond, rel=1e-9)
    assert min(trained.values()) >= trained["PCA"] * (1 - 1e-9)
    assert max(*trained.values(), *unseen.values()) < 0.5
    assert trained["DL, OMP"] < trained["DL, lasso refit"] < trained["DL, lasso"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # whitening of a rank of 3 with 4 components
def test_nmf_finds_shifted_parts_and_kmeans_replaces_a_spectrum_by_its_centre():
    rng = np.random.default_rng(3)
    weights = rng.random((60, 2))
    weights[:2] = np.eye(2)
    parts = np.zeros((2, 8))
    parts[0, :4], parts[1, 4:] = rng.uniform(1, 2, (2, 4))
    spectra = weights @ parts - 3
    nmf = compare(spectra, spectra, 2, 0, iterations=30)[NAMES.index("NMF, shifted")]
    assert nmf.mse < 1e-5 * spectra.var()
    centres = 10 * np.random.default_rng(1).normal(size=(4, 9))
    spectra = np.repeat(centres, 8, axis=0)
    kmeans = compare(spectra, centres + 0.1, 4, 0, iterations=5)[NAMES.index("k-means")]
    assert kmeans.mse == pytest.approx(0.01)


def test_fits_that_stop_short_say_so_nothing_leaks_and_a_size_that_cannot_be_is_refused(recwarn):
    training, gamut = toy_spectra(100)
    converged = {row.name: row.converged for row in compare(training, gamut, 3, 0, iterations=1)}
    assert converged["PCA"] and not converged["DL, lasso"] and not converged["NMF, shifted"]
    assert not recwarn.list
    for n in (0, 7, 9):
        with pytest.raises(ValueError, match=f"n is {n}: expected 1 to 6 components"):
            compare(np.ones((20, 7)), np.ones((2, 7)), n, 0)


def optimality_gap(spectra, atoms, codes, sparsity):
    """How far 0 is from the subdifferential of ½‖x − Dγ‖² + λ‖γ‖₁ (Tibshirani, J. R. Stat. Soc. B 1996)."""
    slope = (spectra - codes @ atoms) @ atoms.T
    unused = np.maximum(np.abs(slope) - sparsity, 0)
    return np.where(codes, np.abs(slope - sparsity * np.sign(codes)), unused).max()


@pytest.mark.parametrize("sparsity", [0.05, 0.57, 40.0])
def test_lasso_codes_meet_the_optimality_conditions(sparsity):
    training, _ = toy_spectra(60)
    model = learn_dictionary(training, 3, sparsity, 3000, 0)
    codes = model.transform(training)
    assert optimality_gap(training, model.components_, codes, sparsity) < 1e-6 * sparsity
    assert codes.any() == (sparsity < 40)


def test_nearly_collinear_and_empty_atoms_are_coded_to_the_optimum(monkeypatch):
    """Curves on an offset far larger than they are: 1000 passes of coordinate descent do not suffice."""
    rng = np.random.default_rng(0)
    atoms = normalize(1 + 0.05 * rng.normal(size=(5, 30)))
    spectra = rng.uniform(0, 3, (40, 5)) @ atoms + 0.01 * rng.normal(size=(40, 30))
    atoms = np.vstack([atoms, np.zeros(30)])
    codes = lasso_codes(spectra, atoms, 0.01)
    assert optimality_gap(spectra, atoms, codes, 0.01) < 1e-8
    assert not codes[:, 5].any()
    again = lasso_codes(spectra, atoms, 0.01, start=codes + rng.normal(size=codes.shape))
    np.testing.assert_allclose(again, codes, atol=1e-4)
    monkeypatch.setattr(dictionary, "PASSES", 1000)
    with pytest.warns(ConvergenceWarning, match="spectra did not settle within 1000 passes: expected less nearly"):
        lasso_codes(spectra, atoms, 0.01)
    spectra[3, 2] = np.nan
    with pytest.raises(ValueError, match="some spectra or atoms are NaN or infinite: expected finite numbers"):
        lasso_codes(spectra, atoms, 0.01)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of scikit-learn
@pytest.mark.parametrize("scale", [1, 1e4])
def test_codes_are_those_of_scikit_learn_of_spectra_far_larger_than_the_penalty_too(scale):
    training, gamut = toy_spectra(40)
    spectra, atoms = scale * gamut, normalize(training[::8])
    expected = sparse_encode(spectra, atoms, algorithm="lasso_cd", alpha=0.3, max_iter=20_000)
    found = lasso_codes(spectra, atoms, 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-3 * scale)
    assert optimality_gap(spectra, atoms, found, 0.3) < 3e-7


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # with a tolerance of 0
@pytest.mark.parametrize("atoms, sparsity", [(3, 0.57), (2, 2.0)])
def test_a_dictionary_is_that_of_scikit_learn(atoms, sparsity):
    training, gamut = toy_spectra(150)
    known = DictionaryLearning(atoms, alpha=sparsity, transform_alpha=sparsity, max_iter=40, tol=0, random_state=0,
                               fit_algorithm="cd", transform_algorithm="lasso_cd").fit(training)
    found = learn_dictionary(training, atoms, sparsity, 40, 0, tolerance=0)
    np.testing.assert_allclose(found.components_, known.components_, atol=1e-3)
    np.testing.assert_allclose(found.error_, known.error_, rtol=1e-5)
    np.testing.assert_allclose(found.transform(gamut), known.transform(gamut), atol=0.01)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # codes of such atoms are not unique
def test_more_atoms_than_features_are_drawn_from_the_spectra():
    training, _ = toy_spectra(40)
    model = learn_dictionary(training[:, :3], 5, 0.1, 20, 0)
    assert model.components_.shape == (5, 3)
    assert np.linalg.norm(model.components_, axis=1) == pytest.approx(1)


def test_a_settled_objective_stays_one_that_is_not_is_named_and_a_titled_fit_has_a_bar(capsys):
    training, _ = toy_spectra(80)
    settled, longer = (learn_dictionary(training, 3, 0.57, 3000, 0, tolerance) for tolerance in (1e-6, 1e-10))
    assert settled.n_iter_ < longer.n_iter_ < 3000
    assert settled.error_[-1] == pytest.approx(longer.error_[-1], rel=1e-4)
    with pytest.warns(ConvergenceWarning,
                      match="3 atoms at λ = 0.57: the objective did not settle within 4 iterations"):
        learn_dictionary(training, 3, 0.57, 4, 0)
    assert not capsys.readouterr().err
    learn_dictionary(training[:50], 2, 0.57, 500, 0, title="toy")
    assert "toy: " in capsys.readouterr().err


def test_refit_is_least_squares_on_each_support():
    rng = np.random.default_rng(0)
    atoms, spectra = rng.normal(size=(5, 12)), rng.normal(size=(40, 12))
    codes = rng.normal(size=(40, 5)) * (rng.random((40, 5)) < 0.5)
    codes[0] = 0
    refitted = refit_on_support(spectra, atoms, codes)
    for spectrum, code, fitted in zip(spectra, codes, refitted, strict=True):
        assert not fitted[code == 0].any()
        chosen = atoms[code != 0]
        np.testing.assert_allclose(chosen @ (spectrum - fitted @ atoms), 0, atol=1e-10)


def test_only_a_coding_at_1_has_its_minimum_inside_the_grid():
    training, gamut = toy_spectra(120)
    errors = dictionary.errors_along_lambda(training, gamut, 3, (0.1, 0.4, 1.0, 1.6), 0, iterations=200)
    own, at_one = errors["coded at its own λ"], errors["coded at λ = 1"]
    assert (np.diff(own) > 0).all()
    assert at_one.argmin() in (1, 2)
    assert own[2] == at_one[2]


def test_kernel_ridge_follows_a_curve_that_one_component_cannot():
    """A parabola in the plane: its first component tells the rest, but not linearly."""
    t = np.random.default_rng(0).uniform(-1, 1, (250, 1))
    x = np.hstack([t, t**2, t**3])
    rival = kernel_ridge(x[:200], np.arange(200) // 10, 1)
    pca = PCA(1).fit(x[:200])
    error, linear = (np.square(made - x[200:]).mean()
                     for made in (rival.predict(x[200:]), pca.inverse_transform(pca.transform(x[200:]))))
    assert error < 0.01 * linear
    wide = np.pad(x, ((0, 0), (0, 13)))  # `pca_errors` takes PCA to 16 components
    assert kernel_ridge_over_pca(wide[:200], wide[200:], np.arange(200) // 10, 1) == pytest.approx(error / linear)
