"""Controls: equal sizes, what the shuffle may and may not change, and their scores."""

from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from helpers import autoencoders, controls
from helpers.beta_vae import build_beta_vae, parameter_count
from helpers.controls import CONTROLS, Benchmark, beps_benchmark, run_control, step_permutation, toy_benchmark
from helpers.figures.sensitivity import UNSETTLED, figure_controls
from helpers.profiles import AdditiveNetwork, Training, get_profile
from helpers.scans.scan import heldout_blocks, simulated_scan
from helpers.schedule import annealed_path

TRAINING = Training(epochs=2, batch=64, learning_rate=1e-2)
NETWORK = AdditiveNetwork(units=4, layers=1, patch=5, branch=4)
SMALL = replace(
    get_profile("smoke"), toy_spectra=128, gamut_spectra=100, twin_shape=(10, 10), toy_network=NETWORK,
    toy_training=TRAINING, beps_network=replace(NETWORK, joint=6, linear=True), beps_training=TRAINING)


@pytest.fixture(scope="module")
def toy():
    return toy_benchmark(SMALL, seed=0)


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(0, SMALL.twin_shape)


@pytest.fixture(scope="module")
def beps(scan):
    return beps_benchmark(SMALL, scan)


def built(name: str, of: Benchmark, seed: int = 0):
    """The network of a control, as `controls` builds it."""
    network = replace(of.network, latents=of.channels)
    return getattr(autoencoders, f"build_{name}")(network, of.drive, of.spectra.shape[-1], seed)


def score(metrics: dict[str, float], name: str) -> float:
    return next(value for key, value in metrics.items() if key.endswith(f".{name}"))


@pytest.mark.parametrize("steps", [25, 96])
def test_shuffle_is_one_permutation_that_leaves_few_neighbours(steps):
    order = step_permutation(steps)
    assert sorted(order) == list(range(steps)) and np.array_equal(order, step_permutation(steps))
    assert (np.abs(np.diff(order)) == 1).mean() < 0.2


def test_shuffled_spectra_keep_the_drive_and_paired_ones_take_it_along(toy):
    order = step_permutation(25)
    shuffled, paired = toy.ordered("shuffled"), toy.ordered("paired")
    np.testing.assert_array_equal(shuffled.heldout, toy.heldout[:, order])
    np.testing.assert_array_equal(shuffled.drive, toy.drive)
    np.testing.assert_array_equal(paired.spectra, shuffled.spectra)
    np.testing.assert_array_equal(paired.drive, toy.drive[order])
    assert toy.ordered("kept") is toy


def test_pca_is_indifferent_to_the_shuffle_and_its_scores_are_those_of_a_direct_computation(toy, beps, tmp_path):
    for benchmark, names in ((beps, ("mse", "mse_training")), (toy, ("mse", "mse_training", "spearman"))):
        found, shuffled = (run_control(benchmark, "pca", order, seed=0, folder=tmp_path)
                           for order in ("kept", "shuffled"))
        for name in names:
            assert score(found, name) == pytest.approx(score(shuffled, name), rel=1e-9), name
    x, v = (part[..., 0].astype(float) for part in (toy.spectra, toy.heldout))
    pca = PCA(3, svd_solver="full").fit(x)
    assert score(found, "mse") == pytest.approx(np.mean((pca.inverse_transform(pca.transform(v)) - v) ** 2))
    rho = np.abs(spearmanr(toy.truth, pca.transform(v)).statistic[:3, 3:])
    best = max(rho[range(3), order].mean() for order in permutations(range(3)))
    assert score(found, "spearman") == pytest.approx(best)


def test_training_keeps_the_dense_control_equivariant_to_the_order_of_the_steps(toy):
    """From permuted weights it learns the same from shuffled spectra: order is nothing to it."""
    model, other = (built("dense", toy) for _ in range(2))
    order = step_permutation(25)
    first, *inner, last, bias = model.get_weights()
    other.set_weights([first[order], *inner, last[:, order], bias[order]])
    before = np.array(model(toy.heldout))
    np.testing.assert_allclose(other(toy.heldout[:, order]), before[:, order], atol=1e-5)
    controls._fit(model, toy, seed=0)
    controls._fit(other, toy.ordered("shuffled"), seed=0)
    after = np.array(model(toy.heldout))
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(other(toy.heldout[:, order]), after[:, order], atol=2e-3)


def similarity(of: Benchmark, seeds: range) -> np.ndarray:
    """Likeness of held-out spectra to random networks: normalised Gram matrix, averaged over seeds."""
    grams = []
    for seed in seeds:
        z = np.array(built("lstm", of, seed).get_layer("encoder")(of.heldout))
        gram = (z - z.mean(axis=0)) @ (z - z.mean(axis=0)).T
        grams.append(gram / np.linalg.norm(gram))
    return np.mean(grams, axis=0)


def test_shuffle_changes_what_random_recurrent_networks_see(toy, monkeypatch):
    """Measured against the difference between two sets of random networks on the same spectra."""
    monkeypatch.setitem(controls.CHANNELS, "toy", 64)
    wide = replace(toy, network=replace(NETWORK, units=16, patch=1))  # step by step, as every recurrent network can
    kept, again = (similarity(wide, seeds) for seeds in (range(2), range(2, 4)))
    shuffled = similarity(wide.ordered("shuffled"), range(2, 4))
    assert np.linalg.norm(shuffled - kept) / np.linalg.norm(again - kept) > 1.5


@pytest.mark.parametrize("size", [pytest.param("smoke", marks=pytest.mark.all), "laptop"])
@pytest.mark.parametrize("name", ["toy", "beps"])
def test_controls_have_equal_latents_and_similar_parameters(name, size, request):
    of = request.getfixturevalue(name)
    of = replace(of, network=getattr(get_profile(size), f"{name}_network"))
    network = replace(of.network, latents=of.channels)
    full = parameter_count(build_beta_vae(network, of.drive, of.spectra.shape[-1], seed=0))
    for build in ("dense", "lstm"):
        model = built(build, of)
        assert model.get_layer("encoder").output_shape == (None, of.channels)
        assert model.output_shape == (None, *of.spectra.shape[1:])
        assert parameter_count(model) == pytest.approx(full, rel=0.2)


def test_lstm_control_has_neither_noise_nor_penalty_and_gives_the_same_scores_again_as_flat_floats(toy, tmp_path):
    model, x = built("lstm", toy), toy.spectra[:20]
    np.testing.assert_array_equal(model(x, training=True), model(x, training=False))
    assert sum(map(float, model.losses)) == 0
    found, again = (run_control(toy, "lstm", "shuffled", seed=3, folder=tmp_path) for _ in range(2))
    names = {"parameters", "channels", "mse", "mse_training", "seconds", "epochs", "converged", "spearman"}
    assert set(found) == {f"toy.control.lstm.shuffled.{name}" for name in names}
    assert all(type(value) is float for value in found.values())
    assert 0 < score(found, "mse") == score(again, "mse") < 2 and 0 <= score(found, "spearman") <= 1


@pytest.mark.parametrize(("model", "network", "training"), [
    ("vae_few_latents", {"latents": 5}, {}), ("vae_full", {}, {}), ("vae_mixed", {"branch": 0}, {}),
    ("vae_beta0", {}, {"schedule": "none", "shown": 16}), ("vae_dense_encoder", {"layers": 0}, {})])
def test_full_models_differ_in_what_their_names_say(beps, tmp_path, monkeypatch, model, network, training):
    asked = {}

    def train(network, training, spectra, drive, **options):
        asked.update(network=network, training=training, spectra=spectra, path=options["path"])
        return SimpleNamespace(model=build_beta_vae(network, drive, 2, seed=0), seconds=1.0,
                               restore_chosen=lambda: asked.update(restored=True))

    monkeypatch.setattr(controls, "train", train)
    run_control(beps, model, "shuffled", seed=0, folder=tmp_path)
    assert asked["network"] == replace(beps.network, **network)
    assert asked["training"] == replace(beps.training, **training) and asked["restored"]
    np.testing.assert_array_equal(asked["spectra"], beps.ordered("shuffled").spectra)
    # β falls as for the spectra in order: shuffled, they would look like noise.
    np.testing.assert_array_equal(asked["path"], annealed_path(beps.spectra, 16, beps.training.epochs))


def test_beps_trains_on_the_pixels_that_are_not_held_out(scan, beps):
    held = heldout_blocks(scan.shape, SMALL.heldout_every)
    assert len(beps.heldout) == held.sum() and len(beps.spectra) == (~held).sum()
    whole = beps_benchmark(replace(SMALL, heldout_every=0), scan)
    assert len(whole.spectra) == len(whole.heldout) == held.size
    unusable = np.zeros(scan.shape, bool)
    unusable[0, :3] = True
    fewer = beps_benchmark(SMALL, replace(scan, unusable=unusable))
    assert len(fewer.spectra) + len(fewer.heldout) == held.size - 3


def test_gaps_and_unknown_names_are_refused_and_a_training_that_explodes_is_no_silent_number(toy, tmp_path):
    broken = toy.spectra.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="toy: some of the spectra are NaN or infinite"):
        replace(toy, spectra=broken)
    wild = replace(toy, training=replace(TRAINING, learning_rate=1e30, clip_norm=None, cosine=False))
    with pytest.raises(FloatingPointError, match="toy dense kept: the error is"):
        run_control(wild, "dense", "kept", seed=0, folder=tmp_path)
    for model, order in (("lstn", "kept"), ("dense", "reversed")):
        with pytest.raises(ValueError, match="is unknown: expected one of .*; correct the name"):
            run_control(toy, model, order, seed=0, folder=tmp_path)


def test_figure_draws_every_run_of_every_model_that_is_there():
    rng = np.random.default_rng(0)
    runs = [{f"{name}.control.{model}.{order}.mse": rng.uniform(0.005, 0.1) for name in ("toy", "beps")
             for model in CONTROLS for order in ("kept", "shuffled") if model != "vae_beta0" or order == "kept"}
            for _ in range(2)]
    runs[0]["toy.control.lstm.kept.converged"] = 0
    wide = {"toy": 0.02, "beps": 0.01}
    figure = figure_controls(runs, wide, source="twin")
    assert any("simulated" in text.get_text() for text in figure.texts)
    for ax, name in zip(figure.axes[:2], ("toy", "beps"), strict=True):
        assert len(ax.get_yticks()) == len(CONTROLS) - 1
        drawn = np.sort(np.concatenate([line.get_xdata() for line in ax.lines if line.get_gid() == "run"]))
        expected = np.sort([value for run in runs for key, value in run.items()
                            if key.startswith(f"{name}.") and key.endswith(".mse") and ".pca." not in key])
        np.testing.assert_allclose(drawn, expected)
        assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [wide[name]]
        unsettled = [line for line in ax.lines if line.get_gid() == "run" and line.get_color() == UNSETTLED]
        assert len(unsettled) == (name == "toy")
    figure = figure_controls([{"toy.control.dense.kept.mse": 0.1}], wide, source="measured")
    assert [len(ax.get_yticks()) for ax in figure.axes[:2]] == [1, 0]
