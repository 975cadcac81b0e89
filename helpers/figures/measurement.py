"""What was measured: Figures S1, S2 and S6, and what cleaning changed."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import Look, channels_of
from helpers.figures.maps import map_height, plot_map
from helpers.figures.spectra import VOLTAGE, close_loop
from helpers.figures.style import BOUND, DATA, DL, POSITIVE, VAE, letter_panels, page_panels


@dataclass(frozen=True)
class RawLoop:
    """Simulated band-excitation spectra of one pixel, and the oscillators fitted to them."""

    frequency_kHz: np.ndarray  # (n_frequencies,)
    spectra: np.ndarray  # complex (n_steps, n_frequencies): as measured, in the unit of the piezoresponse times Q
    fitted: np.ndarray  # the same as fitted
    voltage_V: np.ndarray  # (n_steps,)
    truth: np.ndarray  # (n_steps,): the loop that the spectra were made of
    piezoresponse: np.ndarray  # (n_steps,): A cos(φ + θ) of the fits


def plot_on_off(ax: Axes, voltage_V: np.ndarray) -> None:
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
    ax.set(xlabel="Voltage step", ylabel="Bias (V)", xticks=range(len(voltage_V) + 1), ylim=(-0.2 * top, 1.5 * top),
           title="three steps (schematic)")
    ax.legend(loc="upper left")


def figure_s1(voltage_V: np.ndarray, raw: RawLoop, *, source: str = "twin") -> Figure:
    """Figure S1: the drive of the scan, on- and off-field measurement, and what is recorded.

    `voltage_V`, shape (n_steps,), is the bias (V) of one cycle in the order applied, of a scan of that `source`.
    """
    figure, axes = page_panels(2.1, 1, 3, source=source, width_ratios=[1, 1.1, 1.2])
    drive, detail, spectrogram = axes
    drive.step(np.arange(len(voltage_V) + 1), close_loop(voltage_V), where="post", color=DATA, linewidth=0.7)
    drive.set(xlabel="Voltage step", ylabel="DC bias (V)", xlim=(0, len(voltage_V)), title="cycle used")
    positive = np.unique(voltage_V[voltage_V > 0] if (voltage_V > 0).any() else np.abs(voltage_V))
    plot_on_off(detail, positive[len(positive) // 2 :][:3])
    mesh = spectrogram.pcolormesh(np.arange(len(raw.spectra)), raw.frequency_kHz, np.abs(raw.spectra).T, cmap=POSITIVE,
                                  rasterized=True)
    figure.colorbar(mesh, ax=spectrogram, label="|response| (arb. u.)", aspect=25)
    spectrogram.set(xlabel="Voltage step", ylabel="Frequency (kHz)", title="one pixel, simulated (twin)")
    return letter_panels(axes)


def figure_s2(raw: RawLoop) -> Figure:
    """Figure S2: oscillators fitted to band-excitation spectra of one pixel, and the loop that they give.

    Drawn are the steps of the largest and the smallest piezoresponse, where the polarisation is opposite.
    """
    _, axes = page_panels(2.1, 1, 3, source="twin")
    amplitude, phase, loop = axes
    steps = {"polarisation up": (raw.truth.argmax(), VAE), "polarisation down": (raw.truth.argmin(), DL)}
    for ax, of in ((amplitude, lambda h: 1e3 * np.abs(h)), (phase, lambda h: np.degrees(np.unwrap(np.angle(h))))):
        for name, (step, colour) in steps.items():
            ax.plot(raw.frequency_kHz, of(raw.spectra[step]), ".", color=colour, markersize=2, label=name)
            ax.plot(raw.frequency_kHz, of(raw.fitted[step]), color=colour, linewidth=0.8)
        ax.set_xlabel("Frequency (kHz)")
    amplitude.set(ylabel="Amplitude (10⁻³ arb. u.)", title="amplitude (points), fit (lines)")
    phase.set(ylabel="Phase (°)", title="phase (points), fit (lines)")
    amplitude.legend()
    channel, x = channels_of(raw.truth)[0], close_loop(raw.voltage_V)
    loop.plot(x, close_loop(raw.truth) * channel.scale, color=DATA, linewidth=0.8, label="simulated")
    loop.plot(x, close_loop(raw.piezoresponse) * channel.scale, ".", color=BOUND, label="from fits")
    loop.set(xlabel=VOLTAGE, ylabel=channel.label, title="P = A cos(φ + θ)")
    loop.legend()
    return letter_panels(axes)


def figure_s6(piezoresponse: np.ndarray, voltage_V: np.ndarray, look: Look, *,
              resonance_kHz: np.ndarray | None = None, topography: np.ndarray | None = None) -> Figure:
    """Figure S6: topography, or the nearest observables where the file has none.

    `piezoresponse` (arb. u.) and `resonance_kHz` have the shape (rows, columns, n_steps); `voltage_V`, shape
    (n_steps,), is the applied bias (V); `topography` (unit of the file) has a grid of its own. The mean piezoresponse
    is drawn where there is no resonance.
    """
    channel = look.channels[0]
    area = np.abs(np.trapezoid(close_loop(piezoresponse), close_loop(voltage_V), axis=-1))
    maps = {f"loop area ({channel.unit} · V)": look.masked(area * channel.scale)}
    if resonance_kHz is None:
        maps[f"mean piezoresponse ({channel.unit})"] = look.masked(piezoresponse.mean(axis=-1) * channel.scale)
    else:
        maps[f"mean resonance ({look.channels[1].unit})"] = look.masked(resonance_kHz.mean(axis=-1))
    title = "no topography in the data file: loop observables instead"
    if topography is not None:
        maps = {"height (unit of the file)": topography - np.nanmin(topography)} | maps
        title = "topography and loop observables"
    tall = max(map_height(values.shape, look.orientation) for values in maps.values())
    figure, axes = page_panels(0.65 + 1.8 * tall, 1, len(maps), 1.75 * len(maps) + 0.1, look.source)
    figure.suptitle(title, fontsize=7)
    for ax, (label, values) in zip(axes, maps.items(), strict=True):
        plot_map(ax, values, look.orientation, label=label, norm=Normalize(*np.nanpercentile(values, [1, 99])))
    return letter_panels(axes)


def cleaning_map(flagged: np.ndarray, look: Look) -> Figure:
    """How many points of each pixel, `flagged` of shape (rows, columns), were interpolated; grey: beyond repair."""
    values = look.masked(flagged.astype(float))
    figure, ax = page_panels(0.75 + 2 * map_height(flagged.shape, look.orientation), width=2.6, source=look.source)
    norm = Normalize(0, max(1, np.nanmax(values)))
    plot_map(ax, values, look.orientation, label="points interpolated", norm=norm)
    return figure


def figure_alignment(loops: np.ndarray, stored_kHz: np.ndarray, voltage_V: np.ndarray, shared: np.ndarray, moved: int,
                     look: Look) -> Figure:
    """A resonance as stored and moved ahead, beside the piezoresponse, and what tells by how much.

    Parameters
    ----------
    loops, stored_kHz : ndarray, shape (steps,)
        Mean piezoresponse, and mean resonance in the order of the file.
    shared : ndarray, shape (steps,)
        Points interpolated in both channels at every lag (`helpers.scans.drive.shared_interpolations`).
    moved : int
        Steps by which the resonance is moved ahead.
    """
    _, axes = page_panels(2.0, 1, 4, source=look.source)
    response, stored, aligned, counted = axes
    voltage_V = close_loop(voltage_V)
    response.plot(voltage_V, close_loop(loops) * look.channels[0].scale, color=DATA)
    response.set(ylabel=look.channels[0].label, title="mean loop")
    for ax, resonance, title in ((stored, stored_kHz, "resonance as stored"),
                                 (aligned, np.roll(stored_kHz, -moved), f"moved ahead by {moved} steps")):
        ax.plot(voltage_V, close_loop(resonance - resonance.mean()), color=VAE)
        ax.set(ylabel="Δ resonance (kHz)", title=title)
    for ax in axes[:3]:
        ax.set_xlabel("Voltage (V)")
    counted.plot(shared, ".-", color=DATA, markersize=2, linewidth=0.7)
    counted.axvline(moved, color=VAE, linestyle=":")
    counted.set(xlabel="Lag (steps)", ylabel="Points interpolated\nin both channels", ylim=(0, None),
                title="what tells the lag")
    return letter_panels(axes)
