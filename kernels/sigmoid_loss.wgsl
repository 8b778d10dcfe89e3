// sigmoidLoss: every pair is a yes or no of its own, loss = 1/N sum_ij softplus(-z_ij l_ij), l = exp(log_scale) p y^T + bias, z = 1 on the diagonal and -1 off it
// (Zhai et al. 2023, arXiv 2303.15343). No normaliser, so tiles of c = p y^T come one after the other; LANES invocations share a row of a tile and keep
// their sums over all tiles. No barrier, no float atomics; every sum has a fixed order.
override WG: u32 = 64u;
override LANES: u32 = 32u;      // invocations that share a row: neighbours read neighbouring columns
override GROUPED: bool = false; // without groups the binding holds a dummy that is never read

struct Params { rows: u32, cols: u32, row0: u32, col0: u32, first: u32, total: u32, max_log_scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tile: array<f32>;               // [rows, cols] products of rows row0.., columns col0..
@group(0) @binding(2) var<storage, read> log_scale: array<f32>;          // [1]
@group(0) @binding(3) var<storage, read> bias: array<f32>;               // [1]
@group(0) @binding(4) var<storage, read> group_of: array<u32>;           // [total]
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;        // [rows of a tile, LANES]
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;     // [rows, cols], products in, gradient of the products out
@group(0) @binding(7) var<storage, read> dloss: array<f32>;              // [1]
@group(0) @binding(8) var<storage, read_write> scale_parts: array<f32>;  // [rows of a tile, LANES]
@group(0) @binding(9) var<storage, read_write> bias_parts: array<f32>;   // [rows of a tile, LANES]

// e^x within 2 units in the last place: the built-in may be 3 + 2|x| off.
fn exp_of(x: f32) -> f32 {
  let t = clamp(x, -87.0, 88.0);
  let n = floor(t * 1.44269504 + 0.5);
  let r = (t - n * 0.693359375) + n * 2.12194440e-4;
  let q = 1.0 + r * (1.0 + r * (0.5 + r * (0.166666667 + r * (0.0416666667 + r * (0.00833333333 + r * (0.00138888889 + r * 0.000198412698))))));
  return q * bitcast<f32>(u32(i32(n) + 127) << 23u);
}

// log(1 + u) for 0 <= u <= 1.
fn log1p_of(u: f32) -> f32 {
  let s = u / (2.0 + u);
  let q = s * s;
  return 2.0 * s * (1.0 + q * (0.333333333 + q * (0.2 + q * (0.142857143 + q * (0.111111111 + q * (0.0909090909 + q * (0.0769230769 + q * 0.0666666667)))))));
}

// Clamps and maxima may swallow a NaN; a loss must not. The comparison is on bits because compilers fold x != x.
fn keep_nan(x: f32, value: f32) -> f32 {
  return select(value, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

fn softplus(x: f32) -> f32 { return keep_nan(x, max(x, 0.0) + log1p_of(exp_of(-abs(x)))); }

fn sigmoid(x: f32) -> f32 {
  let e = exp_of(-abs(x));
  return keep_nan(x, select(e, 1.0, x >= 0.0) / (1.0 + e));
}

fn scale_now() -> f32 { return keep_nan(log_scale[0], exp_of(min(log_scale[0], params.max_log_scale))); }

// 1 for the pair itself, 0 for a pair that is left out, -1 for a negative.
fn role(i: u32, j: u32) -> f32 {
  if (i == j) { return 1.0; }
  if (GROUPED) { return select(-1.0, 0.0, group_of[i] == group_of[j]); }
  return -1.0;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = id / LANES;
  if (i >= params.rows) { return; }
  let s = scale_now();
  let b = bias[0];
  var sum = 0.0;
  for (var j = id % LANES; j < params.cols; j += LANES) {
    let z = role(params.row0 + i, params.col0 + j);
    if (z != 0.0) { sum += softplus(-z * (s * tile[i * params.cols + j] + b)); }
  }
  if (params.first == 0u) { sum += parts[id]; }
  parts[id] = sum;
}

// In place: gradient[i, j] = d loss / d (p y^T)_ij = -z sigmoid(-z l) s dloss / N; beside it the sums for log_scale and bias.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = id / LANES;
  if (i >= params.rows) { return; }
  let s = scale_now();
  let b = bias[0];
  let factor = dloss[0] / f32(params.total);
  var along = 0.0;
  var sum = 0.0;
  for (var j = id % LANES; j < params.cols; j += LANES) {
    let at = i * params.cols + j;
    let c = gradient[at];
    let z = role(params.row0 + i, params.col0 + j);
    var g = 0.0;
    if (z != 0.0) {
      g = -z * sigmoid(-z * (s * c + b)) * factor;
      along += g * c;
      sum += g;
    }
    gradient[at] = g * s;
  }
  along *= select(0.0, s, log_scale[0] <= params.max_log_scale); // a clamped scale has no gradient
  if (params.first == 0u) {
    along += scale_parts[id];
    sum += bias_parts[id];
  }
  scale_parts[id] = along;
  bias_parts[id] = sum;
}
