// y[i] = act(Σ_s part[s, i] + bias[i mod N]), s in order: the second stage of a product whose k was split. One invocation per element.
// Written by kernels/gen_matmul.mjs: change the generator.
// uses: gelu4, gelu_tanh4, silu4
override HAS_BIAS: bool = false;
override KEEP: bool = false; // also writes what went into the activation
override RESIDUAL: bool = false; // adds what pre holds, after the activation and before KEEP writes it
override ACTIVATION: u32 = 0u; // 0 none, 1 gelu, 2 gelu_tanh, 3 silu

struct Params { count: u32, n: u32, splits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>; // [splits, count]
@group(0) @binding(2) var<storage, read> bias: array<BiasStored>; // [N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [count]
@group(0) @binding(4) var<storage, read_write> pre: array<f32>; // [count] when KEEP or RESIDUAL


fn activate(x: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return gelu4(x); }
  if (ACTIVATION == 2u) { return gelu_tanh4(x); }
  if (ACTIVATION == 3u) { return silu4(x); }
  return x;
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  var total = part[i];
  for (var s = 1u; s < params.splits; s++) { total += part[s * params.count + i]; }
  if (HAS_BIAS) { total += load_bias(i % params.n); }
  var activated = activate(vec4f(total)).x;
  if (RESIDUAL) { activated += pre[i]; }
  if (KEEP) { pre[i] = total; }
  y[i] = activated;
}
