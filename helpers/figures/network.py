"""Figure 3: the network, drawn from the layers of the built models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from helpers.figures.style import page_figure

FILLS = {"data": "#F0F0F0", "recurrent": "#CFE3F3", "dense": "#F9DFC8", "shape": "#FFFFFF", "latent": "#CDEBE0"}
SKIP = "#0072B2"
BOX_WIDTH, BOX_HEIGHT = 0.82, 0.9
# Layers without a box of their own.
DRAWN_APART = ("mean", "log_variance", "linear_mean", "linear", "joint1", "joint2", "joint3")


@dataclass(frozen=True)
class Stage:
    """One box of the schematic."""

    kind: str  # a key of `FILLS`
    lines: tuple[str, ...]  # text in the box
    shape: tuple[int, ...]  # of what leaves the stage, without the batch
    skip: bool = False  # whether a shortcut bridges the stage


def _layer_stage(layer) -> Stage | None:
    """Stage of one Keras layer, or None for layers that get no box of their own."""
    shape = tuple(layer.output.shape[1:])
    match type(layer).__name__:
        case "InputLayer" if layer.name == "spectra":
            return Stage("data", ("input",), shape)
        case "Bidirectional":
            last = () if layer.forward_layer.return_sequences else ("last step",)
            return Stage("recurrent", ("BiLSTM", f"{layer.forward_layer.units} units", *last), shape)
        case "Dense":
            return Stage("dense", (f"Dense {layer.units}",), shape)
        case "RepeatVector":
            return Stage("shape", ("repeat", f"{layer.n} ×"), shape)
        case "Patches":
            return Stage("shape", ("append drive", f"{layer.steps} steps", "at a time"), shape)
        case "Branches":
            return Stage("dense", ("Σₖ gₖ(zₖ)", f"2 × {layer.units} units", "a channel"), shape)
    return Stage("shape", ("interleave",), shape) if layer.name == "interleaved" else None


def _block_stage(layers: list) -> Stage:
    """One stage of a residual block: its recurrent layers, normalisation and shortcut."""
    recurrent = [x for x in layers if type(x).__name__ == "Bidirectional"]
    kinds = {type(x).__name__ for x in layers}
    norm = ("layer norm",) if "LayerNormalization" in kinds else ()
    lines = (f"{len(recurrent)} × BiLSTM", f"{recurrent[0].forward_layer.units} units", *norm)
    return Stage("recurrent", lines, tuple(layers[-1].output.shape[1:]), skip="Add" in kinds)


def network_stages(layers: Iterable) -> list[Stage]:
    """Boxes of an encoder or a decoder in the order of its layers, which are ``model.layers`` of a built model.

    Layers named ``block<number>_…`` become one box; the input of the decoder, linear
    paths, the joint term and the two latent layers get none, as `figure_3` draws those itself.
    """
    boxes: dict[str, list] = {}
    for layer in layers:
        block = re.match(r"block\d+(?=_)", layer.name)
        if layer.name not in DRAWN_APART:
            boxes.setdefault(block[0] if block else layer.name, []).append(layer)
    stages = (_block_stage(own) if own[0].name.startswith(f"{name}_") else _layer_stage(own[0])
              for name, own in boxes.items())
    return [stage for stage in stages if stage is not None]


def _draw_stage(ax: Axes, stage: Stage, x: float, y: float) -> None:
    """Box with its text, and the output shape below it."""
    corner = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2)
    ax.add_patch(FancyBboxPatch(corner, BOX_WIDTH, BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.06",
                                facecolor=FILLS[stage.kind], edgecolor="0.3", linewidth=0.6))
    ax.text(x, y, "\n".join(stage.lines), ha="center", va="center", fontsize=6)
    size = " × ".join(str(n) for n in stage.shape)
    ax.text(x, corner[1] - 0.06, size, ha="center", va="top", fontsize=6, color="0.35")


def _draw_arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.8,
                                            "color": "0.3", "shrinkA": 0, "shrinkB": 0})


def _draw_row(ax: Axes, stages: Sequence[Stage], columns: Sequence[int], y: float) -> None:
    """Boxes at the given columns, arrows between neighbours, shortcuts over blocks."""
    for stage, x in zip(stages, columns, strict=True):
        _draw_stage(ax, stage, x, y)
    for here, there in pairwise(columns):
        half = BOX_WIDTH / 2 if there > here else -BOX_WIDTH / 2
        _draw_arrow(ax, (here + half, y), (there - half, y))
    top = y + BOX_HEIGHT / 2 + 0.12
    for stage, x in zip(stages, columns, strict=True):
        if stage.skip:
            left, right = x - 0.47, x + 0.47
            ax.plot([left, left, right, right], [y, top, top, y], color=SKIP, linewidth=0.8)


def figure_3(encoder: Sequence[Stage], decoder: Sequence[Stage], *, n_latents: int, n_parameters: int,
             linear_path: bool = False, joint: bool = False) -> Figure:
    """Figure 3: schematic of the network, sizes printed in and under the boxes.

    `encoder` and `decoder` are from `network_stages`, each in the order the data pass; `n_latents` is the size of the
    embedding, `n_parameters` counts the trainable numbers of the whole network. `linear_path` tells whether a linear
    map bridges the encoder, and another the decoder; `joint`, whether a term of all channels is added to the sum.
    """
    latent = (n_latents,)
    up = [*encoder, Stage("latent", ("mean µ", "log variance", "log σ²"), latent)]
    down = [Stage("latent", ("sample", "z = µ + σε"), latent), *decoder]
    n = max(len(up), len(down))
    figure = page_figure(0.31 * 7.2 + 0.4)
    ax = figure.subplots()
    _draw_row(ax, up, range(n - len(up), n), 2.0)
    _draw_row(ax, down, range(n - 1, n - 1 - len(down), -1), 0.0)
    _draw_arrow(ax, (n - 1, 2.0 - BOX_HEIGHT / 2 - 0.25), (n - 1, BOX_HEIGHT / 2))
    if linear_path:
        _draw_linear_paths(ax, n - len(up), n - len(down), n - 1)
    ax.text(n - len(up) - 0.4, 2.78, "encoder", weight="bold")
    ax.text(n - len(down) - 0.4, 0.78, "decoder", weight="bold")
    note = f"{n_parameters:,} parameters. Under each box: output shape."
    if any(stage.skip for stage in (*encoder, *decoder)):
        note += " Bracket: shortcut, added."
    if linear_path:
        note += " Dashed: linear map, added."
    if joint:
        note += " A joint term of all channels is added to the sum."
    ax.text(n - 0.6, -1.15, note, ha="right", fontsize=6, color="0.35")
    ax.set(xlim=(-0.55, n - 0.45), ylim=(-1.2, 3.0))
    ax.set_axis_off()
    return figure


def _draw_linear_paths(ax: Axes, first_up: int, first_down: int, last: int) -> None:
    """Dashed lines from the input to the mean, and from the sample to the output."""
    for first, y, side in ((first_up, 2.0, 0.68), (first_down, 0.0, -0.85)):
        edge = BOX_HEIGHT / 2 if side > 0 else -BOX_HEIGHT / 2 - 0.22
        ax.plot([first, first, last, last], [y + edge, y + side, y + side, y + edge], color=SKIP, linewidth=0.8,
                linestyle="--")
        ax.text((first + last) / 2, y + side, "linear path", fontsize=6, color=SKIP,
                ha="center", va="center", backgroundcolor="white")
