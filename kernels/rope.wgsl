// Rotary position embedding, pairs (i, i + h) with h = Dh / 2 (Su et al. 2021, arXiv 2104.09864), with a table entry per element:
// y_i = x_i cos_i - x_(i+h) sin_i, y_(i+h) = x_(i+h) cos_(i+h) + x_i sin_(i+h). The backward is the transpose of this map, not its inverse.
// One invocation per row, head and pair of Elems. Elem is f32, or vec4f where h is a multiple of four.
override WG: u32 = 64u;
override WIDTH: u32 = 1u; // floats per Elem

struct Params { rows: u32, heads: u32, tokens: u32, head_dim: u32 } // rows = B T H
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;          // [B, T, H, Dh], or its gradient
@group(0) @binding(2) var<storage, read> cosines: array<Elem>;    // [T, Dh]
@group(0) @binding(3) var<storage, read> sines: array<Elem>;      // [T, Dh]
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;    // [B, T, H, Dh]

struct Place { low: u32, high: u32, table_low: u32, table_high: u32, valid: bool }
fn place(id: u32) -> Place {
  let half = params.head_dim / (2u * WIDTH);
  let row = id / half;
  let low = row * half * 2u + id % half;
  let table = row / params.heads % params.tokens * half * 2u + id % half;
  return Place(low, low + half, table, table + half, row < params.rows);
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = place((wid.x + wid.y * nwg.x) * WG + lane);
  if (!at.valid) { return; }
  let a = load_x(at.low);
  let b = load_x(at.high);
  y[at.low] = a * cosines[at.table_low] - b * sines[at.table_low];
  y[at.high] = b * cosines[at.table_high] + a * sines[at.table_high];
}

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = place((wid.x + wid.y * nwg.x) * WG + lane);
  if (!at.valid) { return; }
  let a = load_x(at.low);
  let b = load_x(at.high);
  y[at.low] = a * cosines[at.table_low] + b * sines[at.table_high];
  y[at.high] = b * cosines[at.table_high] - a * sines[at.table_low];
}
