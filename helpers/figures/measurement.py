"""What was measured: Figures S1, S2 and S6, and what cleaning changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import Channel, Look, channels_of
from helpers.figures.maps import map_height, plot_map
from helpers.figures.spectra import close_loop
from helpers.figures.style import (
    BOUND,
    DATA,
    DL,
    POSITIVE,
    VAE,
    label_source,
    letter_panels,
    page_figure,
    panel_title,
)


@dataclass(frozen=True)
class RawLoop:
    """Simulated band-excitation spectra of one pixel, and the oscillators fitted to them.

    Attributes
    ----------
    frequency_kHz : ndarray, shape (n_frequencies,)
    spectra, fitted : ndarray of complex, shape (n_steps, n_frequencies)
        As measured and as fitted, in the unit of the piezoresponse times Q.
    voltage_V : ndarray, shape (n_steps,)
    truth, piezoresponse : ndarray, shape (n_steps,)
        The loop that the spectra were made of, and A cos(φ + θ) of the fits.
    """

    frequency_kHz: np.ndarray
    spectra: np.ndarray
    fitted: np.ndarray
    voltage_V: np.ndarray
    truth: np.ndarray
    piezoresponse: np.ndarray


def plot_drive(ax: Axes, voltage_V: np.ndarray) -> Axes:
    """Staircase of the bias over the cycle that is used."""
    steps = np.arange(len(voltage_V) + 1)
    ax.step(steps, close_loop(voltage_V), where="post", color=DATA, linewidth=0.7)
    ax.set(xlabel="Voltage step", ylabel="DC bias (V)", xlim=(0, len(voltage_V)))
    return ax


def plot_on_off(ax: Axes, voltage_V: np.ndarray) -> Axes:
    """Three steps in detail: bias on, bias off, and a band-excitation pulse in each."""
    for step, bias in enumerate(voltage_V):
        times = [step, step, step + 0.5, step + 0.5, step + 1]
        ax.plot(times, [0, bias, bias, 0, 0], color=DATA)
        for start, level, colour in ((0.1, bias, DL), (0.6, 0.0, VAE)):
            t = np.linspace(0, 1, 400)
            pulse = 0.13 * voltage_V.max() * np.sin(2 * np.pi * (3 * t + 6 * t**2)) * np.sin(np.pi * t) ** 2
            ax.plot(step + start + 0.3 * t, level + pulse, color=colour, linewidth=0.7)
    ax.plot([], [], color=DL, label="excitation, on field")
    ax.plot([], [], color=VAE, label="excitation, off field (used)")
    top = voltage_V.max()
    ax.set(xlabel="Voltage step", ylabel="Bias (V)", xticks=range(len(voltage_V) + 1), ylim=(-0.2 * top, 1.5 * top))
    ax.legend(loc="upper left")
    return ax


def plot_spectrogram(ax: Axes, raw: RawLoop) -> Axes:
    """Modulus of the response at every frequency and step."""
    steps = np.arange(len(raw.spectra))
    mesh = ax.pcolormesh(steps, raw.frequency_kHz, np.abs(raw.spectra).T, cmap=POSITIVE, rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label="|response| (arb. u.)", aspect=25)
    ax.set(xlabel="Voltage step", ylabel="Frequency (kHz)")
    return ax


def figure_s1(voltage_V: np.ndarray, raw: RawLoop) -> Figure:
    """Figure S1: the drive of the scan, on- and off-field measurement, and what is recorded.

    Parameters
    ----------
    voltage_V : ndarray, shape (n_steps,)
        Bias (V) of one cycle, in the order applied.
    raw : RawLoop
        Simulated spectra of one pixel.
    """
    figure = page_figure(2.1)
    axes = figure.subplots(1, 3, width_ratios=[1, 1.1, 1.2])
    plot_drive(axes[0], voltage_V)
    positive = np.unique(voltage_V[voltage_V > 0] if (voltage_V > 0).any() else np.abs(voltage_V))
    plot_on_off(axes[1], positive[len(positive) // 2 :][:3])
    plot_spectrogram(axes[2], raw)
    for ax, text in zip(axes, ("cycle used", "three steps (schematic)", "one pixel, simulated"), strict=True):
        panel_title(ax, "", text)
    letter_panels(axes, "abc")
    label_source(figure, "twin")
    return figure


def plot_fit(ax: Axes, raw: RawLoop, steps: dict[str, int], of: Callable, label: str) -> Axes:
    """`of` the spectra (points) and of their fits (lines) at some steps."""
    for (name, step), colour in zip(steps.items(), (VAE, DL), strict=True):
        ax.plot(raw.frequency_kHz, of(raw.spectra[step]), ".", color=colour, markersize=2, label=name)
        ax.plot(raw.frequency_kHz, of(raw.fitted[step]), color=colour, linewidth=0.8)
    ax.set(xlabel="Frequency (kHz)", ylabel=label)
    return ax


def plot_fitted_loop(ax: Axes, raw: RawLoop, channel: Channel) -> Axes:
    """Loop from the fits (points) on the loop that the spectra were made of (line)."""
    x = close_loop(raw.voltage_V)
    ax.plot(x, close_loop(raw.truth) * channel.scale, color=DATA, linewidth=0.8, label="simulated")
    ax.plot(x, close_loop(raw.piezoresponse) * channel.scale, ".", color=BOUND, label="from fits")
    ax.set(xlabel="Voltage (V)", ylabel=channel.label)
    ax.legend()
    return ax


def figure_s2(raw: RawLoop) -> Figure:
    """Figure S2: oscillators fitted to band-excitation spectra, and the loop that they give.

    Parameters
    ----------
    raw : RawLoop
        Simulated spectra of one pixel; the two steps drawn are those of the largest and the
        smallest piezoresponse, where the polarisation points in opposite directions.
    """
    steps = {"polarisation up": int(raw.truth.argmax()), "polarisation down": int(raw.truth.argmin())}
    figure = page_figure(2.1)
    axes = figure.subplots(1, 3)
    plot_fit(axes[0], raw, steps, lambda h: 1e3 * np.abs(h), "Amplitude (10⁻³ arb. u.)")
    plot_fit(axes[1], raw, steps, lambda h: np.degrees(np.unwrap(np.angle(h))), "Phase (°)")
    axes[0].legend()
    plot_fitted_loop(axes[2], raw, channels_of(raw.truth)[0])
    texts = "amplitude (points), fit (lines)", "phase (points), fit (lines)", "P = A cos(φ + θ)"
    for ax, text in zip(axes, texts, strict=True):
        panel_title(ax, "", text)
    letter_panels(axes, "abc")
    label_source(figure, "twin")
    return figure


def figure_s6(piezoresponse: np.ndarray, voltage_V: np.ndarray, look: Look, *,
              topography: np.ndarray | None = None) -> Figure:
    """Figure S6: topography, or the nearest observables where the file has none.

    Parameters
    ----------
    piezoresponse : ndarray, shape (rows, columns, n_steps)
        Loops (arb. u.).
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V), one closed cycle.
    look : Look
        Of the scan.
    topography : ndarray, shape (any, any), optional
        Height, in the unit of the file, on a grid of its own.
    """
    channel = look.channels[0]
    area = np.abs(np.trapezoid(close_loop(piezoresponse), close_loop(voltage_V), axis=-1))
    maps = {
        f"loop area ({channel.unit} · V)": look.masked(area * channel.scale),
        f"mean |piezoresponse| ({channel.unit})": look.masked(np.abs(piezoresponse).mean(-1) * channel.scale),
    }
    title = "no topography in the data file: loop observables instead"
    if topography is not None:
        maps = {"height (unit of the file)": topography - np.nanmin(topography)} | maps
        title = "topography and loop observables"
    tall = max(map_height(values.shape, look.orientation) for values in maps.values())
    figure = page_figure(0.65 + 1.8 * tall, 1.75 * len(maps) + 0.1)
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for ax, (label, values) in zip(axes, maps.items(), strict=True):
        plot_map(ax, values, look.orientation, label=label, norm=Normalize(*np.nanpercentile(values, [1, 99])))
    letter_panels(axes, "abc"[: len(maps)])
    figure.suptitle(title, fontsize=7)
    label_source(figure, look.source)
    return figure


def cleaning_map(flagged: np.ndarray, look: Look) -> Figure:
    """Where points were flagged and interpolated.

    Parameters
    ----------
    flagged : ndarray of int, shape (rows, columns)
        Points of each pixel, over all channels.
    look : Look
        Of the scan; pixels beyond repair are drawn grey.
    """
    values = look.masked(flagged.astype(float))
    figure = page_figure(0.75 + 2 * map_height(flagged.shape, look.orientation), 2.6)
    norm = Normalize(0, max(1, np.nanmax(values)))
    plot_map(figure.subplots(), values, look.orientation, label="points interpolated", norm=norm)
    return figure
