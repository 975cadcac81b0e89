"""Networks that the companion's β-VAE is compared with: dense, and recurrent without noise."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np

from helpers.additive import build_decoder, build_encoder
from helpers.backend import keras, layers
from helpers.beta_vae import build_beta_vae, parameter_count
from helpers.profiles import AdditiveNetwork


def _chain(name: str, shape: tuple[int, ...], *steps: layers.Layer) -> keras.Model:
    start = keras.Input(shape)
    return keras.Model(start, reduce(lambda x, layer: layer(x), steps, start), name=name)


def _autoencoder(encoder: keras.Model, decoder: keras.Model) -> keras.Model:
    return keras.Model(encoder.input, decoder(encoder(encoder.input)), name="autoencoder")


def build_dense(network: AdditiveNetwork, drive: np.ndarray, channels: int, seed: int) -> keras.Model:
    """Autoencoder of two hidden ReLU layers a side: nonlinear, but without any notion of order.

    They have the width whose number of parameters, quadratic in it, is nearest to that of the β-VAE. It is not given
    the drive, which would be one more bias.
    """
    shape = (len(drive), channels)

    def build(width: int) -> keras.Model:
        hidden = [layers.Dense(width, activation="relu") for _ in range(4)]
        encoder = _chain("encoder", shape, layers.Flatten(), *hidden[:2], layers.Dense(network.latents))
        decoder = _chain("decoder", (network.latents,), *hidden[2:], layers.Dense(prod(shape)),
                         layers.Reshape(shape))
        return _autoencoder(encoder, decoder)

    target = parameter_count(build_beta_vae(network, drive, channels, seed))
    quadratic = np.polyfit([1, 2, 3], [parameter_count(build(width)) for width in (1, 2, 3)], 2)
    width = max(np.roots(quadratic - [0, 0, target]).real)
    keras.utils.set_random_seed(seed)
    return build(max(1, round(width)))


def build_lstm(network: AdditiveNetwork, drive: np.ndarray, channels: int, seed: int) -> keras.Model:
    """The full network as a plain autoencoder: no latent noise, β = 0."""
    keras.utils.set_random_seed(seed)
    both = build_encoder(network, drive, channels)
    means_only = keras.Model(both.input, both.outputs[0], name="encoder")
    return _autoencoder(means_only, build_decoder(network, drive, channels))
