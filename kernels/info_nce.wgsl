// infoNCE: bidirectional contrastive loss over tiles c = p y^T of the cosine matrix, never the whole [N, N] (van den Oord et al. 2018, arXiv 1807.03748).
// Row i of the softmax over its negatives is kept as (m, l): m = max c_ij, l = sum exp(s (c_ij - m)), j != i. With z = s (m - c_ii) + log l
// the row's loss is softplus(z) and its probability mass off the diagonal sigmoid(z): a loss of 1e-7 keeps its digits, which log-sum-exp minus the
// positive's logit near 100 does not. Columns likewise: whatever has an entry per row and per column holds the rows first. An invocation takes four rows of a
// tile at once, or four columns of a segment of its rows, and needs one exp per element. No barrier, no float atomics; every sum has a fixed order.
// uses: exp_of, exp_neg4, exp_neg_of, log_of, log1p_of
override WG: u32 = 64u;
override LANES: u32 = 32u;    // invocations that share four rows: neighbours read neighbouring columns
override SEGMENT: u32 = 64u;  // rows that one invocation reduces of four columns
override GROUPED: bool = false; // without groups the binding holds a dummy that is never read
const NONE = -1e30;           // stands for "no negative yet"; s * NONE stays finite

struct Params { rows: u32, cols: u32, row0: u32, col0: u32, segments: u32, count: u32, total: u32, first: u32, max_log_scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tile: array<f32>;                  // [rows, cols] cosines of rows row0.., columns col0..
@group(0) @binding(2) var<storage, read> log_scale: array<f32>;             // [1]
@group(0) @binding(3) var<storage, read> group_of: array<u32>;              // [total]
@group(0) @binding(4) var<storage, read_write> partials: array<vec2f>;      // [rows, LANES] and [segments, cols] of m, l
@group(0) @binding(5) var<storage, read> partials_in: array<vec2f>;         // the same
@group(0) @binding(6) var<storage, read_write> positives: array<f32>;       // [total] c_ii
@group(0) @binding(7) var<storage, read> positive: array<f32>;              // [total]
@group(0) @binding(8) var<storage, read_write> running: array<vec2f>;       // [2, total] of m, l over the tiles so far
@group(0) @binding(9) var<storage, read_write> softened: array<vec4f>;      // [2, total] of m, sigmoid(z) / l, sigmoid(z), c_ii
@group(0) @binding(10) var<storage, read_write> lse_rows: array<f32>;       // [total] log-sum-exp of the logits
@group(0) @binding(11) var<storage, read_write> lse_cols: array<f32>;       // [total]
@group(0) @binding(12) var<storage, read_write> terms: array<f32>;          // [2, total] softplus(z)
@group(0) @binding(13) var<storage, read> terms_in: array<f32>;             // [2, total]
@group(0) @binding(14) var<storage, read_write> sums: array<vec2f>;         // [count] of rows, columns
@group(0) @binding(15) var<storage, read> sums_in: array<vec2f>;            // [count]
@group(0) @binding(16) var<storage, read_write> loss: array<f32>;           // [1]
@group(0) @binding(17) var<storage, read_write> loss_rows: array<f32>;      // [1]
@group(0) @binding(18) var<storage, read_write> loss_cols: array<f32>;      // [1]
@group(0) @binding(19) var<storage, read_write> gradient: array<f32>;       // [rows, cols], cosines in, gradient of the cosines out
@group(0) @binding(20) var<storage, read> softened_in: array<vec4f>;        // [2, total]
@group(0) @binding(21) var<storage, read> dloss: array<f32>;                // [1]
@group(0) @binding(22) var<storage, read_write> scale_parts: array<f32>;    // [rows of a tile / 4, LANES]
@group(0) @binding(23) var<storage, read> scale_parts_in: array<f32>;       // [count]
@group(0) @binding(24) var<storage, read_write> scale_sums: array<f32>;     // [total]
@group(0) @binding(25) var<storage, read> scale_sums_in: array<f32>;        // [count]
@group(0) @binding(26) var<storage, read_write> dlog_scale: array<f32>;     // [1]

// select, because min may drop a NaN.
fn scale_now() -> f32 { return exp_of(select(log_scale[0], params.max_log_scale, log_scale[0] > params.max_log_scale)); }

// Rows i to i + 3 of the tile; behind the last one that one again, so that every load stays inside.
fn four_rows(i: u32) -> vec4u { return min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(params.rows - 1u)); }

// Without groups each row is its own.
fn row_group(i: u32) -> u32 {
  if (GROUPED) { return group_of[params.row0 + i]; }
  return params.row0 + i;
}

fn row_groups(rows: vec4u) -> vec4u { return vec4u(row_group(rows.x), row_group(rows.y), row_group(rows.z), row_group(rows.w)); }

fn col_group(j: u32) -> u32 {
  if (GROUPED) { return group_of[params.col0 + j]; }
  return params.col0 + j;
}

// Four softmaxes side by side, each of a maximum and the sum of exponentials above it.
struct States { m: vec4f, l: vec4f }

// One more negative each. The one exp belongs to the smaller of c and m: either c is added, or what is there shrinks.
fn absorb(state: States, c: vec4f, s: f32, skip: vec4<bool>) -> States {
  let d = c - state.m;
  let e = exp_neg4(-s * abs(d));
  let above = d > vec4f(0.0); // false for NaN, which has to reach the sum and not the maximum
  let m = select(state.m, c, above);
  let l = select(state.l + e, state.l * e + 1.0, above);
  return States(select(m, state.m, skip), select(l, state.l, skip));
}

fn join(a: vec2f, b: vec2f, s: f32) -> vec2f {
  let m = max(a.x, b.x);
  return vec2f(m, a.y * exp_neg_of(s * (a.x - m)) + b.y * exp_neg_of(s * (b.x - m)));
}

fn reduce_rows(id: u32, s: f32) {
  let i = 4u * (id / LANES);
  let t = id % LANES;
  let rows = four_rows(i);
  let start = rows * params.cols;
  let groups = row_groups(rows);
  var state = States(vec4f(NONE), vec4f(0.0));
  for (var j = t; j < params.cols; j += LANES) {
    let c = vec4f(tile[start.x + j], tile[start.y + j], tile[start.z + j], tile[start.w + j]);
    state = absorb(state, c, s, groups == vec4u(col_group(j)));
  }
  for (var k = 0u; k < min(4u, params.rows - i); k++) { partials[(i + k) * LANES + t] = vec2f(state.m[k], state.l[k]); }
}

// Neighbouring columns, row by row: a cache line of the tile is read to its end before the next row, which may lie in the same set.
fn reduce_cols(id: u32, s: f32) {
  let quads = (params.cols + 3u) / 4u;
  let part = id / quads;
  let j = 4u * (id % quads);
  let cols = min(vec4u(j, j + 1u, j + 2u, j + 3u), vec4u(params.cols - 1u));
  let end = min((part + 1u) * SEGMENT, params.rows);
  let groups = vec4u(col_group(cols.x), col_group(cols.y), col_group(cols.z), col_group(cols.w));
  var state = States(vec4f(NONE), vec4f(0.0));
  for (var i = part * SEGMENT; i < end; i++) {
    let at = cols + i * params.cols;
    state = absorb(state, vec4f(tile[at.x], tile[at.y], tile[at.z], tile[at.w]), s, groups == vec4u(row_group(i)));
  }
  let first = params.rows * LANES + part * params.cols + j;
  for (var k = 0u; k < min(4u, params.cols - j); k++) { partials[first + k] = vec2f(state.m[k], state.l[k]); }
}

// Maximum and sum of parts of the rows and of the columns, and the positives of a tile on the diagonal.
@compute @workgroup_size(WG)
fn reduce(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let for_rows = ((params.rows + 3u) / 4u) * LANES;
  let s = scale_now();
  if (id < for_rows) {
    reduce_rows(id, s);
  } else if (id - for_rows < params.segments * ((params.cols + 3u) / 4u)) {
    reduce_cols(id - for_rows, s);
  }
  if (params.row0 == params.col0 && id < params.rows) { positives[params.row0 + id] = tile[id * params.cols + id]; }
}

fn soften(state: vec2f, c: f32, s: f32, at: u32) -> f32 {
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
  softened[at] = coefficients;
  terms[at] = term;
  return s * c + term;
}

// running takes in the parts of this tile, in order, rows before columns; a row (column) whose last tile this is gets its loss.
@compute @workgroup_size(WG)
fn merge(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.rows + params.cols) { return; }
  let is_row = id < params.rows;
  let item = select(params.col0 + id - params.rows, params.row0 + id, is_row);
  let at = select(params.total + item, item, is_row);
  let begin = select(params.rows * LANES + id - params.rows, id * LANES, is_row);
  let step = select(params.cols, 1u, is_row);
  let parts = select(params.segments, LANES, is_row);
  let before = select(params.row0, params.col0, is_row);
  let behind = select(params.row0 + params.rows, params.col0 + params.cols, is_row);
  let s = scale_now();
  var state = vec2f(NONE, 0.0);
  if (before != 0u) { state = running[at]; }
  for (var k = 0u; k < parts; k++) { state = join(state, partials_in[begin + k * step], s); }
  if (behind < params.total) {
    running[at] = state;
    return;
  }
  let lse = soften(state, positive[item], s, at);
  if (is_row) { lse_rows[item] = lse; } else { lse_cols[item] = lse; }
}

@compute @workgroup_size(WG)
fn sum_terms(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.count) { return; }
  var sum = vec2f(0.0);
  for (var i = id; i < params.total; i += params.count) { sum += vec2f(terms_in[i], terms_in[params.total + i]); }
  sums[id] = sum;
}

@compute @workgroup_size(1)
fn mean_terms() {
  var sum = vec2f(0.0);
  for (var k = 0u; k < params.count; k++) { sum += sums_in[k]; }
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
  let i = 4u * (id / LANES);
  if (i >= params.rows) { return; }
  let s = scale_now();
  let factor = s * dloss[0] / (2.0 * f32(params.total));
  let rows = four_rows(i);
  let start = rows * params.cols;
  let groups = row_groups(rows);
  let pairs = vec4u(params.row0) + rows;
  let r0 = softened_in[pairs.x];
  let r1 = softened_in[pairs.y];
  let r2 = softened_in[pairs.z];
  let r3 = softened_in[pairs.w];
  let most = vec4f(r0.x, r1.x, r2.x, r3.x);
  let each = vec4f(r0.y, r1.y, r2.y, r3.y);
  let mass = vec4f(r0.z, r1.z, r2.z, r3.z);
  let own = vec4f(r0.w, r1.w, r2.w, r3.w);
  var along = vec4f(0.0);
  for (var j = id % LANES; j < params.cols; j += LANES) {
    let c = vec4f(gradient[start.x + j], gradient[start.y + j], gradient[start.z + j], gradient[start.w + j]);
    let k = softened_in[params.total + params.col0 + j];
    let skip = groups == vec4u(col_group(j));
    let p = select(exp_neg4(s * (c - most)) * each, vec4f(0.0), skip);
    let q = select(exp_neg4(s * (c - k.x)) * k.y, vec4f(0.0), skip);
    along += p * (c - own) + q * (c - k.w);
    let g = select(p + q, -(mass + k.z), pairs == vec4u(params.col0 + j)) * factor;
    gradient[start.x + j] = g.x; // a row that stands for one behind the last is written again with the same value
    gradient[start.y + j] = g.y;
    gradient[start.z + j] = g.z;
    gradient[start.w + j] = g.w;
  }
  along = select(along, vec4f(0.0), vec4u(i, i + 1u, i + 2u, i + 3u) >= vec4u(params.rows));
  let sum = (along.x + along.y) + (along.z + along.w);
  let earlier = select(scale_parts[id], 0.0, params.first == 1u);
  scale_parts[id] = earlier + sum * s;
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
