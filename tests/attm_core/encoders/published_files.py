"""Tiny models of the real classes with random weights, written as the published files are."""

import json
import os
from collections import OrderedDict

import numpy as np
import torch

from attm_core.configuration import ClapArchitecture
from attm_core.randomness import torch_generator
from attm_core.weights import build

SMALL_T5 = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 3}
SMALL_MERT = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "conv_dim": [8] * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
SMALL_CLAP = ClapArchitecture("HTSAT-tiny", n_words=4 + 256 + 2, n_layers=1)
WORDS = ["▁a", "▁calm", "▁piano", "▁piece", "▁loud", "▁drums", "▁", *"abcdefghijklmnopqrstuvwxyz,."]


def redraw(module, name, scale=0.05):
    """Random weights from a named stream, buffers and norms left as they are."""
    generator = torch_generator(0, "published files", name)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, scale, generator=generator)
    return module.eval()


def write_t5_tokenizer(folder):
    """A unigram tokenizer with T5's special tokens in T5's files; its number of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["<pad>", "</s>", "<unk>"]
    pieces = [(word, 0.0 if word in special else -float(rank)) for rank, word in
              enumerate(special + WORDS)]  # fmt: skip
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(pieces)


def write_flan_t5(folder):
    """Encoder, decoder and head in one safetensors file; returns the whole model."""
    from transformers import T5Config, T5ForConditionalGeneration

    options = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    config = T5Config(vocab_size=write_t5_tokenizer(folder) + 4, **SMALL_T5, **options)
    model = redraw(build(lambda: T5ForConditionalGeneration(config)), "flan_t5")
    model.save_pretrained(folder)
    return model


def write_mert(folder):
    """MERT's files: HuBERT's weights under the old names of weight normalisation."""
    from transformers import HubertConfig, HubertModel

    options = {"do_stable_layer_norm": True, "feat_extract_norm": "group", "mask_time_prob": 0.075}
    sizes = SMALL_MERT | options
    model = redraw(build(lambda: HubertModel(HubertConfig(**sizes))), "mert", 0.3)
    old = {"original0": "weight_g", "original1": "weight_v"}
    weights = OrderedDict()
    for name, tensor in model.state_dict().items():
        head, _, last = name.rpartition(".parametrizations.weight.")
        weights[f"{head}.{old[last]}" if head else name] = tensor
    torch.save(weights, folder / "pytorch_model.bin")
    stated = sizes | {
        "model_type": "mert_model", "architectures": ["MERTModel"], "sample_rate": 24000,
        "auto_map": {"AutoModel": "modeling_MERT.MERTModel"}, "attention_relax": 32.0,
        "deepnorm": False, "feature_extractor_cqt": False, "feature_extractor_cqt_bins": 336,
        "feat_proj_layer_norm": True, "mask_channel_length": 10,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(stated))
    write_mert_processor(folder)
    return model


def write_mert_processor(folder, **changes):
    stated = {"do_normalize": False, "feature_size": 1, "sampling_rate": 24000}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated | changes))


def write_roberta_tokenizer(folder):
    """A byte-level BPE without merges but one, in RoBERTa's files; its number of words."""
    from transformers.models.roberta.tokenization_roberta import bytes_to_unicode

    words = ["<s>", "<pad>", "</s>", "<unk>", *bytes_to_unicode().values(), "th", "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\n")
    return len(words)


def clap_checkpoint(network):
    """What LAION's training script saves: prefixes, RoBERTa's old buffer, NumPy numbers."""
    weights = OrderedDict((f"module.{k}", v) for k, v in network.state_dict().items())
    weights["module.text_branch.embeddings.position_ids"] = torch.arange(514)[None]
    weight = next(network.parameters())
    moments = {"step": 3, "exp_avg": torch.zeros_like(weight)}
    optimizer = {"state": {0: moments}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    facts = {"epoch": 15, "name": "run", "top_score": np.float64(0.9014)}
    return {**facts, "state_dict": weights, "optimizer": optimizer}


def tiny_demucs(*sources, channels=2):
    """A small model of Demucs' first class, with weights that differ from call to call."""
    from demucs.demucs import Demucs

    size = {"channels": 4, "depth": 2, "dconv_attn": 9, "dconv_lstm": 9, "resample": False}
    with torch.random.fork_rng():
        return Demucs(list(sources), audio_channels=channels, samplerate=8000, segment=2, **size)


def write_demucs(path, *sources):
    """A package as demucs writes it; the published ones end in the first digits of their hash."""
    model = tiny_demucs(*sources or ("drums", "vocals"))
    args, kwargs = model._init_args_kwargs
    state = {name: value.half() for name, value in model.state_dict().items()}
    facts = {"training_args": {"epochs": 1}, "klass": model.__class__}
    torch.save({**facts, "args": args, "kwargs": kwargs, "state": state}, path)
    return path


class MakesFolder:
    """A pickle of this makes a folder when a loader runs its code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def write_audio_language_model(path, words):
    """A tiny Qwen2-Audio with random weights, saved the way the real one is."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = ["<unk>", "<pad>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "Yes", "yes"]
    vocabulary = {word: i for i, word in enumerate([*special, "No", "no", *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = {"unk_token": "<unk>", "pad_token": "<pad>", "additional_special_tokens": special[2:5]}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_input_names=["input_ids", "attention_mask"], **tokens
    )
    layers = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16}
    audio = {"d_model": 8, "num_mel_bins": 16, "max_source_positions": 1500, **layers}
    text = {
        "model_type": "qwen2", "vocab_size": len(vocabulary), "hidden_size": 16,
        "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }  # fmt: skip
    config = transformers.Qwen2AudioConfig(audio, text, audio_token_index=vocabulary["<|AUDIO|>"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.Qwen2AudioForConditionalGeneration(config)
    model.save_pretrained(path)
    extractor = transformers.WhisperFeatureExtractor(feature_size=16)
    transformers.Qwen2AudioProcessor(extractor, tokenizer).save_pretrained(path)
    return path
