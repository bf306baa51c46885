"""What the prompts and the reference set are (Sections I, III-D(a) and IV)."""

from __future__ import annotations

from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import check


@check("C05")
def instrumental_subset(evidence: Evidence) -> Outcome:
    """706 against the size of the whole Song Describer Dataset."""
    paper, audit = evidence.paper, evidence.audit
    stated, whole = paper["text.sdd_reference_tracks"], paper["public.sdd_tracks"]
    inside = audit["tracks.sdd_tracks_in_jamendo"]
    return Outcome(
        "contradicted" if stated == whole else "holds",
        f"{stated:.0f} is the whole dataset (validated part: "
        f"{paper['public.sdd_valid_tracks']:.0f}), so nothing was filtered for vocals; all "
        f"{inside} public track ids are in MTG-Jamendo, as stated. If the tracks' instrumental "
        "stems are meant, the paper does not say so.",
        {"stated": stated, "whole_dataset": whole, "in_jamendo": inside},
    )


@check("C06")
def prompt_origin(evidence: Evidence) -> Outcome:
    """Wording of the prompts against listeners' captions and against captions made from tags."""
    p, paper = evidence.audit["prompts"], evidence.paper
    formula = p["link_formula"] / p["n"]
    listed = p["same_as_ranker_file"] == p["n"]
    made = formula > 0.9
    return Outcome(
        "contradicted" if made else "holds" if listed else "ambiguous",
        f"{p['link_formula']} of {p['n']} prompts use one formula ('featuring', 'driven by', "
        f"'evoking'), and {p['joined_tags']} keep MTG-Jamendo tag spellings such as "
        f"'drummachine'; they average {p['words_mean']:.1f} words (Song Describer: "
        f"{paper['public.sdd_caption_words']}). They read like the challenge's generated test "
        "prompts, not like captions by listeners. The ranker's repository files the same texts "
        "as SDD-100, so a mislabelled file may be the cause.",
        {"link_formula": p["link_formula"], "joined_tags": p["joined_tags"],
         "words_mean": p["words_mean"], "same_as_ranker_file": p["same_as_ranker_file"]},
    )  # fmt: skip


@check("C49")
def track_count(evidence: Evidence) -> Outcome:
    """Tracks in the public score table."""
    n, stated = evidence.audit["tracks.jamendo.n"], evidence.paper["hyper.data.tracks"]
    return Outcome(
        "holds" if abs(n - stated) / stated < 0.02 else "contradicted",
        f"The public score table lists {n:,} tracks.",
        {"tracks": n},
    )


@check("C50")
def clip_count(evidence: Evidence) -> Outcome:
    """Clips per track against the public partition rule."""
    paper, n = evidence.paper, evidence.audit["tracks.jamendo.n"]
    per_track, most = paper["hyper.data.clips"] / n, paper["public.windows_per_track"]
    return Outcome(
        "holds" if most * 0.9 <= per_track <= most else "ambiguous",
        f"{per_track:.1f} clips a track, where the baseline's rule gives at most {most:.0f}.",
        {"clips_per_track": per_track, "largest_possible": n * most},
    )


@check("C135")
def reference_in_training(evidence: Evidence) -> Outcome:
    """Whether the tracks held out can be those of the reference."""
    paper = evidence.paper
    reference = evidence.audit["tracks.sdd_tracks_in_jamendo"]
    held = 2 * paper["hyper.data.heldout_tracks"]
    least = reference - held
    return Outcome(
        "ambiguous" if least > 0 else "not_checkable_here",
        f"All {reference} reference tracks are among the {evidence.audit['tracks.jamendo.n']:,} "
        f"of MTG-Jamendo, and {held:.0f} tracks are held out in all: unless they were excluded "
        f"without mention, at least {least:.0f} reference tracks were trained on, which flatters "
        "FAD for every row alike.",
        {"reference_in_jamendo": reference, "held_out": held, "trained_on_at_least": least},
    )


@check("C138")
def hours_of_audio(evidence: Evidence) -> Outcome:
    """Hours in the clips against the challenge's data set."""
    paper = evidence.paper
    hours = paper["hyper.data.clips"] * paper["hyper.data.clip_duration_s"] / 3600
    given = paper["public.challenge_hours"]
    return Outcome(
        "ambiguous" if hours > given else "holds",
        f"{hours:,.0f} hours of clips against {given:.0f} hours of data: {hours / given:.1f} "
        "times. Windows overlap, or whole tracks were used (the challenge names the subset "
        "raw_30s, whose tracks are whole); the page's number may count 30 s a track.",
        {"clip_hours": hours, "challenge_hours": given, "ratio": hours / given},
    )


@check("C146")
def reference_bandwidth(evidence: Evidence) -> Outcome:
    """Bandwidth of generated clips against that of a 16 kHz reference."""
    edge = evidence.paper["public.reference_rate_hz"] / 2
    top = evidence.paper["public.clap_top_hz"] / 1000
    bandwidth = evidence.audit["clips.systems.sub1.bandwidth_hz.median"]
    return Outcome(
        "ambiguous" if bandwidth > edge else "holds",
        f"The ranker's repository prepares its SDD-706 reference at {2 * edge / 1000:.0f} kHz, "
        f"ending at {edge / 1000:.0f} kHz; half of Sub. 1's clips reach beyond "
        f"{bandwidth / 1000:.1f} kHz. Whether this paper used the same files is not stated; CLAP "
        f"hears up to {top:.0f} kHz.",
        {"reference_edge_hz": edge, "sub1_bandwidth_hz": bandwidth},
    )


@check("C122")
def official_clap(evidence: Evidence) -> Outcome:
    """Internal against official CLAP, with the standard error over prompts."""
    paper, scores = evidence.paper, evidence.audit["scores.clap.systems"]
    rows = {"sub1": "table2.row4.clap", "sub2": "table2.sub2.clap"}
    drop = {name: paper[key] - paper["text.official_clap"] for name, key in rows.items()}
    errors = {name: drop[name] / scores[name]["se"] for name in drop}
    within = max(errors.values()) < 3
    return Outcome(
        "holds_loosely" if within else "ambiguous",
        f"The official value is {drop['sub1']:.3f} and {drop['sub2']:.3f} below the internal "
        f"ones, {errors['sub1']:.1f} and {errors['sub2']:.1f} standard errors of a mean over 100 "
        "prompts: other prompts alone could do it. Which submission e02 is, is not said.",
        {"drop_sub1": drop["sub1"], "drop_sub2": drop["sub2"], "errors_sub1": errors["sub1"]},
    )
