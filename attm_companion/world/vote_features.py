"""The features of both clips of votes, as the ranker's training reads them (Section III-C)."""

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from attm_core.errors import InputError
from attm_core.ranker.training import PairFeatures
from attm_core.ranker.tunejury import ClipFeatures

TARGET_OF_WINNER = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}


def gather_pairs(
    votes: pd.DataFrame,
    clap_audio: Mapping[str, Tensor],
    mert: Mapping[str, Tensor],
    prompts: Mapping[str, Tensor],
) -> PairFeatures:
    """The features of each vote's two clips, of rows ``row_a kind_a row_b kind_b prompt winner``.

    Of each kind, such as ``"mix"``, are given the embeddings (clips, P) and (clips, M); of each
    prompt its CLAP text embedding (P,): ``""`` needs none (a vector of zeros).

    Raises:
        InputError: a prompt without embedding, or an unknown winner.
    """
    if missing := sorted(set(votes["prompt"]) - set(prompts) - {""}):
        raise InputError(f"{len(missing)} prompts have no embedding, the first {missing[0]!r}")
    if unknown := sorted(set(votes["winner"]) - set(TARGET_OF_WINNER)):
        raise InputError(f"winners must be model_a, model_b or tie, got {unknown}")
    target = torch.tensor([TARGET_OF_WINNER[winner] for winner in votes["winner"]])
    known = {**prompts, "": torch.zeros(next(iter(clap_audio.values())).shape[1])}
    text = torch.stack([known[prompt] for prompt in votes["prompt"]])

    def side(name: str) -> ClipFeatures:
        rows = zip(votes[f"kind_{name}"], votes[f"row_{name}"], strict=True)
        places = [(kind, int(row)) for kind, row in rows]
        clap, heard = (torch.stack([of[k][r] for k, r in places]) for of in (clap_audio, mert))
        return ClipFeatures(clap, heard, text)

    return PairFeatures(side("a"), side("b"), target)
