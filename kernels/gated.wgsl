// y = f(gate) · up with f = silu (swiglu, Llama) or f = gelu_tanh (geglu, Gemma): Shazeer 2020, arXiv 2002.05202.
// dgate = dy · up · f'(gate), dup = dy · f(gate), both in one dispatch. One invocation per four elements; the `_odd` entries take one element each.
// uses: sigmoid4
override FORM: u32 = 0u; // 0 swiglu, 1 geglu

struct Params { count: u32 } // invocations
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate4: array<Gate4Stored>; // [size / 4]
@group(0) @binding(2) var<storage, read> up4: array<Up4Stored>; // [size / 4]
@group(0) @binding(3) var<storage, read> dy4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(4) var<storage, read_write> y4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(5) var<storage, read_write> dgate4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(6) var<storage, read_write> dup4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(7) var<storage, read> gate: array<GateStored>; // [size]
@group(0) @binding(8) var<storage, read> up: array<UpStored>; // [size]
@group(0) @binding(9) var<storage, read> dy: array<f32>; // [size]
@group(0) @binding(10) var<storage, read_write> y: array<f32>; // [size]
@group(0) @binding(11) var<storage, read_write> dgate: array<f32>; // [size]
@group(0) @binding(12) var<storage, read_write> dup: array<f32>; // [size]

// Both forms are x σ(z): z = x for silu, z = 2 √(2/π) (x + 0.044715 x³) for gelu_tanh.
fn weight4(x: vec4<f32>) -> vec4<f32> {
  if (FORM == 0u) { return sigmoid4(x); }
  let t = clamp(x, vec4<f32>(-30.0), vec4<f32>(30.0));
  return sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
}

// d/dx of x σ(z) = σ + x σ (1 - σ) dz/dx, given σ; the clamp keeps t² finite where σ (1 - σ) is 0.
fn slope4(x: vec4<f32>, s: vec4<f32>) -> vec4<f32> {
  if (FORM == 0u) { return s * (1.0 + x * (1.0 - s)); }
  let t = clamp(x, vec4<f32>(-30.0), vec4<f32>(30.0));
  return s + (x * s) * (1.0 - s) * (1.59576912 * (1.0 + 0.134145 * t * t));
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let g = load_gate4(i);
  y4[i] = g * weight4(g) * load_up4(i);
}

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let g = load_gate4(i);
  let s = weight4(g);
  let d = dy4[i];
  dgate4[i] = d * load_up4(i) * slope4(g, s);
  dup4[i] = d * (g * s);
}

@compute @workgroup_size(256)
fn forward_odd(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let g = load_gate(i);
  y[i] = g * weight4(vec4<f32>(g)).x * load_up(i);
}

@compute @workgroup_size(256)
fn backward_odd(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let g = load_gate(i);
  let s = weight4(vec4<f32>(g)).x;
  dgate[i] = dy[i] * load_up(i) * slope4(vec4<f32>(g), vec4<f32>(s)).x;
  dup[i] = dy[i] * (g * s);
}
