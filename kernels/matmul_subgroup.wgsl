// y[m, n] = act(Σ_k op(a)[m, k] op(b)[k, n] + bias[n]) + residual[m, n], batched, for a and b in f16 with sums in f32 on the adapter's matrix units: chromium_experimental_subgroup_matrix
// with matrices of 16 × 16 × 16 and subgroups of 32. Compiles on Dawn's validating backend; it has not run on a GPU yet.
// Four subgroups, 2 × 2, own a tile of 128 × 128, 64 × 64 each; steps of 32 k (16 where workgroup memory
// is short of 24 KiB) lie in workgroup memory, rows 8 further apart so that they spread over the banks. There is no
// access to the elements of a matrix, so results pass through workgroup memory on their way to bias and activation.
// Rows and columns beyond the end are clamped for loading and never stored; k beyond the end counts as zero. Rows of a, b and y and k in multiples of 4.
// uses: gelu4, gelu_tanh4, silu4
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override HAS_BIAS: bool = false;
override KEEP: bool = false; // also writes what went into the activation, for the backward
override RESIDUAL: bool = false; // adds what pre holds, after the activation and before KEEP writes it
override ADD: bool = false; // adds to what y holds
override DEPTH: u32 = 32u; // k per step: 16 or 32
override ACTIVATION: u32 = 0u; // 0 none, 1 gelu, 2 gelu_tanh, 3 silu

struct Params { // as in matmul_tiled*.wgsl
  m: u32, n: u32, k: u32,
  a_row: u32, b_row: u32, y_row: u32,
  a_stride: u32, b_stride: u32, y_stride: u32,
  a_head: u32, b_head: u32, y_head: u32,
  a_first: u32, b_first: u32, y_first: u32,
  heads: u32, b_group: u32,
  batch: u32,
  tiles_m: u32, tiles_n: u32,
  splits: u32, chunk: u32,
  tile_rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a4: array<vec4<f16>>; // [batch or 1, M, K], transposed [.., K, M]
@group(0) @binding(2) var<storage, read> b4: array<vec4<f16>>; // [batch or 1, K, N], transposed [.., N, K]
@group(0) @binding(3) var<storage, read> bias4: array<Bias4Stored>; // [N]
@group(0) @binding(4) var<storage, read_write> y4: array<vec4f>; // [splits, batch, M, N]
@group(0) @binding(5) var<storage, read_write> pre4: array<vec4f>; // [batch, M, N] when KEEP or RESIDUAL

var<workgroup> a_panel: array<f16, 128u * (DEPTH + 8u)>; // op(a) [128, DEPTH], rows DEPTH + 8 apart
var<workgroup> b_panel: array<f16, 128u * (DEPTH + 8u)>; // op(b) transposed [128, DEPTH], rows DEPTH + 8 apart
var<workgroup> passing: array<f32, 1024>; // one 16 × 16 of each subgroup

fn activate(x: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return gelu4(x); }
  if (ACTIVATION == 2u) { return gelu_tanh4(x); }
  if (ACTIVATION == 3u) { return silu4(x); }
  return x;
}

// Panels [row, k]: fours of k or of rows, whichever memory holds side by side; 32 DEPTH of them for 128 invocations.
fn load_a(base: u32, row: u32, begin: u32, end: u32, i: u32) {
  for (var j = i; j < 32u * DEPTH; j += 128u) {
    if (TRANSPOSE_A) {
      let k = j / 32u;
      let r = j % 32u * 4u;
      var v = vec4<f16>();
      if (begin + k < end) { v = a4[(base + (begin + k) * params.a_row + min(row + r, params.m - 4u)) / 4u]; }
      for (var c = 0u; c < 4u; c++) { a_panel[(r + c) * (DEPTH + 8u) + k] = v[c]; }
    } else {
      let r = j / (DEPTH / 4u);
      let k = j % (DEPTH / 4u) * 4u;
      var v = vec4<f16>();
      if (begin + k < end) { v = a4[(base + min(row + r, params.m - 1u) * params.a_row + begin + k) / 4u]; }
      for (var c = 0u; c < 4u; c++) { a_panel[r * (DEPTH + 8u) + k + c] = v[c]; }
    }
  }
}

fn load_b(base: u32, col: u32, begin: u32, end: u32, i: u32) {
  for (var j = i; j < 32u * DEPTH; j += 128u) {
    if (TRANSPOSE_B) {
      let r = j / (DEPTH / 4u);
      let k = j % (DEPTH / 4u) * 4u;
      var v = vec4<f16>();
      if (begin + k < end) { v = b4[(base + min(col + r, params.n - 1u) * params.b_row + begin + k) / 4u]; }
      for (var c = 0u; c < 4u; c++) { b_panel[r * (DEPTH + 8u) + k + c] = v[c]; }
    } else {
      let k = j / 32u;
      let r = j % 32u * 4u;
      var v = vec4<f16>();
      if (begin + k < end) { v = b4[(base + (begin + k) * params.b_row + min(col + r, params.n - 4u)) / 4u]; }
      for (var c = 0u; c < 4u; c++) { b_panel[(r + c) * (DEPTH + 8u) + k] = v[c]; }
    }
  }
}

// What this subgroup put into `passing`, 16 × 16 from (row, col) on, two fours per lane.
fn store(base: u32, row: u32, col: u32, from_slot: u32, lane: u32) {
  for (var q = lane; q < 64u; q += 32u) {
    let r = row + q / 4u;
    let c = col + q % 4u * 4u;
    if (r >= params.m || c >= params.n) { continue; }
    let slot = from_slot + 4u * q;
    var v = vec4f(passing[slot], passing[slot + 1u], passing[slot + 2u], passing[slot + 3u]);
    let at = (base + r * params.y_row + c) / 4u;
    if (HAS_BIAS) { v += load_bias4(c / 4u); }
    if (ADD) { v += y4[at]; }
    var activated = activate(v);
    if (RESIDUAL) { activated += pre4[at]; }
    if (KEEP) { pre4[at] = v; }
    y4[at] = activated;
  }
}

@compute @workgroup_size(128)
fn forward(
  @builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) i: u32,
  @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32,
) {
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
  let row = (8u * band + in_band % height) * 128u;
  let col = in_band / height * 128u;
  let outer = batch / params.heads;
  let head = batch % params.heads;
  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;
  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;
  let begin = split * params.chunk;
  let end = min(params.k, begin + params.chunk);
  let down = subgroup / 2u * 64u;
  let across = subgroup % 2u * 64u;
  var c00: subgroup_matrix_result<f32, 16, 16>;
  var c01: subgroup_matrix_result<f32, 16, 16>;
  var c02: subgroup_matrix_result<f32, 16, 16>;
  var c03: subgroup_matrix_result<f32, 16, 16>;
  var c10: subgroup_matrix_result<f32, 16, 16>;
  var c11: subgroup_matrix_result<f32, 16, 16>;
  var c12: subgroup_matrix_result<f32, 16, 16>;
  var c13: subgroup_matrix_result<f32, 16, 16>;
  var c20: subgroup_matrix_result<f32, 16, 16>;
  var c21: subgroup_matrix_result<f32, 16, 16>;
  var c22: subgroup_matrix_result<f32, 16, 16>;
  var c23: subgroup_matrix_result<f32, 16, 16>;
  var c30: subgroup_matrix_result<f32, 16, 16>;
  var c31: subgroup_matrix_result<f32, 16, 16>;
  var c32: subgroup_matrix_result<f32, 16, 16>;
  var c33: subgroup_matrix_result<f32, 16, 16>;
  for (var k = begin; k < end; k += DEPTH) {
    load_a(a_base, row, k, end, i);
    load_b(b_base, col, k, end, i);
    workgroupBarrier();
    for (var q = 0u; q < DEPTH; q += 16u) {
      let a0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&a_panel, (down + 0u) * (DEPTH + 8u) + q, DEPTH + 8u);
      let a1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&a_panel, (down + 16u) * (DEPTH + 8u) + q, DEPTH + 8u);
      let a2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&a_panel, (down + 32u) * (DEPTH + 8u) + q, DEPTH + 8u);
      let a3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&a_panel, (down + 48u) * (DEPTH + 8u) + q, DEPTH + 8u);
      let b0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&b_panel, (across + 0u) * (DEPTH + 8u) + q, DEPTH + 8u);
      c00 = subgroupMatrixMultiplyAccumulate(a0, b0, c00);
      c10 = subgroupMatrixMultiplyAccumulate(a1, b0, c10);
      c20 = subgroupMatrixMultiplyAccumulate(a2, b0, c20);
      c30 = subgroupMatrixMultiplyAccumulate(a3, b0, c30);
      let b1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&b_panel, (across + 16u) * (DEPTH + 8u) + q, DEPTH + 8u);
      c01 = subgroupMatrixMultiplyAccumulate(a0, b1, c01);
      c11 = subgroupMatrixMultiplyAccumulate(a1, b1, c11);
      c21 = subgroupMatrixMultiplyAccumulate(a2, b1, c21);
      c31 = subgroupMatrixMultiplyAccumulate(a3, b1, c31);
      let b2 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&b_panel, (across + 32u) * (DEPTH + 8u) + q, DEPTH + 8u);
      c02 = subgroupMatrixMultiplyAccumulate(a0, b2, c02);
      c12 = subgroupMatrixMultiplyAccumulate(a1, b2, c12);
      c22 = subgroupMatrixMultiplyAccumulate(a2, b2, c22);
      c32 = subgroupMatrixMultiplyAccumulate(a3, b2, c32);
      let b3 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&b_panel, (across + 48u) * (DEPTH + 8u) + q, DEPTH + 8u);
      c03 = subgroupMatrixMultiplyAccumulate(a0, b3, c03);
      c13 = subgroupMatrixMultiplyAccumulate(a1, b3, c13);
      c23 = subgroupMatrixMultiplyAccumulate(a2, b3, c23);
      c33 = subgroupMatrixMultiplyAccumulate(a3, b3, c33);
    }
    workgroupBarrier();
  }
  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;
  let slot = 256u * subgroup;
  subgroupMatrixStore<row_major>(&passing, slot, c00, 16u); workgroupBarrier(); store(y_base, row + down + 0u, col + across + 0u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c01, 16u); workgroupBarrier(); store(y_base, row + down + 0u, col + across + 16u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c02, 16u); workgroupBarrier(); store(y_base, row + down + 0u, col + across + 32u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c03, 16u); workgroupBarrier(); store(y_base, row + down + 0u, col + across + 48u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c10, 16u); workgroupBarrier(); store(y_base, row + down + 16u, col + across + 0u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c11, 16u); workgroupBarrier(); store(y_base, row + down + 16u, col + across + 16u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c12, 16u); workgroupBarrier(); store(y_base, row + down + 16u, col + across + 32u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c13, 16u); workgroupBarrier(); store(y_base, row + down + 16u, col + across + 48u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c20, 16u); workgroupBarrier(); store(y_base, row + down + 32u, col + across + 0u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c21, 16u); workgroupBarrier(); store(y_base, row + down + 32u, col + across + 16u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c22, 16u); workgroupBarrier(); store(y_base, row + down + 32u, col + across + 32u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c23, 16u); workgroupBarrier(); store(y_base, row + down + 32u, col + across + 48u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c30, 16u); workgroupBarrier(); store(y_base, row + down + 48u, col + across + 0u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c31, 16u); workgroupBarrier(); store(y_base, row + down + 48u, col + across + 16u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c32, 16u); workgroupBarrier(); store(y_base, row + down + 48u, col + across + 32u, slot, lane); workgroupBarrier();
  subgroupMatrixStore<row_major>(&passing, slot, c33, 16u); workgroupBarrier(); store(y_base, row + down + 48u, col + across + 48u, slot, lane); workgroupBarrier();
}
