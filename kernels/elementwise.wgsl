// a ∘ b for ∘ of + - × ÷, and y = x · factor + offset, y = exp(x), element by element.
// `flat4`: equal shapes, four elements per invocation. `rows4`: [rows, inner] where a or b may miss the rows, four elements per invocation.
// `broadcast`: up to five axes with a stride per axis and side (0 where the side is broadcast), one element per invocation.
// uses: exp4
override OP: u32 = 0u; // 0 add, 1 sub, 2 mul, 3 div; for `unary`: 0 x · factor + offset, 1 exp

struct Params {
  count: u32, // invocations
  n1: u32, n2: u32, n3: u32, n4: u32, // sizes of axes 1 to 4; rows4: n4 = inner / 4
  a0: u32, a1: u32, a2: u32, a3: u32, a4: u32, // strides of a; rows4: a0 in vec4
  b0: u32, b1: u32, b2: u32, b3: u32, b4: u32,
  factor: f32,
  offset: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a4: array<A4Stored>; // [size / 4]
@group(0) @binding(2) var<storage, read> b4: array<B4Stored>; // [size / 4]
@group(0) @binding(3) var<storage, read_write> out4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(4) var<storage, read> a: array<AStored>; // [size]
@group(0) @binding(5) var<storage, read> b: array<BStored>; // [size]
@group(0) @binding(6) var<storage, read_write> out: array<f32>; // [size]

fn combine4(u: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
  if (OP == 0u) { return u + v; }
  if (OP == 1u) { return u - v; }
  if (OP == 2u) { return u * v; }
  return u / v;
}

fn combine(u: f32, v: f32) -> f32 {
  if (OP == 0u) { return u + v; }
  if (OP == 1u) { return u - v; }
  if (OP == 2u) { return u * v; }
  return u / v;
}

fn transform4(x: vec4<f32>) -> vec4<f32> {
  if (OP == 0u) { return x * params.factor + params.offset; }
  return exp4(x);
}

@compute @workgroup_size(256)
fn flat4(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out4[i] = combine4(load_a4(i), load_b4(i));
}

@compute @workgroup_size(256)
fn rows4(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let row = i / params.n4;
  let column = i - row * params.n4;
  out4[i] = combine4(load_a4(row * params.a0 + column), load_b4(row * params.b0 + column));
}

@compute @workgroup_size(256)
fn broadcast(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let q3 = i / params.n4;
  let i4 = i - q3 * params.n4;
  let q2 = q3 / params.n3;
  let i3 = q3 - q2 * params.n3;
  let q1 = q2 / params.n2;
  let i2 = q2 - q1 * params.n2;
  let i0 = q1 / params.n1;
  let i1 = q1 - i0 * params.n1;
  let u = i0 * params.a0 + i1 * params.a1 + i2 * params.a2 + i3 * params.a3 + i4 * params.a4;
  let v = i0 * params.b0 + i1 * params.b1 + i2 * params.b2 + i3 * params.b3 + i4 * params.b4;
  out[i] = combine(load_a(u), load_b(v));
}

@compute @workgroup_size(256)
fn unary4(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out4[i] = transform4(load_a4(i));
}

@compute @workgroup_size(256)
fn unary(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out[i] = transform4(vec4<f32>(load_a(i))).x;
}
