"""Frames of a figure drawn fast, and MP4 files (H.264) that any browser plays."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import imageio_ffmpeg
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from helpers.figures.style import label_source, page_figure
from helpers.paths import atomic

# 8 × 4.5 inches at this resolution is 1280 × 720, a size every player takes.
WIDTH, HEIGHT, DPI = 8.0, 4.5, 160


def write_movie(
    path: Path | str, frames: Iterator[bytes], n_frames: int, *, fps: int, progress: bool = True
) -> float:
    """Encode frames as they are drawn; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Target, ``.mp4``.
    frames : iterator of bytes
        RGBA frames of 1280 × 720 pixels.
    n_frames : int
        How many there are.
    fps : int
        Frames a second.
    progress : bool
        Whether to show a bar; the environment variable TQDM_DISABLE hides it too.

    Returns
    -------
    float
        Seconds taken by a frame, drawing and encoding.

    Raises
    ------
    OSError
        If the movie cannot be written: one sentence naming it and the remedy.
    """
    started = time.perf_counter()
    if progress:
        frames = tqdm(frames, Path(path).name, n_frames, unit="frame", mininterval=1.0)
    with atomic(path) as temporary:
        try:
            _encode(temporary, frames, fps)
            written = imageio_ffmpeg.count_frames_and_secs(str(temporary))[0]
        except (OSError, RuntimeError) as error:
            raise OSError(errno.EIO, "ffmpeg stopped before the end") from error
        if written != n_frames:
            raise OSError(errno.EIO, f"{written} of {n_frames} frames arrived")
    return (time.perf_counter() - started) / n_frames


def _encode(path: Path, frames: Iterator[bytes], fps: int) -> None:
    """Send the frames to ffmpeg."""
    writer = imageio_ffmpeg.write_frames(
        str(path), (round(WIDTH * DPI), round(HEIGHT * DPI)), pix_fmt_in="rgba",
        pix_fmt_out="yuv420p", fps=fps, codec="libx264", quality=None, macro_block_size=2,
        ffmpeg_log_level="quiet", output_params=["-crf", "28", "-movflags", "+faststart"],
    )
    writer.send(None)
    try:
        for frame in frames:
            writer.send(frame)
    finally:
        writer.close()


class Animated:
    """A figure drawn once, whose listed artists alone are drawn again for every frame."""

    def __init__(self, figure: Figure, artists: Sequence[Artist]):
        self.canvas, self.artists = FigureCanvasAgg(figure), artists
        for artist in artists:
            artist.set_animated(True)
        self.canvas.draw()
        # The layout is settled; solving it again would move the panels.
        figure.set_layout_engine("none")
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(figure.bbox)

    def frame(self) -> bytes:
        """RGBA bytes of the figure as the artists are."""
        self.canvas.restore_region(self.background)
        for artist in self.artists:
            artist.draw(self.canvas.get_renderer())
        return self.canvas.buffer_rgba().tobytes()


def poster(path: Path | str) -> bytes:
    """JPEG of the frame in the middle of a movie, half as wide."""
    middle = next(imageio_ffmpeg.read_frames(str(path)))["duration"] / 2
    reader = imageio_ffmpeg.read_frames(str(path), input_params=["-ss", f"{middle:.3f}"])
    size, picture = next(reader)["size"], BytesIO()
    Image.frombytes("RGB", size, next(reader)).reduce(2).save(picture, "jpeg", quality=85)
    reader.close()
    return picture.getvalue()


def movie_figure(source: str) -> Figure:
    """Empty figure of the size of a frame, labelled where its data are simulated."""
    figure = page_figure(HEIGHT, WIDTH)
    figure.set_dpi(DPI)
    label_source(figure, source)
    return figure
