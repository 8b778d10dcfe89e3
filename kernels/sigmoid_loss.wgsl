// sigmoidLoss: every pair is a yes or no of its own, loss = 1/N sum_ij softplus(-z_ij l_ij), l = exp(log_scale) p y^T + bias, z = 1 on the diagonal and -1 off it
// (Zhai et al. 2023, arXiv 2303.15343). No normaliser, so tiles of c = p y^T come one after the other; LANES invocations share a row of a tile and keep
// their sums over all tiles. No barrier, no float atomics; every sum has a fixed order.
// uses: exp_of, softplus4, sigmoid4
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

// select, because min may drop a NaN.
fn scale_now() -> f32 { return exp_of(select(log_scale[0], params.max_log_scale, log_scale[0] > params.max_log_scale)); }

// 1 for the pair itself, -1 for a negative, 0 for a pair that is left out or outside the tile.
fn role(tile_row: u32, tile_col: u32) -> f32 {
  if (tile_col >= params.cols) { return 0.0; }
  let i = params.row0 + tile_row;
  let j = params.col0 + tile_col;
  if (i == j) { return 1.0; }
  if (GROUPED) { return select(-1.0, 0.0, group_of[i] == group_of[j]); }
  return -1.0;
}

fn roles(i: u32, j: u32) -> vec4f { return vec4f(role(i, j), role(i, j + LANES), role(i, j + 2u * LANES), role(i, j + 3u * LANES)); }

fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let i = id / LANES;
  if (i >= params.rows) { return; }
  let s = scale_now();
  let b = bias[0];
  let start = i * params.cols;
  let last = params.cols - 1u;
  var sum = 0.0;
  for (var j = id % LANES; j < params.cols; j += 4u * LANES) {
    let z = roles(i, j);
    let c = vec4f(tile[start + j], tile[start + min(j + LANES, last)], tile[start + min(j + 2u * LANES, last)], tile[start + min(j + 3u * LANES, last)]);
    sum += total(select(softplus4(-z * (s * c + b)), vec4f(0.0), z == vec4f(0.0)));
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
  let start = i * params.cols;
  let last = params.cols - 1u;
  let factor = dloss[0] / f32(params.total);
  var along = 0.0;
  var sum = 0.0;
  for (var j = id % LANES; j < params.cols; j += 4u * LANES) {
    let z = roles(i, j);
    let c = vec4f(gradient[start + j], gradient[start + min(j + LANES, last)], gradient[start + min(j + 2u * LANES, last)], gradient[start + min(j + 3u * LANES, last)]);
    let g = select(-z * sigmoid4(-z * (s * c + b)) * factor, vec4f(0.0), z == vec4f(0.0));
    along += total(select(g * c, vec4f(0.0), z == vec4f(0.0)));
    sum += total(g);
    for (var k = 0u; k < 4u; k++) {
      let at = j + k * LANES;
      if (at < params.cols) { gradient[start + at] = g[k] * s; }
    }
  }
  along *= select(0.0, s, log_scale[0] <= params.max_log_scale); // a clamped scale has no gradient
  if (params.first == 0u) {
    along += scale_parts[id];
    sum += bias_parts[id];
  }
  scale_parts[id] = along;
  bias_parts[id] = sum;
}
