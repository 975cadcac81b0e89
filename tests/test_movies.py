"""Movies: what ffmpeg reads back, and what happens when a file cannot be written."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from helpers.figures import movies
from helpers.figures.inputs import SCAN, TURNED, Channel, Look, Sweep
from helpers.figures.movies import side_by_side, sweep_frames, sweep_movie, training_frames, training_movie
from helpers.figures.snapshots import Snapshots
from helpers.figures.style import TWIN_LABEL, page_figure

RNG = np.random.default_rng(0)
STEPS = 12
VOLTAGE = np.concatenate([np.linspace(16, -16, 6), np.linspace(-12, 12, 6)])
SIZE = (1280, 720)
CHANNELS = (Channel("Piezoresponse", "arb. u."), Channel("Resonance", "kHz"))
SWEEP = Sweep("companion's β-VAE", RNG.normal(size=(2, 15, 15)), np.linspace(-2, 2, 4) * np.ones((2, 1)),
              RNG.normal(size=(2, 4, STEPS, 2)))


def changes(path: Path) -> tuple[dict, np.ndarray]:
    """Properties as a player decodes them, and how many pixels differ between each frame and the next."""
    reader = imageio_ffmpeg.read_frames(str(path))
    properties = next(reader)
    frames = np.stack([np.frombuffer(frame, np.uint8) for frame in reader]).reshape(-1, *SIZE[::-1], 3)
    return properties, (np.abs(np.diff(frames.astype(int), axis=0)) > 40).any(axis=-1).sum(axis=(1, 2))


def test_a_movie_plays_in_browsers_and_moves(tmp_path):
    look = Look("twin", TURNED, CHANNELS)
    seconds = sweep_movie(tmp_path / "s6.mp4", SWEEP, VOLTAGE, look, x_label="Voltage (V)", loop=True)
    properties, changed = changes(tmp_path / "s6.mp4")
    assert (properties["codec"], properties["size"]) == ("h264", SIZE) and seconds > 0
    assert properties["pix_fmt"].startswith("yuv420p")
    assert len(changed) == 2 * 4 - 1 and (changed > 100).all()
    content = (tmp_path / "s6.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")  # the index before the frames


def test_a_long_movie_leaves_out_values_but_no_end(tmp_path, monkeypatch):
    monkeypatch.setattr(movies, "LONGEST_SECONDS", 1)
    monkeypatch.setattr(movies, "FPS", 6)
    kept = []
    monkeypatch.setattr(movies, "sweep_frames", lambda sweep, *_: kept.append(sweep.values) or iter(()))
    monkeypatch.setattr(movies, "write_movie", lambda path, frames, count: (list(frames), count)[1])
    values = np.linspace(-2, 2, 9) * np.ones((2, 1))
    sweep = replace(SWEEP, values=values, generated=RNG.normal(size=(2, 9, STEPS, 2)))
    look = Look("twin", TURNED, CHANNELS)
    assert sweep_movie(tmp_path / "s6.mp4", sweep, VOLTAGE, look, x_label="Voltage (V)", loop=True) == 6
    np.testing.assert_allclose(kept[0], [[-2, 0, 2]] * 2)


def test_measured_points_lie_in_their_panels_and_a_resonance_is_drawn_from_its_mean():
    sweep = replace(SWEEP, generated=SWEEP.generated + [0, 1300], measured=SWEEP.generated * [3, 4] + [0, 1310])
    block, = page_figure(3.0).subfigures(1, 1, squeeze=False)[0]
    lines, points, levels = movies._draw_spectra(block, VOLTAGE, sweep, 0, "Voltage (V)", CHANNELS)
    for ax, (_, values) in zip(block.axes, points, strict=True):
        low, high = ax.get_ylim()
        assert low < values.min() and values.max() < high
    assert np.abs(lines[1][1].mean(axis=1)).max() < 1e-9 and block.axes[1].get_ylabel().startswith("Δ Resonance")
    (_, texts), = levels
    assert texts[0] == f"level {sweep.generated[0, 0, :, 1].mean():.1f} kHz"


def snapshots(count: int, source: str) -> Snapshots:
    return Snapshots(RNG.normal(size=(count, 5, 15, 12)), RNG.random((count, 5)), np.arange(1, count + 1),
                     np.linspace(0, 0.2, count), np.linspace(0.5, 0.1, count), tuple("abcde"),
                     Look(source, SCAN, CHANNELS))


def test_training_movie_holds_every_snapshot_of_every_model_and_two_play_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(movies, "SECONDS", 0.6)
    training_movie(tmp_path / "s2.mp4", {"paper's": snapshots(1, "toy"), "companion's": snapshots(3, "toy")})
    changed, hold = changes(tmp_path / "s2.mp4")[1], 4
    assert len(changed) == 4 * hold - 1
    moved = changed[hold - 1 :: hold]
    assert moved.min() > 10 * (1 + np.delete(changed, slice(hold - 1, None, hold)).max())
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "s2.mp4"))
    size = next(reader)["size"]
    whole = [np.asarray(Image.frombytes("RGB", size, frame).resize((160, 90)), float) for frame in reader]
    for name, count in (("first", 1), ("second", 3)):
        np.savez(tmp_path / f"{name}.npz", snapshot_epochs=np.arange(count))
    trainings = [tmp_path / "first.npz", tmp_path / "second.npz"]
    with Image.open(BytesIO(side_by_side(tmp_path / "s2.mp4", trainings, 2, 160))) as made:
        assert (made.format, made.n_frames, made.size) == ("WEBP", 2, (320, 90))
        made.seek(1)
        halves = np.split(np.asarray(made.convert("RGB"), float), 2, axis=1)
    for half, last in zip(halves, (hold - 1, len(whole) - 1), strict=True):
        apart = [np.abs(half - frame).mean() for frame in whole]
        assert apart[last] < 1.1 * min(apart)


def swept(source: str = "twin", sweep: Sweep = SWEEP, channels: int = 2) -> list[bytes]:
    return list(sweep_frames(sweep, 0, VOLTAGE, Look(source, SCAN, CHANNELS[:channels]), "x"))


ONE_STEP = replace(SWEEP, values=SWEEP.values[:, :1], generated=SWEEP.generated[:, :1])


def test_measured_spectra_stand_beside_the_generated_ones():
    dark = [(np.frombuffer(swept(sweep=sweep)[0], np.uint8).reshape(*SIZE[::-1], 4)[..., :3].max(axis=-1) < 90).sum()
            for sweep in (ONE_STEP, replace(ONE_STEP, measured=ONE_STEP.generated + 0.5))]
    assert dark[1] > dark[0] + 20 * STEPS


def trained(source: str) -> list[bytes]:
    return list(training_frames("companion's", snapshots(1, source)))


@pytest.mark.parametrize("drawn", [lambda source: swept(source, ONE_STEP), trained], ids=["swept", "trained"])
def test_frames_of_the_twin_alone_are_labelled(drawn, monkeypatch):
    made = []
    monkeypatch.setattr("helpers.figures.movies.page_figure",
                        lambda *given: made.append(page_figure(*given)) or made[-1])
    for source in ("twin", "measured"):
        drawn(source)
        assert (TWIN_LABEL in [text.get_text() for text in made.pop().texts]) == (source == "twin")


def test_a_frame_depends_on_its_step_alone_one_channel_is_drawn_and_unusable_pixels_do_no_harm():
    there_and_back = Sweep(SWEEP.name, SWEEP.maps, SWEEP.values[:, [0, 3, 0]], SWEEP.generated[:, [0, 3, 0]])
    first, other, again = swept(sweep=there_and_back)
    assert first == again != other
    maps = SWEEP.maps.copy()
    maps[:, 3, 4] = np.nan
    frames = swept("measured", replace(SWEEP, maps=maps), channels=1)
    assert len(set(frames)) == len(frames) == 4


@pytest.mark.parametrize("lost", [0, 7])
def test_nearest_pixels_are_marked_and_unusable_ones_never(lost):
    values = np.arange(400.0).reshape(20, 20)
    values[0, :lost] = np.nan
    marked = movies.mark_nearest(values, 0.0, SCAN)[..., 3] > 0
    np.testing.assert_array_equal(marked, values < 100 + lost)


def test_a_movie_that_cannot_be_written_or_lost_frames_is_one_sentence_and_leaves_what_was_there(tmp_path, monkeypatch):
    black = [bytes(4 * SIZE[0] * SIZE[1])] * 8
    with pytest.raises(OSError, match=r"could not write .*s6\.mp4") as error:
        movies.write_movie(tmp_path / "missing" / "s6.mp4", iter(black), 8)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda path: (5, 0.2))
    (tmp_path / "s6.mp4").write_text("earlier movie")
    with pytest.raises(OSError, match="5 of 8 frames"):
        movies.write_movie(tmp_path / "s6.mp4", iter(black), 8)
    assert (tmp_path / "s6.mp4").read_text() == "earlier movie"
    assert len(list(tmp_path.iterdir())) == 1
