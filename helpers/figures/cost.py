"""Time and memory of a training as the work grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures.style import BOUND, DATA, VAE, page_figure, plain_log_ticks

LABELS = {"seconds": "Epoch (s)", "memory_GiB": "Memory (GiB)"}


def figure_cost(cases: Mapping[str, Sequence[Any]], lines: Mapping[str, tuple[float, float]]) -> Figure:
    """Seconds of an epoch and peak memory against pixels, steps and latents.

    Parameters
    ----------
    cases : mapping of str to sequence of helpers.cost.Case
        "pixels", "steps", "latents": measured cases in which this grows; "largest": the measured case
        that the lines foretell.
    lines : mapping of "seconds" and "memory_GiB" to (slope, intercept)
        Against pixels, through ``cases["pixels"]``.
    """
    figure = page_figure(4.2)
    for row, what in zip(figure.subplots(2, 3, width_ratios=(2, 1, 1)), LABELS, strict=True):
        _against_pixels(row[0], cases, lines[what], what)
        for ax, name in zip(row[1:], ("steps", "latents"), strict=True):
            counts = [getattr(case, name) for case in cases[name]]
            values = [getattr(case, what) for case in cases[name]]
            ax.plot(counts, values, "o-", color=VAE)
            ax.set(xlabel="Voltage steps" if name == "steps" else "Latent channels", xscale="log")
            ax.set_xticks(counts, map(str, counts))
            ax.minorticks_off()
            ax.set_ylim(0, 1.1 * max(values))
    return figure


def _against_pixels(ax: Axes, cases: Mapping[str, Sequence[Any]], line: tuple[float, float], what: str) -> None:
    measured, largest = cases["pixels"], cases["largest"][0]
    pixels = np.geomspace(measured[0].pixels, largest.pixels)
    ax.plot(pixels, line[1] + line[0] * pixels, "--", color=BOUND, label="straight line through the dots")
    ax.plot([case.pixels for case in measured], [getattr(case, what) for case in measured], "o", color=VAE,
            label="measured")
    ax.plot(largest.pixels, getattr(largest, what), "D", color=DATA, label="measured, not in the line")
    ax.set(xlabel="Pixels", ylabel=LABELS[what], xscale="log")
    ticks = [*(case.pixels for case in measured), largest.pixels]
    ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
    ax.xaxis.minorticks_off()
    if what == "seconds":
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
        ax.legend()
    else:
        ax.set_ylim(bottom=0)
