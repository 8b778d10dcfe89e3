// y = probed(x) over the f32 patterns first, first + stride, …, four per invocation. bench/special_probe.ts puts special.wgsl and `fn probed(x: vec4f, u: vec4u) -> vec4f`,
// where u is the bits of x, in front.
struct Params {
  first: u32, // pattern
  stride: u32,
  count: u32, // a multiple of 4
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>; // [count / 4]

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x * 4u >= params.count) { return; }
  let u = (vec4u(id.x * 4u) + vec4u(0u, 1u, 2u, 3u)) * params.stride + params.first;
  y[id.x] = bitcast<vec4u>(probed(bitcast<vec4f>(u), u));
}
