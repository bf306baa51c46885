"""Names and numbers of the paper that several parts share, each said once; imports nothing heavy.

The five heads of Table I are known as v1 to v5 and by what they do; a configuration takes the
second name, or ``"none"`` for the backbone without a head.
"""

from __future__ import annotations

from typing import Literal, get_args

HeadName = Literal[
    "none", "global_adaln", "input_add", "audio_prepend", "per_block_adaln", "text_prepend"
]
HEAD_NAMES: tuple[HeadName, ...] = get_args(HeadName)
HEADS: dict[str, HeadName] = {f"v{number}": HEAD_NAMES[number] for number in range(1, 6)}

SUBMITTED_FORWARD: HeadName = HEADS["v2"]  # Stage 3 and both submissions run in it
NULL_SCORE = 0.0  # ∅_s: the number, embedded as any other score, not a zero embedding
PROMPT_PREFIX = "high quality instrumental music, "  # Section III-E(a)
N_PASSES = 3  # Section III-E(b)
TARGET_LUFS = -16.5  # Section III-E(b)
CEILING_DBTP = -1.0  # Section III-E(b)
Variant = Literal["as_written", "as_released"]  # of the post-processing
PAPER_HIDDEN = (1024, 512, 256, 128)  # the ranker's layers, Section III-C
