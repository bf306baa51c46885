"""The paper's ranker, trained on the published votes where they are on this machine (III-C)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import torch

from attm_companion.study.frozen import QUALITY, WEIGHTS
from attm_companion.study.paper_frozen import LaionClapStage, PublishedMertStage
from attm_companion.study.profile import Votes
from attm_companion.study.stage import Stage
from attm_core.assets import asset_folder
from attm_core.audio import load_audio
from attm_core.files import load_tensors, save_tensors, write_json
from attm_core.randomness import torch_generator
from attm_core.ranker.reward_model import RewardModel
from attm_core.ranker.tunejury import TuneJuryHead, load_head, save_head

if TYPE_CHECKING:
    from attm_core.ranker.training import PairFeatures

# Source → its asset and the files in it that the source's reader takes.
VOTES = {
    "MusicArena": ("music_arena", ("battles.jsonl",)),
    "MusicPrefs": ("musicprefs", ("votes.jsonl",)),
    "AIME": ("aime", ("survey.jsonl", "tracks.jsonl")),
    "SongEval": ("songeval", ("metadata.jsonl",)),
}
HEARD_S = 10.0
TEXT_BATCH = 64


def votes_are_here() -> bool:
    """Whether the votes of all four sources are on this machine."""
    return all((asset_folder(name) / f).is_file() for name, files in VOTES.values() for f in files)


def read_votes(songeval_pairs: int) -> pd.DataFrame:
    """The votes that the released split lists name, with source, split and audio files."""
    from attm_core.data import preferences

    readers: dict[str, Callable[..., pd.DataFrame]] = {
        "MusicArena": preferences.read_music_arena,
        "MusicPrefs": preferences.read_musicprefs,
        "AIME": preferences.read_aime,
        "SongEval": partial(preferences.read_songeval, n_pairs=songeval_pairs),
    }
    parts = []
    for source, (name, files) in VOTES.items():
        votes = readers[source](*(asset_folder(name) / file for file in files))
        (lists,) = (asset_folder("released") / "tunejury" / "splits").glob(f"{source}-*.json")
        parts.append(preferences.assign_splits(votes, lists))
    return pd.concat(parts, ignore_index=True)


class VotedRankerStage(Stage):
    """TuneJury by the released recipe on the four published sources."""

    kind: Literal["voted_ranker"] = "voted_ranker"
    clap: LaionClapStage
    mert: PublishedMertStage
    votes: Votes
    seed: int

    @property
    def assets(self) -> tuple[str, ...]:
        """Votes with their audio, and the lists of splits."""
        return (*(name for name, _ in VOTES.values()), "released")

    def run(self, folder: Path) -> None:
        """Embed every recording, source by source, then train and report."""
        from attm_core.ranker.calibration import calibration_report
        from attm_core.ranker.training import train_ranker

        votes = read_votes(self.votes.songeval_pairs)
        pairs = self._pairs(votes)
        train, valid, test = (
            pairs[torch.from_numpy((votes["split"] == split).to_numpy().nonzero()[0])]
            for split in ("train", "valid", "test")
        )
        widths = (pairs.a.clap_audio.shape[1], pairs.a.mert.shape[1])
        generator = torch_generator(self.seed, "tunejury")
        head = TuneJuryHead(*widths, self.votes.hidden, generator=generator)
        train_ranker(head, train, valid, self.votes.training, self.seed)
        save_head(head, folder / WEIGHTS)
        with torch.no_grad():
            margin = (head.score(test.a) - head.score(test.b)).numpy()
        report = calibration_report(margin, votes.loc[votes["split"] == "test", "winner"])
        write_json(folder / QUALITY, {**asdict(report), "n_votes": len(test)})

    def _pairs(self, votes: pd.DataFrame) -> PairFeatures:
        from attm_companion.world.vote_features import gather_pairs

        sides = {}
        for source in VOTES:
            part = votes[votes["source"] == source]
            files = sorted({*part["a_audio"], *part["b_audio"]})
            self._embed(source, files)
            sides[source] = {file: row for row, file in enumerate(files)}
        known = {source: load_tensors(self._embedded(source)) for source in sides}
        clap, mert = ({s: both[name] for s, both in known.items()} for name in ("clap", "mert"))
        rows = {
            f"row_{side}": [sides[s][f] for s, f in zip(votes["source"], votes[audio], strict=True)]
            for side, audio in (("a", "a_audio"), ("b", "b_audio"))
        }
        placed = votes.assign(**rows, kind_a=votes["source"], kind_b=votes["source"])
        texts = [text for text in votes["prompt"].unique() if text]
        chunks = (texts[start : start + TEXT_BATCH] for start in range(0, len(texts), TEXT_BATCH))
        embedded = torch.cat([self.clap.model().embed_text(chunk) for chunk in chunks])
        prompts = dict(zip(texts, embedded, strict=True))
        return gather_pairs(placed, clap, mert, prompts)

    def _embed(self, source: str, files: list[str]) -> None:
        """Embeddings (n, P) and (n, M) of a source's recordings, unless they are there."""
        from attm_core.data.song_describer import centre

        path, root = self._embedded(source), asset_folder(VOTES[source][0])
        if path.is_file():
            return
        clap, mert, parts = self.clap.model(), self.mert.model(), []
        for file in files:
            wave, rate = load_audio(root / file)
            # PAPER-SILENT: which part of a long recording the ranker reads. The middle ten seconds,
            # as the CLAP model does.
            heard = centre(wave, min(wave.shape[1], round(HEARD_S * rate)))[None]
            parts.append((clap.embed_audio(heard, rate), mert.embed_audio(heard, rate)))
        columns = zip(("clap", "mert"), zip(*parts, strict=True), strict=True)
        save_tensors(path, {name: torch.cat(rows) for name, rows in columns})

    def _embedded(self, source: str) -> Path:
        return self.folder / f"embedded-{source}.safetensors"

    @cached_property
    def reward_model(self) -> RewardModel:
        """The trained head with its encoders; its own units are the paper's."""
        head = load_head(self.artefact(WEIGHTS))
        return RewardModel(self.clap.model(), self.mert.model(), [head])
