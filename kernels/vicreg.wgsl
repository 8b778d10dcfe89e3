// Variance and covariance terms of vicregLoss from products of centred columns, S = xc^T xc [D, D] (Bardes et al. 2022, arXiv 2105.04906, equations 1 to 4).
override WG: u32 = 64u;
const BLOCK = 32u;

struct Params { count: u32, dims: u32, rows: u32, gamma: f32, eps: f32, variance: f32, covariance: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;                 // [rows, dims]
@group(0) @binding(2) var<storage, read> column_sums: array<f32>;       // [dims]
@group(0) @binding(3) var<storage, read_write> centred: array<f32>;     // [rows, dims]
@group(0) @binding(4) var<storage, read> products: array<f32>;          // [dims, dims]
@group(0) @binding(5) var<storage, read_write> hinges: array<f32>;      // [dims] max(0, gamma - std)
@group(0) @binding(6) var<storage, read_write> squares: array<f32>;     // [dims] sum of squared covariances with the other columns
@group(0) @binding(7) var<storage, read> dloss: array<f32>;             // [1]
@group(0) @binding(8) var<storage, read_write> gradient: array<f32>;    // [dims, dims] G with dx = xc G

@compute @workgroup_size(WG)
fn center(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.count) { return; }
  centred[i] = x[i] - column_sums[i % params.dims] / f32(params.rows);
}

fn deviation(i: u32) -> f32 { return sqrt(products[i * params.dims + i] / f32(params.rows - 1u) + params.eps); }

@compute @workgroup_size(WG)
fn terms(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.dims) { return; }
  var sum = 0.0;
  for (var at = 0u; at < params.dims; at += BLOCK) {
    let end = min(at + BLOCK, params.dims);
    var part = 0.0;
    for (var j = at; j < end; j++) {
      let c = products[j * params.dims + i] / f32(params.rows - 1u); // symmetric: neighbours read neighbours
      if (i != j) { part += c * c; }
    }
    sum += part;
  }
  let gap = params.gamma - deviation(i);
  hinges[i] = select(gap, 0.0, gap < 0.0); // in this order a NaN stays one
  squares[i] = sum;
}

// G_ij = 4 covariance / (D (n - 1)) C_ij off the diagonal; on it -variance / (D (n - 1) std_i) where the hinge is open.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = (wid.x + wid.y * nwg.x) * WG + lane;
  if (at >= params.dims * params.dims) { return; }
  let i = at / params.dims;
  let factor = dloss[0] / (f32(params.dims) * f32(params.rows - 1u));
  var g = 4.0 * params.covariance * products[at] / f32(params.rows - 1u);
  if (at == i * params.dims + i) {
    let s = deviation(i);
    g = select(-params.variance / s, 0.0, params.gamma < s);
  }
  gradient[at] = g * factor;
}
