"""The per-prompt scores of a condition, and the rows that tables make of them (Section IV)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from attm_companion.arrays import Array
from attm_companion.paper_numbers import paper_value
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
    """What one condition scored: a number per prompt, (n,), and the embeddings."""

    clap: Array
    reward: Array  # of the ranker, in the paper's units (calibrated)
    embeddings: Array  # evaluation CLAP of the audio (n, P)
    vocals_db: Array  # of the separated vocal stem relative to the clip; NaN: not measured
    level_dbfs: Array | None = None  # RMS
    clipped: Array | None = None  # share of the samples at full scale
    ccs: Array | None = None  # share of the prompt's concepts that the judge hears
    quality: Array | None = None  # as the oracle listener hears it, the world's hidden truth
    utility: Array | None = None  # to the world's listeners, by the oracle's estimate

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
    """FAD of embeddings (n, P) to (m, P), with a 95 % interval by bootstrap over the prompts."""
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
    """Add one row of Tables II or III: every metric, beside the paper's number (`paper_row`).

    ``reference`` are embeddings (m, P) of the reference set, ``facts`` are ``s`` and
    ``generation_seed``.
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
