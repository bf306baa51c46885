"""A training stage that only says who took part, in a module that launched processes can import."""

import os
from pathlib import Path
from typing import Literal

import torch

from attm_companion.study.launch import launch_processes
from attm_companion.study.stage import Stage
from attm_core.files import write_json


class RankStage(Stage):
    kind: Literal["rank"] = "rank"
    value: int = 1
    fails: bool = False

    def run(self, folder: Path) -> None:
        launch_processes(self.train, self.launch, on_gpu=False)

    def train(self, accelerator) -> None:
        if self.fails:
            raise ValueError("the wires are crossed")
        index = 0 if accelerator is None else accelerator.process_index
        total = torch.ones(1)
        if accelerator is not None:
            total = accelerator.reduce(total, reduction="sum")
        said = {"uid": self.uid, "pid": os.getpid(), "value": self.value, "sum": int(total)}
        write_json(self.folder / f"rank{index}.json", said)
