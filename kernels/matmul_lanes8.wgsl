// y[m, n] = act(Σ_k op(a)[m, k] op(b)[k, n] + bias[n]) + residual[m, n], batched; op transposes when its override says so.
// Written by kernels/gen_matmul.mjs: change the generator. No barriers, no workgroup memory.
// 8 lanes, one subgroup, share a tile of 32 × 32: each lane loads its own rows of a and columns of b, the rows go round by subgroupBroadcast.
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

// c + Σ_i s[i] b[i], in order
fn step(c: vec4f, s: vec4f, b: mat4x4f) -> vec4f {
  return c + fma(vec4f(s.w), b[3], fma(vec4f(s.z), b[2], fma(vec4f(s.y), b[1], s.x * b[0])));
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

@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n * params.splits * params.batch) { return; }
  let tile_n = group % params.tiles_n;
  group /= params.tiles_n;
  let tile_m = group % params.tiles_m;
  group /= params.tiles_m;
  let split = group % params.splits;
  let batch = group / params.splits;
  let lane = lane_index % 8u;
  let row = tile_m * 32u;
  let col = tile_n * 32u + 4u * lane; // of this lane's first block
  let own_row = row + 4u * lane;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let end = min(params.k, (split + 1u) * params.chunk);
  var c0 = vec4f(); var t0 = vec4f(); var c1 = vec4f(); var t1 = vec4f(); var c2 = vec4f(); var t2 = vec4f(); var c3 = vec4f(); var t3 = vec4f(); var c4 = vec4f(); var t4 = vec4f(); var c5 = vec4f(); var t5 = vec4f(); var c6 = vec4f(); var t6 = vec4f(); var c7 = vec4f(); var t7 = vec4f();
  var c8 = vec4f(); var t8 = vec4f(); var c9 = vec4f(); var t9 = vec4f(); var c10 = vec4f(); var t10 = vec4f(); var c11 = vec4f(); var t11 = vec4f(); var c12 = vec4f(); var t12 = vec4f(); var c13 = vec4f(); var t13 = vec4f(); var c14 = vec4f(); var t14 = vec4f(); var c15 = vec4f(); var t15 = vec4f();
  var c16 = vec4f(); var t16 = vec4f(); var c17 = vec4f(); var t17 = vec4f(); var c18 = vec4f(); var t18 = vec4f(); var c19 = vec4f(); var t19 = vec4f(); var c20 = vec4f(); var t20 = vec4f(); var c21 = vec4f(); var t21 = vec4f(); var c22 = vec4f(); var t22 = vec4f(); var c23 = vec4f(); var t23 = vec4f();
  var c24 = vec4f(); var t24 = vec4f(); var c25 = vec4f(); var t25 = vec4f(); var c26 = vec4f(); var t26 = vec4f(); var c27 = vec4f(); var t27 = vec4f(); var c28 = vec4f(); var t28 = vec4f(); var c29 = vec4f(); var t29 = vec4f(); var c30 = vec4f(); var t30 = vec4f(); var c31 = vec4f(); var t31 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = split * params.chunk; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let b0_0 = b_block(b_base, k, col);
      let a0_0 = a_block(a_base, own_row, k);
      c0 = step(c0, subgroupBroadcast(a0_0[0], 0u), b0_0);
      c1 = step(c1, subgroupBroadcast(a0_0[1], 0u), b0_0);
      c2 = step(c2, subgroupBroadcast(a0_0[2], 0u), b0_0);
      c3 = step(c3, subgroupBroadcast(a0_0[3], 0u), b0_0);
      c4 = step(c4, subgroupBroadcast(a0_0[0], 1u), b0_0);
      c5 = step(c5, subgroupBroadcast(a0_0[1], 1u), b0_0);
      c6 = step(c6, subgroupBroadcast(a0_0[2], 1u), b0_0);
      c7 = step(c7, subgroupBroadcast(a0_0[3], 1u), b0_0);
      c8 = step(c8, subgroupBroadcast(a0_0[0], 2u), b0_0);
      c9 = step(c9, subgroupBroadcast(a0_0[1], 2u), b0_0);
      c10 = step(c10, subgroupBroadcast(a0_0[2], 2u), b0_0);
      c11 = step(c11, subgroupBroadcast(a0_0[3], 2u), b0_0);
      c12 = step(c12, subgroupBroadcast(a0_0[0], 3u), b0_0);
      c13 = step(c13, subgroupBroadcast(a0_0[1], 3u), b0_0);
      c14 = step(c14, subgroupBroadcast(a0_0[2], 3u), b0_0);
      c15 = step(c15, subgroupBroadcast(a0_0[3], 3u), b0_0);
      c16 = step(c16, subgroupBroadcast(a0_0[0], 4u), b0_0);
      c17 = step(c17, subgroupBroadcast(a0_0[1], 4u), b0_0);
      c18 = step(c18, subgroupBroadcast(a0_0[2], 4u), b0_0);
      c19 = step(c19, subgroupBroadcast(a0_0[3], 4u), b0_0);
      c20 = step(c20, subgroupBroadcast(a0_0[0], 5u), b0_0);
      c21 = step(c21, subgroupBroadcast(a0_0[1], 5u), b0_0);
      c22 = step(c22, subgroupBroadcast(a0_0[2], 5u), b0_0);
      c23 = step(c23, subgroupBroadcast(a0_0[3], 5u), b0_0);
      c24 = step(c24, subgroupBroadcast(a0_0[0], 6u), b0_0);
      c25 = step(c25, subgroupBroadcast(a0_0[1], 6u), b0_0);
      c26 = step(c26, subgroupBroadcast(a0_0[2], 6u), b0_0);
      c27 = step(c27, subgroupBroadcast(a0_0[3], 6u), b0_0);
      c28 = step(c28, subgroupBroadcast(a0_0[0], 7u), b0_0);
      c29 = step(c29, subgroupBroadcast(a0_0[1], 7u), b0_0);
      c30 = step(c30, subgroupBroadcast(a0_0[2], 7u), b0_0);
      c31 = step(c31, subgroupBroadcast(a0_0[3], 7u), b0_0);
    }
    t0 += c0; c0 = vec4f(); t1 += c1; c1 = vec4f(); t2 += c2; c2 = vec4f(); t3 += c3; c3 = vec4f(); t4 += c4; c4 = vec4f(); t5 += c5; c5 = vec4f(); t6 += c6; c6 = vec4f(); t7 += c7; c7 = vec4f();
    t8 += c8; c8 = vec4f(); t9 += c9; c9 = vec4f(); t10 += c10; c10 = vec4f(); t11 += c11; c11 = vec4f(); t12 += c12; c12 = vec4f(); t13 += c13; c13 = vec4f(); t14 += c14; c14 = vec4f(); t15 += c15; c15 = vec4f();
    t16 += c16; c16 = vec4f(); t17 += c17; c17 = vec4f(); t18 += c18; c18 = vec4f(); t19 += c19; c19 = vec4f(); t20 += c20; c20 = vec4f(); t21 += c21; c21 = vec4f(); t22 += c22; c22 = vec4f(); t23 += c23; c23 = vec4f();
    t24 += c24; c24 = vec4f(); t25 += c25; c25 = vec4f(); t26 += c26; c26 = vec4f(); t27 += c27; c27 = vec4f(); t28 += c28; c28 = vec4f(); t29 += c29; c29 = vec4f(); t30 += c30; c30 = vec4f(); t31 += c31; c31 = vec4f();
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 32>(
    t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15,
    t16, t17, t18, t19, t20, t21, t22, t23, t24, t25, t26, t27, t28, t29, t30, t31,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store(y_base, row + r, col, tile[r]);
  }
}

@compute @workgroup_size(8)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n * params.splits * params.batch) { return; }
  let tile_n = group % params.tiles_n;
  group /= params.tiles_n;
  let tile_m = group % params.tiles_m;
  group /= params.tiles_m;
  let split = group % params.splits;
  let batch = group / params.splits;
  let lane = lane_index % 8u;
  let row = tile_m * 32u;
  let col = tile_n * 32u + 4u * lane; // of this lane's first block
  let own_row = row + 4u * lane;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let end = min(params.k, (split + 1u) * params.chunk);
  var c0 = vec4f(); var t0 = vec4f(); var c1 = vec4f(); var t1 = vec4f(); var c2 = vec4f(); var t2 = vec4f(); var c3 = vec4f(); var t3 = vec4f(); var c4 = vec4f(); var t4 = vec4f(); var c5 = vec4f(); var t5 = vec4f(); var c6 = vec4f(); var t6 = vec4f(); var c7 = vec4f(); var t7 = vec4f();
  var c8 = vec4f(); var t8 = vec4f(); var c9 = vec4f(); var t9 = vec4f(); var c10 = vec4f(); var t10 = vec4f(); var c11 = vec4f(); var t11 = vec4f(); var c12 = vec4f(); var t12 = vec4f(); var c13 = vec4f(); var t13 = vec4f(); var c14 = vec4f(); var t14 = vec4f(); var c15 = vec4f(); var t15 = vec4f();
  var c16 = vec4f(); var t16 = vec4f(); var c17 = vec4f(); var t17 = vec4f(); var c18 = vec4f(); var t18 = vec4f(); var c19 = vec4f(); var t19 = vec4f(); var c20 = vec4f(); var t20 = vec4f(); var c21 = vec4f(); var t21 = vec4f(); var c22 = vec4f(); var t22 = vec4f(); var c23 = vec4f(); var t23 = vec4f();
  var c24 = vec4f(); var t24 = vec4f(); var c25 = vec4f(); var t25 = vec4f(); var c26 = vec4f(); var t26 = vec4f(); var c27 = vec4f(); var t27 = vec4f(); var c28 = vec4f(); var t28 = vec4f(); var c29 = vec4f(); var t29 = vec4f(); var c30 = vec4f(); var t30 = vec4f(); var c31 = vec4f(); var t31 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = split * params.chunk; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let b0_0 = b_block_ragged(b_base, k, col);
      let a0_0 = a_block_ragged(a_base, own_row, k, end);
      c0 = step(c0, subgroupBroadcast(a0_0[0], 0u), b0_0);
      c1 = step(c1, subgroupBroadcast(a0_0[1], 0u), b0_0);
      c2 = step(c2, subgroupBroadcast(a0_0[2], 0u), b0_0);
      c3 = step(c3, subgroupBroadcast(a0_0[3], 0u), b0_0);
      c4 = step(c4, subgroupBroadcast(a0_0[0], 1u), b0_0);
      c5 = step(c5, subgroupBroadcast(a0_0[1], 1u), b0_0);
      c6 = step(c6, subgroupBroadcast(a0_0[2], 1u), b0_0);
      c7 = step(c7, subgroupBroadcast(a0_0[3], 1u), b0_0);
      c8 = step(c8, subgroupBroadcast(a0_0[0], 2u), b0_0);
      c9 = step(c9, subgroupBroadcast(a0_0[1], 2u), b0_0);
      c10 = step(c10, subgroupBroadcast(a0_0[2], 2u), b0_0);
      c11 = step(c11, subgroupBroadcast(a0_0[3], 2u), b0_0);
      c12 = step(c12, subgroupBroadcast(a0_0[0], 3u), b0_0);
      c13 = step(c13, subgroupBroadcast(a0_0[1], 3u), b0_0);
      c14 = step(c14, subgroupBroadcast(a0_0[2], 3u), b0_0);
      c15 = step(c15, subgroupBroadcast(a0_0[3], 3u), b0_0);
      c16 = step(c16, subgroupBroadcast(a0_0[0], 4u), b0_0);
      c17 = step(c17, subgroupBroadcast(a0_0[1], 4u), b0_0);
      c18 = step(c18, subgroupBroadcast(a0_0[2], 4u), b0_0);
      c19 = step(c19, subgroupBroadcast(a0_0[3], 4u), b0_0);
      c20 = step(c20, subgroupBroadcast(a0_0[0], 5u), b0_0);
      c21 = step(c21, subgroupBroadcast(a0_0[1], 5u), b0_0);
      c22 = step(c22, subgroupBroadcast(a0_0[2], 5u), b0_0);
      c23 = step(c23, subgroupBroadcast(a0_0[3], 5u), b0_0);
      c24 = step(c24, subgroupBroadcast(a0_0[0], 6u), b0_0);
      c25 = step(c25, subgroupBroadcast(a0_0[1], 6u), b0_0);
      c26 = step(c26, subgroupBroadcast(a0_0[2], 6u), b0_0);
      c27 = step(c27, subgroupBroadcast(a0_0[3], 6u), b0_0);
      c28 = step(c28, subgroupBroadcast(a0_0[0], 7u), b0_0);
      c29 = step(c29, subgroupBroadcast(a0_0[1], 7u), b0_0);
      c30 = step(c30, subgroupBroadcast(a0_0[2], 7u), b0_0);
      c31 = step(c31, subgroupBroadcast(a0_0[3], 7u), b0_0);
    }
    t0 += c0; c0 = vec4f(); t1 += c1; c1 = vec4f(); t2 += c2; c2 = vec4f(); t3 += c3; c3 = vec4f(); t4 += c4; c4 = vec4f(); t5 += c5; c5 = vec4f(); t6 += c6; c6 = vec4f(); t7 += c7; c7 = vec4f();
    t8 += c8; c8 = vec4f(); t9 += c9; c9 = vec4f(); t10 += c10; c10 = vec4f(); t11 += c11; c11 = vec4f(); t12 += c12; c12 = vec4f(); t13 += c13; c13 = vec4f(); t14 += c14; c14 = vec4f(); t15 += c15; c15 = vec4f();
    t16 += c16; c16 = vec4f(); t17 += c17; c17 = vec4f(); t18 += c18; c18 = vec4f(); t19 += c19; c19 = vec4f(); t20 += c20; c20 = vec4f(); t21 += c21; c21 = vec4f(); t22 += c22; c22 = vec4f(); t23 += c23; c23 = vec4f();
    t24 += c24; c24 = vec4f(); t25 += c25; c25 = vec4f(); t26 += c26; c26 = vec4f(); t27 += c27; c27 = vec4f(); t28 += c28; c28 = vec4f(); t29 += c29; c29 = vec4f(); t30 += c30; c30 = vec4f(); t31 += c31; c31 = vec4f();
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 32>(
    t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15,
    t16, t17, t18, t19, t20, t21, t22, t23, t24, t25, t26, t27, t28, t29, t30, t31,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store_ragged(y_base, row + r, col, tile[r]);
  }
}
