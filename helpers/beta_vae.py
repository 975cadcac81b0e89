"""What both β-VAEs share: Gaussian latents, the two parts as one model, and what is read off it.

`helpers.paper_network` builds the parts of the paper's β-VAE, `helpers.additive` those of the companion's.
Only `keras` and `keras.ops` are used, so any Keras backend trains them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers import additive, paper_network
from helpers.backend import keras, ops
from helpers.profiles import AdditiveNetwork, PaperNetwork
from helpers.scores import ACTIVE_KL_NAT

PREDICTION_BATCH = 1000


def kl_divergence(mean, log_variance):
    """KL[N(mean, exp(log_variance)) ‖ N(0, 1)] of each spectrum and latent, in nat.

    Shapes (..., n_latents) in and out; closed form −½(1 + log σ² − µ² − σ²).
    """
    return -0.5 * (1.0 + log_variance - ops.square(mean) - ops.exp(log_variance))


@keras.saving.register_keras_serializable("companion")
class GaussianLatents(keras.layers.Layer):
    """z = µ + σ·noise from µ, log σ² and standard normal noise, (n, latents) each; adds β·KL to the loss.

    KL is summed over latents and averaged over the batch. The original code averages
    it over latents too: its β is this β divided by the number of latents (16).
    """

    def build(self, input_shapes):
        self.beta = self.add_weight(shape=(), initializer="zeros", trainable=False, name="beta")
        # Sum of KL over the batches of an epoch, and their number. Not a Keras metric: with
        # JAX a layer can only change its own weights. Each of several devices keeps its own sum, and
        # reading adds them up: adding at once would interrupt the devices within a call.
        self.kl_sum = keras.Variable(np.zeros(2, "float32"), trainable=False, name="kl_sum",
                                     aggregation="sum", synchronization="on_read")

    def call(self, inputs, training=False):
        mean, log_variance, noise = inputs
        kl = ops.mean(ops.sum(kl_divergence(mean, log_variance), axis=-1))
        self.add_loss(self.beta * kl)
        if training:
            self.kl_sum.assign_add(ops.stack([kl, ops.ones_like(kl)]))
        return mean + ops.exp(0.5 * log_variance) * noise


def build_beta_vae(network: PaperNetwork | AdditiveNetwork, drive: np.ndarray, channels: int, seed: int) -> keras.Model:
    """Encoder, Gaussian latents and decoder as one model: (spectra, latent noise) to reconstructed spectra.

    Parameters
    ----------
    network : PaperNetwork or AdditiveNetwork
        Sizes and options, from the profile.
    drive : ndarray, shape (steps, drive channels)
        Known drive of each step, scaled to about [-1, 1].
    channels : int
        Measured channels: 1 for the toy, 2 (piezoresponse, resonance) for BEPS.
    seed : int
        Of the initial weights.
    """
    keras.utils.set_random_seed(seed)
    parts = paper_network if isinstance(network, PaperNetwork) else additive
    encoder = parts.build_encoder(network, drive, channels)
    decoder = parts.build_decoder(network, drive, channels)
    if keras.backend.backend() == "tensorflow":
        for part in (encoder, decoder):
            part.jit_compile = False  # compiling takes longer than all predictions
    spectra = keras.Input((len(drive), channels), name="spectra")
    noise = keras.Input((network.latents,), name="noise")
    latents = GaussianLatents(name="latents")([*encoder(spectra), noise])
    return keras.Model((spectra, noise), decoder(latents), name="beta_vae")


def load_beta_vae(path: Path, network: PaperNetwork | AdditiveNetwork, drive: np.ndarray, channels: int) -> keras.Model:
    """Rebuild a network (see `build_beta_vae`) and load its stored weights.

    Raises
    ------
    ValueError
        If the weights belong to a network of other sizes, or to that of an earlier release.
    """
    model = build_beta_vae(network, drive, channels, seed=0)
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} does not hold the weights of this network ({error}): expected "
                         "those of the same profile and release; run notebook 3 again") from error
    return model


def part_layer(model: keras.Model, name: str) -> list[keras.layers.Layer]:
    """The layers of encoder and decoder called `name`; none, one or two."""
    parts = (model.get_layer("encoder"), model.get_layer("decoder"))
    return [layer for part in parts for layer in part.layers if layer.name == name]


def parameter_count(model: keras.Model) -> int:
    """Trained numbers of the network."""
    return int(sum(np.prod(weights.shape) for weights in model.trainable_weights))


def embedding_size(model: keras.Model) -> int:
    """Number of latents."""
    return model.get_layer("decoder").input_shape[-1]


def encode(model: keras.Model, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and log variance, (n, latents) each; the mean is the embedding."""
    return tuple(model.get_layer("encoder").predict(spectra, batch_size=PREDICTION_BATCH, verbose=0))


def mean_kl(model: keras.Model, spectra: np.ndarray) -> np.ndarray:
    """KL of each latent averaged over the spectra (nat), shape (latents,)."""
    return ops.convert_to_numpy(kl_divergence(*encode(model, spectra))).mean(axis=0)


def active_channels(kl: np.ndarray) -> list[int]:
    """Channels whose mean KL exceeds 0.1 nat, the largest first; `kl` has shape (latents,)."""
    return [int(k) for k in np.argsort(kl)[::-1] if kl[k] > ACTIVE_KL_NAT]


def decode(model: keras.Model, latents: np.ndarray) -> np.ndarray:
    """Spectra (n, steps, channels) generated from latents (n, latents)."""
    return model.get_layer("decoder").predict(latents, batch_size=PREDICTION_BATCH, verbose=0)


def reconstruct(model: keras.Model, spectra: np.ndarray) -> np.ndarray:
    """Spectra decoded from their own posterior means."""
    return decode(model, encode(model, spectra)[0])
