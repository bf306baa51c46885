"""Concept Coverage Score (Section I, [1]): the share of a prompt's concepts heard in its audio.

For a prompt with M concepts of which a judge hears K, the prompt's score is K/M, and CCS is the
mean over prompts. The challenge's judge is a large audio-language model; a judge here is anything
that meets ``ConceptJudge``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import check_wave, resample, to_mono
from attm_core.errors import AssetError, InputError
from attm_core.evaluation.statistics import Interval, Vector, mean_interval
from attm_core.protocols import ClapModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

QUESTION = "Does this music contain or express the following: {concept}? Answer yes or no."
YES, NO = ("Yes", "yes"), ("No", "no")


class ConceptJudge(Protocol):
    """Says which concepts are heard in one clip."""

    def hears(self, wave: Tensor, sample_rate_hz: int, concepts: Sequence[str]) -> list[bool]:
        """One answer a concept for audio (C, S)."""
        ...


@dataclass(frozen=True)
class ConceptCoverage:
    """Scores of one condition.

    Attributes:
        per_prompt: K/M of each prompt (n,), 0 to 1.
        mean: their mean with its 95 % t interval.
        heard: the concepts heard, by prompt id.
    """

    per_prompt: Vector
    mean: Interval
    heard: Mapping[str, tuple[str, ...]]

    def describe(self) -> str:
        """Mean, interval and number of prompts."""
        return f"CCS {self.mean.describe()}, n = {self.per_prompt.size}"


def check_concepts(concepts: Mapping[str, Sequence[str]]) -> None:
    """Check that there are two prompts or more and each has distinct, non-empty concepts.

    Raises:
        InputError: otherwise; the message names the prompt.
    """
    if len(concepts) < 2:
        raise InputError("CCS needs at least two prompts for its interval")
    for prompt_id, names in concepts.items():
        if not names or not all(name.strip() for name in names) or len(set(names)) != len(names):
            raise InputError(f"prompt {prompt_id!r} needs distinct, non-empty concepts: {names}")


def concept_coverage(
    clips: Mapping[str, Float[Tensor, "C S"]],
    concepts: Mapping[str, Sequence[str]],
    sample_rate_hz: int,
    judge: ConceptJudge,
) -> ConceptCoverage:
    """CCS of one condition.

    Args:
        clips: audio by prompt id.
        concepts: the concepts of each prompt by prompt id; the order of prompts is kept.
        sample_rate_hz: rate of the clips.
        judge: who listens.

    Raises:
        InputError: prompts without audio, without concepts, or fewer than two prompts.
    """
    check_concepts(concepts)
    if missing := sorted(set(concepts) - set(clips)):
        raise InputError(f"no audio for prompts {missing[:5]}")
    shares, heard = [], {}
    for prompt_id, names in concepts.items():
        answers = judge.hears(check_wave(clips[prompt_id]), sample_rate_hz, names)
        if len(answers) != len(names):
            raise InputError(f"the judge gave {len(answers)} answers to {len(names)} concepts")
        heard[prompt_id] = tuple(name for name, yes in zip(names, answers, strict=True) if yes)
        shares.append(len(heard[prompt_id]) / len(names))
    per_prompt = np.array(shares)
    return ConceptCoverage(per_prompt, mean_interval(per_prompt), heard)


@dataclass(frozen=True)
class ClapJudge:
    """A deterministic judge: a concept is heard if the audio is closer to it than to its foils.

    Attributes:
        clap: a text-audio model.
        foils: other concepts of the same vocabulary, at least two.
        template: how a concept becomes a caption.
        quantile: the concept must exceed this quantile of the foils' similarities.
    """

    clap: ClapModel
    foils: Sequence[str]
    template: str = "{concept}"
    quantile: float = 0.9

    def __post_init__(self) -> None:
        if len(self.foils) < 2 or not 0 <= self.quantile <= 1:
            raise InputError("a CLAP judge needs two foils or more and a quantile in [0, 1]")

    def hears(self, wave: Tensor, sample_rate_hz: int, concepts: Sequence[str]) -> list[bool]:
        """Whether each concept beats its foils; a concept is no foil of itself."""
        audio = self.clap.embed_audio(to_mono(wave), sample_rate_hz)[0]
        return [self._hears(audio, concept) for concept in concepts]

    def _hears(self, audio: Tensor, concept: str) -> bool:
        foils = [foil for foil in self.foils if foil != concept]
        texts = [self.template.format(concept=name) for name in (concept, *foils)]
        similarity = self.clap.embed_text(texts) @ audio
        threshold = similarity[1:].float().quantile(self.quantile)
        return bool(similarity[0] > threshold)


@dataclass(frozen=True)
class AudioLanguageJudge:
    """The challenge's kind of judge: an audio-language model asked yes or no about each concept.

    The answer is read from the logits of the first answer token, not sampled: the same clip gets
    the same answer.

    Attributes:
        model: a generative audio-language model of ``transformers`` (Qwen2-Audio's interface).
        processor: its processor.
        question: asked with ``{concept}`` filled in.
    """

    # PAPER-SILENT: the challenge's judge model, its prompt and how concepts are drawn from a
    # prompt are not stated; model and question are therefore arguments.
    model: PreTrainedModel
    processor: ProcessorMixin
    question: str = QUESTION

    @classmethod
    def load(cls, folder: Path) -> AudioLanguageJudge:
        """Load a local Qwen2-Audio folder; nothing is fetched and no code in it runs.

        Raises:
            AssetError: the folder is missing or is not such a model.
        """
        from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

        options = {"local_files_only": True, "trust_remote_code": False}
        if not Path(folder).is_dir():
            raise AssetError(f"{folder} does not exist; fetch Qwen/Qwen2-Audio-7B-Instruct there")
        try:
            processor = AutoProcessor.from_pretrained(folder, **options)
            model = Qwen2AudioForConditionalGeneration.from_pretrained(
                folder, use_safetensors=True, **options
            )
        except (OSError, ValueError, KeyError) as error:
            raise AssetError(f"{folder} holds no loadable Qwen2-Audio model: {error}") from error
        return cls(model.eval(), processor)

    def hears(self, wave: Tensor, sample_rate_hz: int, concepts: Sequence[str]) -> list[bool]:
        """Whether "yes" is likelier than "no" for each concept."""
        rate = int(self.processor.feature_extractor.sampling_rate)
        audio = resample(to_mono(wave), sample_rate_hz, rate)[0].numpy()
        return [self._margin(audio, rate, concept) > 0 for concept in concepts]

    @torch.no_grad()
    def _margin(self, audio: Any, rate: int, concept: str) -> float:
        """Log-odds of yes over no as the first token of the answer."""
        inputs = self.processor(
            text=self._prompt(concept), audio=[audio], sampling_rate=rate, return_tensors="pt"
        )
        logits = self.model(**inputs.to(self.model.device)).logits[0, -1].float()
        yes, no = (logits[self._tokens(words)].logsumexp(0) for words in (YES, NO))
        return float(yes - no)

    def _prompt(self, concept: str) -> str:
        question = self.question.format(concept=concept)
        content = [{"type": "audio", "audio_url": ""}, {"type": "text", "text": question}]
        turn = [{"role": "user", "content": content}]
        text: str = self.processor.apply_chat_template(
            turn, add_generation_prompt=True, tokenize=False
        )
        return text

    def _tokens(self, words: Sequence[str]) -> list[int]:
        tokenizer = self.processor.tokenizer
        encoded = [tokenizer.encode(word, add_special_tokens=False) for word in words]
        return sorted({ids[0] for ids in encoded})
