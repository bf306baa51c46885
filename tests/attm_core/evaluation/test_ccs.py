from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from attm_core.errors import AssetError, InputError
from attm_core.evaluation.ccs import AudioLanguageJudge, ClapJudge, concept_coverage

RATE = 16000
CONCEPTS = ["piano", "drums", "choir", "organ"]


class Marked:
    """A judge that reads the number of concepts heard from the first sample."""

    def hears(self, wave: Tensor, sample_rate_hz: int, concepts: Sequence[str]) -> list[bool]:
        return [i < wave[0, 0] for i in range(len(concepts))]


def marked(value: float) -> Tensor:
    return torch.full((1, 100), value)


def test_by_hand() -> None:
    # 1 of 2, 3 of 4 and 0 of 1: mean of 0.5, 0.75, 0.
    clips = {"a": marked(1), "b": marked(3), "c": marked(0)}
    concepts = {"a": CONCEPTS[:2], "b": CONCEPTS, "c": CONCEPTS[:1]}
    result = concept_coverage(clips, concepts, RATE, Marked())
    assert list(result.per_prompt) == [0.5, 0.75, 0.0]
    assert result.mean.estimate == pytest.approx(1.25 / 3)
    assert result.heard["b"] == ("piano", "drums", "choir")
    assert result.describe().startswith("CCS 0.417")


@pytest.mark.parametrize(
    ("clips", "concepts", "message"),
    [
        ({"a": marked(1)}, {"a": ["x"]}, "two prompts"),
        ({"a": marked(1)}, {"a": ["x"], "b": ["y"]}, r"no audio for prompts \['b'\]"),
        ({"a": marked(1), "b": marked(1)}, {"a": [], "b": ["y"]}, "'a' needs distinct"),
        ({"a": marked(1), "b": marked(1)}, {"a": ["y", "y"], "b": ["y"]}, "'a' needs distinct"),
        ({"a": torch.zeros(1, 0), "b": marked(1)}, {"a": ["x"], "b": ["y"]}, "no samples"),
    ],
)
def test_bad_requests_are_refused(clips: dict, concepts: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        concept_coverage(clips, concepts, RATE, Marked())


class OneHotClap:
    """Text "k" is axis k; audio is embedded as its first samples, normalised."""

    width = 4

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return torch.eye(4)[[CONCEPTS.index(text) for text in texts]]

    def embed_audio(self, waves: Tensor, sample_rate_hz: int) -> Tensor:
        return torch.nn.functional.normalize(waves[:, :4], dim=1)


def test_clap_judge_compares_with_foils() -> None:
    judge = ClapJudge(OneHotClap(), CONCEPTS, quantile=1.0)
    assert judge.hears(torch.tensor([[0.1, 0.9, 0.2, 0.0]]), RATE, CONCEPTS) == [
        False,
        True,
        False,
        False,
    ]
    looser = ClapJudge(OneHotClap(), CONCEPTS, quantile=0.5)
    assert looser.hears(torch.tensor([[0.1, 0.9, 0.2, 0.0]]), RATE, CONCEPTS) == [
        False,
        True,
        True,
        False,
    ]


def test_clap_judge_mixes_stereo_down() -> None:
    judge = ClapJudge(OneHotClap(), CONCEPTS, quantile=1.0)
    stereo = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.9]])
    assert judge.hears(stereo, RATE, ["piano", "organ"]) == [True, False]


def test_clap_judge_needs_foils() -> None:
    with pytest.raises(InputError, match="two foils"):
        ClapJudge(OneHotClap(), ["piano"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2-Audio with random weights, saved the way the real one is."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    words = ["<unk>", "<pad>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "Yes", "yes"]
    vocabulary = {word: i for i, word in enumerate([*words, "No", "no", *CONCEPTS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=words[2:5],
        model_input_names=["input_ids", "attention_mask"],
    )
    layers = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16}
    audio = {"d_model": 8, "num_mel_bins": 16, "max_source_positions": 1500, **layers}
    text = {
        "model_type": "qwen2",
        "vocab_size": len(vocabulary),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    config = Qwen2AudioConfig(audio, text, audio_token_index=vocabulary["<|AUDIO|>"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2AudioForConditionalGeneration(config)
    path = tmp_path_factory.mktemp("judge")
    model.save_pretrained(path)
    Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=16), tokenizer).save_pretrained(path)
    return path


def test_language_judge_of_the_real_class(folder: Path) -> None:
    judge = AudioLanguageJudge.load(folder)
    wave = torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))
    first = judge.hears(wave, RATE, CONCEPTS)
    assert len(first) == 4
    assert judge.hears(wave, RATE, CONCEPTS) == first
    low, high = (
        judge._margin(audio.numpy(), RATE, "piano") for audio in (wave[0], 0.01 * wave[1].abs())
    )
    assert low != high  # the audio reaches the answer


def test_language_judge_reads_yes_against_no() -> None:
    logits = torch.zeros(1, 2, 6)
    logits[0, -1] = torch.tensor([0.0, 3.0, 1.0, 2.0, 1.5, 9.0])
    ids = {"Yes": [1], "yes": [2], "No": [3], "no": [4]}

    class Inputs(dict):
        def to(self, device: str) -> "Inputs":
            return self

    class Processor:
        feature_extractor = SimpleNamespace(sampling_rate=RATE)
        tokenizer = SimpleNamespace(encode=lambda word, add_special_tokens: ids[word])

        def __call__(self, **given: object) -> Inputs:
            assert given["text"] == "chat: piano"
            return Inputs()

        def apply_chat_template(self, turn: list, **options: object) -> str:
            return f"chat: {turn[0]['content'][1]['text']}"

    class Model:
        device = "cpu"

        def __call__(self) -> SimpleNamespace:
            return SimpleNamespace(logits=logits)

    judge = AudioLanguageJudge(Model(), Processor(), "{concept}")
    # log(e³ + e¹) − log(e² + e^1.5)
    expected = torch.tensor([3.0, 1.0]).logsumexp(0) - torch.tensor([2.0, 1.5]).logsumexp(0)
    assert judge._margin(torch.zeros(4).numpy(), RATE, "piano") == pytest.approx(expected.item())
    assert judge.hears(torch.zeros(1, 4), RATE, ["piano"]) == [True]


def test_missing_model_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="fetch Qwen/Qwen2-Audio"):
        AudioLanguageJudge.load(tmp_path / "none")
    with pytest.raises(AssetError, match="no loadable"):
        AudioLanguageJudge.load(tmp_path)
