"""The paper's tables, captions, hyper-parameters and text numbers, from ``paper_numbers.yaml``.

Every "paper" column of the book and every check of the ledger takes its numbers from here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from attm_core.errors import InputError

PAPER_FILE = Path(__file__).with_name("paper_numbers.yaml")
_CELL = re.compile(
    r"^(?P<bold>\*\*)?(?P<number>[+-]?\d+(\.\d+)?(e[+-]?\d+)?)(\*\*)?(?P<mark>[†*]?)$"
)
_NOTES = frozenset({"place", "caption", "label"})


@dataclass(frozen=True)
class Cell:
    """One printed number."""

    key: str  # path in ``paper_numbers.yaml``, e.g. ``"table2.row4.fad"``
    text: str  # as printed, without emphasis
    bold: bool = False  # printed in bold
    mark: str = ""  # ``"†"``, ``"*"`` or nothing

    @property
    def value(self) -> float:
        """The number."""
        return float(self.text)

    @property
    def decimals(self) -> int:
        """Printed digits after the point; 0 for integers and powers of ten."""
        return len(self.text.partition(".")[2]) if "e" not in self.text else 0

    @property
    def half_unit(self) -> float:
        """Largest rounding error behind the printed digits."""
        return 0.5 * 10.0**-self.decimals


@dataclass(frozen=True)
class Paper:
    """Typed access to the transcription."""

    cells: Mapping[str, Cell]  # all printed numbers by key
    labels: Mapping[str, str]  # row labels, captions and quoted words by key

    def cell(self, key: str) -> Cell:
        """The printed number at ``key``; raises ``InputError`` if there is none."""
        if key not in self.cells:
            raise InputError(f"paper_numbers.yaml has no number {key!r}")
        return self.cells[key]

    def __getitem__(self, key: str) -> float:
        """The number at ``key`` as a float."""
        return self.cell(key).value

    def label(self, key: str) -> str:
        """The words at ``key``, such as ``"table2.row2.label"``; else ``InputError``."""
        if key not in self.labels:
            raise InputError(f"paper_numbers.yaml has no words {key!r}")
        return self.labels[key]

    def column(self, prefix: str, name: str) -> dict[str, Cell]:
        """All cells ``<prefix>.<row>.<name>``, by row; rows may be nested (``"sft.v1_v1"``)."""
        start, end = f"{prefix}.", f".{name}"
        return {
            key.removeprefix(start).removesuffix(end): cell
            for key, cell in self.cells.items()
            if key.startswith(start) and key.endswith(end)
        }


def parse_cell(key: str, printed: str) -> Cell:
    """A number as printed, with emphasis and mark; raises ``InputError`` if it is none."""
    match = _CELL.match(printed)
    if match is None:
        raise InputError(f"paper_numbers.yaml: {key} = {printed!r} is not a printed number")
    return Cell(key, match["number"], bool(match["bold"]), match["mark"])


def _walk(prefix: str, node: Mapping[str, Any]) -> Iterator[Cell | tuple[str, str]]:
    for name, child in node.items():
        key = f"{prefix}{name}"
        if name in _NOTES or (isinstance(child, Mapping) and "words" in child):
            yield key, str(child["words"] if isinstance(child, Mapping) else child)
        elif isinstance(child, Mapping) and "value" not in child:
            yield from _walk(f"{key}.", child)
        elif isinstance(child, Mapping | str):
            yield parse_cell(key, str(child["value"] if isinstance(child, Mapping) else child))
        else:
            raise InputError(f"paper_numbers.yaml: quote {key} so that its printed digits are kept")


@cache
def load_paper(path: Path = PAPER_FILE) -> Paper:
    """Read the transcription, once; raises ``InputError`` at what is no quoted number."""
    tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    items = list(_walk("", tree))
    cells = {item.key: item for item in items if isinstance(item, Cell)}
    labels = dict(item for item in items if not isinstance(item, Cell))
    return Paper(cells, labels)


def paper_value(key: str) -> float:
    """The paper's number at a key, such as ``table2.row4.fad``; else ``InputError``."""
    return load_paper()[key]
