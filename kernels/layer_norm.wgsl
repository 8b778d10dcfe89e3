// layerNorm: y = (x - mean) * rstd * weight + bias per row, rstd = 1 / sqrt(var + eps), biased variance (Ba et al. 2016, arXiv 1607.06450).
// One invocation per row, no barrier. Elem is f32, or vec4f where cols is a multiple of four; sums go in blocks to keep their error small.
override WG: u32 = 32u;
override WIDTH: u32 = 1u; // floats per Elem
const BLOCK = 64u;

struct Params { rows: u32, cols: u32, eps: f32, chunk_rows: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;             // [rows, cols]
@group(0) @binding(2) var<storage, read> weight: array<WeightStored>;        // [cols]
@group(0) @binding(3) var<storage, read> bias: array<BiasStored>;          // [cols]
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;       // [rows, cols]
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;  // [rows] of mean, rstd
@group(0) @binding(6) var<storage, read> saved: array<vec2f>;        // [rows], stats of the forward
@group(0) @binding(7) var<storage, read> dy: array<Elem>;            // [rows, cols]
@group(0) @binding(8) var<storage, read_write> dx: array<Elem>;      // [rows, cols]
@group(0) @binding(9) var<storage, read_write> partials: array<Elem>; // [chunks, cols]

fn total(v: Elem) -> f32 {
  let all = vec4f(v);
  if (WIDTH == 1u) { return all.x; }
  return (all.x + all.y) + (all.z + all.w);
}

// The mean is taken out before squaring, so a row of 1000 ± 1e-2 keeps its variance; what the mean of the differences still is was its rounding error.
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;

  var sum = Elem(0.0);
  for (var at = 0u; at < n; at += BLOCK) {
    let end = min(at + BLOCK, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c++) { part += load_x(start + c); }
    sum += part;
  }
  let rounded = total(sum) / f32(params.cols);

  var off = Elem(0.0);
  var squares = Elem(0.0);
  for (var at = 0u; at < n; at += BLOCK) {
    let end = min(at + BLOCK, n);
    var part_off = Elem(0.0);
    var part = Elem(0.0);
    for (var c = at; c < end; c++) {
      let d = load_x(start + c) - rounded;
      part_off += d;
      part += d * d;
    }
    off += part_off;
    squares += part;
  }
  let shift = total(off) / f32(params.cols);
  let rstd = 1.0 / sqrt(total(squares) / f32(params.cols) - shift * shift + params.eps);

  stats[row] = vec2f(rounded + shift, rstd);
  for (var c = 0u; c < n; c++) { y[start + c] = ((load_x(start + c) - rounded) - shift) * rstd * load_weight(c) + load_bias(c); }
}

// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * weight, xhat = (x - mean) * rstd.
@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  let mean = saved[row].x;
  let rstd = saved[row].y;

  var sum = Elem(0.0);
  var along = Elem(0.0);
  for (var at = 0u; at < n; at += BLOCK) {
    let end = min(at + BLOCK, n);
    var part = Elem(0.0);
    var part_along = Elem(0.0);
    for (var c = at; c < end; c++) {
      let g = dy[start + c] * load_weight(c);
      part += g;
      part_along += g * ((load_x(start + c) - mean) * rstd);
    }
    sum += part;
    along += part_along;
  }
  let mean_g = total(sum) / f32(params.cols);
  let mean_along = total(along) / f32(params.cols);
  for (var c = 0u; c < n; c++) {
    let xhat = (load_x(start + c) - mean) * rstd;
    dx[start + c] = rstd * (dy[start + c] * load_weight(c) - mean_g - xhat * mean_along);
  }
}

// partials[k, c] = sum over the rows of chunk k of dy * xhat; the chunks are summed in order afterwards.
@compute @workgroup_size(WG)
fn backward_weight(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = params.cols / WIDTH;
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let first = (id / n) * params.chunk_rows;
  if (first >= params.rows) { return; }
  let c = id % n;
  let end = min(first + params.chunk_rows, params.rows);
  var sum = Elem(0.0);
  for (var row = first; row < end; row++) {
    let s = saved[row];
    sum += dy[row * n + c] * ((load_x(row * n + c) - s.x) * s.y);
  }
  partials[id] = sum;
}
