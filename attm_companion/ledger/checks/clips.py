"""The public clips against Section III-E and the demo page."""

from attm_companion.ledger.checks.arithmetic import holds
from attm_companion.ledger.evidence import Result
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper
from attm_core.generation.loudness import RELEASED_PEAK_TARGET, to_db

SUBMISSIONS = ("sub1", "sub2")
SAMPLES_PER_LATENT = 1024


def _total(audit: Audit, name: str) -> int:
    return sum(audit[f"clips.systems.{s}.{name}"] for s in SUBMISSIONS)


def latent_frames(paper: Paper, audit: Audit) -> Result:
    """Padding at the end of the baseline's clips against whole latent frames."""
    samples = paper["hyper.backbone.sample_rate_hz"] * paper["hyper.backbone.clip_duration_s"]
    padding = audit["clips.systems.baseline.trailing_zeros"]
    frames = (samples - padding[0]) / SAMPLES_PER_LATENT
    whole = len(padding) == 1 and frames == int(frames)
    return holds(whole, "ambiguous"), {"padding": padding[0], "frames": frames}


def separated(audit: Audit) -> Result:
    """The line at Nyquist that a separation network leaves, and the padding that it removes."""
    systems = audit["clips.systems"]
    lines = {name: system["nyquist_line_db"]["median"] for name, system in systems.items()}
    kept = systems["baseline"]["trailing_zeros"]
    gone = all(systems[s]["trailing_zeros"] != kept for s in SUBMISSIONS)
    traced = min(lines[s] for s in SUBMISSIONS) > lines["baseline"] + 20
    return "holds_loosely" if traced and gone else "ambiguous", dict(lines)


def on_target(audit: Audit) -> Result:
    """Clips of both submissions at the target loudness."""
    n, on = _total(audit, "n"), _total(audit, "on_target")
    peaks = [audit[f"clips.systems.{s}.missed_peak_db"] for s in SUBMISSIONS]
    limit = to_db(RELEASED_PEAK_TARGET)
    at_limit = all(abs(p[end] - limit) < 0.01 for p in peaks if p for end in ("min", "max"))
    miss = max(audit[f"clips.systems.{s}.largest_miss_lu"] for s in SUBMISSIONS)
    stop = "all" if at_limit else "not all"
    return holds(on == n), {"n": n, "off": n - on, "miss": miss, "stop": stop}


def formats(paper: Paper, audit: Audit) -> Result:
    """Rates, channels and durations of all clips seen."""
    systems = audit["clips.systems"]
    found = sorted({form for system in systems.values() for form in system["formats"]})
    rate, seconds = (
        paper[f"hyper.backbone.{name}"] for name in ("sample_rate_hz", "clip_duration_s")
    )
    stated = f"{rate:.0f} Hz, 1 channel(s), {seconds:g} s"
    return holds(found == [stated]), {"clips": audit["clips.n"], "found": "; ".join(found)}
