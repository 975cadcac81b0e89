"""Movies S1–S6: embedding channels swept, and embeddings through the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from helpers.figures.inputs import Channel, Sweep
from helpers.figures.maps import TURNED, Orientation
from helpers.figures.spectra import close_loop
from helpers.figures.movies import SweepScene, TrainingScene
from helpers.video import write_movie


def sweep_movie(
    path: Path | str,
    sweep: Sweep,
    x: np.ndarray,
    *,
    x_label: str,
    channels: Sequence[Channel],
    source: str,
    loop: bool,
    orientation: Orientation = TURNED,
    fps: int = 25,
    progress: bool = True,
) -> float:
    """Movies S1, S3, S4 and S6: spectra generated while each channel is swept.

    Parameters
    ----------
    path : path
        Target, ``.mp4``.
    sweep : Sweep
        Maps, swept values and generated spectra; one frame for every value.
    x : ndarray, shape (n_steps,)
        Time or voltage.
    x_label : str
        Its name and unit.
    channels : sequence of Channel
        Label of each spectral channel.
    source : {"measured", "twin", "toy"}
        Origin of the data; every frame from the twin says so.
    loop : bool
        Whether the last step is joined to the first.
    orientation : Orientation
        `TURNED` or `SCAN` for the scan, `IMAGE` for the painting.
    fps : int
        Frames a second.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    float
        Seconds taken by a frame.

    Raises
    ------
    OSError
        If the movie cannot be written: one sentence naming it and the remedy.
    """
    joined = close_loop if loop else np.asarray
    spectra = [joined(sweep.generated[..., i] * c.scale) for i, c in enumerate(channels)]
    labels = [x_label, *(channel.label for channel in channels)]

    def frames() -> Iterator[bytes]:
        for index in range(len(sweep.maps)):
            scene = SweepScene(
                sweep, index, joined(x), spectra,
                labels=labels, source=source, orientation=orientation,
            )
            for step in range(sweep.values.shape[1]):
                yield scene.frame(step)

    return write_movie(path, frames(), sweep.values.size, fps=fps, progress=progress)


def training_movie(
    path: Path | str,
    embeddings: np.ndarray,
    epochs: np.ndarray,
    beta: np.ndarray,
    mse: np.ndarray,
    *,
    source: str,
    names: Sequence[str] = (),
    orientation: Orientation = TURNED,
    hold: int = 5,
    fps: int = 25,
    progress: bool = True,
) -> float:
    """Movies S2 and S5: embedding maps through the training, with β and the error.

    Parameters
    ----------
    path : path
        Target, ``.mp4``.
    embeddings : ndarray, shape (n_snapshots, n_maps, rows, columns)
        Posterior means, the same channels in the same order at every snapshot.
    epochs, beta, mse : ndarray, shape (n_snapshots,)
        Epoch, β and mean squared error (s.d.²) of each snapshot.
    source : {"measured", "twin", "toy"}
        Origin of the data; every frame from the twin says so.
    names : sequence of str
        Title of each map; numbered from 1 where empty.
    orientation : Orientation
        `TURNED` or `SCAN` for the scan, `IMAGE` for the painting.
    hold : int
        Frames that show one snapshot.
    fps : int
        Frames a second.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    float
        Seconds taken by a frame.

    Raises
    ------
    OSError
        If the movie cannot be written: one sentence naming it and the remedy.
    """
    titles = names or [f"z{i + 1}" for i in range(embeddings.shape[1])]

    def frames() -> Iterator[bytes]:
        scene = TrainingScene(
            embeddings, np.asarray(epochs), np.asarray(beta), np.asarray(mse),
            titles=titles, source=source, orientation=orientation,
        )
        for snapshot in range(len(embeddings)):
            frame = scene.frame(snapshot)
            for _ in range(hold):
                yield frame

    return write_movie(path, frames(), hold * len(embeddings), fps=fps, progress=progress)
