"""What the training seeds say, as sentences and tables to read.

A control has no verdict of the fifteen; here it gets one by the same rule, its p not adjusted.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attm_companion.book.tables import HtmlView, live, paragraph
from attm_companion.paper_numbers import paper_value
from attm_companion.study.results import Result
from attm_companion.tables.training_seeds import MECHANISMS, by_seed, conclude, contrast_of, halves
from attm_core.evaluation.statistics import ALPHA, mean_interval

METRICS = {"reward": "Reward", "clap": "CLAP score", "fad": "FAD-CLAP"}
AXES = {"reward": "Reward (ranker's scale)", "clap": "CLAP score (cosine)", "fad": "FAD-CLAP"}
ROWS = {
    "baseline": "baseline",
    "v1": "v1 after Stage 1",
    "control": "trained on, no samples",
    "random_64": "samples at random",
    "experts": "experts (best samples)",
    "experts_v2": "experts, v2 forward",
    "crpo": "CRPO",
    "crpo_x10": "CRPO, ten times the rate",
    "experts.sampling": "experts under the score they were sampled at",
    "experts.null": "experts without a score",
    "v1_v2": "v1, v2 forward",
    "v2_v1": "v2, v1 forward",
}
SHORT = {"crpo": "CRPO"}
AT = {"s0": "s = 0", "s2": "s = 2", "s5": "s = 5", "low": "s = −0.5", "high": "s = 1.5"}
STEP = (("control", "v1"), ("random_64", "control"), ("experts", "random_64"))
PARTS = {
    "control": "training on without samples",
    "random_64": "adding samples of its own, chosen at random",
    "experts": "choosing the best of them",
}


def named(row: str) -> str:
    """A condition in words; the published constants are said behind it."""
    base = row.removeprefix("published.")
    model, _, at = base.partition(".")
    words = f"{SHORT.get(model, model)} at {AT[at]}" if at in AT else ROWS.get(base, base)
    return words + (", paper's constants" if base != row else "")


def verdict_table(result: Result) -> pd.DataFrame:
    """For reading: what the training seeds say of each mechanism."""
    found = conclude(result).iloc[: len(MECHANISMS)]
    return pd.DataFrame(
        {
            "paper": found["paper"].map({1: "up", -1: "down", 0: "no change"}),
            "effect": found["effect"],
            "95 % over seeds": _intervals(found),
            "detectable": found["detectable"],
            "verdict": found["verdict"],
            "as the paper": _as_paper(found).map({True: "yes", False: "no"}),
            "seeds needed": found["seeds_needed"]
            .astype(object)
            .where(found["seeds_needed"].notna(), ""),
        }
    )


def contrast_table(result: Result, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """For reading: some contrasts in all metrics, with their intervals over seeds."""
    found = conclude(result)
    found["text"] = found["effect"].map("{:+.3f} ".format) + _intervals(found)
    wide = found.pivot(index=["row", "against"], columns="metric", values="text")
    lines = {
        f"{named(row)} − {named(against)}": wide.loc[(row, against), list(METRICS)]
        for row, against in pairs
        if (row, against) in wide.index
    }
    return pd.DataFrame.from_dict(lines, orient="index").rename(columns=METRICS)


def verdict_answer(result: Result) -> HtmlView:
    """How many mechanisms come out as the paper has them; which do not; which stay open."""
    found = conclude(result).iloc[: len(MECHANISMS)]
    agreed, open_ = _as_paper(found), found["verdict"].eq("undecided")
    text = f"<strong>Answer.</strong> Over {found['seeds'].max()} training seeds, {agreed.sum()} "
    text += f"of {len(found)} mechanisms come out as the paper has them (table below)."
    if len(others := found[~agreed & ~open_]):
        listed = (
            f"{name} ({line['verdict']}: {_live(result, *line[['row', 'against', 'metric']])})"
            for name, line in others.iterrows()
        )
        text += f" Not so: {'; '.join(listed)}."
    if open_.any():
        text += f" Undecided: {'; '.join(found.index[open_])}."
    return paragraph(text)


def halves_sentence(result: Result) -> HtmlView:
    """Where the verdicts of two halves of the seeds agree; how many seeds the open ones take."""
    both, found = halves(result), conclude(result).iloc[: len(MECHANISMS)]
    if "agree" not in both:
        return paragraph("There are fewer than four training seeds, so no halves to compare.")
    seeds = [f"{seed:.0f}" for seed in by_seed(result).index]
    half = len(seeds) // 2
    text = f"The first half (seeds {', '.join(seeds[:half])}) and the second "
    text += f"({', '.join(seeds[half:])}) agree about "
    text += f"{both['agree'].sum()} of {len(both)} mechanisms."
    differ = both.loc[~both["agree"], ["first half", "second half"]]
    clash = differ[(differ != "undecided").all(axis=1)]
    if len(clash):
        listed = (f"{name} ({', then '.join(line)})" for name, line in clash.iterrows())
        text += f" They contradict each other about {'; '.join(listed)}."
    elif len(differ):
        text += " Where they differ, one half leaves open what the other decides."
    needed = found["seeds_needed"].dropna()
    if len(more := needed[needed > len(seeds)]):
        listed = (f"{name}: {count}" for name, count in more.items())
        text += " To find an effect as large as the margin with a probability of 80 %, these would "
        text += f"take so many seeds: {'; '.join(listed)}."
    if len(rest := needed[needed <= len(seeds)]):
        text += f" Undecided although so many are enough for that: {'; '.join(rest.index)}; an "
        text += "effect here is about as small as the margin, or smaller."
    return paragraph(text)


SAMPLES = {
    "shows": "So the samples do it, not the lower rate alone.",
    "equivalent": "So training on without them does as well.",
    "opposite": "So training on without them does better.",
    "undecided": "So these seeds cannot tell the samples from the lower rate.",
}
CHOICE = {
    "shows": "adds {} in Reward.",
    "equivalent": "changes the Reward by less than the margin ({}).",
    "opposite": "takes {} in Reward.",
    "undecided": "is not seen to change the Reward ({}), nor seen not to.",
}
LABEL = {
    "shows": "raises the Reward",
    "opposite": "lowers the Reward",
    "equivalent": "leaves the Reward within the margin",
    "undecided": "does not clearly change the Reward",
}


def experts_answer(result: Result) -> HtmlView:
    """Whether Stage 2 gains by its experts, by samples as such, or by training on."""
    step, arm, choice = (
        _live(result, "experts", other, "reward") for other in ("v1", "control", "random_64")
    )
    return paragraph(
        f"<strong>Answer.</strong> Over {len(by_seed(result))} training seeds, Stage 2 changes the "
        f"Reward of v1 by {step}; its difference from training on at the same rates without "
        f"samples is {arm}. {SAMPLES[_said(result, 'experts', 'control', 'reward')]} Choosing the "
        "best of them, instead of samples at random, "
        + CHOICE[_said(result, "experts", "random_64", "reward")].format(choice)
        + _better(result)
        + _published(result)
    )


def _better(result: Result) -> str:
    """In which other metrics the chosen samples do better than those at random."""
    said = [
        f"{METRICS[metric]} ({_live(result, 'experts', 'random_64', metric)})"
        for metric, word in (("clap", "shows"), ("fad", "opposite"))
        if _said(result, "experts", "random_64", metric) == word
    ]
    return f" The chosen do better in {' and '.join(said)}." if said else ""


def _published(result: Result) -> str:
    """The same step read at the paper's constants, which need not agree."""
    pair = ("published.experts", "published.v1")
    word = _said(result, *pair, "reward")
    if not word:
        return ""
    text = f" Read at the paper's constants the step is {_live(result, *pair, 'reward')}"
    if {word, _said(result, "experts", "v1", "reward")} == {"shows", "opposite"}:
        return text + ", of the other sign: how a model is read decides what the stage seems to do."
    return text + "."


def _mean(result: Result, row: str, against: str, metric: str) -> str:
    return mean_interval(contrast_of(by_seed(result), row, against, metric)).describe()


def step_table(result: Result) -> pd.DataFrame:
    """Stage 2's step as a sum of three: one line per part and its mean and interval over seeds."""
    names = [*PARTS.values(), "all of Stage 2"]
    lines = [
        {METRICS[metric]: _mean(result, *pair, metric) for metric in METRICS}
        for pair in (*STEP, ("experts", "v1"))
    ]
    return pd.DataFrame(lines, index=names)


def consequence(result: Result) -> HtmlView:
    """What follows for the step from row 1 to row 2 of the paper's Table II, with care."""
    paper = paper_value("table2.row2.reward") - paper_value("table2.row1.reward")
    gains = {row: contrast_of(by_seed(result), row, other, "reward").mean() for row, other in STEP}
    largest = max(gains, key=lambda row: abs(gains[row]))
    reads = {
        "shows": "Here the step would be smaller without the samples, as the paper reads it.",
        "undecided": "Here the seeds do not tell, so they support neither reading of Table II.",
    }
    schedule = "Here the step does not need the samples: if that held at full size, too, the step "
    schedule += "of Table II would be one of the schedule."
    chosen = {"shows": "Choosing by Reward and CLAP score adds to what samples as such give."}
    unseen = "That the <em>best</em> samples are needed for Reward is not seen here."
    return paragraph(
        f"In Table II this step is {paper:+.3f} in Reward (the paper's, level C). Here the largest "
        f"of its three parts is {PARTS[largest]} ({gains[largest]:+.3f}). "
        f"{reads.get(_said(result, 'experts', 'control', 'reward'), schedule)} "
        f"{chosen.get(_said(result, 'experts', 'random_64', 'reward'), unseen)} Table II itself "
        "cannot tell the three apart, for it has no arm between its rows. It shows that the step "
        "helps; that the experts help is an assumption until an arm without samples and one with "
        "samples at random are run at full size."
    )


def crpo_sentence(result: Result) -> HtmlView:
    """What CRPO changes, and whether a change could have been seen: its positive control."""

    def moves(row: str) -> str:
        reward, clap = (_live(result, row, "experts_v2", metric) for metric in ("reward", "clap"))
        return f"moves the Reward by {reward} and the CLAP score by {clap}. "

    text = f"CRPO at the paper's rate {moves('crpo')}"
    said = {_said(result, "crpo_x10", "experts_v2", metric) for metric in ("reward", "clap")}
    if said == {""}:
        return paragraph(text + "Its positive control, at ten times the rate, has not been run.")
    text += f"At ten times the rate, the positive control, it {moves('crpo_x10')}"
    if said & {"shows", "opposite"}:
        text += "So the loss does move this model, and these seeds can see it: what is not seen at "
        text += "the paper's rate is small, not hidden."
    elif said == {"equivalent"}:
        text += "So even that changes less than the margins, and the paper's “no change” says "
        text += "nothing here about preference training: this stage is too short to move the model."
    else:
        text += "So these seeds do not see a change even where one is expected, and “no change” at "
        text += "the paper's rate cannot be concluded from them."
    return paragraph(text)


def label_sentence(result: Result) -> HtmlView:
    """What it does to train experts under another score than the paper's."""
    said = {row: _said(result, row, "experts", "reward") for row in ROWS if "experts." in row}
    parts = [
        f"training {named(row)} {LABEL[word]} ({_live(result, row, 'experts', 'reward')})"
        for row, word in said.items()
        if word
    ]
    text = "Against the paper's label, the Reward that the ranker gives, " + "; ".join(parts) + "."
    return paragraph(text if parts else "The two other labels have not been run.")


def _said(result: Result, row: str, against: str, metric: str) -> str:
    """The verdict of a contrast of which the paper says "up"; empty if it was not run."""
    found = conclude(result)
    place = (found["row"] == row) & (found["against"] == against) & (found["metric"] == metric)
    if not place.any():
        return ""
    line = found[place].iloc[0]
    if line["p_equivalence"] < ALPHA:
        return "equivalent"
    if line["p"] >= ALPHA:
        return "undecided"
    return "shows" if line["effect"] > 0 else "opposite"


def _as_paper(found: pd.DataFrame) -> pd.Series[bool]:
    wanted = found["paper"].map({1: "shows", -1: "shows", 0: "equivalent"})
    return found["verdict"].eq(wanted)


def _live(result: Result, row: str, against: str, metric: str) -> str:
    return live(result, result[f"{metric} of {row} against {against}"], "+.3f", level="B")


def _intervals(frame: pd.DataFrame) -> pd.Series[str]:
    ends = zip(frame["low"], frame["high"], strict=True)
    return pd.Series([f"[{low:+.3f}, {high:+.3f}]" for low, high in ends], frame.index)
