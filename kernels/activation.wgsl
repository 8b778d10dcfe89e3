// GELU (exact and tanh form) and SiLU, element by element. One invocation per four elements; sizes that are no multiple of 4 take the `_odd` entries, one element each.
//   gelu(x)      = x Φ(x), Φ the distribution function of the normal law
//   gelu_tanh(x) = x σ(2 √(2/π) (x + 0.044715 x³)), the same number as 0.5 x (1 + tanh(…))
//   silu(x)      = x σ(x)
// In the slopes x itself takes part wherever it was clamped before, so that a NaN stays one.
// uses: exp_neg4, scaled_tail4, sigmoid4, gelu4, gelu_tanh4, silu4
override FORM: u32 = 0u; // 0 gelu, 1 gelu_tanh, 2 silu

struct Params { count: u32 } // invocations
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x4: array<X4Stored>; // [size / 4]
@group(0) @binding(2) var<storage, read> dy4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(3) var<storage, read_write> out4: array<vec4<f32>>; // [size / 4] y or dx
@group(0) @binding(4) var<storage, read> x1: array<X1Stored>; // [size]
@group(0) @binding(5) var<storage, read> dy1: array<f32>; // [size]
@group(0) @binding(6) var<storage, read_write> out1: array<f32>; // [size] y or dx

// Φ(x) + x φ(x)
fn gelu_slope4(x: vec4<f32>) -> vec4<f32> {
  let a = min(abs(x), vec4<f32>(14.0));
  let e = exp_neg4(-0.5 * a * a);
  let tail = e * scaled_tail4(a);
  return select(1.0 - tail, tail, x < vec4<f32>(0.0)) + x * e * 0.398942280;
}

fn gelu_tanh_slope4(x: vec4<f32>) -> vec4<f32> {
  let t = clamp(x, vec4<f32>(-30.0), vec4<f32>(30.0));
  let s = sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
  return s + (x * s) * (1.0 - s) * (1.59576912 * (1.0 + 0.134145 * t * t));
}

fn silu_slope4(x: vec4<f32>) -> vec4<f32> {
  let s = sigmoid4(x);
  return s * (1.0 + x * (1.0 - s));
}

fn activate4(x: vec4<f32>) -> vec4<f32> {
  if (FORM == 0u) { return gelu4(x); }
  if (FORM == 1u) { return gelu_tanh4(x); }
  return silu4(x);
}

fn slope4(x: vec4<f32>) -> vec4<f32> {
  if (FORM == 0u) { return gelu_slope4(x); }
  if (FORM == 1u) { return gelu_tanh_slope4(x); }
  return silu_slope4(x);
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out4[i] = activate4(load_x4(i));
}

@compute @workgroup_size(256)
fn backward_x(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out4[i] = dy4[i] * slope4(load_x4(i));
}

@compute @workgroup_size(256)
fn forward_odd(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out1[i] = activate4(vec4<f32>(load_x1(i))).x;
}

@compute @workgroup_size(256)
fn backward_x_odd(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out1[i] = dy1[i] * slope4(vec4<f32>(load_x1(i))).x;
}
