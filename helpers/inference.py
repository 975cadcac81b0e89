"""Embeddings, reconstructions and channel statistics of a β-VAE."""

from __future__ import annotations

import logging

import keras
import numpy as np

from helpers.metrics import ACTIVE_KL_NAT
from helpers.beta_vae import kl_divergence

# TensorFlow warns of a new trace for each size of a last batch; three are expected here.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

PREDICTION_BATCH = 1000


def l1_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The L1 penalties of encoder and decoder."""
    parts = (model.get_layer("encoder"), model.get_layer("decoder"))
    return [layer for part in parts for layer in part.layers if layer.name == "embedding_l1"]


def parameter_count(model: keras.Model) -> int:
    """Trained numbers of the network."""
    return int(sum(np.prod(weights.shape) for weights in model.trainable_weights))


def embedding_size(model: keras.Model) -> int:
    """Number of latents."""
    return model.get_layer("decoder").input_shape[-1]


def encode(model: keras.Model, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and log variance, (n, latents) each; the mean is the embedding.

    Closed channels carry the prior: mean 0 and log variance 0.
    """
    open_channels = keras.ops.convert_to_numpy(model.get_layer("latents").open)
    encoder = model.get_layer("encoder")
    mean, log_variance = encoder.predict(spectra, batch_size=PREDICTION_BATCH, verbose=0)
    return mean * open_channels, log_variance * open_channels


def mean_kl(model: keras.Model, spectra: np.ndarray) -> np.ndarray:
    """KL of each latent averaged over the spectra (nat), shape (latents,)."""
    return keras.ops.convert_to_numpy(kl_divergence(*encode(model, spectra))).mean(axis=0)


def active_channels(kl: np.ndarray) -> list[int]:
    """Channels whose mean KL exceeds 0.1 nat, the largest first; `kl` has shape (latents,)."""
    return [int(k) for k in np.argsort(kl)[::-1] if kl[k] > ACTIVE_KL_NAT]


def open_channels(model: keras.Model) -> np.ndarray:
    """Indices of the latents that are not closed."""
    return np.flatnonzero(keras.ops.convert_to_numpy(model.get_layer("latents").open))


def keep_open(model: keras.Model, channels: np.ndarray) -> None:
    """Close all latents but `channels`."""
    state = np.isin(np.arange(embedding_size(model)), channels)
    model.get_layer("latents").open.assign(state.astype("float32"))


def decode(model: keras.Model, latents: np.ndarray) -> np.ndarray:
    """Spectra (n, steps, channels) generated from latents (n, latents)."""
    decoder = model.get_layer("decoder")
    return decoder.predict(latents, batch_size=PREDICTION_BATCH, verbose=0)


def reconstruct(model: keras.Model, spectra: np.ndarray) -> np.ndarray:
    """Spectra decoded from their own posterior means."""
    return decode(model, encode(model, spectra)[0])
