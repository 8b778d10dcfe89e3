// layerNorm as in layer_norm.wgsl, with a workgroup per row: neighbours read neighbouring words, sums meet in workgroup memory in a fixed order.
// For GPUs, where one invocation per row leaves most of the machine idle. Elem is f32, or vec4f where cols is a multiple of four.
override WG: u32 = 256u;  // a power of two, at most 256
override WIDTH: u32 = 1u; // floats per Elem
const BLOCK = 64u;

struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;             // [rows, cols]
@group(0) @binding(2) var<storage, read> weight: array<WeightStored>;   // [cols]
@group(0) @binding(3) var<storage, read> bias: array<BiasStored>;       // [cols]
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;          // [rows, cols]
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;     // [rows] of mean, rstd
@group(0) @binding(6) var<storage, read> saved: array<vec2f>;           // [rows], stats of the forward
@group(0) @binding(7) var<storage, read> dy: array<Elem>;               // [rows, cols]
@group(0) @binding(8) var<storage, read_write> dx: array<Elem>;         // [rows, cols]

var<workgroup> parts: array<vec2f, 256>;

fn total(v: Elem) -> f32 {
  let all = vec4f(v);
  if (WIDTH == 1u) { return all.x; }
  return (all.x + all.y) + (all.z + all.w);
}

// Both sums over the workgroup, in every invocation of it.
fn sum_over_group(mine: vec2f, lane: u32) -> vec2f {
  parts[lane] = mine;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { parts[lane] += parts[lane + half]; }
  }
  workgroupBarrier();
  let sum = parts[0];
  workgroupBarrier(); // the next sum writes where this one is read
  return sum;
}

// The mean is taken out before squaring, so a row of 1000 ± 1e-2 keeps its variance; what the mean of the differences still is was its rounding error.
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x + wid.y * nwg.x;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;

  var sum = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) { part += load_x(start + c); }
    sum += part;
  }
  let rounded = sum_over_group(vec2f(total(sum), 0.0), lane).x / f32(params.cols);

  var off = Elem(0.0);
  var squares = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part_off = Elem(0.0);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      let d = load_x(start + c) - rounded;
      part_off += d;
      part += d * d;
    }
    off += part_off;
    squares += part;
  }
  let both = sum_over_group(vec2f(total(off), total(squares)), lane) / f32(params.cols);
  let rstd = 1.0 / sqrt(both.y - both.x * both.x + params.eps);

  if (lane == 0u) { stats[row] = vec2f(rounded + both.x, rstd); }
  for (var c = lane; c < n; c += WG) { y[start + c] = ((load_x(start + c) - rounded) - both.x) * rstd * load_weight(c) + load_bias(c); }
}

// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * weight, xhat = (x - mean) * rstd.
@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x + wid.y * nwg.x;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  let mean = saved[row].x;
  let rstd = saved[row].y;

  var sum = Elem(0.0);
  var along = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    var part_along = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      let g = dy[start + c] * load_weight(c);
      part += g;
      part_along += g * ((load_x(start + c) - mean) * rstd);
    }
    sum += part;
    along += part_along;
  }
  let means = sum_over_group(vec2f(total(sum), total(along)), lane) / f32(params.cols);
  for (var c = lane; c < n; c += WG) {
    let xhat = (load_x(start + c) - mean) * rstd;
    dx[start + c] = rstd * (dy[start + c] * load_weight(c) - means.x - xhat * means.y);
  }
}
