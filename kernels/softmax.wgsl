// softmax: y = exp(x - max(x)) / sum(exp(x - max(x))) per row.
// One invocation per row, no barrier. Elem is f32, or vec4f where cols is a multiple of four; sums go in blocks to keep their error small.
// uses: exp_neg_elem
override WG: u32 = 32u;
override WIDTH: u32 = 1u; // floats per Elem
const BLOCK = 64u;

struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;        // [rows, cols]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;  // [rows, cols]
@group(0) @binding(3) var<storage, read> out: array<Elem>;      // [rows, cols], y of the forward
@group(0) @binding(4) var<storage, read> dy: array<Elem>;       // [rows, cols]
@group(0) @binding(5) var<storage, read_write> dx: array<Elem>; // [rows, cols]

fn total(v: Elem) -> f32 {
  let all = vec4f(v);
  if (WIDTH == 1u) { return all.x; }
  return (all.x + all.y) + (all.z + all.w);
}

fn largest(v: Elem) -> f32 {
  let all = vec4f(v);
  return max(max(all.x, all.y), max(all.z, all.w));
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  var most = load_x(start);
  for (var c = 1u; c < n; c++) { most = max(most, load_x(start + c)); }
  let shift = Elem(largest(most));

  var sum = Elem(0.0);
  for (var at = 0u; at < n; at += BLOCK) {
    let end = min(at + BLOCK, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c++) {
      let e = exp_neg_elem(load_x(start + c) - shift);
      y[start + c] = e;
      part += e;
    }
    sum += part;
  }
  let inverse = 1.0 / total(sum);
  for (var c = 0u; c < n; c++) { y[start + c] = y[start + c] * inverse; }
}

// dx = y * (dy - sum(y * dy)).
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  let n = params.cols / WIDTH;
  let start = row * n;
  var along = Elem(0.0);
  for (var at = 0u; at < n; at += BLOCK) {
    let end = min(at + BLOCK, n);
    var part = Elem(0.0);
    for (var c = at; c < end; c++) { part += out[start + c] * dy[start + c]; }
    along += part;
  }
  let mean = total(along);
  for (var c = 0u; c < n; c++) { dx[start + c] = out[start + c] * (dy[start + c] - mean); }
}
