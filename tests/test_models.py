from dataclasses import replace

import keras
import numpy as np
import pytest

from helpers.beta_vae import (
    active_channels,
    build_beta_vae,
    decode,
    encode,
    keep_open,
    kl_divergence,
    l1_layers,
    load_beta_vae,
    mean_kl,
    open_channels,
    parameter_count,
    reconstruct,
)
from helpers.profiles import Network, get_profile

SMALL = Network(units=4, blocks=1, latents=3)
LINEAR = Network(units=4, blocks=0, latents=6, linear_path=True)
DRIVE = np.linspace(-1, 1, 10)[:, None]


def spectra(n=64, steps=10, channels=1, seed=0):
    return np.random.default_rng(seed).normal(size=(n, steps, channels)).astype("float32")


def test_kl_equals_its_integral():
    mean, log_variance = 0.7, -1.2
    deviation = np.exp(log_variance / 2)
    z = np.linspace(mean - 12 * deviation, mean + 12 * deviation, 20_001)
    q = np.exp(-((z - mean) ** 2) / (2 * deviation**2)) / (deviation * np.sqrt(2 * np.pi))
    log_ratio = -0.5 * ((z - mean) / deviation) ** 2 - np.log(deviation) + z**2 / 2
    expected = np.trapezoid(q * log_ratio, z)
    assert float(kl_divergence(np.float64(mean), np.float64(log_variance))) == pytest.approx(expected, rel=1e-6)


def test_kl_of_the_prior_is_zero():
    np.testing.assert_allclose(kl_divergence(np.zeros((2, 3)), np.zeros((2, 3))), 0)


@pytest.mark.parametrize(("of", "steps", "channels", "total"), [
    ("toy", 25, 1, 5_019_039), ("beps", 96, 2, 5_017_922),
])
def test_paper_network_has_the_original_number_of_parameters(of, steps, channels, total):
    network = getattr(get_profile("paper"), f"{of}_network")
    model = build_beta_vae(network, np.zeros((steps, 1)), channels, seed=0)
    moving = [w for w in model.non_trainable_weights if "moving" in w.path]
    assert parameter_count(model) + sum(int(np.prod(w.shape)) for w in moving) == total


@pytest.mark.parametrize(("before", "penalties"), [(False, 1), (True, 2)])
def test_l1_before_the_latents_is_an_option(before, penalties):
    """The paper penalises the layer after sampling alone; the parameters are the same."""
    network = Network(units=4, blocks=0, latents=3, paper_embedding=True, drive_input=False, l1_before_latents=before)
    model = build_beta_vae(network, DRIVE, 1, seed=0)
    assert len(l1_layers(model)) == penalties
    assert parameter_count(model) == parameter_count(build_beta_vae(
        replace(network, l1_before_latents=False), DRIVE, 1, seed=0))


def test_loss_is_mse_plus_beta_kl():
    model = build_beta_vae(SMALL, DRIVE, 1, seed=0)
    model.compile("sgd", "mse")
    x = spectra()
    plain = model.evaluate(x, x, batch_size=64, verbose=0, return_dict=True)["loss"]
    model.get_layer("latents").beta.assign(0.3)
    weighted = model.evaluate(x, x, batch_size=64, verbose=0, return_dict=True)["loss"]
    assert weighted - plain == pytest.approx(0.3 * mean_kl(model, x).sum(), rel=1e-4)


def test_outside_training_the_posterior_mean_is_decoded():
    model = build_beta_vae(SMALL, DRIVE, 1, seed=0)
    x = spectra()
    np.testing.assert_allclose(model.predict(x, verbose=0), reconstruct(model, x), atol=1e-6)
    assert np.abs(model(x, training=True) - model(x, training=True)).max() > 0


def test_the_reconstruction_depends_on_the_order_of_the_steps():
    model = build_beta_vae(SMALL, DRIVE, 1, seed=0)
    x = spectra()
    assert np.abs(encode(model, x)[0] - encode(model, x[:, ::-1])[0]).max() > 1e-3


def test_closed_channels_pass_nothing_on():
    model = build_beta_vae(SMALL, DRIVE, 1, seed=0)
    x = spectra()
    before = encode(model, x)[0]
    keep_open(model, np.array([0, 2]))
    assert open_channels(model).tolist() == [0, 2]
    assert np.flatnonzero(mean_kl(model, x)).tolist() == [0, 2]
    without = before * [1, 0, 1]
    np.testing.assert_allclose(reconstruct(model, x), decode(model, without), atol=1e-6)
    np.testing.assert_allclose(model(x, training=True)[0].shape, x[0].shape)


def test_active_channels_come_by_falling_kl():
    assert active_channels(np.array([0.05, 2.0, 0.11, 3.0])) == [3, 1, 2]


def test_weights_survive_a_round_trip_and_a_wrong_network_is_refused(tmp_path):
    model = build_beta_vae(SMALL, DRIVE, 1, seed=3)
    model.save_weights(tmp_path / "a.weights.h5")
    again = load_beta_vae(tmp_path / "a.weights.h5", SMALL, DRIVE, 1)
    z = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(decode(model, z), decode(again, z))
    with pytest.raises(ValueError, match="a.weights.h5 does not hold the weights"):
        load_beta_vae(tmp_path / "a.weights.h5", Network(units=5, blocks=1, latents=3), DRIVE, 1)


def test_only_keras_is_used_by_the_model():
    assert keras.backend.backend() in ("tensorflow", "jax", "torch")
    source = (get_profile.__code__.co_filename).replace("profiles.py", "beta_vae.py")
    with open(source, encoding="utf-8") as file:
        text = file.read()
    assert "import tensorflow" not in text and "import jax" not in text
