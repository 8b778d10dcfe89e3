// A range of one axis: out [outer, length] = x [outer, stride] from `start` on. `backward_x` puts dy back and writes zeros around it.
// Elem comes from word_moves.ts: u32, so that every dtype arrives bit for bit, or four of them where all lengths are multiples of 4.
struct Params {
  count: u32, // invocations: outer · length (forward), outer · stride (backward_x)
  length: u32,
  stride: u32,
  start: u32, // lengths in Elem
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>; // [outer, stride]
@group(0) @binding(2) var<storage, read> dy: array<Elem>; // [outer, length]
@group(0) @binding(3) var<storage, read_write> out: array<Elem>; // y [outer, length] or dx [outer, stride]

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let row = i / params.length;
  out[i] = load_x(row * params.stride + params.start + (i - row * params.length));
}

@compute @workgroup_size(256)
fn backward_x(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let row = i / params.stride;
  let at = i - row * params.stride - params.start; // wraps to a huge number before the range
  if (at < params.length) { out[i] = dy[row * params.length + at]; } else { out[i] = Elem(0); }
}
