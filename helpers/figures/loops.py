"""Both models on the switching loops: Figures 4, 5, S5, S7, S8 and S10, and maps of every pixel of a large scan.

In every figure `voltage_V`, shape (n_steps,), is the applied bias (V), and `look` is that of the scan.
"""

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from helpers.figures.inputs import QUANTITIES, SCALED, Look, ModelOutput, Sweep
from helpers.figures.maps import map_height, plot_grid, plot_map, plot_maps, signed_norm
from helpers.figures.spectra import VOLTAGE, branches, plot_error_bands, plot_loops, share_range, without_level
from helpers.figures.style import PAGE, SIGNED, letter_panels, page_figure, page_panels
from helpers.scores import ACTIVE_KL_NAT

LINES = 5  # loops drawn of the swept values, evenly spaced: few enough to tell their colours apart
COMMON = 97  # per cent of the pixels that lie below the largest of these values; few pixels make the ends of a range
EVERY_PIXEL_TITLES = {"pca": "PCA", "dl": "DL", "vae": "companion's β-VAE"}
ALONG = 8  # maps side by side of all latents
ACROSS = 3  # maps side by side at full resolution


def _draw_examples(axes: np.ndarray, voltage_V: np.ndarray, data: np.ndarray,
                   models: tuple[ModelOutput, ...], look: Look) -> None:
    """Best, median and worst spectrum of the first model; all models on each."""
    spectra = models[0].best_median_worst()
    plot_loops(axes, voltage_V, data, {model.name: model.reconstruction for model in models}, spectra.values(),
               look.channels)
    for ax, title in zip(axes[0], spectra, strict=True):
        ax.set_title(title)
    # The piezoresponse alone: the worst resonance is an outlier whose range would flatten the others.
    share_range(axes[0], labels_left=True)


def _draw_error_maps(axes: Iterable[Axes], errors: Mapping[str, np.ndarray], look: Look, label: str = "") -> None:
    """Error of each pixel, (rows, columns) by model, on one colour scale starting at zero."""
    top = np.nanpercentile(np.stack(list(errors.values())), 99)
    for ax, (name, values) in zip(axes, errors.items(), strict=True):
        plot_map(ax, values, look.orientation, label=label, norm=Normalize(0, float(top)))
        ax.set_title(f"{name}\nmean {np.nanmean(values):.3g}")


def figure_4(voltage_V: np.ndarray, data: np.ndarray, dl: ModelOutput, vae: ModelOutput, pca: ModelOutput,
             look: Look) -> Figure:
    """Figure 4: both models on the switching loops, and on each of them PCA.

    `data`, shape (n_spectra, n_steps, n_channels), holds the piezoresponse and, where there is one, the resonance. As
    in the paper, no panel has the letter g; without a resonance its letters are left out too.
    """
    tall = map_height(dl.maps.shape, look.orientation)
    heights = 0.61 + 1.15 * tall, 0.32 + 1.16 * len(look.channels)
    errors = 0.5 + 1.2 * tall
    figure = page_figure(sum(heights) + errors, source=look.source)
    top, bottom = figure.subfigures(2, 1, height_ratios=[sum(heights), errors])
    for half, models, letters in zip(top.subfigures(1, 2), ((dl, pca, vae), (vae, pca, dl)),
                                     ("abcdefhij", "klmnopqrs"), strict=True):
        upper, lower = half.subfigures(2, 1, height_ratios=heights)
        maps = upper.subplots(1, 3)
        examples = lower.subplots(len(look.channels), 3, squeeze=False, sharex=True)
        plot_maps(maps, models[0], look.orientation)
        _draw_examples(examples, voltage_V, data, models, look)
        letter_panels([*maps, *examples.flat], letters)
    handles, names = top.subfigs[0].subfigs[1].axes[0].get_legend_handles_labels()
    top.legend(handles, names, loc="outside lower center", ncols=4)
    below = bottom.subfigures(1, 3, width_ratios=[1, 8, 1])[1]
    axes = below.subplots(1, 3)
    _draw_error_maps(axes, {model.name: model.mse.reshape(model.maps.shape[1:]) for model in (dl, vae, pca)}, look)
    letter_panels(axes, "tu")
    below.colorbar(axes[0].images[0], ax=axes, shrink=0.8, extend="max").set_label("MSE (s.d.²)")
    return figure


def _draw_sweep(block: Figure | SubFigure, voltage_V: np.ndarray, sweep: Sweep, look: Look, letters: str) -> np.ndarray:
    """A row for each map, at most one a letter: the map, then the generated loops of each channel in its colours.

    Falling voltage is solid, rising voltage dashed. The resonance is drawn from its mean along each loop, and titled
    by that of the first and the last. Returns the panels, (n_maps, 1 + n_channels), those of a channel on one range.
    """
    rows = min(len(sweep.maps), len(letters))
    axes = block.subplots(rows, 1 + len(look.channels), squeeze=False, width_ratios=[1.3] + [1] * len(look.channels))
    for index, (of_map, *of_loops) in enumerate(axes):
        lines, norm = _drawn(sweep, index), signed_norm(sweep.maps[index])
        plot_map(of_map, sweep.maps[index], look.orientation, label=QUANTITIES[sweep.name], norm=norm)
        of_map.set_title(sweep.names[index])
        colours, generated = SIGNED(norm(sweep.values[index][lines])), sweep.generated[index, lines]
        for spectral, (ax, channel) in enumerate(zip(of_loops, look.channels, strict=True)):
            loops = without_level(generated, generated)[..., spectral] * channel.scale
            for steps, style in zip(branches(voltage_V), ("-", "--"), strict=True):
                for loop, colour in zip(loops, colours, strict=True):
                    ax.plot(voltage_V[steps], loop[steps], style, color=colour, linewidth=0.9)
            ax.set_ylabel("Δ " * (spectral > 0) + channel.label)
            ax.tick_params(labelbottom=index == rows - 1)
            if spectral:
                first, last = generated[[0, -1], :, spectral].mean(axis=-1)
                ax.set_title(f"mean {first:.1f}\n→ {last:.1f} {channel.unit}", fontsize=6)
    letter_panels(axes[:, 0], letters)
    for column in axes.T[1:]:
        share_range(column)
        column[-1].set_xlabel(VOLTAGE)
    return axes


def _drawn(sweep: Sweep, index: int) -> np.ndarray:
    """Which generated loops of a map are drawn: evenly spaced, without the values of the few pixels at either end."""
    ends = np.nanpercentile(sweep.maps[index], [100 - COMMON, COMMON])
    values = sweep.values[index]
    return np.unique(np.searchsorted(values, np.linspace(*ends, LINES)).clip(0, len(values) - 1))


def _by_meaning(sweep: Sweep, count: int) -> Sweep:
    """The channels whose drawn loops differ most, each quantity measured by what all channels do to it."""
    drawn = [sweep.generated[index, _drawn(sweep, index)] for index in range(len(sweep.maps))]
    spread = np.stack([without_level(loops, loops).var(axis=0).mean(axis=0) for loops in drawn])
    kept = np.argsort(-(spread / np.maximum(spread.mean(axis=0), 1e-30)).sum(axis=1), kind="stable")[:count]
    return Sweep(sweep.name, sweep.maps[kept], sweep.values[kept], sweep.generated[kept],
                 tuple(np.array(sweep.names)[kept]))


def _taller(sweep: Sweep, look: Look) -> float:
    """Inches by which a row is higher than one of square maps, whose loops need most of it."""
    return max(-0.35, 1.1 * (map_height(sweep.maps.shape, look.orientation) - 1))


def figure_5(voltage_V: np.ndarray, dl: Sweep, vae: Sweep, look: Look) -> Figure:
    """Figure 5: what three channels mean, dictionary learning left, β-VAE right; which three, `_by_meaning` says."""
    dl, vae = _by_meaning(dl, 3), _by_meaning(vae, 3)
    rows = min(3, max(len(dl.maps), len(vae.maps)))
    width = PAGE if len(look.channels) > 1 else 0.75 * PAGE
    figure = page_figure((1.7 + _taller(dl, look)) * rows, width, look.source)
    left, right = figure.subfigures(1, 2, wspace=0.03)
    drawn = _draw_sweep(left, voltage_V, dl, look, "abc"), _draw_sweep(right, voltage_V, vae, look, "def")
    for columns in zip(*(axes.T[1:] for axes in drawn), strict=True):
        share_range(np.concatenate(columns))
    return figure


def figure_s5(voltage_V: np.ndarray, sweep: Sweep, look: Look) -> Figure:
    """Figures S5 and S10: every channel of a model (of the β-VAE every active one) and its generated loops."""
    width = 5.0 if len(look.channels) > 1 else 3.6
    figure = page_figure((1.65 + _taller(sweep, look)) * len(sweep.maps) + 0.2, width, look.source)
    _draw_sweep(figure, voltage_V, sweep, look, ascii_lowercase)
    return figure


def figure_s7(blocks: Mapping[str, tuple[np.ndarray, np.ndarray, Look]]) -> Figure:
    """Figure S7: every embedding map of each β-VAE by descending KL, one colour scale a model; grey: not active.

    `blocks` are, by title, the posterior means (n_latents, rows, columns), the mean KL of each latent (nat), and the
    look. The first is lettered, and labelled where it is simulated.
    """
    heights = [0.25 + (0.22 + 0.9 * map_height(maps.shape, look.orientation)) * -(-len(maps) // ALONG)
               for maps, _, look in blocks.values()]
    figure = page_figure(sum(heights), source=next(iter(blocks.values()))[2].source)
    parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (title, (maps, kl_nat, look)) in zip(parts, blocks.items(), strict=True):
        part.suptitle(f"{title}; KL in nat", x=0.01, ha="left", fontsize=7)
        order = np.argsort(-kl_nat, kind="stable")
        titles = [f"z{latent + 1}: {kl_nat[latent]:.2f}" for latent in order]
        panels = plot_grid(part, maps[order], titles, look.orientation, ALONG, signed_norm(maps))
        for ax, latent, text in zip(panels, order, titles, strict=True):
            ax.set_title(text, color="black" if kl_nat[latent] > ACTIVE_KL_NAT else "0.5")
        if part is parts[0]:
            letter_panels(panels)
    return figure


def figure_s8(voltage_V: np.ndarray, data: np.ndarray, dl: ModelOutput, vae: ModelOutput, look: Look) -> Figure:
    """Figure S8: signed error of both models along the falling and the rising branch, by channel.

    `data` are those of `figure_4`, standardised like the reconstructions; spectra whose error is NaN are left out.
    """
    n = data.shape[-1]
    figure, axes = page_panels(0.5 + 1.5 * n, n, 2, source=look.source, sharex=True, squeeze=False)
    usable = np.isfinite(dl.mse)
    for index, (row, channel) in enumerate(zip(axes, SCALED[:n], strict=True)):
        for ax, steps, way in zip(row, branches(voltage_V), ("falling", "rising"), strict=True):
            errors = {m.name: (m.reconstruction - data)[usable][:, steps, index] for m in (dl, vae)}
            plot_error_bands(ax, voltage_V[steps], errors).set(
                ylabel=f"Error ({channel.unit})", title=f"{channel.name}, {way} voltage")
        share_range(row, labels_left=True)
    for ax in axes[-1]:
        ax.set_xlabel(VOLTAGE)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  title="reconstruction − data: median, bands of 50 % and 90 %")
    return letter_panels(axes.flat)


def figure_every_pixel(codes: np.ndarray, titles: Sequence[str], mse: Mapping[str, np.ndarray], look: Look) -> Figure:
    """Active channels of the β-VAE, then the error of every model, at full resolution, each kind on one colour scale.

    `codes`, shape (channels, rows, columns), are posterior means; `mse`, shape (rows, columns), is the error (s.d.²) of
    "pca", "dl" and "vae".
    """
    rows = -(-len(codes) // ACROSS) + 1
    tall = map_height(next(iter(mse.values())).shape, look.orientation)
    figure, axes = page_panels(rows * (0.35 + PAGE / ACROSS * 0.92 * tall), rows, ACROSS, source=look.source,
                               squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    norm = signed_norm(codes) if len(codes) else None
    for ax, values, title in zip(axes.flat, codes, titles, strict=False):
        plot_map(ax, values, look.orientation, label="posterior mean", norm=norm).set_title(title)
    named = {EVERY_PIXEL_TITLES[name]: values for name, values in mse.items()}
    _draw_error_maps(axes[-1], named, look, "MSE (s.d.²)")
    return figure
