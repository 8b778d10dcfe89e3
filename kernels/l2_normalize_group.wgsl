// l2Normalize as in l2_normalize.wgsl, with a workgroup per row: neighbours read neighbouring words, sums meet in workgroup memory in a fixed order.
// For GPUs, where one invocation per row leaves most of the machine idle. Elem is f32, or vec4f where cols is a multiple of four.
override WG: u32 = 256u;  // a power of two, at most 256
override WIDTH: u32 = 1u; // floats per Elem
const BLOCK = 64u;
const TINY = 1e-37; // divisor of an all-zero row

struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;      // [rows, cols]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;   // [rows, cols]
@group(0) @binding(3) var<storage, read_write> norm: array<f32>; // [rows], |x| without eps
@group(0) @binding(4) var<storage, read> out: array<Elem>;       // [rows, cols], y of the forward
@group(0) @binding(5) var<storage, read> saved: array<f32>;      // [rows], norm of the forward
@group(0) @binding(6) var<storage, read> dy: array<Elem>;        // [rows, cols]
@group(0) @binding(7) var<storage, read_write> dx: array<Elem>;  // [rows, cols]

var<workgroup> parts: array<f32, 256>;

fn total(v: Elem) -> f32 {
  let all = vec4f(v);
  if (WIDTH == 1u) { return all.x; }
  return (all.x + all.y) + (all.z + all.w);
}

// The larger of two numbers that are not negative, by their bits: those of a NaN are the largest of all, where max may drop it.
fn longer(a: f32, b: f32) -> f32 { return bitcast<f32>(max(bitcast<u32>(a) & 0x7fffffffu, bitcast<u32>(b))); }

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

fn largest(v: Elem) -> f32 {
  let all = vec4f(v);
  return max(max(all.x, all.y), max(all.z, all.w));
}

// The largest over the workgroup, in every invocation of it.
fn most_over_group(mine: f32, lane: u32) -> f32 {
  parts[lane] = mine;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { parts[lane] = max(parts[lane], parts[lane + half]); }
  }
  workgroupBarrier();
  let most = parts[0];
  workgroupBarrier();
  return most;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x + wid.y * nwg.x;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  var most = Elem(0.0);
  for (var c = lane; c < n; c += WG) { most = max(most, abs(load_x(start + c))); }
  let unit = max(most_over_group(largest(most), lane), TINY);

  var squares = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      let v = load_x(start + c) / unit;
      part += v * v;
    }
    squares += part;
  }
  let length = unit * sqrt(sum_over_group(total(squares), lane));
  if (lane == 0u) { norm[row] = length; }
  let divisor = longer(length, params.eps);
  for (var c = lane; c < n; c += WG) { y[start + c] = load_x(start + c) / divisor; }
}

// dx = (dy - y * (y . dy)) / |x|; a row shorter than eps was only divided by eps.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x + wid.y * nwg.x;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  let divisor = longer(saved[row], params.eps);
  var along = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      part += out[start + c] * dy[start + c];
    }
    along += part;
  }
  let radial = select(0.0, sum_over_group(total(along), lane), saved[row] > params.eps);
  for (var c = lane; c < n; c += WG) { dx[start + c] = (dy[start + c] - out[start + c] * radial) / divisor; }
}
