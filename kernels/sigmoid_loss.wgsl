// sigmoidLoss: every pair is a yes or no of its own, loss = 1/N sum_ij softplus(-z_ij l_ij), l = exp(log_scale) p y^T + bias, z = 1 on the diagonal and -1 off it
// (Zhai et al. 2023, arXiv 2303.15343). No normaliser, so tiles of c = p y^T come one after the other; LANES invocations share four rows of a tile and
// keep their sums over all tiles. No barrier, no float atomics; every sum has a fixed order.
// uses: exp_of, softplus4, sigmoid4
override WG: u32 = 64u;
override LANES: u32 = 32u;      // invocations that share four rows: neighbours read neighbouring columns
override GROUPED: bool = false; // without groups the binding holds a dummy that is never read

struct Params { rows: u32, cols: u32, row0: u32, col0: u32, first: u32, total: u32, max_log_scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tile: array<f32>;               // [rows, cols] products of rows row0.., columns col0..
@group(0) @binding(2) var<storage, read> log_scale: array<f32>;          // [1]
@group(0) @binding(3) var<storage, read> bias: array<f32>;               // [1]
@group(0) @binding(4) var<storage, read> group_of: array<u32>;           // [total]
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;        // [rows of a tile / 4, LANES]
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;     // [rows, cols], products in, gradient of the products out
@group(0) @binding(7) var<storage, read> dloss: array<f32>;              // [1]
@group(0) @binding(8) var<storage, read_write> scale_parts: array<f32>;  // [rows of a tile / 4, LANES]
@group(0) @binding(9) var<storage, read_write> bias_parts: array<f32>;   // [rows of a tile / 4, LANES]

// select, because min may drop a NaN.
fn scale_now() -> f32 { return exp_of(select(log_scale[0], params.max_log_scale, log_scale[0] > params.max_log_scale)); }

// Rows i to i + 3 of the tile; behind the last one that one again, so that every load stays inside.
fn four_rows(i: u32) -> vec4u { return min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(params.rows - 1u)); }

fn behind(i: u32) -> vec4<bool> { return vec4u(i, i + 1u, i + 2u, i + 3u) >= vec4u(params.rows); }

fn row_groups(rows: vec4u) -> vec4u {
  if (GROUPED) { return vec4u(group_of[params.row0 + rows.x], group_of[params.row0 + rows.y], group_of[params.row0 + rows.z], group_of[params.row0 + rows.w]); }
  return vec4u(params.row0) + rows; // without groups each row is its own
}

fn col_group(j: u32) -> u32 {
  if (GROUPED) { return group_of[params.col0 + j]; }
  return params.col0 + j;
}

// 1 for the pair itself, -1 for a negative, 0 for a pair that is left out.
fn roles(pairs: vec4u, groups: vec4u, j: u32) -> vec4f {
  let negatives = select(vec4f(-1.0), vec4f(0.0), groups == vec4u(col_group(j)));
  return select(negatives, vec4f(1.0), pairs == vec4u(params.col0 + j));
}

fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = 4u * (id / LANES);
  if (i >= params.rows) { return; }
  let s = scale_now();
  let b = bias[0];
  let rows = four_rows(i);
  let pairs = vec4u(params.row0) + rows;
  let groups = row_groups(rows);
  let start = rows * params.cols;
  var sums = vec4f(0.0);
  for (var j = id % LANES; j < params.cols; j += LANES) {
    let z = roles(pairs, groups, j);
    let c = vec4f(tile[start.x + j], tile[start.y + j], tile[start.z + j], tile[start.w + j]);
    sums += select(softplus4(-z * (s * c + b)), vec4f(0.0), z == vec4f(0.0));
  }
  var sum = total(select(sums, vec4f(0.0), behind(i)));
  if (params.first == 0u) { sum += parts[id]; }
  parts[id] = sum;
}

// In place: gradient[i, j] = d loss / d (p y^T)_ij = -z sigmoid(-z l) s dloss / N; beside it the sums for log_scale and bias.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = 4u * (id / LANES);
  if (i >= params.rows) { return; }
  let s = scale_now();
  let b = bias[0];
  let rows = four_rows(i);
  let pairs = vec4u(params.row0) + rows;
  let groups = row_groups(rows);
  let start = rows * params.cols;
  let factor = dloss[0] / f32(params.total);
  var alongs = vec4f(0.0);
  var sums = vec4f(0.0);
  for (var j = id % LANES; j < params.cols; j += LANES) {
    let z = roles(pairs, groups, j);
    let c = vec4f(gradient[start.x + j], gradient[start.y + j], gradient[start.z + j], gradient[start.w + j]);
    let g = select(-z * sigmoid4(-z * (s * c + b)) * factor, vec4f(0.0), z == vec4f(0.0));
    alongs += select(g * c, vec4f(0.0), z == vec4f(0.0));
    sums += g;
    let out = g * s;
    gradient[start.x + j] = out.x; // a row that stands for one behind the last is written again with the same value
    gradient[start.y + j] = out.y;
    gradient[start.z + j] = out.z;
    gradient[start.w + j] = out.w;
  }
  var along = total(select(alongs, vec4f(0.0), behind(i))) * select(0.0, s, log_scale[0] <= params.max_log_scale); // a clamped scale has no gradient
  var sum = total(select(sums, vec4f(0.0), behind(i)));
  if (params.first == 0u) {
    along += scale_parts[id];
    sum += bias_parts[id];
  }
  scale_parts[id] = along;
  bias_parts[id] = sum;
}
