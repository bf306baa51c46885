"""A training run that kills itself with SIGKILL at a step: ``killed_run.py FOLDER STEP``."""

import os
import signal
import sys
from pathlib import Path

from training_toys import tiny_model, tiny_set, tiny_train

from attm_core.training.loop import fit
from attm_core.training.run import Run
from attm_core.training.sft import SFTObjective


class Killed(SFTObjective):
    """The SFT objective, until the step given on the command line."""

    def draw(self, step: int):
        if step == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().draw(step)


if __name__ == "__main__":
    model, clips, train = tiny_model(), tiny_set(), tiny_train()
    model.set_latent_statistics(*clips.statistics())
    objective, weight = Killed(model, clips, train), model.t_embed.mlp[0].weight
    fit(model, objective, train, Run(Path(sys.argv[1])), validate=lambda: float(weight.sum()))
