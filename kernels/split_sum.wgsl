// y[i] = act(Σ_s part[s, i] + bias[i mod N]), s in order: the second stage of a product whose k was split. One invocation per element.
// Written by kernels/gen_matmul.mjs: change the generator.
override HAS_BIAS: bool = false;
override KEEP: bool = false; // also writes what went into the activation
override ACTIVATION: u32 = 0u; // 0 none, 1 gelu, 2 gelu_tanh, 3 silu

struct Params { count: u32, n: u32, splits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>; // [splits, count]
@group(0) @binding(2) var<storage, read> bias: array<BiasStored>; // [N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [count]
@group(0) @binding(4) var<storage, read_write> pre: array<f32>; // [count] when KEEP

fn exp4(x: vec4<f32>) -> vec4<f32> {
  let v = clamp(x, vec4<f32>(-87.3), vec4<f32>(87.3));
  let k = floor(v * 1.44269502 + 0.5);
  let r = (v - k * 0.693145752) - k * 1.42860682e-6; // ln2 in two parts: k times the first is exact
  let p = (((r * 0.00139269268 + 0.00836377405) * r + 0.0416665487) * r + 0.166665733) * r + 0.5;
  return ((p * r) * r + r + 1.0) * bitcast<vec4<f32>>(vec4<u32>(vec4<i32>(k) + vec4<i32>(127)) << vec4<u32>(23u));
}

fn sigmoid4(x: vec4<f32>) -> vec4<f32> {
  return 1.0 / (1.0 + exp4(-x));
}

fn scaled_tail4(a: vec4<f32>) -> vec4<f32> {
  let s = 1.0 / (1.0 + 0.35 * a);
  let p = ((((s * -0.0291459151 + 0.143971637) * s + -0.255714148) * s + 0.159174040) * s + -0.0231097490) * s + 0.105507970;
  return (((p * s + 0.119832873) * s + 0.139861867) * s + 0.139621407) * s;
}

fn gelu4(x: vec4<f32>) -> vec4<f32> {
  let a = min(abs(x), vec4<f32>(14.0));
  return max(x, vec4<f32>(0.0)) - abs(x) * (exp4(-0.5 * a * a) * scaled_tail4(a));
}

fn gelu_tanh4(x: vec4<f32>) -> vec4<f32> {
  let t = clamp(x, vec4<f32>(-30.0), vec4<f32>(30.0));
  return x * sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
}

fn silu4(x: vec4<f32>) -> vec4<f32> {
  return x * sigmoid4(x);
}

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
  if (KEEP) { pre[i] = total; }
  y[i] = activate(vec4f(total)).x;
}
