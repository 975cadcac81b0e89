"""A scan read a few rows at a time, as a run read the whole or a thinned part of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.preprocessing import StandardScaler

from helpers.scans.choice import Choice, choose
from helpers.scans.cleaning import Cleaning, NothingLeftError, rules_of
from helpers.scans.formats import DataError, every_nth, sha256_of
from helpers.scans.reading import load_scan, read
from helpers.scans.scan import Scan, standardised

BLOCK_VALUES = 2**22  # of one channel read at once: 32 MiB


@dataclass(frozen=True)
class Source:
    """A file that is read a few rows at a time, as the run read it."""

    path: Path
    grid: tuple[int, int]  # rows and columns of the whole scan
    steps: int
    scaler: StandardScaler  # of the run, so that errors are in its standard deviations
    choice: Choice = Choice()
    cleaning: Cleaning = Cleaning()  # what compares pixels compares those of a block of rows

    def blocks(self, shuffled: bool = False) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Rows, standardised spectra (pixels, steps, channels) and which of them are usable.

        Shuffled, so that what is fitted along the way does not remember the last rows best.
        """
        height = max(1, BLOCK_VALUES // (self.grid[1] * self.steps))
        firsts = np.arange(0, self.grid[0], height)
        for first in np.random.default_rng(0).permutation(firsts) if shuffled else firsts:
            rows = slice(int(first), int(min(first + height, self.grid[0])))
            try:
                part = load_scan(self.path, replace(self.choice, rows=(rows.start, rows.stop)), self.cleaning)
                yield rows, standardised(part, self.scaler)[0], part.usable
            except DataError as error:
                if not isinstance(error.__cause__, NothingLeftError):
                    raise
                pixels = (rows.stop - rows.start) * self.grid[1]
                yield rows, np.zeros((pixels, self.steps, self.scaler.n_features_in_)), np.zeros(pixels, bool)


def read_as(parameters: dict) -> tuple[Choice, Cleaning]:
    """What a run chose of its file and how it cleaned that, by the parameters of notebook 0."""
    asked, rules = ({name: parameters[name] for name in names.split() if name in parameters}
                    for names in ("select cycle field", "clean outlier_sd valid_range"))
    return choose(**asked), rules_of(**rules)


def source_of(scan: Scan, parameters: dict) -> Source:
    """The file that a run's scan was read from, by the parameters of notebook 0, if it has not changed since."""
    path = Path(scan.path)
    if scan.source == "twin" and not path.is_file():
        raise DataError(f"the scan of this run is simulated ({scan.path}): expected a file with more pixels than were "
                        "used; name one with DATA=")
    if not path.is_file() or sha256_of(path) != scan.sha256:
        raise DataError(f"{path} is not the file that the run was made from (sha256 {scan.sha256[:12]}…): expected it "
                        "unchanged; put it back, or run make figures again")
    choice, cleaning = read_as(parameters)
    loops = read(path, choice)
    return Source(path, loops.grid or scan.shape, len(scan.voltage_V), standardised(scan)[1],
                  replace(choice, theta_rad=loops.theta_rad), cleaning)


def on_whole_grid(used: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Values (rows, columns) of the used pixels on the grid of the whole scan, each in all of its cell."""
    every = every_nth((*grid, 1))
    return used.repeat(every, axis=0).repeat(every, axis=1)[:grid[0], :grid[1]]
