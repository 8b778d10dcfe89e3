// Concatenation along one axis: one dispatch per input copies its rows [outer, length] into rows of out [outer, stride] from `start` on.
// Elem comes from word_moves.ts: u32, so that every dtype arrives bit for bit, or four of them where all lengths are multiples of 4.
struct Params {
  count: u32, // invocations: outer · length
  length: u32,
  stride: u32,
  start: u32, // lengths in Elem
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>; // [outer, length]
@group(0) @binding(2) var<storage, read_write> out: array<Elem>; // [outer, stride]

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 256u + lane;
  if (i >= params.count) { return; }
  let row = i / params.length;
  out[row * params.stride + params.start + (i - row * params.length)] = load_x(i);
}
