// y [N, D] = load_table(ids), and the table's gradient without float atomics, in a fixed order:
// `link` finds for every position the next one with the same id (an id of N says there is none) and marks that one as not being the first;
// `backward_table` lets every first position walk its chain, one invocation per column, and write the only row that this id owns.
// Rows whose id does not occur were cleared before. An id ≥ V reads, and trains, the last row.
// A table above the binding limit comes in parts of consecutive rows: every part writes the positions, or the gradients, of its own rows.
// Elem is one word or four (D a multiple of 4): u32 in `forward`, so that rows arrive bit for bit, f32 in `backward_table`.
struct Params {
  count: u32, // invocations
  n: u32, // positions
  v: u32, // rows of the whole table
  d: u32, // width in Elem
  first: u32, // first row of this part
  rows: u32, // rows of this part
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>; // [N]
@group(0) @binding(2) var<storage, read> table: array<TableStored>; // [rows, D]
@group(0) @binding(3) var<storage, read_write> out: array<Elem>; // [N, D]
@group(0) @binding(4) var<storage, read_write> next: array<u32>; // [N]
@group(0) @binding(5) var<storage, read_write> linked: array<u32>; // [N] 1 = an earlier position has this id; zeros before `link`
@group(0) @binding(6) var<storage, read> chain: array<u32>; // [N] = next
@group(0) @binding(7) var<storage, read> follower: array<u32>; // [N] = linked
@group(0) @binding(8) var<storage, read> dy: array<Elem>; // [N, D]
@group(0) @binding(9) var<storage, read_write> dtable: array<Elem>; // [rows, D]

fn row_of(position: u32) -> u32 {
  return min(ids[position], params.v - 1u);
}

// Row inside this part; at least `rows` where another part has it.
fn row_here(position: u32) -> u32 {
  return row_of(position) - params.first;
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let position = i / params.d;
  let row = row_here(position);
  if (row >= params.rows) { return; }
  out[i] = load_table(row * params.d + (i - position * params.d));
}

@compute @workgroup_size(64)
fn link(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let row = row_of(i);
  var at = i + 1u;
  loop {
    if (at >= params.n) { break; }
    if (row_of(at) == row) { break; }
    at++;
  }
  next[i] = at; // n when there is none
  if (at < params.n) { linked[at] = 1u; } // one writer: only the previous position of this id points here
}

@compute @workgroup_size(64)
fn backward_table(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let first = i / params.d;
  let column = i - first * params.d;
  let row = row_here(first);
  if (follower[first] != 0u || row >= params.rows) { return; }
  var at = first;
  var total = Elem(0);
  loop { // sums of 32, then their sum: a padding id may stand at thousands of positions
    var part = Elem(0);
    for (var k = 0u; k < 32u && at < params.n; k++) {
      part += dy[at * params.d + column];
      at = chain[at];
    }
    total += part;
    if (at >= params.n) { break; }
  }
  dtable[row * params.d + column] = total;
}
