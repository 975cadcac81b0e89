"""Draw data/painting.png, whose pixels are the spectra of the toy benchmark: ``python data/draw_painting.py``.

A fox in front of the moon. Its colours are chosen so that red, green and blue are nearly uncorrelated over the
pixels: with the correlated colours of an ordinary photograph one latent could follow all three, and a model
that mixes them would look as good as one that tells them apart.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw

SIDE = 64  # pixels, each of which is one spectrum
SUPERSAMPLING = 8  # subpixels a side, so that edges are antialiased

# Points of an outline are (x, y) in half picture widths from the centre, y upwards; a third entry marks a sharp corner.
Outline = list[tuple[float, ...]]
# Halves reach just across the axis, so that no gap shows where they meet.
AXIS = -0.012
BODY = [(AXIS, -.3, 1), (.35, -.3), (.62, -.52), (.84, -.85), (.95, -1.3, 1), (AXIS, -1.3, 1)]
BIB = [(AXIS, -.5, 1), (.26, -.4, 1), (.36, -.46), (.46, -.62, 1), (.36, -.62),
       (.38, -.84, 1), (.27, -.81), (.25, -1.04, 1), (.13, -.99), (AXIS, -1.25, 1)]
EAR = [(.1, .3), (.2, .52), (.52, .93, 1), (.66, .6), (.64, .25)]
INNER_EAR = [(.27, .36), (.33, .55), (.5, .78, 1), (.56, .55), (.54, .28)]
HEAD = [(AXIS, .37, 1), (.22, .385), (.5, .34), (.64, .18), (.7, .02), (.9, -.15, 1),
        (.6, -.18), (.42, -.24), (.22, -.4), (.13, -.6), (AXIS, -.64, 1)]
CHEEK = [(.92, -.16, 1), (.62, 0), (.46, -.06), (.3, -.08), (.16, -.18), (.12, -.42),
         (AXIS, -.6, 1), (AXIS, -.7, 1), (.16, -.64), (.24, -.46), (.42, -.34), (.62, -.28)]
BROW = [(AXIS, .36, 1), (AXIS, -.6, 1), (.07, -.3), (.11, -.1), (.14, .1), (.1, .34)]
EYE = [(.17, -.04, 1), (.25, .11), (.36, .14), (.46, .14, 1), (.41, 0), (.28, -.08)]
# Along its length and across its width, from the base to the tip and back.
LEAF = [(0, 0, 1), (.35, 1), (.75, .7), (1, 0, 1), (.75, -.7), (.35, -1)]

SKY, MOON = ("#FF46A7", "#6812D6"), ("#F4F66B", "#08E6A2")
FERN, TEAL = ("#086616", "#49FC30"), ("#0A8156", "#0ACA3D")
DARK, IRIS, SHINE = ("#0D081F",) * 2, ("#BFFFCC",) * 2, ("#8099CC",) * 2
LEAVES = [(1.02, 1.0, .12, 112, FERN), (1.05, 1.3, .13, 92, TEAL),
          (.8, .8, .1, 100, FERN), (1.05, .75, .12, 130, TEAL)]


def _ellipse(x: float, y: float, rx: float, ry: float) -> Outline:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles]


def _leaf(x: float, length: float, width: float, degrees: float) -> Outline:
    """Leaf that grows from below the picture at `x` in the given direction."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return [(x + length * along * cos - width * across * sin, -1.15 + length * along * sin + width * across * cos,
             *corner) for along, across, *corner in LEAF]


def scene() -> list[tuple]:
    """Filled outlines in front of the sky, from back to front: moon, leaves, the fox lit from the left, eyes and nose.

    Colours run from the first to the second between two heights, on the right and on the mirror image, if there is one.
    """
    return [
        (_ellipse(0, .14, .8, .8), (-.6, .9), MOON, None),
        *((_leaf(*leaf), (-1, 0), green, green) for *leaf, green in LEAVES),
        (BODY, (-1, -.3), ("#C7167A", "#DC314F"), ("#DC2E37", "#FF7F1B")),
        (BIB, (-1.1, -.5), ("#9955D8", "#CAB9FE"), ("#F07BB1", "#FAEAC9")),
        (EAR, (.35, .85), ("#E74E41", "#290A4E"), ("#FA811A", "#350B34")),
        (INNER_EAR, (.3, .75), ("#E697B3", "#993299"), ("#FECA98", "#CC4B73")),
        (HEAD, (-.5, .4), ("#E9314F", "#D3245F"), ("#F19518", "#D45E0F")),
        (CHEEK, (-.6, 0), ("#BCB3FD", "#BAC1FA"), ("#F5F4D0", "#F7F0C9")),
        (BROW, (-.5, .36), ("#FF644D", "#E64B5A"), ("#FECC4C", "#FEA532")),
        (EYE, (-1, 1), DARK, DARK),
        (_ellipse(.325, .045, .055, .055), (-1, 1), IRIS, IRIS),
        (_ellipse(.325, .045, .025, .025), (-1, 1), DARK, DARK),
        (_ellipse(0, -.63, .125, .085), (-1, 1), DARK, None),
        (_ellipse(-.03, -.6, .045, .025), (-1, 1), SHINE, None)]


def _smooth(outline: Outline, rounds: int = 3) -> np.ndarray:
    """Outline with its corners cut (Chaikin 1974), shape (n_points, 2)."""
    # A tripled point survives the cutting, which keeps that corner sharp.
    points = np.array([p[:2] for p in outline for _ in range(3 if len(p) == 3 else 1)])
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = [0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following]
        points = np.stack(cut, axis=1).reshape(-1, 2)
    return points


def _coverage(points: np.ndarray) -> np.ndarray:
    """Share of each pixel inside the outline, shape (SIDE, SIDE, 1), 0 to 1."""
    x, y = SIDE / 2 * (1 + points[:, 0]), SIDE / 2 * (1 - points[:, 1])
    corners = (SUPERSAMPLING * np.column_stack([x, y])).ravel().tolist()
    mask = Image.new("L", (SIDE * SUPERSAMPLING, SIDE * SUPERSAMPLING))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return np.asarray(mask.reduce(SUPERSAMPLING), dtype=float)[..., None] / 255


def _gradient(colours: tuple[str, str], heights: tuple[float, float]) -> np.ndarray:
    """Vertical colour gradient, shape (rows, 1, 3)."""
    y = (SIDE - np.arange(SIDE) - 0.5) / (SIDE / 2) - 1
    start, end = (np.array(ImageColor.getrgb(c)) / 255 for c in colours)
    share = np.clip((y - heights[0]) / (heights[1] - heights[0]), 0, 1)
    return start + share[:, None, None] * (end - start)


def draw_painting() -> np.ndarray:
    """Fox in front of the moon, R, G and B in [0, 1], shape (SIDE, SIDE, 3); the same pixels on every call."""
    painting = np.broadcast_to(_gradient(SKY, (-1, 1)), (SIDE, SIDE, 3))
    for outline, heights, right, left in scene():
        points = _smooth(outline)
        for half, colours in ((points * [-1, 1], left), (points, right)):
            if colours is not None:
                inside = _coverage(half)
                painting = (1 - inside) * painting + inside * _gradient(colours, heights)
    return painting


if __name__ == "__main__":
    pixels = np.round(255 * draw_painting()).astype("uint8")
    Image.fromarray(pixels).save(Path(__file__).with_name("painting.png"), optimize=True)
