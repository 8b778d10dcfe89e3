// rmsNorm as in rms_norm.wgsl, with a workgroup per row: neighbours read neighbouring words, sums meet in workgroup memory in a fixed order.
// For GPUs, where one invocation per row leaves most of the machine idle. Elem is f32, or vec4f where cols is a multiple of four.
override WG: u32 = 256u;  // a power of two, at most 256
override WIDTH: u32 = 1u; // floats per Elem
const BLOCK = 64u;

struct Params { rows: u32, cols: u32, eps: f32, unit_offset: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;           // [rows, cols]
@group(0) @binding(2) var<storage, read> weight: array<WeightStored>; // [cols]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;        // [rows, cols]
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;      // [rows]
@group(0) @binding(5) var<storage, read> saved: array<f32>;           // [rows], rstd of the forward
@group(0) @binding(6) var<storage, read> dy: array<Elem>;             // [rows, cols]
@group(0) @binding(7) var<storage, read_write> dx: array<Elem>;       // [rows, cols]

var<workgroup> parts: array<f32, 256>;

fn total(v: Elem) -> f32 {
  let all = vec4f(v);
  if (WIDTH == 1u) { return all.x; }
  return (all.x + all.y) + (all.z + all.w);
}

// The sum over the workgroup, in every invocation of it.
fn sum_over_group(mine: f32, lane: u32) -> f32 {
  parts[lane] = mine;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { parts[lane] += parts[lane + half]; }
  }
  workgroupBarrier();
  let sum = parts[0];
  workgroupBarrier(); // the next one writes where this one is read
  return sum;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x + wid.y * nwg.x;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  var squares = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      let v = load_x(start + c);
      part += v * v;
    }
    squares += part;
  }
  let r = 1.0 / sqrt(sum_over_group(total(squares), lane) / f32(params.cols) + params.eps);
  if (lane == 0u) { rstd[row] = r; }
  for (var c = lane; c < n; c += WG) { y[start + c] = load_x(start + c) * r * (load_weight(c) + params.unit_offset); }
}

// dx = rstd * (g - xhat * mean(g * xhat)), g = dy * (weight + unit_offset), xhat = x * rstd.
@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x + wid.y * nwg.x;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  let r = saved[row];
  var along = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      part += dy[start + c] * (load_weight(c) + params.unit_offset) * (load_x(start + c) * r);
    }
    along += part;
  }
  let mean_along = sum_over_group(total(along), lane) / f32(params.cols);
  for (var c = lane; c < n; c += WG) {
    dx[start + c] = r * (dy[start + c] * (load_weight(c) + params.unit_offset) - load_x(start + c) * r * mean_along);
  }
}
