from types import SimpleNamespace

import pytest
import torch
from published_files import write_audio_language_model

from attm_core.errors import AssetError, InputError
from attm_core.evaluation.concept_coverage import AudioLanguageJudge, concept_coverage

RATE = 16000
CONCEPTS = ["piano", "drums", "choir", "organ"]


def marked_judge(waves, rate, concepts):
    """Reads the number of concepts heard from the first sample."""
    return [
        [bool(i < wave[0, 0]) for i in range(len(names))]
        for wave, names in zip(waves, concepts, strict=True)
    ]


def marked(*values):
    return torch.tensor(values).view(-1, 1, 1).expand(-1, 1, 100)


def test_by_hand():
    # 1 of 2, 3 of 4 and 0 of 1.
    concepts = [CONCEPTS[:2], CONCEPTS, CONCEPTS[:1]]
    found = concept_coverage(marked(1.0, 3.0, 0.0), RATE, concepts, marked_judge)
    assert list(found) == [0.5, 0.75, 0.0]


@pytest.mark.parametrize(
    ("concepts", "message"),
    [
        ([["x"]], "of 1 prompts"),
        ([["x"], []], "prompt 1 needs distinct"),
        ([["x", "x"], ["y"]], "prompt 0 needs distinct"),
    ],
)
def test_bad_requests_are_refused(concepts, message):
    with pytest.raises(InputError, match=message):
        concept_coverage(marked(1.0, 1.0), RATE, concepts, marked_judge)
    with pytest.raises(InputError, match="one answer per concept"):
        concept_coverage(marked(1.0), RATE, [["x", "y"]], lambda *given: [[True]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_audio_language_model(tmp_path_factory.mktemp("judge"), CONCEPTS)


def test_language_judge_of_the_real_class(folder):
    judge = AudioLanguageJudge.load(folder)
    wave = torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))
    first = judge(wave[None], RATE, [CONCEPTS])
    assert [len(answers) for answers in first] == [4]
    assert judge(wave[None], RATE, [CONCEPTS]) == first
    quiet = 0.01 * wave[1].abs().numpy()  # audio and concept reach the answer
    asked = ((wave[0].numpy(), "piano"), (quiet, "piano"), (quiet, "drums"))
    assert len({judge._margin(audio, RATE, concept) for audio, concept in asked}) == 3


def test_language_judge_reads_yes_against_no(folder):
    judge = AudioLanguageJudge.load(folder)
    numbers = judge.processor.tokenizer.get_vocab()
    logits = torch.zeros(1, 2, len(numbers))
    for word, value in {"Yes": 3.0, "yes": 1.0, "No": 2.0, "no": 1.5, "piano": 9.0}.items():
        logits[0, -1, numbers[word]] = value
    judge.model.forward = lambda **given: SimpleNamespace(logits=logits)
    # log(e³ + e¹) − log(e² + e^1.5)
    expected = torch.tensor([3.0, 1.0]).logsumexp(0) - torch.tensor([2.0, 1.5]).logsumexp(0)
    assert judge._margin(torch.zeros(4).numpy(), RATE, "piano") == pytest.approx(expected.item())
    assert judge(torch.zeros(1, 1, 4), RATE, [["piano"]]) == [[True]]


def test_missing_model_says_what_to_fetch(tmp_path):
    with pytest.raises(AssetError, match="fetch Qwen/Qwen2-Audio"):
        AudioLanguageJudge.load(tmp_path / "none")
    with pytest.raises(AssetError, match="no loadable"):
        AudioLanguageJudge.load(tmp_path)
