r"""Numbers in prose and in tables come from result files and carry their origin with them.

``{num}`` prints ``experiment: METRIC of ROW @ field | format``: ``cumulative: reward of row2 |
.2f`` is our value with its interval, ``… @ value | .2f`` without; ``@ paper`` the paper's, ``@
difference`` ours minus the paper's; the other fields are those of a line of the table. ``{says}``
prints the one of three phrases that the interval allows: ``cumulative: reward of row2 against row1
| raises | lowers | does not clearly change``. Inside a Markdown table the bar is written ``\|``.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from attm_companion.study.result_files import read_table
from attm_companion.study.results import Result, Value
from attm_core.errors import ResultError

REQUEST = re.compile(
    r"^(?P<experiment>[^:|@]+?)\s*:\s*(?P<query>[^@|]+?)\s*(@\s*(?P<field>\w+)\s*)?"
    r"(\|(?P<rest>.*))?$"
)
ROLE = re.compile(r"\{(?P<name>num|says)\}`(?P<request>[^`]+)`")
DEFAULT_FORMAT = ".3f"
LEVELS = {"A": "computed again here", "B": "from stored results", "C": "quoted from the paper"}
TABLES = "attm_companion/tables"
SIGN = re.compile(r"(?<![\w.\-])-(?=[\d.])")  # of a number, in prose or in an interval
_FILLED = itertools.count(1)  # ids of the numbers of a page


@dataclass(frozen=True)
class Number:
    """A formatted value and where it comes from."""

    text: str  # as it is printed
    origin: str  # one sentence on where it comes from
    level: str  # of `LEVELS`
    links: Mapping[str, str]  # to the code and the line of data, from the book's first folder

    def html(self, identifier: str, depth: int = 1, badge: bool = True) -> str:
        """The number for a page: its origin shows on hover and on keyboard focus."""
        links = " · ".join(
            f'<a href="{escape("../" * depth + address)}">{name}</a>'
            for name, address in self.links.items()
        )
        level = f'<sup class="attm-level">{self.level}</sup>' if badge else ""
        words = f"Level {self.level}, {LEVELS[self.level]}. {escape(self.origin)}"
        return (
            f'<span class="attm-number" tabindex="0" aria-describedby="{identifier}">'
            f"{escape(self.text)}{level}"
            f'<span class="attm-origin" role="tooltip" id="{identifier}">{words} {links}</span>'
            "</span>"
        )

    def __str__(self) -> str:
        return self.text


def find_number(results: Path, request: str) -> Number:
    """Resolve a request such as ``cumulative: reward of row2 @ paper | .3f``.

    An experiment given as a path, such as ``replications/2026-11-22/cumulative``, is looked for
    beside the folder of the profile's results.

    Raises:
        ResultError: malformed request, or no such experiment, line or field.
    """
    result, value, match = _resolve(results, request)
    level = "B" if "/" in match["experiment"] else "A"
    try:
        return number_of(result, value, (match["rest"] or "").strip(), match["field"], level)
    except (ValueError, TypeError) as error:
        raise ResultError(f"'{request}': {error}") from error


def find_phrase(results: Path, request: str) -> str:
    """The phrase that the 95 % interval of a difference allows: up, down or unclear.

    Raises:
        ResultError: as `find_number`, no interval, or not three phrases.
    """
    _, value, match = _resolve(results, request)
    return _phrase(value, match["rest"] or "", request)


def _phrase(value: Value, rest: str, request: str) -> str:
    phrases = [phrase.strip() for phrase in rest.split("|")]
    if len(phrases) != 3 or value.low is None or value.high is None:
        raise ResultError(f"'{request}' needs a line with an interval and three phrases")
    return phrases[0 if value.low > 0 else 1 if value.high < 0 else 2]


def filled(result: Result, text: str) -> str:
    """HTML with its roles ``num`` and ``says`` filled from one stored table.

    A request is as in a page, without the name of the experiment.

    Raises:
        ResultError: as `find_number` and `find_phrase`.
    """

    def one(role: re.Match[str]) -> str:
        match = REQUEST.match(f"{result.experiment}: {role['request']}")
        if match is None:
            raise ResultError(f"'{role['request']}' is not of the form METRIC of ROW @ field | …")
        value, rest = result[match["query"]], (match["rest"] or "").strip()
        if role["name"] == "says":
            return escape(_phrase(value, rest, role["request"]))
        number = number_of(result, value, rest, match["field"], "B")
        return number.html(f"filled-{next(_FILLED)}")

    return ROLE.sub(one, text)


def _resolve(results: Path, request: str) -> tuple[Result, Value, re.Match[str]]:
    match = REQUEST.match(request.strip())
    if match is None:
        raise ResultError(f"'{request}' is not of the form experiment: METRIC of ROW @ field | …")
    name = match["experiment"]
    path = (results.parent if "/" in name else results) / f"{name}.csv"
    if not path.is_file():
        raise ResultError(f"no result file {path.name} in {path.parent.name}: run the study first")
    result = read_table(path, path.parent.relative_to(results.parent).as_posix())
    return result, result[match["query"]], match


def number_of(
    result: Result, value: Value, form: str = "", field: str | None = None, level: str = "A"
) -> Number:
    """A line of a table, or one field of it, as a `Number`; ``ResultError`` if it has none."""
    form = form or ("" if field in ("n", "s", "p") else DEFAULT_FORMAT)
    shown = _field(value, field or "value", result.experiment)
    text = shown if isinstance(shown, str) else SIGN.sub("−", format(shown, form))
    if field is None and value.low is not None and value.high is not None:
        text += SIGN.sub("−", f" [{value.low:{form}}, {value.high:{form}}]")
    if field == "paper":
        level = "C"
    return Number(text, _origin(result, value), level, _links(result, value))


def _field(value: Value, field: str, where: str) -> Any:
    fields: dict[str, Any] = asdict(value)
    if value.paper is not None:
        fields["difference"] = value.value - value.paper
    found = fields.get(field)
    if found in (None, ""):
        raise ResultError(f"{where}: {value.metric} of {value.row} has no {field}")
    return found


def _origin(result: Result, value: Value) -> str:
    named = result.provenance
    against = f" against {value.against}" if value.against else ""
    parts = [f"{result.experiment}: {value.metric} of {value.row}{against}"]
    facts = {"profile": result.profile, "n": value.n, "training seed": value.training_seed}
    facts["generation seed"] = value.generation_seed
    parts += [f"{name} {fact}" for name, fact in facts.items() if fact is not None]
    if value.low is not None and value.high is not None:
        over = f" over {value.over}" if value.over else ""
        parts.append(f"95 % interval{over} {value.low:.4g} to {value.high:.4g}")
    known = {"commit": "code_commit", "configuration": "config_uid", "date": "date"}
    parts += [f"{name} {named[key]}" for name, key in known.items() if named.get(key)]
    return "; ".join(parts) + "."


def _links(result: Result, value: Value) -> dict[str, str]:
    """The function that made the number, and the line of the file that holds it."""
    data = f"source/results/{result.profile}/{result.experiment}.csv.html"
    links = {"data": f"{data}#L-{result.values.index(value) + 2}"}
    module = Path(__file__).parents[2] / TABLES / f"{result.experiment}.py"
    if module.is_file():
        lines = module.read_text(encoding="utf-8").splitlines()
        number = next((n for n, line in enumerate(lines, 1) if line.startswith("def tabulate")), 1)
        links = {"code": f"source/{TABLES}/{module.name}.html#L-{number}", **links}
    return links
