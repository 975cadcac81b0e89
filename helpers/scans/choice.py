"""Which part of a file is read, where it holds more than one scan of loops."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made_by

import numpy as np

from helpers.scans.formats import DataError


@dataclass(frozen=True)
class Choice:
    """What is chosen, else a DataError; what is left out is chosen by rules that the notes of a scan state."""

    cycle: int | str | None = None  # counted from 1, or "mean" for the mean of all; the last where left out
    field: str = "off"  # "off" (read after the pulse, as in the paper) or "on"
    measurement: int | None = None  # number in the file, as in Measurement_000; the last where left out
    dataset: str | None = None  # name, or the end of it, of the dataset that is read
    others: Mapping[str, float] = made_by(default_factory=dict)  # value of any further axis, such as {"FORC": 0}
    grid: tuple[int, int] | None = None  # rows and columns of a list of pixels, which otherwise has to be square
    voltage_V: np.ndarray | None = None  # of a file without one, shape (steps,)
    rows: tuple[int, int] | None = None  # first and one behind the last row read, of files that can be read in parts
    theta_rad: float | None = None  # rotation from oscillators to loops; found where left out

    def __post_init__(self) -> None:
        """Cycle and field may come as YAML or a command line types them."""
        cycle, field = str(self.cycle).strip().lower(), str(self.field).lower()
        counted = re.fullmatch(r"(\d+)(\.0*)?", cycle)
        if cycle not in ("", "none", "mean", "last") and not counted:  # True is none
            raise DataError(f"cycle={self.cycle} is not a cycle: expected a number from 1 or mean; choose one")
        field = {"false": "off", "true": "on", "0": "off", "1": "on"}.get(field, field)
        if field not in ("on", "off"):
            raise DataError(f"field={self.field} is not a field: expected on or off; choose one")
        object.__setattr__(self, "cycle", int(counted[1]) or None if counted else "mean" if cycle == "mean" else None)
        object.__setattr__(self, "field", field)


def choose(select: str = "", cycle: object = 0, field: object = "off") -> Choice:
    """The choice that parameters name, whatever type YAML or a command line gave them.

    Parameters
    ----------
    select : str
        Such as ``"field=on,cycle=2,forc=1,measurement=0,dataset=name,grid=50x50"``; any other name is an axis.
    cycle, field : object
        Of the `Choice`, where `select` does not name them; cycle 0 is the last.
    """
    known, others = {"cycle": cycle, "field": field}, {}
    for name, value in pairs("SELECT", select, "field=on,cycle=2"):
        plain = name.lower()
        if plain == "grid":
            sides = re.fullmatch(r"(\d+)\s*[x×]\s*(\d+)", value)
            known["grid"] = tuple(map(int, sides.groups())) if sides else _refuse(plain, value, "rows x columns")
        elif plain == "measurement":
            known[plain] = number_of(plain, value, int)
        elif plain in ("cycle", "field", "dataset"):
            known[plain] = value
        else:
            others[name] = number_of(name, value)
    return Choice(**known, others=others)


def pairs(variable: str, said: object, example: str) -> list[tuple[str, str]]:
    """Names and values of a text such as `example`, the value of a parameter called `variable`."""
    found = []
    for part in filter(None, re.split(r"[,;]\s*", str(said or ""))):
        name, equals, value = (text.strip() for text in part.partition("="))
        if not (name and equals and value):
            raise DataError(f"{variable}={said}: {part!r} says nothing: expected name=value with commas between, "
                            f"such as {example}; correct it")
        found.append((name, value))
    return found


def number_of(name: str, value: object, kind: type = float) -> float | int:
    """A number that may be text."""
    try:
        number = float(str(value))  # True is none
    except ValueError:
        return _refuse(name, value, "a number")
    if not np.isfinite(number) or number != kind(number):
        return _refuse(name, value, "a whole number" if kind is int else "a number")
    return kind(number)


def _refuse(name: str, value: object, expected: str):
    raise DataError(f"{name}={value} cannot be chosen: expected {expected}; correct it")
