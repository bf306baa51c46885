"""One clip from its number.

Every draw comes from a stream named by the clip, so that clips can be made in any order, by any
number of processes, to the same samples.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attm_companion.arrays import Array
from attm_companion.world.arrangement import Arrangement, arrange
from attm_companion.world.captions import write_caption
from attm_companion.world.config import FULL_SCALE, CorpusConfig
from attm_companion.world.production import draw_faults, draw_level_dbfs, produce, quality_of, rms
from attm_companion.world.rendering import render
from attm_companion.world.sheet_music import Piece
from attm_core.randomness import numpy_generator

VOICE_LEVELS_DB = (-7.0, 3.0)  # of the voice against the instruments
CURATED_SPLIT = "reference"
INSTRUMENTAL_SPLITS = ("reference", "prompts")


@dataclass(frozen=True)
class ClipTask:
    """What a worker needs to make a clip; another ``attempt`` is another set of draws."""

    clip_id: int
    split: str
    piece_path: Path
    config: CorpusConfig
    attempt: int = 0


@dataclass(frozen=True)
class Clip:
    """A row of the table and its sound, int16 (3, S) in the order of `TRACKS`."""

    row: dict[str, Any]
    audio: NDArray[np.int16]


def make_clip(task: ClipTask) -> Clip:
    """Arrange, render, spoil and describe one clip; after ``RenderError`` try another attempt."""
    config, piece = task.config, load_piece(task.piece_path)

    def stream(name: str) -> np.random.Generator:
        return numpy_generator(config.seed, "clip", task.clip_id, task.attempt, name)

    may_sing = task.split not in INSTRUMENTAL_SPLITS
    has_voice = may_sing and bool(stream("voice").random() < config.voice_share)
    arrangement = arrange(piece, config.duration_s, has_voice, stream("arrangement"))
    voice_db = round(float(stream("voice level").uniform(*VOICE_LEVELS_DB)), 2)
    instrumental, vocals = _stems(arrangement, voice_db, config)
    severities = draw_faults(task.split == CURATED_SPLIT, stream("faults"))
    level_dbfs = draw_level_dbfs(arrangement.dynamics, stream("level"))
    produced = produce(
        instrumental, vocals, severities, (level_dbfs, config.sample_rate_hz), stream("production")
    )
    audio = np.stack([produced.mix, produced.instrumental, produced.vocals])
    caption = write_caption(piece, arrangement, stream("caption"))
    row = {
        "clip_id": task.clip_id,
        "piece_id": piece.piece_id,
        "split": task.split,
        "kind": piece.kind,
        "work_type": piece.work_type,
        "ensemble": arrangement.ensemble.name,
        "caption": caption.text,
        "tags": ", ".join(caption.tags),
        "tempo_bpm": arrangement.tempo_bpm,
        "tempo": arrangement.tempo,
        "key": caption.key,
        "mood": caption.mood,
        "dynamics": arrangement.dynamics,
        "has_voice": has_voice,
        "voice_level": voice_db if has_voice else float("nan"),
        "level_dbfs": round(20 * float(np.log10(rms(produced.mix))), 2),
        "quality": round(quality_of(severities), 6),
        **severities,
    }
    return Clip(row, np.rint(audio * FULL_SCALE).astype(np.int16))


def _stems(arrangement: Arrangement, voice_db: float, config: CorpusConfig) -> tuple[Array, Array]:
    """Clean instruments and clean voice, the voice at ``voice_db`` against the instruments."""
    size = (config.n_samples, config.sample_rate_hz)
    instrumental = render(arrangement.instruments, *size).astype(np.float64)
    level = rms(instrumental)
    if not arrangement.sung:
        return instrumental, np.zeros_like(instrumental)
    vocals = render(arrangement.sung, *size).astype(np.float64)
    return instrumental, vocals * level / rms(vocals) * 10 ** (voice_db / 20)


@lru_cache(maxsize=4)
def load_piece(path: Path) -> Piece:
    """Read a piece that `build_corpus` has put aside as JSON."""
    return Piece.from_plain(json.loads(path.read_text(encoding="utf-8")))
