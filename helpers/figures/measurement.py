"""Schematics of the band-excitation measurement: Figures S1 and S2."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures.style import (
    BOUND,
    DATA,
    DL,
    VAE,
    letter_panels,
    page_figure,
    panel_title,
)

SCHEMATIC = "schematic, computed from the formula; not data"


def sho_response(
    frequency_kHz: np.ndarray,
    *,
    amplitude: float,
    phase_rad: float,
    resonance_kHz: float,
    quality: float,
) -> np.ndarray:
    """Complex response of a driven simple harmonic oscillator.

    A e^{iφ} ω₀² / (ω² − i ω ω₀ / Q − ω₀²): at resonance the modulus is A Q.

    Parameters
    ----------
    frequency_kHz : ndarray, shape (n_frequencies,)
        Drive frequency ω (kHz).
    amplitude : float
        A, in the units of the response.
    phase_rad : float
        φ (rad).
    resonance_kHz : float
        ω₀ (kHz).
    quality : float
        Q.

    Returns
    -------
    ndarray of complex, shape (n_frequencies,)
    """
    w, w0 = frequency_kHz, resonance_kHz
    denominator = w**2 - 1j * w * w0 / quality - w0**2
    return amplitude * np.exp(1j * phase_rad) * w0**2 / denominator


def plot_drive(ax: Axes, voltage_V: np.ndarray) -> Axes:
    """Staircase of the bias over both cycles; the second, which is used, is marked."""
    n = len(voltage_V)
    steps = np.arange(2 * n + 1)
    bias = np.append(np.tile(voltage_V, 2), voltage_V[0])
    ax.step(steps, bias, where="post", color=DATA, linewidth=0.7)
    ax.axvspan(n, 2 * n, color=VAE, alpha=0.12, linewidth=0)
    for centre, text in ((n / 2, "cycle 1"), (1.5 * n, "cycle 2 (used)")):
        ax.text(centre, 1.03, text, transform=ax.get_xaxis_transform(), ha="center")
    ax.set(xlabel="Voltage step", ylabel="DC bias (V)", xlim=(0, 2 * n))
    return ax


def plot_on_off(ax: Axes, voltage_V: np.ndarray) -> Axes:
    """Three steps in detail: bias on, bias off, and a band-excitation pulse in each."""
    for step, bias in enumerate(voltage_V):
        times = [step, step, step + 0.5, step + 0.5, step + 1]
        ax.plot(times, [0, bias, bias, 0, 0], color=DATA)
        for start, level, colour in ((0.1, bias, DL), (0.6, 0.0, VAE)):
            t = np.linspace(0, 1, 400)
            pulse = 1.2 * np.sin(2 * np.pi * (3 * t + 6 * t**2)) * np.sin(np.pi * t) ** 2
            ax.plot(step + start + 0.3 * t, level + pulse, color=colour, linewidth=0.7)
    ax.plot([], [], color=DL, label="excitation, on field")
    ax.plot([], [], color=VAE, label="excitation, off field (used)")
    top = voltage_V.max()
    ax.set(xlabel="Voltage step", ylabel="Bias (V)", xticks=range(len(voltage_V) + 1),
           ylim=(-0.12 * top, 1.5 * top))
    ax.legend(loc="upper left")
    return ax


def figure_s1(voltage_V: np.ndarray) -> Figure:
    """Figure S1: the triangular waveform and the on- and off-field measurement.

    Parameters
    ----------
    voltage_V : ndarray, shape (n_steps,)
        Bias (V) of one cycle, in the order applied.
    """
    figure = page_figure(2.1)
    axes = figure.subplots(1, 2, width_ratios=[1.4, 1])
    plot_drive(axes[0], voltage_V)
    plot_on_off(axes[1], np.sort(voltage_V)[-len(voltage_V) // 4 :][:3])
    panel_title(axes[1], "", "three steps (schematic)")
    letter_panels(axes, "ab")
    return figure


def plot_excitation_band(ax: Axes, band_kHz: tuple[float, float]) -> Axes:
    """Spectrum of a band excitation: flat inside the band, nothing outside."""
    low, high = band_kHz
    margin = 0.15 * (high - low)
    ax.fill_between([low, high], 0, 1, color=DL, alpha=0.35, linewidth=0)
    ax.set(xlabel="Frequency (kHz)", ylabel="Drive (arb. u.)",
           xlim=(low - margin, high + margin), ylim=(0, 1.25), yticks=[0, 1])
    return ax


def plot_sho_amplitude(
    ax: Axes,
    frequency_kHz: np.ndarray,
    response: np.ndarray,
    *,
    resonance_kHz: float,
    quality: float,
) -> Axes:
    """Modulus of the response with what the fit reads from it."""
    modulus = np.abs(response)
    ax.plot(frequency_kHz, modulus, color=DATA)
    peak = modulus.max()
    width = resonance_kHz / quality
    ax.axvline(resonance_kHz, color=VAE, linestyle=":")
    half = peak / np.sqrt(2)
    left, right = resonance_kHz - width / 2, resonance_kHz + width / 2
    ax.plot([left, right], [half, half], "|-", color=BOUND, linewidth=0.8)
    names = {
        "ω": (resonance_kHz, 0.03 * peak, VAE),
        "A·Q": (resonance_kHz, peak, DL),
        "ω/Q": (right, half, BOUND),
    }
    for name, (x, y, colour) in names.items():
        ax.annotate(name, (x, y), (4, 0), textcoords="offset points", color=colour)
    ax.set(xlabel="Frequency (kHz)", ylabel="Amplitude (arb. u.)", ylim=(0, 1.12 * peak))
    return ax


def plot_sho_phase(ax: Axes, frequency_kHz: np.ndarray, phases: dict[str, np.ndarray]) -> Axes:
    """Phase of the response for opposite polarisations: half a turn apart."""
    for (name, response), colour in zip(phases.items(), (VAE, DL), strict=True):
        degrees = np.degrees(np.unwrap(np.angle(response)))
        ax.plot(frequency_kHz, degrees, color=colour, label=name)
    ax.set(xlabel="Frequency (kHz)", ylabel="Phase (°)")
    ax.legend()
    return ax


def figure_s2(
    *,
    resonance_kHz: float = 1325.0,
    quality: float = 150.0,
    band_kHz: tuple[float, float] = (1285.0, 1365.0),
) -> Figure:
    """Figure S2: band excitation, and the oscillator fit at one voltage step (schematic).

    Parameters
    ----------
    resonance_kHz : float
        Contact resonance ω (kHz); the default is the mean of the measured scan.
    quality : float
        Q of the schematic.
    band_kHz : tuple of float
        Edges of the excited band (kHz).
    """
    frequency_kHz = np.linspace(*band_kHz, 400)
    up, down = (
        sho_response(frequency_kHz, amplitude=1.0, phase_rad=phase,
                     resonance_kHz=resonance_kHz, quality=quality)
        for phase in (0.0, np.pi)
    )
    figure = page_figure(2.1)
    axes = figure.subplots(1, 3)
    plot_excitation_band(axes[0], band_kHz)
    plot_sho_amplitude(
        axes[1], frequency_kHz, up, resonance_kHz=resonance_kHz, quality=quality
    )
    plot_sho_phase(axes[2], frequency_kHz, {"polarisation up": up, "down": down})
    for ax, text in zip(axes, ("excited band", "amplitude fit", "phase fit"), strict=True):
        panel_title(ax, "", text)
    letter_panels(axes, "abc")
    figure.supxlabel(SCHEMATIC, x=0.995, ha="right", fontsize=6, style="italic", color="0.35")
    return figure
