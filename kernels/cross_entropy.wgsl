// crossEntropy: loss = mean over the valid rows of log(sum(exp(x))) - x[target].
// One invocation per row, no barrier: forward leaves each row's shift and sum, so that backward is one elementwise pass. The mean runs in two
// fixed stages. Shift and sum stay apart, because log-sum-exp of logits near 1000 would round to 6e-5.
// The largest term of the sum is 1 and stays apart too: log(1 + rest) and rest / (1 + rest) keep the digits of a loss near 0. A target that is no class makes the loss NaN: a GPU cannot throw.
// uses: exp_neg_of, log1p_of
override WG: u32 = 32u;
const BLOCK = 64u;

struct Params { rows: u32, cols: u32, ignore: u32, lanes: u32, nan: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;                 // [rows, cols]
@group(0) @binding(2) var<storage, read> targets: array<u32>;           // [rows]
@group(0) @binding(3) var<storage, read_write> rows_out: array<vec4f>;  // [rows] of shift, 1 / sum, loss, rest / sum or -1 where the row does not count
@group(0) @binding(4) var<storage, read> rows_in: array<vec4f>;         // [rows], rows_out of the forward
@group(0) @binding(5) var<storage, read_write> partials: array<vec2f>;  // [lanes] of loss, count
@group(0) @binding(6) var<storage, read> partials_in: array<vec2f>;     // [lanes]
@group(0) @binding(7) var<storage, read_write> loss: array<f32>;        // [1]
@group(0) @binding(8) var<storage, read_write> share: array<f32>;       // [1], 1 / counted rows, or 0
@group(0) @binding(9) var<storage, read> saved: array<f32>;             // [1], share of the forward
@group(0) @binding(10) var<storage, read> dy: array<f32>;               // [1]
@group(0) @binding(11) var<storage, read_write> dx: array<f32>;         // [rows, cols]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let start = row * params.cols;
  var shift = load_x(start);
  var top = 0u;
  for (var c = 1u; c < params.cols; c++) {
    let v = load_x(start + c);
    if (v > shift) {
      shift = v;
      top = c;
    }
  }
  var rest = 0.0;
  for (var at = 0u; at < params.cols; at += BLOCK) {
    let end = min(at + BLOCK, params.cols);
    var part = 0.0;
    for (var c = at; c < end; c++) { part += select(exp_neg_of(load_x(start + c) - shift), 0.0, c == top); }
    rest += part;
  }
  let t = targets[row];
  let counts = t != params.ignore;
  var row_loss = 0.0;
  if (counts) { row_loss = log1p_of(rest) + (shift - load_x(start + min(t, params.cols - 1u))); }
  if (counts && t >= params.cols) { row_loss = bitcast<f32>(params.nan); }
  rows_out[row] = vec4f(shift, 1.0 / (1.0 + rest), row_loss, select(-1.0, rest / (1.0 + rest), counts));
}

@compute @workgroup_size(WG)
fn sum_rows(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.lanes) { return; }
  var sum = vec2f(0.0);
  var row = id;
  while (row < params.rows) { // sums of 16, then their sum: equal rows round alike
    var part = vec2f(0.0);
    for (var k = 0u; k < 16u && row < params.rows; k++) {
      let r = rows_in[row];
      part += vec2f(r.z, select(1.0, 0.0, r.w < 0.0));
      row += params.lanes;
    }
    sum += part;
  }
  partials[id] = sum;
}

@compute @workgroup_size(1)
fn mean_rows() {
  var sum = vec2f(0.0);
  for (var at = 0u; at < params.lanes; at += 12u) {
    var part = vec2f(0.0);
    for (var k = at; k < min(at + 12u, params.lanes); k++) { part += partials_in[k]; }
    sum += part;
  }
  let fraction = select(0.0, 1.0 / max(sum.y, 1.0), sum.y > 0.0);
  loss[0] = sum.x * fraction;
  share[0] = fraction;
}

// dx[r, c] = (softmax(x[r])[c] - [c = target]) * dy / counted rows; a row that does not count gets 0.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.rows * params.cols) { return; }
  let row = id / params.cols;
  let r = rows_in[row];
  let v = load_x(id);
  var p = exp_neg_of(v - r.x) * r.y;
  if (id - row * params.cols == targets[row]) { p = select(p - 1.0, -r.w, v == r.x); }
  dx[id] = p * (select(1.0, 0.0, r.w < 0.0) * saved[0] * dy[0]);
}
