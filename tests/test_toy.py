"""The toy function against its equation, its colours, and the painting: drawn, stored and of the reader's own."""

import math
import runpy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.stats import spearmanr

from helpers.paths import ROOT
from helpers.toy import SELU_ALPHA, SELU_SCALE, channel_correlation, load_painting, sample_rgb, spectra, time_steps


def scalar_spectrum(t: float, red: float, green: float, blue: float) -> float:
    """The equation of the paper, one number at a time, with no numpy."""
    x = t - 2 * (green - 0.5)
    if x > 0:
        bend = 1.0507009873554805 * x
    else:
        bend = 1.0507009873554805 * 1.6732632423543772 * (math.exp(x) - 1)
    step_down = 1 / (1 + math.exp(20 * (t - (blue - 0.5))))
    return math.tanh(20 * (t - 2 * (red - 0.5))) + bend + step_down


def test_time_steps_and_selu_constants():
    t = time_steps()
    assert t.shape == (25,)
    assert (t[0], t[12], t[-1]) == (-1, 0, 1)
    assert np.allclose(np.diff(t), 1 / 12)
    e, f = math.erfc(1 / math.sqrt(2)), math.erfc(math.sqrt(2))
    alpha = -math.sqrt(2 / math.pi) / (e * math.exp(0.5) - 1)
    root = 2 * f * math.e**2 + math.pi * e**2 * math.e - 2 * (2 + math.pi) * e * math.exp(0.5) + math.pi + 2
    scale = (1 - e * math.exp(0.5)) * math.sqrt(2 * math.pi) / math.sqrt(root)
    assert SELU_ALPHA == pytest.approx(alpha, rel=1e-14)
    assert SELU_SCALE == pytest.approx(scale, rel=1e-14)


@given(arrays(float, (2, 4, 3), elements=st.floats(0, 1)))
def test_spectra_are_those_of_the_equation_whatever_the_leading_axes(rgb):
    given_rgb = rgb.copy()
    values = spectra(rgb)
    expected = [[scalar_spectrum(t, *colour) for t in time_steps()] for colour in rgb.reshape(-1, 3)]
    assert values.shape == (2, 4, 25) and np.array_equal(rgb, given_rgb)
    assert values.reshape(-1, 25) == pytest.approx(np.array(expected), abs=1e-13)
    assert np.array_equal(values.reshape(-1, 25), spectra(rgb.reshape(-1, 3)))
    assert np.array_equal(values[1, 2], spectra(rgb[1, 2]))
    assert spectra(np.empty((0, 3))).shape == (0, 25)


@pytest.mark.parametrize("rgb, found", [
    (0.5, r"shape \(\)"), (np.zeros((3, 4)), r"shape \(3, 4\)"),
    ([0, 0, 1.01], "holds 1.01"), ([-0.1, 0, 0], "holds -0.1"),
    ([np.nan, 0, 0], "holds nan"), ([0, np.inf, 0], "holds inf"),
    (np.full((2, 2, 3), 255, "uint8"), "divide 8-bit colours by 255")])
def test_bad_rgb(rgb, found):
    with pytest.raises(ValueError, match=found):
        spectra(rgb)


def test_samples_are_uniform_repeatable_and_independent_between_streams_and_seeds():
    rgb = sample_rgb(20_000, seed=3)
    assert rgb.shape == (20_000, 3)
    assert rgb.min() >= 0 and rgb.max() < 1
    assert np.array_equal(rgb, sample_rgb(20_000, seed=3))
    assert np.allclose(np.quantile(rgb, [0.1, 0.5, 0.9], axis=0).T, [0.1, 0.5, 0.9], atol=0.02)
    assert np.abs(np.corrcoef(rgb.T) - np.eye(3)).max() < 0.03
    training = sample_rgb(10_000, seed=0)
    for other in (sample_rgb(10_000, 0, "gamut"), sample_rgb(10_000, 1)):
        assert not np.isin(other, training).any()
        assert np.abs(np.corrcoef(training.T, other.T)[:3, 3:]).max() < 0.05


@pytest.mark.parametrize("n, seed", [(0, 0), (3, -1)])
def test_bad_sample(n, seed):
    with pytest.raises(ValueError, match=f"n is {n} and seed is {seed}"):
        sample_rgb(n, seed)


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


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16"])
def test_load_any_mode(saved, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 65535, "uint16"))
    else:
        image = Image.new("RGB", (4, 4), "white").convert(mode)
    path = saved(image, "picture.tif" if mode == "CMYK" else "picture.png")
    assert (load_painting(path, 16) == 1).all()


def test_transparency_is_white_a_picture_is_turned_upright_and_areas_are_averaged(saved):
    image = Image.new("RGBA", (2, 1), (*RED, 0))
    image.putpixel((1, 0), (*RED, 255))
    assert np.array_equal(load_painting(saved(image), 16), [[[1, 1, 1], [1, 0, 0]]])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    assert load_painting(saved(Image.new("RGB", (30, 20), RED), "side.jpg", exif=exif), 4096).shape == (30, 20, 3)
    board = np.indices((100, 100)).sum(axis=0) % 2 * 255
    path = saved(Image.fromarray(board.astype("uint8")))
    assert np.abs(load_painting(path, 2500) - 0.5).max() < 0.01


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
