"""The per-prompt scores of a condition, and the rows that tables make of them (Section IV)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from attm_companion.paper_numbers import paper_value
from attm_companion.study.arrays import Array
from attm_companion.study.results import Result
from attm_core.errors import InputError
from attm_core.evaluation.frechet import frechet_difference, frechet_interval
from attm_core.evaluation.statistics import Interval, mean_interval, paired_t_test
from attm_core.files import write_atomic
from attm_core.randomness import numpy_generator

N_FAD_RESAMPLES = 100
METRICS = ("fad", "clap", "reward")
PER_PROMPT = ("clap", "reward")
UNITS = {
    "fad": "FAD",
    "clap": "cosine",
    "reward": "reward",
    "ccs": "share of concepts",
    "quality": "quality",
    "utility": "utility",
    "level_dbfs": "dBFS",
    "clipped": "share of samples",
}
MEANS = tuple(UNITS)[1:]  # what a row shows beside FAD


@dataclass(frozen=True)
class Scores:
    """What one condition scored.

    Attributes:
        clap: CLAP score of each prompt (n,).
        reward: ranker reward of each prompt (n,), in the paper's units (calibrated).
        embeddings: evaluation-CLAP audio embedding of each prompt (n, P).
        vocals_db: level of the separated vocal stem relative to the clip (n,), in dB; NaN where it
            was not measured.
        level_dbfs: RMS level of each clip (n,).
        clipped: share of its samples at full scale (n,).
        ccs: share of the prompt's concepts that the judge hears in it (n,).
        quality: production quality as the oracle listener hears it (n,), the world's hidden truth.
        utility: what the clip is worth to the world's listeners, by the oracle's estimate (n,).
    """

    clap: Array
    reward: Array
    embeddings: Array
    vocals_db: Array
    level_dbfs: Array | None = None
    clipped: Array | None = None
    ccs: Array | None = None
    quality: Array | None = None
    utility: Array | None = None

    def __len__(self) -> int:
        return len(self.clap)

    def save(self, path: Path) -> Path:
        """Write all arrays to one ``.npz`` file, atomically."""
        known = {name: values for name, values in vars(self).items() if values is not None}
        return write_atomic(path, lambda part: np.savez(part, **known))

    @property
    def per_prompt(self) -> dict[str, Array]:
        """The measured scores that are one number per prompt (n,)."""
        columns = {name: v for name, v in vars(self).items() if v is not None and v.ndim == 1}
        return {name: v for name, v in columns.items() if np.isfinite(v).all()}

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing, not one of ours, or holds what no scores are: other
                shapes, other types, NaN where something is always measured.
        """
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                scores = cls(**{name: stored[name] for name in stored.files})
            scores._check()
        except (OSError, ValueError, TypeError, MemoryError, BadZipFile, zlib.error) as error:
            raise InputError(f"{path} holds no scores: {error}") from error
        return scores

    def _check(self) -> None:
        for name, values in vars(self).items():
            if values is not None:
                n_axes = 2 if name == "embeddings" else 1
                wrong = values.ndim != n_axes or len(values) != len(self) or not values.size
                if wrong or values.dtype.kind != "f":
                    raise ValueError(
                        f"{name} is {values.dtype} {values.shape} of {len(self)} clips"
                    )
                if name in (*PER_PROMPT, "embeddings") and not np.isfinite(values).all():
                    raise ValueError(f"{name} is not finite everywhere")


def fad_interval(generated: Array, reference: Array, seed: int = 0) -> Interval:
    """FAD of a set with a 95 % interval by bootstrap over its prompts.

    Args:
        generated: embeddings (n, P).
        reference: embeddings (m, P).
        seed: names the resampling stream.
    """
    rng = numpy_generator(seed, "fad-bootstrap")
    return frechet_interval(generated, reference, rng, n_resamples=N_FAD_RESAMPLES)


def fad_difference(before: Scores, after: Scores, reference: Array, seed: int = 0) -> Interval:
    """FAD of ``after`` minus FAD of ``before`` on the same prompts, with a 95 % interval."""
    rng, sets = numpy_generator(seed, "fad-difference"), (before.embeddings, after.embeddings)
    return frechet_difference(*sets, reference, rng, n_resamples=N_FAD_RESAMPLES)


def intervals(scores: Scores, reference: Array) -> dict[str, Interval]:
    """FAD-CLAP and the mean of every other score of a condition, with 95 % intervals."""
    known = scores.per_prompt
    means = {name: mean_interval(known[name]) for name in MEANS if name in known}
    return {"fad": fad_interval(scores.embeddings, reference), **means}


def add_row(
    result: Result,
    row: str,
    scores: Scores,
    reference: Array,
    paper: Mapping[str, float] | None = None,
    **facts: Any,
) -> None:
    """Add one row of Tables II or III to ``result``: every metric beside the paper's number.

    Args:
        result: where the values go.
        row: the row.
        scores: what the condition scored.
        reference: embeddings of the reference set (m, P).
        paper: the paper's numbers by metric, where it has the row; see `paper_row`.
        facts: ``s``, ``generation_seed``.
    """
    for metric, interval in intervals(scores, reference).items():
        known = {"n": len(scores), "paper": (paper or {}).get(metric), **facts}
        result.add_interval(row, metric, interval, UNITS[metric], **known)


def paper_row(key: str) -> dict[str, float]:
    """The paper's numbers of a row of Table II or III, by metric."""
    return {metric: paper_value(f"{key}.{metric}") for metric in METRICS}


def add_paired(
    result: Result,
    rows: tuple[str, str],
    scores: Mapping[str, Scores],
    paper: Mapping[str, float] | None = None,
    **facts: Any,
) -> None:
    """Add the paired differences of CLAP score and Reward, second row minus first, two-sided."""
    before, after = rows
    for metric in PER_PROMPT:
        test = paired_t_test(*(getattr(scores[row], metric) for row in rows))
        known = {"paper": paper and paper[metric], "verdict": direction_of(test.difference)}
        result.add_test(after, before, metric, test, UNITS[metric], **known, **facts)


def direction_of(difference: Interval) -> str:
    """What a two-sided 95 % interval says of a difference: ``higher``, ``lower`` or ``tied``.

    ``tied`` is absence of evidence at this n: the interval says how much may still hide in it.
    """
    if difference.low > 0:
        return "higher"
    return "lower" if difference.high < 0 else "tied"
