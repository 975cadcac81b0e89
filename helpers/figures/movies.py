"""Movies S1–S6: embedding channels swept, and embeddings through the training, as MP4 that any browser plays.

Both kinds return the seconds taken by a frame; an OSError tells that the file cannot be written.
"""

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import chain
from math import ceil
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from PIL import Image
from tqdm import tqdm

from helpers.figures.inputs import QUANTITIES, Channel, Look, Orientation, Sweep
from helpers.figures.maps import lay_out, map_height, plot_grid, plot_map, signed_norm
from helpers.figures.snapshots import Snapshots
from helpers.figures.spectra import close_loop
from helpers.figures.style import DATA, SIGNED, VAE, page_figure, plain_log_ticks
from helpers.generate import nearest_pixels
from helpers.paths import atomic
from helpers.scores import ACTIVE_KL_NAT

FRAME = 1280, 720  # pixels, a size every player takes
# Height and width of a drawn frame: the fewer inches, the larger the letters. Two trainings stand side by side.
SWEEP_INCHES, TRAINING_INCHES = (3.375, 6.0), (2.7, 4.8)
FPS = 25
SECONDS = 12  # of a movie of trainings
LONGEST_SECONDS = 16  # of a movie of swept channels
NEAREST = "#3DF58C"  # green, which neither maps nor paper have


def sweep_movie(path: Path | str, sweep: Sweep, x: np.ndarray, look: Look, *, x_label: str, loop: bool) -> float:
    """Movies S1, S3, S4 and S6 at `path`: spectra generated while each channel is swept.

    There is a frame for every value, or for as many, evenly spaced, as LONGEST_SECONDS hold. `x`, shape (n_steps,), is
    time or voltage, `x_label` its name and unit; `loop` joins the last step to the first.
    """
    count = min(sweep.values.shape[1], LONGEST_SECONDS * FPS // len(sweep.maps))
    steps = np.linspace(0, sweep.values.shape[1] - 1, count).round().astype(int)
    joined = close_loop if loop else lambda spectra, axis: spectra
    sweep = replace(sweep, values=sweep.values[:, steps], generated=joined(sweep.generated[:, steps], 2),
                    measured=None if sweep.measured is None else joined(sweep.measured[:, steps], 2))
    frames = (sweep_frames(sweep, index, joined(x, 0), look, x_label) for index in range(len(sweep.maps)))
    return write_movie(path, chain.from_iterable(frames), sweep.values.size)


def training_movie(path: Path | str, trainings: Mapping[str, Snapshots]) -> float:
    """Movies S2 and S5 at `path`: maps and KL of every channel through trainings by model, one after the other."""
    count = sum(len(kept.maps) for kept in trainings.values())
    hold = ceil(SECONDS * FPS / count)
    frames = chain.from_iterable(training_frames(name, kept) for name, kept in trainings.items())
    return write_movie(path, (frame for frame in frames for _ in range(hold)), hold * count)


def write_movie(path: Path | str, frames: Iterator[bytes], n_frames: int) -> float:
    """Encode RGBA frames of 1280 × 720 pixels as they are drawn; the file appears whole or not at all.

    The environment variable TQDM_DISABLE hides the bar.
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


def side_by_side(path: Path, trainings: Sequence[Path], frames: int, width: int) -> bytes:
    """Animated WebP of a movie of two trainings, the second beside the first, each `width` pixels wide.

    `trainings` are the files of their snapshots, each of which is shown equally long.
    """
    counts = []
    for stored in trainings:
        with np.load(stored, allow_pickle=False) as arrays:
            counts.append(len(arrays["snapshot_epochs"]))
    reader = imageio_ffmpeg.read_frames(str(path))
    size = next(reader)["size"]
    smaller = (width, width * size[1] // size[0])
    pictures = [Image.frombytes("RGB", size, frame).resize(smaller, Image.Resampling.LANCZOS) for frame in reader]
    second = len(pictures) * counts[0] // sum(counts)
    left, right = (np.linspace(first, last - 1, frames).round().astype(int)
                   for first, last in ((0, second), (second, len(pictures))))
    drawn = [Image.fromarray(np.hstack([pictures[i], pictures[k]])) for i, k in zip(left, right, strict=True)]
    made = BytesIO()
    durations = [1000 * SECONDS // frames] * (frames - 1) + [2500]
    drawn[0].save(made, "webp", save_all=True, append_images=drawn[1:], duration=durations, loop=0, quality=55)
    return made.getvalue()


def _encode(path: Path, frames: Iterator[bytes]) -> None:
    """Send the frames to ffmpeg."""
    writer = imageio_ffmpeg.write_frames(
        str(path), FRAME, pix_fmt_in="rgba", pix_fmt_out="yuv420p", fps=FPS,
        codec="libx264", quality=None, macro_block_size=2, ffmpeg_log_level="quiet",
        output_params=["-crf", "28", "-movflags", "+faststart"])
    writer.send(None)
    try:
        for frame in frames:
            writer.send(frame)
    finally:
        writer.close()


def _animated(figure: Figure, artists: Sequence[Artist]) -> Callable[[], bytes]:
    """Draw a figure once; what is returned draws the listed artists alone, as they are, and gives the RGBA bytes."""
    figure.set_dpi(FRAME[0] / figure.get_figwidth())
    canvas = FigureCanvasAgg(figure)
    for artist in artists:
        artist.set_animated(True)
    canvas.draw()
    # The layout is settled; solving it again would move the panels.
    figure.set_layout_engine("none")
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)

    def draw() -> bytes:
        canvas.restore_region(background)
        for artist in artists:
            artist.draw(canvas.get_renderer())
        return canvas.buffer_rgba().tobytes()

    return draw


def mark_nearest(values: np.ndarray, value: float, orientation: Orientation) -> np.ndarray:
    """Green overlay (rows', columns', 4), as laid out, on the pixels whose mean embedding the generator starts from."""
    shown = lay_out(nearest_pixels(values, value).astype(float), orientation) > 0.5
    return shown[..., None] * np.array(to_rgba(NEAREST))


def sweep_frames(sweep: Sweep, index: int, x: np.ndarray, look: Look, x_label: str) -> Iterator[bytes]:
    """Map, histogram and spectra of one swept channel, generated and (points) measured: RGBA bytes of each value."""
    values, swept, quantity = sweep.maps[index], sweep.values[index], QUANTITIES[sweep.name]
    norm, title = signed_norm(values), sweep.names[index]
    if not title.startswith(sweep.name):
        title = f"{sweep.name}, {title}"
    figure = page_figure(*SWEEP_INCHES, look.source)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
    of_map, histogram = left.subplots(2, 1, height_ratios=[4, 1])
    plot_map(of_map, values, look.orientation, norm=norm).set_title(f"{title}; green: nearest pixels")
    overlay = of_map.imshow(mark_nearest(values, swept[0], look.orientation))
    histogram.set_xlabel(quantity)
    marker, text = _draw_histogram(histogram, values, norm), histogram.set_title(" ")
    lines, points, levels = _draw_spectra(right, x, sweep, index, x_label, look.channels)
    # The scale bar of the map has to be drawn again over the moving image.
    moving = [artist for artist, _ in points + lines + levels]
    draw = _animated(figure, [overlay, *of_map.artists, marker, text, *moving])
    for step, value in enumerate(swept):
        overlay.set_data(mark_nearest(values, value, look.orientation))
        marker.set_xdata([value, value])
        text.set_text(f"{quantity} {value:+.2f}".replace("-", "−"))
        for line, every in lines + points:
            line.set_ydata(every[step])
        for line, _ in lines:
            line.set_color(SIGNED(norm(value)))
        for title, level in levels:
            title.set_text(level[step])
        yield draw()


def _draw_histogram(ax: Axes, values: np.ndarray, norm: Normalize) -> Line2D:
    """Histogram in the colours of the map, so that it is its colour bar too; returns the line that moves along it."""
    _, edges, bars = ax.hist(values[np.isfinite(values)], 80, log=True)
    for bar, left, right in zip(bars, edges, edges[1:], strict=False):
        bar.set_color(SIGNED(norm((left + right) / 2)))
    ax.set_ylabel("Pixels")
    outlined = [Stroke(linewidth=3, foreground=DATA), Normal()]
    return ax.axvline(edges[0], color=NEAREST, linewidth=1.5, path_effects=outlined)


def _draw_spectra(block: SubFigure, x: np.ndarray, sweep: Sweep, index: int, x_label: str,
                  channels: Sequence[Channel]) -> tuple[list[tuple[Artist, Sequence]], ...]:
    """Pale lines over the whole range; returns what moves among them, each with its content at every value.

    These are the line of each channel, any points, and titles that give the level of a resonance, which is drawn from
    its mean along each loop.
    """
    lines, points, levels = [], [], []
    axes = block.subplots(len(channels), 1, squeeze=False)[:, 0]
    for position, (ax, channel) in enumerate(zip(axes, channels, strict=True)):
        shown = [every[..., position] * channel.scale for every in (sweep.generated, sweep.measured)
                 if every is not None]
        if position:
            means = shown[0][index].mean(axis=-1)
            levels.append((ax.set_title(" "), [f"level {level:.1f} {channel.unit}" for level in means]))
            shown = [every - every.mean(axis=-1, keepdims=True) for every in shown]
        own = shown[0][index]
        # One range for all channels, but for the resonance, whose dips differ tenfold.
        ranged = [every[index] for every in shown] if position else shown
        low, high = min(map(np.min, ranged)), max(map(np.max, ranged))
        margin = 0.05 * (high - low)
        ax.plot(x, own[:: max(1, len(own) // 10)].T, color="0.75", linewidth=0.6)
        lines.append((*ax.plot(x, own[0], linewidth=1.8), own))
        for points_of in shown[1:]:
            points.append((*ax.plot(x, own[0], ".", color=DATA, markersize=3, zorder=1), points_of[index]))
        ax.set(ylabel="Δ " * (position > 0) + channel.label, ylim=(low - margin, high + margin))
    ax.set_xlabel(x_label)
    ax.locator_params(axis="x", nbins=6)
    block.suptitle("line: generated" + "; points: mean of the nearest pixels" * bool(points), fontsize=7)
    return lines, points, levels


def training_frames(name: str, kept: Snapshots) -> Iterator[bytes]:
    """Maps and KL of every channel at one snapshot, beside β and the error of all: RGBA bytes of each snapshot."""
    figure = page_figure(*TRAINING_INCHES, kept.look.source)
    figure.suptitle(name, fontsize=8)
    left, right = figure.subfigures(1, 2, width_ratios=[1.35, 1])
    columns = int(np.ceil(np.sqrt(len(kept.names) * map_height(kept.maps.shape, kept.look.orientation))))
    bare = replace(kept.look.orientation, size_um=None)  # no room for scale bars
    panels = plot_grid(left, kept.maps[0], kept.names, bare, columns, kept.norm)
    images = [ax.images[0] for ax in panels]
    text = right.suptitle("epoch\nerror", fontsize=7)
    beta = np.where(kept.beta > 0, kept.beta, np.nan)  # a logarithmic axis cannot show 0
    curves, markers = ((kept.mse, "MSE (s.d.²)", DATA), (beta, "β", VAE)), []
    axes = right.subplots(3, 1)
    for ax, (values, label, colour) in zip(axes, curves, strict=False):
        ax.plot(kept.epochs, values, color=colour)
        ax.set(ylabel=label, yscale="log")
        plain_log_ticks(ax.yaxis)
        ax.yaxis.get_major_locator().set_params(subs=(1.0,))  # a low panel has room for decades alone
        markers += ax.plot(kept.epochs[:1], values[:1], "o", color=colour, markersize=5)
    axes[0].tick_params(labelbottom=False)
    axes[1].set(xlabel="Epoch", xlim=axes[0].get_xlim())
    bars = axes[2].bar(range(len(kept.names)), kept.kl[0])
    axes[2].axhline(ACTIVE_KL_NAT, color="0.5", linestyle=":", linewidth=0.8)
    axes[2].set(xticks=[], xlabel="Channel (order of maps)", ylim=(0, 1.05 * kept.kl.max()))
    axes[2].set_ylabel("KL (nat)")
    draw = _animated(figure, [*images, *markers, *bars, text])
    for snapshot, maps in enumerate(kept.maps):
        for image, values in zip(images, maps, strict=True):
            image.set_data(lay_out(values, kept.look.orientation))
        for marker, (values, _, _) in zip(markers, curves, strict=True):
            marker.set_data(kept.epochs[[snapshot]], values[[snapshot]])
        for bar, nat in zip(bars, kept.kl[snapshot], strict=True):
            bar.set(height=nat, color=VAE if nat > ACTIVE_KL_NAT else "0.6")
        text.set_text(kept.title(snapshot).replace(", error", "\nerror"))
        yield draw()
