// y[c] = Σ_r x[r, c] in a fixed order, in stages of CHUNK rows per invocation, until one row is left.
// Four interleaved sums per chunk keep the rounding error down. Neighbouring invocations own neighbouring columns. No barriers.
override CHUNK: u32 = 64u; // rows per invocation

struct Params { rows: u32, cols: u32, chunks: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x4: array<X4Stored>; // [rows, cols / 4]
@group(0) @binding(2) var<storage, read_write> y4: array<vec4f>; // [chunks, cols / 4]
@group(0) @binding(3) var<storage, read> x1: array<X1Stored>; // [rows, cols]
@group(0) @binding(4) var<storage, read_write> y1: array<f32>; // [chunks, cols]

// One invocation per chunk and four columns.
@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  let width = params.cols / 4u;
  if (i >= params.chunks * width) { return; }
  let first = i / width * CHUNK;
  let end = min(first + CHUNK, params.rows);
  var at = first * width + i % width;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var r = first;
  for (; r + 4u <= end; r += 4u) {
    s0 += load_x4(at);
    s1 += load_x4(at + width);
    s2 += load_x4(at + 2u * width);
    s3 += load_x4(at + 3u * width);
    at += 4u * width;
  }
  for (; r < end; r++) {
    s0 += load_x4(at);
    at += width;
  }
  y4[i] = (s0 + s1) + (s2 + s3);
}

// One invocation per chunk and column, for widths that are no multiple of 4.
@compute @workgroup_size(64)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  let width = params.cols;
  if (i >= params.chunks * width) { return; }
  let first = i / width * CHUNK;
  let end = min(first + CHUNK, params.rows);
  var at = first * width + i % width;
  var s0 = 0.0;
  var s1 = 0.0;
  var s2 = 0.0;
  var s3 = 0.0;
  var r = first;
  for (; r + 4u <= end; r += 4u) {
    s0 += load_x1(at);
    s1 += load_x1(at + width);
    s2 += load_x1(at + 2u * width);
    s3 += load_x1(at + 3u * width);
    at += 4u * width;
  }
  for (; r < end; r++) {
    s0 += load_x1(at);
    at += width;
  }
  y1[i] = (s0 + s1) + (s2 + s3);
}
