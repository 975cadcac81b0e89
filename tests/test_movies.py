"""Movies: what ffmpeg reads back, and what happens when a file cannot be written."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from helpers.figures import IMAGE, PHYSICAL, SCAN, TWIN_LABEL, Sweep
from helpers.movies import sweep_movie, training_movie
from helpers.figures.movies import SweepScene, mark_nearest

RNG = np.random.default_rng(0)
STEPS = 12
VOLTAGE = np.concatenate([np.linspace(16, -16, 6), np.linspace(-12, 12, 6)])
SIZE = (1280, 720)


def sweep(n_maps: int = 2, n_values: int = 4) -> Sweep:
    values = np.linspace(-2, 2, n_values) * np.ones((n_maps, 1))
    generated = RNG.normal(size=(n_maps, n_values, STEPS, 2))
    return Sweep("β-VAE", RNG.normal(size=(n_maps, 15, 15)), values, generated)


def write_sweep(path: Path, source: str = "twin") -> float:
    return sweep_movie(
        path, sweep(), VOLTAGE, x_label="Voltage (V)", channels=PHYSICAL, source=source,
        loop=True, progress=False,
    )


def read(path: Path) -> tuple[dict, np.ndarray]:
    """Properties and frames (n, height, width, 3) as a player decodes them."""
    reader = imageio_ffmpeg.read_frames(str(path))
    properties = next(reader)
    frames = [np.frombuffer(frame, np.uint8) for frame in reader]
    return properties, np.stack(frames).reshape(len(frames), SIZE[1], SIZE[0], 3)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[dict, np.ndarray, float]:
    path = tmp_path_factory.mktemp("movies") / "s6.mp4"
    seconds = write_sweep(path)
    return *read(path), seconds


def test_movie_plays_in_browsers(swept):
    properties, frames, _ = swept
    assert properties["codec"] == "h264"
    assert properties["pix_fmt"].startswith("yuv420p")
    assert properties["size"] == SIZE
    assert len(frames) == 2 * 4


def test_index_stands_before_the_frames(tmp_path):
    write_sweep(tmp_path / "s6.mp4")
    content = (tmp_path / "s6.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_every_frame_differs_from_the_one_before(swept):
    frames = swept[1].astype(int)
    changed = (np.abs(np.diff(frames, axis=0)) > 40).any(axis=-1).sum(axis=(1, 2))
    assert (changed > 100).all()


def test_seconds_per_frame_are_returned(swept):
    assert 0 < swept[2] < 5


def scene(source: str) -> SweepScene:
    moving = sweep()
    spectra = [moving.generated[..., channel] for channel in (0, 1)]
    return SweepScene(
        moving, 0, VOLTAGE, spectra, labels=("x", "a", "b"), source=source, orientation=SCAN
    )


@pytest.mark.parametrize("source", ["twin", "measured"])
def test_frames_of_the_twin_alone_are_labelled(source):
    texts = [text.get_text() for text in scene(source).animated.canvas.figure.texts]
    assert (TWIN_LABEL in texts) == (source == "twin")


def test_frame_depends_on_its_step_alone():
    drawn = scene("twin")
    first = drawn.frame(0)
    assert drawn.frame(3) != first
    assert drawn.frame(0) == first


def test_nearest_pixels_are_marked():
    values = np.arange(400.0).reshape(20, 20)
    marked = mark_nearest(values, 0.0, SCAN)[..., 3] > 0
    np.testing.assert_array_equal(marked, values < 100)


def test_unusable_pixels_are_never_near_and_one_channel_is_one_panel():
    values = np.arange(400.0).reshape(20, 20)
    values[0, :7] = np.nan
    marked = mark_nearest(values, 0.0, SCAN)[..., 3] > 0
    np.testing.assert_array_equal(marked, values < 107)
    moving = sweep()
    moving.maps[:, 3, 4] = np.nan
    drawn = SweepScene(moving, 0, VOLTAGE, [moving.generated[..., 0]], labels=("x", "a"),
                       source="measured", orientation=SCAN)
    assert len(drawn.lines) == 1 and drawn.frame(0) != drawn.frame(2)


def test_training_movie_holds_every_snapshot(tmp_path):
    embeddings = RNG.normal(size=(3, 5, 15, 12))
    beta, mse = np.array([0.0, 0.1, 0.2]), np.array([0.5, 0.2, 0.1])
    training_movie(
        tmp_path / "s2.mp4", embeddings, np.array([1, 10, 20]), beta, mse,
        source="toy", orientation=IMAGE, hold=2, progress=False,
    )
    properties, frames = read(tmp_path / "s2.mp4")
    assert (properties["codec"], properties["size"], len(frames)) == ("h264", SIZE, 6)
    change = (np.abs(np.diff(frames.astype(int), axis=0)) > 40).any(axis=-1).sum(axis=(1, 2))
    assert (change[1::2] > 10 * (change[::2] + 1)[:2]).all()


def test_unwritable_movie_is_one_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match=r"could not write .*s6\.mp4") as error:
        write_sweep(tmp_path / "missing" / "s6.mp4")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_frames_lost_on_the_way_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda path: (5, 0.2))
    (tmp_path / "s6.mp4").write_text("earlier movie")
    with pytest.raises(OSError, match="5 of 8 frames"):
        write_sweep(tmp_path / "s6.mp4")
    assert (tmp_path / "s6.mp4").read_text() == "earlier movie"
    assert len(list(tmp_path.iterdir())) == 1
