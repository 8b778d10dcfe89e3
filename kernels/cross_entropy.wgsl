// crossEntropy: loss = mean over the valid rows of log(sum(exp(x))) - load_x(target).
// One invocation per row, no barrier: forward leaves each row's shift and sum, so that backward is one elementwise pass. The mean runs in two
// fixed stages. Shift and sum stay apart, because log-sum-exp of logits near 1000 would round to 6e-5. A target that is no class makes the loss NaN: a GPU cannot throw.
// uses: exp_neg_of, log_of
override WG: u32 = 32u;
const BLOCK = 64u;

struct Params { rows: u32, cols: u32, ignore: u32, lanes: u32, nan: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;                 // [rows, cols]
@group(0) @binding(2) var<storage, read> targets: array<u32>;           // [rows]
@group(0) @binding(3) var<storage, read_write> rows_out: array<vec4f>;  // [rows] of shift, 1 / sum, loss, 1 = counts
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
  for (var c = 1u; c < params.cols; c++) { shift = max(shift, load_x(start + c)); }
  var sum = 0.0;
  for (var at = 0u; at < params.cols; at += BLOCK) {
    let end = min(at + BLOCK, params.cols);
    var part = 0.0;
    for (var c = at; c < end; c++) { part += exp_neg_of(load_x(start + c) - shift); }
    sum += part;
  }
  let t = targets[row];
  let counts = t != params.ignore;
  var row_loss = 0.0;
  if (counts) { row_loss = log_of(sum) + (shift - load_x(start + min(t, params.cols - 1u))); }
  if (counts && t >= params.cols) { row_loss = bitcast<f32>(params.nan); }
  rows_out[row] = vec4f(shift, 1.0 / sum, row_loss, select(0.0, 1.0, counts));
}

@compute @workgroup_size(WG)
fn sum_rows(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.lanes) { return; }
  var sum = vec2f(0.0);
  for (var row = id; row < params.rows; row += params.lanes) { sum += rows_in[row].zw; }
  partials[id] = sum;
}

@compute @workgroup_size(1)
fn mean_rows() {
  var sum = vec2f(0.0);
  for (var k = 0u; k < params.lanes; k++) { sum += partials_in[k]; }
  let fraction = select(0.0, 1.0 / max(sum.y, 1.0), sum.y > 0.0);
  loss[0] = sum.x * fraction;
  share[0] = fraction;
}

// dx[r, c] = (softmax(load_x(r))[c] - [c = target]) * dy / counted rows; a row that does not count gets 0.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.rows * params.cols) { return; }
  let row = id / params.cols;
  let r = rows_in[row];
  let one = select(0.0, 1.0, id - row * params.cols == targets[row]);
  dx[id] = (exp_neg_of(load_x(id) - r.x) * r.y - one) * (r.w * saved[0] * dy[0]);
}
