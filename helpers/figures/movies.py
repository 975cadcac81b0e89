"""Movies S1–S6: embedding channels swept, and embeddings through the training, as MP4 that any browser plays."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import imageio_ffmpeg
import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from PIL import Image
from tqdm import tqdm

from helpers.figures.inputs import Look, Orientation, Sweep
from helpers.figures.maps import lay_out, map_height, plot_map, signed_norm
from helpers.figures.spectra import close_loop
from helpers.figures.style import DATA, SIGNED, VAE, label_source, page_figure, plain_log_ticks
from helpers.generate import nearest_pixels
from helpers.paths import atomic

# 8 × 4.5 inches at this resolution is 1280 × 720, a size every player takes.
WIDTH, HEIGHT, DPI = 8.0, 4.5, 160
FPS = 25
HOLD = 5  # frames that show one snapshot of a training


def sweep_movie(path: Path | str, sweep: Sweep, x: np.ndarray, look: Look, *, x_label: str, loop: bool) -> float:
    """Movies S1, S3, S4 and S6: spectra generated while each channel is swept.

    Parameters
    ----------
    path : path
        Target, ``.mp4``.
    sweep : Sweep
        Maps, swept values and generated spectra; one frame for every value.
    x : ndarray, shape (n_steps,)
        Time or voltage.
    look : Look
        Of the scan or the toy; every frame from the twin says so.
    x_label : str
        Name and unit of `x`.
    loop : bool
        Whether the last step is joined to the first.

    Returns
    -------
    float
        Seconds taken by a frame.

    Raises
    ------
    OSError
        If the movie cannot be written: one sentence naming it and the remedy.
    """
    joined = close_loop if loop else np.asarray
    spectra = [joined(sweep.generated[..., i] * channel.scale) for i, channel in enumerate(look.channels)]

    def frames() -> Iterator[bytes]:
        for index in range(len(sweep.maps)):
            scene = SweepScene(sweep, index, joined(x), spectra, look, x_label)
            yield from map(scene.frame, range(sweep.values.shape[1]))

    return write_movie(path, frames(), sweep.values.size)


def training_movie(path: Path | str, embeddings: np.ndarray, epochs: np.ndarray, beta: np.ndarray, mse: np.ndarray,
                   look: Look, *, names: Sequence[str]) -> float:
    """Movies S2 and S5: embedding maps through the training, with β and the error.

    Parameters
    ----------
    path : path
        Target, ``.mp4``.
    embeddings : ndarray, shape (n_snapshots, n_maps, rows, columns)
        Posterior means, the same channels in the same order at every snapshot.
    epochs, beta, mse : ndarray, shape (n_snapshots,)
        Epoch, β and mean squared error (s.d.²) of each snapshot.
    look : Look
        Of the scan or the toy; every frame from the twin says so.
    names : sequence of str
        Title of each map.

    Returns and raises as `sweep_movie`.
    """
    def frames() -> Iterator[bytes]:
        scene = TrainingScene(embeddings, epochs, beta, mse, look, names)
        for snapshot in range(len(embeddings)):
            yield from [scene.frame(snapshot)] * HOLD

    return write_movie(path, frames(), HOLD * len(embeddings))


def write_movie(path: Path | str, frames: Iterator[bytes], n_frames: int) -> float:
    """Encode RGBA frames of 1280 × 720 pixels as they are drawn; the file appears whole or not at all.

    The environment variable TQDM_DISABLE hides the bar. Returns and raises as `sweep_movie`.
    """
    started = time.perf_counter()
    frames = tqdm(frames, Path(path).name, n_frames, unit="frame", mininterval=1.0)
    with atomic(path) as temporary:
        try:
            _encode(temporary, frames)
            written = imageio_ffmpeg.count_frames_and_secs(str(temporary))[0]
        except (OSError, RuntimeError) as error:
            raise OSError(errno.EIO, "ffmpeg stopped before the end") from error
        if written != n_frames:
            raise OSError(errno.EIO, f"{written} of {n_frames} frames arrived")
    return (time.perf_counter() - started) / n_frames


def poster(path: Path) -> bytes:
    """JPEG of the frame in the middle of a movie, half as wide."""
    middle = next(imageio_ffmpeg.read_frames(str(path)))["duration"] / 2
    reader = imageio_ffmpeg.read_frames(str(path), input_params=["-ss", f"{middle:.3f}"])
    size, picture = next(reader)["size"], BytesIO()
    Image.frombytes("RGB", size, next(reader)).reduce(2).save(picture, "jpeg", quality=85)
    reader.close()
    return picture.getvalue()


def _encode(path: Path, frames: Iterator[bytes]) -> None:
    """Send the frames to ffmpeg."""
    writer = imageio_ffmpeg.write_frames(
        str(path), (round(WIDTH * DPI), round(HEIGHT * DPI)), pix_fmt_in="rgba", pix_fmt_out="yuv420p", fps=FPS,
        codec="libx264", quality=None, macro_block_size=2, ffmpeg_log_level="quiet",
        output_params=["-crf", "28", "-movflags", "+faststart"])
    writer.send(None)
    try:
        for frame in frames:
            writer.send(frame)
    finally:
        writer.close()


def movie_figure(source: str) -> Figure:
    """Empty figure of the size of a frame, labelled where its data are simulated."""
    figure = page_figure(HEIGHT, WIDTH)
    figure.set_dpi(DPI)
    label_source(figure, source)
    return figure


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


def mark_nearest(values: np.ndarray, value: float, orientation: Orientation) -> np.ndarray:
    """White overlay on the pixels whose mean embedding the generator starts from.

    Shapes: (rows, columns) in, (rows', columns', 4) as laid out on the page out.
    """
    shown = lay_out(nearest_pixels(values, value).astype(float), orientation) > 0.5
    return np.stack([np.ones(shown.shape)] * 3 + [0.9 * shown], axis=-1)


class SweepScene:
    """Map, histogram and generated spectra of one swept channel.

    Parameters
    ----------
    sweep : Sweep
        All channels, of which `index` is shown.
    x : ndarray, shape (n_points,)
        Time or voltage.
    spectra : list of ndarray, shape (n_maps, n_values, n_points)
        Generated spectra by spectral channel, in the units of its label.
    """

    def __init__(self, sweep: Sweep, index: int, x: np.ndarray, spectra: list[np.ndarray], look: Look, x_label: str):
        self.values, self.swept = sweep.maps[index], sweep.values[index]
        self.spectra, self.orientation = [s[index] for s in spectra], look.orientation
        self.norm, self.quantity = signed_norm(self.values), sweep.quantity
        figure = movie_figure(look.source)
        upper, lower = figure.subfigures(2, 1, height_ratios=[1.15, 1])
        title = sweep.names[index]
        if not title.startswith(sweep.name):
            title = f"{sweep.name}, {title}"
        self._draw_map(upper, f"{title}; white: nearest pixels")
        self._draw_spectra(lower, x, spectra, x_label, [channel.label for channel in look.channels])
        # The scale bar of the map has to be drawn again over the moving image.
        artists = [self.overlay, *self.overlay.axes.artists, self.marker, self.text, *self.lines]
        self.animated = Animated(figure, artists)

    def _draw_map(self, block: SubFigure, title: str) -> None:
        map_ax, histogram = block.subplots(1, 2, width_ratios=[1, 1.7])
        plot_map(map_ax, self.values, self.orientation, label=self.quantity, norm=self.norm)
        map_ax.set_title(title, loc="left")
        self.overlay = map_ax.imshow(mark_nearest(self.values, self.swept[0], self.orientation))
        histogram.hist(self.values[np.isfinite(self.values)], 200, color="0.6", log=True)
        histogram.set(xlabel=self.quantity, ylabel="Pixels")
        self.marker = histogram.axvline(self.swept[0], color=DATA, linewidth=1.5)
        self.text = histogram.text(1, 1.02, "", transform=histogram.transAxes, ha="right", fontsize=9)

    def _draw_spectra(self, block: SubFigure, x: np.ndarray, spectra: list[np.ndarray], x_label: str,
                      labels: Sequence[str]) -> None:
        """Pale lines over the whole range, and the line that moves among them."""
        axes = block.subplots(1, len(spectra), squeeze=False)[0]
        self.lines = []
        for ax, every, own, label in zip(axes, spectra, self.spectra, labels, strict=True):
            margin = 0.05 * np.ptp(every)
            ax.plot(x, own[:: max(1, len(own) // 10)].T, color="0.85", linewidth=0.6)
            self.lines += ax.plot(x, own[0], linewidth=1.8)
            ax.set(xlabel=x_label, ylabel=label, ylim=(every.min() - margin, every.max() + margin))

    def frame(self, step: int) -> bytes:
        """RGBA bytes with the channel at its value of this step."""
        value = self.swept[step]
        self.overlay.set_data(mark_nearest(self.values, value, self.orientation))
        self.marker.set_xdata([value, value])
        self.text.set_text(f"{self.quantity} {value:+.2f}".replace("-", "−"))
        for line, own in zip(self.lines, self.spectra, strict=True):
            line.set(ydata=own[step], color=mpl.colormaps[SIGNED](self.norm(value)))
        return self.animated.frame()


class TrainingScene:
    """Maps of every channel at one snapshot, beside β and the error of all snapshots.

    Parameters are those of `training_movie`.
    """

    def __init__(self, embeddings: np.ndarray, epochs: np.ndarray, beta: np.ndarray, mse: np.ndarray, look: Look,
                 names: Sequence[str]):
        self.embeddings, self.epochs, self.beta, self.mse = embeddings, epochs, beta, mse
        self.orientation = look.orientation
        figure = movie_figure(look.source)
        left, right = figure.subfigures(1, 2, width_ratios=[1.35, 1])
        self.images = self._draw_maps(left, names)
        self.text = right.suptitle("epoch", fontsize=9)
        axes = right.subplots(2, 1, sharex=True)
        self.markers = [*self._draw_curve(axes[0], mse, "MSE (s.d.²)", DATA),
                        *self._draw_curve(axes[1], beta, "β", VAE)]
        axes[0].set_yscale("log")
        plain_log_ticks(axes[0].yaxis)
        axes[1].set_xlabel("Epoch")
        bars = [bar for image in self.images for bar in image.axes.artists]
        self.animated = Animated(figure, [*self.images, *bars, *self.markers, self.text])

    def _draw_maps(self, block: SubFigure, names: Sequence[str]) -> list[AxesImage]:
        """Grid on one scale, fixed by the second half of the training."""
        tall = map_height(self.embeddings.shape, self.orientation)
        columns = int(np.ceil(np.sqrt(len(names) * tall)))
        axes = block.subplots(-(-len(names) // columns), columns, squeeze=False)
        norm = signed_norm(self.embeddings[len(self.embeddings) // 2 :])
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, values, name in zip(axes.flat, self.embeddings[0], names, strict=False):
            plot_map(ax, values, self.orientation, norm=norm)
            ax.set_title(name, loc="left", pad=1.5)
        images = [ax.images[0] for ax in axes.flat[: len(names)]]
        bar = block.colorbar(images[0], ax=axes, shrink=0.6, extend="both")
        bar.set_label("posterior mean")
        return images

    def _draw_curve(self, ax: Axes, values: np.ndarray, label: str, colour: str) -> list[Line2D]:
        """Curve over the epochs; returns the point that moves along it."""
        ax.plot(self.epochs, values, color=colour)
        ax.set_ylabel(label)
        return ax.plot(self.epochs[:1], values[:1], "o", color=colour, markersize=6)

    def frame(self, snapshot: int) -> bytes:
        """RGBA bytes of one snapshot."""
        for image, values in zip(self.images, self.embeddings[snapshot], strict=True):
            image.set_data(lay_out(values, self.orientation))
        for marker, values in zip(self.markers, (self.mse, self.beta), strict=True):
            marker.set_data(self.epochs[[snapshot]], values[[snapshot]])
        self.text.set_text(f"epoch {self.epochs[snapshot]}, β = {self.beta[snapshot]:.3g}, "
                           f"MSE {self.mse[snapshot]:.3g}")
        return self.animated.frame()
