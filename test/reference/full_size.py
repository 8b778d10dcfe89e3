#!/usr/bin/env python3
"""Full-size networks with random weights as real Hugging Face folders, the official answers layer by layer, and our answers beside them.

    python3 full_size.py make OUT [CASE ...]                 folders, inputs and expected values
    python3 full_size.py check OUT [CASE ...] [--dtype f32] [--limits default] [--json FILE]   runs `vl-jepa run` from the repository's root and compares

Weights come from the official initialisers (transformers' post_init), then norms and biases are moved off 1 and 0 so that each of them matters.
Cases: vit-l (16 frames, 2,048 tokens), vit-l-2 (2 frames, for the other dtypes), vit-l-bf16 (the same weights stored packed), vit-h, vit-g, vit-g-384 (real widths, 2 layers), llama-8 (layers 8..15 of a Llama-3.2-1B,
300 tokens, both directions), llama-16 (all layers, causal, ids in, logits out), gemma (EmbeddingGemma, 512 tokens, and 300 with padding).
"""
import argparse, json, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from safetensors import safe_open
from transformers import Gemma3TextConfig, Gemma3TextModel, LlamaConfig, LlamaForCausalLM, VJEPA2Config, VJEPA2Model
from official import F64, NAMES, STORAGE, Trace, additive_mask, compare, exact, run_engine, store, write_json

VIT_L = dict(model_type="vjepa2", architectures=["VJEPA2Model"], patch_size=16, crop_size=256, frames_per_clip=64, tubelet_size=2, hidden_size=1024, in_chans=3, num_attention_heads=16,
             num_hidden_layers=24, drop_path_rate=0.0, mlp_ratio=4, layer_norm_eps=1e-6, qkv_bias=True, attention_probs_dropout_prob=0.0, hidden_act="gelu", initializer_range=0.02,
             attention_dropout=0.0, num_pooler_layers=3, pred_hidden_size=384, pred_num_attention_heads=12, pred_num_hidden_layers=12, pred_num_mask_tokens=10,
             pred_zero_init_mask_tokens=True, pred_mlp_ratio=4, image_size=256)
VISION = {
    "vit-l": (VIT_L, 16, "f32"), "vit-l-2": (VIT_L, 2, "f32"), "vit-l-bf16": (VIT_L, 2, "bf16"), "vit-l-f16": (VIT_L, 2, "f16"),
    "vit-h": (dict(VIT_L, hidden_size=1280, num_attention_heads=16, num_hidden_layers=2), 2, "f32"),
    "vit-g": (dict(VIT_L, hidden_size=1408, num_attention_heads=22, num_hidden_layers=2, mlp_ratio=48 / 11), 2, "f32"),
    "vit-g-384": (dict(VIT_L, hidden_size=1408, num_attention_heads=22, num_hidden_layers=2, mlp_ratio=48 / 11, crop_size=384, image_size=384), 2, "f32"),
}
LLAMA = dict(model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
             num_key_value_heads=8, head_dim=64, hidden_act="silu", max_position_embeddings=131072, initializer_range=0.02, rms_norm_eps=1e-5, use_cache=True, tie_word_embeddings=True,
             rope_theta=500000.0, rope_scaling=dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
             attention_bias=False, attention_dropout=0.0, mlp_bias=False, pretraining_tp=1, bos_token_id=128000, eos_token_id=128001)
GEMMA = dict(model_type="gemma3_text", architectures=["Gemma3TextModel"], vocab_size=262144, hidden_size=768, intermediate_size=1152, num_hidden_layers=24, num_attention_heads=3,
             num_key_value_heads=1, head_dim=256, hidden_activation="gelu_pytorch_tanh", max_position_embeddings=2048, initializer_range=0.02, rms_norm_eps=1e-6, use_cache=True,
             rope_theta=1000000.0, rope_local_base_freq=10000.0, rope_scaling=None, attention_bias=False, attention_dropout=0.0, query_pre_attn_scalar=256, sliding_window=512,
             layer_types=["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(24)], final_logit_softcapping=None, attn_logit_softcapping=None,
             use_bidirectional_attention=True, pad_token_id=0, eos_token_id=1, bos_token_id=2)


def build(kind, config_kind, config, storage, seed):
    """The official network with the official first weights, rounded to the stored type."""
    torch.manual_seed(seed)
    model = kind(config_kind.from_dict(json.loads(json.dumps(config))))
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:
                p.add_(torch.randn_like(p) * 0.05)
            p.copy_(p.to(STORAGE[storage]).float())
    return model.eval()


def save(folder, config, state, storage):
    write_json(f"{folder}/config.json", dict(config, torch_dtype=NAMES[storage]))
    store(f"{folder}/model.safetensors", {k: v.to(STORAGE[storage]) for k, v in state.items()}, {"format": "pt"})


@torch.no_grad()
def make_vision(out, name):
    config, frames, storage = VISION[name]
    model = build(VJEPA2Model, VJEPA2Config, config, storage, 1)
    save(f"{out}/{name}", config, model.state_dict(), storage)
    model.predictor = None                                                    # the V-JEPA predictor is in the file and not computed
    pixels = torch.randn(1, frames, 3, config["crop_size"], config["crop_size"])
    store(f"{out}/{name}/inputs.safetensors", {"pixel_values": pixels})
    model.encoder = exact(model.encoder)
    trace = Trace(model.encoder.layer, model.encoder.embeddings)
    y = model.encoder(pixels.double()).last_hidden_state
    store(f"{out}/{name}/expected.safetensors", dict(trace.close(), last_hidden_state=y))


@torch.no_grad()
def make_llama(out, name):
    folder = f"{out}/llama"
    model = build(LlamaForCausalLM, LlamaConfig, LLAMA, "bf16", 2)
    if not os.path.exists(f"{folder}/model.safetensors"):
        save(folder, LLAMA, {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}, "bf16")
    torch.manual_seed(3)
    tokens = 300 if name == "llama-8" else 64
    embeds = torch.randn(1, tokens, 2048) * 0.7
    ids = torch.randint(0, 128000, (1, tokens), dtype=torch.int32)
    first = 8 if name == "llama-8" else 0
    layers, norm, rotary, table = list(model.model.layers)[first:], exact(model.model.norm), exact(model.model.rotary_emb), model.model.embed_tokens.weight
    del model                                                                  # in float64 one layer at a time: 1.2 billion numbers are 10 GB
    start = embeds.double() if name == "llama-8" else table[ids.long()].double()
    position = rotary(start, torch.arange(tokens)[None])
    runs = {f"{name}{'-causal' if causal and name == 'llama-8' else ''}": dict(x=start, mask=additive_mask(torch.ones(1, tokens), causal), values={}) for causal in ((False, True) if name == "llama-8" else (True,))}
    for i in range(len(layers)):
        layer, layers[i] = exact(layers[i]), None
        for run in runs.values():
            y = layer(run["x"], attention_mask=run["mask"], position_embeddings=position, use_cache=False)
            run["x"] = y[0] if isinstance(y, tuple) else y
            run["values"][f"layers.{first + i}"] = run["x"]
    for target, run in runs.items():
        run["values"]["last_hidden_state"] = y = norm(run["x"])
        if name == "llama-16":
            run["values"]["logits"] = torch.cat([y @ rows.double().T for rows in table.split(8192)], -1)
        store(f"{out}/{target}/expected.safetensors", run["values"])
        store(f"{out}/{target}/inputs.safetensors", {"inputs_embeds": embeds} if name == "llama-8" else {"input_ids": ids})


@torch.no_grad()
def make_gemma(out, name):
    folder = f"{out}/{name}"
    model = build(Gemma3TextModel, Gemma3TextConfig, GEMMA, "f32", 4)
    model.embed_tokens.weight[0] = torch.randn(768) * 0.02                      # the initialiser leaves the pad row zero
    save(folder, GEMMA, model.state_dict(), "f32")
    dense = [torch.randn(3072, 768) / 768 ** 0.5, torch.randn(768, 3072) / 3072 ** 0.5]
    base = "sentence_transformers.models."
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Dense", "Dense"), ("4_Normalize", "Normalize")]
    write_json(f"{folder}/modules.json", [dict(idx=i, name=str(i), path=path, type=base + kind) for i, (path, kind) in enumerate(kinds)])
    write_json(f"{folder}/1_Pooling/config.json", dict(word_embedding_dimension=768, pooling_mode_cls_token=False, pooling_mode_mean_tokens=True, pooling_mode_max_tokens=False,
                                                       pooling_mode_mean_sqrt_len_tokens=False, pooling_mode_weightedmean_tokens=False, pooling_mode_lasttoken=False, include_prompt=True))
    for i, w in enumerate(dense):
        write_json(f"{folder}/{i + 2}_Dense/config.json", dict(in_features=w.shape[1], out_features=w.shape[0], bias=False, activation_function="torch.nn.modules.linear.Identity"))
        store(f"{folder}/{i + 2}_Dense/model.safetensors", {"linear.weight": w}, {"format": "pt"})
    mask = torch.ones(2, 512, dtype=torch.int32)
    mask[1, 300:] = 0
    ids = torch.randint(3, 262144, (2, 512), dtype=torch.int32) * mask
    store(f"{folder}/inputs.safetensors", {"input_ids": ids, "attention_mask": mask})
    net = exact(model)
    trace = Trace(net.layers, net.embed_tokens)
    y = net(input_ids=ids.long(), attention_mask=mask.long(), use_cache=False).last_hidden_state
    m = mask.double()[..., None]
    e = (y * m).sum(1) / m.sum(1)
    for w in dense:
        e = e @ w.double().T
    store(f"{folder}/expected.safetensors", dict(trace.close(), last_hidden_state=y, sentence_embedding=e / e.norm(dim=-1, keepdim=True)))


MAKE = {**{name: make_vision for name in VISION}, "llama-8": make_llama, "llama-16": make_llama, "gemma": make_gemma}
# case -> network, folder, what `vl-jepa run` is told besides
CHECK = {
    **{name: ("vision", name, []) for name in VISION},
    "llama-8": ("predictor", "llama", ["--layers", "8:16"]), "llama-8-causal": ("predictor", "llama", ["--layers", "8:16", "--causal"]),
    "llama-16": ("predictor", "llama", ["--causal", "--logits"]), "gemma": ("text", "gemma", []),
}
LIMIT = {"f32": 1e-10, "stored": 1e-10, "f16": 1e-6, "bf16": 1e-4, "int8": 1e-3}


def check(out, name, dtype, limits, cli):
    network, folder, extra = CHECK[name]
    result = f"{out}/{name}/result.safetensors"
    seconds, peak = run_engine(network, f"{out}/{folder}", f"{out}/{name}/inputs.safetensors", result, dtype=dtype, cli=cli, extra=extra, env={"VL_JEPA_LIMITS": limits})
    with safe_open(f"{out}/{name}/inputs.safetensors", "pt") as f:
        mask = f.get_tensor("attention_mask").bool() if "attention_mask" in f.keys() else None
    rows, wrong = compare(f"{out}/{name}/expected.safetensors", result, mask, LIMIT[dtype])
    worst = max(error for _, error in rows)
    os.remove(result)
    print(f"{name} {dtype} ({limits} limits): {len(rows)} tensors, worst NMSE {worst:.2e} (limit {LIMIT[dtype]:.0e}), last {dict(rows).get('last_hidden_state', rows[-1][1]):.2e}, "
          f"{seconds:.1f} s, peak {peak:.0f} MiB" + (f"; FIRST WRONG: {wrong} {dict(rows)[wrong]:.2e}" if wrong else ""), flush=True)
    return dict(case=name, dtype=dtype, limits=limits, tensors=len(rows), worst_nmse=worst, limit=LIMIT[dtype], first_wrong=wrong, seconds=seconds, peak_mib=peak, layers=dict(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "check"])
    parser.add_argument("out")
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--limits", default="adapter", choices=["adapter", "default"])
    parser.add_argument("--cli", default="dist/app/cli.js")
    parser.add_argument("--json", help="file that rows are added to")
    args = parser.parse_args()
    if args.what == "make":
        for name in args.cases or MAKE:
            MAKE[name](args.out, name)
            print("made", name, flush=True)
        return
    rows = [check(args.out, name, args.dtype, args.limits, args.cli) for name in args.cases or CHECK]
    if args.json:
        before = json.load(open(args.json)) if os.path.exists(args.json) else []
        json.dump(before + rows, open(args.json, "w"), indent=1)
    sys.exit(any(row["first_wrong"] for row in rows))


main()
