"""Lists of prompts with ids, from JSON or CSV files."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attm_core.configuration import check_prompt
from attm_core.errors import InputError
from attm_core.files import read_json
from attm_core.generation.submission import check_ids

MAX_PROMPTS = 10_000
FORMS = (
    'JSON: ["text", …], {"id": "text", …} or [{"id": …, "prompt": …}, …]; '
    "CSV: columns `prompt` and, if wanted, `id`"
)


def number_prompts(texts: Sequence[str]) -> dict[str, str]:
    """Ids ``000``, ``001``, … for prompts that have none.

    >>> number_prompts(["calm piano", "fast drums"])
    {'000': 'calm piano', '001': 'fast drums'}
    """
    return {f"{number:03d}": text for number, text in enumerate(texts)}


def read_prompts(path: Path) -> dict[str, str]:
    """Prompts by id, in the order of the file, ``.json`` or ``.csv``; see ``FORMS``.

    Raises:
        InputError: missing, of another form, an id twice or unusable as a file name, an empty or
            over-long prompt, no prompt or more than 10 000.
    """
    readers = {".json": _from_json, ".csv": _from_csv}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is neither .json nor .csv")
    prompts: dict[str, str] = {}
    for name, text in readers[path.suffix.lower()](path):
        if name in prompts:
            raise InputError(f"{path}: id {name!r} appears twice")
        prompts[name] = check_prompt(text)
    if not 1 <= len(prompts) <= MAX_PROMPTS:
        raise InputError(f"{path} holds {len(prompts)} prompts; 1 to {MAX_PROMPTS} are allowed")
    check_ids(prompts)
    return prompts


def _from_json(path: Path) -> Iterable[tuple[str, str]]:
    tree = read_json(path)
    if isinstance(tree, list) and all(isinstance(item, dict) for item in tree):
        return _from_rows(path, tree)
    if isinstance(tree, list) and all(isinstance(item, str) for item in tree):
        return number_prompts(tree).items()
    if isinstance(tree, dict) and all(isinstance(item, str) for item in tree.values()):
        return tree.items()
    raise InputError(f"{path} is no prompt list. Forms: {FORMS}")


def _from_csv(path: Path) -> Iterable[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _from_rows(path, list(csv.DictReader(stream)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error


def _from_rows(path: Path, rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    pairs = []
    for number, row in enumerate(rows):
        text, name = row.get("prompt"), row.get("id", f"{number:03d}")
        if not isinstance(text, str) or not isinstance(name, str | int):
            raise InputError(f"{path}: entry {number + 1} has no text `prompt`. Forms: {FORMS}")
        pairs.append((str(name), text))
    return pairs
