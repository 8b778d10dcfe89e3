// Swap of two axes: x [A, N, B, M, C] → out [A, M, B, N, C], one invocation per output Elem. The gradient is the same swap again.
// Elem comes from word_moves.ts: u32, so that every dtype arrives bit for bit, or four of them where C is a multiple of 4.
struct Params {
  count: u32, // invocations
  n: u32,
  b: u32,
  m: u32,
  c: u32, // in Elem
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>; // [A, N, B, M, C]
@group(0) @binding(2) var<storage, read_write> out: array<Elem>; // [A, M, B, N, C]

// Index into x of output i.
fn source(i: u32) -> u32 {
  let q2 = i / params.c;
  let c = i - q2 * params.c;
  let q1 = q2 / params.n;
  let n = q2 - q1 * params.n;
  let q0 = q1 / params.b;
  let b = q1 - q0 * params.b;
  let a = q0 / params.m;
  let m = q0 - a * params.m;
  return (((a * params.n + n) * params.b + b) * params.m + m) * params.c + c;
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  out[i] = load_x(source(i));
}
