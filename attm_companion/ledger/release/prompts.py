"""What the 100 prompts are: lengths, wording, and the vocabulary they use (Sections I and IV).

The Song Describer captions are free text by 142 listeners. The challenge's test prompts were
written by a language model from MTG-Jamendo tags, "A <mood> <genre> piece featuring …". Tags are
spelled without spaces in MTG-Jamendo, so a caption made from them may keep such a spelling.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from attm_companion.ledger.release.files import Release

# MTG-Jamendo tags that are written as two or more words in ordinary English.
JOINED_TAGS = frozenset(
    {
        "acousticguitar", "alternativerock", "bossanova", "clubdance", "dancepop", "darkambient",
        "deephouse", "drumandbass", "drummachine", "drumnbass", "easylistening",
        "electricguitar", "electricpiano", "electroacoustic", "electrohouse", "electropop",
        "eurodance", "folkrock", "hardrock", "heavymetal", "hiphop", "indiepop", "indierock",
        "instrumentalpop", "instrumentalrock", "jazzfunk", "newage", "newwave", "popfolk",
        "poprock", "postrock", "psychedelicrock", "punkrock", "singersongwriter", "slideguitar",
        "synthpop", "techhouse", "thrashmetal", "triphop", "worldfusion",
    }
)  # fmt: skip
OPENING = re.compile(
    r"^(An?|This)\s(.+?)\s(piece|track|song|tune|composition|melody|music)\b", re.IGNORECASE
)
LINKS = re.compile(
    r"\b(featur(es|ing|ed)|driven by|centered on|centered around|rooted in|evok(es|ing))\b"
)


def words_of(text: str) -> list[str]:
    """Lower-case words, hyphenated words in one piece."""
    return re.findall(r"[a-z0-9]+(?:[-'’][a-z0-9]+)*", text.lower())


def describe_prompts(prompts: Iterable[str]) -> dict[str, Any]:
    """Lengths and wording of a set of prompts; counts only."""
    texts = list(prompts)
    lengths = np.array([len(text.split()) for text in texts])
    bags = [set(words_of(text)) for text in texts]
    return {
        "n": len(texts),
        "words_mean": float(lengths.mean()),
        "opening_formula": sum(bool(OPENING.match(text)) for text in texts),
        "link_formula": sum(bool(LINKS.search(text.lower())) for text in texts),
        "joined_tags": sum(bool(bag & JOINED_TAGS) for bag in bags),
    }


def audit_prompts(release: Release) -> dict[str, Any]:
    """The prompts of the demo, and how many are the same in the ranker's "SDD-100" file."""
    prompts = release.prompts()
    ranker = {int(row["prompt_id"]): row["prompt"] for row in release.json("tunejury/sdd100.json")}
    same = sum(ranker.get(number) == text for number, text in prompts.items())
    return describe_prompts(prompts.values()) | {"same_as_ranker_file": same}
