// softmax as in softmax.wgsl, with a workgroup per row: neighbours read neighbouring words, sums meet in workgroup memory in a fixed order.
// For GPUs, where one invocation per row leaves most of the machine idle. Elem is f32, or vec4f where cols is a multiple of four.
// uses: exp_neg_elem
override WG: u32 = 256u;  // a power of two, at most 256
override WIDTH: u32 = 1u; // floats per Elem
const BLOCK = 64u;

struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;     // [rows, cols]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;  // [rows, cols]
@group(0) @binding(3) var<storage, read> out: array<Elem>;      // [rows, cols], y of the forward
@group(0) @binding(4) var<storage, read> dy: array<Elem>;       // [rows, cols]
@group(0) @binding(5) var<storage, read_write> dx: array<Elem>; // [rows, cols]

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
  var most = load_x(start + lane % n); // a lane beyond the row repeats an element
  for (var c = lane; c < n; c += WG) { most = max(most, load_x(start + c)); }
  let shift = Elem(most_over_group(largest(most), lane));

  var sum = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      let e = exp_neg_elem(load_x(start + c) - shift);
      y[start + c] = e;
      part += e;
    }
    sum += part;
  }
  let inverse = 1.0 / sum_over_group(total(sum), lane);
  for (var c = lane; c < n; c += WG) { y[start + c] = y[start + c] * inverse; }
}

// dx = y * (dy - sum(y * dy)).
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x + wid.y * nwg.x;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  var along = Elem(0.0);
  for (var at = lane; at < n; at += BLOCK * WG) {
    let end = min(at + BLOCK * WG, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c += WG) {
      part += out[start + c] * dy[start + c];
    }
    along += part;
  }
  let mean = sum_over_group(total(along), lane);
  for (var c = lane; c < n; c += WG) { dx[start + c] = out[start + c] * (dy[start + c] - mean); }
}
