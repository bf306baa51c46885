"""A study whose conditions scored what the test says, so that every table's answer is known."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

from attm_companion.paper_numbers import load_paper
from attm_companion.study.chain import CrpoStage, Weights, first_stage
from attm_companion.study.condition_scores import Scores
from attm_companion.study.conditions import InferenceProtocol
from attm_companion.study.profile import Profile
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.randomness import numpy_generator

PRINTED = ("fad", "clap", "reward", "score_r", "delta_out")  # what the paper's tables have
N_PROMPTS = 60
WIDTH = 3


@dataclass(frozen=True)
class Asked:
    """What an experiment wanted generated, and scores that are known."""

    weights: Weights
    protocol: InferenceProtocol
    s: float | None
    forward: str
    drawn: Scores | None = None

    @property
    def stage(self) -> str:
        return self.weights.kind

    @property
    def head(self) -> str:
        return first_stage(self.weights).head

    def scores(self) -> Scores:
        return self.drawn


class KnownStudy(Study):
    """A study that generates nothing: ``draw`` says what each condition scored."""

    def __init__(self, draw: Callable[[Asked], Scores], profile: str | Profile = "smoke") -> None:
        super().__init__(profile)
        self.draw = draw
        self.anchor_scores: dict[str, Scores] = {}

    def condition(self, weights, protocol, s, forward=None):
        own = weights.forward if isinstance(weights, CrpoStage) else first_stage(weights).head
        asked = Asked(weights, protocol, s, forward or own)
        return replace(asked, drawn=self.draw(asked))

    def anchors(self, protocol=None):
        return SimpleNamespace(scores=lambda: self.anchor_scores)

    def reference(self, protocol):
        return cloud(0.0, "reference")

    def prompt_embeddings(self, protocol):
        return np.eye(N_PROMPTS)

    def result(self, experiment):
        origin = {"code_commit": "test"}
        return Result(experiment, self.profile.name, provenance=origin, training_seed=42)


def noise(name: str, scale: float = 1.0, n: int = N_PROMPTS) -> np.ndarray:
    """Noise of mean zero and known spread, the same for the same name."""
    drawn = numpy_generator(0, "known", name).standard_normal(n)
    return scale * (drawn - drawn.mean()) / drawn.std()


def cloud(shift: float, name: str = "cloud") -> np.ndarray:
    """Embeddings whose FAD to ``cloud(0, …)`` of the same name is ``shift`` squared."""
    points = numpy_generator(0, "known", name).standard_normal((N_PROMPTS, WIDTH))
    return points + np.eye(WIDTH)[0] * shift


def scores(clap=0.0, reward=0.0, shift=1.0, vocals_db=-30.0, embeddings=None) -> Scores:
    """Scores of all prompts: of a number for all of them, or a column with one for each."""
    fill = np.zeros(N_PROMPTS)
    points = cloud(shift, "reference") if embeddings is None else embeddings
    return Scores(fill + clap, fill + reward, points, fill + vocals_db)


def assert_paper_beside(result: Result, table: str, start: str = "") -> None:
    """Every number the paper prints in rows of a table stands beside ours, and no other does."""
    prefix = f"{table}.{start}"
    columns = (load_paper().column(table, metric).values() for metric in PRINTED)
    cells = [cell for column in columns for cell in column if cell.key.startswith(prefix)]
    shown = {
        f"{table}.{line.row}.{line.metric}": line.paper
        for line in result.values
        if line.row.startswith(start) and not line.against and line.paper is not None
        and line.generation_seed == result.values[0].generation_seed
    }  # fmt: skip
    assert shown == {cell.key: cell.value for cell in cells}
