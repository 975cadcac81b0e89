"""Both networks, the KL, and what is read off a β-VAE."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from helpers import beta_vae
from helpers.additive import Patches
from helpers.beta_vae import build_beta_vae, decode, encode, kl_divergence, parameter_count, part_layer, reconstruct
from helpers.paths import ROOT
from helpers.profiles import PAPER_BEPS, PAPER_TOY, AdditiveNetwork, PaperNetwork

PAPERS = PaperNetwork(units=4, blocks=1, latents=3)
ADDITIVE = AdditiveNetwork(units=4, layers=2, patch=4, branch=3, joint=5, linear=True, latents=3)
DRIVE = np.linspace(-1, 1, 10)[:, None]


def spectra(n=64, steps=10, channels=1, seed=0):
    return np.random.default_rng(seed).normal(size=(n, steps, channels)).astype("float32")


@pytest.fixture(scope="module", params=[PAPERS, ADDITIVE], ids=["paper's", "companion's"])
def network(request):
    return request.param


@pytest.fixture(scope="module")
def model(network):
    return build_beta_vae(network, DRIVE, 1, seed=0)


def test_kl_equals_its_integral_and_is_zero_for_the_prior():
    mean, log_variance = 0.7, -1.2
    deviation = np.exp(log_variance / 2)
    z = np.linspace(mean - 12 * deviation, mean + 12 * deviation, 20_001)
    q = np.exp(-((z - mean) ** 2) / (2 * deviation**2)) / (deviation * np.sqrt(2 * np.pi))
    log_ratio = -0.5 * ((z - mean) / deviation) ** 2 - np.log(deviation) + z**2 / 2
    expected = np.trapezoid(q * log_ratio, z)
    assert float(kl_divergence(np.float64(mean), np.float64(log_variance))) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(kl_divergence(np.zeros((2, 3)), np.zeros((2, 3))), 0)


@pytest.mark.parametrize(("papers", "steps", "channels", "total"), [
    (PAPER_TOY, 25, 1, 5_019_039), (PAPER_BEPS, 96, 2, 5_017_922)])
def test_paper_network_has_the_original_number_of_parameters(papers, steps, channels, total):
    model = build_beta_vae(papers, np.zeros((steps, 1)), channels, seed=0)
    moving = [w for w in model.non_trainable_weights if "moving" in w.path]
    assert parameter_count(model) + sum(int(np.prod(w.shape)) for w in moving) == total


@pytest.mark.parametrize(("before", "penalties"), [(False, 1), (True, 2)])
def test_l1_before_the_latents_is_an_option(before, penalties):
    """The paper penalises the layer after sampling alone; the parameters are the same."""
    model = build_beta_vae(replace(PAPERS, l1_before_latents=before), DRIVE, 1, seed=0)
    assert len(part_layer(model, "embedding_l1")) == penalties
    assert parameter_count(model) == parameter_count(build_beta_vae(PAPERS, DRIVE, 1, seed=0))


def test_loss_is_mse_plus_beta_kl(model):
    model.compile("sgd", "mse")
    x = spectra()
    silent = np.zeros((len(x), beta_vae.embedding_size(model)))
    losses = []
    for beta in (0.0, 1e3):
        model.get_layer("latents").beta.assign(beta)
        losses.append(model.evaluate((x, silent), x, batch_size=64, verbose=0, return_dict=True)["loss"])
    assert losses[1] - losses[0] == pytest.approx(1e3 * beta_vae.mean_kl(model, x).sum(), rel=1e-4)


def test_latents_are_posterior_mean_and_deviation_times_noise_and_depend_on_the_order_of_the_steps(model):
    x = spectra()
    mean, log_variance = encode(model, x)
    noise = np.random.default_rng(1).standard_normal(mean.shape).astype("float32")
    np.testing.assert_allclose(model.predict((x, 0 * noise), verbose=0), reconstruct(model, x), atol=1e-6)
    drawn = decode(model, mean + np.exp(log_variance / 2) * noise)
    np.testing.assert_allclose(model.predict((x, noise), verbose=0), drawn, atol=1e-5)
    assert np.abs(encode(model, x)[0] - encode(model, x[:, ::-1])[0]).max() > 1e-3


def test_patches_hold_every_step_beside_its_drive_and_end_in_zeros():
    x = spectra(n=2, steps=10, channels=2)
    read = np.array(Patches(4, DRIVE)(x))
    assert read.shape == (2, 3, 12)
    together = np.concatenate([x, np.broadcast_to(DRIVE, (2, 10, 1))], axis=-1)
    np.testing.assert_array_equal(read.reshape(2, 12, 3)[:, :10], together.astype("float32"))
    assert not read.reshape(2, 12, 3)[:, 10:].any()


def made_of(model, z):
    return decode(model, z.astype("float32"))


def test_the_decoder_adds_up_what_channels_contribute_until_the_joint_term_opens_and_an_ordinary_one_does_not():
    model = build_beta_vae(ADDITIVE, DRIVE, 2, seed=0)
    gate = part_layer(model, "joint")[0]
    for layer in part_layer(model, "joint3"):
        layer.set_weights([np.ones_like(weights) for weights in layer.get_weights()])
    z = np.random.default_rng(0).normal(size=(50, 3))
    each = [np.where(np.arange(3) == k, z, 0) for k in range(3)]
    additive = []
    for is_open in (0.0, 1.0):
        gate.open.assign(is_open)
        apart = sum(made_of(model, part) for part in each) - 2 * made_of(model, 0 * z)
        additive.append(np.abs(apart - made_of(model, z)).max())
    assert additive[0] < 1e-5 < 0.01 < additive[1]
    model = build_beta_vae(replace(ADDITIVE, branch=0), DRIVE, 1, seed=0)
    assert not part_layer(model, "branches") and not part_layer(model, "joint")
    assert made_of(model, np.ones((2, 3))).shape == (2, 10, 1)


def test_active_channels_come_by_falling_kl():
    assert beta_vae.active_channels(np.array([0.05, 2.0, 0.11, 3.0])) == [3, 1, 2]


def test_every_weight_survives_a_round_trip_and_none_is_skipped(network, model, tmp_path):
    path = tmp_path / "a.weights.h5"
    model.save_weights(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping")
        again = beta_vae.load_beta_vae(path, network, DRIVE, 1)
    for stored, read in zip(model.get_weights(), again.get_weights(), strict=True):
        assert stored.tobytes() == read.tobytes()
    with pytest.raises(ValueError, match="a.weights.h5 does not hold the weights"):
        beta_vae.load_beta_vae(path, replace(network, units=5), DRIVE, 1)


@pytest.mark.parametrize(("variables", "says"), [
    ({}, "tensorflow float32 1e-07"),
    ({"KERAS_BACKEND": "torch"}, "KERAS_BACKEND is 'torch': expected one of tensorflow, jax")])
def test_the_users_keras_file_changes_nothing(tmp_path, variables, says):
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "backend": "torch", "epsilon": 1e-3}')
    code = ("import helpers.backend as b; "
            "print(b.keras.backend.backend(), b.keras.config.floatx(), b.keras.config.epsilon())")
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False,
                          env=environment | {"KERAS_HOME": str(tmp_path)} | variables)
    assert says in done.stdout + done.stderr.strip().splitlines()[-1] if done.stderr else says in done.stdout
    assert "cuda" not in done.stderr.lower()
