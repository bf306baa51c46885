"""Do captions name the instruments that an outside tagger hears?"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from torch import Tensor

# The tags of MTT that name an instrument, and the captions' words for it.
INSTRUMENTS = {
    "guitar": ("nylon guitar", "steel guitar", "electric guitar", "distorted guitar"),
    "strings": ("violin", "viola", "cello", "string orchestra"),
    "drums": ("drums",),
    "piano": ("piano",),
    "violin": ("violin", "fiddle"),
    "cello": ("cello",),
    "flute": ("flute", "pan flute"),
    "harpsichord": ("harpsichord",),
    "harp": ("harp",),
    "sitar": ("sitar",),
    "synth": ("synth lead", "synth pad", "synth bass"),
    "choir": ("choir", "voices"),
}
NOT_MEANT = re.compile("electric piano|without voices")


def instruments_named(caption: str) -> set[str]:
    """The tags of `INSTRUMENTS` that a caption of the corpus bears out."""
    text = NOT_MEANT.sub("", caption.lower())
    return {
        tag
        for tag, words in INSTRUMENTS.items()
        if any(re.search(rf"\b{word}\b", text) for word in words)
    }


def confirm(probabilities: Tensor, tags: Sequence[str], captions: Sequence[str]) -> pd.DataFrame:
    """Does the sound hold what the caption says? One row per instrument tag.

    ``probabilities`` are (n, 50), of MTT's ``tags`` in order.

    Returns:
        Clips that name it, the area under the ROC curve of its probability against all other
        clips (0.5 is chance), and its mean rank among the instruments that such a caption does
        not name (1 is best), each instrument's probability relative to its mean over all clips.
    """
    names = list(INSTRUMENTS)
    scores = probabilities[:, [tags.index(name) for name in names]].double().numpy()
    scores /= scores.mean(axis=0)
    named = np.array([[name in instruments_named(text) for name in names] for text in captions])
    rows = {}
    for i, name in enumerate(names):
        has = named[:, i]
        n, others = int(has.sum()), int((~has).sum())
        if min(n, others) == 0:
            continue
        ranks = rankdata(scores[:, i])[has].sum() - n * (n + 1) / 2
        better = (scores[has] > scores[has, i : i + 1]) & ~named[has]
        rows[name] = {"clips": n, "auc": ranks / (n * others), "rank": 1 + better.sum(1).mean()}
    return pd.DataFrame.from_dict(rows, orient="index")
