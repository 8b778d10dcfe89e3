// y[m, n] = act(Σ_k op(a)[m, k] op(b)[k, n] + bias[n]) + residual[m, n], batched; op transposes when its override says so.
// Written by kernels/gen_matmul_tiled.mjs: change the generator. For GPUs: workgroup memory and barriers, which software adapters pay dearly.
// 128 invocations own a tile of 32 × 64, 4 × 4 each; steps of 16 k lie in workgroup memory, k by k, in one buffer, and the next step is loaded into registers meanwhile.
// Split k: with splits > 1 each part of k writes its own y, and split_sum.wgsl adds them in order. Rows and columns beyond the end are clamped
// for loading and never stored; k beyond the end counts as zero. `forward` wants rows of a, b and y in multiples of 4 and k too; `forward_ragged` takes any shape.
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
  tile_rows: u32,               // rows of one invocation: 4
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

// One step of k: 16 × 32 of op(a), then 16 × 64 of op(b), fours of rows or columns together.
var<workgroup> panels: array<vec4f, 384>;

fn activate(x: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return gelu4(x); }
  if (ACTIVATION == 2u) { return gelu_tanh4(x); }
  if (ACTIVATION == 3u) { return silu4(x); }
  return x;
}

// op(a)[row .. row + 3, k + i] for i = 0 .. 3
fn a_block(base: u32, row: u32, k: u32) -> mat4x4f {
  let width = params.a_row / 4u;
  if (TRANSPOSE_A) {
    let at = (base + k * params.a_row + min(row, params.m - 4u)) / 4u;
    return mat4x4f(load_a4(at), load_a4(at + width), load_a4(at + 2u * width), load_a4(at + 3u * width));
  }
  let at = (base + k) / 4u;
  let last = params.m - 1u;
  return transpose(mat4x4f(load_a4(at + min(row, last) * width), load_a4(at + min(row + 1u, last) * width), load_a4(at + min(row + 2u, last) * width), load_a4(at + min(row + 3u, last) * width)));
}

// op(b)[k + i, col .. col + 3] for i = 0 .. 3
fn b_block(base: u32, k: u32, col: u32) -> mat4x4f {
  let width = params.b_row / 4u;
  if (TRANSPOSE_B) {
    let at = (base + k) / 4u + min(col, params.n - 4u) * width;
    return transpose(mat4x4f(load_b4(at), load_b4(at + width), load_b4(at + 2u * width), load_b4(at + 3u * width)));
  }
  let at = (base + k * params.b_row + min(col, params.n - 4u)) / 4u;
  return mat4x4f(load_b4(at), load_b4(at + width), load_b4(at + 2u * width), load_b4(at + 3u * width));
}

// One k of the same, zeros from `end` on.
fn a_ragged(base: u32, row: u32, k: u32, end: u32) -> vec4f {
  if (k >= end) { return vec4f(); }
  let r = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(params.m - 1u));
  let i = base + select(r * params.a_row + vec4u(k), vec4u(k * params.a_row) + r, TRANSPOSE_A);
  return vec4f(load_a1(i.x), load_a1(i.y), load_a1(i.z), load_a1(i.w));
}

fn b_ragged(base: u32, k: u32, col: u32, end: u32) -> vec4f {
  if (k >= end) { return vec4f(); }
  let c = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
  let i = base + select(vec4u(k * params.b_row) + c, c * params.b_row + vec4u(k), TRANSPOSE_B);
  return vec4f(load_b1(i.x), load_b1(i.y), load_b1(i.z), load_b1(i.w));
}

fn a_block_ragged(base: u32, row: u32, k: u32, end: u32) -> mat4x4f {
  return mat4x4f(a_ragged(base, row, k, end), a_ragged(base, row, k + 1u, end), a_ragged(base, row, k + 2u, end), a_ragged(base, row, k + 3u, end));
}

fn b_block_ragged(base: u32, k: u32, col: u32, end: u32) -> mat4x4f {
  return mat4x4f(b_ragged(base, k, col, end), b_ragged(base, k + 1u, col, end), b_ragged(base, k + 2u, col, end), b_ragged(base, k + 3u, col, end));
}

fn store(base: u32, row: u32, col: u32, sum: vec4f) {
  if (row >= params.m || col >= params.n) { return; }
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
  if (row >= params.m) { return; }
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

fn fetch(lane_index: u32, a_base: u32, b_base: u32, row: u32, col: u32, k: u32, end: u32) -> mat4x4f {
  if (k >= end || lane_index >= 96u) { return mat4x4f(); }
  if (lane_index < 32u) { return a_block(a_base, row, k); }
  return b_block(b_base, k, col);
}

@compute @workgroup_size(128)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  let tiles = params.tiles_m * params.tiles_n;
  if (group >= tiles * params.splits * params.batch) { return; }
  let place = group % tiles;
  group /= tiles;
  let split = group % params.splits;
  let batch = group / params.splits;
  // Bands of 8 tile rows, walked column by column.
  let band = place / (8u * params.tiles_n);
  let height = min(8u, params.tiles_m - 8u * band);
  let in_band = place - 8u * band * params.tiles_n;
  let first_row = (8u * band + in_band % height) * 32u;
  let first_col = in_band / height * 64u;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let begin = split * params.chunk;
  let end = min(params.k, begin + params.chunk);
  let down = lane_index / 16u;
  let across = lane_index % 16u;
  // The block that this invocation loads, 32 of a and 64 of b: neighbours along what lies together in memory. Fours are swapped by `turn`, so that writes spread over the banks.
  let for_a = lane_index < 32u;
  let own = select(lane_index - 32u, lane_index, for_a);
  let fours = select(16u, 8u, for_a);
  let along_k = select(TRANSPOSE_B, !TRANSPOSE_A, for_a);
  let own_k = 4u * select(own / fours, own % 4u, along_k);
  let own_four = select(own % fours, own / 4u, along_k);
  let own_slot = select(128u, 0u, for_a) + own_k * fours + (own_four ^ ((own_k / 2u) & 6u));
  let row = first_row + 4u * own_four;
  let col = first_col + 4u * own_four;
  var c0_0 = vec4f(); var c1_0 = vec4f(); var c2_0 = vec4f(); var c3_0 = vec4f();
  for (var k = begin; ; k += 16u) {
    let held = fetch(lane_index, a_base, b_base, row, col, k + own_k, end);
    if (k > begin) {
      let last = min(4u, (end - k + 19u) / 4u); // of the step before; a bound that is no constant also keeps drivers from unrolling
      for (var q = 0u; q < last; q++) {
        let turn = (2u * q) & 6u;
        let a_at = 32u * q + (down ^ turn);
        let b_at = 128u + 64u * q + (across ^ turn);
        let a0_0 = panels[a_at]; let b0_0 = panels[b_at];
        c0_0 = fma(vec4f(a0_0.x), b0_0, c0_0);
        c1_0 = fma(vec4f(a0_0.y), b0_0, c1_0);
        c2_0 = fma(vec4f(a0_0.z), b0_0, c2_0);
        c3_0 = fma(vec4f(a0_0.w), b0_0, c3_0);
        let a1_0 = panels[a_at + 8u]; let b1_0 = panels[b_at + 16u];
        c0_0 = fma(vec4f(a1_0.x), b1_0, c0_0);
        c1_0 = fma(vec4f(a1_0.y), b1_0, c1_0);
        c2_0 = fma(vec4f(a1_0.z), b1_0, c2_0);
        c3_0 = fma(vec4f(a1_0.w), b1_0, c3_0);
        let a2_0 = panels[a_at + 16u]; let b2_0 = panels[b_at + 32u];
        c0_0 = fma(vec4f(a2_0.x), b2_0, c0_0);
        c1_0 = fma(vec4f(a2_0.y), b2_0, c1_0);
        c2_0 = fma(vec4f(a2_0.z), b2_0, c2_0);
        c3_0 = fma(vec4f(a2_0.w), b2_0, c3_0);
        let a3_0 = panels[a_at + 24u]; let b3_0 = panels[b_at + 48u];
        c0_0 = fma(vec4f(a3_0.x), b3_0, c0_0);
        c1_0 = fma(vec4f(a3_0.y), b3_0, c1_0);
        c2_0 = fma(vec4f(a3_0.z), b3_0, c2_0);
        c3_0 = fma(vec4f(a3_0.w), b3_0, c3_0);
      }
    }
    if (k >= end) { break; }
    workgroupBarrier();
    if (lane_index < 96u) { panels[own_slot] = held[0]; panels[own_slot + fours] = held[1]; panels[own_slot + 2u * fours] = held[2]; panels[own_slot + 3u * fours] = held[3]; }
    workgroupBarrier();
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 4>(c0_0, c1_0, c2_0, c3_0);
  // The bound hangs on a parameter, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  for (var i = 0u; i < params.tile_rows; i++) {
    let r = i;
    store(y_base, first_row + 4u * down + r, first_col + 4u * across, tile[i]);
  }
}

fn fetch_ragged(lane_index: u32, a_base: u32, b_base: u32, row: u32, col: u32, k: u32, end: u32) -> mat4x4f {
  if (k >= end || lane_index >= 96u) { return mat4x4f(); }
  if (lane_index < 32u) { return a_block_ragged(a_base, row, k, end); }
  return b_block_ragged(b_base, k, col, end);
}

@compute @workgroup_size(128)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  var group = wid.x + wid.y * nwg.x;
  let tiles = params.tiles_m * params.tiles_n;
  if (group >= tiles * params.splits * params.batch) { return; }
  let place = group % tiles;
  group /= tiles;
  let split = group % params.splits;
  let batch = group / params.splits;
  // Bands of 8 tile rows, walked column by column.
  let band = place / (8u * params.tiles_n);
  let height = min(8u, params.tiles_m - 8u * band);
  let in_band = place - 8u * band * params.tiles_n;
  let first_row = (8u * band + in_band % height) * 32u;
  let first_col = in_band / height * 64u;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let begin = split * params.chunk;
  let end = min(params.k, begin + params.chunk);
  let down = lane_index / 16u;
  let across = lane_index % 16u;
  // The block that this invocation loads, 32 of a and 64 of b: neighbours along what lies together in memory. Fours are swapped by `turn`, so that writes spread over the banks.
  let for_a = lane_index < 32u;
  let own = select(lane_index - 32u, lane_index, for_a);
  let fours = select(16u, 8u, for_a);
  let along_k = select(TRANSPOSE_B, !TRANSPOSE_A, for_a);
  let own_k = 4u * select(own / fours, own % 4u, along_k);
  let own_four = select(own % fours, own / 4u, along_k);
  let own_slot = select(128u, 0u, for_a) + own_k * fours + (own_four ^ ((own_k / 2u) & 6u));
  let row = first_row + 4u * own_four;
  let col = first_col + 4u * own_four;
  var c0_0 = vec4f(); var c1_0 = vec4f(); var c2_0 = vec4f(); var c3_0 = vec4f();
  for (var k = begin; ; k += 16u) {
    let held = fetch_ragged(lane_index, a_base, b_base, row, col, k + own_k, end);
    if (k > begin) {
      let last = min(4u, (end - k + 19u) / 4u); // of the step before; a bound that is no constant also keeps drivers from unrolling
      for (var q = 0u; q < last; q++) {
        let turn = (2u * q) & 6u;
        let a_at = 32u * q + (down ^ turn);
        let b_at = 128u + 64u * q + (across ^ turn);
        let a0_0 = panels[a_at]; let b0_0 = panels[b_at];
        c0_0 = fma(vec4f(a0_0.x), b0_0, c0_0);
        c1_0 = fma(vec4f(a0_0.y), b0_0, c1_0);
        c2_0 = fma(vec4f(a0_0.z), b0_0, c2_0);
        c3_0 = fma(vec4f(a0_0.w), b0_0, c3_0);
        let a1_0 = panels[a_at + 8u]; let b1_0 = panels[b_at + 16u];
        c0_0 = fma(vec4f(a1_0.x), b1_0, c0_0);
        c1_0 = fma(vec4f(a1_0.y), b1_0, c1_0);
        c2_0 = fma(vec4f(a1_0.z), b1_0, c2_0);
        c3_0 = fma(vec4f(a1_0.w), b1_0, c3_0);
        let a2_0 = panels[a_at + 16u]; let b2_0 = panels[b_at + 32u];
        c0_0 = fma(vec4f(a2_0.x), b2_0, c0_0);
        c1_0 = fma(vec4f(a2_0.y), b2_0, c1_0);
        c2_0 = fma(vec4f(a2_0.z), b2_0, c2_0);
        c3_0 = fma(vec4f(a2_0.w), b2_0, c3_0);
        let a3_0 = panels[a_at + 24u]; let b3_0 = panels[b_at + 48u];
        c0_0 = fma(vec4f(a3_0.x), b3_0, c0_0);
        c1_0 = fma(vec4f(a3_0.y), b3_0, c1_0);
        c2_0 = fma(vec4f(a3_0.z), b3_0, c2_0);
        c3_0 = fma(vec4f(a3_0.w), b3_0, c3_0);
      }
    }
    if (k >= end) { break; }
    workgroupBarrier();
    if (lane_index < 96u) { panels[own_slot] = held[0]; panels[own_slot + fours] = held[1]; panels[own_slot + 2u * fours] = held[2]; panels[own_slot + 3u * fours] = held[3]; }
    workgroupBarrier();
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  var tile = array<vec4f, 4>(c0_0, c1_0, c2_0, c3_0);
  // The bound hangs on a parameter, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  for (var i = 0u; i < params.tile_rows; i++) {
    let r = i;
    store_ragged(y_base, first_row + 4u * down + r, first_col + 4u * across, tile[i]);
  }
}
