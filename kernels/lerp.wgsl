// lerp: x[i] = x[i] + t (y[i] - x[i]), in place. Each invocation moves along a strip of RUN elements, 64 apart, so that neighbours touch
// neighbours and a software adapter has few workgroups to start.
const RUN = 64u;
struct Params { count: u32, t: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;   // [count]
@group(0) @binding(2) var<storage, read> y: array<f32>;         // [count]

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = (wid.x + wid.y * nwg.x) * 64u * RUN + lane;
  let end = min(start + 64u * RUN, params.count);
  for (var i = start; i < end; i += 64u) { x[i] = x[i] + params.t * (y[i] - x[i]); }
}
