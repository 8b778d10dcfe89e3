// How numbers that are stored small become f32. kernels/storage_loads.mjs writes a `load_name(i)` over these functions for every binding declared as
// `array<NameStored>`; low bits come first. f16 goes by integer arithmetic: a subnormal is a whole number of 2^-24, and no adapter may flush what is never a
// small float. Where the device has shader-f16, its own type is read instead.

fn stored_halves(h: vec4<u32>) -> vec4<f32> {
  let magnitude = h & vec4<u32>(0x7fffu);
  let normal = (magnitude << vec4<u32>(13u)) + select(vec4<u32>(0x38000000u), vec4<u32>(0x70000000u), magnitude >= vec4<u32>(0x7c00u));
  let tiny = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 5.9604644775390625e-8);
  return bitcast<vec4<f32>>(select(normal, tiny, magnitude < vec4<u32>(0x400u)) | ((h & vec4<u32>(0x8000u)) << vec4<u32>(16u)));
}

// Four numbers of two words, of one word, of half a word.
fn stored_f16_four(w: vec2<u32>) -> vec4<f32> { return stored_halves(vec4<u32>(w.x & 0xffffu, w.x >> 16u, w.y & 0xffffu, w.y >> 16u)); }
fn stored_bf16_four(w: vec2<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(vec4<u32>(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); }
fn stored_i8_four(w: u32) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(w << 24u, w << 16u, w << 8u, w)) >> vec4<u32>(24u)); }
fn stored_i4_four(w: u32) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(w << 28u, w << 24u, w << 20u, w << 16u)) >> vec4<u32>(28u)); }

// Number i of those that follow each other in words: `w` is the word that holds it.
fn stored_f16_one(w: u32, i: u32) -> f32 { return stored_halves(vec4<u32>((w >> ((i & 1u) << 4u)) & 0xffffu)).x; }
fn stored_bf16_one(w: u32, i: u32) -> f32 { return bitcast<f32>((w >> ((i & 1u) << 4u)) << 16u); }
fn stored_i8_one(w: u32, i: u32) -> f32 { return f32((bitcast<i32>(w) << (24u - ((i & 3u) << 3u))) >> 24u); }
fn stored_i4_one(w: u32, i: u32) -> f32 { return f32((bitcast<i32>(w) << (28u - ((i & 7u) << 2u))) >> 28u); }
