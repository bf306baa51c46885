"""Concept Coverage Score (Section I, [1]): the share of a prompt's concepts heard in its audio.

For a prompt with M concepts of which a judge hears K, the prompt's score is K/M, and CCS is the
mean over prompts. The challenge's judge is a large audio-language model; a judge here is anything
that meets ``ConceptJudge``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import resample, to_mono
from attm_core.errors import AssetError, InputError
from attm_core.evaluation.statistics import Vector

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

_QUESTION = "Does this music contain or express the following: {concept}? Answer yes or no."
YES, NO = ("Yes", "yes"), ("No", "no")


class ConceptJudge(Protocol):
    """Says which concepts are heard in each clip."""

    def __call__(
        self, waves: Tensor, sample_rate_hz: int, concepts: Sequence[Sequence[str]]
    ) -> list[list[bool]]:
        """One answer per concept of each clip of waves (B, C, S)."""


def concept_coverage(
    waves: Float[Tensor, "B C S"],
    sample_rate_hz: int,
    concepts: Sequence[Sequence[str]],
    judge: ConceptJudge,
) -> Vector:
    """K/M of each clip (B,), 0 to 1; CCS is its mean.

    ``concepts`` are those of each prompt, distinct and not empty; ``judge`` listens.

    Raises:
        InputError: other numbers of clips, prompts or answers; a prompt without distinct concepts.
    """
    if waves.ndim != 3 or len(waves) != len(concepts):
        raise InputError(f"audio {tuple(waves.shape)} is not (B, C, S) of {len(concepts)} prompts")
    for number, names in enumerate(concepts):
        if not names or not all(name.strip() for name in names) or len(set(names)) != len(names):
            raise InputError(f"prompt {number} needs distinct, non-empty concepts: {list(names)}")
    answers = judge(waves, sample_rate_hz, concepts)
    if [len(heard) for heard in answers] != [len(names) for names in concepts]:
        raise InputError("the judge must give one answer per concept of each prompt")
    return np.array([float(np.mean(heard)) for heard in answers])


@dataclass(frozen=True)
class AudioLanguageJudge:
    """The challenge's kind of judge: an audio-language model asked yes or no about each concept.

    The answer is read from the logits of the first answer token, not sampled: the same clip gets
    the same answer. Model and processor have Qwen2-Audio's interface.
    """

    # PAPER-SILENT: the challenge's judge model, its prompt and how concepts are drawn from a
    # prompt are not stated; model and question are therefore arguments.
    model: PreTrainedModel
    processor: ProcessorMixin
    question: str = _QUESTION

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

    def __call__(
        self, waves: Tensor, sample_rate_hz: int, concepts: Sequence[Sequence[str]]
    ) -> list[list[bool]]:
        """Whether "yes" is likelier than "no" for each concept of each clip (B, C, S)."""
        rate = int(self.processor.feature_extractor.sampling_rate)
        mono = (resample(to_mono(wave), sample_rate_hz, rate)[0].numpy() for wave in waves)
        return [
            [self._margin(audio, rate, concept) > 0 for concept in names]
            for audio, names in zip(mono, concepts, strict=True)
        ]

    @torch.no_grad()
    def _margin(self, audio: Any, rate: int, concept: str) -> float:
        """Log-odds of yes over no as the first token of the answer."""
        question = self.question.format(concept=concept)
        content = [{"type": "audio", "audio_url": ""}, {"type": "text", "text": question}]
        text: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = self.processor(text=text, audio=[audio], sampling_rate=rate, return_tensors="pt")
        logits = self.model(**inputs.to(self.model.device)).logits[0, -1].float()
        encode = self.processor.tokenizer.encode
        first = [{encode(word, add_special_tokens=False)[0] for word in both} for both in (YES, NO)]
        yes, no = (logits[sorted(tokens)].logsumexp(0) for tokens in first)
        return float(yes - no)
