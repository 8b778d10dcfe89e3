// y[m, n] = act(Σ_k op(a)[m, k] op(b)[k, n] + bias[n]) + residual[m, n], batched; op transposes when its override says so.
// Written by kernels/gen_matmul.mjs: change the generator. No barriers, no workgroup memory.
// 4 lanes, one subgroup, share a tile of 32 × 32: each lane loads its own rows of a and columns of b, the rows go round by quadBroadcast.
// Split k: with splits > 1 each part of k writes its own y, and split_sum.wgsl adds them in order. Rows and columns beyond the end are clamped
// for loading and never stored. `forward` wants rows of a, b and y in multiples of 4 and k too; `forward_ragged` takes any shape.
// uses: gelu4, gelu_tanh4, silu4
enable subgroups;
override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override HAS_BIAS: bool = false;
override KEEP: bool = false; // also writes what went into the activation, for the backward
override RESIDUAL: bool = false; // adds what pre holds, after the activation and before KEEP writes it
override ADD: bool = false; // adds to what y holds
override ACTIVATION: u32 = 0u; // 0 none, 1 gelu, 2 gelu_tanh, 3 silu

// Matrix i of the batch begins at first + i / heads * stride + i % heads / group * head, its rows are `row` elements apart: heads of one tensor are matrices.
struct Params {
  m: u32, n: u32, k: u32,
  a_row: u32, b_row: u32, y_row: u32,
  a_stride: u32, b_stride: u32, y_stride: u32, // 0: shared by all
  a_head: u32, b_head: u32, y_head: u32,
  a_first: u32, b_first: u32, y_first: u32,
  heads: u32, b_group: u32,
  batch: u32,
  tiles_m: u32, tiles_n: u32,
  splits: u32, chunk: u32,      // parts of k, and their length, a multiple of 4
  tile_rows: u32,               // rows of one invocation's or one subgroup's tile, as below
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a4: array<A4Stored>; // [batch or 1, M, K], transposed [.., K, M]
@group(0) @binding(2) var<storage, read> b4: array<B4Stored>; // [batch or 1, K, N], transposed [.., N, K]
@group(0) @binding(3) var<storage, read> bias4: array<Bias4Stored>; // [N]
@group(0) @binding(4) var<storage, read_write> y4: array<vec4f>; // [splits, batch, M, N]
@group(0) @binding(5) var<storage, read_write> pre4: array<vec4f>; // [batch, M, N] when KEEP or RESIDUAL
@group(0) @binding(6) var<storage, read> a1: array<A1Stored>; // the same five for any shape
@group(0) @binding(7) var<storage, read> b1: array<B1Stored>;
@group(0) @binding(8) var<storage, read> bias1: array<Bias1Stored>;
@group(0) @binding(9) var<storage, read_write> y1: array<f32>;
@group(0) @binding(10) var<storage, read_write> pre1: array<f32>;


fn activate(x: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return gelu4(x); }
  if (ACTIVATION == 2u) { return gelu_tanh4(x); }
  if (ACTIVATION == 3u) { return silu4(x); }
  return x;
}

// op(a)[row + i, k .. k + 3] for i = 0 .. 3
fn a_block(base: u32, row: u32, k: u32) -> mat4x4f {
  if (TRANSPOSE_A) {
    let stride = params.a_row / 4u;
    let at = (base + k * params.a_row + min(row, params.m - 4u)) / 4u;
    return transpose(mat4x4f(load_a4(at), load_a4(at + stride), load_a4(at + 2u * stride), load_a4(at + 3u * stride)));
  }
  let width = params.a_row / 4u;
  let at = (base + k) / 4u;
  let last = params.m - 1u;
  return mat4x4f(load_a4(at + min(row, last) * width), load_a4(at + min(row + 1u, last) * width), load_a4(at + min(row + 2u, last) * width), load_a4(at + min(row + 3u, last) * width));
}

// op(b)[k + i, col .. col + 3] for i = 0 .. 3
fn b_block(base: u32, k: u32, col: u32) -> mat4x4f {
  if (TRANSPOSE_B) {
    let width = params.b_row / 4u;
    let at = (base + k) / 4u;
    let first = min(col, params.n - 4u);
    return transpose(mat4x4f(load_b4(at + first * width), load_b4(at + (first + 1u) * width), load_b4(at + (first + 2u) * width), load_b4(at + (first + 3u) * width)));
  }
  let stride = params.b_row / 4u;
  let at = (base + k * params.b_row + min(col, params.n - 4u)) / 4u;
  return mat4x4f(load_b4(at), load_b4(at + stride), load_b4(at + 2u * stride), load_b4(at + 3u * stride));
}

// Four elements of op(a) along k, zeros from `end` on, so that the tail of k adds nothing.
fn a_ragged(base: u32, row: u32, k: u32, end: u32) -> vec4f {
  let r = min(row, params.m - 1u);
  let at = min(vec4u(k) + vec4u(0u, 1u, 2u, 3u), vec4u(params.k - 1u));
  let i = base + select(at + vec4u(r * params.a_row), at * params.a_row + vec4u(r), TRANSPOSE_A);
  return select(vec4f(), vec4f(load_a1(i.x), load_a1(i.y), load_a1(i.z), load_a1(i.w)), vec4u(k) + vec4u(0u, 1u, 2u, 3u) < vec4u(end));
}

fn b_ragged(base: u32, k: u32, col: u32) -> vec4f {
  let r = min(k, params.k - 1u);
  let at = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
  let i = base + select(at + vec4u(r * params.b_row), at * params.b_row + vec4u(r), TRANSPOSE_B);
  return vec4f(load_b1(i.x), load_b1(i.y), load_b1(i.z), load_b1(i.w));
}

fn a_block_ragged(base: u32, row: u32, k: u32, end: u32) -> mat4x4f {
  return mat4x4f(a_ragged(base, row, k, end), a_ragged(base, row + 1u, k, end), a_ragged(base, row + 2u, k, end), a_ragged(base, row + 3u, k, end));
}

fn b_block_ragged(base: u32, k: u32, col: u32) -> mat4x4f {
  return mat4x4f(b_ragged(base, k, col), b_ragged(base, k + 1u, col), b_ragged(base, k + 2u, col), b_ragged(base, k + 3u, col));
}

fn or_zero(m: mat4x4f, inside: bool) -> mat4x4f {
  let zero = vec4f();
  return mat4x4f(select(zero, m[0], inside), select(zero, m[1], inside), select(zero, m[2], inside), select(zero, m[3], inside));
}

// c + (Σ_i s[i] b[i] + Σ_i s'[i] b'[i]). By matrices, SwiftShader sums number by number in a register; by vectors it stores each of the sums.
fn two_steps(c: vec4f, s: vec4f, b: mat4x4f, more_s: vec4f, more_b: mat4x4f) -> vec4f {
  return c + (b * s + more_b * more_s);
}

fn store(base: u32, row: u32, col: u32, sum: vec4f) {
  if (col >= params.n) { return; }
  let at = (base + row * params.y_row + col) / 4u;
  var v = sum;
  if (HAS_BIAS) { v += load_bias4(col / 4u); }
  if (ADD) { v += y4[at]; }
  var activated = activate(v);
  if (RESIDUAL) { activated += pre4[at]; }
  if (KEEP) { pre4[at] = v; }
  y4[at] = activated;
}

fn store_ragged(base: u32, row: u32, col: u32, sum: vec4f) {
  var v = sum;
  if (HAS_BIAS) {
    let at = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
    v += vec4f(load_bias1(at.x), load_bias1(at.y), load_bias1(at.z), load_bias1(at.w));
  }
  let at = base + row * params.y_row + col;
  if (ADD) {
    for (var i = 0u; i < 4u && col + i < params.n; i++) { v[i] += y1[at + i]; }
  }
  var activated = activate(v);
  for (var i = 0u; i < 4u && col + i < params.n; i++) {
    if (RESIDUAL) { activated[i] += pre1[at + i]; }
    if (KEEP) { pre1[at + i] = v[i]; }
    y1[at + i] = activated[i];
  }
}

@compute @workgroup_size(4)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n * params.splits * params.batch) { return; }
  let tile_n = group % params.tiles_n;
  group /= params.tiles_n;
  let tile_m = group % params.tiles_m;
  group /= params.tiles_m;
  let split = group % params.splits;
  let batch = group / params.splits;
  let lane = lane_index % 4u;
  let row = tile_m * 32u;
  let col = tile_n * 32u + 4u * lane; // of this lane's first block
  let own_row = row + 4u * lane;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let end = min(params.k, (split + 1u) * params.chunk);
  var c0_0 = vec4f(); var c0_1 = vec4f(); var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f(); var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f(); var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f(); var c7_0 = vec4f(); var c7_1 = vec4f();
  var c8_0 = vec4f(); var c8_1 = vec4f(); var c9_0 = vec4f(); var c9_1 = vec4f();
  var c10_0 = vec4f(); var c10_1 = vec4f(); var c11_0 = vec4f(); var c11_1 = vec4f();
  var c12_0 = vec4f(); var c12_1 = vec4f(); var c13_0 = vec4f(); var c13_1 = vec4f();
  var c14_0 = vec4f(); var c14_1 = vec4f(); var c15_0 = vec4f(); var c15_1 = vec4f();
  var c16_0 = vec4f(); var c16_1 = vec4f(); var c17_0 = vec4f(); var c17_1 = vec4f();
  var c18_0 = vec4f(); var c18_1 = vec4f(); var c19_0 = vec4f(); var c19_1 = vec4f();
  var c20_0 = vec4f(); var c20_1 = vec4f(); var c21_0 = vec4f(); var c21_1 = vec4f();
  var c22_0 = vec4f(); var c22_1 = vec4f(); var c23_0 = vec4f(); var c23_1 = vec4f();
  var c24_0 = vec4f(); var c24_1 = vec4f(); var c25_0 = vec4f(); var c25_1 = vec4f();
  var c26_0 = vec4f(); var c26_1 = vec4f(); var c27_0 = vec4f(); var c27_1 = vec4f();
  var c28_0 = vec4f(); var c28_1 = vec4f(); var c29_0 = vec4f(); var c29_1 = vec4f();
  var c30_0 = vec4f(); var c30_1 = vec4f(); var c31_0 = vec4f(); var c31_1 = vec4f();
  for (var k = split * params.chunk; k < end; k += 8u) {
    let more = k + 4u < end; // a last step of four k: zeros of a for the rest, and b once more
    let next = select(k, k + 4u, more);
    let b0_0 = b_block(b_base, k, col);
    let b0_1 = b_block(b_base, k, col + 16u);
    let b1_0 = b_block(b_base, next, col);
    let b1_1 = b_block(b_base, next, col + 16u);
    let a0_0 = a_block(a_base, own_row, k);
    let a1_0 = or_zero(a_block(a_base, own_row, next), more);
    let s0_0 = quadBroadcast(a0_0[0], 0u); let s1_0 = quadBroadcast(a1_0[0], 0u);
    c0_0 = two_steps(c0_0, s0_0, b0_0, s1_0, b1_0); c0_1 = two_steps(c0_1, s0_0, b0_1, s1_0, b1_1);
    let s0_1 = quadBroadcast(a0_0[1], 0u); let s1_1 = quadBroadcast(a1_0[1], 0u);
    c1_0 = two_steps(c1_0, s0_1, b0_0, s1_1, b1_0); c1_1 = two_steps(c1_1, s0_1, b0_1, s1_1, b1_1);
    let s0_2 = quadBroadcast(a0_0[2], 0u); let s1_2 = quadBroadcast(a1_0[2], 0u);
    c2_0 = two_steps(c2_0, s0_2, b0_0, s1_2, b1_0); c2_1 = two_steps(c2_1, s0_2, b0_1, s1_2, b1_1);
    let s0_3 = quadBroadcast(a0_0[3], 0u); let s1_3 = quadBroadcast(a1_0[3], 0u);
    c3_0 = two_steps(c3_0, s0_3, b0_0, s1_3, b1_0); c3_1 = two_steps(c3_1, s0_3, b0_1, s1_3, b1_1);
    let s0_4 = quadBroadcast(a0_0[0], 1u); let s1_4 = quadBroadcast(a1_0[0], 1u);
    c4_0 = two_steps(c4_0, s0_4, b0_0, s1_4, b1_0); c4_1 = two_steps(c4_1, s0_4, b0_1, s1_4, b1_1);
    let s0_5 = quadBroadcast(a0_0[1], 1u); let s1_5 = quadBroadcast(a1_0[1], 1u);
    c5_0 = two_steps(c5_0, s0_5, b0_0, s1_5, b1_0); c5_1 = two_steps(c5_1, s0_5, b0_1, s1_5, b1_1);
    let s0_6 = quadBroadcast(a0_0[2], 1u); let s1_6 = quadBroadcast(a1_0[2], 1u);
    c6_0 = two_steps(c6_0, s0_6, b0_0, s1_6, b1_0); c6_1 = two_steps(c6_1, s0_6, b0_1, s1_6, b1_1);
    let s0_7 = quadBroadcast(a0_0[3], 1u); let s1_7 = quadBroadcast(a1_0[3], 1u);
    c7_0 = two_steps(c7_0, s0_7, b0_0, s1_7, b1_0); c7_1 = two_steps(c7_1, s0_7, b0_1, s1_7, b1_1);
    let s0_8 = quadBroadcast(a0_0[0], 2u); let s1_8 = quadBroadcast(a1_0[0], 2u);
    c8_0 = two_steps(c8_0, s0_8, b0_0, s1_8, b1_0); c8_1 = two_steps(c8_1, s0_8, b0_1, s1_8, b1_1);
    let s0_9 = quadBroadcast(a0_0[1], 2u); let s1_9 = quadBroadcast(a1_0[1], 2u);
    c9_0 = two_steps(c9_0, s0_9, b0_0, s1_9, b1_0); c9_1 = two_steps(c9_1, s0_9, b0_1, s1_9, b1_1);
    let s0_10 = quadBroadcast(a0_0[2], 2u); let s1_10 = quadBroadcast(a1_0[2], 2u);
    c10_0 = two_steps(c10_0, s0_10, b0_0, s1_10, b1_0); c10_1 = two_steps(c10_1, s0_10, b0_1, s1_10, b1_1);
    let s0_11 = quadBroadcast(a0_0[3], 2u); let s1_11 = quadBroadcast(a1_0[3], 2u);
    c11_0 = two_steps(c11_0, s0_11, b0_0, s1_11, b1_0); c11_1 = two_steps(c11_1, s0_11, b0_1, s1_11, b1_1);
    let s0_12 = quadBroadcast(a0_0[0], 3u); let s1_12 = quadBroadcast(a1_0[0], 3u);
    c12_0 = two_steps(c12_0, s0_12, b0_0, s1_12, b1_0); c12_1 = two_steps(c12_1, s0_12, b0_1, s1_12, b1_1);
    let s0_13 = quadBroadcast(a0_0[1], 3u); let s1_13 = quadBroadcast(a1_0[1], 3u);
    c13_0 = two_steps(c13_0, s0_13, b0_0, s1_13, b1_0); c13_1 = two_steps(c13_1, s0_13, b0_1, s1_13, b1_1);
    let s0_14 = quadBroadcast(a0_0[2], 3u); let s1_14 = quadBroadcast(a1_0[2], 3u);
    c14_0 = two_steps(c14_0, s0_14, b0_0, s1_14, b1_0); c14_1 = two_steps(c14_1, s0_14, b0_1, s1_14, b1_1);
    let s0_15 = quadBroadcast(a0_0[3], 3u); let s1_15 = quadBroadcast(a1_0[3], 3u);
    c15_0 = two_steps(c15_0, s0_15, b0_0, s1_15, b1_0); c15_1 = two_steps(c15_1, s0_15, b0_1, s1_15, b1_1);
    let a0_1 = a_block(a_base, own_row + 16u, k);
    let a1_1 = or_zero(a_block(a_base, own_row + 16u, next), more);
    let s0_16 = quadBroadcast(a0_1[0], 0u); let s1_16 = quadBroadcast(a1_1[0], 0u);
    c16_0 = two_steps(c16_0, s0_16, b0_0, s1_16, b1_0); c16_1 = two_steps(c16_1, s0_16, b0_1, s1_16, b1_1);
    let s0_17 = quadBroadcast(a0_1[1], 0u); let s1_17 = quadBroadcast(a1_1[1], 0u);
    c17_0 = two_steps(c17_0, s0_17, b0_0, s1_17, b1_0); c17_1 = two_steps(c17_1, s0_17, b0_1, s1_17, b1_1);
    let s0_18 = quadBroadcast(a0_1[2], 0u); let s1_18 = quadBroadcast(a1_1[2], 0u);
    c18_0 = two_steps(c18_0, s0_18, b0_0, s1_18, b1_0); c18_1 = two_steps(c18_1, s0_18, b0_1, s1_18, b1_1);
    let s0_19 = quadBroadcast(a0_1[3], 0u); let s1_19 = quadBroadcast(a1_1[3], 0u);
    c19_0 = two_steps(c19_0, s0_19, b0_0, s1_19, b1_0); c19_1 = two_steps(c19_1, s0_19, b0_1, s1_19, b1_1);
    let s0_20 = quadBroadcast(a0_1[0], 1u); let s1_20 = quadBroadcast(a1_1[0], 1u);
    c20_0 = two_steps(c20_0, s0_20, b0_0, s1_20, b1_0); c20_1 = two_steps(c20_1, s0_20, b0_1, s1_20, b1_1);
    let s0_21 = quadBroadcast(a0_1[1], 1u); let s1_21 = quadBroadcast(a1_1[1], 1u);
    c21_0 = two_steps(c21_0, s0_21, b0_0, s1_21, b1_0); c21_1 = two_steps(c21_1, s0_21, b0_1, s1_21, b1_1);
    let s0_22 = quadBroadcast(a0_1[2], 1u); let s1_22 = quadBroadcast(a1_1[2], 1u);
    c22_0 = two_steps(c22_0, s0_22, b0_0, s1_22, b1_0); c22_1 = two_steps(c22_1, s0_22, b0_1, s1_22, b1_1);
    let s0_23 = quadBroadcast(a0_1[3], 1u); let s1_23 = quadBroadcast(a1_1[3], 1u);
    c23_0 = two_steps(c23_0, s0_23, b0_0, s1_23, b1_0); c23_1 = two_steps(c23_1, s0_23, b0_1, s1_23, b1_1);
    let s0_24 = quadBroadcast(a0_1[0], 2u); let s1_24 = quadBroadcast(a1_1[0], 2u);
    c24_0 = two_steps(c24_0, s0_24, b0_0, s1_24, b1_0); c24_1 = two_steps(c24_1, s0_24, b0_1, s1_24, b1_1);
    let s0_25 = quadBroadcast(a0_1[1], 2u); let s1_25 = quadBroadcast(a1_1[1], 2u);
    c25_0 = two_steps(c25_0, s0_25, b0_0, s1_25, b1_0); c25_1 = two_steps(c25_1, s0_25, b0_1, s1_25, b1_1);
    let s0_26 = quadBroadcast(a0_1[2], 2u); let s1_26 = quadBroadcast(a1_1[2], 2u);
    c26_0 = two_steps(c26_0, s0_26, b0_0, s1_26, b1_0); c26_1 = two_steps(c26_1, s0_26, b0_1, s1_26, b1_1);
    let s0_27 = quadBroadcast(a0_1[3], 2u); let s1_27 = quadBroadcast(a1_1[3], 2u);
    c27_0 = two_steps(c27_0, s0_27, b0_0, s1_27, b1_0); c27_1 = two_steps(c27_1, s0_27, b0_1, s1_27, b1_1);
    let s0_28 = quadBroadcast(a0_1[0], 3u); let s1_28 = quadBroadcast(a1_1[0], 3u);
    c28_0 = two_steps(c28_0, s0_28, b0_0, s1_28, b1_0); c28_1 = two_steps(c28_1, s0_28, b0_1, s1_28, b1_1);
    let s0_29 = quadBroadcast(a0_1[1], 3u); let s1_29 = quadBroadcast(a1_1[1], 3u);
    c29_0 = two_steps(c29_0, s0_29, b0_0, s1_29, b1_0); c29_1 = two_steps(c29_1, s0_29, b0_1, s1_29, b1_1);
    let s0_30 = quadBroadcast(a0_1[2], 3u); let s1_30 = quadBroadcast(a1_1[2], 3u);
    c30_0 = two_steps(c30_0, s0_30, b0_0, s1_30, b1_0); c30_1 = two_steps(c30_1, s0_30, b0_1, s1_30, b1_1);
    let s0_31 = quadBroadcast(a0_1[3], 3u); let s1_31 = quadBroadcast(a1_1[3], 3u);
    c31_0 = two_steps(c31_0, s0_31, b0_0, s1_31, b1_0); c31_1 = two_steps(c31_1, s0_31, b0_1, s1_31, b1_1);
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 64>(
    c0_0, c0_1, c1_0, c1_1, c2_0, c2_1, c3_0, c3_1, c4_0, c4_1, c5_0, c5_1, c6_0, c6_1, c7_0, c7_1, c8_0, c8_1, c9_0, c9_1, c10_0, c10_1, c11_0, c11_1, c12_0, c12_1, c13_0, c13_1, c14_0, c14_1, c15_0, c15_1,
    c16_0, c16_1, c17_0, c17_1, c18_0, c18_1, c19_0, c19_1, c20_0, c20_1, c21_0, c21_1, c22_0, c22_1, c23_0, c23_1, c24_0, c24_1, c25_0, c25_1, c26_0, c26_1, c27_0, c27_1, c28_0, c28_1, c29_0, c29_1, c30_0, c30_1, c31_0, c31_1,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m)) * 2u;
  for (var i = 0u; i < inside; i++) {
    store(y_base, row + i / 2u, col + i % 2u * 16u, tile[i]);
  }
}

@compute @workgroup_size(4)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n * params.splits * params.batch) { return; }
  let tile_n = group % params.tiles_n;
  group /= params.tiles_n;
  let tile_m = group % params.tiles_m;
  group /= params.tiles_m;
  let split = group % params.splits;
  let batch = group / params.splits;
  let lane = lane_index % 4u;
  let row = tile_m * 32u;
  let col = tile_n * 32u + 4u * lane; // of this lane's first block
  let own_row = row + 4u * lane;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let end = min(params.k, (split + 1u) * params.chunk);
  var c0_0 = vec4f(); var c0_1 = vec4f(); var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f(); var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f(); var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f(); var c7_0 = vec4f(); var c7_1 = vec4f();
  var c8_0 = vec4f(); var c8_1 = vec4f(); var c9_0 = vec4f(); var c9_1 = vec4f();
  var c10_0 = vec4f(); var c10_1 = vec4f(); var c11_0 = vec4f(); var c11_1 = vec4f();
  var c12_0 = vec4f(); var c12_1 = vec4f(); var c13_0 = vec4f(); var c13_1 = vec4f();
  var c14_0 = vec4f(); var c14_1 = vec4f(); var c15_0 = vec4f(); var c15_1 = vec4f();
  var c16_0 = vec4f(); var c16_1 = vec4f(); var c17_0 = vec4f(); var c17_1 = vec4f();
  var c18_0 = vec4f(); var c18_1 = vec4f(); var c19_0 = vec4f(); var c19_1 = vec4f();
  var c20_0 = vec4f(); var c20_1 = vec4f(); var c21_0 = vec4f(); var c21_1 = vec4f();
  var c22_0 = vec4f(); var c22_1 = vec4f(); var c23_0 = vec4f(); var c23_1 = vec4f();
  var c24_0 = vec4f(); var c24_1 = vec4f(); var c25_0 = vec4f(); var c25_1 = vec4f();
  var c26_0 = vec4f(); var c26_1 = vec4f(); var c27_0 = vec4f(); var c27_1 = vec4f();
  var c28_0 = vec4f(); var c28_1 = vec4f(); var c29_0 = vec4f(); var c29_1 = vec4f();
  var c30_0 = vec4f(); var c30_1 = vec4f(); var c31_0 = vec4f(); var c31_1 = vec4f();
  for (var k = split * params.chunk; k < end; k += 8u) {
    let b0_0 = b_block_ragged(b_base, k, col);
    let b0_1 = b_block_ragged(b_base, k, col + 16u);
    let b1_0 = b_block_ragged(b_base, k + 4u, col);
    let b1_1 = b_block_ragged(b_base, k + 4u, col + 16u);
    let a0_0 = a_block_ragged(a_base, own_row, k, end);
    let a1_0 = a_block_ragged(a_base, own_row, k + 4u, end);
    let s0_0 = quadBroadcast(a0_0[0], 0u); let s1_0 = quadBroadcast(a1_0[0], 0u);
    c0_0 = two_steps(c0_0, s0_0, b0_0, s1_0, b1_0); c0_1 = two_steps(c0_1, s0_0, b0_1, s1_0, b1_1);
    let s0_1 = quadBroadcast(a0_0[1], 0u); let s1_1 = quadBroadcast(a1_0[1], 0u);
    c1_0 = two_steps(c1_0, s0_1, b0_0, s1_1, b1_0); c1_1 = two_steps(c1_1, s0_1, b0_1, s1_1, b1_1);
    let s0_2 = quadBroadcast(a0_0[2], 0u); let s1_2 = quadBroadcast(a1_0[2], 0u);
    c2_0 = two_steps(c2_0, s0_2, b0_0, s1_2, b1_0); c2_1 = two_steps(c2_1, s0_2, b0_1, s1_2, b1_1);
    let s0_3 = quadBroadcast(a0_0[3], 0u); let s1_3 = quadBroadcast(a1_0[3], 0u);
    c3_0 = two_steps(c3_0, s0_3, b0_0, s1_3, b1_0); c3_1 = two_steps(c3_1, s0_3, b0_1, s1_3, b1_1);
    let s0_4 = quadBroadcast(a0_0[0], 1u); let s1_4 = quadBroadcast(a1_0[0], 1u);
    c4_0 = two_steps(c4_0, s0_4, b0_0, s1_4, b1_0); c4_1 = two_steps(c4_1, s0_4, b0_1, s1_4, b1_1);
    let s0_5 = quadBroadcast(a0_0[1], 1u); let s1_5 = quadBroadcast(a1_0[1], 1u);
    c5_0 = two_steps(c5_0, s0_5, b0_0, s1_5, b1_0); c5_1 = two_steps(c5_1, s0_5, b0_1, s1_5, b1_1);
    let s0_6 = quadBroadcast(a0_0[2], 1u); let s1_6 = quadBroadcast(a1_0[2], 1u);
    c6_0 = two_steps(c6_0, s0_6, b0_0, s1_6, b1_0); c6_1 = two_steps(c6_1, s0_6, b0_1, s1_6, b1_1);
    let s0_7 = quadBroadcast(a0_0[3], 1u); let s1_7 = quadBroadcast(a1_0[3], 1u);
    c7_0 = two_steps(c7_0, s0_7, b0_0, s1_7, b1_0); c7_1 = two_steps(c7_1, s0_7, b0_1, s1_7, b1_1);
    let s0_8 = quadBroadcast(a0_0[0], 2u); let s1_8 = quadBroadcast(a1_0[0], 2u);
    c8_0 = two_steps(c8_0, s0_8, b0_0, s1_8, b1_0); c8_1 = two_steps(c8_1, s0_8, b0_1, s1_8, b1_1);
    let s0_9 = quadBroadcast(a0_0[1], 2u); let s1_9 = quadBroadcast(a1_0[1], 2u);
    c9_0 = two_steps(c9_0, s0_9, b0_0, s1_9, b1_0); c9_1 = two_steps(c9_1, s0_9, b0_1, s1_9, b1_1);
    let s0_10 = quadBroadcast(a0_0[2], 2u); let s1_10 = quadBroadcast(a1_0[2], 2u);
    c10_0 = two_steps(c10_0, s0_10, b0_0, s1_10, b1_0); c10_1 = two_steps(c10_1, s0_10, b0_1, s1_10, b1_1);
    let s0_11 = quadBroadcast(a0_0[3], 2u); let s1_11 = quadBroadcast(a1_0[3], 2u);
    c11_0 = two_steps(c11_0, s0_11, b0_0, s1_11, b1_0); c11_1 = two_steps(c11_1, s0_11, b0_1, s1_11, b1_1);
    let s0_12 = quadBroadcast(a0_0[0], 3u); let s1_12 = quadBroadcast(a1_0[0], 3u);
    c12_0 = two_steps(c12_0, s0_12, b0_0, s1_12, b1_0); c12_1 = two_steps(c12_1, s0_12, b0_1, s1_12, b1_1);
    let s0_13 = quadBroadcast(a0_0[1], 3u); let s1_13 = quadBroadcast(a1_0[1], 3u);
    c13_0 = two_steps(c13_0, s0_13, b0_0, s1_13, b1_0); c13_1 = two_steps(c13_1, s0_13, b0_1, s1_13, b1_1);
    let s0_14 = quadBroadcast(a0_0[2], 3u); let s1_14 = quadBroadcast(a1_0[2], 3u);
    c14_0 = two_steps(c14_0, s0_14, b0_0, s1_14, b1_0); c14_1 = two_steps(c14_1, s0_14, b0_1, s1_14, b1_1);
    let s0_15 = quadBroadcast(a0_0[3], 3u); let s1_15 = quadBroadcast(a1_0[3], 3u);
    c15_0 = two_steps(c15_0, s0_15, b0_0, s1_15, b1_0); c15_1 = two_steps(c15_1, s0_15, b0_1, s1_15, b1_1);
    let a0_1 = a_block_ragged(a_base, own_row + 16u, k, end);
    let a1_1 = a_block_ragged(a_base, own_row + 16u, k + 4u, end);
    let s0_16 = quadBroadcast(a0_1[0], 0u); let s1_16 = quadBroadcast(a1_1[0], 0u);
    c16_0 = two_steps(c16_0, s0_16, b0_0, s1_16, b1_0); c16_1 = two_steps(c16_1, s0_16, b0_1, s1_16, b1_1);
    let s0_17 = quadBroadcast(a0_1[1], 0u); let s1_17 = quadBroadcast(a1_1[1], 0u);
    c17_0 = two_steps(c17_0, s0_17, b0_0, s1_17, b1_0); c17_1 = two_steps(c17_1, s0_17, b0_1, s1_17, b1_1);
    let s0_18 = quadBroadcast(a0_1[2], 0u); let s1_18 = quadBroadcast(a1_1[2], 0u);
    c18_0 = two_steps(c18_0, s0_18, b0_0, s1_18, b1_0); c18_1 = two_steps(c18_1, s0_18, b0_1, s1_18, b1_1);
    let s0_19 = quadBroadcast(a0_1[3], 0u); let s1_19 = quadBroadcast(a1_1[3], 0u);
    c19_0 = two_steps(c19_0, s0_19, b0_0, s1_19, b1_0); c19_1 = two_steps(c19_1, s0_19, b0_1, s1_19, b1_1);
    let s0_20 = quadBroadcast(a0_1[0], 1u); let s1_20 = quadBroadcast(a1_1[0], 1u);
    c20_0 = two_steps(c20_0, s0_20, b0_0, s1_20, b1_0); c20_1 = two_steps(c20_1, s0_20, b0_1, s1_20, b1_1);
    let s0_21 = quadBroadcast(a0_1[1], 1u); let s1_21 = quadBroadcast(a1_1[1], 1u);
    c21_0 = two_steps(c21_0, s0_21, b0_0, s1_21, b1_0); c21_1 = two_steps(c21_1, s0_21, b0_1, s1_21, b1_1);
    let s0_22 = quadBroadcast(a0_1[2], 1u); let s1_22 = quadBroadcast(a1_1[2], 1u);
    c22_0 = two_steps(c22_0, s0_22, b0_0, s1_22, b1_0); c22_1 = two_steps(c22_1, s0_22, b0_1, s1_22, b1_1);
    let s0_23 = quadBroadcast(a0_1[3], 1u); let s1_23 = quadBroadcast(a1_1[3], 1u);
    c23_0 = two_steps(c23_0, s0_23, b0_0, s1_23, b1_0); c23_1 = two_steps(c23_1, s0_23, b0_1, s1_23, b1_1);
    let s0_24 = quadBroadcast(a0_1[0], 2u); let s1_24 = quadBroadcast(a1_1[0], 2u);
    c24_0 = two_steps(c24_0, s0_24, b0_0, s1_24, b1_0); c24_1 = two_steps(c24_1, s0_24, b0_1, s1_24, b1_1);
    let s0_25 = quadBroadcast(a0_1[1], 2u); let s1_25 = quadBroadcast(a1_1[1], 2u);
    c25_0 = two_steps(c25_0, s0_25, b0_0, s1_25, b1_0); c25_1 = two_steps(c25_1, s0_25, b0_1, s1_25, b1_1);
    let s0_26 = quadBroadcast(a0_1[2], 2u); let s1_26 = quadBroadcast(a1_1[2], 2u);
    c26_0 = two_steps(c26_0, s0_26, b0_0, s1_26, b1_0); c26_1 = two_steps(c26_1, s0_26, b0_1, s1_26, b1_1);
    let s0_27 = quadBroadcast(a0_1[3], 2u); let s1_27 = quadBroadcast(a1_1[3], 2u);
    c27_0 = two_steps(c27_0, s0_27, b0_0, s1_27, b1_0); c27_1 = two_steps(c27_1, s0_27, b0_1, s1_27, b1_1);
    let s0_28 = quadBroadcast(a0_1[0], 3u); let s1_28 = quadBroadcast(a1_1[0], 3u);
    c28_0 = two_steps(c28_0, s0_28, b0_0, s1_28, b1_0); c28_1 = two_steps(c28_1, s0_28, b0_1, s1_28, b1_1);
    let s0_29 = quadBroadcast(a0_1[1], 3u); let s1_29 = quadBroadcast(a1_1[1], 3u);
    c29_0 = two_steps(c29_0, s0_29, b0_0, s1_29, b1_0); c29_1 = two_steps(c29_1, s0_29, b0_1, s1_29, b1_1);
    let s0_30 = quadBroadcast(a0_1[2], 3u); let s1_30 = quadBroadcast(a1_1[2], 3u);
    c30_0 = two_steps(c30_0, s0_30, b0_0, s1_30, b1_0); c30_1 = two_steps(c30_1, s0_30, b0_1, s1_30, b1_1);
    let s0_31 = quadBroadcast(a0_1[3], 3u); let s1_31 = quadBroadcast(a1_1[3], 3u);
    c31_0 = two_steps(c31_0, s0_31, b0_0, s1_31, b1_0); c31_1 = two_steps(c31_1, s0_31, b0_1, s1_31, b1_1);
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 64>(
    c0_0, c0_1, c1_0, c1_1, c2_0, c2_1, c3_0, c3_1, c4_0, c4_1, c5_0, c5_1, c6_0, c6_1, c7_0, c7_1, c8_0, c8_1, c9_0, c9_1, c10_0, c10_1, c11_0, c11_1, c12_0, c12_1, c13_0, c13_1, c14_0, c14_1, c15_0, c15_1,
    c16_0, c16_1, c17_0, c17_1, c18_0, c18_1, c19_0, c19_1, c20_0, c20_1, c21_0, c21_1, c22_0, c22_1, c23_0, c23_1, c24_0, c24_1, c25_0, c25_1, c26_0, c26_1, c27_0, c27_1, c28_0, c28_1, c29_0, c29_1, c30_0, c30_1, c31_0, c31_1,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m)) * 2u;
  for (var i = 0u; i < inside; i++) {
    store_ragged(y_base, row + i / 2u, col + i % 2u * 16u, tile[i]);
  }
}
