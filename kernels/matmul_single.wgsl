// y[m, n] = act(Σ_k op(a)[m, k] op(b)[k, n] + bias[n]) + residual[m, n], batched; op transposes when its override says so.
// Written by kernels/gen_matmul.mjs: change the generator. No barriers, no workgroup memory.
// Each invocation owns a tile of 4 × 8; the 8 × 8 of a workgroup lie side by side, so that neighbours read neighbouring columns of b.
// Split k: with splits > 1 each part of k writes its own y, and split_sum.wgsl adds them in order. Rows and columns beyond the end are clamped
// for loading and never stored. `forward` wants rows of a, b and y in multiples of 4 and k too; `forward_ragged` takes any shape.
// uses: gelu4, gelu_tanh4, silu4
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

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n * params.splits * params.batch) { return; }
  let tile_n = group % params.tiles_n;
  group /= params.tiles_n;
  let tile_m = group % params.tiles_m;
  group /= params.tiles_m;
  let split = group % params.splits;
  let batch = group / params.splits;
  let row = (tile_m * 8u + lane_index / 8u) * 4u;
  let col = (tile_n * 8u + lane_index % 8u) * 8u;
  let own_row = row;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let end = min(params.k, (split + 1u) * params.chunk);
  var c0_0 = vec4f(); var t0_0 = vec4f(); var c0_1 = vec4f(); var t0_1 = vec4f(); var c1_0 = vec4f(); var t1_0 = vec4f(); var c1_1 = vec4f(); var t1_1 = vec4f();
  var c2_0 = vec4f(); var t2_0 = vec4f(); var c2_1 = vec4f(); var t2_1 = vec4f(); var c3_0 = vec4f(); var t3_0 = vec4f(); var c3_1 = vec4f(); var t3_1 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = split * params.chunk; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let b0_0 = b_block(b_base, k, col);
      let b0_1 = b_block(b_base, k, col + 4u);
      let a0_0 = a_block(a_base, own_row, k);
      let s0_0 = a0_0[0];
      c0_0 = step(c0_0, s0_0, b0_0); c0_1 = step(c0_1, s0_0, b0_1);
      let s0_1 = a0_0[1];
      c1_0 = step(c1_0, s0_1, b0_0); c1_1 = step(c1_1, s0_1, b0_1);
      let s0_2 = a0_0[2];
      c2_0 = step(c2_0, s0_2, b0_0); c2_1 = step(c2_1, s0_2, b0_1);
      let s0_3 = a0_0[3];
      c3_0 = step(c3_0, s0_3, b0_0); c3_1 = step(c3_1, s0_3, b0_1);
    }
    t0_0 += c0_0; c0_0 = vec4f(); t0_1 += c0_1; c0_1 = vec4f(); t1_0 += c1_0; c1_0 = vec4f(); t1_1 += c1_1; c1_1 = vec4f();
    t2_0 += c2_0; c2_0 = vec4f(); t2_1 += c2_1; c2_1 = vec4f(); t3_0 += c3_0; c3_0 = vec4f(); t3_1 += c3_1; c3_1 = vec4f();
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 8>(
    t0_0, t0_1, t1_0, t1_1, t2_0, t2_1, t3_0, t3_1,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m)) * 2u;
  for (var i = 0u; i < inside; i++) {
    store(y_base, row + i / 2u, col + i % 2u * 4u, tile[i]);
  }
}

@compute @workgroup_size(64)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n * params.splits * params.batch) { return; }
  let tile_n = group % params.tiles_n;
  group /= params.tiles_n;
  let tile_m = group % params.tiles_m;
  group /= params.tiles_m;
  let split = group % params.splits;
  let batch = group / params.splits;
  let row = (tile_m * 8u + lane_index / 8u) * 4u;
  let col = (tile_n * 8u + lane_index % 8u) * 8u;
  let own_row = row;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let end = min(params.k, (split + 1u) * params.chunk);
  var c0_0 = vec4f(); var t0_0 = vec4f(); var c0_1 = vec4f(); var t0_1 = vec4f(); var c1_0 = vec4f(); var t1_0 = vec4f(); var c1_1 = vec4f(); var t1_1 = vec4f();
  var c2_0 = vec4f(); var t2_0 = vec4f(); var c2_1 = vec4f(); var t2_1 = vec4f(); var c3_0 = vec4f(); var t3_0 = vec4f(); var c3_1 = vec4f(); var t3_1 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = split * params.chunk; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let b0_0 = b_block_ragged(b_base, k, col);
      let b0_1 = b_block_ragged(b_base, k, col + 4u);
      let a0_0 = a_block_ragged(a_base, own_row, k, end);
      let s0_0 = a0_0[0];
      c0_0 = step(c0_0, s0_0, b0_0); c0_1 = step(c0_1, s0_0, b0_1);
      let s0_1 = a0_0[1];
      c1_0 = step(c1_0, s0_1, b0_0); c1_1 = step(c1_1, s0_1, b0_1);
      let s0_2 = a0_0[2];
      c2_0 = step(c2_0, s0_2, b0_0); c2_1 = step(c2_1, s0_2, b0_1);
      let s0_3 = a0_0[3];
      c3_0 = step(c3_0, s0_3, b0_0); c3_1 = step(c3_1, s0_3, b0_1);
    }
    t0_0 += c0_0; c0_0 = vec4f(); t0_1 += c0_1; c0_1 = vec4f(); t1_0 += c1_0; c1_0 = vec4f(); t1_1 += c1_1; c1_1 = vec4f();
    t2_0 += c2_0; c2_0 = vec4f(); t2_1 += c2_1; c2_1 = vec4f(); t3_0 += c3_0; c3_0 = vec4f(); t3_1 += c3_1; c3_1 = vec4f();
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 8>(
    t0_0, t0_1, t1_0, t1_1, t2_0, t2_1, t3_0, t3_1,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m)) * 2u;
  for (var i = 0u; i < inside; i++) {
    store_ragged(y_base, row + i / 2u, col + i % 2u * 4u, tile[i]);
  }
}
