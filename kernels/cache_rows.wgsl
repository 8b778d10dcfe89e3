// Rows at a position that changes from run to run: write_rows cache[b, position + t] = x[b, t], read_rows out[b, t] = rows[b, position + t].
// One invocation per Elem, a word or four (widths that are multiples of 4): every bit arrives.
struct Params {
  count: u32, // invocations
  tokens: u32, // T
  width: u32, // W in Elem
  length: u32, // L
  position: u32, // position + T <= L
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>; // [B, T, W]
@group(0) @binding(2) var<storage, read_write> cache: array<Elem>; // [B, L, W]
@group(0) @binding(3) var<storage, read> rows: array<Elem>; // [B, L, W]
@group(0) @binding(4) var<storage, read_write> out: array<Elem>; // [B, T, W]

// Where element i of [B, T, W] lies in [B, L, W].
fn place(i: u32) -> u32 {
  let each = params.tokens * params.width;
  let batch = i / each;
  let row = batch * params.length + params.position;
  return row * params.width + i - batch * each;
}

@compute @workgroup_size(64)
fn write_rows(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  cache[place(i)] = x[i];
}

@compute @workgroup_size(64)
fn read_rows(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  out[i] = rows[place(i)];
}
