"""An extraction that kills itself: ``killed_extraction.py AUDIO FOLDER AFTER WHERE``.

It dies at the ``AFTER``-th call of the codec (``WHERE`` codec), or in the middle of writing the
``AFTER``-th file (``WHERE`` file). 0 lets it live.
"""

import os
import signal
import sys
from pathlib import Path

import pandas as pd
from extraction_toys import CONFIG, ToyCodec, toy_cast

from attm_core.data.shards import extract

AUDIO, FOLDER, AFTER, WHERE = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
seen = 0


def count(where: str) -> None:
    global seen
    seen += where == WHERE
    if where == WHERE and seen == AFTER:
        os.kill(os.getpid(), signal.SIGKILL)


class Mortal(ToyCodec):
    def encode(self, waves):
        count("codec")
        return super().encode(waves)


def replace(source, target, plain=os.replace):
    count("file")
    plain(source, target)


if __name__ == "__main__":
    os.replace = replace
    table = pd.read_parquet(AUDIO / "windows.parquet")
    extract(table, AUDIO, toy_cast(codec=Mortal()), FOLDER, CONFIG)
