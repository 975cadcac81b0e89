"""Every size and schedule of a run: one frozen dataclass per profile."""

from __future__ import annotations

from dataclasses import dataclass, replace

# Where a training comes from: made here, or kept in data/weights.
WEIGHTS = ("train", "pretrained")
DICTIONARY = {"atoms": 5, "sparsity": 1.0}  # of the measured loops: paper, section 2

LAMBDAS = ("none", "added", "added_n", "set")  # how λ follows β (see `Training`)


@dataclass(frozen=True)
class PaperNetwork:
    """Sizes and options of the paper's β-VAE (Figure 3)."""

    units: int  # LSTM units per direction
    blocks: int  # residual blocks in the encoder and in the decoder, two BiLSTM layers each
    latents: int = 16
    # Share of the inputs of the blocks' LSTM layers dropped in training: 0 in the released code, 0.2 in an older one;
    # the paper states none.
    dropout: float = 0.0
    normalise: bool = False  # layer and batch normalisation, as the original code of the toy; the paper states none
    # The two BEPS channels as one sequence of twice the length, as the original code, to which the 5 017 922 parameters
    # belong; the paper's "two independent dimensions" is False.
    interleave: bool = False
    # L1 penalty also on the dense layer before the latents, as the original code; the paper has it after sampling only.
    l1_before_latents: bool = False

    def __post_init__(self):
        if min(self.units, self.latents) < 1 or self.blocks < 0:
            raise ValueError(f"a network of {self.units} units, {self.blocks} blocks and {self.latents} "
                             "latents cannot be built: expected at least 1, 0 and 1; correct the profile")


@dataclass(frozen=True)
class AdditiveNetwork:
    """Sizes of the companion's β-VAE."""

    units: int  # LSTM units per direction
    # Bidirectional layers of the encoder; none make a dense one, blind to order, of about as many weights.
    layers: int
    patch: int  # steps that the encoder reads at a time: the time of a training is nearly that of the steps read
    # Units of each of the two hidden layers of a channel's own part of the decoder; 0 makes an ordinary decoder, the
    # joint term alone.
    branch: int
    joint: int = 0  # units of the decoder's joint term, to which all channels contribute together; 0 for none
    # Linear maps beside the recurrent encoder and beside each channel's part of the decoder: without them the fifth
    # channel of the loops does not wake; with them the colours of the toy wake mixed.
    linear: bool = False
    latents: int = 16
    input_noise: float = 0.0  # deviation (s.d.) of the noise added to what the encoder reads in training

    def __post_init__(self):
        if self.layers < 0 or min(self.units, self.patch, self.latents, self.branch + self.joint) < 1:
            raise ValueError(f"a network of {self.units} units, {self.layers} layers, patches of {self.patch} steps, "
                             f"{self.branch} + {self.joint} units in the decoder and {self.latents} latents cannot be "
                             "built: expected at least 1 of each, or 0 layers; correct the profile")


@dataclass(frozen=True)
class Training:
    """Optimiser, regularisation schedule and snapshots of one training; β refers to a KL summed over latents."""

    epochs: int
    batch: int  # smaller where an epoch would have fewer than 8 of them
    learning_rate: float  # of Adam; the peak where `cosine` is set
    # "annealing" (the companion's): β falls between two ends that the spectra set (see `helpers.schedule`).
    # "staircase" (the paper's): the first β, then `beta_step` more every `step_epochs`. "none": β stays 0.
    schedule: str = "annealing"
    cosine: bool = True  # warm up over 5 % of the steps, then decay along a cosine
    clip_norm: float | None = 1.0  # largest norm of the whole gradient
    weight_decay: float = 0.0  # of AdamW
    # What a running mean of the weights keeps of itself at every step (Polyak averaging). Once the rate has warmed up,
    # snapshots hold this mean. 0 for the weights themselves.
    average: float = 0.0
    # Random weights that are tried; the one with the lowest loss on the training spectra after a quarter of the epochs
    # goes on.
    starts: int = 1
    joint_from: float = 0.5  # share of the epochs after which the joint term of the decoder opens
    shown: int | None = None  # active channels of the snapshot shown; None takes the plateau of the path of β
    # Epochs with β = 0 before the staircase: 2000 for the paper's toy. For BEPS the paper states no priming, but that β
    # is first changed from 0, every 1000 epochs.
    priming: int = 0
    beta_step: float = 0.0
    step_epochs: int = 1
    # `beta_step` refers to a KL averaged over the latents, as the original code, and is divided by their number here;
    # the paper does not say.
    kl_mean: bool = False
    # λ, with β as it is for an averaged KL. "none": 0. "added" (paper, toy): every step of the staircase adds
    # 1e-5 × 10^β. "added_n" (paper, BEPS): step n adds 1e-5 × 10^(nβ). "set" (original code): 1e-5 × 10^β throughout.
    l1: str = "none"
    # Every step of the staircase begins with a new Adam, at the weights of the lowest training loss in the step before,
    # as the original code; the paper does not say so.
    restart_steps: bool = False
    # The first β of the staircase makes β·KL this share of the loss measured at the end of priming; None makes it a
    # step of β.
    first_share: float | None = 0.6
    snapshots: int = 24  # points of the training at which embeddings and weights are kept

    def __post_init__(self):
        if self.l1 not in LAMBDAS:
            raise ValueError(f"l1 is {self.l1!r}: expected one of {', '.join(LAMBDAS)}; correct the profile")
        if self.schedule != "staircase" and (self.l1 != "none" or self.restart_steps):
            raise ValueError(f"a schedule of kind {self.schedule} has no steps: expected \"staircase\" where "
                             "`restart_steps` or a λ is set; correct the profile")
        if self.cosine and self.restart_steps:
            raise ValueError("a training cannot have both `cosine` and `restart_steps`: expected one; switch one off")
        if self.starts > 1 and self.schedule == "staircase":
            raise ValueError(f"a staircase of β from {self.starts} random weights: expected 1; correct the profile")


@dataclass(frozen=True)
class Profile:
    """One of `PROFILES`."""

    name: str
    toy_spectra: int  # to train on
    gamut_spectra: int  # of the colour gamut, to validate on
    painting_side: int  # pixels along each side of the painting
    toy_network: AdditiveNetwork  # of the companion's β-VAE, on either benchmark
    toy_training: Training
    beps_network: AdditiveNetwork
    beps_training: Training
    paper_network: PaperNetwork  # of the paper's β-VAE on the toy: small, but for the paper's own profile
    paper_training: Training
    heldout_every: int  # one block of pixels in so many is kept out of training; 0 keeps none out
    dictionary_iterations: int  # at most
    grid_spectra: int  # used along the grid of λ
    lambda_grid: tuple[float, ...]
    movie_points: int  # values at which a channel is swept
    twin_shape: tuple[int, int] = (60, 60)


PAPER_TOY = PaperNetwork(units=128, blocks=3, normalise=True)
PAPER_BEPS = PaperNetwork(units=128, blocks=3, interleave=True)
PAPER_TOY_TRAINING = Training(
    epochs=6500, batch=300, learning_rate=3e-5, priming=2000, schedule="staircase", cosine=False, clip_norm=None,
    beta_step=5e-3, step_epochs=100, kl_mean=True, l1="added", shown=3, snapshots=46)
PAPER_BEPS_TRAINING = Training(
    epochs=20_000, batch=300, learning_rate=3e-5, priming=1000, schedule="staircase", cosine=False, clip_norm=None,
    beta_step=2.5e-3, step_epochs=1000, kl_mean=True, l1="added_n", shown=5, snapshots=40)
# The same stairs in a hundredth of the epochs, at a hundred times the learning rate; λ as in the original code.
SMALL_STAIRCASE = replace(PAPER_TOY_TRAINING, epochs=65, learning_rate=3e-3, priming=20, step_epochs=1, l1="set")
TOY_NETWORK = AdditiveNetwork(units=24, layers=2, patch=5, branch=48)
BEPS_NETWORK = AdditiveNetwork(units=24, layers=2, patch=16, branch=32, joint=64, linear=True, input_noise=0.1)
TOY = Training(epochs=400, batch=250, learning_rate=4e-3, average=0.995, starts=3, snapshots=48)
BEPS = Training(epochs=900, batch=240, learning_rate=4e-3, weight_decay=3e-2, average=0.995, shown=5, snapshots=48)

SMOKE = Profile(
    name="smoke", toy_spectra=800, gamut_spectra=400, painting_side=24,
    toy_network=replace(TOY_NETWORK, units=8, layers=1, branch=16),
    toy_training=replace(TOY, epochs=32, batch=100, learning_rate=1e-2, average=0.9, starts=2, snapshots=24),
    beps_network=replace(BEPS_NETWORK, units=8, layers=1, branch=16, joint=16),
    beps_training=replace(BEPS, epochs=100, batch=100, learning_rate=1e-2, average=0.9, snapshots=24),
    paper_network=PaperNetwork(units=4, blocks=0, normalise=True),
    paper_training=replace(SMALL_STAIRCASE, epochs=34, priming=16, step_epochs=2, beta_step=2.5e-2, batch=100,
                           learning_rate=1e-2, snapshots=24),
    heldout_every=5, dictionary_iterations=20, grid_spectra=300, lambda_grid=(0.2, 0.57, 1.0), movie_points=12,
    twin_shape=(24, 24))
LAPTOP = Profile(
    name="laptop", toy_spectra=10_000, gamut_spectra=10_000, painting_side=64,
    toy_network=TOY_NETWORK, toy_training=TOY, beps_network=BEPS_NETWORK, beps_training=BEPS,
    paper_network=PaperNetwork(units=16, blocks=1, normalise=True), paper_training=SMALL_STAIRCASE,
    heldout_every=5, dictionary_iterations=300, grid_spectra=2000, movie_points=200,
    lambda_grid=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.57, 0.7, 0.85, 1.0, 1.3, 1.6, 2.0))
PROFILES = {profile.name: profile for profile in (
    SMOKE, LAPTOP, replace(LAPTOP, name="paper", paper_network=PAPER_TOY, paper_training=PAPER_TOY_TRAINING,
                           heldout_every=0, dictionary_iterations=1000, grid_spectra=10_000))}


def get_profile(name: str) -> Profile:
    """The profile called `name`; a ValueError that lists all where there is none."""
    if name not in PROFILES:
        raise ValueError(f"profile is {name!r}: expected one of {', '.join(PROFILES)}; correct PROFILE=…")
    return PROFILES[name]
