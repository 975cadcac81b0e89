"""Controls: equal sizes, what the shuffle may and may not change, and their scores."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from helpers import autoencoders, controls
from helpers.controls import Benchmark, CONTROLS, beps_benchmark, run_control, step_permutation, toy_benchmark
from helpers.coordinates import find_coordinates
from helpers.scans.scan import heldout_blocks, simulated_scan
from helpers.figures.sensitivity import figure_controls
from helpers.beta_vae import build_beta_vae, parameter_count
from helpers.dictionary import pca_errors
from helpers.profiles import Network, Training, get_profile
from helpers.start import start_from_pca

TRAINING = Training(epochs=2, batch=64, learning_rate=1e-2, priming=1)
SMALL = replace(
    get_profile("smoke"), toy_spectra=128, gamut_spectra=100, twin_shape=(10, 10),
    toy_network=Network(units=4, blocks=0), toy_training=TRAINING,
    beps_network=Network(units=4, blocks=0, linear_path=True), beps_training=TRAINING)


@pytest.fixture(scope="module")
def toy():
    return toy_benchmark(SMALL, seed=0)


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(0, SMALL.twin_shape)


@pytest.fixture(scope="module")
def beps(scan):
    return beps_benchmark(SMALL, scan)


def built(name: str, benchmark: Benchmark, seed: int = 0):
    """The network of a control, as `controls` builds it."""
    network = replace(benchmark.network, latents=benchmark.channels)
    build = getattr(autoencoders, f"build_{name}")
    return build(network, benchmark.drive, benchmark.spectra.shape[-1], seed)


def score(metrics: dict[str, float], name: str) -> float:
    return next(value for key, value in metrics.items() if key.endswith(f".{name}"))


@pytest.mark.parametrize("steps", [25, 96])
def test_shuffle_is_one_permutation_that_leaves_few_neighbours(steps):
    order = step_permutation(steps)
    assert sorted(order) == list(range(steps))
    assert np.array_equal(order, step_permutation(steps))
    assert (np.abs(np.diff(order)) == 1).mean() < 0.2


def test_shuffled_spectra_keep_the_drive_and_paired_ones_take_it_along(toy):
    order = step_permutation(25)
    shuffled, paired = toy.ordered("shuffled"), toy.ordered("paired")
    np.testing.assert_array_equal(shuffled.heldout, toy.heldout[:, order])
    np.testing.assert_array_equal(shuffled.drive, toy.drive)
    np.testing.assert_array_equal(paired.spectra, shuffled.spectra)
    np.testing.assert_array_equal(paired.drive, toy.drive[order])
    assert toy.ordered("kept") is toy


@pytest.mark.parametrize("name", ["toy", "beps"])
def test_pca_is_indifferent_to_the_shuffle(name, request, tmp_path):
    benchmark = request.getfixturevalue(name)
    kept, shuffled = (run_control(benchmark, "pca", order, seed=0, folder=tmp_path)
                      for order in ("kept", "shuffled"))
    for what in {"toy": ("mse", "mse_training", "spearman"), "beps": ("mse", "mse_training")}[name]:
        assert score(kept, what) == pytest.approx(score(shuffled, what), rel=1e-9)


def test_pca_scores_agree_with_a_direct_computation(toy, tmp_path):
    found = run_control(toy, "pca", "kept", seed=0, folder=tmp_path)
    x, v = (part[..., 0].astype(float) for part in (toy.spectra, toy.heldout))
    pca = PCA(3, svd_solver="full").fit(x)
    assert score(found, "mse") == pytest.approx(np.mean((pca.inverse_transform(pca.transform(v)) - v) ** 2))
    rho = np.abs(spearmanr(toy.truth, pca.transform(v)).statistic[:3, 3:])
    best = max(rho[0, i] + rho[1, j] + rho[2, k] for i, j, k in
               [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
    assert score(found, "spearman") == pytest.approx(best / 3)


def test_coordinates_that_start_the_recipe_are_indifferent_to_the_shuffle(toy):
    kept, shuffled = (find_coordinates(toy.ordered(order).spectra.astype(float), 6, "isomap")
                      for order in ("kept", "shuffled"))
    np.testing.assert_allclose(kept.errors, shuffled.errors, rtol=1e-9)
    assert kept.found == shuffled.found


def permuted(weights: list[np.ndarray], order: np.ndarray) -> list[np.ndarray]:
    """Weights of the dense control for spectra whose steps come in `order`."""
    first, *inner, last, bias = weights
    return [first[order], *inner, last[:, order], bias[order]]


def test_dense_control_is_equivariant_to_the_order_of_the_steps(toy):
    model, other = (built("dense", toy) for _ in range(2))
    order = step_permutation(25)
    other.set_weights(permuted(model.get_weights(), order))
    np.testing.assert_allclose(other.predict(toy.heldout[:, order], verbose=0),
                               model.predict(toy.heldout, verbose=0)[:, order], atol=1e-5)


def test_training_keeps_the_dense_control_equivariant(toy):
    """From permuted weights it learns the same from shuffled spectra: order is nothing to it."""
    model, other = (built("dense", toy) for _ in range(2))
    order = step_permutation(25)
    other.set_weights(permuted(model.get_weights(), order))
    before = model.predict(toy.heldout, verbose=0)
    controls._fit(model, toy, seed=0)
    controls._fit(other, toy.ordered("shuffled"), seed=0)
    after = model.predict(toy.heldout, verbose=0)
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(other.predict(toy.heldout[:, order], verbose=0), after[:, order], atol=2e-3)


def test_initial_weights_of_the_dense_control_know_no_order(toy):
    """Rows of the first kernel are drawn alike: a permuted start is as likely as any."""
    wide = replace(toy, network=Network(units=48, blocks=0))
    first = built("dense", wide).get_weights()[0]
    deviation = first.std(axis=1)
    assert first.shape[0] == 25
    assert deviation.max() / deviation.min() < 1.3


def similarity(build, benchmark: Benchmark, seeds: range) -> np.ndarray:
    """Likeness of held-out spectra to random networks: normalised Gram matrix, averaged over seeds."""
    grams = []
    for seed in seeds:
        z = built(build, benchmark, seed).get_layer("encoder").predict(benchmark.heldout, verbose=0)
        gram = (z - z.mean(axis=0)) @ (z - z.mean(axis=0)).T
        grams.append(gram / np.linalg.norm(gram))
    return np.mean(grams, axis=0)


@pytest.mark.parametrize(("build", "ordinal"), [("dense", False), ("lstm", True)])
def test_shuffle_changes_what_random_recurrent_networks_see_but_not_dense_ones(
        toy, monkeypatch, build, ordinal):
    """Measured against the difference between two sets of random networks on the same spectra."""
    monkeypatch.setitem(controls.CHANNELS, "toy", 64)
    wide = replace(toy, network=Network(units=16, blocks=0))
    kept, again = (similarity(build, wide, seeds) for seeds in (range(2), range(2, 4)))
    shuffled = similarity(build, wide.ordered("shuffled"), range(2, 4))
    ratio = np.linalg.norm(shuffled - kept) / np.linalg.norm(again - kept)
    assert ratio > 3 if ordinal else ratio < 1.5


@pytest.mark.parametrize("size", ["smoke", "laptop"])
@pytest.mark.parametrize("name", ["toy", "beps"])
def test_controls_have_equal_latents_and_similar_parameters(name, size, request):
    benchmark = request.getfixturevalue(name)
    benchmark = replace(benchmark, network=getattr(get_profile(size), f"{name}_network"))
    channels = benchmark.spectra.shape[-1]
    network = replace(benchmark.network, latents=benchmark.channels)
    full = parameter_count(build_beta_vae(network, benchmark.drive, channels, seed=0))
    for build in ("dense", "convolutional", "lstm"):
        model = built(build, benchmark)
        assert model.get_layer("encoder").output_shape == (None, benchmark.channels)
        assert model.output_shape == (None, *benchmark.spectra.shape[1:])
        assert parameter_count(model) == pytest.approx(full, rel=0.2)


def test_lstm_control_has_neither_noise_nor_penalty(toy):
    model = built("lstm", toy)
    x = toy.spectra[:20]
    np.testing.assert_array_equal(model(x, training=True), model(x, training=False))
    assert sum(map(float, model.losses)) == 0


def test_linear_control_stays_affine_through_training_and_not_below_pca(beps):
    model = built("linear_vae", beps)
    start_from_pca(model, beps.spectra, np.arange(5))
    fitted = controls._fit(model, beps, seed=0)
    x = beps.spectra
    one, two, middle, model = (fitted.decode(fitted.encode(part)) for part in
                               (x[:5], x[5:10], (x[:5] + x[5:10]) / 2, x))
    np.testing.assert_allclose(middle, (one + two) / 2, atol=1e-5)
    pca = pca_errors(x.reshape(len(x), -1), x.reshape(len(x), -1), 5)[4]
    assert pca <= np.mean((model - x) ** 2) < 10 * pca


def test_same_seed_gives_the_same_scores(toy, tmp_path):
    first, second = (run_control(toy, "dense", "kept", seed=3, folder=tmp_path) for _ in range(2))
    assert score(first, "mse") == score(second, "mse")


@pytest.mark.parametrize(("model", "latents", "linear_path", "start", "share"), [
    ("vae", 5, True, "random", 0.6), ("vae_recurrent", 5, False, "random", 0.6),
    ("vae_recipe", 16, True, "pca", 0.6), ("vae_beta0", 16, True, "pca", 0.0),
])
def test_full_models_differ_in_what_their_names_say(beps, tmp_path, monkeypatch, model, latents, linear_path,
                                                    start, share):
    recipe = replace(beps, training=replace(TRAINING, start="pca"))
    asked = {}

    def train(network, training, spectra, drive, **options):
        asked.update(network=network, training=training, spectra=spectra, drive=drive)
        return SimpleNamespace(model=build_beta_vae(network, drive, 2, seed=0), seconds=1.0)

    monkeypatch.setattr(controls, "train", train)
    run_control(recipe, model, "shuffled", seed=0, folder=tmp_path)
    assert asked["network"] == replace(beps.network, latents=latents, linear_path=linear_path)
    assert asked["training"] == replace(recipe.training, start=start, first_share=share)
    np.testing.assert_array_equal(asked["spectra"], beps.ordered("shuffled").spectra)


@pytest.mark.parametrize("model", ["convolutional", "lstm"])
def test_controls_give_their_scores_as_flat_floats(toy, tmp_path, model):
    found = run_control(toy, model, "shuffled", seed=0, folder=tmp_path)
    names = {"parameters", "channels", "mse", "mse_training", "seconds", "spearman"}
    assert set(found) == {f"toy.control.{model}.shuffled.{name}" for name in names}
    assert all(type(value) is float for value in found.values())
    assert 0 < score(found, "mse") < 2 and 0 <= score(found, "spearman") <= 1


def test_beps_trains_on_the_pixels_that_are_not_held_out(scan, beps):
    held = heldout_blocks(scan.shape, SMALL.heldout_every)
    assert len(beps.heldout) == held.sum() and len(beps.spectra) == (~held).sum()
    whole = beps_benchmark(replace(SMALL, heldout_every=0), scan)
    assert len(whole.spectra) == len(whole.heldout) == held.size
    unusable = np.zeros(scan.shape, bool)
    unusable[0, :3] = True
    fewer = beps_benchmark(SMALL, replace(scan, unusable=unusable))
    assert len(fewer.spectra) + len(fewer.heldout) == held.size - 3


@pytest.mark.parametrize(("model", "order"), [
    ("lstn", "kept"), ("dense", "reversed"), ("vae_linear", "kept"),
])
def test_unknown_names_are_refused(toy, tmp_path, model, order):
    with pytest.raises(ValueError, match="is unknown: expected one of .*; correct the name"):
        run_control(toy, model, order, seed=0, folder=tmp_path)


def test_spectra_with_gaps_are_refused(toy):
    broken = toy.spectra.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="toy: some of the spectra are NaN or infinite"):
        replace(toy, spectra=broken)


def test_a_training_that_explodes_is_no_silent_number(toy, tmp_path):
    wild = replace(toy, training=replace(TRAINING, learning_rate=1e30, clip_norm=None, cosine=False))
    with pytest.raises(FloatingPointError, match="toy dense kept: the error is"):
        run_control(wild, "dense", "kept", seed=0, folder=tmp_path)


def metrics(seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    return {f"{name}.control.{model}.{order}.mse": rng.uniform(0.005, 0.1)
            for name, models in CONTROLS.items() for model in models for order in ("kept", "shuffled")
            if (name, model, order) != ("toy", "vae_random", "shuffled")}


def test_figure_draws_every_run_of_every_model():
    runs = [metrics(0), metrics(1)]
    figure = figure_controls(runs, source="twin")
    assert any("simulated" in text.get_text() for text in figure.texts)
    for ax, name in zip(figure.axes[:2], ("toy", "beps"), strict=True):
        models = [model for model in CONTROLS[name] if model != "pca"]
        assert len(ax.get_yticks()) == len(models)
        drawn = np.sort(np.concatenate([line.get_xdata() for line in ax.lines if line.get_gid() == "run"]))
        expected = np.sort([value for run in runs for key, value in run.items()
                            if key.startswith(f"{name}.") and ".pca." not in key])
        np.testing.assert_allclose(drawn, expected)


def test_figure_of_a_run_that_is_not_complete_leaves_out_what_is_missing():
    figure = figure_controls([{"toy.control.dense.kept.mse": 0.1}], source="measured")
    assert [len(ax.get_yticks()) for ax in figure.axes[:2]] == [1, 0]
