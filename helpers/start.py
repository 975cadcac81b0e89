"""Start a β-VAE at coordinates that are known without training (see `helpers.coordinates`)."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from helpers.backend import keras
from helpers.beta_vae import PREDICTION_BATCH, keep_open
from helpers.coordinates import Coordinates, innovations
from helpers.profiles import Training

START_EPOCHS = 4


def start_from_pca(model: keras.Model, spectra: np.ndarray, kept: np.ndarray) -> None:
    """Start a network with linear paths at the optimum of the linear β-VAE.

    That optimum is known in closed form (Lucas et al., NeurIPS 2019): a latent per
    principal component whose variance a step exceeds β/2, with posterior variance
    σ² = β / (2 × variance a step), and no signal in the others. β is taken so that σ² = ½ in
    the smallest component kept. The recurrent paths start at zero: whatever is gained on top
    of the linear reconstruction is what they add.

    Parameters
    ----------
    spectra : ndarray, shape (n, steps, measured channels)
        Standardised training spectra; at least as many as latents.
    kept : ndarray of int
        Components whose latents stay open.
    """
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    latents = decoder.input_shape[-1]
    pca = PCA(latents, random_state=0).fit(spectra.reshape(len(spectra), -1))
    noise = np.minimum(0.5 * pca.explained_variance_[max(kept)] / pca.explained_variance_, 1.0)
    scale, signal = np.sqrt(pca.explained_variance_), np.sqrt(1.0 - noise)
    to_latents = pca.components_.T * signal / scale
    encoder.get_layer("linear_path").set_weights([to_latents, -pca.mean_ @ to_latents])
    decoder.get_layer("linear_path").set_weights(
        [pca.components_ * (scale * signal)[:, None], pca.mean_])
    for layer in (encoder.get_layer("mean"), decoder.get_layer("spectra")):
        layer.set_weights([np.zeros_like(weights) for weights in layer.get_weights()])
    _set_noise(encoder, noise)
    keep_open(model, kept)


def start_from_isomap(model: keras.Model, spectra: np.ndarray, coordinates: Coordinates,
                      training: Training, batches) -> None:
    """Teach the encoder the coordinates kept, and the decoder the spectra from the encoder's means.

    Each is trained alone for START_EPOCHS epochs. The posterior variance starts at the
    encoder's own squared error; latents beyond the coordinates are closed.

    Parameters
    ----------
    spectra : ndarray, shape (n, steps, measured channels)
        Standardised training spectra, in the order of `coordinates`.
    batches : callable
        ``batches(x, y)`` yields shuffled batches without end.
    """
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    targets = np.zeros((len(spectra), decoder.input_shape[-1]), "float32")
    found = coordinates.found
    targets[:, :found] = innovations(coordinates.values[:, coordinates.kept])
    means_only = keras.Model(encoder.input, encoder.outputs[0])
    steps = -(-len(spectra) // training.batch)

    def teach(part: keras.Model, x: np.ndarray, y: np.ndarray) -> None:
        part.compile(keras.optimizers.Adam(training.learning_rate, global_clipnorm=1.0), "mse")
        part.fit(batches(x, y), steps_per_epoch=steps, epochs=START_EPOCHS, shuffle=False, verbose=0)

    teach(means_only, spectra, targets)
    means = means_only.predict(spectra, batch_size=PREDICTION_BATCH, verbose=0)
    error = np.square(means - targets).mean(axis=0)
    _set_noise(encoder, np.clip(error, 1e-3, 1.0))
    keep_open(model, np.arange(found))
    means[:, found:] = 0.0
    # A model of its own around the same layers: an optimiser kept by `decoder` would be stored with it.
    teach(keras.Model(decoder.input, decoder.output), means, spectra)


def _set_noise(encoder: keras.Model, variance: np.ndarray) -> None:
    """Let the posterior variance (latents,) be `variance` for almost every spectrum."""
    layer = encoder.get_layer("log_variance")
    layer.set_weights([0.1 * layer.get_weights()[0], np.log(variance)])
