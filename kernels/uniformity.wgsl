// uniformity: log of the mean over pairs i < j of exp(-t |x_i - x_j|^2) (Wang & Isola 2020, arXiv 2005.10242), over tiles g = x x^T, never the whole [N, N].
// |x_i - x_j|^2 = |x_i|^2 + |x_j|^2 - 2 g_ij. Sums of exponentials are kept as (m, l): the largest exponent and the sum relative to it.
// uses: exp_neg_of, log_of
override WG: u32 = 64u;
override LANES: u32 = 32u; // invocations that share a row: neighbours read neighbouring columns
const BLOCK = 32u;
const NONE = -3e38;        // no pair yet

struct Params { rows: u32, cols: u32, row0: u32, col0: u32, first: u32, count: u32, pairs: f32, t: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> points: array<f32>;          // [rows, cols]
@group(0) @binding(2) var<storage, read_write> lengths: array<f32>;   // [rows] squared
@group(0) @binding(3) var<storage, read> squares: array<f32>;         // [N] lengths
@group(0) @binding(4) var<storage, read> tile: array<f32>;            // [rows, cols] products of rows row0.., columns col0..
@group(0) @binding(5) var<storage, read_write> parts: array<vec2f>;   // [rows of a tile, LANES] of m, l
@group(0) @binding(6) var<storage, read> parts_in: array<vec2f>;      // [count]
@group(0) @binding(7) var<storage, read_write> value: array<f32>;     // [1]

fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }

// A NaN on either side wins: comparisons and clamps would swallow it.
fn join(a: vec2f, b: vec2f) -> vec2f {
  if (is_nan(a.x)) { return a; }
  if (is_nan(b.x)) { return b; }
  let m = max(a.x, b.x);
  return vec2f(m, a.y * exp_neg_of(a.x - m) + b.y * exp_neg_of(b.x - m));
}

@compute @workgroup_size(WG)
fn squared_lengths(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let start = row * params.cols;
  var total = 0.0;
  for (var at = 0u; at < params.cols; at += BLOCK) {
    let end = min(at + BLOCK, params.cols);
    var part = 0.0;
    for (var c = at; c < end; c++) { part += points[start + c] * points[start + c]; }
    total += part;
  }
  lengths[row] = total;
}

// Pairs above the diagonal of one tile; first says whether it is the first tile of all.
@compute @workgroup_size(WG)
fn reduce(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = id / LANES;
  if (i >= params.rows) { return; }
  var state = vec2f(NONE, 0.0);
  for (var j = id % LANES; j < params.cols; j += LANES) {
    if (params.row0 + i < params.col0 + j) {
      let distance = (squares[params.row0 + i] + squares[params.col0 + j]) - 2.0 * tile[i * params.cols + j];
      state = join(state, vec2f(-params.t * select(distance, 0.0, distance < 0.0), 1.0));
    }
  }
  if (params.first == 0u) { state = join(parts[id], state); }
  parts[id] = state;
}

// parts[k] joins the parts k, k + rows, ... of count.
@compute @workgroup_size(WG)
fn merge(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.rows) { return; }
  var state = vec2f(NONE, 0.0);
  for (var k = id; k < params.count; k += params.rows) { state = join(state, parts_in[k]); }
  parts[id] = state;
}

@compute @workgroup_size(1)
fn finish() {
  let state = parts_in[0];
  value[0] = state.x + log_of(state.y / params.pairs);
}
