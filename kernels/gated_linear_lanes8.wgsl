// y = f(x gateᵀ) · (x upᵀ) with f = silu or gelu_tanh: the middle of a gated MLP (Shazeer 2020, arXiv 2002.05202) in the epilogue of its two products.
// Written by kernels/gen_gated_linear.mjs: change the generator. No barriers, no workgroup memory.
// 8 lanes, one subgroup, share a tile of 32 × 32 of both products: each lane loads its own rows of x and of both weights, those of x go round by subgroupBroadcast.
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

// c + Σ_i s[i] b[i], in order
fn step(c: vec4f, s: vec4f, b: mat4x4f) -> vec4f {
  return c + fma(vec4f(s.w), b[3], fma(vec4f(s.z), b[2], fma(vec4f(s.y), b[1], s.x * b[0])));
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

@compute @workgroup_size(8)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  let group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n) { return; }
  let tile_n = group % params.tiles_n;
  let tile_m = group / params.tiles_n;
  let lane = lane_index % 8u;
  let row = tile_m * 32u;
  let col = tile_n * 32u + 4u * lane; // of this lane's block of either weight
  let own_row = row + 4u * lane;
  let end = params.k;
  var g0 = vec4f(); var tg0 = vec4f(); var g1 = vec4f(); var tg1 = vec4f(); var g2 = vec4f(); var tg2 = vec4f(); var g3 = vec4f(); var tg3 = vec4f(); var g4 = vec4f(); var tg4 = vec4f(); var g5 = vec4f(); var tg5 = vec4f(); var g6 = vec4f(); var tg6 = vec4f(); var g7 = vec4f(); var tg7 = vec4f();
  var g8 = vec4f(); var tg8 = vec4f(); var g9 = vec4f(); var tg9 = vec4f(); var g10 = vec4f(); var tg10 = vec4f(); var g11 = vec4f(); var tg11 = vec4f(); var g12 = vec4f(); var tg12 = vec4f(); var g13 = vec4f(); var tg13 = vec4f(); var g14 = vec4f(); var tg14 = vec4f(); var g15 = vec4f(); var tg15 = vec4f();
  var g16 = vec4f(); var tg16 = vec4f(); var g17 = vec4f(); var tg17 = vec4f(); var g18 = vec4f(); var tg18 = vec4f(); var g19 = vec4f(); var tg19 = vec4f(); var g20 = vec4f(); var tg20 = vec4f(); var g21 = vec4f(); var tg21 = vec4f(); var g22 = vec4f(); var tg22 = vec4f(); var g23 = vec4f(); var tg23 = vec4f();
  var g24 = vec4f(); var tg24 = vec4f(); var g25 = vec4f(); var tg25 = vec4f(); var g26 = vec4f(); var tg26 = vec4f(); var g27 = vec4f(); var tg27 = vec4f(); var g28 = vec4f(); var tg28 = vec4f(); var g29 = vec4f(); var tg29 = vec4f(); var g30 = vec4f(); var tg30 = vec4f(); var g31 = vec4f(); var tg31 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = 0u; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let gates0 = gate_block(k, col);
      let x0_0 = x_block(own_row, k);
      g0 = step(g0, subgroupBroadcast(x0_0[0], 0u), gates0);
      g1 = step(g1, subgroupBroadcast(x0_0[1], 0u), gates0);
      g2 = step(g2, subgroupBroadcast(x0_0[2], 0u), gates0);
      g3 = step(g3, subgroupBroadcast(x0_0[3], 0u), gates0);
      g4 = step(g4, subgroupBroadcast(x0_0[0], 1u), gates0);
      g5 = step(g5, subgroupBroadcast(x0_0[1], 1u), gates0);
      g6 = step(g6, subgroupBroadcast(x0_0[2], 1u), gates0);
      g7 = step(g7, subgroupBroadcast(x0_0[3], 1u), gates0);
      g8 = step(g8, subgroupBroadcast(x0_0[0], 2u), gates0);
      g9 = step(g9, subgroupBroadcast(x0_0[1], 2u), gates0);
      g10 = step(g10, subgroupBroadcast(x0_0[2], 2u), gates0);
      g11 = step(g11, subgroupBroadcast(x0_0[3], 2u), gates0);
      g12 = step(g12, subgroupBroadcast(x0_0[0], 3u), gates0);
      g13 = step(g13, subgroupBroadcast(x0_0[1], 3u), gates0);
      g14 = step(g14, subgroupBroadcast(x0_0[2], 3u), gates0);
      g15 = step(g15, subgroupBroadcast(x0_0[3], 3u), gates0);
      g16 = step(g16, subgroupBroadcast(x0_0[0], 4u), gates0);
      g17 = step(g17, subgroupBroadcast(x0_0[1], 4u), gates0);
      g18 = step(g18, subgroupBroadcast(x0_0[2], 4u), gates0);
      g19 = step(g19, subgroupBroadcast(x0_0[3], 4u), gates0);
      g20 = step(g20, subgroupBroadcast(x0_0[0], 5u), gates0);
      g21 = step(g21, subgroupBroadcast(x0_0[1], 5u), gates0);
      g22 = step(g22, subgroupBroadcast(x0_0[2], 5u), gates0);
      g23 = step(g23, subgroupBroadcast(x0_0[3], 5u), gates0);
      g24 = step(g24, subgroupBroadcast(x0_0[0], 6u), gates0);
      g25 = step(g25, subgroupBroadcast(x0_0[1], 6u), gates0);
      g26 = step(g26, subgroupBroadcast(x0_0[2], 6u), gates0);
      g27 = step(g27, subgroupBroadcast(x0_0[3], 6u), gates0);
      g28 = step(g28, subgroupBroadcast(x0_0[0], 7u), gates0);
      g29 = step(g29, subgroupBroadcast(x0_0[1], 7u), gates0);
      g30 = step(g30, subgroupBroadcast(x0_0[2], 7u), gates0);
      g31 = step(g31, subgroupBroadcast(x0_0[3], 7u), gates0);
    }
    tg0 += g0; g0 = vec4f(); tg1 += g1; g1 = vec4f(); tg2 += g2; g2 = vec4f(); tg3 += g3; g3 = vec4f(); tg4 += g4; g4 = vec4f(); tg5 += g5; g5 = vec4f(); tg6 += g6; g6 = vec4f(); tg7 += g7; g7 = vec4f();
    tg8 += g8; g8 = vec4f(); tg9 += g9; g9 = vec4f(); tg10 += g10; g10 = vec4f(); tg11 += g11; g11 = vec4f(); tg12 += g12; g12 = vec4f(); tg13 += g13; g13 = vec4f(); tg14 += g14; g14 = vec4f(); tg15 += g15; g15 = vec4f();
    tg16 += g16; g16 = vec4f(); tg17 += g17; g17 = vec4f(); tg18 += g18; g18 = vec4f(); tg19 += g19; g19 = vec4f(); tg20 += g20; g20 = vec4f(); tg21 += g21; g21 = vec4f(); tg22 += g22; g22 = vec4f(); tg23 += g23; g23 = vec4f();
    tg24 += g24; g24 = vec4f(); tg25 += g25; g25 = vec4f(); tg26 += g26; g26 = vec4f(); tg27 += g27; g27 = vec4f(); tg28 += g28; g28 = vec4f(); tg29 += g29; g29 = vec4f(); tg30 += g30; g30 = vec4f(); tg31 += g31; g31 = vec4f();
  }
  var u0 = vec4f(); var tu0 = vec4f(); var u1 = vec4f(); var tu1 = vec4f(); var u2 = vec4f(); var tu2 = vec4f(); var u3 = vec4f(); var tu3 = vec4f(); var u4 = vec4f(); var tu4 = vec4f(); var u5 = vec4f(); var tu5 = vec4f(); var u6 = vec4f(); var tu6 = vec4f(); var u7 = vec4f(); var tu7 = vec4f();
  var u8 = vec4f(); var tu8 = vec4f(); var u9 = vec4f(); var tu9 = vec4f(); var u10 = vec4f(); var tu10 = vec4f(); var u11 = vec4f(); var tu11 = vec4f(); var u12 = vec4f(); var tu12 = vec4f(); var u13 = vec4f(); var tu13 = vec4f(); var u14 = vec4f(); var tu14 = vec4f(); var u15 = vec4f(); var tu15 = vec4f();
  var u16 = vec4f(); var tu16 = vec4f(); var u17 = vec4f(); var tu17 = vec4f(); var u18 = vec4f(); var tu18 = vec4f(); var u19 = vec4f(); var tu19 = vec4f(); var u20 = vec4f(); var tu20 = vec4f(); var u21 = vec4f(); var tu21 = vec4f(); var u22 = vec4f(); var tu22 = vec4f(); var u23 = vec4f(); var tu23 = vec4f();
  var u24 = vec4f(); var tu24 = vec4f(); var u25 = vec4f(); var tu25 = vec4f(); var u26 = vec4f(); var tu26 = vec4f(); var u27 = vec4f(); var tu27 = vec4f(); var u28 = vec4f(); var tu28 = vec4f(); var u29 = vec4f(); var tu29 = vec4f(); var u30 = vec4f(); var tu30 = vec4f(); var u31 = vec4f(); var tu31 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = 0u; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let ups0 = up_block(k, col);
      let x0_0 = x_block(own_row, k);
      u0 = step(u0, subgroupBroadcast(x0_0[0], 0u), ups0);
      u1 = step(u1, subgroupBroadcast(x0_0[1], 0u), ups0);
      u2 = step(u2, subgroupBroadcast(x0_0[2], 0u), ups0);
      u3 = step(u3, subgroupBroadcast(x0_0[3], 0u), ups0);
      u4 = step(u4, subgroupBroadcast(x0_0[0], 1u), ups0);
      u5 = step(u5, subgroupBroadcast(x0_0[1], 1u), ups0);
      u6 = step(u6, subgroupBroadcast(x0_0[2], 1u), ups0);
      u7 = step(u7, subgroupBroadcast(x0_0[3], 1u), ups0);
      u8 = step(u8, subgroupBroadcast(x0_0[0], 2u), ups0);
      u9 = step(u9, subgroupBroadcast(x0_0[1], 2u), ups0);
      u10 = step(u10, subgroupBroadcast(x0_0[2], 2u), ups0);
      u11 = step(u11, subgroupBroadcast(x0_0[3], 2u), ups0);
      u12 = step(u12, subgroupBroadcast(x0_0[0], 3u), ups0);
      u13 = step(u13, subgroupBroadcast(x0_0[1], 3u), ups0);
      u14 = step(u14, subgroupBroadcast(x0_0[2], 3u), ups0);
      u15 = step(u15, subgroupBroadcast(x0_0[3], 3u), ups0);
      u16 = step(u16, subgroupBroadcast(x0_0[0], 4u), ups0);
      u17 = step(u17, subgroupBroadcast(x0_0[1], 4u), ups0);
      u18 = step(u18, subgroupBroadcast(x0_0[2], 4u), ups0);
      u19 = step(u19, subgroupBroadcast(x0_0[3], 4u), ups0);
      u20 = step(u20, subgroupBroadcast(x0_0[0], 5u), ups0);
      u21 = step(u21, subgroupBroadcast(x0_0[1], 5u), ups0);
      u22 = step(u22, subgroupBroadcast(x0_0[2], 5u), ups0);
      u23 = step(u23, subgroupBroadcast(x0_0[3], 5u), ups0);
      u24 = step(u24, subgroupBroadcast(x0_0[0], 6u), ups0);
      u25 = step(u25, subgroupBroadcast(x0_0[1], 6u), ups0);
      u26 = step(u26, subgroupBroadcast(x0_0[2], 6u), ups0);
      u27 = step(u27, subgroupBroadcast(x0_0[3], 6u), ups0);
      u28 = step(u28, subgroupBroadcast(x0_0[0], 7u), ups0);
      u29 = step(u29, subgroupBroadcast(x0_0[1], 7u), ups0);
      u30 = step(u30, subgroupBroadcast(x0_0[2], 7u), ups0);
      u31 = step(u31, subgroupBroadcast(x0_0[3], 7u), ups0);
    }
    tu0 += u0; u0 = vec4f(); tu1 += u1; u1 = vec4f(); tu2 += u2; u2 = vec4f(); tu3 += u3; u3 = vec4f(); tu4 += u4; u4 = vec4f(); tu5 += u5; u5 = vec4f(); tu6 += u6; u6 = vec4f(); tu7 += u7; u7 = vec4f();
    tu8 += u8; u8 = vec4f(); tu9 += u9; u9 = vec4f(); tu10 += u10; u10 = vec4f(); tu11 += u11; u11 = vec4f(); tu12 += u12; u12 = vec4f(); tu13 += u13; u13 = vec4f(); tu14 += u14; u14 = vec4f(); tu15 += u15; u15 = vec4f();
    tu16 += u16; u16 = vec4f(); tu17 += u17; u17 = vec4f(); tu18 += u18; u18 = vec4f(); tu19 += u19; u19 = vec4f(); tu20 += u20; u20 = vec4f(); tu21 += u21; u21 = vec4f(); tu22 += u22; u22 = vec4f(); tu23 += u23; u23 = vec4f();
    tu24 += u24; u24 = vec4f(); tu25 += u25; u25 = vec4f(); tu26 += u26; u26 = vec4f(); tu27 += u27; u27 = vec4f(); tu28 += u28; u28 = vec4f(); tu29 += u29; u29 = vec4f(); tu30 += u30; u30 = vec4f(); tu31 += u31; u31 = vec4f();
  }
  var tile = array<vec4f, 64>(
    tg0, tu0, tg1, tu1, tg2, tu2, tg3, tu3, tg4, tu4, tg5, tu5, tg6, tu6, tg7, tu7, tg8, tu8, tg9, tu9, tg10, tu10, tg11, tu11, tg12, tu12, tg13, tu13, tg14, tu14, tg15, tu15,
    tg16, tu16, tg17, tu17, tg18, tu18, tg19, tu19, tg20, tu20, tg21, tu21, tg22, tu22, tg23, tu23, tg24, tu24, tg25, tu25, tg26, tu26, tg27, tu27, tg28, tu28, tg29, tu29, tg30, tu30, tg31, tu31,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store(row + r, col, tile[2u * r], tile[2u * r + 1u]);
  }
}

@compute @workgroup_size(8)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  let group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n) { return; }
  let tile_n = group % params.tiles_n;
  let tile_m = group / params.tiles_n;
  let lane = lane_index % 8u;
  let row = tile_m * 32u;
  let col = tile_n * 32u + 4u * lane; // of this lane's block of either weight
  let own_row = row + 4u * lane;
  let end = params.k;
  var g0 = vec4f(); var tg0 = vec4f(); var g1 = vec4f(); var tg1 = vec4f(); var g2 = vec4f(); var tg2 = vec4f(); var g3 = vec4f(); var tg3 = vec4f(); var g4 = vec4f(); var tg4 = vec4f(); var g5 = vec4f(); var tg5 = vec4f(); var g6 = vec4f(); var tg6 = vec4f(); var g7 = vec4f(); var tg7 = vec4f();
  var g8 = vec4f(); var tg8 = vec4f(); var g9 = vec4f(); var tg9 = vec4f(); var g10 = vec4f(); var tg10 = vec4f(); var g11 = vec4f(); var tg11 = vec4f(); var g12 = vec4f(); var tg12 = vec4f(); var g13 = vec4f(); var tg13 = vec4f(); var g14 = vec4f(); var tg14 = vec4f(); var g15 = vec4f(); var tg15 = vec4f();
  var g16 = vec4f(); var tg16 = vec4f(); var g17 = vec4f(); var tg17 = vec4f(); var g18 = vec4f(); var tg18 = vec4f(); var g19 = vec4f(); var tg19 = vec4f(); var g20 = vec4f(); var tg20 = vec4f(); var g21 = vec4f(); var tg21 = vec4f(); var g22 = vec4f(); var tg22 = vec4f(); var g23 = vec4f(); var tg23 = vec4f();
  var g24 = vec4f(); var tg24 = vec4f(); var g25 = vec4f(); var tg25 = vec4f(); var g26 = vec4f(); var tg26 = vec4f(); var g27 = vec4f(); var tg27 = vec4f(); var g28 = vec4f(); var tg28 = vec4f(); var g29 = vec4f(); var tg29 = vec4f(); var g30 = vec4f(); var tg30 = vec4f(); var g31 = vec4f(); var tg31 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = 0u; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let gates0 = gate_block_ragged(k, col);
      let x0_0 = x_block_ragged(own_row, k);
      g0 = step(g0, subgroupBroadcast(x0_0[0], 0u), gates0);
      g1 = step(g1, subgroupBroadcast(x0_0[1], 0u), gates0);
      g2 = step(g2, subgroupBroadcast(x0_0[2], 0u), gates0);
      g3 = step(g3, subgroupBroadcast(x0_0[3], 0u), gates0);
      g4 = step(g4, subgroupBroadcast(x0_0[0], 1u), gates0);
      g5 = step(g5, subgroupBroadcast(x0_0[1], 1u), gates0);
      g6 = step(g6, subgroupBroadcast(x0_0[2], 1u), gates0);
      g7 = step(g7, subgroupBroadcast(x0_0[3], 1u), gates0);
      g8 = step(g8, subgroupBroadcast(x0_0[0], 2u), gates0);
      g9 = step(g9, subgroupBroadcast(x0_0[1], 2u), gates0);
      g10 = step(g10, subgroupBroadcast(x0_0[2], 2u), gates0);
      g11 = step(g11, subgroupBroadcast(x0_0[3], 2u), gates0);
      g12 = step(g12, subgroupBroadcast(x0_0[0], 3u), gates0);
      g13 = step(g13, subgroupBroadcast(x0_0[1], 3u), gates0);
      g14 = step(g14, subgroupBroadcast(x0_0[2], 3u), gates0);
      g15 = step(g15, subgroupBroadcast(x0_0[3], 3u), gates0);
      g16 = step(g16, subgroupBroadcast(x0_0[0], 4u), gates0);
      g17 = step(g17, subgroupBroadcast(x0_0[1], 4u), gates0);
      g18 = step(g18, subgroupBroadcast(x0_0[2], 4u), gates0);
      g19 = step(g19, subgroupBroadcast(x0_0[3], 4u), gates0);
      g20 = step(g20, subgroupBroadcast(x0_0[0], 5u), gates0);
      g21 = step(g21, subgroupBroadcast(x0_0[1], 5u), gates0);
      g22 = step(g22, subgroupBroadcast(x0_0[2], 5u), gates0);
      g23 = step(g23, subgroupBroadcast(x0_0[3], 5u), gates0);
      g24 = step(g24, subgroupBroadcast(x0_0[0], 6u), gates0);
      g25 = step(g25, subgroupBroadcast(x0_0[1], 6u), gates0);
      g26 = step(g26, subgroupBroadcast(x0_0[2], 6u), gates0);
      g27 = step(g27, subgroupBroadcast(x0_0[3], 6u), gates0);
      g28 = step(g28, subgroupBroadcast(x0_0[0], 7u), gates0);
      g29 = step(g29, subgroupBroadcast(x0_0[1], 7u), gates0);
      g30 = step(g30, subgroupBroadcast(x0_0[2], 7u), gates0);
      g31 = step(g31, subgroupBroadcast(x0_0[3], 7u), gates0);
    }
    tg0 += g0; g0 = vec4f(); tg1 += g1; g1 = vec4f(); tg2 += g2; g2 = vec4f(); tg3 += g3; g3 = vec4f(); tg4 += g4; g4 = vec4f(); tg5 += g5; g5 = vec4f(); tg6 += g6; g6 = vec4f(); tg7 += g7; g7 = vec4f();
    tg8 += g8; g8 = vec4f(); tg9 += g9; g9 = vec4f(); tg10 += g10; g10 = vec4f(); tg11 += g11; g11 = vec4f(); tg12 += g12; g12 = vec4f(); tg13 += g13; g13 = vec4f(); tg14 += g14; g14 = vec4f(); tg15 += g15; g15 = vec4f();
    tg16 += g16; g16 = vec4f(); tg17 += g17; g17 = vec4f(); tg18 += g18; g18 = vec4f(); tg19 += g19; g19 = vec4f(); tg20 += g20; g20 = vec4f(); tg21 += g21; g21 = vec4f(); tg22 += g22; g22 = vec4f(); tg23 += g23; g23 = vec4f();
    tg24 += g24; g24 = vec4f(); tg25 += g25; g25 = vec4f(); tg26 += g26; g26 = vec4f(); tg27 += g27; g27 = vec4f(); tg28 += g28; g28 = vec4f(); tg29 += g29; g29 = vec4f(); tg30 += g30; g30 = vec4f(); tg31 += g31; g31 = vec4f();
  }
  var u0 = vec4f(); var tu0 = vec4f(); var u1 = vec4f(); var tu1 = vec4f(); var u2 = vec4f(); var tu2 = vec4f(); var u3 = vec4f(); var tu3 = vec4f(); var u4 = vec4f(); var tu4 = vec4f(); var u5 = vec4f(); var tu5 = vec4f(); var u6 = vec4f(); var tu6 = vec4f(); var u7 = vec4f(); var tu7 = vec4f();
  var u8 = vec4f(); var tu8 = vec4f(); var u9 = vec4f(); var tu9 = vec4f(); var u10 = vec4f(); var tu10 = vec4f(); var u11 = vec4f(); var tu11 = vec4f(); var u12 = vec4f(); var tu12 = vec4f(); var u13 = vec4f(); var tu13 = vec4f(); var u14 = vec4f(); var tu14 = vec4f(); var u15 = vec4f(); var tu15 = vec4f();
  var u16 = vec4f(); var tu16 = vec4f(); var u17 = vec4f(); var tu17 = vec4f(); var u18 = vec4f(); var tu18 = vec4f(); var u19 = vec4f(); var tu19 = vec4f(); var u20 = vec4f(); var tu20 = vec4f(); var u21 = vec4f(); var tu21 = vec4f(); var u22 = vec4f(); var tu22 = vec4f(); var u23 = vec4f(); var tu23 = vec4f();
  var u24 = vec4f(); var tu24 = vec4f(); var u25 = vec4f(); var tu25 = vec4f(); var u26 = vec4f(); var tu26 = vec4f(); var u27 = vec4f(); var tu27 = vec4f(); var u28 = vec4f(); var tu28 = vec4f(); var u29 = vec4f(); var tu29 = vec4f(); var u30 = vec4f(); var tu30 = vec4f(); var u31 = vec4f(); var tu31 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = 0u; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let ups0 = up_block_ragged(k, col);
      let x0_0 = x_block_ragged(own_row, k);
      u0 = step(u0, subgroupBroadcast(x0_0[0], 0u), ups0);
      u1 = step(u1, subgroupBroadcast(x0_0[1], 0u), ups0);
      u2 = step(u2, subgroupBroadcast(x0_0[2], 0u), ups0);
      u3 = step(u3, subgroupBroadcast(x0_0[3], 0u), ups0);
      u4 = step(u4, subgroupBroadcast(x0_0[0], 1u), ups0);
      u5 = step(u5, subgroupBroadcast(x0_0[1], 1u), ups0);
      u6 = step(u6, subgroupBroadcast(x0_0[2], 1u), ups0);
      u7 = step(u7, subgroupBroadcast(x0_0[3], 1u), ups0);
      u8 = step(u8, subgroupBroadcast(x0_0[0], 2u), ups0);
      u9 = step(u9, subgroupBroadcast(x0_0[1], 2u), ups0);
      u10 = step(u10, subgroupBroadcast(x0_0[2], 2u), ups0);
      u11 = step(u11, subgroupBroadcast(x0_0[3], 2u), ups0);
      u12 = step(u12, subgroupBroadcast(x0_0[0], 3u), ups0);
      u13 = step(u13, subgroupBroadcast(x0_0[1], 3u), ups0);
      u14 = step(u14, subgroupBroadcast(x0_0[2], 3u), ups0);
      u15 = step(u15, subgroupBroadcast(x0_0[3], 3u), ups0);
      u16 = step(u16, subgroupBroadcast(x0_0[0], 4u), ups0);
      u17 = step(u17, subgroupBroadcast(x0_0[1], 4u), ups0);
      u18 = step(u18, subgroupBroadcast(x0_0[2], 4u), ups0);
      u19 = step(u19, subgroupBroadcast(x0_0[3], 4u), ups0);
      u20 = step(u20, subgroupBroadcast(x0_0[0], 5u), ups0);
      u21 = step(u21, subgroupBroadcast(x0_0[1], 5u), ups0);
      u22 = step(u22, subgroupBroadcast(x0_0[2], 5u), ups0);
      u23 = step(u23, subgroupBroadcast(x0_0[3], 5u), ups0);
      u24 = step(u24, subgroupBroadcast(x0_0[0], 6u), ups0);
      u25 = step(u25, subgroupBroadcast(x0_0[1], 6u), ups0);
      u26 = step(u26, subgroupBroadcast(x0_0[2], 6u), ups0);
      u27 = step(u27, subgroupBroadcast(x0_0[3], 6u), ups0);
      u28 = step(u28, subgroupBroadcast(x0_0[0], 7u), ups0);
      u29 = step(u29, subgroupBroadcast(x0_0[1], 7u), ups0);
      u30 = step(u30, subgroupBroadcast(x0_0[2], 7u), ups0);
      u31 = step(u31, subgroupBroadcast(x0_0[3], 7u), ups0);
    }
    tu0 += u0; u0 = vec4f(); tu1 += u1; u1 = vec4f(); tu2 += u2; u2 = vec4f(); tu3 += u3; u3 = vec4f(); tu4 += u4; u4 = vec4f(); tu5 += u5; u5 = vec4f(); tu6 += u6; u6 = vec4f(); tu7 += u7; u7 = vec4f();
    tu8 += u8; u8 = vec4f(); tu9 += u9; u9 = vec4f(); tu10 += u10; u10 = vec4f(); tu11 += u11; u11 = vec4f(); tu12 += u12; u12 = vec4f(); tu13 += u13; u13 = vec4f(); tu14 += u14; u14 = vec4f(); tu15 += u15; u15 = vec4f();
    tu16 += u16; u16 = vec4f(); tu17 += u17; u17 = vec4f(); tu18 += u18; u18 = vec4f(); tu19 += u19; u19 = vec4f(); tu20 += u20; u20 = vec4f(); tu21 += u21; u21 = vec4f(); tu22 += u22; u22 = vec4f(); tu23 += u23; u23 = vec4f();
    tu24 += u24; u24 = vec4f(); tu25 += u25; u25 = vec4f(); tu26 += u26; u26 = vec4f(); tu27 += u27; u27 = vec4f(); tu28 += u28; u28 = vec4f(); tu29 += u29; u29 = vec4f(); tu30 += u30; u30 = vec4f(); tu31 += u31; u31 = vec4f();
  }
  var tile = array<vec4f, 64>(
    tg0, tu0, tg1, tu1, tg2, tu2, tg3, tu3, tg4, tu4, tg5, tu5, tg6, tu6, tg7, tu7, tg8, tu8, tg9, tu9, tg10, tu10, tg11, tu11, tg12, tu12, tg13, tu13, tg14, tu14, tg15, tu15,
    tg16, tu16, tg17, tu17, tg18, tu18, tg19, tu19, tg20, tu20, tg21, tu21, tg22, tu22, tg23, tu23, tg24, tu24, tg25, tu25, tg26, tu26, tg27, tu27, tg28, tu28, tg29, tu29, tg30, tu30, tg31, tu31,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store_ragged(row + r, col, tile[2u * r], tile[2u * r + 1u]);
  }
}
