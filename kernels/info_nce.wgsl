// infoNCE: bidirectional contrastive loss over tiles c = p y^T of the cosine matrix, never the whole [N, N] (van den Oord et al. 2018, arXiv 1807.03748).
// Row i of the softmax over its negatives is kept as (m, l): m = max c_ij, l = sum exp(s (c_ij - m)), j != i. With z = s (m - c_ii) + log l
// the row's loss is softplus(z) and its probability mass off the diagonal sigmoid(z): a loss of 1e-7 keeps its digits, which log-sum-exp minus the
// positive's logit near 100 does not. Columns likewise. No barrier, no float atomics; every sum has a fixed order.
// uses: exp_of, exp_neg4, exp_neg_of, log_of, log1p_of
override WG: u32 = 64u;
override LANES: u32 = 32u;    // invocations that share a row: neighbours read neighbouring columns
override SEGMENT: u32 = 64u;  // rows that one invocation reduces of a column
override GROUPED: bool = false; // without groups the binding holds a dummy that is never read
const NONE = -1e30;           // stands for "no negative yet"; s * NONE stays finite

struct Params { rows: u32, cols: u32, row0: u32, col0: u32, count: u32, total: u32, first: u32, max_log_scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tile: array<f32>;                  // [rows, cols] cosines of rows row0.., columns col0..
@group(0) @binding(2) var<storage, read> log_scale: array<f32>;             // [1]
@group(0) @binding(3) var<storage, read> group_of: array<u32>;              // [total]
@group(0) @binding(4) var<storage, read_write> partials: array<vec2f>;      // [parts, items] of m, l
@group(0) @binding(5) var<storage, read> partials_in: array<vec2f>;         // [parts, items]
@group(0) @binding(6) var<storage, read_write> running: array<vec2f>;       // [total] of m, l
@group(0) @binding(7) var<storage, read_write> positives: array<f32>;       // [total] c_ii
@group(0) @binding(8) var<storage, read> merged: array<vec2f>;              // [total], running at the end
@group(0) @binding(9) var<storage, read> positive: array<f32>;              // [total]
@group(0) @binding(10) var<storage, read_write> softened: array<vec4f>;     // [total] of m, sigmoid(z) / l, sigmoid(z), c_ii
@group(0) @binding(11) var<storage, read_write> lse: array<f32>;            // [total] log-sum-exp of the logits
@group(0) @binding(12) var<storage, read_write> terms: array<f32>;          // [total] softplus(z)
@group(0) @binding(13) var<storage, read> row_terms: array<f32>;            // [total]
@group(0) @binding(14) var<storage, read> col_terms: array<f32>;            // [total]
@group(0) @binding(15) var<storage, read_write> loss: array<f32>;           // [1]
@group(0) @binding(16) var<storage, read_write> loss_rows: array<f32>;      // [1]
@group(0) @binding(17) var<storage, read_write> loss_cols: array<f32>;      // [1]
@group(0) @binding(18) var<storage, read_write> gradient: array<f32>;       // [rows, cols], cosines in, gradient of the cosines out
@group(0) @binding(19) var<storage, read> by_row: array<vec4f>;             // [total], softened of the rows
@group(0) @binding(20) var<storage, read> by_col: array<vec4f>;             // [total], softened of the columns
@group(0) @binding(21) var<storage, read> dloss: array<f32>;                // [1]
@group(0) @binding(22) var<storage, read_write> scale_parts: array<f32>;    // [rows of a tile, LANES]
@group(0) @binding(23) var<storage, read> scale_parts_in: array<f32>;       // [count]
@group(0) @binding(24) var<storage, read_write> scale_sums: array<f32>;     // [total]
@group(0) @binding(25) var<storage, read> scale_sums_in: array<f32>;        // [count]
@group(0) @binding(26) var<storage, read_write> dlog_scale: array<f32>;     // [1]

fn scale_now() -> f32 { return exp_of(min(log_scale[0], params.max_log_scale)); }

fn excluded(i: u32, j: u32) -> bool {
  if (GROUPED) { return group_of[i] == group_of[j]; } // the diagonal is its own group
  return i == j;
}

fn negative(i: u32, j: u32) -> f32 {
  if (i >= params.rows || j >= params.cols) { return NONE; }
  let c = tile[i * params.cols + j];
  return select(c, NONE, excluded(params.row0 + i, params.col0 + j));
}

// Four more negatives share one rescaling.
fn absorb(state: vec2f, c: vec4f, s: f32) -> vec2f {
  let most = max(max(c.x, c.y), max(c.z, c.w));
  var m = state.x;
  var l = state.y;
  if (most > m) {
    l *= exp_neg_of(s * (m - most));
    m = most;
  }
  let e = select(exp_neg4(s * (c - m)), vec4f(0.0), c == vec4f(NONE)); // not by m: max may drop a NaN, which has to reach the sum
  l += (e.x + e.y) + (e.z + e.w);
  return vec2f(m, l);
}

@compute @workgroup_size(WG)
fn reduce_rows(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = id / LANES;
  if (i >= params.rows) { return; }
  let t = id % LANES;
  let s = scale_now();
  var state = vec2f(NONE, 0.0);
  for (var j = t; j < params.cols; j += 4u * LANES) {
    let c = vec4f(negative(i, j), negative(i, j + LANES), negative(i, j + 2u * LANES), negative(i, j + 3u * LANES));
    state = absorb(state, c, s);
  }
  partials[t * params.rows + i] = state;
}

@compute @workgroup_size(WG)
fn reduce_cols(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let first = (id / params.cols) * SEGMENT;
  if (first >= params.rows) { return; }
  let j = id % params.cols;
  let end = min(first + SEGMENT, params.rows);
  let s = scale_now();
  var state = vec2f(NONE, 0.0);
  for (var i = first; i < end; i += 4u) {
    let c = vec4f(negative(i, j), negative(i + 1u, j), negative(i + 2u, j), negative(i + 3u, j));
    state = absorb(state, c, s);
  }
  partials[id] = state;
}

// running[i] takes in the parts of this tile, in order; rows is the number of items, count that of parts, row0 the first item.
@compute @workgroup_size(WG)
fn merge(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.rows) { return; }
  let s = scale_now();
  var state = vec2f(NONE, 0.0);
  if (params.first == 0u) { state = running[params.row0 + i]; }
  for (var k = 0u; k < params.count; k++) {
    let part = partials_in[k * params.rows + i];
    let m = max(state.x, part.x);
    state = vec2f(m, state.y * exp_neg_of(s * (state.x - m)) + part.y * exp_neg_of(s * (part.x - m)));
  }
  running[params.row0 + i] = state;
}

// positives of a tile on the diagonal.
@compute @workgroup_size(WG)
fn diagonal(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.rows) { return; }
  positives[params.row0 + i] = tile[i * params.cols + i];
}

@compute @workgroup_size(WG)
fn soften(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.total) { return; }
  let s = scale_now();
  let state = merged[i];
  let c = positive[i];
  var coefficients = vec4f(c, 0.0, 0.0, c);
  var term = 0.0;
  if (bitcast<u32>(state.y) != 0u) { // NaN goes in
    let z = s * (state.x - c) + log_of(state.y);
    let e = exp_neg_of(-abs(z));
    let mass = select(e, 1.0, z >= 0.0) / (1.0 + e);
    coefficients = vec4f(state.x, mass / state.y, mass, c);
    term = max(z, 0.0) + log1p_of(e);
  }
  if ((bitcast<u32>(c) & 0x7f800000u) == 0x7f800000u) { term = abs(c); } // NaN or infinite: no softmax makes a loss of it
  softened[i] = coefficients;
  terms[i] = term;
  lse[i] = s * c + term;
}

@compute @workgroup_size(WG)
fn sum_terms(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.count) { return; }
  var sum = vec2f(0.0);
  for (var i = id; i < params.total; i += params.count) { sum += vec2f(row_terms[i], col_terms[i]); }
  partials[id] = sum;
}

@compute @workgroup_size(1)
fn mean_terms() {
  var sum = vec2f(0.0);
  for (var k = 0u; k < params.count; k++) { sum += partials_in[k]; }
  let mean = sum / f32(params.total);
  loss[0] = 0.5 * (mean.x + mean.y);
  loss_rows[0] = mean.x;
  loss_cols[0] = mean.y;
}

// In place: gradient[i, j] = ds / dc of the loss = (P_ij + Q_ij - 2 [i = j]) s dloss / 2N, P and Q the softmaxes over rows and columns.
// Beside it sum_j P (S_ij - S_ii) + Q (S_ij - S_jj), which is sum G S without its cancellation (each row of P - I sums to 0).
@compute @workgroup_size(WG)
fn backward_tile(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = id / LANES;
  if (i >= params.rows) { return; }
  let s = scale_now();
  let factor = s * dloss[0] / (2.0 * f32(params.total));
  let r = by_row[params.row0 + i];
  var along = 0.0;
  for (var j = id % LANES; j < params.cols; j += LANES) {
    let at = i * params.cols + j;
    let c = gradient[at];
    let k = by_col[params.col0 + j];
    var p = exp_neg_of(s * (c - r.x)) * r.y;
    var q = exp_neg_of(s * (c - k.x)) * k.y;
    if (excluded(params.row0 + i, params.col0 + j)) {
      p = 0.0;
      q = 0.0;
    }
    along += p * (c - r.w) + q * (c - k.w);
    let positive_pair = params.row0 + i == params.col0 + j;
    gradient[at] = select(p + q, -(r.z + k.z), positive_pair) * factor;
  }
  let before = select(scale_parts[id], 0.0, params.first == 1u);
  scale_parts[id] = before + along * s;
}

@compute @workgroup_size(WG)
fn sum_scale(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.total) { return; }
  var sum = 0.0;
  for (var i = id; i < params.count; i += params.total) { sum += scale_parts_in[i]; }
  scale_sums[id] = sum;
}

// A clamped temperature has no gradient; total is N here.
@compute @workgroup_size(1)
fn backward_scale() {
  var sum = 0.0;
  for (var i = 0u; i < params.count; i++) { sum += scale_sums_in[i]; }
  dlog_scale[0] = select(0.0, sum * dloss[0] / (2.0 * f32(params.total)), log_scale[0] <= params.max_log_scale);
}
