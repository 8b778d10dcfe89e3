// GELU (exact and tanh form) and SiLU, element by element, with exp and erf of our own: WGSL promises neither erf nor a safe tanh, and its exp
// loses digits with the argument. One invocation per four elements; sizes that are no multiple of 4 take the `_odd` entries, one element each.
//   gelu(x)      = x Φ(x) = max(x, 0) - |x| Q(|x|), Q the upper tail of the normal law: no cancellation on either side
//   gelu_tanh(x) = x σ(2 √(2/π) (x + 0.044715 x³)), the same number as 0.5 x (1 + tanh(…))
//   silu(x)      = x σ(x)
override FORM: u32 = 0u; // 0 gelu, 1 gelu_tanh, 2 silu

struct Params { count: u32 } // invocations
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x4: array<X4Stored>; // [size / 4]
@group(0) @binding(2) var<storage, read> dy4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(3) var<storage, read_write> out4: array<vec4<f32>>; // [size / 4] y or dx
@group(0) @binding(4) var<storage, read> x1: array<X1Stored>; // [size]
@group(0) @binding(5) var<storage, read> dy1: array<f32>; // [size]
@group(0) @binding(6) var<storage, read_write> out1: array<f32>; // [size] y or dx

// exp(x) to 1e-7 relative on [-87.3, 87.3], clamped outside: 2^k e^r with |r| ≤ ln2 / 2, e^r = 1 + r + r² P(r), own minimax coefficients.
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

// Q(a) exp(a²/2) for a in [0, 14], relative error 3e-7 in f32: s P(s), s = 1 / (1 + 0.35 a), own minimax coefficients of degree 8.
fn scaled_tail4(a: vec4<f32>) -> vec4<f32> {
  let s = 1.0 / (1.0 + 0.35 * a);
  let p = ((((s * -0.0291459151 + 0.143971637) * s + -0.255714148) * s + 0.159174040) * s + -0.0231097490) * s + 0.105507970;
  return (((p * s + 0.119832873) * s + 0.139861867) * s + 0.139621407) * s;
}

fn gelu4(x: vec4<f32>) -> vec4<f32> {
  let a = min(abs(x), vec4<f32>(14.0));
  return max(x, vec4<f32>(0.0)) - abs(x) * (exp4(-0.5 * a * a) * scaled_tail4(a));
}

// Φ(x) + x φ(x)
fn gelu_slope4(x: vec4<f32>) -> vec4<f32> {
  let a = min(abs(x), vec4<f32>(14.0));
  let e = exp4(-0.5 * a * a);
  let tail = e * scaled_tail4(a);
  return select(1.0 - tail, tail, x < vec4<f32>(0.0)) + clamp(x, vec4<f32>(-14.0), vec4<f32>(14.0)) * e * 0.398942280;
}

// σ saturates in f32 long before |x| = 30; the clamp keeps x³ finite.
fn gelu_tanh4(x: vec4<f32>) -> vec4<f32> {
  let t = clamp(x, vec4<f32>(-30.0), vec4<f32>(30.0));
  return x * sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
}

fn gelu_tanh_slope4(x: vec4<f32>) -> vec4<f32> {
  let t = clamp(x, vec4<f32>(-30.0), vec4<f32>(30.0));
  let s = sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
  return s + t * s * (1.0 - s) * (1.59576912 * (1.0 + 0.134145 * t * t));
}

fn silu4(x: vec4<f32>) -> vec4<f32> {
  return x * sigmoid4(x);
}

fn silu_slope4(x: vec4<f32>) -> vec4<f32> {
  let s = sigmoid4(x);
  return s * (1.0 + clamp(x, vec4<f32>(-100.0), vec4<f32>(100.0)) * (1.0 - s));
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
