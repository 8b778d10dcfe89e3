// Between the products of attention's backward, for a tile of queries i and keys j of all heads, in place:
// scores s_ij = q_i . k_j become the weights p_ij = exp(scale s_ij - lse_i), or 0 where key j is hidden from query i,
// and slopes dy_i . v_j become ds_ij = p_ij (dy_i . v_j - D_i) scale. One invocation per four keys of a row, or per key.
// uses: exp_neg4
struct Params {
  count: u32, // invocations
  batch: u32, first_batch: u32, heads: u32, tq: u32, tk: u32,
  rows: u32, first_row: u32, // queries of the tile
  cols: u32, first_col: u32, // keys of the tile
  masked: u32, causal: u32,  // flags
  window: u32,               // allowed when |i - j| < window; 0 is no window
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stats: array<vec2f>;         // [B, H, Tq] of lse, D
@group(0) @binding(2) var<storage, read> key_mask: array<u32>;        // [B, Tk], 1 is a real key; not read unless masked
@group(0) @binding(3) var<storage, read_write> scores4: array<vec4f>; // [batch, H, rows, cols / 4]
@group(0) @binding(4) var<storage, read_write> slopes4: array<vec4f>; // [batch, H, rows, cols / 4]
@group(0) @binding(5) var<storage, read_write> scores1: array<f32>;   // [batch, H, rows, cols]
@group(0) @binding(6) var<storage, read_write> slopes1: array<f32>;   // [batch, H, rows, cols]

fn real_key(b: u32, j: u32) -> bool {
  if (params.masked == 0u) { return true; }
  return key_mask[b * params.tk + min(j, params.tk - 1u)] != 0u;
}

// Where in the tensors element `at` of the tile is, and which of the keys j to j + 3 its query may see.
struct Spot { stat: vec2f, seen: vec4<bool> }
fn spot(at: u32) -> Spot {
  let j = params.first_col + at % params.cols;
  let row = at / params.cols;
  let i = params.first_row + row % params.rows;
  let bh = params.first_batch * params.heads + row / params.rows;
  let b = bh / params.heads;
  let keys = vec4u(j, j + 1u, j + 2u, j + 3u);
  var seen = vec4<bool>(real_key(b, j), real_key(b, j + 1u), real_key(b, j + 2u), real_key(b, j + 3u));
  if (params.causal > 0u) { seen = seen & (keys <= vec4u(i)); }
  if (params.window > 0u) { seen = seen & (keys < vec4u(i + params.window)) & (keys + vec4u(params.window) > vec4u(i)); }
  return Spot(stats[bh * params.tq + i], seen);
}

@compute @workgroup_size(64)
fn soften4(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (id >= params.count) { return; }
  let here = spot(4u * id);
  let p = select(vec4f(), exp_neg4(scores4[id] * params.scale - here.stat.x), here.seen);
  scores4[id] = p;
  slopes4[id] = select(vec4f(), p * (slopes4[id] - here.stat.y) * params.scale, here.seen);
}

@compute @workgroup_size(64)
fn soften1(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (id >= params.count) { return; }
  let here = spot(id);
  let p = select(0.0, exp_neg4(vec4f(scores1[id] * params.scale - here.stat.x)).x, here.seen.x);
  scores1[id] = p;
  slopes1[id] = select(0.0, p * (slopes1[id] - here.stat.y) * params.scale, here.seen.x);
}
