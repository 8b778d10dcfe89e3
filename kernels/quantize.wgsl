// Symmetric quantisation in blocks: scale = max |x| / LARGEST per block, q = round(x / scale), ties to even, kept to ±LARGEST, two's complement, low bits first.
// `find_scales`: one invocation per block. `pack`: one invocation per u32 word. A NaN or infinity in a block makes its scale, and so every element read back, NaN.
override BITS: u32 = 8u; // 8 four to a word, 4 eight to a word

struct Params {
  count: u32, // invocations
  size: u32,  // elements
  block_size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>; // [size]
@group(0) @binding(2) var<storage, read_write> scales: array<f32>; // [size / block_size]
@group(0) @binding(3) var<storage, read> scale_of: array<f32>; // [size / block_size]
@group(0) @binding(4) var<storage, read_write> words: array<u32>; // [ceil(size BITS / 32)]

fn largest() -> f32 { return f32((1u << (BITS - 1u)) - 1u); }

@compute @workgroup_size(64)
fn find_scales(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  var most = 0u; // bits of |x|: they sort like the numbers, with infinity and NaN on top
  for (var k = 0u; k < params.block_size; k++) { most = max(most, bitcast<u32>(load_x(i * params.block_size + k)) & 0x7fffffffu); }
  if (most >= 0x7f800000u) { most = 0x7fc00000u; }
  scales[i] = bitcast<f32>(most) / largest();
}

@compute @workgroup_size(64)
fn pack(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let each = 32u / BITS;
  var word = 0u;
  for (var k = 0u; k < each; k++) {
    let at = i * each + k;
    if (at >= params.size) { break; }
    let scale = scale_of[at / params.block_size];
    var q = 0.0;
    if (scale > 0.0) { q = clamp(round(load_x(at) / scale), -largest(), largest()); }
    word |= (bitcast<u32>(i32(q)) & ((1u << BITS) - 1u)) << (k * BITS);
  }
  words[i] = word;
}
