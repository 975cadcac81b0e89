"""The painting: its statistics, its likeness, and pictures of the reader's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.stats import spearmanr

from helpers.painting import channel_correlation, draw_painting, load_painting
from helpers.toy import spectra

PAIRS = np.triu_indices(3, 1)
RED = (255, 0, 0)


@pytest.fixture
def saved(tmp_path):
    """Function that saves a Pillow image and returns its path."""
    def save(image, name="picture.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name
    return save


@pytest.mark.parametrize("size", [16, 48, 60, 64, 80, 200])
def test_channels_are_uncorrelated_and_wide(size):
    painting = draw_painting(size)
    pixels = painting.reshape(-1, 3)
    assert painting.shape == (size, size, 3)
    assert np.abs(channel_correlation(painting)[PAIRS]).max() < 0.15
    assert np.abs(spearmanr(pixels).statistic[PAIRS]).max() < 0.15
    assert pixels.std(axis=0).min() > 0.2
    assert np.ptp(pixels, axis=0).min() > 0.85


@pytest.mark.parametrize("size", [(60, 80), (80, 60), (16, 100)])
def test_any_shape(size):
    painting = draw_painting(size)
    assert painting.shape == (*size, 3)
    assert painting.min() >= 0 and painting.max() <= 1


def test_same_on_every_call():
    assert np.array_equal(draw_painting(), draw_painting((64, 64)))


def test_every_channel_has_gradients_and_edges():
    for channel in np.moveaxis(draw_painting(), -1, 0):
        steps = np.abs(np.diff(channel, axis=0))
        gradient = (steps > 1e-3) & (steps < 0.03)
        assert gradient.mean() > 0.3
        assert 0.02 < (steps > 0.1).mean() < 0.3


def test_the_fox_has_a_face():
    """Two dark eyes, a dark nose, pale cheeks, an orange forehead lit from the left."""
    painting = draw_painting()
    nose, cheek, forehead = painting[52, 35], painting[38, 15], painting[20, 26]
    assert nose.max() < 0.25
    assert cheek.min() > 0.7
    assert forehead[0] > 0.7 > 0.3 > forehead[2]
    dark = painting.max(axis=-1) < 0.3
    eyes = dark[26:36]
    assert eyes[:, 16:28].sum() > 10
    assert np.array_equal(eyes[:, 16:28], eyes[:, ::-1][:, 16:28])


def test_size_changes_only_the_sampling():
    fine = draw_painting(128).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(fine - draw_painting(64)).mean() < 0.01


@pytest.mark.parametrize("size", [15, (64, 8), (64, 64, 3), 64.5])
def test_bad_size(size):
    with pytest.raises(ValueError, match="size is .* expected a whole number"):
        draw_painting(size)


def test_painting_makes_spectra():
    assert spectra(draw_painting(20)).shape == (20, 20, 25)


def test_load_gives_back_what_was_saved(saved):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype="uint8")
    assert np.array_equal(load_painting(saved(Image.fromarray(pixels))), pixels / 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16"])
def test_load_any_mode(saved, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 65535, "uint16"))
    else:
        image = Image.new("RGB", (4, 4), "white").convert(mode)
    path = saved(image, "picture.tif" if mode == "CMYK" else "picture.png")
    assert (load_painting(path) == 1).all()


def test_load_shows_transparency_on_white(saved):
    image = Image.new("RGBA", (2, 1), (*RED, 0))
    image.putpixel((1, 0), (*RED, 255))
    assert np.array_equal(load_painting(saved(image)), [[[1, 1, 1], [1, 0, 0]]])


def test_load_turns_the_picture_upright(saved):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    image = Image.new("RGB", (30, 20), RED)
    assert load_painting(saved(image, "side.jpg", exif=exif)).shape == (30, 20, 3)


@settings(deadline=None, max_examples=40)
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
    assert np.abs(load_painting(path, max_pixels=2500) - 0.5).max() < 0.01


def test_load_missing_file(tmp_path):
    for missing in (tmp_path / "no_such.png", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"No file at {missing}"):
            load_painting(missing)


def test_load_not_a_picture(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(ValueError, match="notes.png cannot be read .*expected"):
        load_painting(path)


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.gif"])
def test_load_damaged_picture(saved, name):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype="uint8")
    path = saved(Image.fromarray(noise), name)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
        load_painting(path)


def test_load_bad_max_pixels(saved):
    with pytest.raises(ValueError, match="max_pixels is 0"):
        load_painting(saved(Image.new("RGB", (2, 2))), 0)


@given(arrays(float, (4, 5, 3), elements=st.floats(0, 1), unique=True))
def test_correlation_is_a_correlation(painting):
    matrix = channel_correlation(painting)
    assert matrix.shape == (3, 3)
    assert np.allclose(matrix, matrix.T, equal_nan=True)
    assert np.nanmax(np.abs(matrix), initial=0) <= 1 + 1e-12


def test_correlation_of_known_pictures():
    ramp = np.linspace(0, 1, 11)
    painting = np.stack([ramp, 1 - ramp, (ramp - 0.5) ** 2], axis=-1)[None]
    expected = [[1, -1, 0], [-1, 1, 0], [0, 0, 1]]
    assert channel_correlation(painting) == pytest.approx(np.array(expected), abs=1e-12)
    assert np.isnan(channel_correlation(np.zeros((3, 3, 3)))).all()


@pytest.mark.parametrize("shape", [(3,), (4, 4), (1, 1, 3)])
def test_bad_correlation(shape):
    with pytest.raises(ValueError, match="painting has shape"):
        channel_correlation(np.zeros(shape))
