// topKRows: the k largest of each row with their columns, best first; equal numbers by the lower column, NaN after everything else.
// Numbers are compared as whole numbers made of their bits, so that order is exact and total (`key`). A row is cut into interleaved parts, one invocation each, which
// keeps its list in the result's own memory by insertion (rarely: k ln(cols / k) times); a second pass merges the lists of a row. The first part begins with the list of
// the columns seen before, so a long row may come in chunks.
override WG: u32 = 64u;
const EMPTY = 0xffffffffu; // column of an unused place

struct Params { rows: u32, cols: u32, k: u32, parts: u32, base: u32, seen: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<u32>;             // [rows, cols] bits of f32
@group(0) @binding(2) var<storage, read> seen_values: array<u32>;        // [rows, k] bits of f32
@group(0) @binding(3) var<storage, read> seen_indices: array<u32>;       // [rows, k]
@group(0) @binding(4) var<storage, read_write> values: array<u32>;       // select: [rows, parts, k], merge: [rows, k]; bits of f32
@group(0) @binding(5) var<storage, read_write> indices: array<u32>;      // as values
@group(0) @binding(6) var<storage, read> part_values: array<u32>;        // [rows, parts, k]
@group(0) @binding(7) var<storage, read> part_indices: array<u32>;       // [rows, parts, k]

/** Grows with the number: NaN, -Inf, negative, both zeros, positive, Inf. */
fn key(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return 0u; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

/** Puts a number into the list of `filled` entries at `at`, where it belongs before entry k - 1 or at the end. */
fn insert(at: u32, filled: u32, bits: u32, index: u32) {
  let own = key(bits);
  var j = min(filled, params.k - 1u);
  while (j > 0u) {
    let other = key(values[at + j - 1u]);
    if (other > own || (other == own && indices[at + j - 1u] < index)) { break; }
    values[at + j] = values[at + j - 1u];
    indices[at + j] = indices[at + j - 1u];
    j--;
  }
  values[at + j] = bits;
  indices[at + j] = index;
}

/** Unused places hold -Inf. */
fn close(at: u32, filled: u32) {
  for (var j = filled; j < params.k; j++) {
    values[at + j] = 0xff800000u;
    indices[at + j] = EMPTY;
  }
}

@compute @workgroup_size(WG)
fn select_columns(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.rows * params.parts) { return; }
  let row = i / params.parts;
  let part = i - row * params.parts;
  let at = i * params.k;
  var filled = 0u;
  if (part == 0u && params.seen != 0u) {
    for (var j = 0u; j < params.k; j++) {
      let index = seen_indices[row * params.k + j];
      if (index == EMPTY) { break; }
      values[at + j] = seen_values[row * params.k + j];
      indices[at + j] = index;
      filled++;
    }
  }
  for (var c = part; c < params.cols; c += params.parts) {
    let bits = scores[row * params.cols + c];
    if (filled == params.k && key(bits) <= key(values[at + params.k - 1u])) { continue; } // columns grow: an equal one comes after
    insert(at, filled, bits, params.base + c);
    filled = min(filled + 1u, params.k);
  }
  close(at, filled);
}

@compute @workgroup_size(WG)
fn merge(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let at = row * params.k;
  var filled = 0u;
  for (var p = 0u; p < params.parts; p++) {
    for (var j = 0u; j < params.k; j++) {
      let source = (row * params.parts + p) * params.k + j;
      let bits = part_values[source];
      let index = part_indices[source];
      if (index == EMPTY) { break; }
      if (filled == params.k) {
        let own = key(bits);
        let last = key(values[at + params.k - 1u]);
        if (own < last || (own == last && index > indices[at + params.k - 1u])) { break; } // the rest of this list is no better
      }
      insert(at, filled, bits, index);
      filled = min(filled + 1u, params.k);
    }
  }
  close(at, filled);
}
