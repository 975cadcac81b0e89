"""One cell of a sweep: the numbers of one seed, control or changed value.

``make sweep`` lets Snakemake run every cell of sweep.yml as a job of its own, by ``python -m workflow.cell CELL …``;
workflow/sweep.py collects what they leave.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from helpers.beta_vae import active_channels, decode, encode, mean_kl, reconstruct
from helpers.controls import Benchmark, beps_benchmark, run_control, toy_benchmark
from helpers.dictionary import learn_dictionary, pca_errors, stack_channels
from helpers.disentanglement import univariate_r2
from helpers.paper import PAPER
from helpers.paths import read_json, save_arrays, write_json
from helpers.profiles import DICTIONARY, Profile, get_profile
from helpers.scans.reading import load_scan
from helpers.scans.scan import Scan, block_numbers, halves, simulated_scan, standardised
from helpers.scores import matched_spearman
from helpers.training import Trained, train
from helpers.twin.domains import MECHANISMS

# What the paper leaves open, and the profile reads otherwise: λ grows by 1e-5 × 10^β at every step of β (section 2),
# and the "value" by which β is increased is also its first.
READINGS = {"lambda_added": {"l1": "added"}, "first_beta_is_step": {"first_share": None}}
# What notebooks record and `toy_headline` and `beps_headline` return of another seed.
RECORDED = {"1_toy_rgb_benchmark": ("toy.pca3.mse_gamut",),
            "2_dictionary_learning": ("toy.dl.mse_gamut", "beps.pca5.mse_heldout", "beps.dl.mse_heldout"),
            "3_beta_vae_training": ("toy.vae.mse_gamut", "toy.vae.found", "toy.vae.active", "toy.vae.spearman",
                                    "toy.vae.seconds", "toy.vae.seconds_to_paper_mse", "beps.vae.mse",
                                    "beps.vae.mse_heldout", "beps.vae.found", "beps.vae.active", "beps.vae.seconds")}


def run_cell(cell: str, profile: Profile, scan: Scan, seed: int, folder: Path,
             results: Path | None = None) -> dict[str, float]:
    """Metrics of one cell; `folder` keeps checkpoints, so that a killed job goes on.

    `results` are those of a run of this scan and seed, which spares its headline numbers a second training. A
    ValueError tells that the cell is none of sweep.yml's kinds.
    """
    kind, _, rest = cell.partition(".")
    if kind == "headline":
        metrics = recorded(results, scan, folder) if results else (
            toy_headline(profile, seed, folder) | beps_headline(profile, scan, seed, folder))
        return metrics | as_control(metrics)
    if kind == "scan":
        return {f"{cell}.{name}": value for name, value in beps_headline(profile, scan, seed, folder).items()}
    if kind == "twin":
        return twin_truth(profile, seed, folder)
    if kind == "halves":
        return over_pca_on_halves(profile, scan, seed, folder)
    if kind == "reading" and rest in READINGS:
        return paper_reading(profile, rest, seed, folder)
    if kind == "control":
        name, model, order = rest.split(".")
        benchmark = toy_benchmark(profile, seed) if name == "toy" else beps_benchmark(profile, scan)
        return run_control(benchmark, model, order, seed=seed, folder=folder)
    if kind == "vary" and "=" in rest:
        name, value = rest.split("=")
        model, _, name = name.partition(".")
        return {f"sensitivity.{rest}": vary(profile, scan, seed, folder, model, name, float(value))}
    raise ValueError(f"cell {cell!r} is unknown: expected headline, twin, halves, scan.…, control.…, reading.… or "
                     "vary.…; see sweep.yml")


def as_control(metrics: dict[str, float]) -> dict[str, float]:
    """The companion's β-VAE under the names of the controls that stand beside it."""
    names = {"toy": {"mse": "mse_gamut", "channels": "active", "spearman": "spearman", "seconds": "seconds"},
             "beps": {"mse": "mse_heldout", "channels": "active", "seconds": "seconds"}}
    return {f"{benchmark}.control.vae_full.kept.{score}": metrics[f"{benchmark}.vae.{name}"]
            for benchmark, scores in names.items() for score, name in scores.items()}


def recorded(results: Path, scan: Scan, folder: Path) -> dict[str, float]:
    """`RECORDED` numbers of a run; the embedding is kept in `folder`, as that of another seed is."""
    with np.load(results / "vae_beps.npz", allow_pickle=False) as stored:
        embedding = stored["embedding"][scan.usable][:, active_channels(stored["kl"])]
    save_arrays(folder / "embedding.npz", embedding=embedding)
    metrics = {}
    for notebook, names in RECORDED.items():
        found = read_json(results / f"{notebook}.json")["metrics"]
        metrics |= {name: found[name] for name in names}
    return _with_ratio(metrics)


def _with_ratio(metrics: dict[str, float]) -> dict[str, float]:
    return metrics | {"beps.vae.heldout_over_pca5": metrics["beps.vae.mse_heldout"] / metrics["beps.pca5.mse_heldout"]}


def toy_headline(profile: Profile, seed: int, folder: Path) -> dict[str, float]:
    """The toy numbers of metrics.json that depend on the seed."""
    benchmark = toy_benchmark(profile, seed)
    run = _trained(benchmark, seed, folder)
    gamut = benchmark.heldout
    means = encode(run.model, gamut)[0]
    active = active_channels(mean_kl(run.model, gamut))
    return {
        "toy.pca3.mse_gamut": pca_errors(stack_channels(benchmark.spectra), stack_channels(gamut))[2],
        "toy.dl.mse_gamut": _dictionary_error(benchmark, profile, seed, atoms=3, sparsity=PAPER["toy.dl.best_lambda"]),
        "toy.vae.mse_gamut": mean_squared_error(gamut.ravel(), decode(run.model, means).ravel()),
        "toy.vae.found": run.snapshots.found, "toy.vae.active": len(active),
        "toy.vae.spearman": matched_spearman(means[:, active], benchmark.truth).mean(),
        "toy.vae.seconds": run.seconds,
        "toy.vae.seconds_to_paper_mse": run.seconds_to(PAPER["toy.vae.mse_gamut"]),
    }


def paper_reading(profile: Profile, reading: str, seed: int, folder: Path) -> dict[str, float]:
    """The paper's β-VAE of the profile on the toy, with one of `READINGS`: its channels and errors at the end."""
    benchmark = toy_benchmark(profile, seed)
    run = train(profile.paper_network, replace(profile.paper_training, **READINGS[reading]), benchmark.spectra,
                benchmark.drive, watched=benchmark.heldout[:10], validation=benchmark.heldout, seed=seed,
                title=f"toy paper {reading}", folder=folder)
    kept = run.snapshots
    linear = pca_errors(stack_channels(benchmark.spectra), stack_channels(benchmark.heldout))
    prefix, active = f"toy.paper_vae.{reading}", int(kept.active[-1])
    return {f"{prefix}.active_at_end": active, f"{prefix}.mse_gamut": kept.validation_mse[-1],
            f"{prefix}.pca_mse_gamut": linear[max(active, 1) - 1]}


def beps_headline(profile: Profile, scan: Scan, seed: int, folder: Path) -> dict[str, float]:
    """The BEPS numbers of metrics.json that depend on the seed; the embedding is kept beside them."""
    benchmark = beps_benchmark(profile, scan)
    run = _trained(benchmark, seed, folder)
    heldout, every = benchmark.heldout, standardised(scan)[0].astype("float32")
    active = active_channels(mean_kl(run.model, every[scan.usable]))
    save_arrays(folder / "embedding.npz", embedding=encode(run.model, every[scan.usable])[0][:, active])
    return _with_ratio({
        "beps.pca5.mse_heldout": pca_errors(stack_channels(benchmark.spectra), stack_channels(heldout))[4],
        "beps.vae.mse_heldout": _network_error(run, heldout),
        "beps.vae.mse": _network_error(run, every[scan.usable]),
        "beps.dl.mse_heldout": _dictionary_error(benchmark, profile, seed, **DICTIONARY),
        "beps.vae.found": run.snapshots.found, "beps.vae.active": len(active), "beps.vae.seconds": run.seconds})


def over_pca_on_halves(profile: Profile, scan: Scan, seed: int, folder: Path) -> dict[str, float]:
    """Error of the companion's β-VAE over that of PCA of as many components, from one half of a scan to the other.

    No pixel that is tested has a neighbour that was trained on, but along one line. The mean of both ways.
    """
    spectra, ratios = standardised(scan)[0].astype("float32"), []
    for here, there in halves(scan):
        benchmark = replace(beps_benchmark(profile, scan), spectra=spectra[here], heldout=spectra[there])
        run = _trained(benchmark, seed, folder)
        number = max(len(active_channels(mean_kl(run.model, benchmark.spectra))), 1)
        linear = pca_errors(stack_channels(benchmark.spectra), stack_channels(benchmark.heldout))
        ratios.append(_network_error(run, benchmark.heldout) / linear[number - 1])
    return {"beps.vae.over_pca_halves": float(np.mean(ratios))}


def twin_truth(profile: Profile, seed: int, folder: Path) -> dict[str, float]:
    """How well embeddings of a simulated twin predict what every pixel was made of.

    The scores of `truth_scores` as ``twin.{model}.…``. "height", the mean |piezoresponse| of a pixel, is no
    model: what it predicts as well, an embedding need not have found in the shape of the loops. The true and the
    predicted fractions are kept in `folder`.
    """
    scan = simulated_scan(seed, profile.twin_shape)
    benchmark = beps_benchmark(profile, scan)
    run = _trained(benchmark, seed, folder)
    every = standardised(scan)[0].astype("float32")
    flat, training = stack_channels(every), stack_channels(benchmark.spectra)
    atoms = learn_dictionary(training, DICTIONARY["atoms"], DICTIONARY["sparsity"], profile.dictionary_iterations, seed)
    embeddings = {
        "height": loop_height(scan),
        "pca5": PCA(5, random_state=0).fit(training).transform(flat), "dl": atoms.transform(flat),
        "vae": encode(run.model, every)[0][:, active_channels(mean_kl(run.model, every))]}
    truth = fractions(scan)
    predicted = {model: predicted_fractions(scan, embedding, seed) for model, embedding in embeddings.items()}
    save_arrays(folder / "fractions.npz", truth=truth.reshape(*scan.shape, -1).astype("float16"), **{
        f"{model}_{way}": values.reshape(*scan.shape, -1).astype("float16")
        for model, ways in predicted.items() for way, values in zip(("one", "all"), ways, strict=True)})
    return {f"twin.{model}.{score}": value for model, ways in predicted.items()
            for score, value in truth_scores(truth, *ways).items()}


def loop_height(scan: Scan) -> np.ndarray:
    """Mean |piezoresponse| of every pixel (arb. u.), as an embedding of shape (pixels, 1)."""
    return np.abs(scan.piezoresponse).mean(axis=-1).reshape(-1, 1)


def fractions(scan: Scan) -> np.ndarray:
    """True fraction of every mechanism of a twin, shape (pixels, mechanisms)."""
    return np.stack([scan.truth[name].ravel() for name in MECHANISMS], axis=1)


def predicted_fractions(scan: Scan, embedding: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The fractions of a twin, (pixels, mechanisms), as an embedding of shape (pixels, channels) predicts them.

    First from one channel each, by a straight line in the channel matched to it, or the mean where there is none left.
    Then from all channels, by a random forest (`seed`), cross-validated over blocks of pixels, of which every split may
    use every channel, so that few and many channels are treated alike.
    """
    truth = fractions(scan)
    from_one = np.tile(truth.mean(axis=0), (len(truth), 1))
    for k, channel in zip(*linear_sum_assignment(-univariate_r2(embedding, truth).T), strict=True):
        line = LinearRegression().fit(embedding[:, [channel]], truth[:, k])
        from_one[:, k] = line.predict(embedding[:, [channel]])
    forest = RandomForestRegressor(100, min_samples_leaf=5, n_jobs=-1, random_state=seed)
    return from_one, cross_val_predict(forest, embedding, truth, groups=block_numbers(scan.shape), cv=GroupKFold(5))


def truth_scores(truth: np.ndarray, from_one: np.ndarray, from_all: np.ndarray) -> dict[str, float]:
    """How near `predicted_fractions` are to the truth, all of shape (pixels, mechanisms).

    Returns ``matched_r2``, the mean R² from one channel; ``r2.{fraction}`` of every mechanism from all channels, and
    ``auc.three_state``, the area under the ROC curve for pixels that are mostly of the three-state kind (NaN where all
    or none are).
    """
    scores = {f"r2.{name}": r2_score(truth[:, k], from_all[:, k]) for k, name in enumerate(MECHANISMS)}
    three_state = MECHANISMS.index("three_state")
    mostly = truth[:, three_state] > 0.5
    told = roc_auc_score(mostly, from_all[:, three_state]) if 0 < mostly.mean() < 1 else np.nan
    return scores | {"auc.three_state": told, "matched_r2": r2_score(truth, from_one)}


def _trained(benchmark: Benchmark, seed: int, folder: Path) -> Trained:
    run = train(benchmark.network, benchmark.training, benchmark.spectra, benchmark.drive,
                watched=benchmark.heldout[:10], validation=benchmark.heldout[:2000], seed=seed,
                title=benchmark.name, folder=folder)
    run.restore_chosen()
    return run


def _network_error(run: Trained, spectra: np.ndarray) -> float:
    """Mean squared error of a trained network, in the unit of the spectra squared."""
    return mean_squared_error(stack_channels(spectra), stack_channels(reconstruct(run.model, spectra)))


def _dictionary_error(benchmark: Benchmark, profile: Profile, seed: int, *, atoms: int, sparsity: float) -> float:
    """Held-out error of a dictionary fitted to the training spectra of a benchmark."""
    heldout = stack_channels(benchmark.heldout)
    model = learn_dictionary(stack_channels(benchmark.spectra), atoms, sparsity, profile.dictionary_iterations, seed)
    return mean_squared_error(heldout, model.transform(heldout) @ model.components_)


def vary(profile: Profile, scan: Scan, seed: int, folder: Path, model: str, name: str, value: float) -> float:
    """Held-out error on the scan with n or λ of the dictionary, or one value of network or training, changed."""
    benchmark = beps_benchmark(profile, scan)
    if model == "dl":
        return _dictionary_error(benchmark, profile, seed, **DICTIONARY | {name: type(DICTIONARY[name])(value)})
    part = "network" if hasattr(benchmark.network, name) else "training"
    settings = getattr(benchmark, part)
    value = type(getattr(settings, name))(value)
    benchmark = replace(benchmark, **{part: replace(settings, **{name: value})})
    return _network_error(_trained(benchmark, seed, folder), benchmark.heldout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workflow.cell", description=__doc__)
    parser.add_argument("cell")
    for name, kind in (("profile", str), ("seed", int), ("scan", Path), ("folder", Path)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--results", type=Path, help="of a run of the same scan and seed")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    profile, scan = get_profile(given.profile), load_scan(given.scan)
    metrics = run_cell(given.cell, profile, scan, given.seed, given.folder, given.results)
    write_json(given.folder / "metrics.json",
               {name: float(v) if np.isfinite(v) else None for name, v in metrics.items()})


if __name__ == "__main__":
    main()
