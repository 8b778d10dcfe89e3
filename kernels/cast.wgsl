// y = x in another storage type, rounded to the nearest, ties to even, by integer arithmetic: the language leaves the rounding of f32 → f16 open.
// `widen` reads any storage type and writes f32; `narrow` writes two numbers per u32 word, the first in the low half. One invocation per element, word or quad.
override HALF: bool = false; // narrow: false bf16, true f16

struct Params {
  count: u32, // invocations
  size: u32,  // elements
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x1: array<X1Stored>; // [size]
@group(0) @binding(2) var<storage, read> x4: array<X4Stored>; // [size / 4]
@group(0) @binding(3) var<storage, read_write> wide1: array<f32>; // [size]
@group(0) @binding(4) var<storage, read_write> wide4: array<vec4<f32>>; // [size / 4]
@group(0) @binding(5) var<storage, read_write> words1: array<u32>; // [ceil(size / 2)]
@group(0) @binding(6) var<storage, read_write> words2: array<vec2<u32>>; // [size / 4] pairs of words

fn bf16_bits(x: vec4<f32>) -> vec4<u32> {
  let u = bitcast<vec4<u32>>(x);
  let rounded = (u + vec4<u32>(0x7fffu) + ((u >> vec4<u32>(16u)) & vec4<u32>(1u))) >> vec4<u32>(16u);
  let quiet = (u >> vec4<u32>(16u)) | vec4<u32>(0x40u); // a NaN whose payload lies in the lower half stays one
  return select(rounded, quiet, (u & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

fn f16_bits(x: vec4<f32>) -> vec4<u32> {
  let u = bitcast<vec4<u32>>(x);
  let a = u & vec4<u32>(0x7fffffffu);
  let normal = (a - vec4<u32>(0x38000000u) + vec4<u32>(0xfffu) + ((a >> vec4<u32>(13u)) & vec4<u32>(1u))) >> vec4<u32>(13u);
  // Below 2^-14 the unit is 2^-24: the significand goes right by 14 to 24, and what falls off decides.
  let shift = vec4<u32>(126u) - clamp(a >> vec4<u32>(23u), vec4<u32>(101u), vec4<u32>(112u));
  let significand = (a & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
  let kept = significand >> shift;
  let rest = significand & ((vec4<u32>(1u) << shift) - vec4<u32>(1u));
  let middle = vec4<u32>(1u) << (shift - vec4<u32>(1u));
  let up = (rest > middle) | ((rest == middle) & ((kept & vec4<u32>(1u)) == vec4<u32>(1u)));
  let tiny = select(kept + select(vec4<u32>(0u), vec4<u32>(1u), up), vec4<u32>(0u), a <= vec4<u32>(0x33000000u)); // up to 2^-25: zero
  var bits = select(normal, tiny, a < vec4<u32>(0x38800000u));
  bits = select(bits, vec4<u32>(0x7c00u), a >= vec4<u32>(0x477ff000u)); // from 65,520 on: infinity
  bits = select(bits, vec4<u32>(0x7e00u) | ((a >> vec4<u32>(13u)) & vec4<u32>(0x3ffu)), a > vec4<u32>(0x7f800000u));
  return bits | ((u >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
}

fn small_bits(x: vec4<f32>) -> vec4<u32> {
  if (HALF) { return f16_bits(x); }
  return bf16_bits(x);
}

@compute @workgroup_size(64)
fn widen(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  wide1[i] = load_x1(i);
}

@compute @workgroup_size(64)
fn widen4(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  wide4[i] = load_x4(i);
}

@compute @workgroup_size(64)
fn narrow(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  var high = 0.0; // an odd count leaves half a word
  if (2u * i + 1u < params.size) { high = load_x1(2u * i + 1u); }
  let bits = small_bits(vec4<f32>(load_x1(2u * i), high, 0.0, 0.0));
  words1[i] = bits.x | (bits.y << 16u);
}

@compute @workgroup_size(64)
fn narrow4(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let bits = small_bits(load_x4(i));
  words2[i] = vec2<u32>(bits.x | (bits.y << 16u), bits.z | (bits.w << 16u));
}
