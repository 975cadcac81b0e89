"""The painting whose pixels are the spectra of the toy benchmark.

A fox in front of the moon, drawn by code. Its colours are chosen so that red, green
and blue are nearly uncorrelated over the pixels: with the correlated colours of an
ordinary photograph one latent could follow all three, and a model that mixes them
would look as good as one that tells them apart.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageOps

from helpers.painting_scene import SKY, Outline, scene

SUPERSAMPLING = 8  # subpixels a side, so that edges are antialiased
MIN_SIDE = 16  # with fewer pixels a side the eyes of the fox are lost


def _smooth(outline: Outline, rounds: int = 3) -> np.ndarray:
    """Outline with its corners cut (Chaikin 1974), shape (n_points, 2)."""
    # A tripled point survives the cutting, which keeps that corner sharp.
    points = np.array([p[:2] for p in outline for _ in range(3 if len(p) == 3 else 1)])
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = [0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following]
        points = np.stack(cut, axis=1).reshape(-1, 2)
    return points


def _coverage(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Share of each pixel inside the outline, shape (rows, columns, 1), 0 to 1."""
    rows, columns = shape
    unit = min(shape) / 2
    x, y = columns / 2 + unit * points[:, 0], rows - unit * (1 + points[:, 1])
    corners = (SUPERSAMPLING * np.column_stack([x, y])).ravel().tolist()
    mask = Image.new("L", (columns * SUPERSAMPLING, rows * SUPERSAMPLING))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return np.asarray(mask.reduce(SUPERSAMPLING), dtype=float)[..., None] / 255


def _gradient(colours: tuple[str, str], heights: tuple[float, float],
              shape: tuple[int, int]) -> np.ndarray:
    """Vertical colour gradient, shape (rows, 1, 3)."""
    y = (shape[0] - np.arange(shape[0]) - 0.5) / (min(shape) / 2) - 1
    start, end = (np.array(ImageColor.getrgb(c)) / 255 for c in colours)
    share = np.clip((y - heights[0]) / (heights[1] - heights[0]), 0, 1)
    return start + share[:, None, None] * (end - start)


def draw_painting(size: int | tuple[int, int] = 64) -> np.ndarray:
    """Fox in front of the moon; the same pixels on every call.

    Parameters
    ----------
    size : int or (int, int)
        Pixels a side, or (rows, columns). The fox fills the shorter side; a wider or
        taller picture shows more sky, and its channels are more correlated.

    Returns
    -------
    ndarray, shape (rows, columns, 3)
        R, G, B in [0, 1].

    Raises
    ------
    ValueError
        If a side has fewer than 16 pixels or is not a whole number.
    """
    shape = (size, size) if np.ndim(size) == 0 else tuple(size)
    whole = all(isinstance(side, int | np.integer) for side in shape)
    if len(shape) != 2 or not whole or min(shape) < MIN_SIDE:
        raise ValueError(f"size is {size}, expected a whole number of at least "
                         f"{MIN_SIDE} pixels, or two of them; change the size.")
    painting = np.broadcast_to(_gradient(SKY, (-1, 1), shape), (*shape, 3))
    for item in scene():
        outline = _smooth(item.outline)
        for points, colours in ((outline * [-1, 1], item.left), (outline, item.right)):
            if colours is not None:
                inside = _coverage(points, shape)
                paint = _gradient(colours, item.heights, shape)
                painting = (1 - inside) * painting + inside * paint
    return painting


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


def load_painting(path: str | Path, max_pixels: int = 4096) -> np.ndarray:
    """The reader's own picture in place of the fox.

    Parameters
    ----------
    path : str or Path
        Any picture that Pillow reads; of an animation, the first frame.
    max_pixels : int
        A picture with more pixels is averaged down to at most this many, its aspect
        kept, since each pixel becomes one spectrum.

    Returns
    -------
    ndarray, shape (rows, columns, 3)
        R, G, B in [0, 1].

    Raises
    ------
    FileNotFoundError
        If no file is at `path`.
    ValueError
        If the file is not a picture, is damaged, or `max_pixels` is less than 1.
    """
    path = Path(path)
    if max_pixels < 1:
        raise ValueError(f"max_pixels is {max_pixels}, expected at least 1; "
                         "leave it out for 4096.")
    if not path.is_file():
        raise FileNotFoundError(f"No file at {path}, expected a picture; check the "
                                "path, or use draw_painting.")
    try:
        image = _open_rgb(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read ({error}), expected a whole picture "
                         "such as PNG or JPEG; export it again.") from None
    scale = (max_pixels / (image.width * image.height)) ** 0.5
    if scale < 1:
        rows = min(max(1, int(image.height * scale)), max_pixels)
        columns = min(max(1, int(image.width * scale)), max_pixels // rows)
        # BOX averages areas, so no colour overshoots at an edge.
        image = image.resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(image, dtype=float) / 255


def channel_correlation(painting: np.ndarray) -> np.ndarray:
    """Pearson correlation of R, G and B over the pixels.

    Parameters
    ----------
    painting : ndarray, shape (..., 3)
        Colours.

    Returns
    -------
    ndarray, shape (3, 3)
        Symmetric, 1 on the diagonal; NaN where a channel is constant.

    Raises
    ------
    ValueError
        If the last axis is not 3 or there are fewer than 2 pixels.
    """
    painting = np.asarray(painting, dtype=float)
    if painting.ndim < 2 or painting.shape[-1] != 3 or painting.size < 6:
        raise ValueError(f"painting has shape {painting.shape}, expected (rows, "
                         "columns, 3) with at least 2 pixels; pass the whole picture.")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(painting.reshape(-1, 3), rowvar=False)
