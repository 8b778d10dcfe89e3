// Antialiased bilinear resize (triangle filter, widened when shrinking), crop and normalisation, separable: columns first, then rows.
// Only what the crop needs is computed. `…_levels`: 8-bit pictures as the official processor has them, fixed-point weights and whole levels after
// each pass. Without: f32 weights, no rounding. One invocation per pixel, three channels each.
// A table holds per output [start, count, weight 0 … weight K-1] as words; weights are i32 (levels) or the bits of f32.
struct Params {
  count: u32, // invocations: frames · rows · size (columns), frames · size · size (rows)
  width: u32, // of a frame
  height: u32,
  size: u32, // S, side of the result
  first_row: u32, // first row of the frames that the result needs
  rows: u32, // how many
  stride: u32, // words per output in the table: 2 + K
  bits: u32, // bits after the point of the fixed-point weights
  first_frame: u32, // where these frames start in the result
  mean_r: f32, mean_g: f32, mean_b: f32, // in levels 0 … 255
  std_r: f32, std_g: f32, std_b: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<u32>; // bytes [T, height, width, 3], four to a word
@group(0) @binding(2) var<storage, read> table: array<u32>; // [S, 2 + K]
@group(0) @binding(3) var<storage, read_write> levels: array<u32>; // [T, rows, S] r | g << 8 | b << 16
@group(0) @binding(4) var<storage, read> levels_in: array<u32>; // the same
@group(0) @binding(5) var<storage, read_write> middle: array<f32>; // [T, rows, S, 3]
@group(0) @binding(6) var<storage, read> middle_in: array<f32>; // the same
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [all frames, 3, S, S]

fn unpack(rgb: u32) -> vec3<u32> {
  return (vec3<u32>(rgb) >> vec3<u32>(0u, 8u, 16u)) & vec3<u32>(255u);
}

// The pixel that starts at byte 3 · index, which may cross a word.
fn pixel(index: u32) -> vec3<u32> {
  let byte = index * 3u;
  let shift = (byte & 3u) * 8u;
  var rgb = frames[byte >> 2u] >> shift;
  if (shift > 8u) { rgb |= frames[(byte >> 2u) + 1u] << (32u - shift); }
  return unpack(rgb);
}

fn to_levels(sum: vec3<i32>) -> vec3<i32> {
  let half = vec3<i32>(1i << (params.bits - 1u));
  return clamp((sum + half) >> vec3<u32>(params.bits), vec3<i32>(0), vec3<i32>(255));
}

// Index in `frames` of the first pixel of output i's frame row; x comes with it.
fn row_start(i: u32) -> u32 {
  let line = i / params.size;
  let frame = line / params.rows;
  return (frame * params.height + params.first_row + (line - frame * params.rows)) * params.width;
}

// Writes (level - mean) / std of pixel i of these frames into the three planes of the result.
fn store(i: u32, level: vec3<f32>) {
  let plane = params.size * params.size;
  let frame = i / plane;
  let at = (params.first_frame + frame) * 3u * plane + (i - frame * plane);
  let v = (level - vec3<f32>(params.mean_r, params.mean_g, params.mean_b)) / vec3<f32>(params.std_r, params.std_g, params.std_b);
  out[at] = v.x;
  out[at + plane] = v.y;
  out[at + 2u * plane] = v.z;
}

@compute @workgroup_size(64)
fn columns_levels(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let entry = (i % params.size) * params.stride;
  let first = row_start(i) + table[entry];
  var sum = vec3<i32>(0);
  for (var k = 0u; k < table[entry + 1u]; k++) {
    sum += bitcast<i32>(table[entry + 2u + k]) * vec3<i32>(pixel(first + k));
  }
  let rgb = to_levels(sum);
  levels[i] = u32(rgb.x) | (u32(rgb.y) << 8u) | (u32(rgb.z) << 16u);
}

@compute @workgroup_size(64)
fn rows_levels(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let line = i / params.size; // frame · S + y
  let frame = line / params.size;
  let entry = (line - frame * params.size) * params.stride;
  var at = (frame * params.rows + table[entry] - params.first_row) * params.size + (i - line * params.size);
  var sum = vec3<i32>(0);
  for (var k = 0u; k < table[entry + 1u]; k++) {
    sum += bitcast<i32>(table[entry + 2u + k]) * vec3<i32>(unpack(levels_in[at]));
    at += params.size;
  }
  store(i, vec3<f32>(to_levels(sum)));
}

@compute @workgroup_size(64)
fn columns(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let entry = (i % params.size) * params.stride;
  let first = row_start(i) + table[entry];
  var sum = vec3<f32>(0.0);
  for (var k = 0u; k < table[entry + 1u]; k++) {
    sum += bitcast<f32>(table[entry + 2u + k]) * vec3<f32>(pixel(first + k));
  }
  middle[i * 3u] = sum.x;
  middle[i * 3u + 1u] = sum.y;
  middle[i * 3u + 2u] = sum.z;
}

@compute @workgroup_size(64)
fn rows(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let line = i / params.size;
  let frame = line / params.size;
  let entry = (line - frame * params.size) * params.stride;
  var at = ((frame * params.rows + table[entry] - params.first_row) * params.size + (i - line * params.size)) * 3u;
  var sum = vec3<f32>(0.0);
  for (var k = 0u; k < table[entry + 1u]; k++) {
    sum += bitcast<f32>(table[entry + 2u + k]) * vec3<f32>(middle_in[at], middle_in[at + 1u], middle_in[at + 2u]);
    at += 3u * params.size;
  }
  store(i, sum);
}
