"""Scenes of the movies: figures whose artists move from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from helpers.figures.inputs import Sweep
from helpers.figures.maps import Orientation, lay_out, map_height, plot_map, signed_norm
from helpers.figures.style import DATA, SIGNED, VAE, plain_log_ticks
from helpers.generate import nearest_pixels
from helpers.video import Animated, movie_figure


def mark_nearest(values: np.ndarray, value: float, orientation: Orientation) -> np.ndarray:
    """White overlay on the pixels whose mean embedding the generator starts from.

    Shapes: (rows, columns) in, (rows', columns', 4) as laid out on the page out.
    """
    shown = lay_out(nearest_pixels(values, value).astype(float), orientation) > 0.5
    return np.stack([np.ones(shown.shape)] * 3 + [0.9 * shown], axis=-1)


def scale_bars(ax: Axes) -> list[Artist]:
    """Scale bar of a map, which has to be drawn again over a moving image."""
    return list(ax.artists)


class SweepScene:
    """Map, histogram and generated spectra of one swept channel.

    Parameters
    ----------
    sweep : Sweep
        All channels, of which `index` is shown.
    index : int
        Swept channel.
    x : ndarray, shape (n_points,)
        Time or voltage.
    spectra : list of ndarray, shape (n_maps, n_values, n_points)
        Generated spectra by spectral channel, in the units of its label.
    labels : sequence of str
        Label of the x axis, then of each spectral channel.
    """

    def __init__(
        self, sweep: Sweep, index: int, x: np.ndarray, spectra: list[np.ndarray],
        *, labels: Sequence[str], source: str, orientation: Orientation,
    ):
        self.values, self.swept = sweep.maps[index], sweep.values[index]
        self.spectra, self.orientation = [s[index] for s in spectra], orientation
        self.norm, self.quantity = signed_norm(self.values), sweep.quantity
        figure = movie_figure(source)
        upper, lower = figure.subfigures(2, 1, height_ratios=[1.15, 1])
        title = sweep.map_name(index)
        if not title.startswith(sweep.name):
            title = f"{sweep.name}, {title}"
        self._draw_map(upper, f"{title}; white: nearest pixels")
        self._draw_spectra(lower, x, spectra, labels)
        bars = scale_bars(self.overlay.axes)
        artists = [self.overlay, *bars, self.marker, self.text, *self.lines]
        self.animated = Animated(figure, artists)

    def _draw_map(self, block: SubFigure, title: str) -> None:
        map_ax, histogram = block.subplots(1, 2, width_ratios=[1, 1.7])
        plot_map(
            map_ax, self.values, label=self.quantity, norm=self.norm, orientation=self.orientation
        )
        map_ax.set_title(title, loc="left")
        self.overlay = map_ax.imshow(
            mark_nearest(self.values, self.swept[0], self.orientation)
        )
        histogram.hist(self.values[np.isfinite(self.values)], 200, color="0.6", log=True)
        histogram.set(xlabel=self.quantity, ylabel="Pixels")
        self.marker = histogram.axvline(self.swept[0], color=DATA, linewidth=1.5)
        self.text = histogram.text(1, 1.02, "", transform=histogram.transAxes, ha="right", fontsize=9)

    def _draw_spectra(
        self, block: SubFigure, x: np.ndarray, spectra: list[np.ndarray], labels: Sequence[str]
    ) -> None:
        """Pale lines over the whole range, and the line that moves among them."""
        axes = block.subplots(1, len(spectra), squeeze=False)[0]
        self.lines = []
        for ax, every, own, label in zip(axes, spectra, self.spectra, labels[1:], strict=True):
            margin = 0.05 * np.ptp(every)
            ax.plot(x, own[:: max(1, len(own) // 10)].T, color="0.85", linewidth=0.6)
            self.lines += ax.plot(x, own[0], linewidth=1.8)
            limits = (every.min() - margin, every.max() + margin)
            ax.set(xlabel=labels[0], ylabel=label, ylim=limits)

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

    def __init__(
        self, embeddings: np.ndarray, epochs: np.ndarray, beta: np.ndarray, mse: np.ndarray,
        *, titles: Sequence[str], source: str, orientation: Orientation,
    ):
        self.embeddings, self.epochs, self.beta, self.mse = embeddings, epochs, beta, mse
        self.orientation = orientation
        figure = movie_figure(source)
        left, right = figure.subfigures(1, 2, width_ratios=[1.35, 1])
        self.images = self._draw_maps(left, titles)
        self.text = right.suptitle("epoch", fontsize=9)
        axes = right.subplots(2, 1, sharex=True)
        self.markers = [
            *self._draw_curve(axes[0], mse, "MSE (s.d.²)", DATA),
            *self._draw_curve(axes[1], beta, "β", VAE),
        ]
        axes[0].set_yscale("log")
        plain_log_ticks(axes[0].yaxis)
        axes[1].set_xlabel("Epoch")
        bars = [bar for image in self.images for bar in scale_bars(image.axes)]
        self.animated = Animated(figure, [*self.images, *bars, *self.markers, self.text])

    def _draw_maps(self, block: SubFigure, titles: Sequence[str]) -> list[AxesImage]:
        """Grid on one scale, fixed by the second half of the training."""
        tall = map_height(self.embeddings.shape, self.orientation)
        columns = int(np.ceil(np.sqrt(len(titles) * tall)))
        axes = block.subplots(-(-len(titles) // columns), columns, squeeze=False)
        norm = signed_norm(self.embeddings[len(self.embeddings) // 2 :])
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, values, title in zip(axes.flat, self.embeddings[0], titles, strict=False):
            plot_map(
                ax, values, label="", norm=norm, orientation=self.orientation, colour_bar=False
            )
            ax.set_title(title, loc="left", pad=1.5)
        images = [ax.images[0] for ax in axes.flat[: len(titles)]]
        bar = block.colorbar(images[0], ax=axes, shrink=0.6, extend="both")
        bar.set_label("posterior mean")
        return images

    def _draw_curve(
        self, ax: Axes, values: np.ndarray, label: str, colour: str
    ) -> list[Line2D]:
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
        self.text.set_text(
            f"epoch {self.epochs[snapshot]}, β = {self.beta[snapshot]:.3g}, "
            f"MSE {self.mse[snapshot]:.3g}"
        )
        return self.animated.frame()
