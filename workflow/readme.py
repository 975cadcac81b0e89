"""Write the generated parts of README.md from ``data/reference/``.

``python -m workflow.readme build/laptop/seed0``, or `make render`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from PIL import Image

from helpers.captions import PLACES, caption_of, full_name
from helpers.ledger import ledger_rows
from helpers.paper import PAPER
from helpers.paper_recipe import by_part, stored_runs
from helpers.paths import ROOT, atomic
from helpers.tables import as_markdown, number, reproduction_rows

REFERENCE = ROOT / "data/reference"
SHOWN, SHOWN_WIDTH = "fig4", 1300
RANDOM_START = "toy.control.vae_random.kept"
TITLES = {
    "fig1": "spectra along each colour, the painting", "fig2": "toy: both models on the painting",
    "fig3": "the network", "fig4": "BEPS: both models on the scan",
    "fig5": "BEPS: what each channel means", "figS1": "drive, on and off field, raw spectra",
    "figS2": "oscillator fits and the loop from them", "figS3": "grid of λ", "figS4": "toy: the whole gamut",
    "figS5": "BEPS: all dictionary atoms", "figS6": "observables in place of the topography",
    "figS7": "BEPS: all latent channels", "figS8": "BEPS: error at each voltage step",
    "figS9": "the linear bound beside every model", "figS10": "BEPS: all active channels",
    "table1": "dictionary learning and β-VAE compared",
    "movieS1": "toy: dictionary coefficients swept", "movieS2": "toy: maps through training",
    "movieS3": "toy: latent channels swept", "movieS4": "BEPS: dictionary coefficients swept",
    "movieS5": "BEPS: maps through training", "movieS6": "BEPS: latent channels swept",
}


def findings(metrics: dict, seeds: dict) -> str:
    """What was asked and found, in five points; `seeds` is what `make sweep` collected, or empty."""
    bound, heldout_bound = metrics["toy.pca3.mse_gamut"], metrics["beps.pca5.mse_heldout"]
    of_vae, of_dl = (metrics[f"beps.{name}.mse_heldout"] / heldout_bound for name in ("vae", "dl"))
    random = {score: seeds[f"{RANDOM_START}.{score}"]["median"] for score in ("mse", "channels", "spearman")
              if f"{RANDOM_START}.{score}" in seeds}
    error, code = ((f" The start of the training carries that: from a random one the same network ends at "
                    f"{number(random['mse'])} with {random['channels']:.0f} channels.",
                    f" From a random start it ends at {random['spearman']:.2f}.") if len(random) == 3 else ("", ""))
    paper = {score: metrics[f"toy.paper_recipe_25.{score}"] for score in ("mse", "pca_mse", "spearman")}
    points = {
        "Asked": "does a model that draws plausible maps of a ferroelectric film understand its switching "
                 "loops? Dictionary learning, linear and blind to the order of voltage steps, is set against "
                 "a recurrent β-VAE: first on a toy, spectra made from three colours that the model has to find, then on "
                 "measured loops.",
        "Toy, errors over all colours":
            f"the β-VAE has **{number(metrics['toy.vae.mse_gamut'])}** with "
            f"{metrics['toy.vae.active']} channels; the best linear model of that size has "
            f"{number(bound)}, the paper's β-VAE {number(PAPER['toy.vae.mse_gamut'])}.{error} The paper's own network and "
            f"schedule, at 1/25 of the epochs, end at {number(paper['mse'])}, where the best linear model has "
            f"{number(paper['pca_mse'])}.",
        "Toy, a channel per colour?":
            f"Mean |Spearman| of each colour with the channel matched to it is {metrics['toy.vae.spearman']:.2f}, where 1 is "
            f"a channel per colour. It is {metrics['toy.start.spearman']:.2f} already before the training, in the coordinates "
            f"of the spectra that this starts from: the start finds the colours, the network sharpens them.{code} "
            f"The paper's own network and schedule, at 1/25 of the epochs, end at {paper['spearman']:.2f}.",
        "Measured loops, blocks of pixels never seen":
            f"the β-VAE's error is **{of_vae:.2f}** times that of the best linear model with as many components; that of "
            f"dictionary learning with the paper's settings is {of_dl:.1f} times as large as the best linear model's. Over the "
            f"whole scan a linear model needs {metrics['beps.vae.pca_components']} components to do as well as the β-VAE with "
            f"{metrics['beps.vae.active']}.",
        "Not reproduced":
            f"the paper's error of dictionary learning on the loops, {number(PAPER['beps.dl.mse'])}; here it is "
            f"{number(metrics['beps.dl.mse'])}. On the toy the paper's β-VAE has "
            f"{PAPER['toy.vae.mse_gamut'] / bound:.2f} times the error of the best linear model, so its errors "
            "alone do not show that linearity is what fails.",
    }
    return "\n".join(f"- **{head}{'' if head.endswith('?') else ':'}** {text}" for head, text in points.items())


def ledger_in_short(metrics: dict, seeds: dict) -> str:
    """Every claim of the paper with its verdict; the numbers are in notebook 5."""
    return as_markdown([{name: row[name] for name in ("claim", "where", "verdict")}
                        for row in ledger_rows(metrics, seeds)])


def inventory(manifest: list[dict[str, str]]) -> str:
    """Figures, table and movies, each with a link to its place in the notebook that draws it."""
    rows = [
        {"": f"[{full_name(entry['id'])}](notebooks/{entry['notebook']}.ipynb#{entry['id']})",
         "shows": TITLES[entry["id"]], "data": entry["source"], "file": f"`{entry['file']}`"}
        for entry in sorted(manifest, key=lambda entry: list(TITLES).index(entry["id"]))
    ]
    return as_markdown(rows)


def generated_parts(folder: Path = REFERENCE) -> dict[str, str]:
    """Text of every part of the README that is made from the reference run."""
    metrics, manifest, run = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("metrics", "manifest", "run"))
    sweep = folder / "seeds.json"
    seeds = json.loads(sweep.read_text()) if sweep.is_file() else {}
    seconds = ", ".join(f"{name[0]}: {value:.0f} s" for name, value in run["seconds"].items())
    source = next(entry["source"] for entry in manifest if entry["id"] == SHOWN)
    texts = caption_of(SHOWN)
    return {
        "findings": findings(metrics, seeds),
        "picture": f"![{texts.alt}](data/reference/{SHOWN}.png)\n\n"
                   f"*{full_name(SHOWN)} ({PLACES[source]}). {texts.caption}*",
        "figures": inventory(manifest),
        "ledger": ledger_in_short(metrics, seeds),
        "reproduction": as_markdown(reproduction_rows(metrics)),
        "time": f"The reference run ({run['parameters']['profile']} profile, seed {run['parameters']['seed']}, "
                f"{run['data']['source']} loops{', ' + run['hardware'] if 'hardware' in run else ''}) took "
                f"{metrics['run.seconds'] / 60:.0f} minutes (notebooks {seconds}) and "
                f"{run['peak_memory_GiB']:.1f} GiB of memory. {paper_profile_time()}",
    }


def paper_profile_time() -> str:
    """How long all epochs of the paper take, by the pace of its network at a fraction of them."""
    hours = {part: max(run["hours_of_all_epochs"] for run in runs) for part, runs in by_part(stored_runs()).items()}
    first = next(iter(stored_runs().values()))
    return (f"`PROFILE=paper` takes about {hours['toy', 50]:.0f} hours for the toy and {hours['beps', 125]:.0f} for "
            f"BEPS on {first['hardware']} (Keras on {first['backend'].upper()}), by the pace of shortened runs, both at "
            f"once and without writing checkpoints; three seeds of the toy at once, a checkpoint written after every epoch, "
            f"about {hours['toy', 25]:.0f} hours.")


def filled(readme: str, parts: dict[str, str]) -> str:
    """The README with each ``<!-- name -->`` … ``<!-- end -->`` holding its part."""
    for name, text in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        readme, count = re.subn(pattern, lambda found, text=text: f"{found[1]}{text}\n{found[2]}", readme,
                                flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"README.md has {count} parts called {name}: expected one, between "
                             f"<!-- {name} --> and <!-- end -->; put the marks back")
    return readme


def shrink(figure: Path, target: Path) -> None:
    """Copy a figure, as wide as a page shows it."""
    with Image.open(figure) as image, atomic(target) as temporary:
        image.thumbnail((SHOWN_WIDTH, SHOWN_WIDTH))
        image.convert("RGB").save(temporary, optimize=True)


def main(folder: Path) -> None:
    """Fill README.md from the reference run; show its figure where `folder` is that run."""
    metrics = [json.loads((place / "metrics.json").read_text()) for place in (folder, REFERENCE)]
    if metrics[0] == metrics[1]:
        shrink(folder / f"figures/{SHOWN}.png", REFERENCE / f"{SHOWN}.png")
    path = ROOT / "README.md"
    text = filled(path.read_text(encoding="utf-8"), generated_parts())
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
