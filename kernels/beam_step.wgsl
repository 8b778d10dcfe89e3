// One step of beam search: of every row's continuations and its own finished beams, the `width` best of each group, best first.
// `best`: one invocation per row and chunk of columns finds the chunk's maximum, sum of exponentials and `width` largest logits, by insertion;
// `merge`: one invocation per group puts chunks together and picks. Equal keys: the earlier row, then the lower column.
// uses: exp_neg_of, log_of
override WG: u32 = 32u;
const MOST = 16u; // beams of a group
const BLOCK = 64u;
const LOWEST = -3.4028234e38;

struct Params {
  rows: u32, // groups * width
  groups: u32,
  cols: u32,
  width: u32,
  chunk: u32, // columns of a chunk
  chunks: u32,
  eos: u32,
  pad: u32,
  step: f32, // tokens of a beam that is continued now
  weight: f32, // step^-penalty
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<LogitsStored>; // [rows, cols]
@group(0) @binding(2) var<storage, read_write> sums: array<vec2f>; // [rows, chunks] of maximum, sum of exp(x - maximum)
@group(0) @binding(3) var<storage, read_write> values: array<f32>; // [rows, chunks, width]
@group(0) @binding(4) var<storage, read_write> columns: array<u32>; // [rows, chunks, width]
@group(0) @binding(5) var<storage, read> sums_in: array<vec2f>;
@group(0) @binding(6) var<storage, read> values_in: array<f32>;
@group(0) @binding(7) var<storage, read> columns_in: array<u32>;
@group(0) @binding(8) var<storage, read> state: array<f32>; // [rows, 3] of log-probability, length (0 = alive), key
@group(0) @binding(9) var<storage, read_write> tokens: array<u32>; // [rows]
@group(0) @binding(10) var<storage, read_write> parents: array<u32>; // [rows], row numbers
@group(0) @binding(11) var<storage, read_write> state_out: array<f32>; // [rows, 3]

@compute @workgroup_size(WG)
fn best(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.rows * params.chunks) { return; }
  let row = id / params.chunks;
  let first = (id - row * params.chunks) * params.chunk;
  let start = row * params.cols;
  let end = min(first + params.chunk, params.cols);
  var value: array<f32, MOST>;
  var column: array<u32, MOST>;
  var held = 0u;
  for (var c = first; c < end; c++) {
    let v = load_logits(start + c);
    if (held == params.width) {
      if (!(v > value[held - 1u])) { continue; }
      held--;
    }
    var at = held;
    while (at > 0u) {
      if (!(v > value[at - 1u])) { break; }
      value[at] = value[at - 1u];
      column[at] = column[at - 1u];
      at--;
    }
    value[at] = v;
    column[at] = c;
    held++;
  }
  let shift = max(value[0], LOWEST);
  var sum = 0.0;
  for (var at = first; at < end; at += BLOCK) {
    var part = 0.0;
    for (var c = at; c < min(at + BLOCK, end); c++) { part += exp_neg_of(load_logits(start + c) - shift); }
    sum += part;
  }
  sums[id] = vec2f(shift, sum);
  for (var k = 0u; k < params.width; k++) {
    values[id * params.width + k] = select(LOWEST, value[k], k < held);
    columns[id * params.width + k] = select(0u, column[k], k < held);
  }
}

struct Beam { key: f32, log_probability: f32, length: f32, token: u32, row: u32 }
var<private> beams: array<Beam, MOST>;
var<private> held_beams: u32;

// Puts a candidate into the list; false when it is worse than all of a full list.
fn offer(candidate: Beam) -> bool {
  if (held_beams == params.width) {
    if (!(candidate.key > beams[held_beams - 1u].key)) { return false; }
    held_beams--;
  }
  var at = held_beams;
  while (at > 0u) {
    if (!(candidate.key > beams[at - 1u].key)) { break; }
    beams[at] = beams[at - 1u];
    at--;
  }
  beams[at] = candidate;
  held_beams++;
  return true;
}

// log(sum of exp) of a row without its shift, and the shift.
fn row_sum(row: u32) -> vec2f {
  var shift = LOWEST;
  for (var p = 0u; p < params.chunks; p++) { shift = max(shift, sums_in[row * params.chunks + p].x); }
  var sum = 0.0;
  for (var p = 0u; p < params.chunks; p++) {
    let s = sums_in[row * params.chunks + p];
    sum += s.y * exp_neg_of(s.x - shift);
  }
  return vec2f(shift, log_of(sum));
}

@compute @workgroup_size(WG)
fn merge(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = (wid.x + wid.y * nwg.x) * WG + lane;
  if (group >= params.groups) { return; }
  held_beams = 0u;
  for (var b = 0u; b < params.width; b++) {
    let row = group * params.width + b;
    let score = state[row * 3u];
    let length = state[row * 3u + 1u];
    if (length > 0.0) {
      let kept = offer(Beam(state[row * 3u + 2u], score, length, params.pad, row));
      continue;
    }
    let sum = row_sum(row);
    for (var p = 0u; p < params.chunks; p++) {
      let id = row * params.chunks + p;
      for (var k = 0u; k < min(params.width, params.cols - p * params.chunk); k++) {
        let column = columns_in[id * params.width + k];
        let grown = score + ((values_in[id * params.width + k] - sum.x) - sum.y);
        if (!offer(Beam(grown * params.weight, grown, select(0.0, params.step, column == params.eos), column, row))) { break; }
      }
    }
  }
  for (var b = 0u; b < params.width; b++) {
    let row = group * params.width + b;
    let beam = beams[b];
    tokens[row] = beam.token;
    parents[row] = beam.row;
    state_out[row * 3u] = beam.log_probability;
    state_out[row * 3u + 1u] = beam.length;
    state_out[row * 3u + 2u] = beam.key;
  }
}
