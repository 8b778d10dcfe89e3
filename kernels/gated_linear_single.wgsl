// y = f(x gateᵀ) · (x upᵀ) with f = silu or gelu_tanh: the middle of a gated MLP (Shazeer 2020, arXiv 2002.05202) in the epilogue of its two products.
// Written by kernels/gen_gated_linear.mjs: change the generator. No barriers, no workgroup memory.
// Each invocation owns 4 × 4 of both products; the 8 × 8 of a workgroup lie side by side.
// Rows and columns beyond the end are clamped for loading and never stored. `forward` wants N and K in multiples of 4; `forward_ragged` takes any shape.
// uses: sigmoid4
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

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  let group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n) { return; }
  let tile_n = group % params.tiles_n;
  let tile_m = group / params.tiles_n;
  let row = (tile_m * 8u + lane_index / 8u) * 4u;
  let col = (tile_n * 8u + lane_index % 8u) * 4u;
  let own_row = row;
  let end = params.k;
  var g0 = vec4f(); var tg0 = vec4f(); var u0 = vec4f(); var tu0 = vec4f(); var g1 = vec4f(); var tg1 = vec4f(); var u1 = vec4f(); var tu1 = vec4f();
  var g2 = vec4f(); var tg2 = vec4f(); var u2 = vec4f(); var tu2 = vec4f(); var g3 = vec4f(); var tg3 = vec4f(); var u3 = vec4f(); var tu3 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = 0u; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let gates0 = gate_block(k, col);
      let ups0 = up_block(k, col);
      let x0_0 = x_block(own_row, k);
      let s0_0 = x0_0[0];
      g0 = step(g0, s0_0, gates0); u0 = step(u0, s0_0, ups0);
      let s0_1 = x0_0[1];
      g1 = step(g1, s0_1, gates0); u1 = step(u1, s0_1, ups0);
      let s0_2 = x0_0[2];
      g2 = step(g2, s0_2, gates0); u2 = step(u2, s0_2, ups0);
      let s0_3 = x0_0[3];
      g3 = step(g3, s0_3, gates0); u3 = step(u3, s0_3, ups0);
    }
    tg0 += g0; g0 = vec4f(); tu0 += u0; u0 = vec4f(); tg1 += g1; g1 = vec4f(); tu1 += u1; u1 = vec4f();
    tg2 += g2; g2 = vec4f(); tu2 += u2; u2 = vec4f(); tg3 += g3; g3 = vec4f(); tu3 += u3; u3 = vec4f();
  }
  var tile = array<vec4f, 8>(
    tg0, tu0, tg1, tu1, tg2, tu2, tg3, tu3,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store(row + r, col, tile[2u * r], tile[2u * r + 1u]);
  }
}

@compute @workgroup_size(64)
fn forward_ragged(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {
  let group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n) { return; }
  let tile_n = group % params.tiles_n;
  let tile_m = group / params.tiles_n;
  let row = (tile_m * 8u + lane_index / 8u) * 4u;
  let col = (tile_n * 8u + lane_index % 8u) * 4u;
  let own_row = row;
  let end = params.k;
  var g0 = vec4f(); var tg0 = vec4f(); var u0 = vec4f(); var tu0 = vec4f(); var g1 = vec4f(); var tg1 = vec4f(); var u1 = vec4f(); var tu1 = vec4f();
  var g2 = vec4f(); var tg2 = vec4f(); var u2 = vec4f(); var tu2 = vec4f(); var g3 = vec4f(); var tg3 = vec4f(); var u3 = vec4f(); var tu3 = vec4f();
  // Sums of 16 products join the total as one: rounding grows with the number of additions in a row.
  for (var run = 0u; run < end; run += 16u) {
    let stop = min(run + 16u, end);
    for (var k = run; k < stop; k += 4u) {
      let gates0 = gate_block_ragged(k, col);
      let ups0 = up_block_ragged(k, col);
      let x0_0 = x_block_ragged(own_row, k);
      let s0_0 = x0_0[0];
      g0 = step(g0, s0_0, gates0); u0 = step(u0, s0_0, ups0);
      let s0_1 = x0_0[1];
      g1 = step(g1, s0_1, gates0); u1 = step(u1, s0_1, ups0);
      let s0_2 = x0_0[2];
      g2 = step(g2, s0_2, gates0); u2 = step(u2, s0_2, ups0);
      let s0_3 = x0_0[3];
      g3 = step(g3, s0_3, gates0); u3 = step(u3, s0_3, ups0);
    }
    tg0 += g0; g0 = vec4f(); tu0 += u0; u0 = vec4f(); tg1 += g1; g1 = vec4f(); tu1 += u1; u1 = vec4f();
    tg2 += g2; g2 = vec4f(); tu2 += u2; u2 = vec4f(); tg3 += g3; g3 = vec4f(); tu3 += u3; u3 = vec4f();
  }
  var tile = array<vec4f, 8>(
    tg0, tu0, tg1, tu1, tg2, tu2, tg3, tu3,
  );
  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.
  let inside = min(params.tile_rows, params.m - min(row, params.m));
  for (var r = 0u; r < inside; r++) {
    store_ragged(row + r, col, tile[2u * r], tile[2u * r + 1u]);
  }
}
