"""Caption and alt text of every figure, table and movie of the paper, by its id in ``manifest.json``.

Captions say what is drawn and what to look for, true for any data and any run: numbers stand in the
pictures and in the sentences that the notebooks print. Alt texts describe the picture to those who
do not see it.
"""

from __future__ import annotations

from dataclasses import dataclass

PLACES = {
    "toy": "toy spectra", "measured": "measured loops", "schematic": "schematic",
    "twin": "simulated loops (twin), not a measurement",
}


@dataclass(frozen=True)
class Caption:
    """What stands under a picture, and what replaces it where it is not seen."""

    caption: str
    alt: str


def full_name(identifier: str) -> str:
    """Name of a manifest entry as the paper counts: "figS4" is "Figure S4"."""
    for short, name in (("movie", "Movie"), ("table", "Table"), ("fig", "Figure")):
        if identifier.startswith(short):
            return f"{name} {identifier.removeprefix(short)}"
    raise ValueError(f"{identifier!r} is no id of a figure, table or movie: expected one such as fig4, "
                     "figS4, table1 or movieS4; correct it")


def caption_of(identifier: str) -> Caption:
    """Texts of one entry.

    Raises
    ------
    ValueError
        If none are written for it.
    """
    if identifier not in CAPTIONS:
        raise ValueError(f"{identifier} has no caption: expected one in helpers/captions.py for everything "
                         "that manifest.json lists; write it there")
    return CAPTIONS[identifier]


CAPTIONS = {
    "fig1": Caption(
        "(a–c) Spectra while one colour runs from 0 to 1 and the two others stay at 0.5: R moves a rising "
        "step along t, G the kink of a SELU, B a falling step. (d) The painting, whose pixels are the "
        "validation spectra. Its colours are drawn so that they hardly depend on one another.",
        "Three panels of curves over time t, coloured by the value of red, green or blue, and a painting of"
        " a fox in bright colours.",
    ),
    "fig2": Caption(
        "Both models on the painting. Top, dictionary learning (DL): (a–c) coefficient maps, (d–f) its "
        "best, median and worst reconstruction. Middle, β-VAE: (g–i) maps of active channels, (j–l) the "
        "same three ranks of its own errors. (m) Signed error at each step of the spectrum, half a violin a"
        " model, with the median as a line. A map that shows the fox says little about the spectra behind "
        "it: compare d–f with a–c.",
        "Two rows, dictionary learning and β-VAE, of three maps of the fox and three spectra (points) with "
        "their reconstruction (line). Below, pairs of half violins of the errors along the spectrum index.",
    ),
    "fig3": Caption(
        "The network as built for the loops, drawn from its own layers: size in the box, shape of the "
        "output below it. The encoder ends in mean and log variance of each latent channel; a sample of "
        "them enters the decoder. The size is that of the profile that ran; the paper's own has three "
        "residual blocks on either side.",
        "Flow chart in two rows. The encoder leads from the input through recurrent layers to mean and log "
        "variance; the decoder leads from the sample back to a spectrum. Sizes are printed in and under the"
        " boxes.",
    ),
    "fig4": Caption(
        "Both models on the scan. (a–c) Three coefficient maps of DL and (k–m) the three most active "
        "channels of the β-VAE. Below each, the pixels with that model's best, median and worst error, with"
        " both models on the same pixel: piezoresponse (d–f, n–p) and, where the scan has it, resonance "
        "(h–j, q–s). The letter g stands for no panel in the paper and is left out. (t, u) Error of each "
        "pixel, both channels together, on one colour scale. Resonance panels have a scale each, since an "
        "outlier would flatten the rest.",
        "Six maps of the scan; below, hysteresis loops and, where there are any, resonance curves as points "
        "with one line per model; at the bottom the error maps of both models side by side.",
    ),
    "fig5": Caption(
        "What each channel means: (a–c) DL, (d–f) β-VAE. Left of each row the map; right of it the loops "
        "that the model generates while this channel runs through its range and the others take the mean of"
        " the 100 pixels nearest to it, or of more where several are as near, as where a sparse coefficient is 0. A line has the colour of its value in the map. Loops of one kind "
        "share one scale over both models. A jump between neighbouring lines is a jump between the pixels "
        "nearest to them.",
        "Six rows of a map with a fan of coloured hysteresis loops and a fan of resonance curves, three for"
        " dictionary learning on the left and three for the β-VAE on the right.",
    ),
    "figS1": Caption(
        "The measurement. (a) Bias of the cycle that is used, as the scan has it. (b) Schematic: at every "
        "step the response is read once with the bias on and once with it off; the paper uses the second. "
        "(c) What is read: the response in a band of frequencies at every step, here simulated for one "
        "pixel, since published scans hold only what was fitted to it.",
        "A triangular staircase of voltage; three voltage pulses with wave packets on and between them; and"
        " a map of the response over frequency and step, bright along the resonance and dark where the loop"
        " crosses zero.",
    ),
    "figS2": Caption(
        "From a spectrum to a loop, simulated. (a, b) Amplitude and phase (points) of one pixel with the "
        "polarisation up and down, and the damped oscillator fitted to them (lines): the phase turns by "
        "half a circle. (c) The loop A cos(φ + θ) from the fits (points) on the loop that the spectra were "
        "made of (line).",
        "Two resonance peaks over frequency, their phases half a turn apart, and a hysteresis loop on which"
        " the fitted points lie.",
    ),
    "figS3": Caption(
        "Error of dictionary learning on the gamut along the weight λ of sparsity, with the error of PCA of"
        " the same size, below which no linear model comes, and the λ that the paper chose. With codes that"
        " solve the stated problem the error can only grow with λ.",
        "A curve that rises with λ from a dashed horizontal line, and a dotted vertical line at the chosen "
        "λ.",
    ),
    "figS4": Caption(
        "Validation over the whole gamut of colours. (a–c) Error against each colour: median and the range "
        "from 10 to 90 %. (d) Distribution of the error, with the means and the bound of PCA with three "
        "components.",
        "Three panels with a line and a band for each model along red, green and blue, and a histogram of "
        "the errors on a logarithmic axis, with a vertical line at each mean.",
    ),
    "figS5": Caption(
        "Every coefficient of dictionary learning: its map, and the loops generated while it runs through "
        "its range. Colours and sampling as in Figure 5.",
        "Five rows, each a map of the scan with a fan of hysteresis loops and a fan of resonance curves.",
    ),
    "figS6": Caption(
        "Topography, where the data file has it, and the observables of the loops nearest to it: the area "
        "of the loop and the mean of the absolute piezoresponse. The published file holds no topography.",
        "Maps of the scan that show where its loops are large and small.",
    ),
    "figS7": Caption(
        "Every latent channel of the β-VAE on one colour scale, by falling KL, which stands in the titles. "
        "Active channels, those above the threshold, come first; a noise channel says a little, a closed "
        "one nothing at all. Except in the paper profile, those closed were closed before the training.",
        "Maps of all channels in rows of four, the active ones first; titles of the others are grey.",
    ),
    "figS8": Caption(
        "Signed error at every voltage step, reconstruction minus data: dictionary learning left, β-VAE "
        "right of each step, with the median as a line. A median off zero is an error that all pixels "
        "share: the model misses the mean loop, not a detail.",
        "Rows of narrow half violins along the voltage steps, one row for the piezoresponse and one for the"
        " resonance where there is one, both models side by side.",
    ),
    "figS9": Caption(
        "Error against the number of components. The line is PCA, the bound of all linear models on the "
        "spectra that it was fitted to. Filled: the models of this run, the β-VAE at its number of active "
        "channels. Open: what the paper states. The paper leaves the number S9 free.",
        "Two falling curves over the number of components, toy and scan, with a filled diamond for each "
        "model and open diamonds for the paper.",
    ),
    "figS10": Caption(
        "Every active channel of the β-VAE: its map, and the loops generated while it runs through its "
        "range. Colours and sampling as in Figure 5; look for channels that move one feature of the loop "
        "and leave the others.",
        "Rows of a map of the scan with a fan of hysteresis loops and a fan of resonance curves, one row "
        "for each active channel.",
    ),
    "table1": Caption(
        "The paper's comparison of both models, each word beside what it rests on here.",
        "Table of two models with the paper's words and measured numbers.",
    ),
    "movieS1": Caption(
        "Dictionary learning, toy: each coefficient runs from its lowest to its highest value. White: the "
        "100 pixels nearest to it; where more are as near, as those whose coefficient is 0, all of them. "
        "Look for a step that moves along t: a sum of fixed atoms can only fade one step out and another in.",
        "A map of the fox, a histogram with a moving line, and the spectrum that belongs to it.",
    ),
    "movieS2": Caption(
        "β-VAE, toy: the maps of all latent channels through the training, with the error and β. Count the "
        "maps that hold a picture; except in the paper profile, they are those opened before it.",
        "Small maps of all channels, beside the curves of error and β along which a point moves.",
    ),
    "movieS3": Caption(
        "β-VAE, toy: each active channel runs from its lowest to its highest value. White: the 100 pixels "
        "nearest to it. Look for a step that moves along t, which no sum of few fixed curves can draw.",
        "A map of the fox, a histogram with a moving line, and the spectrum that belongs to it.",
    ),
    "movieS4": Caption(
        "Dictionary learning, scan: each coefficient runs from its lowest to its highest value. White: the "
        "100 pixels nearest to it; where more are as near, as those whose coefficient is 0, all of them. "
        "Below, the generated loop and, where there is one, the resonance.",
        "A map of the scan, a histogram with a moving line, a hysteresis loop and, if any, a resonance curve.",
    ),
    "movieS5": Caption(
        "β-VAE, scan: the maps of all latent channels through the training, with the error and β. Count the"
        " maps that hold a picture; except in the paper profile, they are those opened before it.",
        "Small maps of all channels, beside the curves of error and β along which a point moves.",
    ),
    "movieS6": Caption(
        "β-VAE, scan: each active channel runs from its lowest to its highest value. White: the 100 pixels "
        "nearest to it. Below, the generated loop and, where there is one, the resonance.",
        "A map of the scan, a histogram with a moving line, a hysteresis loop and, if any, a resonance curve.",
    ),
}
