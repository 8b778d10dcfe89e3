#!/usr/bin/env python3
"""Sentence vectors of a small random EmbeddingGemma, made with sentence-transformers: prompts, limits, Matryoshka.

    python3 -m venv venv && venv/bin/pip install torch transformers sentence-transformers safetensors
    venv/bin/python test/reference/sentence.py test/golden/sentence

The folder is written by sentence-transformers itself, so its layout and its module names are those of that version.
Vectors are computed in float64 with the float32 weights that are stored (norms, RoPE and softmax of the official code drop to float32).
"""
import json, os, sys
import numpy as np
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.dense import Dense
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.base.modules.transformer import Transformer
from sentence_transformers.sentence_transformer.modules.pooling import Pooling
from transformers import Gemma3TextConfig, Gemma3TextModel

WIDTH, INNER, LIMIT = 32, 48, 40
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
PROMPTS = {"query": "task: search result | query: ", "document": "title: none | text: ", "STS": "task: sentence similarity | query: "}
TEXTS = ["a cat", "The quick brown fox jumps over the lazy dog, twice.", "x", "", "  spaces  around  ", "caf\u00e9 \u65e5\u672c \U0001f355", "a<eos>b", "line\nline"]


def tokenizer():
    """Gemma's kind: spaces as U+2581, bytes for what has no entry, begin and end token by the template (a config's add_eos_token counts for nothing beside a tokenizer.json)."""
    letters = ["\u2581"] + [chr(c) for c in range(33, 127)]
    merges = [("t", "h"), ("th", "e"), ("\u2581", "\u2581"), ("\u2581", "a"), ("e", "r"), ("i", "n"), ("o", "n"), ("\u2581", "the"), ("x", "t"), ("a", "s"), ("as", "k")]
    entries = SPECIAL + [f"<0x{b:02X}>" for b in range(256)] + letters + [a + b for a, b in merges]
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=i < 4) for i, t in enumerate(SPECIAL)]
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=dict(type="Replace", pattern=dict(String=" "), content="\u2581"),
                pre_tokenizer=dict(type="Split", pattern=dict(String=" "), behavior="MergedWithPrevious", invert=False),
                post_processor=dict(type="TemplateProcessing", single=[{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<eos>", "type_id": 0}}],
                                    pair=[{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                                    special_tokens={t: dict(id=t, ids=[SPECIAL.index(t)], tokens=[t]) for t in ("<bos>", "<eos>")}),
                decoder=dict(type="Sequence", decoders=[dict(type="Replace", pattern=dict(String="\u2581"), content=" "), dict(type="ByteFallback"), dict(type="Fuse")]),
                model=dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True, byte_fallback=True, ignore_merges=False,
                           vocab={t: i for i, t in enumerate(entries)}, merges=[list(m) for m in merges]))


def network(folder):
    rng = np.random.Generator(np.random.PCG64(17))
    with open(os.path.join(folder, "tokenizer.json"), "w") as f:
        json.dump(tokenizer(), f)
    settings = dict(tokenizer_class="GemmaTokenizer", bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>",
                    padding_side="right", model_max_length=2048, clean_up_tokenization_spaces=False)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump(settings, f)
    vocab = len(tokenizer()["model"]["vocab"])
    config = Gemma3TextConfig(hidden_size=WIDTH, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, vocab_size=vocab, query_pre_attn_scalar=16,
                              sliding_window=16, layer_types=["sliding_attention", "full_attention"], max_position_embeddings=2048, use_bidirectional_attention=True,
                              pad_token_id=0, eos_token_id=1, bos_token_id=2)
    model = Gemma3TextModel(config)
    state = {}
    for name, p in model.named_parameters():
        scale = 0.2 if p.ndim == 1 or "embed" in name else 1 / np.sqrt(p.shape[1])
        state[name] = torch.from_numpy(rng.standard_normal(tuple(p.shape), dtype=np.float32) * np.float32(scale))
    model.load_state_dict(state, strict=False)
    model.save_pretrained(folder)
    return rng


def main(out):
    source = out + ".parts"
    os.makedirs(source, exist_ok=True)
    rng = network(source)
    weight = lambda rows, columns: torch.from_numpy(rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(np.sqrt(columns)))
    dense = lambda i, o: Dense(i, o, bias=False, activation_function=torch.nn.Identity(), init_weight=weight(o, i))
    modules = [Transformer(source, max_seq_length=LIMIT), Pooling(WIDTH, "mean"), dense(WIDTH, INNER), dense(INNER, WIDTH), Normalize()]
    SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save_pretrained(out, create_model_card=False)

    model = SentenceTransformer(out, device="cpu")
    ids = model.preprocess(TEXTS)
    model = model.double()
    vectors = lambda call, **options: torch.from_numpy(np.asarray(call(TEXTS, convert_to_numpy=True, batch_size=3, **options), dtype=np.float32))
    save_file({
        "input_ids": ids["input_ids"].to(torch.int32).contiguous(), "attention_mask": ids["attention_mask"].to(torch.int32).contiguous(),
        "plain": vectors(model.encode), "query": vectors(model.encode_query), "document": vectors(model.encode_document), "sts": vectors(model.encode, prompt_name="STS"),
        "prompt": vectors(model.encode, prompt="note: "),
        "query_12": vectors(model.encode_query, truncate_dim=12, normalize_embeddings=True),
    }, os.path.join(out, "expected.safetensors"))
    with open(os.path.join(out, "texts.json"), "w") as f:
        json.dump(TEXTS, f)
    for root, _, files in os.walk(source):
        for name in files:
            os.remove(os.path.join(root, name))
    os.rmdir(source)


main(sys.argv[1].rstrip("/"))
