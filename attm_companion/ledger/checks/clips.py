"""The public clips against Section III-E and the demo page."""

from __future__ import annotations

from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import check
from attm_core.generation.loudness import (
    RELEASED_PEAK_TARGET,
    RELEASED_SAMPLE_PEAK,
    to_db,
)

SUBMISSIONS = ("sub1", "sub2")


def _total(evidence: Evidence, name: str) -> int:
    return sum(evidence.audit[f"clips.systems.{s}.{name}"] for s in SUBMISSIONS)


@check("C29")
def latent_frames(evidence: Evidence) -> Outcome:
    """Padding at the end of the baseline's clips against 430 frames of 1,024 samples."""
    rate, seconds = (
        evidence.paper[f"hyper.backbone.{n}"] for n in ("sample_rate_hz", "clip_duration_s")
    )
    padding = evidence.audit["clips.systems.baseline.trailing_zeros"]
    frames = (rate * seconds - padding[0]) / 1024
    return Outcome(
        "holds" if len(padding) == 1 and frames == int(frames) else "ambiguous",
        f"Every public baseline clip ends in {padding[0]} exact zeros: {frames:.0f} frames of "
        f"1,024 samples and padding to {seconds:.0f} s, as the 44.1 kHz codec would leave.",
        {"padding_samples": padding[0], "frames": frames},
    )


@check("C77")
def one_seed(evidence: Evidence) -> Outcome:
    """Whether clips of one system share noise, and at which shift the submissions do."""
    noise = evidence.audit["clips.noise"]
    within = noise["within_other_prompts"]["sub1"]
    pair = noise["between"]["sub1_sub2"]
    paper = evidence.paper
    shift = paper["hyper.inference.seed_sub1"] - paper["hyper.inference.seed_sub2"]
    lag, strong = pair["best_lag"], pair["best_lag_z"] > 6
    shared = strong and lag == shift
    found = (
        f"Prompt i of Sub. 1 and prompt i{lag:+d} of Sub. 2 do (correlation "
        f"{pair['best_lag_mean']:.2f}, {pair['best_lag_pairs']} pairs), as seeds base + index "
        "would: the base is fixed per submission, not the seed."
        if shared
        else "So not all prompts got the same noise; which rule the seeds follow needs clips whose "
        "ids differ by the difference of the bases."
    )
    return Outcome(
        "holds_loosely",
        f"Different prompts of Sub. 1 do not share noise (mean correlation {within:+.3f}). {found}",
        {
            "within_sub1": within,
            "best_lag": lag,
            "best_lag_mean": pair["best_lag_mean"],
            "seed_difference": shift,
        },
    )


@check("C151")
def submissions_reuse_noise(evidence: Evidence) -> Outcome:
    """Whether a shift exists at which the two submissions share noise."""
    pair = evidence.audit["clips.noise.between.sub1_sub2"]
    shared = pair["best_lag_z"] > 6
    return Outcome(
        "contradicted" if shared else "not_checkable_here",
        f"At shift {pair['best_lag']:+d} {pair['best_lag_pairs']} pairs of clips correlate at "
        f"{pair['best_lag_mean']:.2f}: the same noise under different prompts. For one prompt "
        "they are independent, so their comparison is sound."
        if shared
        else f"None of the {pair['n_lags']} shifts that the clips at hand allow stands out; seeds "
        "42 and 55 "
        "would meet at −13.",
        {"best_lag": pair["best_lag"], "best_lag_mean": pair["best_lag_mean"],
         "best_lag_z": pair["best_lag_z"]},
    )  # fmt: skip


@check("C136")
def baseline_shares_noise(evidence: Evidence) -> Outcome:
    """Same-prompt against other-prompt correlation of fine detail, baseline and Sub. 1."""
    pair = evidence.audit["clips.noise.between.baseline_sub1"]
    shared = pair["p"] < 0.01 and pair["same_prompt_mean"] > 5 * pair["other_prompt_sd"]
    return Outcome(
        "holds" if shared else "ambiguous",
        f"Over {pair['n']} prompts fine detail correlates at {pair['same_prompt_mean']:.2f} for "
        f"the same prompt and {pair['other_prompt_mean']:+.3f} ± {pair['other_prompt_sd']:.3f} "
        f"for others (permutation p = {pair['p']:.4f}): same seeds, and models close enough to "
        "turn them into the same details. A common prompt alone does not do this, as Sub. 2 "
        "shows.",
        {"same_prompt": pair["same_prompt_mean"], "other_prompt": pair["other_prompt_mean"],
         "p": pair["p"], "sub2_same_prompt":
         evidence.audit["clips.noise.between.baseline_sub2.same_prompt_mean"]},
    )  # fmt: skip


@check("C80")
def separated(evidence: Evidence) -> Outcome:
    """Traces of the separator: the line at Nyquist, and padding that is no longer zero."""
    lines = {s: evidence.audit[f"clips.systems.{s}.nyquist_line_db.median"]
             for s in ("baseline", *SUBMISSIONS)}  # fmt: skip
    zeros = max(max(evidence.audit[f"clips.systems.{s}.trailing_zeros"]) for s in SUBMISSIONS)
    traced = min(lines[s] for s in SUBMISSIONS) > lines["baseline"] + 15 and zeros < 10
    return Outcome(
        "holds_loosely" if traced else "ambiguous",
        f"Both submissions carry a line at the Nyquist frequency ({lines['sub1']:.0f} and "
        f"{lines['sub2']:.0f} dB above its surroundings, baseline {lines['baseline']:.0f}) and no "
        "padding zeros: they went through a network; that it was mdx_extra three times stands in "
        "the script only.",
        {f"nyquist_line_db_{s}": value for s, value in lines.items()},
    )


@check("C82")
def on_target(evidence: Evidence) -> Outcome:
    """Clips of both submissions at the target loudness."""
    n, on = _total(evidence, "n"), _total(evidence, "on_target")
    miss = max(evidence.audit[f"clips.systems.{s}.largest_miss_lu"] for s in SUBMISSIONS)
    peaks = [evidence.audit[f"clips.systems.{s}.missed_peak_db"] for s in SUBMISSIONS]
    limit = to_db(RELEASED_PEAK_TARGET)
    at_limit = all(abs(p[end] - limit) < 0.01 for p in peaks if p for end in ("min", "max"))
    return Outcome(
        "holds" if on == n else "holds_loosely" if on > n / 2 and at_limit else "contradicted",
        f"{on} of {n} clips are within 0.1 LU of {evidence.paper['hyper.inference.target_lufs']} "
        f"LUFS; the rest are quieter, by up to {miss:.1f} LU, and "
        f"{'all' if at_limit else 'not all'} of them stop at a sample peak of "
        f"{RELEASED_PEAK_TARGET}, the released rescue from clipping. Loudness gives way to the "
        "peak, which the text does not say.",
        {
            "clips": n,
            "on_target": on,
            "largest_miss_lu": miss,
            "rest_at_sample_peak_0_95": at_limit,
        },
    )


@check("C83")
def true_peaks(evidence: Evidence) -> Outcome:
    """True peaks of both submissions against the ceiling."""
    n, above = _total(evidence, "n"), _total(evidence, "above_ceiling")
    top = max(evidence.audit[f"clips.systems.{s}.true_peak_dbtp.max"] for s in SUBMISSIONS)
    ceiling = evidence.paper["hyper.inference.ceiling_dbtp"]
    return Outcome(
        "contradicted" if above else "holds",
        f"{above} of {n} clips exceed {ceiling:.0f} dBTP, up to {top:+.2f}; the released script "
        f"limits sample peaks (above {RELEASED_SAMPLE_PEAK} to {RELEASED_PEAK_TARGET}), and the "
        "loudness library it uses has no true-peak meter.",
        {"clips": n, "above_ceiling": above, "largest_true_peak_dbtp": top},
    )


@check("C86")
def only_the_seed(evidence: Evidence) -> Outcome:
    """What the public clips say about shared weights."""
    pair, paper = evidence.audit["clips.noise.between.sub1_sub2"], evidence.paper
    shift = paper["hyper.inference.seed_sub1"] - paper["hyper.inference.seed_sub2"]
    supported = pair["best_lag"] == shift and pair["best_lag_z"] > 6
    return Outcome(
        "holds" if supported else "holds_loosely",
        "At the shift of their seeds the two share fine detail (correlation "
        f"{pair['best_lag_mean']:.2f}), as one set of weights with the same noise would; the "
        "model card offers one file for both."
        if supported
        else "One file is published for both; the clips at hand hold no pair with the same seed.",
        {"best_lag": pair["best_lag"], "best_lag_mean": pair["best_lag_mean"]},
    )


@check("C128")
def official_checkpoint(evidence: Evidence) -> Outcome:
    """Bandwidth of the demo's baseline against the challenge's public recipe."""
    base = evidence.audit["clips.systems.baseline"]
    edge = evidence.paper["public.reference_rate_hz"] / 2
    beyond = base["bandwidth_hz"]["max"] > edge
    return Outcome(
        "ambiguous" if beyond else "holds",
        f"Its clips are at 44.1 kHz with content up to {base['bandwidth_hz']['max'] / 1000:.1f} "
        "kHz; the challenge's public recipe is for 16 kHz and offers no weights. Participants "
        "may have had another version, or the authors trained it.",
        {"bandwidth_hz": base["bandwidth_hz"]["max"], "public_recipe_edge_hz": edge},
    )


@check("C141")
def demo_baseline(evidence: Evidence) -> Outcome:
    """Processing and bandwidth of the demo's baseline."""
    base = evidence.audit["clips.systems.baseline"]
    padded = base["trailing_zeros"] != evidence.audit["clips.systems.sub1.trailing_zeros"]
    return Outcome(
        "contradicted" if padded and base["on_target"] < base["n"] / 2 else "holds",
        f"{base['on_target']} of {base['n']} baseline clips are at the target loudness (range "
        f"{base['loudness_lufs']['min']:.0f} to {base['loudness_lufs']['max']:.0f} LUFS), "
        f"{base['clips_at_full_scale']} touch full scale and all keep their padding: unprocessed, "
        "as the page says, so a listener hears model and processing together.",
        {
            "on_target": base["on_target"],
            "clips": base["n"],
            "at_full_scale": base["clips_at_full_scale"],
        },
    )


@check("C129")
def formats(evidence: Evidence) -> Outcome:
    """Rates, channels and durations of all clips seen."""
    systems = evidence.audit["clips.systems"]
    found = sorted({form for system in systems.values() for form in system["formats"]})
    paper = evidence.paper
    stated = (f"{paper['hyper.backbone.sample_rate_hz']:.0f} Hz, 1 channel(s), "
              f"{paper['hyper.backbone.clip_duration_s']:g} s")  # fmt: skip
    return Outcome(
        "holds" if found == [stated] else "contradicted",
        f"All {evidence.audit['clips.n']} clips seen: {'; '.join(found)}.",
        {"clips": evidence.audit["clips.n"], "formats": len(found)},
    )
