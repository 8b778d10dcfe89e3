// What the backward of attention needs of each query row: (m_i, 1 / l_i, D_i) with D_i = dy_i . y_i, side by side so that the kernels stay within 8 bindings.
// One invocation per row and head; lane-neighbours are heads of one token. Elem is f32, or vec4f where the head dimension is a multiple of four.
override WG: u32 = 32u;
override WIDTH: u32 = 1u; // floats per Elem

struct Params { batch: u32, heads: u32, tq: u32, width: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Elem>;              // [B, Tq, H, Dh]
@group(0) @binding(2) var<storage, read> dy: array<Elem>;             // [B, Tq, H, Dh]
@group(0) @binding(3) var<storage, read> sums: array<vec2f>;          // [B, H, Tq] of m, 1 / l
@group(0) @binding(4) var<storage, read_write> stats: array<vec4f>;   // [B, H, Tq] of m, 1 / l, D, 0

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.batch * params.tq * params.heads) { return; }
  let h = id % params.heads;
  let token = id / params.heads;
  let row = (token / params.tq * params.heads + h) * params.tq + token % params.tq;
  var sum = Elem(0.0);
  for (var d = 0u; d < params.width; d++) { sum = fma(y[id * params.width + d], dy[id * params.width + d], sum); }
  let rest = select(0.0, 1.0, WIDTH == 4u);
  stats[row] = vec4f(sums[row], dot(vec4f(sum), vec4f(1.0, rest, rest, rest)), 0.0);
}
