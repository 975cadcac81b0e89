"""Every size and schedule of a run: one frozen dataclass per profile."""

from __future__ import annotations

from dataclasses import dataclass

# Where a training comes from: made here, or kept in data/weights.
WEIGHTS = ("train", "pretrained")
DICTIONARY = {"atoms": 5, "sparsity": 1.0}  # of the measured loops: paper, section 2

# How λ follows β (see `Training`).
LAMBDAS = ("linked", "added", "added_n", "set")


@dataclass(frozen=True)
class Network:
    """Sizes and options of the β-VAE (paper, Figure 3).

    Attributes
    ----------
    units : int
        LSTM units per direction.
    blocks : int
        Residual blocks in the encoder and in the decoder, two BiLSTM layers each.
    normalise : bool
        Layer and batch normalisation, as the original code of the toy; the paper states none.
    interleave : bool
        The two BEPS channels as one sequence of twice the length, as the original code, to
        which the 5 017 922 parameters belong; the paper's "two independent dimensions" is False.
    dropout : float
        Share of the inputs of the blocks' LSTM layers dropped in training: 0 in the released
        code, 0.2 in an older one; the paper states none.
    paper_embedding : bool
        A dense layer before the latents, and ReLU on it and on the one after sampling, as the
        original code. The L1 penalty is on the one after sampling.
    l1_before_latents : bool
        The L1 penalty also on the dense layer before the latents, as the original code; the
        paper has it after sampling only.
    drive_input : bool
        Give the known time or voltage of each step to encoder and decoder.
    linear_path : bool
        Add a linear map beside the LSTM path of encoder and decoder.
    """

    units: int
    blocks: int
    latents: int = 16
    dropout: float = 0.0
    normalise: bool = False
    interleave: bool = False
    paper_embedding: bool = False
    l1_before_latents: bool = False
    drive_input: bool = True
    linear_path: bool = False

    def __post_init__(self):
        if self.interleave and self.drive_input:
            raise ValueError("a network cannot have both `interleave` and `drive_input`: expected one, "
                             "as interleaved channels have no common step; switch one off")
        if min(self.units, self.latents) < 1 or self.blocks < 0:
            raise ValueError(f"a network of {self.units} units, {self.blocks} blocks and {self.latents} "
                             "latents cannot be built: expected at least 1, 0 and 1; correct the profile")


@dataclass(frozen=True)
class Training:
    """Optimiser, regularisation schedule and snapshots of one training.

    β refers to a KL summed over latents.

    Attributes
    ----------
    epochs, batch : int
    learning_rate : float
        Of Adam; the peak where `cosine` is set.
    cosine : bool
        Warm up over 5 % of the steps, then decay along a cosine.
    clip_norm : float or None
        Largest norm of the whole gradient.
    priming : int
        Epochs with β = 0 before the schedule starts: 2000 for the paper's toy. For BEPS the
        paper states no priming, but that β is first changed from 0, every 1000 epochs.
    schedule : str
        "staircase" (paper): the first β, then `beta_step` more every `step_epochs`.
        "annealing": from the first β to `end` times it, geometrically, with the last
        fifth of the epochs held at the end value.
    kl_mean : bool
        `beta_step` refers to a KL averaged over the latents, as the original code, and is
        divided by their number here; the paper does not say.
    l1 : str
        λ, with β as it is for an averaged KL. "linked": 1e-5 × 10^β, and 0 while β is 0.
        "added" (paper, toy): every step of the staircase adds 1e-5 × 10^β. "added_n" (paper,
        BEPS): step n adds 1e-5 × 10^(nβ). "set" (original code): 1e-5 × 10^β from the start.
    restart_steps : bool
        Every step of the staircase begins with a new Adam, at the weights of the lowest training
        loss in the step before, as the original code; the paper does not say so.
    start : str
        "random" (paper). "isomap" or "pca": at these coordinates of the spectra, with the
        channels that they need open and all others closed (see `helpers.coordinates`).
    first_share : float
        The first β makes β·KL this share of the loss measured at the end of priming.
    snapshots : int
        Points of the training at which embeddings and weights are kept.
    """

    epochs: int
    batch: int
    learning_rate: float
    priming: int
    start: str = "random"
    schedule: str = "annealing"
    cosine: bool = True
    clip_norm: float | None = 1.0
    end: float = 0.4
    beta_step: float = 0.0
    step_epochs: int = 1
    kl_mean: bool = False
    l1: str = "linked"
    restart_steps: bool = False
    first_share: float = 0.6
    snapshots: int = 24

    def __post_init__(self):
        if self.l1 not in LAMBDAS:
            raise ValueError(f"l1 is {self.l1!r}: expected one of {', '.join(LAMBDAS)}; correct the profile")
        if self.schedule != "staircase" and (self.l1.startswith("added") or self.restart_steps):
            raise ValueError(f"a schedule of kind {self.schedule} has no steps: expected \"staircase\" where "
                             "`restart_steps` or a λ that is added is set; correct the profile")
        if self.cosine and self.restart_steps:
            raise ValueError("a training cannot have both `cosine` and `restart_steps`: expected one, as every "
                             "new Adam would warm up again; switch one off")


@dataclass(frozen=True)
class Profile:
    """One of `PROFILES`.

    Attributes
    ----------
    toy_spectra, gamut_spectra : int
        Toy spectra to train on, and those of the colour gamut to validate on.
    painting_side : int
        Pixels along each side of the painting.
    heldout_every : int
        One block of pixels in so many is kept out of training; 0 keeps none out.
    dictionary_iterations, grid_spectra : int
        Most iterations of dictionary learning, and spectra used along the grid of λ.
    movie_points : int
        Values at which a channel is swept.
    """

    name: str
    toy_spectra: int
    gamut_spectra: int
    painting_side: int
    toy_network: Network
    toy_training: Training
    beps_network: Network
    beps_training: Training
    heldout_every: int
    dictionary_iterations: int
    grid_spectra: int
    lambda_grid: tuple[float, ...]
    movie_points: int
    twin_shape: tuple[int, int] = (60, 60)


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            toy_spectra=800,
            gamut_spectra=400,
            painting_side=24,
            toy_network=Network(units=8, blocks=1),
            toy_training=Training(
                epochs=24, batch=100, learning_rate=2e-2, priming=1, start="isomap", end=0.05
            ),
            beps_network=Network(units=8, blocks=0, linear_path=True),
            beps_training=Training(
                epochs=26, batch=200, learning_rate=2e-2, priming=2, start="pca"
            ),
            heldout_every=5,
            dictionary_iterations=20,
            grid_spectra=300,
            lambda_grid=(0.2, 0.57, 1.0),
            movie_points=12,
            twin_shape=(24, 24),
        ),
        Profile(
            name="laptop",
            toy_spectra=10_000,
            gamut_spectra=10_000,
            painting_side=64,
            toy_network=Network(units=32, blocks=1),
            toy_training=Training(
                epochs=30, batch=250, learning_rate=4e-3, priming=1, start="isomap", end=0.1,
            ),
            beps_network=Network(units=32, blocks=0, linear_path=True),
            beps_training=Training(
                epochs=72, batch=240, learning_rate=4e-3, priming=2, start="pca", end=0.02,
            ),
            heldout_every=5,
            dictionary_iterations=300,
            grid_spectra=2000,
            lambda_grid=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.57, 0.7, 0.85, 1.0, 1.3, 1.6, 2.0),
            movie_points=200,
        ),
        Profile(
            name="paper",
            toy_spectra=10_000,
            gamut_spectra=10_000,
            painting_side=64,
            toy_network=Network(
                units=128, blocks=3, normalise=True, paper_embedding=True, drive_input=False
            ),
            toy_training=Training(
                epochs=6500, batch=300, learning_rate=3e-5, priming=2000,
                schedule="staircase", cosine=False, clip_norm=None,
                beta_step=5e-3, step_epochs=100, kl_mean=True, l1="added", snapshots=46,
            ),
            beps_network=Network(
                units=128, blocks=3, interleave=True, paper_embedding=True, drive_input=False
            ),
            beps_training=Training(
                epochs=20_000, batch=300, learning_rate=3e-5, priming=1000,
                schedule="staircase", cosine=False, clip_norm=None,
                beta_step=2.5e-3, step_epochs=1000, kl_mean=True, l1="added_n", snapshots=40,
            ),
            heldout_every=0,
            dictionary_iterations=1000,
            grid_spectra=10_000,
            lambda_grid=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.57, 0.7, 0.85, 1.0, 1.3, 1.6, 2.0),
            movie_points=200,
        ),
    )
}


def get_profile(name: str) -> Profile:
    """The profile called `name`.

    Raises
    ------
    ValueError
        If there is none, naming those there are.
    """
    if name not in PROFILES:
        raise ValueError(
            f"profile is {name!r}: expected one of {', '.join(PROFILES)}; correct PROFILE=…"
        )
    return PROFILES[name]
