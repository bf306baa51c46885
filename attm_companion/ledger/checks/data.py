"""What the prompts and the reference set are, and the challenge's own results."""

from __future__ import annotations

import math

from attm_companion.ledger.checks.arithmetic import holds
from attm_companion.ledger.evidence import Result
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper

OFFICIAL = ("fad", "clap", "ccs")
SUBMISSION_ROWS = {"sub1": "table2.row4", "sub2": "table2.sub2"}


def instrumental_subset(paper: Paper) -> Result:
    """The stated size against that of the whole Song Describer Dataset."""
    return holds(paper["text.sdd_reference_tracks"] != paper["public.sdd_tracks"]), {}


def prompt_origin(audit: Audit) -> Result:
    """Wording of the prompts against listeners' captions and against captions made from tags."""
    prompts = audit["prompts"]
    listed = prompts["same_as_ranker_file"] == prompts["n"]
    made = prompts["link_formula"] > 0.9 * prompts["n"]
    return "contradicted" if made else holds(listed, "ambiguous"), {}


def track_count(paper: Paper, audit: Audit) -> Result:
    """Tracks in the public score table."""
    ratio = audit["tracks.jamendo.n"] / paper["hyper.data.tracks"]
    return holds(abs(ratio - 1) < 0.02), {}


def clip_count(paper: Paper, audit: Audit) -> Result:
    """Clips per track against the public partition rule."""
    per_track = paper["hyper.data.clips"] / audit["tracks.jamendo.n"]
    most = paper["public.windows_per_track"]
    return holds(0.9 * most <= per_track <= most, "ambiguous"), {"per_track": per_track}


def reference_in_training(paper: Paper, audit: Audit) -> Result:
    """How many reference tracks cannot be among the tracks held out."""
    reference, held = audit["tracks.sdd_tracks_in_jamendo"], 2 * paper["hyper.data.heldout_tracks"]
    return None, {"held_out": held, "at_least": max(0, reference - held)}


def hours_of_audio(paper: Paper) -> Result:
    """Hours in the clips against the challenge's data set."""
    hours = paper["hyper.data.clips"] * paper["hyper.data.clip_duration_s"] / 3600
    return None, {"hours": hours, "ratio": hours / paper["public.challenge_hours"]}


def official_scores(paper: Paper) -> Result:
    """The footnote's three scores against the challenge's page."""
    return holds(all(paper[f"text.official_{m}"] == paper[f"public.e02_{m}"] for m in OFFICIAL)), {}


def official_clap(paper: Paper, audit: Audit) -> Result:
    """Internal against official CLAP; both are means over 100 prompts and so both have errors."""
    figures: dict[str, float | int | str | bool] = {}
    for name, row in SUBMISSION_ROWS.items():
        drop = paper[f"{row}.clap"] - paper["text.official_clap"]
        error = math.sqrt(2) * audit[f"scores.clap.systems.{name}.se"]
        figures |= {f"drop_{name}": drop, f"z_{name}": drop / error}
    largest = max(abs(float(figures[f"z_{name}"])) for name in SUBMISSION_ROWS)
    return "holds_loosely" if largest < 3 else "ambiguous", figures


def dry_run_board(paper: Paper) -> Result:
    """Internal FAD beside the dry run's, which had the Song Describer Dataset as reference."""
    board = [cell.value for cell in paper.column("public.dry_run", "fad").values()]
    own = {name: paper[f"{row}.fad"] for name, row in SUBMISSION_ROWS.items()}
    ranks = {name: 1 + sum(other < value for other in board) for name, value in own.items()}
    inside = all(min(board) <= value <= max(board) for value in own.values())
    return holds(inside), {
        "entries": len(board),
        "best": min(board),
        "worst": max(board),
        **{f"rank_{name}": rank for name, rank in ranks.items()},
    }
