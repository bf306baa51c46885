r"""Numbers in prose come from result files: ``experiment:id@field|format`` becomes text.

``cumulative:row4.fad|.3f`` is our value; ``cumulative:row4.fad@paper|.3f`` the paper's;
``@difference`` ours minus the paper's; the other fields are ``@low``, ``@high``, ``@n``, ``@seed``,
``@unit`` and ``@verdict``. Inside a Markdown table the bar is written ``\|``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attm_core.errors import ResultError
from attm_core.files import read_json

REQUEST = re.compile(
    r"^(?P<experiment>[\w.-]+):(?P<key>[^@|\s]+)(@(?P<field>\w+))?(\|(?P<format>[^|]*))?$"
)
FIELDS = ("value", "paper", "difference", "low", "high", "n", "seed", "unit", "verdict")


@dataclass(frozen=True)
class Number:
    """A formatted value and the sentence that says where it comes from."""

    text: str
    origin: str


def find_number(results: Path, request: str) -> Number:
    """Resolve a request such as ``cumulative:row4.fad@paper|.3f``.

    Args:
        results: folder of result files of one profile.
        request: experiment, value id, optional field and format specification.

    Raises:
        ResultError: malformed request, or no such experiment, value or field.
    """
    match = REQUEST.match(request.strip())
    if match is None:
        raise ResultError(f"'{request}' is not of the form experiment:id@field|format")
    experiment, key = match["experiment"], match["key"]
    content = _content(results, experiment)
    if key not in content.get("values", {}):
        raise ResultError(f"{experiment}.json has no value '{key}'")
    entry = content["values"][key]
    value = _field(entry, match["field"] or "value", f"{experiment}:{key}")
    try:
        text = format(value, match["format"] or "")
    except (ValueError, TypeError) as error:
        raise ResultError(f"'{request}': {error}") from error
    return Number(_minus(text), _origin(content, key, entry))


def _content(results: Path, experiment: str) -> dict[str, Any]:
    path = results / f"{experiment}.json"
    if not path.is_file():
        raise ResultError(f"no result file {path.name} in {results.name}: run the study first")
    content: dict[str, Any] = read_json(path)
    if not content.get("provenance"):
        raise ResultError(f"{path.name} carries no provenance")
    return content


def _field(entry: dict[str, Any], field: str, where: str) -> Any:
    if field not in FIELDS:
        raise ResultError(f"{where}: no field '{field}'; there are {', '.join(FIELDS)}")
    if field == "difference":
        ours, paper = entry.get("value"), entry.get("paper")
        found = None if ours is None or paper is None else ours - paper
    else:
        found = entry.get(field)
    if found is None:
        raise ResultError(f"{where} has no {field}")
    return found


def _minus(text: str) -> str:
    return re.sub(r"^-(?=\d)", "−", text)


def _origin(content: dict[str, Any], key: str, entry: dict[str, Any]) -> str:
    parts = [f"{content['experiment']}, {key}", f"profile {content['profile']}"]
    parts += [f"{name} {entry[name]}" for name in ("n", "seed") if entry.get(name) is not None]
    if entry.get("low") is not None and entry.get("high") is not None:
        parts.append(f"95 % interval {entry['low']:.4g} to {entry['high']:.4g}")
    named = content["provenance"]
    facts = {"commit": "code_commit", "configuration": "config_uid", "date": "date"}
    parts += [f"{name} {named[key]}" for name, key in facts.items() if named.get(key)]
    return "; ".join(parts)
