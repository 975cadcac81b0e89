"""The toy benchmark: a spectrum of 25 time steps for every colour.

The three colour channels are the known truth: R moves a step up, G a bent line, and
B a step down. A model that disentangles the spectra finds these three again. The painting
(``data/painting.png``, drawn by ``data/draw_painting.py``) turns spectra into a map for the eye.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy.special import expit

# Klambauer et al., NeurIPS 2017, equation 14: the fixed point at mean 0, variance 1.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def time_steps() -> np.ndarray:
    """The 25 equally spaced time steps of the paper, both ends included, shape (25,).

    The paper does not give the interval; [-1, 1] stands only in its original code.
    """
    return np.linspace(-1.0, 1.0, 25)


def spectra(rgb: np.ndarray) -> np.ndarray:
    """Spectrum of every colour at `time_steps`, the function f(t; R, G, B) of the paper.

    f = tanh(20 [t - 2(R - 0.5)]) + SELU(t - 2(G - 0.5)) + sigmoid(-20 [t - (B - 0.5)])

    R and G move their features over the whole interval of t, B over half of it: the
    factor 2 is absent from the last term in the paper too.

    Parameters
    ----------
    rgb : array_like, shape (..., 3)
        Colours in [0, 1]; a list of colours (n, 3) or a painting (rows, columns, 3).

    Returns
    -------
    ndarray, shape (..., 25)
        Response (dimensionless, not standardised).

    Raises
    ------
    ValueError
        If the last axis of `rgb` is not 3, or a value lies outside [0, 1] or is not finite.
    """
    rgb = np.asarray(rgb, dtype=float)
    if rgb.shape[-1:] != (3,):
        raise ValueError(f"rgb has shape {rgb.shape}, expected (..., 3); put R, G and B on the last axis.")
    inside = (rgb >= 0) & (rgb <= 1)
    if not inside.all():
        raise ValueError(f"rgb holds {rgb[~inside][0]}, expected finite values in [0, 1]; divide 8-bit colours by 255.")
    t, (red, green, blue) = time_steps(), np.moveaxis(rgb[..., None], -2, 0)
    x = t - 2 * (green - 0.5)
    bend = SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x))
    return np.tanh(20 * (t - 2 * (red - 0.5))) + bend + expit(-20 * (t - (blue - 0.5)))


def sample_rgb(n: int, seed: int, stream: str = "training") -> np.ndarray:
    """`n` colours drawn uniformly from the RGB cube, shape (n, 3), in [0, 1); the paper trains on 10 000 of them.

    Each (seed, stream) seeds its own generator, so that the streams, "training" and, for validation, "gamut", are
    statistically independent and neither depends on how many colours the other drew. An `n` below 1 or a negative
    `seed` is a ValueError.
    """
    if n < 1 or seed < 0:
        raise ValueError(f"n is {n} and seed is {seed}, expected n of at least 1 and "
                         "seed of at least 0; change the one that is too small.")
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(stream.encode()))
    return np.random.default_rng(sequence).random((n, 3))


def _open_rgb(path: Path) -> Image.Image:
    """Picture as 8-bit RGB, turned upright, with transparency shown on white."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            # Pillow clips 16-bit grey at 255 where it should scale it.
            image = Image.fromarray((np.asarray(image) // 257).astype("uint8"))
        image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def load_painting(path: str | Path, max_pixels: int) -> np.ndarray:
    """R, G, B in [0, 1] of a picture, shape (rows, columns, 3); each pixel becomes a spectrum of the toy benchmark.

    Any picture that Pillow reads; of an animation, the first frame. One with more than `max_pixels` is averaged down
    to at most this many, its aspect kept.

    Raises
    ------
    FileNotFoundError
        If no file is at `path`.
    ValueError
        If the file is not a picture or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No file at {path}, expected a picture; check the path, or leave the painting out "
                                "for the fox.")
    try:
        image = _open_rgb(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read ({error}), expected a whole picture such as PNG or JPEG; "
                         "export it again.") from None
    scale = (max_pixels / (image.width * image.height)) ** 0.5
    if scale < 1:
        rows = min(max(1, int(image.height * scale)), max_pixels)
        columns = min(max(1, int(image.width * scale)), max_pixels // rows)
        # BOX averages areas, so no colour overshoots at an edge.
        image = image.resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(image, dtype=float) / 255


def channel_correlation(painting: np.ndarray) -> np.ndarray:
    """Pearson correlation of R, G and B over the pixels of a picture (rows, columns, 3), shape (3, 3).

    NaN where a channel is constant; a ValueError where there are fewer than 2 pixels. A model that finds one
    factor of correlated colours looks as if it had found them all.
    """
    if painting.size < 6:
        raise ValueError(f"painting has shape {painting.shape}, expected (rows, columns, 3) with at least 2 pixels; "
                         "take a larger picture.")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(painting.reshape(-1, 3), rowvar=False)
