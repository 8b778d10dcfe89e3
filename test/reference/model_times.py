"""Times of the paper's networks in PyTorch on a GPU: f32 without TF32, random weights, scaled_dot_product_attention. Prints one JSON object.

usage: model_times.py --presets block,vit-l,predictor,text --tokens 256   (tokens of ViT-L; 0: 256 and 2048)
Names are those of `vl-jepa bench model`. Positions are left out: they are a small share, and PyTorch has no fused form of these.
"""
import argparse
import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    print(json.dumps({"skipped": f"python3 has no torch ({error})"}))
    sys.exit(0)


def block(width, heads, kv_heads, head_dim, inner, gated, bias):
    """Weights of one pre-norm block and its function."""
    make = lambda out, into: torch.randn(out, into, device="cuda") * 0.02
    q, k, v, o = make(heads * head_dim, width), make(kv_heads * head_dim, width), make(kv_heads * head_dim, width), make(width, heads * head_dim)
    up, down = make(inner, width), make(width, inner)
    gate = make(inner, width) if gated else None
    zero = lambda n: torch.zeros(n, device="cuda") if bias else None
    bq, bk, bv, bo, b1, b2 = zero(heads * head_dim), zero(kv_heads * head_dim), zero(kv_heads * head_dim), zero(width), zero(inner), zero(width)
    gain = torch.ones(width, device="cuda")
    norm = (lambda x: F.layer_norm(x, (width,), gain, bo)) if bias else (lambda x: F.rms_norm(x, (width,), gain))

    def run(x):
        b, n, _ = x.shape
        h = norm(x)
        split = lambda y, count: y.view(b, n, count, head_dim).transpose(1, 2)
        a = F.scaled_dot_product_attention(split(F.linear(h, q, bq), heads), split(F.linear(h, k, bk), kv_heads), split(F.linear(h, v, bv), kv_heads), enable_gqa=heads != kv_heads)
        x = x + F.linear(a.transpose(1, 2).reshape(b, n, heads * head_dim), o, bo)
        h = norm(x)
        wide = F.silu(F.linear(h, gate)) * F.linear(h, up) if gated else F.gelu(F.linear(h, up, b1))
        return x + F.linear(wide, down, b2)

    return run


def median_ms(layers, n, width):
    x = torch.randn(1, n, width, device="cuda")

    def forward():
        y = x
        for layer in layers:
            y = layer(y)
        return y

    with torch.no_grad():
        for _ in range(5):
            forward()
        torch.cuda.synchronize()
        times = []
        for _ in range(21):
            start = time.perf_counter()
            forward()
            torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--presets", required=True)
    parser.add_argument("--tokens", type=int, default=0)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print(json.dumps({"skipped": f"torch {torch.__version__} sees no GPU"}))
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    ms = {}
    presets = args.presets.split(",")
    vit = lambda count: [block(1024, 16, 16, 64, 4096, False, True) for _ in range(count)]
    if "block" in presets:
        ms["ViT-L block, 256 tokens"] = median_ms(vit(1), 256, 1024)
    if "vit-l" in presets:
        layers = vit(24)
        for n in [args.tokens] if args.tokens else [256, 2048]:
            ms[f"ViT-L, {n} tokens"] = median_ms(layers, n, 1024)
        del layers
    if "predictor" in presets:
        ms["predictor, 320 tokens"] = median_ms([block(2048, 32, 8, 64, 8192, True, False) for _ in range(8)], 320, 2048)
    if "text" in presets:
        ms["EmbeddingGemma, 64 tokens"] = median_ms([block(768, 3, 1, 256, 1152, True, False) for _ in range(24)], 64, 768)
    print(json.dumps({"about": f"torch {torch.__version__}, {torch.cuda.get_device_name()}, f32 without TF32", "ms": ms}))


main()
