"""The official networks (Hugging Face transformers) in float64, and what the scripts beside this one share.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors gguf accelerate

Three places of the official code drop to float32 whatever the model's type (RMSNorm, the RoPE tables, softmax of the eager path); `exact` evaluates them in float64 too, so that
the reference is the mathematics. NMSE is sum((a - b)^2) / sum(b^2), over positions that are not padding.
"""
import json, math, os, subprocess, types
import torch
from safetensors import safe_open
from safetensors.torch import save_file

F64 = torch.float64
STORAGE = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def inverse_frequencies(config, dim, layer_type=None):
    """theta^(-2i/dim), with Llama 3's rescaling where the config asks for it."""
    p = config.rope_parameters[layer_type] if layer_type else config.rope_parameters
    inv = p["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=F64) / dim)
    if p["rope_type"] == "default":
        return inv
    assert p["rope_type"] == "llama3", p
    factor, low, high, original = p["factor"], p["low_freq_factor"], p["high_freq_factor"], p["original_max_position_embeddings"]
    wavelength = 2 * math.pi / inv
    smooth = (original / wavelength - low) / (high - low)
    scaled = torch.where(wavelength > original / low, inv / factor, inv)
    middle = (wavelength <= original / low) & (wavelength >= original / high)
    return torch.where(middle, (1 - smooth) * inv / factor + smooth * inv, scaled)


def exact(model):
    """The same model in float64, norms, RoPE tables and the embedding's scale included."""
    model = model.double()
    for m in model.modules():
        kind = type(m).__name__
        if kind == "LlamaRMSNorm":
            m.forward = types.MethodType(lambda s, x: s.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + s.variance_epsilon)), m)
        elif kind == "Gemma3RMSNorm":
            m.forward = types.MethodType(lambda s, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + s.eps) * (1.0 + s.weight), m)
        elif kind == "Gemma3TextScaledWordEmbedding":
            m.forward = types.MethodType(lambda s, ids: torch.nn.functional.embedding(ids, s.weight) * math.sqrt(s.weight.shape[1]), m)
        elif kind in ("LlamaRotaryEmbedding", "Gemma3RotaryEmbedding"):
            def rope(s, x, position_ids, layer_type=None):
                dim = getattr(s.config, "head_dim", None) or s.config.hidden_size // s.config.num_attention_heads
                angle = position_ids[..., None].double() * inverse_frequencies(s.config, dim, layer_type)
                angle = torch.cat((angle, angle), dim=-1)
                return angle.cos(), angle.sin()
            m.forward = types.MethodType(rope, m)
    return model


class Trace:
    """Outputs of the embeddings and of each block, kept as float32, by forward hooks."""
    def __init__(self, blocks, embeddings=None, first=0):
        self.values, self.handles = {}, []
        take = lambda o: (o[0] if isinstance(o, tuple) else o).detach().float().contiguous()
        def keep(name):
            return lambda module, inputs, output: self.values.__setitem__(name, take(output))
        if embeddings is not None:
            self.handles.append(embeddings.register_forward_hook(keep("embeddings")))
        for n, block in enumerate(blocks):
            self.handles.append(block.register_forward_hook(keep(f"layers.{first + n}")))

    def close(self):
        for handle in self.handles:
            handle.remove()
        return self.values


def additive_mask(mask, causal):
    """[B,1,N,N] float64: 0 where a query may look, else very negative."""
    n = mask.shape[1]
    allowed = mask[:, None, None, :].bool().expand(-1, 1, n, n)
    if causal:
        allowed = (allowed & torch.ones(n, n, dtype=torch.bool).tril()) | torch.eye(n, dtype=torch.bool)
    return torch.zeros(allowed.shape, dtype=F64).masked_fill(~allowed, -1e300)


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def store(path, tensors, metadata=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save_file({k: (t.float() if t.dtype == F64 else t).detach().contiguous().clone() for k, t in tensors.items()}, path, metadata=metadata)


def compare(expected, result, mask, limit):
    """Layer by layer, in the network's order. Returns (rows of (name, nmse), the first name above the limit or None)."""
    order = lambda name: (0 if name == "embeddings" else 1 if name.startswith("layers.") else 2, int(name.split(".")[1]) if name.startswith("layers.") else 0, name)
    rows, wrong = [], None
    with safe_open(expected, "pt") as want, safe_open(result, "pt") as got:
        names = sorted(set(want.keys()) & set(got.keys()), key=order)
        assert names, f"{result}: none of {sorted(want.keys())[:4]}"
        for name in names:
            a, b = got.get_tensor(name).double(), want.get_tensor(name).double()
            assert a.shape == b.shape, f"{name}: {list(a.shape)}, expected {list(b.shape)}"
            if mask is not None and a.dim() == 3:
                a, b = a[mask], b[mask]
            error = float(((a - b) ** 2).sum() / (b ** 2).sum())
            rows.append((name, error))
            if wrong is None and not error <= limit:
                wrong = name
    return rows, wrong


def run_engine(network, folder, inputs, output, *, dtype="f32", cli="dist/app/cli.js", extra=(), env=None):
    """`vl-jepa run`, watched from outside: (seconds as the command says, peak resident MiB)."""
    command = ["node", cli, "run", network, "--model", folder, "--input", inputs, "--output", output, "--dtype", dtype, "--all-layers", "--json", *extra]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "VL_JEPA_TUNING": "off", **(env or {})})
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)}\n{err}")
    return json.loads(out.strip().splitlines()[-1])["seconds"], usage.ru_maxrss / 1024
