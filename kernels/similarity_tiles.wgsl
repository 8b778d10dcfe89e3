// target_sum += addend: what one tile of a pair matrix adds to the gradient of a span of rows.
override WG: u32 = 64u;

struct Params { count: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> addend: array<f32>;           // [count]
@group(0) @binding(2) var<storage, read_write> target_sum: array<f32>; // [count], undefined before the first

@compute @workgroup_size(WG)
fn accumulate(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.count) { return; }
  if (params.first == 1u) { target_sum[i] = addend[i]; } else { target_sum[i] += addend[i]; }
}
