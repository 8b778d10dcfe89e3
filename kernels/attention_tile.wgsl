// Between the products of attention's backward, for a tile of queries i and keys j of all heads, in place. `weigh`, one invocation per row: scores
// s_ij = q_i . k_j become exp(scale s_ij - m_i), or 0 where key j is hidden from query i, and their sum l_i is taken anew, and with it the mean
// D_i of the slopes dy_i . v_j: products round a score otherwise than the forward does, which at large logits is more than a weight may be off.
// `soften`, one invocation per four keys of a row, or per key: the weights p_ij, their quotients by l_i, and slopes become ds_ij = p_ij (dy_i . v_j - D_i) scale.
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
@group(0) @binding(1) var<storage, read> stats: array<vec2f>;         // [B, H, Tq] of 1 / l, D
@group(0) @binding(2) var<storage, read> key_mask: array<u32>;        // [B, Tk], 1 is a real key; not read unless masked
@group(0) @binding(3) var<storage, read_write> scores4: array<vec4f>; // [batch, H, rows, cols / 4]
@group(0) @binding(4) var<storage, read_write> slopes4: array<vec4f>; // [batch, H, rows, cols / 4]
@group(0) @binding(5) var<storage, read_write> scores1: array<f32>;   // [batch, H, rows, cols]
@group(0) @binding(6) var<storage, read_write> slopes1: array<f32>;   // [batch, H, rows, cols]
@group(0) @binding(7) var<storage, read_write> rows: array<vec2f>;    // stats, to be written
@group(0) @binding(8) var<storage, read> sums: array<vec2f>;          // [B, H, Tq] of m, 1 / l of the forward

fn real_key(b: u32, j: u32) -> bool {
  if (params.masked == 0u) { return true; }
  return key_mask[b * params.tk + min(j, params.tk - 1u)] != 0u;
}

// The row of stats that element `at` of the tile is in, and which of the keys j to j + 3 its query may see.
struct Spot { row: u32, seen: vec4<bool> }
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
  return Spot(bh * params.tq + i, seen);
}

fn share(l: f32) -> f32 { return select(1.0 / l, 0.0, l == 0.0); } // l is about 1 at least where a key is seen

@compute @workgroup_size(64)
fn weigh4(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (id >= params.count) { return; }
  let row = spot(id * params.cols).row;
  let most = sums[row].x;
  var l = vec4f();
  var mean = vec4f();
  for (var run = 0u; run < params.cols; run += 64u) { // rounding grows with the number of additions in a row
    var sum = vec4f();
    var along = vec4f();
    for (var c = run; c < min(run + 64u, params.cols); c += 4u) {
      let at = id * params.cols + c;
      let seen = spot(at).seen;
      let p = select(vec4f(), exp_neg4(scores4[at / 4u] * params.scale - most), seen);
      scores4[at / 4u] = p;
      sum += p;
      along += select(vec4f(), p * slopes4[at / 4u], seen);
    }
    l += sum;
    mean += along;
  }
  rows[row] = vec2f(1.0, (mean.x + mean.y) + (mean.z + mean.w)) * share((l.x + l.y) + (l.z + l.w));
}

@compute @workgroup_size(64)
fn weigh1(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (id >= params.count) { return; }
  let row = spot(id * params.cols).row;
  let most = sums[row].x;
  var l = 0.0;
  var mean = 0.0;
  for (var run = 0u; run < params.cols; run += 16u) {
    var sum = 0.0;
    var along = 0.0;
    for (var c = run; c < min(run + 16u, params.cols); c++) {
      let at = id * params.cols + c;
      let seen = spot(at).seen.x;
      let p = select(0.0, exp_neg4(vec4f(scores1[at] * params.scale - most)).x, seen);
      scores1[at] = p;
      sum += p;
      along += select(0.0, p * slopes1[at], seen);
    }
    l += sum;
    mean += along;
  }
  rows[row] = vec2f(1.0, mean) * share(l);
}

@compute @workgroup_size(64)
fn soften4(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (id >= params.count) { return; }
  let here = spot(4u * id);
  let stat = stats[here.row];
  let p = scores4[id] * stat.x;
  scores4[id] = p;
  slopes4[id] = select(vec4f(), p * (slopes4[id] - stat.y) * params.scale, here.seen);
}

@compute @workgroup_size(64)
fn soften1(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (id >= params.count) { return; }
  let here = spot(id);
  let stat = stats[here.row];
  let p = scores1[id] * stat.x;
  scores1[id] = p;
  slopes1[id] = select(0.0, p * (slopes1[id] - stat.y) * params.scale, here.seen.x);
}
