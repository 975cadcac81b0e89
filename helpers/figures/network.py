"""Figure 3: the network, drawn from the layers of the built models, above the paper's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from helpers.figures.style import page_panels
from helpers.profiles import PAPER_BEPS

FILLS = {"data": "#F0F0F0", "recurrent": "#CFE3F3", "dense": "#F9DFC8", "shape": "#FFFFFF", "latent": "#CDEBE0"}
SKIP = "#0072B2"
BOX_WIDTH, BOX_HEIGHT = 0.82, 0.9


@dataclass(frozen=True)
class Stage:
    """One box of the schematic."""

    kind: str  # a key of `FILLS`
    lines: tuple[str, ...]  # text in the box
    shape: tuple[int, ...]  # of what leaves the stage, without the batch
    skip: bool = False  # whether a shortcut bridges the stage


def network_stages(layers: Iterable) -> list[Stage]:
    """Boxes of an encoder or a decoder in the order of its layers, which are ``model.layers`` of a built model.

    The latent layers, linear paths and the joint term, which `figure_3` draws itself, get none.
    """
    stages = []
    for layer in layers:
        match type(layer).__name__:
            case "InputLayer" if layer.name == "spectra":
                kind, lines = "data", ("input",)
            case "Patches":
                kind, lines = "shape", ("append drive", f"{layer.steps} steps", "at a time")
            case "Bidirectional":
                kind, lines = "recurrent", ("BiLSTM", f"{layer.forward_layer.units} units")
            case "Dense" if layer.name.startswith("dense"):
                kind, lines = "dense", (f"Dense {layer.units}",)
            case "Branches":
                kind, lines = "dense", ("Σₖ gₖ(zₖ)", f"2 × {layer.units} units", "a channel")
            case "Add":
                stages[-1] = replace(stages[-1], skip=True)
                continue
            case _:
                continue
        stages.append(Stage(kind, lines, tuple(layer.output.shape[1:])))
    return stages


def _draw_stage(ax: Axes, stage: Stage, x: float, y: float) -> None:
    """Box with its text, and the output shape below it."""
    corner = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2)
    ax.add_patch(FancyBboxPatch(corner, BOX_WIDTH, BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.06",
                                facecolor=FILLS[stage.kind], edgecolor="0.3", linewidth=0.6))
    ax.text(x, y, "\n".join(stage.lines), ha="center", va="center", fontsize=6)
    size = " × ".join(str(n) for n in stage.shape)
    ax.text(x, corner[1] - 0.06, size, ha="center", va="top", fontsize=6, color="0.35")


def _draw_row(ax: Axes, stages: Sequence[Stage], y: float) -> None:
    """Boxes from left to right, arrows between neighbours, shortcuts over blocks."""
    for x, stage in enumerate(stages):
        _draw_stage(ax, stage, x, y)
        if x:
            ax.annotate("", (x - BOX_WIDTH / 2, y), (x - 1 + BOX_WIDTH / 2, y),
                        arrowprops={"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.8, "color": "0.3",
                                    "shrinkA": 0, "shrinkB": 0})
        if stage.skip:
            left, right, top = x - 0.46, x + 0.46, y + BOX_HEIGHT / 2 + 0.12
            ax.plot([left, left, right, right], [y, top, top, y], color=SKIP, linewidth=0.8)


def _draw_linear_path(ax: Axes, first: int, last: int, y: float) -> None:
    """Dashed line above the boxes from one to another."""
    edge, top = y + BOX_HEIGHT / 2, y + BOX_HEIGHT / 2 + 0.25
    ax.plot([first, first, last, last], [edge, top, top, edge], color=SKIP, linewidth=0.8, linestyle="--")
    ax.text((first + last) / 2, top, "linear path", fontsize=6, color=SKIP, ha="center", va="center",
            backgroundcolor="white")


def paper_stages(steps: int, channels: int) -> tuple[list[Stage], list[Stage]]:
    """Encoder and decoder of the paper's network for loops, without the latents (`helpers.paper_network`)."""
    network, wide = PAPER_BEPS, 2 * PAPER_BEPS.units
    units, read = f"{network.units} units", steps * channels
    blocks = f"{network.blocks} blocks of", "2 × BiLSTM", units
    encoder = [Stage("data", ("input,", "interleaved"), (read, 1)),
               Stage("recurrent", blocks, (read, wide), skip=True),
               Stage("recurrent", ("BiLSTM", units, "last step"), (wide,)),
               Stage("dense", (f"Dense {network.latents}",), (network.latents,))]
    decoder = [Stage("dense", (f"Dense {network.latents}", f"repeat {steps} ×"), (steps, network.latents)),
               Stage("recurrent", ("BiLSTM", units), (steps, wide)),
               Stage("recurrent", blocks, (steps, wide), skip=True)]
    return encoder, decoder


def figure_3(encoder: Sequence[Stage], decoder: Sequence[Stage], *, n_latents: int, n_parameters: int,
             paper_parameters: int, linear_path: bool = False, joint: bool = False) -> Figure:
    """Figure 3: schematic of the network, sizes printed in and under the boxes, above that of the paper.

    `encoder` and `decoder` are from `network_stages`. `linear_path` tells whether a linear map bridges the encoder, and
    another the decoder; `joint`, whether a term of all channels is added to the sum.
    """
    shape = encoder[0].shape
    rows = {f"The companion's β-VAE, {n_parameters:,} parameters": (encoder, decoder, n_latents),
            f"The paper's β-VAE, {paper_parameters:,} parameters": (*paper_stages(*shape), PAPER_BEPS.latents)}
    longest = max(len(up) + len(down) for up, down, _ in rows.values()) + 3
    figure, ax = page_panels(2.75)
    for y, (name, (up, down, latents)) in zip((2.5, 0.0), rows.items(), strict=True):
        between = [Stage("latent", text, (latents,)) for text in (
            ("mean µ", "log variance", "log σ²"), ("sample", "z = µ + σε"))]
        _draw_row(ax, [*up, *between, *down, Stage("data", ("output",), shape)], y)
        ax.text(-0.41, y + 1.25, name, weight="bold")
        for text, x in (("encoder", 0), ("decoder", len(up) + 1)):
            ax.text(x - 0.41, y + 0.9, text, style="italic", fontsize=6)
    if linear_path:
        _draw_linear_path(ax, 0, len(encoder), 2.5)
        _draw_linear_path(ax, len(encoder) + 1, len(encoder) + 1 + len(decoder), 2.5)
    note = "Under each box: output shape. Bracket: shortcut around each block or layer, added."
    if linear_path:
        note += " Dashed: linear map, added."
    if joint:
        note += " Σ also has a joint term of all channels."
    ax.text(longest - 0.6, -1.0, note, ha="right", fontsize=6, color="0.35")
    ax.set(xlim=(-0.5, longest - 0.5), ylim=(-1.1, 4.0))
    ax.set_axis_off()
    return figure
