"""``attm compare``: one run's verdicts and numbers beside another's, or beside what is expected."""

import argparse
from pathlib import Path
from typing import Any

from attm_companion.study.result_files import MEASURED, read_run, results_folder
from attm_companion.tables.replication import agreement, pairs, verdicts
from attm_core.errors import ResultError
from attm_core.files import read_json, sha256_file, write_json

EXPECTED = Path("results") / "expected.json"
SHOWN = 10  # of the numbers that are furthest apart


def run_compare(options: argparse.Namespace) -> int:
    """Print what differs; 0 if every verdict is the same, 1 if one is not."""
    first = read_run(options.first)
    if options.write:
        known = read_json(EXPECTED) if EXPECTED.is_file() else {}
        write_json(EXPECTED, {**known, options.first: expectation(options.first)})
        print(f"{EXPECTED}: {len(verdicts(first))} verdicts of {options.first}")
        return 0
    if options.second:
        second = read_run(options.second)
        lines, same = _verdict_lines(verdicts(first), verdicts(second))
        lines += _number_lines(first, second)
    else:
        wanted = _expected_of(options.first)
        found = {k: said for k, said in verdicts(first).items() if k in wanted["verdicts"]}
        lines, same = _verdict_lines(found, wanted["verdicts"])
        sums = expectation(options.first)["files"]
        lines.append("")
        lines += [
            f"{name}: {'same bytes' if sums.get(name) == digest else 'other bytes'}"
            for name, digest in wanted["files"].items()
        ]
    print("\n".join(lines))
    return 0 if same else 1


def expectation(name: str) -> dict[str, Any]:
    """The verdicts of a run and the checksum of each of its tables but the measured times."""
    tables = sorted(results_folder(name).glob("*.csv"))
    files = {path.name: sha256_file(path) for path in tables if path.stem not in MEASURED}
    return {"verdicts": verdicts(read_run(name)), "files": files}


def _expected_of(name: str) -> dict[str, Any]:
    known: Any = read_json(EXPECTED)
    if isinstance(known, dict) and name not in known:
        raise ResultError(
            f"{EXPECTED} expects nothing of {name!r}, only of {', '.join(known)}; name a second run"
        )
    match known[name] if isinstance(known, dict) else None:
        case {"verdicts": {**said}, "files": {**files}}:
            return {"verdicts": said, "files": files}
    raise ResultError(f"{EXPECTED} is malformed; write it with `attm compare {name} --write`")


def _verdict_lines(first: dict[str, str], second: dict[str, str]) -> tuple[list[str], bool]:
    shared = [name for name in first if name in second]
    differing = [name for name in shared if first[name] != second[name]]
    alone = sorted(set(first) ^ set(second))
    lines = [f"{name}: {first[name]} → {second[name]}" for name in differing]
    lines += [f"{name}: in one of the two only" for name in alone]
    lines.append(f"{len(shared) - len(differing)} of {len(shared)} verdicts are the same")
    return lines, not differing and not alone


def _number_lines(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    both = pairs(first, second)
    far = both.loc[both["z"].abs().sort_values(ascending=False).index].head(SHOWN)
    lines = ["", "Furthest apart, in units of the standard error that the intervals imply:"]
    for _, line in far.iterrows():
        against = f" against {line['against']}" if line["against"] else ""
        lines.append(
            f"z = {line['z']:+6.1f}  {line['experiment']}: {line['metric']} of {line['row']}"
            f"{against}: {line['value']:.4g} → {line['value_second']:.4g}"
        )
    return [*lines, "", agreement(first, second).to_string(float_format="{:.2f}".format)]
