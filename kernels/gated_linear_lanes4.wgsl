// y = f(x gateᵀ) · (x upᵀ) with f = silu or gelu_tanh: the middle of a gated MLP (Shazeer 2020, arXiv 2002.05202) in the epilogue of its two products.
// Written by kernels/gen_gated_linear.mjs: change the generator. No barriers, no workgroup memory.
// 4 lanes, one subgroup, share a tile of 32 × 16 of both products: each lane loads its own rows of x and of both weights, those of x go round by quadBroadcast.
// Rows and columns beyond the end are clamped for loading and never stored. `forward` wants N and K in multiples of 4; `forward_ragged` takes any shape.
// uses: sigmoid4
enable subgroups;
override FORM: u32 = 0u; // 0 silu, 1 gelu_tanh
override KEEP: bool = false; // also writes both products, for the backward

struct Params {
  m: u32, n: u32, k: u32,
  tiles_m: u32, tiles_n: u32,
  tile_rows: u32, // rows of one invocation's or one subgroup's tile
  up_first: u32,  // where the second product begins in pre, a multiple of 4
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x4: array<X4Stored>; // [M, K]
@group(0) @binding(2) var<storage, read> gate4: array<Gate4Stored>; // [N, K]
@group(0) @binding(3) var<storage, read> up4: array<Up4Stored>; // [N, K]
@group(0) @binding(4) var<storage, read_write> y4: array<vec4f>; // [M, N]
@group(0) @binding(5) var<storage, read_write> pre4: array<vec4f>; // [M, N] of gate, then of up, when KEEP
@group(0) @binding(6) var<storage, read> x1: array<X1Stored>; // the same five for any shape
@group(0) @binding(7) var<storage, read> gate1: array<Gate1Stored>;
@group(0) @binding(8) var<storage, read> up1: array<Up1Stored>;
@group(0) @binding(9) var<storage, read_write> y1: array<f32>;
@group(0) @binding(10) var<storage, read_write> pre1: array<f32>;

fn x_block(row: u32, k: u32) -> mat4x4f {
  let width = params.k / 4u;
  let at = k / 4u;
  let last = params.m - 1u;
  return mat4x4f(load_x4(at + min(row, last) * width), load_x4(at + min(row + 1u, last) * width), load_x4(at + min(row + 2u, last) * width), load_x4(at + min(row + 3u, last) * width));
}

fn gate_block(k: u32, col: u32) -> mat4x4f {
  let width = params.k / 4u;
  let at = k / 4u + min(col, params.n - 4u) * width;
  return transpose(mat4x4f(load_gate4(at), load_gate4(at + width), load_gate4(at + 2u * width), load_gate4(at + 3u * width)));
}

fn up_block(k: u32, col: u32) -> mat4x4f {
  let width = params.k / 4u;
  let at = k / 4u + min(col, params.n - 4u) * width;
  return transpose(mat4x4f(load_up4(at), load_up4(at + width), load_up4(at + 2u * width), load_up4(at + 3u * width)));
}

// Four elements of x along k, zeros from the end on, so that the tail of k adds nothing.
fn x_ragged(row: u32, k: u32) -> vec4f {
  let i = min(row, params.m - 1u) * params.k + min(vec4u(k) + vec4u(0u, 1u, 2u, 3u), vec4u(params.k - 1u));
  return select(vec4f(), vec4f(load_x1(i.x), load_x1(i.y), load_x1(i.z), load_x1(i.w)), vec4u(k) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.k));
}

fn x_block_ragged(row: u32, k: u32) -> mat4x4f {
  return mat4x4f(x_ragged(row, k), x_ragged(row + 1u, k), x_ragged(row + 2u, k), x_ragged(row + 3u, k));
}

fn gate_ragged(k: u32, col: u32) -> vec4f {
  let i = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u)) * params.k + vec4u(min(k, params.k - 1u));
  return vec4f(load_gate1(i.x), load_gate1(i.y), load_gate1(i.z), load_gate1(i.w));
}

fn gate_block_ragged(k: u32, col: u32) -> mat4x4f {
  return mat4x4f(gate_ragged(k, col), gate_ragged(k + 1u, col), gate_ragged(k + 2u, col), gate_ragged(k + 3u, col));
}

fn up_ragged(k: u32, col: u32) -> vec4f {
  let i = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u)) * params.k + vec4u(min(k, params.k - 1u));
  return vec4f(load_up1(i.x), load_up1(i.y), load_up1(i.z), load_up1(i.w));
}

fn up_block_ragged(k: u32, col: u32) -> mat4x4f {
  return mat4x4f(up_ragged(k, col), up_ragged(k + 1u, col), up_ragged(k + 2u, col), up_ragged(k + 3u, col));
}

fn or_zero(m: mat4x4f, inside: bool) -> mat4x4f {
  let zero = vec4f();
  return mat4x4f(select(zero, m[0], inside), select(zero, m[1], inside), select(zero, m[2], inside), select(zero, m[3], inside));
}

// c + (Σ_i s[i] b[i] + Σ_i s'[i] b'[i]). By matrices, SwiftShader sums number by number in a register; by vectors it stores each of the sums.
fn two_steps(c: vec4f, s: vec4f, b: mat4x4f, more_s: vec4f, more_b: mat4x4f) -> vec4f {
  return c + (b * s + more_b * more_s);
}

// Both forms are x σ(z): z = x for silu, z = 2 √(2/π) (x + 0.044715 x³) for gelu_tanh, as in gated.wgsl.
fn weight4(x: vec4f) -> vec4f {
  if (FORM == 0u) { return sigmoid4(x); }
  let t = clamp(x, vec4f(-30.0), vec4f(30.0));
  return sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
}

fn store(row: u32, col: u32, gate: vec4f, up: vec4f) {
  if (col >= params.n) { return; }
  let at = (row * params.n + col) / 4u;
  if (KEEP) {
    pre4[at] = gate;
    pre4[at + params.up_first / 4u] = up;
  }
  y4[at] = gate * weight4(gate) * up;
}

fn store_ragged(row: u32, col: u32, gate: vec4f, up: vec4f) {
  let at = row * params.n + col;
  let y = gate * weight4(gate) * up;
  for (var i = 0u; i < 4u && col + i < params.n; i++) {
    if (KEEP) {
      pre1[at + i] = gate[i];
      pre1[at + params.up_first + i] = up[i];
    }
    y1[at + i] = y[i];
  }
}

@compute @workgroup_size(4)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  let group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n) { return; }
  let tile_n = group % params.tiles_n;
  let tile_m = group / params.tiles_n;
  let lane = lane_index % 4u;
  let row = tile_m * 32u;
  let col = tile_n * 16u + 4u * lane; // of this lane's block of either weight
  let own_row = row + 4u * lane;
  let end = params.k;
  var g0 = vec4f(); var u0 = vec4f(); var g1 = vec4f(); var u1 = vec4f();
  var g2 = vec4f(); var u2 = vec4f(); var g3 = vec4f(); var u3 = vec4f();
  var g4 = vec4f(); var u4 = vec4f(); var g5 = vec4f(); var u5 = vec4f();
  var g6 = vec4f(); var u6 = vec4f(); var g7 = vec4f(); var u7 = vec4f();
  var g8 = vec4f(); var u8 = vec4f(); var g9 = vec4f(); var u9 = vec4f();
  var g10 = vec4f(); var u10 = vec4f(); var g11 = vec4f(); var u11 = vec4f();
  var g12 = vec4f(); var u12 = vec4f(); var g13 = vec4f(); var u13 = vec4f();
  var g14 = vec4f(); var u14 = vec4f(); var g15 = vec4f(); var u15 = vec4f();
  var g16 = vec4f(); var u16 = vec4f(); var g17 = vec4f(); var u17 = vec4f();
  var g18 = vec4f(); var u18 = vec4f(); var g19 = vec4f(); var u19 = vec4f();
  var g20 = vec4f(); var u20 = vec4f(); var g21 = vec4f(); var u21 = vec4f();
  var g22 = vec4f(); var u22 = vec4f(); var g23 = vec4f(); var u23 = vec4f();
  var g24 = vec4f(); var u24 = vec4f(); var g25 = vec4f(); var u25 = vec4f();
  var g26 = vec4f(); var u26 = vec4f(); var g27 = vec4f(); var u27 = vec4f();
  var g28 = vec4f(); var u28 = vec4f(); var g29 = vec4f(); var u29 = vec4f();
  var g30 = vec4f(); var u30 = vec4f(); var g31 = vec4f(); var u31 = vec4f();
  for (var k = 0u; k < end; k += 8u) {
    let more = k + 4u < end; // a last step of four k: zeros of x for the rest, and the weights once more
    let next = select(k, k + 4u, more);
    let gates0 = gate_block(k, col);
    let ups0 = up_block(k, col);
    let gates1 = gate_block(next, col);
    let ups1 = up_block(next, col);
    let x0_0 = x_block(own_row, k);
    let x1_0 = or_zero(x_block(own_row, next), more);
    let s0_0 = quadBroadcast(x0_0[0], 0u); let s1_0 = quadBroadcast(x1_0[0], 0u);
    g0 = two_steps(g0, s0_0, gates0, s1_0, gates1); u0 = two_steps(u0, s0_0, ups0, s1_0, ups1);
    let s0_1 = quadBroadcast(x0_0[1], 0u); let s1_1 = quadBroadcast(x1_0[1], 0u);
    g1 = two_steps(g1, s0_1, gates0, s1_1, gates1); u1 = two_steps(u1, s0_1, ups0, s1_1, ups1);
    let s0_2 = quadBroadcast(x0_0[2], 0u); let s1_2 = quadBroadcast(x1_0[2], 0u);
    g2 = two_steps(g2, s0_2, gates0, s1_2, gates1); u2 = two_steps(u2, s0_2, ups0, s1_2, ups1);
    let s0_3 = quadBroadcast(x0_0[3], 0u); let s1_3 = quadBroadcast(x1_0[3], 0u);
    g3 = two_steps(g3, s0_3, gates0, s1_3, gates1); u3 = two_steps(u3, s0_3, ups0, s1_3, ups1);
    let s0_4 = quadBroadcast(x0_0[0], 1u); let s1_4 = quadBroadcast(x1_0[0], 1u);
    g4 = two_steps(g4, s0_4, gates0, s1_4, gates1); u4 = two_steps(u4, s0_4, ups0, s1_4, ups1);
    let s0_5 = quadBroadcast(x0_0[1], 1u); let s1_5 = quadBroadcast(x1_0[1], 1u);
    g5 = two_steps(g5, s0_5, gates0, s1_5, gates1); u5 = two_steps(u5, s0_5, ups0, s1_5, ups1);
    let s0_6 = quadBroadcast(x0_0[2], 1u); let s1_6 = quadBroadcast(x1_0[2], 1u);
    g6 = two_steps(g6, s0_6, gates0, s1_6, gates1); u6 = two_steps(u6, s0_6, ups0, s1_6, ups1);
    let s0_7 = quadBroadcast(x0_0[3], 1u); let s1_7 = quadBroadcast(x1_0[3], 1u);
    g7 = two_steps(g7, s0_7, gates0, s1_7, gates1); u7 = two_steps(u7, s0_7, ups0, s1_7, ups1);
    let s0_8 = quadBroadcast(x0_0[0], 2u); let s1_8 = quadBroadcast(x1_0[0], 2u);
    g8 = two_steps(g8, s0_8, gates0, s1_8, gates1); u8 = two_steps(u8, s0_8, ups0, s1_8, ups1);
    let s0_9 = quadBroadcast(x0_0[1], 2u); let s1_9 = quadBroadcast(x1_0[1], 2u);
    g9 = two_steps(g9, s0_9, gates0, s1_9, gates1); u9 = two_steps(u9, s0_9, ups0, s1_9, ups1);
    let s0_10 = quadBroadcast(x0_0[2], 2u); let s1_10 = quadBroadcast(x1_0[2], 2u);
    g10 = two_steps(g10, s0_10, gates0, s1_10, gates1); u10 = two_steps(u10, s0_10, ups0, s1_10, ups1);
    let s0_11 = quadBroadcast(x0_0[3], 2u); let s1_11 = quadBroadcast(x1_0[3], 2u);
    g11 = two_steps(g11, s0_11, gates0, s1_11, gates1); u11 = two_steps(u11, s0_11, ups0, s1_11, ups1);
    let s0_12 = quadBroadcast(x0_0[0], 3u); let s1_12 = quadBroadcast(x1_0[0], 3u);
    g12 = two_steps(g12, s0_12, gates0, s1_12, gates1); u12 = two_steps(u12, s0_12, ups0, s1_12, ups1);
    let s0_13 = quadBroadcast(x0_0[1], 3u); let s1_13 = quadBroadcast(x1_0[1], 3u);
    g13 = two_steps(g13, s0_13, gates0, s1_13, gates1); u13 = two_steps(u13, s0_13, ups0, s1_13, ups1);
    let s0_14 = quadBroadcast(x0_0[2], 3u); let s1_14 = quadBroadcast(x1_0[2], 3u);
    g14 = two_steps(g14, s0_14, gates0, s1_14, gates1); u14 = two_steps(u14, s0_14, ups0, s1_14, ups1);
    let s0_15 = quadBroadcast(x0_0[3], 3u); let s1_15 = quadBroadcast(x1_0[3], 3u);
    g15 = two_steps(g15, s0_15, gates0, s1_15, gates1); u15 = two_steps(u15, s0_15, ups0, s1_15, ups1);
    let x0_1 = x_block(own_row + 16u, k);
    let x1_1 = or_zero(x_block(own_row + 16u, next), more);
    let s0_16 = quadBroadcast(x0_1[0], 0u); let s1_16 = quadBroadcast(x1_1[0], 0u);
    g16 = two_steps(g16, s0_16, gates0, s1_16, gates1); u16 = two_steps(u16, s0_16, ups0, s1_16, ups1);
    let s0_17 = quadBroadcast(x0_1[1], 0u); let s1_17 = quadBroadcast(x1_1[1], 0u);
    g17 = two_steps(g17, s0_17, gates0, s1_17, gates1); u17 = two_steps(u17, s0_17, ups0, s1_17, ups1);
    let s0_18 = quadBroadcast(x0_1[2], 0u); let s1_18 = quadBroadcast(x1_1[2], 0u);
    g18 = two_steps(g18, s0_18, gates0, s1_18, gates1); u18 = two_steps(u18, s0_18, ups0, s1_18, ups1);
    let s0_19 = quadBroadcast(x0_1[3], 0u); let s1_19 = quadBroadcast(x1_1[3], 0u);
    g19 = two_steps(g19, s0_19, gates0, s1_19, gates1); u19 = two_steps(u19, s0_19, ups0, s1_19, ups1);
    let s0_20 = quadBroadcast(x0_1[0], 1u); let s1_20 = quadBroadcast(x1_1[0], 1u);
    g20 = two_steps(g20, s0_20, gates0, s1_20, gates1); u20 = two_steps(u20, s0_20, ups0, s1_20, ups1);
    let s0_21 = quadBroadcast(x0_1[1], 1u); let s1_21 = quadBroadcast(x1_1[1], 1u);
    g21 = two_steps(g21, s0_21, gates0, s1_21, gates1); u21 = two_steps(u21, s0_21, ups0, s1_21, ups1);
    let s0_22 = quadBroadcast(x0_1[2], 1u); let s1_22 = quadBroadcast(x1_1[2], 1u);
    g22 = two_steps(g22, s0_22, gates0, s1_22, gates1); u22 = two_steps(u22, s0_22, ups0, s1_22, ups1);
    let s0_23 = quadBroadcast(x0_1[3], 1u); let s1_23 = quadBroadcast(x1_1[3], 1u);
    g23 = two_steps(g23, s0_23, gates0, s1_23, gates1); u23 = two_steps(u23, s0_23, ups0, s1_23, ups1);
    let s0_24 = quadBroadcast(x0_1[0], 2u); let s1_24 = quadBroadcast(x1_1[0], 2u);
    g24 = two_steps(g24, s0_24, gates0, s1_24, gates1); u24 = two_steps(u24, s0_24, ups0, s1_24, ups1);
    let s0_25 = quadBroadcast(x0_1[1], 2u); let s1_25 = quadBroadcast(x1_1[1], 2u);
    g25 = two_steps(g25, s0_25, gates0, s1_25, gates1); u25 = two_steps(u25, s0_25, ups0, s1_25, ups1);
    let s0_26 = quadBroadcast(x0_1[2], 2u); let s1_26 = quadBroadcast(x1_1[2], 2u);
    g26 = two_steps(g26, s0_26, gates0, s1_26, gates1); u26 = two_steps(u26, s0_26, ups0, s1_26, ups1);
    let s0_27 = quadBroadcast(x0_1[3], 2u); let s1_27 = quadBroadcast(x1_1[3], 2u);
    g27 = two_steps(g27, s0_27, gates0, s1_27, gates1); u27 = two_steps(u27, s0_27, ups0, s1_27, ups1);
    let s0_28 = quadBroadcast(x0_1[0], 3u); let s1_28 = quadBroadcast(x1_1[0], 3u);
    g28 = two_steps(g28, s0_28, gates0, s1_28, gates1); u28 = two_steps(u28, s0_28, ups0, s1_28, ups1);
    let s0_29 = quadBroadcast(x0_1[1], 3u); let s1_29 = quadBroadcast(x1_1[1], 3u);
    g29 = two_steps(g29, s0_29, gates0, s1_29, gates1); u29 = two_steps(u29, s0_29, ups0, s1_29, ups1);
    let s0_30 = quadBroadcast(x0_1[2], 3u); let s1_30 = quadBroadcast(x1_1[2], 3u);
    g30 = two_steps(g30, s0_30, gates0, s1_30, gates1); u30 = two_steps(u30, s0_30, ups0, s1_30, ups1);
    let s0_31 = quadBroadcast(x0_1[3], 3u); let s1_31 = quadBroadcast(x1_1[3], 3u);
    g31 = two_steps(g31, s0_31, gates0, s1_31, gates1); u31 = two_steps(u31, s0_31, ups0, s1_31, ups1);
  }
  var tile = array<vec4f, 64>(
    g0, u0, g1, u1, g2, u2, g3, u3, g4, u4, g5, u5, g6, u6, g7, u7, g8, u8, g9, u9, g10, u10, g11, u11, g12, u12, g13, u13, g14, u14, g15, u15,
    g16, u16, g17, u17, g18, u18, g19, u19, g20, u20, g21, u21, g22, u22, g23, u23, g24, u24, g25, u25, g26, u26, g27, u27, g28, u28, g29, u29, g30, u30, g31, u31,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store(row + r, col, tile[2u * r], tile[2u * r + 1u]);
  }
}

@compute @workgroup_size(4)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  let group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n) { return; }
  let tile_n = group % params.tiles_n;
  let tile_m = group / params.tiles_n;
  let lane = lane_index % 4u;
  let row = tile_m * 32u;
  let col = tile_n * 16u + 4u * lane; // of this lane's block of either weight
  let own_row = row + 4u * lane;
  let end = params.k;
  var g0 = vec4f(); var u0 = vec4f(); var g1 = vec4f(); var u1 = vec4f();
  var g2 = vec4f(); var u2 = vec4f(); var g3 = vec4f(); var u3 = vec4f();
  var g4 = vec4f(); var u4 = vec4f(); var g5 = vec4f(); var u5 = vec4f();
  var g6 = vec4f(); var u6 = vec4f(); var g7 = vec4f(); var u7 = vec4f();
  var g8 = vec4f(); var u8 = vec4f(); var g9 = vec4f(); var u9 = vec4f();
  var g10 = vec4f(); var u10 = vec4f(); var g11 = vec4f(); var u11 = vec4f();
  var g12 = vec4f(); var u12 = vec4f(); var g13 = vec4f(); var u13 = vec4f();
  var g14 = vec4f(); var u14 = vec4f(); var g15 = vec4f(); var u15 = vec4f();
  var g16 = vec4f(); var u16 = vec4f(); var g17 = vec4f(); var u17 = vec4f();
  var g18 = vec4f(); var u18 = vec4f(); var g19 = vec4f(); var u19 = vec4f();
  var g20 = vec4f(); var u20 = vec4f(); var g21 = vec4f(); var u21 = vec4f();
  var g22 = vec4f(); var u22 = vec4f(); var g23 = vec4f(); var u23 = vec4f();
  var g24 = vec4f(); var u24 = vec4f(); var g25 = vec4f(); var u25 = vec4f();
  var g26 = vec4f(); var u26 = vec4f(); var g27 = vec4f(); var u27 = vec4f();
  var g28 = vec4f(); var u28 = vec4f(); var g29 = vec4f(); var u29 = vec4f();
  var g30 = vec4f(); var u30 = vec4f(); var g31 = vec4f(); var u31 = vec4f();
  for (var k = 0u; k < end; k += 8u) {
    let gates0 = gate_block_ragged(k, col);
    let ups0 = up_block_ragged(k, col);
    let gates1 = gate_block_ragged(k + 4u, col);
    let ups1 = up_block_ragged(k + 4u, col);
    let x0_0 = x_block_ragged(own_row, k);
    let x1_0 = x_block_ragged(own_row, k + 4u);
    let s0_0 = quadBroadcast(x0_0[0], 0u); let s1_0 = quadBroadcast(x1_0[0], 0u);
    g0 = two_steps(g0, s0_0, gates0, s1_0, gates1); u0 = two_steps(u0, s0_0, ups0, s1_0, ups1);
    let s0_1 = quadBroadcast(x0_0[1], 0u); let s1_1 = quadBroadcast(x1_0[1], 0u);
    g1 = two_steps(g1, s0_1, gates0, s1_1, gates1); u1 = two_steps(u1, s0_1, ups0, s1_1, ups1);
    let s0_2 = quadBroadcast(x0_0[2], 0u); let s1_2 = quadBroadcast(x1_0[2], 0u);
    g2 = two_steps(g2, s0_2, gates0, s1_2, gates1); u2 = two_steps(u2, s0_2, ups0, s1_2, ups1);
    let s0_3 = quadBroadcast(x0_0[3], 0u); let s1_3 = quadBroadcast(x1_0[3], 0u);
    g3 = two_steps(g3, s0_3, gates0, s1_3, gates1); u3 = two_steps(u3, s0_3, ups0, s1_3, ups1);
    let s0_4 = quadBroadcast(x0_0[0], 1u); let s1_4 = quadBroadcast(x1_0[0], 1u);
    g4 = two_steps(g4, s0_4, gates0, s1_4, gates1); u4 = two_steps(u4, s0_4, ups0, s1_4, ups1);
    let s0_5 = quadBroadcast(x0_0[1], 1u); let s1_5 = quadBroadcast(x1_0[1], 1u);
    g5 = two_steps(g5, s0_5, gates0, s1_5, gates1); u5 = two_steps(u5, s0_5, ups0, s1_5, ups1);
    let s0_6 = quadBroadcast(x0_0[2], 1u); let s1_6 = quadBroadcast(x1_0[2], 1u);
    g6 = two_steps(g6, s0_6, gates0, s1_6, gates1); u6 = two_steps(u6, s0_6, ups0, s1_6, ups1);
    let s0_7 = quadBroadcast(x0_0[3], 1u); let s1_7 = quadBroadcast(x1_0[3], 1u);
    g7 = two_steps(g7, s0_7, gates0, s1_7, gates1); u7 = two_steps(u7, s0_7, ups0, s1_7, ups1);
    let s0_8 = quadBroadcast(x0_0[0], 2u); let s1_8 = quadBroadcast(x1_0[0], 2u);
    g8 = two_steps(g8, s0_8, gates0, s1_8, gates1); u8 = two_steps(u8, s0_8, ups0, s1_8, ups1);
    let s0_9 = quadBroadcast(x0_0[1], 2u); let s1_9 = quadBroadcast(x1_0[1], 2u);
    g9 = two_steps(g9, s0_9, gates0, s1_9, gates1); u9 = two_steps(u9, s0_9, ups0, s1_9, ups1);
    let s0_10 = quadBroadcast(x0_0[2], 2u); let s1_10 = quadBroadcast(x1_0[2], 2u);
    g10 = two_steps(g10, s0_10, gates0, s1_10, gates1); u10 = two_steps(u10, s0_10, ups0, s1_10, ups1);
    let s0_11 = quadBroadcast(x0_0[3], 2u); let s1_11 = quadBroadcast(x1_0[3], 2u);
    g11 = two_steps(g11, s0_11, gates0, s1_11, gates1); u11 = two_steps(u11, s0_11, ups0, s1_11, ups1);
    let s0_12 = quadBroadcast(x0_0[0], 3u); let s1_12 = quadBroadcast(x1_0[0], 3u);
    g12 = two_steps(g12, s0_12, gates0, s1_12, gates1); u12 = two_steps(u12, s0_12, ups0, s1_12, ups1);
    let s0_13 = quadBroadcast(x0_0[1], 3u); let s1_13 = quadBroadcast(x1_0[1], 3u);
    g13 = two_steps(g13, s0_13, gates0, s1_13, gates1); u13 = two_steps(u13, s0_13, ups0, s1_13, ups1);
    let s0_14 = quadBroadcast(x0_0[2], 3u); let s1_14 = quadBroadcast(x1_0[2], 3u);
    g14 = two_steps(g14, s0_14, gates0, s1_14, gates1); u14 = two_steps(u14, s0_14, ups0, s1_14, ups1);
    let s0_15 = quadBroadcast(x0_0[3], 3u); let s1_15 = quadBroadcast(x1_0[3], 3u);
    g15 = two_steps(g15, s0_15, gates0, s1_15, gates1); u15 = two_steps(u15, s0_15, ups0, s1_15, ups1);
    let x0_1 = x_block_ragged(own_row + 16u, k);
    let x1_1 = x_block_ragged(own_row + 16u, k + 4u);
    let s0_16 = quadBroadcast(x0_1[0], 0u); let s1_16 = quadBroadcast(x1_1[0], 0u);
    g16 = two_steps(g16, s0_16, gates0, s1_16, gates1); u16 = two_steps(u16, s0_16, ups0, s1_16, ups1);
    let s0_17 = quadBroadcast(x0_1[1], 0u); let s1_17 = quadBroadcast(x1_1[1], 0u);
    g17 = two_steps(g17, s0_17, gates0, s1_17, gates1); u17 = two_steps(u17, s0_17, ups0, s1_17, ups1);
    let s0_18 = quadBroadcast(x0_1[2], 0u); let s1_18 = quadBroadcast(x1_1[2], 0u);
    g18 = two_steps(g18, s0_18, gates0, s1_18, gates1); u18 = two_steps(u18, s0_18, ups0, s1_18, ups1);
    let s0_19 = quadBroadcast(x0_1[3], 0u); let s1_19 = quadBroadcast(x1_1[3], 0u);
    g19 = two_steps(g19, s0_19, gates0, s1_19, gates1); u19 = two_steps(u19, s0_19, ups0, s1_19, ups1);
    let s0_20 = quadBroadcast(x0_1[0], 1u); let s1_20 = quadBroadcast(x1_1[0], 1u);
    g20 = two_steps(g20, s0_20, gates0, s1_20, gates1); u20 = two_steps(u20, s0_20, ups0, s1_20, ups1);
    let s0_21 = quadBroadcast(x0_1[1], 1u); let s1_21 = quadBroadcast(x1_1[1], 1u);
    g21 = two_steps(g21, s0_21, gates0, s1_21, gates1); u21 = two_steps(u21, s0_21, ups0, s1_21, ups1);
    let s0_22 = quadBroadcast(x0_1[2], 1u); let s1_22 = quadBroadcast(x1_1[2], 1u);
    g22 = two_steps(g22, s0_22, gates0, s1_22, gates1); u22 = two_steps(u22, s0_22, ups0, s1_22, ups1);
    let s0_23 = quadBroadcast(x0_1[3], 1u); let s1_23 = quadBroadcast(x1_1[3], 1u);
    g23 = two_steps(g23, s0_23, gates0, s1_23, gates1); u23 = two_steps(u23, s0_23, ups0, s1_23, ups1);
    let s0_24 = quadBroadcast(x0_1[0], 2u); let s1_24 = quadBroadcast(x1_1[0], 2u);
    g24 = two_steps(g24, s0_24, gates0, s1_24, gates1); u24 = two_steps(u24, s0_24, ups0, s1_24, ups1);
    let s0_25 = quadBroadcast(x0_1[1], 2u); let s1_25 = quadBroadcast(x1_1[1], 2u);
    g25 = two_steps(g25, s0_25, gates0, s1_25, gates1); u25 = two_steps(u25, s0_25, ups0, s1_25, ups1);
    let s0_26 = quadBroadcast(x0_1[2], 2u); let s1_26 = quadBroadcast(x1_1[2], 2u);
    g26 = two_steps(g26, s0_26, gates0, s1_26, gates1); u26 = two_steps(u26, s0_26, ups0, s1_26, ups1);
    let s0_27 = quadBroadcast(x0_1[3], 2u); let s1_27 = quadBroadcast(x1_1[3], 2u);
    g27 = two_steps(g27, s0_27, gates0, s1_27, gates1); u27 = two_steps(u27, s0_27, ups0, s1_27, ups1);
    let s0_28 = quadBroadcast(x0_1[0], 3u); let s1_28 = quadBroadcast(x1_1[0], 3u);
    g28 = two_steps(g28, s0_28, gates0, s1_28, gates1); u28 = two_steps(u28, s0_28, ups0, s1_28, ups1);
    let s0_29 = quadBroadcast(x0_1[1], 3u); let s1_29 = quadBroadcast(x1_1[1], 3u);
    g29 = two_steps(g29, s0_29, gates0, s1_29, gates1); u29 = two_steps(u29, s0_29, ups0, s1_29, ups1);
    let s0_30 = quadBroadcast(x0_1[2], 3u); let s1_30 = quadBroadcast(x1_1[2], 3u);
    g30 = two_steps(g30, s0_30, gates0, s1_30, gates1); u30 = two_steps(u30, s0_30, ups0, s1_30, ups1);
    let s0_31 = quadBroadcast(x0_1[3], 3u); let s1_31 = quadBroadcast(x1_1[3], 3u);
    g31 = two_steps(g31, s0_31, gates0, s1_31, gates1); u31 = two_steps(u31, s0_31, ups0, s1_31, ups1);
  }
  var tile = array<vec4f, 64>(
    g0, u0, g1, u1, g2, u2, g3, u3, g4, u4, g5, u5, g6, u6, g7, u7, g8, u8, g9, u9, g10, u10, g11, u11, g12, u12, g13, u13, g14, u14, g15, u15,
    g16, u16, g17, u17, g18, u18, g19, u19, g20, u20, g21, u21, g22, u22, g23, u23, g24, u24, g25, u25, g26, u26, g27, u27, g28, u28, g29, u29, g30, u30, g31, u31,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store_ragged(row + r, col, tile[2u * r], tile[2u * r + 1u]);
  }
}
