"""What the channels of an embedding do to a loop, and which loops harden under both polarities (paper, Figure 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from helpers.loops import hardening_kHz, resonance_differences
from helpers.scores import ratio_interval

NOISE_LOOPS = 200  # for each loop
NARROW = 0.5  # of the median area, below which a loop is narrow
RESAMPLED = 400  # times that blocks of pixels are drawn for an interval
PARTS = 8  # along a value
EXTREME = 1.0  # per cent at either end of a feature that are pulled in before a line is fitted


@dataclass(frozen=True)
class Effects:
    """Slope of each feature along each channel, shape (channels, features), with the ends of its 95 % interval.

    In standard deviations of the feature per standard deviation of the channel, the other channels held.
    """

    features: tuple[str, ...]
    slope: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def certain(self) -> np.ndarray:
        """Where the interval leaves 0 out."""
        return self.low * self.high > 0


def channel_effects(embedding: np.ndarray, features: Mapping[str, np.ndarray], blocks: np.ndarray,
                    seed: int) -> Effects:
    """Least squares of the measured features on all channels together; intervals by the bootstrap over blocks.

    Features that most loops lack, or that do not vary, are left out.

    Parameters
    ----------
    embedding : ndarray, shape (pixels, channels)
    features : mapping of str to ndarray, shape (pixels,)
        Of the measured loops, as `helpers.loops.loop_features` names them; NaN where a loop lacks one.
    blocks : ndarray, shape (pixels,)
        Number of the block that each pixel belongs to; neighbours do not count as independent.
    """
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]
    drawn = [np.concatenate([members[k] for k in random.integers(0, len(members), len(members))])
             for _ in range(RESAMPLED)]
    z = (embedding - embedding.mean(axis=0)) / embedding.std(axis=0)
    z = np.column_stack([z, np.ones(len(z))])
    features = {name: values for name, values in features.items()
                if np.isfinite(values).mean() > 0.5 and np.nanstd(values) > 0}
    # Features, all pixels and the draws, channels.
    slopes = np.array([_slopes(z, values, [np.arange(len(z)), *drawn]) for values in features.values()])
    low, high = np.percentile(slopes[:, 1:], [2.5, 97.5], axis=1)
    return Effects(tuple(features), slopes[:, 0].T, low.T, high.T)


def _slopes(z: np.ndarray, values: np.ndarray, draws: list[np.ndarray]) -> list[np.ndarray]:
    """Slopes of one feature (s.d.) along the channels, for each draw of pixels; the last column of `z` is of ones."""
    values = np.clip(values, *np.nanpercentile(values, [EXTREME, 100 - EXTREME]))
    values = (values - np.nanmean(values)) / np.nanstd(values)
    there = np.isfinite(values)
    return [np.linalg.lstsq(z[pixels], values[pixels], rcond=None)[0][:-1]
            for pixels in (draw[there[draw]] for draw in draws)]


def narrow_loops(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Loops with less than half of the median area, shape (pixels,) of bool."""
    area = features["loop_area_arb_V"]
    return area < NARROW * np.nanmedian(area)


def harden_under_both(resonance_kHz: np.ndarray, voltage_V: np.ndarray, seed: int, levelled: bool = True) -> np.ndarray:
    """Loops (pixels, steps) that harden under either polarity by more than 19 of 20 loops of their own noise do.

    Noise alone has a hardening, as the largest of many differences: it is large where the response is weak, and where
    noise persists over steps. Here it is what sets a loop apart from its running mean over two blocks and a step;
    loops of noise have its blocks of a twelfth of the cycle with random signs (wild bootstrap, Wu, Ann. Stat. 14, 1261
    (1986), by blocks, Shao, J. Am. Stat. Assoc. 105, 218 (2010)). `levelled` as of `helpers.loops.branch_difference`.
    Shape (pixels,) of bool.
    """
    pixels, steps = resonance_kHz.shape
    block = max(steps // 12, 1)
    noise = resonance_kHz - uniform_filter1d(resonance_kHz, 2 * block + 1, axis=1, mode="wrap")
    random, measured = np.random.default_rng(seed), hardening_kHz(resonance_kHz, voltage_V, levelled)
    exceeded = np.zeros(measured.shape)
    for _ in range(NOISE_LOOPS):
        signs = random.choice([-1.0, 1.0], (pixels, -(-steps // block))).repeat(block, axis=1)[:, :steps]
        signs = np.roll(signs, random.integers(block), axis=1)
        exceeded += measured > hardening_kHz(noise * signs, voltage_V, levelled)
    return (exceeded > 0.95 * NOISE_LOOPS).all(axis=0)


def hardened_shares(hardened: np.ndarray, narrow: np.ndarray, blocks: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Share of the "narrow" and of the "wide" loops that harden, each with the ends of its 95 % interval.

    `hardened` and `narrow`, of bool, and `blocks`, the number of the block of a pixel, have shape (pixels,). The
    interval is by the bootstrap over blocks; NaN where there is no such loop.
    """
    shares = {}
    for name, own in (("narrow", narrow), ("wide", ~narrow)):
        shares[name] = (np.nan,) * 3
        if own.any():
            interval = ratio_interval((hardened & own).astype(float), own.astype(float), blocks)
            shares[name] = float(hardened[own].mean()), *interval
    return shares


def mean_loop_rows(regions: Mapping[str, np.ndarray], loops: np.ndarray, models: Mapping[str, np.ndarray],
                   voltage_V: np.ndarray, channels: Sequence[str]) -> list[dict[str, str]]:
    """The mean loop of each region, as measured and as each model writes it, a row each for a table.

    Errors are mean squared errors over the variance of the measured mean loop; the contact hardens by the mean
    difference of the branches from 0 V to either tip, as it is and levelled (`helpers.loops.branch_difference`).

    Parameters
    ----------
    regions : mapping of str to ndarray of bool, shape (pixels,)
    loops : ndarray, shape (pixels, steps, channels)
        Measured; `models`, by name, are of the same shape.
    channels : sequence of str
        Their names.
    """
    rows = []
    for region, own in regions.items():
        measured = loops[own].mean(axis=0)
        for name, of_model in {"measured": loops, **models}.items():
            mean = of_model[own].mean(axis=0)
            lost = np.square(mean - measured).mean(axis=0) / measured.var(axis=0)
            row = {"region": region, "mean loop": name} | {
                f"error, {channel.lower()}": f"{value:.1%}" if name in models else ""
                for channel, value in zip(channels, lost, strict=True)}
            for title, levelled in (("branches", False), ("levelled", True)) if len(channels) > 1 else ():
                changes = resonance_differences(mean[None, :, 1], voltage_V, levelled)
                row |= {f"{title} ({sign}) (kHz)": f"{change.mean():+.2f}".replace("-", "−")
                        for sign, (_, change) in zip("−+", changes, strict=True)}
            rows.append(row)
    return rows


def share_along(values: np.ndarray, event: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of pixels in which something holds, in `PARTS` of equal count along a value.

    Parameters
    ----------
    values, event, blocks : ndarray, shape (pixels,)
        A feature, what is asked (bool), and the number of the block that each pixel lies in.

    Returns
    -------
    centre, share : ndarray, shape (PARTS,)
        Median of the values in each part, and the share of its pixels.
    interval : ndarray, shape (PARTS, 2)
        95 %, by the bootstrap over blocks.
    """
    known = np.isfinite(values)
    values, event, blocks = values[known], event[known].astype(float), blocks[known]
    number = np.searchsorted(np.quantile(values, np.linspace(0, 1, PARTS + 1)[1:-1]), values, side="right")
    members = [number == part for part in range(PARTS)]
    return (np.array([np.median(values[own]) for own in members]), np.array([event[own].mean() for own in members]),
            np.array([ratio_interval(event * own, own.astype(float), blocks) for own in members]))
