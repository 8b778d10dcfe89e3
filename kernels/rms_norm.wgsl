// rmsNorm: y = x * rstd * (weight + unit_offset) per row, rstd = 1 / sqrt(mean(x^2) + eps) (Zhang & Sennrich 2019, arXiv 1910.07467).
// One invocation per row, no barrier. Elem is f32, or vec4f where cols is a multiple of four; sums go in blocks to keep their error small.
override WG: u32 = 32u;
override WIDTH: u32 = 1u; // floats per Elem
const BLOCK = 64u;

struct Params { rows: u32, cols: u32, eps: f32, unit_offset: f32, chunk_rows: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;              // [rows, cols]
@group(0) @binding(2) var<storage, read> weight: array<WeightStored>;         // [cols]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;        // [rows, cols]
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;      // [rows]
@group(0) @binding(5) var<storage, read> saved: array<f32>;           // [rows], rstd of the forward
@group(0) @binding(6) var<storage, read> dy: array<Elem>;             // [rows, cols]
@group(0) @binding(7) var<storage, read_write> dx: array<Elem>;       // [rows, cols]
@group(0) @binding(8) var<storage, read_write> partials: array<Elem>; // [chunks, cols]

fn total(v: Elem) -> f32 {
  let all = vec4f(v);
  if (WIDTH == 1u) { return all.x; }
  return (all.x + all.y) + (all.z + all.w);
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  var squares = Elem(0.0);
  for (var at = 0u; at < n; at += BLOCK) {
    let end = min(at + BLOCK, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c++) {
      let v = load_x(start + c);
      part += v * v;
    }
    squares += part;
  }
  let r = 1.0 / sqrt(total(squares) / f32(params.cols) + params.eps);
  rstd[row] = r;
  for (var c = 0u; c < n; c++) { y[start + c] = load_x(start + c) * r * (load_weight(c) + params.unit_offset); }
}

// dx = rstd * (g - xhat * mean(g * xhat)), g = dy * (weight + unit_offset), xhat = x * rstd.
@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  let r = saved[row];
  var along = Elem(0.0);
  for (var at = 0u; at < n; at += BLOCK) {
    let end = min(at + BLOCK, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c++) { part += dy[start + c] * (load_weight(c) + params.unit_offset) * (load_x(start + c) * r); }
    along += part;
  }
  let mean_along = total(along) / f32(params.cols);
  for (var c = 0u; c < n; c++) {
    dx[start + c] = r * (dy[start + c] * (load_weight(c) + params.unit_offset) - load_x(start + c) * r * mean_along);
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
  for (var row = first; row < end; row++) { sum += dy[row * n + c] * (load_x(row * n + c) * saved[row]); }
  partials[id] = sum;
}
