"""Stages that take no time, in a module that worker processes can import."""

import os
import time
from pathlib import Path
from typing import Literal

import pydantic

from attm_companion.study.stage import Stage
from attm_core.files import read_json, write_json

LOG_VARIABLE = "TOY_LOG"


class ToyStage(Stage):
    """A stage whose result is one file."""

    def out(self) -> dict:
        return read_json(self.artefact("out.json"))


class NumberStage(ToyStage):
    kind: Literal["number"] = "number"
    value: int = 1
    sleep_s: float = 0.0
    workers: int = 1

    def run(self, folder: Path) -> None:
        note(self.label)
        time.sleep(self.sleep_s)
        threads = os.environ.get("OMP_NUM_THREADS")
        write_json(folder / "out.json", {"value": self.value, "threads": threads})

    @property
    def label(self) -> str:
        return f"number {self.value}"


class Pair(pydantic.BaseModel, extra="forbid"):
    """A plain group of stages, as `Frozen` and `Judge` are."""

    left: NumberStage
    right: NumberStage


class Basket(pydantic.BaseModel, extra="forbid"):
    """A plain group in a plain group."""

    pair: Pair
    name: str = "basket"


class SumStage(ToyStage):
    kind: Literal["sum"] = "sum"
    basket: Basket

    def run(self, folder: Path) -> None:
        note(self.label)
        pair = self.basket.pair
        total = pair.left.out()["value"] + pair.right.out()["value"]
        write_json(folder / "out.json", {"value": total})


class DoubleStage(ToyStage):
    kind: Literal["double"] = "double"
    start: SumStage
    extra: NumberStage

    def run(self, folder: Path) -> None:
        note(self.label)
        value = 2 * self.start.out()["value"] + self.extra.out()["value"]
        write_json(folder / "out.json", {"value": value})


class FragileStage(Stage):
    """Fails while the file ``broken`` is there."""

    kind: Literal["fragile"] = "fragile"
    broken: str

    def run(self, folder: Path) -> None:
        if Path(self.broken).exists():
            raise ValueError("the wires are crossed")
        note(self.label)


def note(label: str) -> None:
    """Append a line to the log that the test gave, with the process that did the work."""
    with Path(os.environ[LOG_VARIABLE]).open("a") as log:
        log.write(f"{os.getpid()} {label}\n")


def chain(a: int = 1, b: int = 2, **facts) -> DoubleStage:
    """(a + b) · 2 + a, its stages sharing their leaves."""
    left, right = NumberStage(value=a, **facts), NumberStage(value=b, **facts)
    total = SumStage(basket=Basket(pair=Pair(left=left, right=right)))
    return DoubleStage(start=total, extra=NumberStage(value=a, **facts))
