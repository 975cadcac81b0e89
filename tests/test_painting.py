"""The painting: how it is drawn, its statistics, its likeness, and pictures of the reader's own."""

import runpy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import spearmanr

from helpers.paths import ROOT
from helpers.toy import channel_correlation, load_painting

PAIRS = np.triu_indices(3, 1)
RED = (255, 0, 0)
FOX = ROOT / "data/painting.png"


@pytest.fixture
def saved(tmp_path):
    """Function that saves a Pillow image and returns its path."""
    def save(image, name="picture.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name
    return save


def test_the_stored_picture_is_the_one_that_is_drawn():
    drawn = runpy.run_path(str(ROOT / "data/draw_painting.py"))["draw_painting"]()
    np.testing.assert_array_equal(load_painting(FOX, 64**2), np.round(255 * drawn) / 255)


@pytest.mark.parametrize("side", [24, 64])
def test_channels_are_uncorrelated_and_wide(side):
    painting = load_painting(FOX, side**2)
    pixels = painting.reshape(-1, 3)
    assert painting.shape == (side, side, 3)
    assert np.abs(channel_correlation(painting)[PAIRS]).max() < 0.15
    assert np.abs(spearmanr(pixels).statistic[PAIRS]).max() < 0.15
    assert pixels.std(axis=0).min() > 0.2
    assert np.ptp(pixels, axis=0).min() > 0.85


def test_every_channel_has_gradients_and_edges():
    for channel in np.moveaxis(load_painting(FOX, 64**2), -1, 0):
        steps = np.abs(np.diff(channel, axis=0))
        gradient = (steps > 1e-3) & (steps < 0.03)
        assert gradient.mean() > 0.3
        assert 0.02 < (steps > 0.1).mean() < 0.3


def test_the_fox_has_a_face():
    """Two dark eyes, a dark nose, pale cheeks, an orange forehead lit from the left."""
    painting = load_painting(FOX, 64**2)
    nose, cheek, forehead = painting[52, 35], painting[38, 15], painting[20, 26]
    assert nose.max() < 0.25
    assert cheek.min() > 0.7
    assert forehead[0] > 0.7 > 0.3 > forehead[2]
    eyes = (painting.max(axis=-1) < 0.3)[26:36, 16:48]
    assert eyes.sum() > 20
    assert np.array_equal(eyes, eyes[:, ::-1])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16"])
def test_load_any_mode(saved, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 65535, "uint16"))
    else:
        image = Image.new("RGB", (4, 4), "white").convert(mode)
    path = saved(image, "picture.tif" if mode == "CMYK" else "picture.png")
    assert (load_painting(path, 16) == 1).all()


def test_transparency_is_white_and_the_picture_is_turned_upright(saved):
    image = Image.new("RGBA", (2, 1), (*RED, 0))
    image.putpixel((1, 0), (*RED, 255))
    assert np.array_equal(load_painting(saved(image), 16), [[[1, 1, 1], [1, 0, 0]]])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    assert load_painting(saved(Image.new("RGB", (30, 20), RED), "side.jpg", exif=exif), 4096).shape == (30, 20, 3)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 5000))
def test_load_never_exceeds_max_pixels(tmp_path_factory, rows, columns, max_pixels):
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    Image.new("RGB", (columns, rows), RED).save(path)
    painting = load_painting(path, max_pixels)
    kept_rows, kept_columns, _ = painting.shape
    assert 1 <= kept_rows * kept_columns <= max_pixels
    assert np.array_equal(np.unique(painting.reshape(-1, 3), axis=0), [[1, 0, 0]])
    if rows * columns <= max_pixels:
        assert (kept_rows, kept_columns) == (rows, columns)
    elif min(kept_rows, kept_columns) > 20:
        assert kept_columns / kept_rows == pytest.approx(columns / rows, rel=0.1)


def test_load_averages_areas(saved):
    board = np.indices((100, 100)).sum(axis=0) % 2 * 255
    path = saved(Image.fromarray(board.astype("uint8")))
    assert np.abs(load_painting(path, 2500) - 0.5).max() < 0.01


def test_what_is_no_whole_picture_is_named(saved, tmp_path):
    for missing in (tmp_path / "no_such.png", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"No file at {missing}"):
            load_painting(missing, 16)
    (tmp_path / "notes.png").write_text("not a picture")
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype="uint8")
    cut = [saved(Image.fromarray(noise), f"cut.{kind}") for kind in ("png", "jpg", "gif")]
    for path in cut:
        path.write_bytes(path.read_bytes()[:700])
    for path in (tmp_path / "notes.png", *cut):
        with pytest.raises(ValueError, match=f"{path.name} cannot be read .*expected"):
            load_painting(path, 16)


def test_correlation_of_known_pictures():
    ramp = np.linspace(0, 1, 11)
    painting = np.stack([ramp, 1 - ramp, (ramp - 0.5) ** 2], axis=-1)[None]
    expected = [[1, -1, 0], [-1, 1, 0], [0, 0, 1]]
    assert channel_correlation(painting) == pytest.approx(np.array(expected), abs=1e-12)
    assert np.isnan(channel_correlation(np.zeros((3, 3, 3)))).all()
    with pytest.raises(ValueError, match=r"painting has shape \(1, 1, 3\)"):
        channel_correlation(np.zeros((1, 1, 3)))
