#!/usr/bin/env python3
"""Random small networks of every kind, the official float64 answers, and `vl-jepa run` on them: head counts, widths, tubelets, windows, RoPE scalings, lengths and padding at random.

    python3 random_cases.py OUT [--seed 0] [--count 8] [--only vision|predictor|text]   from the repository's root
"""
import argparse, os, random, shutil, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from safetensors import safe_open
from transformers import Gemma3TextConfig, Gemma3TextModel, LlamaConfig, LlamaForCausalLM, VJEPA2Config, VJEPA2Model
from official import NAMES, STORAGE, Trace, additive_mask, compare, exact, run_engine, store, write_json

LIMIT = 1e-10


def build(kind, config_kind, config, storage):
    """The official network with every parameter moved off its first value, so that each matters."""
    model = kind(config_kind.from_dict(config)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_((torch.randn_like(p) * (0.3 if p.dim() == 1 else 1 / max(1, p[0].numel()) ** 0.5) + (p if p.dim() == 1 else 0)).to(STORAGE[storage]).float())
    return model


def save(folder, config, state, storage, prefix=""):
    write_json(f"{folder}/config.json", dict(config, torch_dtype=NAMES[storage]))
    store(f"{folder}/model.safetensors", {prefix + k: v.to(STORAGE[storage]) for k, v in state.items()}, {"format": "pt"})


def padding(r, rows, tokens, side):
    """Ones, and zeros at the end of rows, at their start, or anywhere; at least one position of each row is real."""
    mask = torch.ones(rows, tokens, dtype=torch.int64)
    for row in range(rows):
        n = r.randrange(tokens)
        if side == "right" and n: mask[row, tokens - n:] = 0
        if side == "left": mask[row, :n] = 0
        if side == "holes":
            mask[row] = torch.tensor([r.random() < 0.7 for _ in range(tokens)])
            mask[row, r.randrange(tokens)] = 1
    return mask


@torch.no_grad()
def vision(r, folder, storage):
    heads, dim, patch, tubelet = r.choice([1, 2, 3, 5, 8]), r.choice([6, 8, 12, 16, 20, 32, 48, 64, 80, 88]), r.choice([4, 8, 14, 16]), r.choice([1, 2, 2, 3, 4])
    config = dict(model_type="vjepa2", hidden_size=heads * dim, num_attention_heads=heads, num_hidden_layers=r.randint(1, 4), patch_size=patch, crop_size=patch * r.randint(1, 5), tubelet_size=tubelet,
                  mlp_ratio=r.choice([1, 2.5, 4, 48 / 11]), layer_norm_eps=r.choice([1e-6, 1e-5]), frames_per_clip=r.choice([4, 16, 64]), in_chans=3, qkv_bias=True, hidden_act="gelu", drop_path_rate=0.0,
                  attention_probs_dropout_prob=0.0, pred_hidden_size=24, pred_num_attention_heads=2, pred_num_hidden_layers=1, pred_num_mask_tokens=2)
    model = build(VJEPA2Model, VJEPA2Config, config, storage)
    save(folder, config, model.state_dict(), storage, r.choice(["", "vjepa2.", "model."]))
    frames = r.choice([1, tubelet, 2 * tubelet + 1, r.randint(1, 9)])
    pixels = torch.randn(r.randint(1, 3), frames, 3, config["crop_size"], config["crop_size"])
    store(f"{folder}/inputs.safetensors", {"pixel_values": pixels})
    encoder = exact(model.encoder)
    trace = Trace(encoder.layer, encoder.embeddings)
    y = encoder(pixels.double()).last_hidden_state
    store(f"{folder}/expected.safetensors", dict(trace.close(), last_hidden_state=y))
    return config, f"{list(pixels.shape)}", []


@torch.no_grad()
def predictor(r, folder, storage):
    groups, shared, dim, layers = r.choice([1, 2, 3]), r.choice([1, 2, 4, 5]), r.choice([2, 8, 16, 30, 64, 128]), r.randint(1, 5)
    original = r.choice([16, 64, 256])
    scaling = r.choice([None, dict(rope_type="llama3", factor=r.choice([8.0, 32.0]), low_freq_factor=1.0, high_freq_factor=r.choice([2.0, 4.0]), original_max_position_embeddings=original)])
    config = dict(model_type="llama", vocab_size=r.randint(20, 300), hidden_size=r.choice([groups * shared * dim, 36, 100]), intermediate_size=r.choice([7, 64, 130]), num_hidden_layers=layers,
                  num_attention_heads=groups * shared, num_key_value_heads=groups, head_dim=dim, hidden_act="silu", max_position_embeddings=4096, rms_norm_eps=r.choice([1e-5, 1e-6]), tie_word_embeddings=True,
                  rope_theta=r.choice([10000.0, 500000.0]), rope_scaling=scaling, attention_bias=False, mlp_bias=False)
    model = build(LlamaForCausalLM, LlamaConfig, config, storage)
    save(folder, config, {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}, storage)
    rows, tokens = r.randint(1, 3), r.choice([1, 2, 17, 63, 130, 3 * original + 5])          # the last is beyond the original length
    ids = r.random() < 0.5
    first, end = (0, layers) if ids else sorted(r.sample(range(layers + 1), 2))
    causal = ids or r.random() < 0.5
    mask = padding(r, rows, tokens, "right" if causal else r.choice(["right", "left", "holes"]))
    net = exact(model).model
    values = {"input_ids": torch.randint(0, config["vocab_size"], (rows, tokens))} if ids else {"inputs_embeds": torch.randn(rows, tokens, config["hidden_size"])}
    store(f"{folder}/inputs.safetensors", dict(values, attention_mask=mask))
    x = net.embed_tokens(values["input_ids"]) if ids else values["inputs_embeds"].double()
    out, position = {"embeddings": x}, net.rotary_emb(x, torch.arange(tokens)[None])
    for i in range(first, end):
        y = net.layers[i](x, attention_mask=additive_mask(mask, causal), position_embeddings=position, use_cache=False)
        out[f"layers.{i}"] = x = y[0] if isinstance(y, tuple) else y
    out["last_hidden_state"] = net.norm(x)
    if ids:
        out["logits"] = out["last_hidden_state"] @ net.embed_tokens.weight.T
    store(f"{folder}/expected.safetensors", out)
    return config, f"{rows}x{tokens} layers {first}:{end}{' causal' if causal else ''}{' logits' if ids else ''}", ["--layers", f"{first}:{end}"] + ["--causal"] * causal + ["--logits"] * ids


@torch.no_grad()
def text(r, folder, storage):
    groups, shared, dim, layers = r.choice([1, 2]), r.choice([1, 2, 3, 4]), r.choice([4, 16, 62, 256]), r.randint(1, 7)
    kinds = r.choice([None, [r.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]])
    config = dict(model_type="gemma3_text", vocab_size=r.randint(20, 300), hidden_size=r.choice([24, 48, 100]), intermediate_size=r.choice([9, 64, 130]), num_hidden_layers=layers,
                  num_attention_heads=groups * shared, num_key_value_heads=groups, head_dim=dim, hidden_activation="gelu_pytorch_tanh", max_position_embeddings=2048, rms_norm_eps=1e-6, rope_theta=1000000.0,
                  rope_local_base_freq=10000.0, attention_bias=False, query_pre_attn_scalar=r.choice([dim, 64, 256]), sliding_window=r.choice([2, 8, 12, 30, 512]), sliding_window_pattern=r.choice([2, 3, 6]),
                  use_bidirectional_attention=r.random() < 0.8, pad_token_id=0, eos_token_id=1, bos_token_id=2, tie_word_embeddings=True)
    if kinds: config["layer_types"] = kinds
    model = build(Gemma3TextModel, Gemma3TextConfig, config, storage)
    for kind in ("rope_scaling",): config[kind] = None
    save(folder, config, model.state_dict(), storage, r.choice(["", "model."]))
    rows, tokens = r.randint(1, 3), r.choice([1, 2, 9, 40, 65, 130])
    mask = padding(r, rows, tokens, "right")
    ids = torch.randint(3, config["vocab_size"], (rows, tokens)) * mask
    store(f"{folder}/inputs.safetensors", {"input_ids": ids, "attention_mask": mask})
    net = exact(model)
    net.set_attn_implementation("sdpa")                                          # softmax in the type of its input
    trace = Trace(net.layers, net.embed_tokens)
    y = net(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    m = mask.double()[..., None]
    e = (y * m).sum(1) / m.sum(1)
    store(f"{folder}/expected.safetensors", dict(trace.close(), last_hidden_state=y, sentence_embedding=e / e.norm(dim=-1, keepdim=True)))
    return config, f"{rows}x{tokens}", []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--only", choices=["vision", "predictor", "text"])
    parser.add_argument("--cli", default="dist/app/cli.js")
    args = parser.parse_args()
    bad, worst = 0, 0.0
    for kind in [globals()[args.only]] if args.only else [vision, predictor, text]:
        for n in range(args.count):
            r = random.Random(f"{kind.__name__} {args.seed + n}")
            torch.manual_seed(args.seed + n)
            folder, storage = f"{args.out}/{kind.__name__}-{args.seed + n}", r.choice(["f32", "f32", "bf16", "f16"])
            config, what, extra = kind(r, folder, storage)
            result = f"{folder}/result.safetensors"
            run_engine(kind.__name__, folder, f"{folder}/inputs.safetensors", result, dtype=r.choice(["f32", "stored"]), cli=args.cli, extra=extra)
            with safe_open(f"{folder}/inputs.safetensors", "pt") as f:
                mask = f.get_tensor("attention_mask").bool() if "attention_mask" in f.keys() else None
            rows, wrong = compare(f"{folder}/expected.safetensors", result, mask, LIMIT)
            most = max(error for _, error in rows)
            worst = max(worst, most)
            bad += wrong is not None
            print(f"{kind.__name__} {args.seed + n} {storage} {what}: {len(rows)} tensors, NMSE {most:.1e}" + (f"; FIRST WRONG: {wrong} {dict(rows)[wrong]:.1e} {config}" if wrong else ""), flush=True)
            if not wrong: shutil.rmtree(folder)
    print(f"worst NMSE {worst:.1e}, limit {LIMIT:.0e}, {bad} wrong")
    sys.exit(bad > 0)


main()
