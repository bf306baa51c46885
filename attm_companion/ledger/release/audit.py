"""The whole release audit as one small JSON tree of summary figures, computed or as last committed.

Per-prompt and per-clip values stay on the machine that has the release; what is committed are
counts, ranges, tests and histograms, with the ids of the clips they were computed from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attm_companion.assets import load_manifest
from attm_companion.ledger.release import clips, noise_sharing, prompts, ranker, scores
from attm_companion.ledger.release.clips import MeasuredClip
from attm_companion.ledger.release.files import SYSTEMS, Release, find_release
from attm_companion.paper_numbers import Paper, load_paper
from attm_core.errors import ResultError
from attm_core.files import read_json
from attm_core.randomness import numpy_generator

AUDIT_FILE = Path("results") / "released_audit.json"
SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class Audit:
    """Summary figures of the release and how they came to be here."""

    figures: dict[str, Any]  # the tree that ``results/released_audit.json`` holds
    measured_now: bool  # computed in this run; else read from the last committed result

    def __getitem__(self, path: str) -> Any:
        """The figure at a path, ``"scores.clap.systems.sub1.mean"``; else ``ResultError``."""
        node: Any = self.figures
        for name in path.split("."):
            if not isinstance(node, dict) or name not in node:
                raise ResultError(f"the release audit has no figure {path!r}")
            node = node[name]
        return node


def audit_clips(measured: Sequence[MeasuredClip], paper: Paper) -> dict[str, Any]:
    """Clip figures and noise sharing, from whatever clips were measured."""
    if not measured:
        return {"n": 0, "systems": {}}
    table = clips.table_of(measured)
    target, ceiling = paper["hyper.inference.target_lufs"], paper["hyper.inference.ceiling_dbtp"]
    details = {(m.measures["system"], m.measures["prompt_id"]): m.detail for m in measured}
    generator = numpy_generator(0, "released", "noise sharing")
    return {
        "n": len(measured),
        "systems": clips.summarize(table, target, ceiling),
        "noise": noise_sharing.summarize(details, SYSTEMS, generator),
        "top_spectra": clips.top_spectra(measured),
    }


def compute_audit(release: Release, measured: Sequence[MeasuredClip]) -> Audit:
    """Compute the audit from the public files and whatever clips of them were measured."""
    paper = load_paper()
    revisions = dict(load_manifest()["released"].revisions)
    figures = {
        "scores": scores.audit_scores(release),
        "prompts": prompts.audit_prompts(release),
        "ranker": ranker.audit_calibration(release),
        "splits": ranker.audit_splits(release),
        "fresh_votes": ranker.audit_fresh_votes(release),
        "tracks": scores.audit_score_tables(release, {"kept_mean": paper["text.kept_reward_mean"]}),
        "clips": audit_clips(measured, paper),
        "provenance": {
            "revisions": revisions, "clips_seen": len(measured), "clips_public": 300,
        },
    }  # fmt: skip
    return Audit(rounded(figures), measured_now=True)


def rounded(node: Any) -> Any:
    """The same tree with floats at six significant digits, so that machines agree on the file."""
    if isinstance(node, dict):
        return {str(key): rounded(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [rounded(value) for value in node]
    return float(f"{node:.{SIGNIFICANT_DIGITS}g}") if isinstance(node, float) else node


def load_audit(path: Path = AUDIT_FILE) -> Audit:
    """The last committed audit; raises ``ResultError`` if there is none."""
    if not path.is_file():
        raise ResultError(
            f"{path} is missing: run `attm claims --released DIR` where the release is"
        )
    return Audit(read_json(path), measured_now=False)


def open_audit(
    folder: Path | None = None, path: Path = AUDIT_FILE
) -> tuple[Audit, list[MeasuredClip]]:
    """The audit, measured where the release is present, and the clips that were measured.

    Without a release it is the last committed one; with fewer than two prompts in common, only the
    clips' figures are the committed ones. Then no clip is returned.
    """
    release = find_release(folder)
    if release is None:
        return load_audit(path), []
    measured = clips.measure_all(release.clips())
    audit = compute_audit(release, measured)
    noise = audit.figures["clips"].get("noise", {"between": {}})
    if len(noise["between"]) == len(SYSTEMS) * (len(SYSTEMS) - 1) // 2:
        return audit, measured
    return with_committed_clips(audit, load_audit(path)), []


def with_committed_clips(audit: Audit, committed: Audit) -> Audit:
    """Everything from ``audit`` but the clips, which come from the committed figures."""
    origin = audit["provenance"] | {"clips_from": "last committed audit"}
    origin["clips_seen"] = committed["provenance.clips_seen"]
    figures = audit.figures | {"clips": committed["clips"], "provenance": origin}
    return Audit(figures, measured_now=False)
