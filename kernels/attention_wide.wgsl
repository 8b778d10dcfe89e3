// Attention: s_ij = scale * q_i . k_j over the allowed keys, y_i = sum_j softmax(s_i)_j v_j (Dao et al. 2022, arXiv 2205.14135). Streaming softmax,
// the log-sum-exp of each row is kept; the backward recomputes p_ij = exp(s_ij - lse_i), with D_i = dy_i . y_i and ds_ij = p_ij (dy_i . v_j - D_i).
// Written by kernels/gen_attention.mjs: change the generator. Barrier-free: one invocation owns ROWS rows of one head and walks the other side in blocks;
// sums over the head dimension run in loops, and the outputs collect in their own memory, so any head dimension fits (here in multiples of 4).
// Rows beyond the end are clamped to the last row: they compute and write the same values twice.
alias Elem = vec4f;
override WG: u32 = 32u;
const LOWEST = -3.4e38; // stands for minus infinity
const ROWS = 8u;           // queries per invocation, forward
const BLOCK = 16u;          // keys per step, forward
const BACKWARD_ROWS = 8u;
const BACKWARD_BLOCK = 8u;

struct Params {
  batch: u32, heads: u32, kv_heads: u32, tq: u32, tk: u32,
  width: u32,                // Elems per head
  masked: u32, causal: u32,  // flags
  window: u32,               // allowed when |i - j| < window; 0 is no window
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Elem>;          // [B, Tq, H, Dh]
@group(0) @binding(2) var<storage, read> k: array<Elem>;          // [B, Tk, Hkv, Dh]
@group(0) @binding(3) var<storage, read> v: array<Elem>;          // [B, Tk, Hkv, Dh]
@group(0) @binding(4) var<storage, read> key_mask: array<u32>;    // [B, Tk], 1 is a real key; not read unless masked
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;    // [B, Tq, H, Dh]
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;   // [B, H, Tq]
@group(0) @binding(7) var<storage, read> stats: array<vec2f>;     // [B, H, Tq] of lse, D
@group(0) @binding(8) var<storage, read> dy: array<Elem>;         // [B, Tq, H, Dh]
@group(0) @binding(9) var<storage, read_write> dq: array<Elem>;   // [B, Tq, H, Dh]
@group(0) @binding(10) var<storage, read_write> dk: array<Elem>;  // [B, Tk, Hkv, Dh]
@group(0) @binding(11) var<storage, read_write> dv: array<Elem>;  // [B, Tk, Hkv, Dh]

// s + (a . b0, a . b1, a . b2, a . b3)
fn dots(s: vec4f, a: Elem, b0: Elem, b1: Elem, b2: Elem, b3: Elem) -> vec4f {
  let sx = fma(vec4f(a.x), vec4f(b0.x, b1.x, b2.x, b3.x), s);
  let sy = fma(vec4f(a.y), vec4f(b0.y, b1.y, b2.y, b3.y), sx);
  let sz = fma(vec4f(a.z), vec4f(b0.z, b1.z, b2.z, b3.z), sy);
  return fma(vec4f(a.w), vec4f(b0.w, b1.w, b2.w, b3.w), sz);
}
// sum + w.x b0 + w.y b1 + w.z b2 + w.w b3
fn blend(sum: Elem, w: vec4f, b0: Elem, b1: Elem, b2: Elem, b3: Elem) -> Elem {
  return fma(Elem(w.w), b3, fma(Elem(w.z), b2, fma(Elem(w.y), b1, fma(Elem(w.x), b0, sum))));
}
fn top(s: vec4f) -> f32 { return max(max(s.x, s.y), max(s.z, s.w)); }
fn total(s: vec4f) -> f32 { return (s.x + s.y) + (s.z + s.w); }
// The clamp keeps exp inside the range where every adapter defines it.
fn exp_safe(x: vec4f) -> vec4f { return exp(clamp(x, vec4f(-87.3), vec4f(88.7))); }
fn four(j: u32) -> vec4u { return vec4u(j, j + 1u, j + 2u, j + 3u); }

// Keys that query i may see: [key_low, key_high); queries that may see key j: [query_low, query_high).
fn key_low(i: u32) -> u32 { return select(0u, max(i + 1u, params.window) - params.window, params.window > 0u); }
fn key_high(i: u32) -> u32 {
  let near = select(params.tk, min(params.tk, i + params.window), params.window > 0u);
  return select(near, min(near, i + 1u), params.causal > 0u);
}
fn query_low(j: u32) -> u32 { return select(key_low(j), j, params.causal > 0u); }
fn query_high(j: u32) -> u32 { return select(params.tq, min(params.tq, j + params.window), params.window > 0u); }
fn inside(at: vec4u, low: u32, high: u32) -> vec4<bool> { return (at >= vec4u(low)) & (at < vec4u(high)); }
fn real_key(b: u32, j: u32) -> bool {
  if (params.masked == 0u) { return true; }
  return key_mask[b * params.tk + min(j, params.tk - 1u)] != 0u;
}
fn real_keys(b: u32, j: u32) -> vec4<bool> {
  return vec4<bool>(real_key(b, j), real_key(b, j + 1u), real_key(b, j + 2u), real_key(b, j + 3u));
}

// y and lse of ROWS queries. y stays normalised after each block, so nothing is left to do at the end.
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tiles = (params.tq + ROWS - 1u) / ROWS;
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let bh = id / tiles;
  if (bh >= params.batch * params.heads) { return; }
  let b = bh / params.heads;
  let h = bh % params.heads;
  let width = params.width;
  let kv_step = params.kv_heads * width;
  let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * width;
  let i0 = min((id % tiles) * ROWS + 0u, params.tq - 1u); let q0 = ((b * params.tq + i0) * params.heads + h) * width; let low0 = key_low(i0);
  let high0 = key_high(i0); var m0 = LOWEST; var l0 = 0.0;
  let i1 = min((id % tiles) * ROWS + 1u, params.tq - 1u); let q1 = ((b * params.tq + i1) * params.heads + h) * width; let low1 = key_low(i1);
  let high1 = key_high(i1); var m1 = LOWEST; var l1 = 0.0;
  let i2 = min((id % tiles) * ROWS + 2u, params.tq - 1u); let q2 = ((b * params.tq + i2) * params.heads + h) * width; let low2 = key_low(i2);
  let high2 = key_high(i2); var m2 = LOWEST; var l2 = 0.0;
  let i3 = min((id % tiles) * ROWS + 3u, params.tq - 1u); let q3 = ((b * params.tq + i3) * params.heads + h) * width; let low3 = key_low(i3);
  let high3 = key_high(i3); var m3 = LOWEST; var l3 = 0.0;
  let i4 = min((id % tiles) * ROWS + 4u, params.tq - 1u); let q4 = ((b * params.tq + i4) * params.heads + h) * width; let low4 = key_low(i4);
  let high4 = key_high(i4); var m4 = LOWEST; var l4 = 0.0;
  let i5 = min((id % tiles) * ROWS + 5u, params.tq - 1u); let q5 = ((b * params.tq + i5) * params.heads + h) * width; let low5 = key_low(i5);
  let high5 = key_high(i5); var m5 = LOWEST; var l5 = 0.0;
  let i6 = min((id % tiles) * ROWS + 6u, params.tq - 1u); let q6 = ((b * params.tq + i6) * params.heads + h) * width; let low6 = key_low(i6);
  let high6 = key_high(i6); var m6 = LOWEST; var l6 = 0.0;
  let i7 = min((id % tiles) * ROWS + 7u, params.tq - 1u); let q7 = ((b * params.tq + i7) * params.heads + h) * width; let low7 = key_low(i7);
  let high7 = key_high(i7); var m7 = LOWEST; var l7 = 0.0;
  let begin = min(low0, params.tk - 1u); // at least one block, so that rows without keys get their zeros
  let end = max(high7, begin + 1u);
  for (var j = begin; j < end; j += BLOCK) {
    let k0 = kv_start + min(j + 0u, params.tk - 1u) * kv_step; let k1 = kv_start + min(j + 1u, params.tk - 1u) * kv_step;
    let k2 = kv_start + min(j + 2u, params.tk - 1u) * kv_step; let k3 = kv_start + min(j + 3u, params.tk - 1u) * kv_step;
    let k4 = kv_start + min(j + 4u, params.tk - 1u) * kv_step; let k5 = kv_start + min(j + 5u, params.tk - 1u) * kv_step;
    let k6 = kv_start + min(j + 6u, params.tk - 1u) * kv_step; let k7 = kv_start + min(j + 7u, params.tk - 1u) * kv_step;
    let k8 = kv_start + min(j + 8u, params.tk - 1u) * kv_step; let k9 = kv_start + min(j + 9u, params.tk - 1u) * kv_step;
    let k10 = kv_start + min(j + 10u, params.tk - 1u) * kv_step; let k11 = kv_start + min(j + 11u, params.tk - 1u) * kv_step;
    let k12 = kv_start + min(j + 12u, params.tk - 1u) * kv_step; let k13 = kv_start + min(j + 13u, params.tk - 1u) * kv_step;
    let k14 = kv_start + min(j + 14u, params.tk - 1u) * kv_step; let k15 = kv_start + min(j + 15u, params.tk - 1u) * kv_step;
    var s0_0 = vec4f(0.0); var s0_1 = vec4f(0.0); var s0_2 = vec4f(0.0); var s0_3 = vec4f(0.0); var s1_0 = vec4f(0.0); var s1_1 = vec4f(0.0);
    var s1_2 = vec4f(0.0); var s1_3 = vec4f(0.0); var s2_0 = vec4f(0.0); var s2_1 = vec4f(0.0); var s2_2 = vec4f(0.0); var s2_3 = vec4f(0.0);
    var s3_0 = vec4f(0.0); var s3_1 = vec4f(0.0); var s3_2 = vec4f(0.0); var s3_3 = vec4f(0.0); var s4_0 = vec4f(0.0); var s4_1 = vec4f(0.0);
    var s4_2 = vec4f(0.0); var s4_3 = vec4f(0.0); var s5_0 = vec4f(0.0); var s5_1 = vec4f(0.0); var s5_2 = vec4f(0.0); var s5_3 = vec4f(0.0);
    var s6_0 = vec4f(0.0); var s6_1 = vec4f(0.0); var s6_2 = vec4f(0.0); var s6_3 = vec4f(0.0); var s7_0 = vec4f(0.0); var s7_1 = vec4f(0.0);
    var s7_2 = vec4f(0.0); var s7_3 = vec4f(0.0);
    for (var d = 0u; d < width; d++) {
      let a0 = q[q0 + d]; let a1 = q[q1 + d]; let a2 = q[q2 + d]; let a3 = q[q3 + d]; let a4 = q[q4 + d]; let a5 = q[q5 + d]; let a6 = q[q6 + d];
      let a7 = q[q7 + d];
      {
        let b0 = k[k0 + d]; let b1 = k[k1 + d]; let b2 = k[k2 + d]; let b3 = k[k3 + d];
        s0_0 = dots(s0_0, a0, b0, b1, b2, b3); s1_0 = dots(s1_0, a1, b0, b1, b2, b3); s2_0 = dots(s2_0, a2, b0, b1, b2, b3);
        s3_0 = dots(s3_0, a3, b0, b1, b2, b3); s4_0 = dots(s4_0, a4, b0, b1, b2, b3); s5_0 = dots(s5_0, a5, b0, b1, b2, b3);
        s6_0 = dots(s6_0, a6, b0, b1, b2, b3); s7_0 = dots(s7_0, a7, b0, b1, b2, b3);
      }
      {
        let b0 = k[k4 + d]; let b1 = k[k5 + d]; let b2 = k[k6 + d]; let b3 = k[k7 + d];
        s0_1 = dots(s0_1, a0, b0, b1, b2, b3); s1_1 = dots(s1_1, a1, b0, b1, b2, b3); s2_1 = dots(s2_1, a2, b0, b1, b2, b3);
        s3_1 = dots(s3_1, a3, b0, b1, b2, b3); s4_1 = dots(s4_1, a4, b0, b1, b2, b3); s5_1 = dots(s5_1, a5, b0, b1, b2, b3);
        s6_1 = dots(s6_1, a6, b0, b1, b2, b3); s7_1 = dots(s7_1, a7, b0, b1, b2, b3);
      }
      {
        let b0 = k[k8 + d]; let b1 = k[k9 + d]; let b2 = k[k10 + d]; let b3 = k[k11 + d];
        s0_2 = dots(s0_2, a0, b0, b1, b2, b3); s1_2 = dots(s1_2, a1, b0, b1, b2, b3); s2_2 = dots(s2_2, a2, b0, b1, b2, b3);
        s3_2 = dots(s3_2, a3, b0, b1, b2, b3); s4_2 = dots(s4_2, a4, b0, b1, b2, b3); s5_2 = dots(s5_2, a5, b0, b1, b2, b3);
        s6_2 = dots(s6_2, a6, b0, b1, b2, b3); s7_2 = dots(s7_2, a7, b0, b1, b2, b3);
      }
      {
        let b0 = k[k12 + d]; let b1 = k[k13 + d]; let b2 = k[k14 + d]; let b3 = k[k15 + d];
        s0_3 = dots(s0_3, a0, b0, b1, b2, b3); s1_3 = dots(s1_3, a1, b0, b1, b2, b3); s2_3 = dots(s2_3, a2, b0, b1, b2, b3);
        s3_3 = dots(s3_3, a3, b0, b1, b2, b3); s4_3 = dots(s4_3, a4, b0, b1, b2, b3); s5_3 = dots(s5_3, a5, b0, b1, b2, b3);
        s6_3 = dots(s6_3, a6, b0, b1, b2, b3); s7_3 = dots(s7_3, a7, b0, b1, b2, b3);
      }
    }
    let real0 = real_keys(b, j + 0u);
    let real1 = real_keys(b, j + 4u);
    let real2 = real_keys(b, j + 8u);
    let real3 = real_keys(b, j + 12u);
    let ok0_0 = real0 & inside(four(j + 0u), low0, high0); s0_0 = select(vec4f(LOWEST), s0_0 * params.scale, ok0_0);
    let ok0_1 = real1 & inside(four(j + 4u), low0, high0); s0_1 = select(vec4f(LOWEST), s0_1 * params.scale, ok0_1);
    let ok0_2 = real2 & inside(four(j + 8u), low0, high0); s0_2 = select(vec4f(LOWEST), s0_2 * params.scale, ok0_2);
    let ok0_3 = real3 & inside(four(j + 12u), low0, high0); s0_3 = select(vec4f(LOWEST), s0_3 * params.scale, ok0_3);
    let n0 = max(max(max(max(m0, top(s0_0)), top(s0_1)), top(s0_2)), top(s0_3)); s0_0 = select(vec4f(0.0), exp_safe(s0_0 - n0), ok0_0);
    s0_1 = select(vec4f(0.0), exp_safe(s0_1 - n0), ok0_1); s0_2 = select(vec4f(0.0), exp_safe(s0_2 - n0), ok0_2);
    s0_3 = select(vec4f(0.0), exp_safe(s0_3 - n0), ok0_3); let old0 = l0 * exp(max(m0 - n0, -87.3)); m0 = n0;
    l0 = old0 + (((total(s0_0) + total(s0_1)) + total(s0_2)) + total(s0_3)); let share0 = select(1.0 / l0, 0.0, l0 == 0.0);
    let keep0 = old0 * share0; s0_0 *= share0; s0_1 *= share0; s0_2 *= share0; s0_3 *= share0;
    let ok1_0 = real0 & inside(four(j + 0u), low1, high1); s1_0 = select(vec4f(LOWEST), s1_0 * params.scale, ok1_0);
    let ok1_1 = real1 & inside(four(j + 4u), low1, high1); s1_1 = select(vec4f(LOWEST), s1_1 * params.scale, ok1_1);
    let ok1_2 = real2 & inside(four(j + 8u), low1, high1); s1_2 = select(vec4f(LOWEST), s1_2 * params.scale, ok1_2);
    let ok1_3 = real3 & inside(four(j + 12u), low1, high1); s1_3 = select(vec4f(LOWEST), s1_3 * params.scale, ok1_3);
    let n1 = max(max(max(max(m1, top(s1_0)), top(s1_1)), top(s1_2)), top(s1_3)); s1_0 = select(vec4f(0.0), exp_safe(s1_0 - n1), ok1_0);
    s1_1 = select(vec4f(0.0), exp_safe(s1_1 - n1), ok1_1); s1_2 = select(vec4f(0.0), exp_safe(s1_2 - n1), ok1_2);
    s1_3 = select(vec4f(0.0), exp_safe(s1_3 - n1), ok1_3); let old1 = l1 * exp(max(m1 - n1, -87.3)); m1 = n1;
    l1 = old1 + (((total(s1_0) + total(s1_1)) + total(s1_2)) + total(s1_3)); let share1 = select(1.0 / l1, 0.0, l1 == 0.0);
    let keep1 = old1 * share1; s1_0 *= share1; s1_1 *= share1; s1_2 *= share1; s1_3 *= share1;
    let ok2_0 = real0 & inside(four(j + 0u), low2, high2); s2_0 = select(vec4f(LOWEST), s2_0 * params.scale, ok2_0);
    let ok2_1 = real1 & inside(four(j + 4u), low2, high2); s2_1 = select(vec4f(LOWEST), s2_1 * params.scale, ok2_1);
    let ok2_2 = real2 & inside(four(j + 8u), low2, high2); s2_2 = select(vec4f(LOWEST), s2_2 * params.scale, ok2_2);
    let ok2_3 = real3 & inside(four(j + 12u), low2, high2); s2_3 = select(vec4f(LOWEST), s2_3 * params.scale, ok2_3);
    let n2 = max(max(max(max(m2, top(s2_0)), top(s2_1)), top(s2_2)), top(s2_3)); s2_0 = select(vec4f(0.0), exp_safe(s2_0 - n2), ok2_0);
    s2_1 = select(vec4f(0.0), exp_safe(s2_1 - n2), ok2_1); s2_2 = select(vec4f(0.0), exp_safe(s2_2 - n2), ok2_2);
    s2_3 = select(vec4f(0.0), exp_safe(s2_3 - n2), ok2_3); let old2 = l2 * exp(max(m2 - n2, -87.3)); m2 = n2;
    l2 = old2 + (((total(s2_0) + total(s2_1)) + total(s2_2)) + total(s2_3)); let share2 = select(1.0 / l2, 0.0, l2 == 0.0);
    let keep2 = old2 * share2; s2_0 *= share2; s2_1 *= share2; s2_2 *= share2; s2_3 *= share2;
    let ok3_0 = real0 & inside(four(j + 0u), low3, high3); s3_0 = select(vec4f(LOWEST), s3_0 * params.scale, ok3_0);
    let ok3_1 = real1 & inside(four(j + 4u), low3, high3); s3_1 = select(vec4f(LOWEST), s3_1 * params.scale, ok3_1);
    let ok3_2 = real2 & inside(four(j + 8u), low3, high3); s3_2 = select(vec4f(LOWEST), s3_2 * params.scale, ok3_2);
    let ok3_3 = real3 & inside(four(j + 12u), low3, high3); s3_3 = select(vec4f(LOWEST), s3_3 * params.scale, ok3_3);
    let n3 = max(max(max(max(m3, top(s3_0)), top(s3_1)), top(s3_2)), top(s3_3)); s3_0 = select(vec4f(0.0), exp_safe(s3_0 - n3), ok3_0);
    s3_1 = select(vec4f(0.0), exp_safe(s3_1 - n3), ok3_1); s3_2 = select(vec4f(0.0), exp_safe(s3_2 - n3), ok3_2);
    s3_3 = select(vec4f(0.0), exp_safe(s3_3 - n3), ok3_3); let old3 = l3 * exp(max(m3 - n3, -87.3)); m3 = n3;
    l3 = old3 + (((total(s3_0) + total(s3_1)) + total(s3_2)) + total(s3_3)); let share3 = select(1.0 / l3, 0.0, l3 == 0.0);
    let keep3 = old3 * share3; s3_0 *= share3; s3_1 *= share3; s3_2 *= share3; s3_3 *= share3;
    let ok4_0 = real0 & inside(four(j + 0u), low4, high4); s4_0 = select(vec4f(LOWEST), s4_0 * params.scale, ok4_0);
    let ok4_1 = real1 & inside(four(j + 4u), low4, high4); s4_1 = select(vec4f(LOWEST), s4_1 * params.scale, ok4_1);
    let ok4_2 = real2 & inside(four(j + 8u), low4, high4); s4_2 = select(vec4f(LOWEST), s4_2 * params.scale, ok4_2);
    let ok4_3 = real3 & inside(four(j + 12u), low4, high4); s4_3 = select(vec4f(LOWEST), s4_3 * params.scale, ok4_3);
    let n4 = max(max(max(max(m4, top(s4_0)), top(s4_1)), top(s4_2)), top(s4_3)); s4_0 = select(vec4f(0.0), exp_safe(s4_0 - n4), ok4_0);
    s4_1 = select(vec4f(0.0), exp_safe(s4_1 - n4), ok4_1); s4_2 = select(vec4f(0.0), exp_safe(s4_2 - n4), ok4_2);
    s4_3 = select(vec4f(0.0), exp_safe(s4_3 - n4), ok4_3); let old4 = l4 * exp(max(m4 - n4, -87.3)); m4 = n4;
    l4 = old4 + (((total(s4_0) + total(s4_1)) + total(s4_2)) + total(s4_3)); let share4 = select(1.0 / l4, 0.0, l4 == 0.0);
    let keep4 = old4 * share4; s4_0 *= share4; s4_1 *= share4; s4_2 *= share4; s4_3 *= share4;
    let ok5_0 = real0 & inside(four(j + 0u), low5, high5); s5_0 = select(vec4f(LOWEST), s5_0 * params.scale, ok5_0);
    let ok5_1 = real1 & inside(four(j + 4u), low5, high5); s5_1 = select(vec4f(LOWEST), s5_1 * params.scale, ok5_1);
    let ok5_2 = real2 & inside(four(j + 8u), low5, high5); s5_2 = select(vec4f(LOWEST), s5_2 * params.scale, ok5_2);
    let ok5_3 = real3 & inside(four(j + 12u), low5, high5); s5_3 = select(vec4f(LOWEST), s5_3 * params.scale, ok5_3);
    let n5 = max(max(max(max(m5, top(s5_0)), top(s5_1)), top(s5_2)), top(s5_3)); s5_0 = select(vec4f(0.0), exp_safe(s5_0 - n5), ok5_0);
    s5_1 = select(vec4f(0.0), exp_safe(s5_1 - n5), ok5_1); s5_2 = select(vec4f(0.0), exp_safe(s5_2 - n5), ok5_2);
    s5_3 = select(vec4f(0.0), exp_safe(s5_3 - n5), ok5_3); let old5 = l5 * exp(max(m5 - n5, -87.3)); m5 = n5;
    l5 = old5 + (((total(s5_0) + total(s5_1)) + total(s5_2)) + total(s5_3)); let share5 = select(1.0 / l5, 0.0, l5 == 0.0);
    let keep5 = old5 * share5; s5_0 *= share5; s5_1 *= share5; s5_2 *= share5; s5_3 *= share5;
    let ok6_0 = real0 & inside(four(j + 0u), low6, high6); s6_0 = select(vec4f(LOWEST), s6_0 * params.scale, ok6_0);
    let ok6_1 = real1 & inside(four(j + 4u), low6, high6); s6_1 = select(vec4f(LOWEST), s6_1 * params.scale, ok6_1);
    let ok6_2 = real2 & inside(four(j + 8u), low6, high6); s6_2 = select(vec4f(LOWEST), s6_2 * params.scale, ok6_2);
    let ok6_3 = real3 & inside(four(j + 12u), low6, high6); s6_3 = select(vec4f(LOWEST), s6_3 * params.scale, ok6_3);
    let n6 = max(max(max(max(m6, top(s6_0)), top(s6_1)), top(s6_2)), top(s6_3)); s6_0 = select(vec4f(0.0), exp_safe(s6_0 - n6), ok6_0);
    s6_1 = select(vec4f(0.0), exp_safe(s6_1 - n6), ok6_1); s6_2 = select(vec4f(0.0), exp_safe(s6_2 - n6), ok6_2);
    s6_3 = select(vec4f(0.0), exp_safe(s6_3 - n6), ok6_3); let old6 = l6 * exp(max(m6 - n6, -87.3)); m6 = n6;
    l6 = old6 + (((total(s6_0) + total(s6_1)) + total(s6_2)) + total(s6_3)); let share6 = select(1.0 / l6, 0.0, l6 == 0.0);
    let keep6 = old6 * share6; s6_0 *= share6; s6_1 *= share6; s6_2 *= share6; s6_3 *= share6;
    let ok7_0 = real0 & inside(four(j + 0u), low7, high7); s7_0 = select(vec4f(LOWEST), s7_0 * params.scale, ok7_0);
    let ok7_1 = real1 & inside(four(j + 4u), low7, high7); s7_1 = select(vec4f(LOWEST), s7_1 * params.scale, ok7_1);
    let ok7_2 = real2 & inside(four(j + 8u), low7, high7); s7_2 = select(vec4f(LOWEST), s7_2 * params.scale, ok7_2);
    let ok7_3 = real3 & inside(four(j + 12u), low7, high7); s7_3 = select(vec4f(LOWEST), s7_3 * params.scale, ok7_3);
    let n7 = max(max(max(max(m7, top(s7_0)), top(s7_1)), top(s7_2)), top(s7_3)); s7_0 = select(vec4f(0.0), exp_safe(s7_0 - n7), ok7_0);
    s7_1 = select(vec4f(0.0), exp_safe(s7_1 - n7), ok7_1); s7_2 = select(vec4f(0.0), exp_safe(s7_2 - n7), ok7_2);
    s7_3 = select(vec4f(0.0), exp_safe(s7_3 - n7), ok7_3); let old7 = l7 * exp(max(m7 - n7, -87.3)); m7 = n7;
    l7 = old7 + (((total(s7_0) + total(s7_1)) + total(s7_2)) + total(s7_3)); let share7 = select(1.0 / l7, 0.0, l7 == 0.0);
    let keep7 = old7 * share7; s7_0 *= share7; s7_1 *= share7; s7_2 *= share7; s7_3 *= share7;
    let first = j == begin; // y holds nothing yet, perhaps not even numbers
    for (var d = 0u; d < width; d++) {
      var o0 = select(y[q0 + d] * keep0, Elem(0.0), first); var o1 = select(y[q1 + d] * keep1, Elem(0.0), first);
      var o2 = select(y[q2 + d] * keep2, Elem(0.0), first); var o3 = select(y[q3 + d] * keep3, Elem(0.0), first);
      var o4 = select(y[q4 + d] * keep4, Elem(0.0), first); var o5 = select(y[q5 + d] * keep5, Elem(0.0), first);
      var o6 = select(y[q6 + d] * keep6, Elem(0.0), first); var o7 = select(y[q7 + d] * keep7, Elem(0.0), first);
      {
        let b0 = v[k0 + d]; let b1 = v[k1 + d]; let b2 = v[k2 + d]; let b3 = v[k3 + d];
        o0 = blend(o0, s0_0, b0, b1, b2, b3); o1 = blend(o1, s1_0, b0, b1, b2, b3); o2 = blend(o2, s2_0, b0, b1, b2, b3);
        o3 = blend(o3, s3_0, b0, b1, b2, b3); o4 = blend(o4, s4_0, b0, b1, b2, b3); o5 = blend(o5, s5_0, b0, b1, b2, b3);
        o6 = blend(o6, s6_0, b0, b1, b2, b3); o7 = blend(o7, s7_0, b0, b1, b2, b3);
      }
      {
        let b0 = v[k4 + d]; let b1 = v[k5 + d]; let b2 = v[k6 + d]; let b3 = v[k7 + d];
        o0 = blend(o0, s0_1, b0, b1, b2, b3); o1 = blend(o1, s1_1, b0, b1, b2, b3); o2 = blend(o2, s2_1, b0, b1, b2, b3);
        o3 = blend(o3, s3_1, b0, b1, b2, b3); o4 = blend(o4, s4_1, b0, b1, b2, b3); o5 = blend(o5, s5_1, b0, b1, b2, b3);
        o6 = blend(o6, s6_1, b0, b1, b2, b3); o7 = blend(o7, s7_1, b0, b1, b2, b3);
      }
      {
        let b0 = v[k8 + d]; let b1 = v[k9 + d]; let b2 = v[k10 + d]; let b3 = v[k11 + d];
        o0 = blend(o0, s0_2, b0, b1, b2, b3); o1 = blend(o1, s1_2, b0, b1, b2, b3); o2 = blend(o2, s2_2, b0, b1, b2, b3);
        o3 = blend(o3, s3_2, b0, b1, b2, b3); o4 = blend(o4, s4_2, b0, b1, b2, b3); o5 = blend(o5, s5_2, b0, b1, b2, b3);
        o6 = blend(o6, s6_2, b0, b1, b2, b3); o7 = blend(o7, s7_2, b0, b1, b2, b3);
      }
      {
        let b0 = v[k12 + d]; let b1 = v[k13 + d]; let b2 = v[k14 + d]; let b3 = v[k15 + d];
        o0 = blend(o0, s0_3, b0, b1, b2, b3); o1 = blend(o1, s1_3, b0, b1, b2, b3); o2 = blend(o2, s2_3, b0, b1, b2, b3);
        o3 = blend(o3, s3_3, b0, b1, b2, b3); o4 = blend(o4, s4_3, b0, b1, b2, b3); o5 = blend(o5, s5_3, b0, b1, b2, b3);
        o6 = blend(o6, s6_3, b0, b1, b2, b3); o7 = blend(o7, s7_3, b0, b1, b2, b3);
      }
      y[q0 + d] = o0; y[q1 + d] = o1; y[q2 + d] = o2; y[q3 + d] = o3; y[q4 + d] = o4; y[q5 + d] = o5; y[q6 + d] = o6; y[q7 + d] = o7;
    }
  }
  lse[bh * params.tq + i0] = m0 + log(max(l0, 1.0)); // l is at least 1 where a key is allowed
  lse[bh * params.tq + i1] = m1 + log(max(l1, 1.0)); // l is at least 1 where a key is allowed
  lse[bh * params.tq + i2] = m2 + log(max(l2, 1.0)); // l is at least 1 where a key is allowed
  lse[bh * params.tq + i3] = m3 + log(max(l3, 1.0)); // l is at least 1 where a key is allowed
  lse[bh * params.tq + i4] = m4 + log(max(l4, 1.0)); // l is at least 1 where a key is allowed
  lse[bh * params.tq + i5] = m5 + log(max(l5, 1.0)); // l is at least 1 where a key is allowed
  lse[bh * params.tq + i6] = m6 + log(max(l6, 1.0)); // l is at least 1 where a key is allowed
  lse[bh * params.tq + i7] = m7 + log(max(l7, 1.0)); // l is at least 1 where a key is allowed
}

// dq_i = scale * sum_j ds_ij k_j of BACKWARD_ROWS queries.
@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tiles = (params.tq + BACKWARD_ROWS - 1u) / BACKWARD_ROWS;
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let bh = id / tiles;
  if (bh >= params.batch * params.heads) { return; }
  let b = bh / params.heads;
  let h = bh % params.heads;
  let width = params.width;
  let kv_step = params.kv_heads * width;
  let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * width;
  let i0 = min((id % tiles) * BACKWARD_ROWS + 0u, params.tq - 1u); let q0 = ((b * params.tq + i0) * params.heads + h) * width;
  let low0 = key_low(i0); let high0 = key_high(i0); let row0 = stats[bh * params.tq + i0];
  let i1 = min((id % tiles) * BACKWARD_ROWS + 1u, params.tq - 1u); let q1 = ((b * params.tq + i1) * params.heads + h) * width;
  let low1 = key_low(i1); let high1 = key_high(i1); let row1 = stats[bh * params.tq + i1];
  let i2 = min((id % tiles) * BACKWARD_ROWS + 2u, params.tq - 1u); let q2 = ((b * params.tq + i2) * params.heads + h) * width;
  let low2 = key_low(i2); let high2 = key_high(i2); let row2 = stats[bh * params.tq + i2];
  let i3 = min((id % tiles) * BACKWARD_ROWS + 3u, params.tq - 1u); let q3 = ((b * params.tq + i3) * params.heads + h) * width;
  let low3 = key_low(i3); let high3 = key_high(i3); let row3 = stats[bh * params.tq + i3];
  let i4 = min((id % tiles) * BACKWARD_ROWS + 4u, params.tq - 1u); let q4 = ((b * params.tq + i4) * params.heads + h) * width;
  let low4 = key_low(i4); let high4 = key_high(i4); let row4 = stats[bh * params.tq + i4];
  let i5 = min((id % tiles) * BACKWARD_ROWS + 5u, params.tq - 1u); let q5 = ((b * params.tq + i5) * params.heads + h) * width;
  let low5 = key_low(i5); let high5 = key_high(i5); let row5 = stats[bh * params.tq + i5];
  let i6 = min((id % tiles) * BACKWARD_ROWS + 6u, params.tq - 1u); let q6 = ((b * params.tq + i6) * params.heads + h) * width;
  let low6 = key_low(i6); let high6 = key_high(i6); let row6 = stats[bh * params.tq + i6];
  let i7 = min((id % tiles) * BACKWARD_ROWS + 7u, params.tq - 1u); let q7 = ((b * params.tq + i7) * params.heads + h) * width;
  let low7 = key_low(i7); let high7 = key_high(i7); let row7 = stats[bh * params.tq + i7];
  let begin = min(low0, params.tk - 1u);
  let end = max(high7, begin + 1u);
  for (var j = begin; j < end; j += BACKWARD_BLOCK) {
    let k0 = kv_start + min(j + 0u, params.tk - 1u) * kv_step; let k1 = kv_start + min(j + 1u, params.tk - 1u) * kv_step;
    let k2 = kv_start + min(j + 2u, params.tk - 1u) * kv_step; let k3 = kv_start + min(j + 3u, params.tk - 1u) * kv_step;
    let k4 = kv_start + min(j + 4u, params.tk - 1u) * kv_step; let k5 = kv_start + min(j + 5u, params.tk - 1u) * kv_step;
    let k6 = kv_start + min(j + 6u, params.tk - 1u) * kv_step; let k7 = kv_start + min(j + 7u, params.tk - 1u) * kv_step;
    var s0_0 = vec4f(0.0); var t0_0 = vec4f(0.0); var s0_1 = vec4f(0.0); var t0_1 = vec4f(0.0); var s1_0 = vec4f(0.0); var t1_0 = vec4f(0.0);
    var s1_1 = vec4f(0.0); var t1_1 = vec4f(0.0); var s2_0 = vec4f(0.0); var t2_0 = vec4f(0.0); var s2_1 = vec4f(0.0); var t2_1 = vec4f(0.0);
    var s3_0 = vec4f(0.0); var t3_0 = vec4f(0.0); var s3_1 = vec4f(0.0); var t3_1 = vec4f(0.0); var s4_0 = vec4f(0.0); var t4_0 = vec4f(0.0);
    var s4_1 = vec4f(0.0); var t4_1 = vec4f(0.0); var s5_0 = vec4f(0.0); var t5_0 = vec4f(0.0); var s5_1 = vec4f(0.0); var t5_1 = vec4f(0.0);
    var s6_0 = vec4f(0.0); var t6_0 = vec4f(0.0); var s6_1 = vec4f(0.0); var t6_1 = vec4f(0.0); var s7_0 = vec4f(0.0); var t7_0 = vec4f(0.0);
    var s7_1 = vec4f(0.0); var t7_1 = vec4f(0.0);
    for (var d = 0u; d < width; d++) {
      let a0 = q[q0 + d]; let a1 = q[q1 + d]; let a2 = q[q2 + d]; let a3 = q[q3 + d]; let a4 = q[q4 + d]; let a5 = q[q5 + d]; let a6 = q[q6 + d];
      let a7 = q[q7 + d];
      {
        let b0 = k[k0 + d]; let b1 = k[k1 + d]; let b2 = k[k2 + d]; let b3 = k[k3 + d];
        s0_0 = dots(s0_0, a0, b0, b1, b2, b3); s1_0 = dots(s1_0, a1, b0, b1, b2, b3); s2_0 = dots(s2_0, a2, b0, b1, b2, b3);
        s3_0 = dots(s3_0, a3, b0, b1, b2, b3); s4_0 = dots(s4_0, a4, b0, b1, b2, b3); s5_0 = dots(s5_0, a5, b0, b1, b2, b3);
        s6_0 = dots(s6_0, a6, b0, b1, b2, b3); s7_0 = dots(s7_0, a7, b0, b1, b2, b3);
      }
      {
        let b0 = k[k4 + d]; let b1 = k[k5 + d]; let b2 = k[k6 + d]; let b3 = k[k7 + d];
        s0_1 = dots(s0_1, a0, b0, b1, b2, b3); s1_1 = dots(s1_1, a1, b0, b1, b2, b3); s2_1 = dots(s2_1, a2, b0, b1, b2, b3);
        s3_1 = dots(s3_1, a3, b0, b1, b2, b3); s4_1 = dots(s4_1, a4, b0, b1, b2, b3); s5_1 = dots(s5_1, a5, b0, b1, b2, b3);
        s6_1 = dots(s6_1, a6, b0, b1, b2, b3); s7_1 = dots(s7_1, a7, b0, b1, b2, b3);
      }
    }
    for (var d = 0u; d < width; d++) {
      let a0 = dy[q0 + d]; let a1 = dy[q1 + d]; let a2 = dy[q2 + d]; let a3 = dy[q3 + d]; let a4 = dy[q4 + d]; let a5 = dy[q5 + d];
      let a6 = dy[q6 + d]; let a7 = dy[q7 + d];
      {
        let b0 = v[k0 + d]; let b1 = v[k1 + d]; let b2 = v[k2 + d]; let b3 = v[k3 + d];
        t0_0 = dots(t0_0, a0, b0, b1, b2, b3); t1_0 = dots(t1_0, a1, b0, b1, b2, b3); t2_0 = dots(t2_0, a2, b0, b1, b2, b3);
        t3_0 = dots(t3_0, a3, b0, b1, b2, b3); t4_0 = dots(t4_0, a4, b0, b1, b2, b3); t5_0 = dots(t5_0, a5, b0, b1, b2, b3);
        t6_0 = dots(t6_0, a6, b0, b1, b2, b3); t7_0 = dots(t7_0, a7, b0, b1, b2, b3);
      }
      {
        let b0 = v[k4 + d]; let b1 = v[k5 + d]; let b2 = v[k6 + d]; let b3 = v[k7 + d];
        t0_1 = dots(t0_1, a0, b0, b1, b2, b3); t1_1 = dots(t1_1, a1, b0, b1, b2, b3); t2_1 = dots(t2_1, a2, b0, b1, b2, b3);
        t3_1 = dots(t3_1, a3, b0, b1, b2, b3); t4_1 = dots(t4_1, a4, b0, b1, b2, b3); t5_1 = dots(t5_1, a5, b0, b1, b2, b3);
        t6_1 = dots(t6_1, a6, b0, b1, b2, b3); t7_1 = dots(t7_1, a7, b0, b1, b2, b3);
      }
    }
    let real0 = real_keys(b, j + 0u);
    let real1 = real_keys(b, j + 4u);
    let p0_0 = exp_safe(s0_0 * params.scale - row0.x) * (t0_0 - row0.y) * params.scale;
    s0_0 = select(vec4f(0.0), p0_0, real0 & inside(four(j + 0u), low0, high0));
    let p0_1 = exp_safe(s0_1 * params.scale - row0.x) * (t0_1 - row0.y) * params.scale;
    s0_1 = select(vec4f(0.0), p0_1, real1 & inside(four(j + 4u), low0, high0));
    let p1_0 = exp_safe(s1_0 * params.scale - row1.x) * (t1_0 - row1.y) * params.scale;
    s1_0 = select(vec4f(0.0), p1_0, real0 & inside(four(j + 0u), low1, high1));
    let p1_1 = exp_safe(s1_1 * params.scale - row1.x) * (t1_1 - row1.y) * params.scale;
    s1_1 = select(vec4f(0.0), p1_1, real1 & inside(four(j + 4u), low1, high1));
    let p2_0 = exp_safe(s2_0 * params.scale - row2.x) * (t2_0 - row2.y) * params.scale;
    s2_0 = select(vec4f(0.0), p2_0, real0 & inside(four(j + 0u), low2, high2));
    let p2_1 = exp_safe(s2_1 * params.scale - row2.x) * (t2_1 - row2.y) * params.scale;
    s2_1 = select(vec4f(0.0), p2_1, real1 & inside(four(j + 4u), low2, high2));
    let p3_0 = exp_safe(s3_0 * params.scale - row3.x) * (t3_0 - row3.y) * params.scale;
    s3_0 = select(vec4f(0.0), p3_0, real0 & inside(four(j + 0u), low3, high3));
    let p3_1 = exp_safe(s3_1 * params.scale - row3.x) * (t3_1 - row3.y) * params.scale;
    s3_1 = select(vec4f(0.0), p3_1, real1 & inside(four(j + 4u), low3, high3));
    let p4_0 = exp_safe(s4_0 * params.scale - row4.x) * (t4_0 - row4.y) * params.scale;
    s4_0 = select(vec4f(0.0), p4_0, real0 & inside(four(j + 0u), low4, high4));
    let p4_1 = exp_safe(s4_1 * params.scale - row4.x) * (t4_1 - row4.y) * params.scale;
    s4_1 = select(vec4f(0.0), p4_1, real1 & inside(four(j + 4u), low4, high4));
    let p5_0 = exp_safe(s5_0 * params.scale - row5.x) * (t5_0 - row5.y) * params.scale;
    s5_0 = select(vec4f(0.0), p5_0, real0 & inside(four(j + 0u), low5, high5));
    let p5_1 = exp_safe(s5_1 * params.scale - row5.x) * (t5_1 - row5.y) * params.scale;
    s5_1 = select(vec4f(0.0), p5_1, real1 & inside(four(j + 4u), low5, high5));
    let p6_0 = exp_safe(s6_0 * params.scale - row6.x) * (t6_0 - row6.y) * params.scale;
    s6_0 = select(vec4f(0.0), p6_0, real0 & inside(four(j + 0u), low6, high6));
    let p6_1 = exp_safe(s6_1 * params.scale - row6.x) * (t6_1 - row6.y) * params.scale;
    s6_1 = select(vec4f(0.0), p6_1, real1 & inside(four(j + 4u), low6, high6));
    let p7_0 = exp_safe(s7_0 * params.scale - row7.x) * (t7_0 - row7.y) * params.scale;
    s7_0 = select(vec4f(0.0), p7_0, real0 & inside(four(j + 0u), low7, high7));
    let p7_1 = exp_safe(s7_1 * params.scale - row7.x) * (t7_1 - row7.y) * params.scale;
    s7_1 = select(vec4f(0.0), p7_1, real1 & inside(four(j + 4u), low7, high7));
    let first = j == begin;
    for (var d = 0u; d < width; d++) {
      var o0 = select(dq[q0 + d], Elem(0.0), first); var o1 = select(dq[q1 + d], Elem(0.0), first); var o2 = select(dq[q2 + d], Elem(0.0), first);
      var o3 = select(dq[q3 + d], Elem(0.0), first); var o4 = select(dq[q4 + d], Elem(0.0), first); var o5 = select(dq[q5 + d], Elem(0.0), first);
      var o6 = select(dq[q6 + d], Elem(0.0), first); var o7 = select(dq[q7 + d], Elem(0.0), first);
      {
        let b0 = k[k0 + d]; let b1 = k[k1 + d]; let b2 = k[k2 + d]; let b3 = k[k3 + d];
        o0 = blend(o0, s0_0, b0, b1, b2, b3); o1 = blend(o1, s1_0, b0, b1, b2, b3); o2 = blend(o2, s2_0, b0, b1, b2, b3);
        o3 = blend(o3, s3_0, b0, b1, b2, b3); o4 = blend(o4, s4_0, b0, b1, b2, b3); o5 = blend(o5, s5_0, b0, b1, b2, b3);
        o6 = blend(o6, s6_0, b0, b1, b2, b3); o7 = blend(o7, s7_0, b0, b1, b2, b3);
      }
      {
        let b0 = k[k4 + d]; let b1 = k[k5 + d]; let b2 = k[k6 + d]; let b3 = k[k7 + d];
        o0 = blend(o0, s0_1, b0, b1, b2, b3); o1 = blend(o1, s1_1, b0, b1, b2, b3); o2 = blend(o2, s2_1, b0, b1, b2, b3);
        o3 = blend(o3, s3_1, b0, b1, b2, b3); o4 = blend(o4, s4_1, b0, b1, b2, b3); o5 = blend(o5, s5_1, b0, b1, b2, b3);
        o6 = blend(o6, s6_1, b0, b1, b2, b3); o7 = blend(o7, s7_1, b0, b1, b2, b3);
      }
      dq[q0 + d] = o0; dq[q1 + d] = o1; dq[q2 + d] = o2; dq[q3 + d] = o3; dq[q4 + d] = o4; dq[q5 + d] = o5; dq[q6 + d] = o6; dq[q7 + d] = o7;
    }
  }
}

// dk_j = scale * sum_i ds_ij q_i and dv_j = sum_i p_ij dy_i of BACKWARD_ROWS keys, the query heads of the group one after the other.
@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tiles = (params.tk + BACKWARD_ROWS - 1u) / BACKWARD_ROWS;
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let bh = id / tiles;
  if (bh >= params.batch * params.kv_heads) { return; }
  let b = bh / params.kv_heads;
  let h = bh % params.kv_heads;
  let width = params.width;
  let group = params.heads / params.kv_heads;
  let q_step = params.heads * width;
  let j0 = min((id % tiles) * BACKWARD_ROWS + 0u, params.tk - 1u); let k0 = ((b * params.tk + j0) * params.kv_heads + h) * width;
  let low0 = query_low(j0);
  let high0 = select(0u, query_high(j0), real_key(b, j0)); // a masked key is seen by no query
  let j1 = min((id % tiles) * BACKWARD_ROWS + 1u, params.tk - 1u); let k1 = ((b * params.tk + j1) * params.kv_heads + h) * width;
  let low1 = query_low(j1);
  let high1 = select(0u, query_high(j1), real_key(b, j1)); // a masked key is seen by no query
  let j2 = min((id % tiles) * BACKWARD_ROWS + 2u, params.tk - 1u); let k2 = ((b * params.tk + j2) * params.kv_heads + h) * width;
  let low2 = query_low(j2);
  let high2 = select(0u, query_high(j2), real_key(b, j2)); // a masked key is seen by no query
  let j3 = min((id % tiles) * BACKWARD_ROWS + 3u, params.tk - 1u); let k3 = ((b * params.tk + j3) * params.kv_heads + h) * width;
  let low3 = query_low(j3);
  let high3 = select(0u, query_high(j3), real_key(b, j3)); // a masked key is seen by no query
  let j4 = min((id % tiles) * BACKWARD_ROWS + 4u, params.tk - 1u); let k4 = ((b * params.tk + j4) * params.kv_heads + h) * width;
  let low4 = query_low(j4);
  let high4 = select(0u, query_high(j4), real_key(b, j4)); // a masked key is seen by no query
  let j5 = min((id % tiles) * BACKWARD_ROWS + 5u, params.tk - 1u); let k5 = ((b * params.tk + j5) * params.kv_heads + h) * width;
  let low5 = query_low(j5);
  let high5 = select(0u, query_high(j5), real_key(b, j5)); // a masked key is seen by no query
  let j6 = min((id % tiles) * BACKWARD_ROWS + 6u, params.tk - 1u); let k6 = ((b * params.tk + j6) * params.kv_heads + h) * width;
  let low6 = query_low(j6);
  let high6 = select(0u, query_high(j6), real_key(b, j6)); // a masked key is seen by no query
  let j7 = min((id % tiles) * BACKWARD_ROWS + 7u, params.tk - 1u); let k7 = ((b * params.tk + j7) * params.kv_heads + h) * width;
  let low7 = query_low(j7);
  let high7 = select(0u, query_high(j7), real_key(b, j7)); // a masked key is seen by no query
  let begin = min(low0, params.tq - 1u);
  let end = max(query_high(j7), begin + 1u);
  for (var n = 0u; n < group; n++) {
    let head = h * group + n;
    let q_start = b * params.tq * q_step + head * width;
    let stats_start = (b * params.heads + head) * params.tq;
    for (var i = begin; i < end; i += BACKWARD_BLOCK) {
      let i0 = min(i + 0u, params.tq - 1u); let i1 = min(i + 1u, params.tq - 1u); let i2 = min(i + 2u, params.tq - 1u);
      let i3 = min(i + 3u, params.tq - 1u); let i4 = min(i + 4u, params.tq - 1u); let i5 = min(i + 5u, params.tq - 1u);
      let i6 = min(i + 6u, params.tq - 1u); let i7 = min(i + 7u, params.tq - 1u);
      let q0 = q_start + i0 * q_step; let q1 = q_start + i1 * q_step; let q2 = q_start + i2 * q_step; let q3 = q_start + i3 * q_step;
      let q4 = q_start + i4 * q_step; let q5 = q_start + i5 * q_step; let q6 = q_start + i6 * q_step; let q7 = q_start + i7 * q_step;
      let row0 = stats[stats_start + i0]; let row1 = stats[stats_start + i1]; let row2 = stats[stats_start + i2];
      let row3 = stats[stats_start + i3]; let row4 = stats[stats_start + i4]; let row5 = stats[stats_start + i5];
      let row6 = stats[stats_start + i6]; let row7 = stats[stats_start + i7];
      var s0_0 = vec4f(0.0); var t0_0 = vec4f(0.0); var s0_1 = vec4f(0.0); var t0_1 = vec4f(0.0); var s1_0 = vec4f(0.0); var t1_0 = vec4f(0.0);
      var s1_1 = vec4f(0.0); var t1_1 = vec4f(0.0); var s2_0 = vec4f(0.0); var t2_0 = vec4f(0.0); var s2_1 = vec4f(0.0); var t2_1 = vec4f(0.0);
      var s3_0 = vec4f(0.0); var t3_0 = vec4f(0.0); var s3_1 = vec4f(0.0); var t3_1 = vec4f(0.0); var s4_0 = vec4f(0.0); var t4_0 = vec4f(0.0);
      var s4_1 = vec4f(0.0); var t4_1 = vec4f(0.0); var s5_0 = vec4f(0.0); var t5_0 = vec4f(0.0); var s5_1 = vec4f(0.0); var t5_1 = vec4f(0.0);
      var s6_0 = vec4f(0.0); var t6_0 = vec4f(0.0); var s6_1 = vec4f(0.0); var t6_1 = vec4f(0.0); var s7_0 = vec4f(0.0); var t7_0 = vec4f(0.0);
      var s7_1 = vec4f(0.0); var t7_1 = vec4f(0.0);
      for (var d = 0u; d < width; d++) {
        let a0 = k[k0 + d]; let a1 = k[k1 + d]; let a2 = k[k2 + d]; let a3 = k[k3 + d]; let a4 = k[k4 + d]; let a5 = k[k5 + d]; let a6 = k[k6 + d];
        let a7 = k[k7 + d];
        {
          let b0 = q[q0 + d]; let b1 = q[q1 + d]; let b2 = q[q2 + d]; let b3 = q[q3 + d];
          s0_0 = dots(s0_0, a0, b0, b1, b2, b3); s1_0 = dots(s1_0, a1, b0, b1, b2, b3); s2_0 = dots(s2_0, a2, b0, b1, b2, b3);
          s3_0 = dots(s3_0, a3, b0, b1, b2, b3); s4_0 = dots(s4_0, a4, b0, b1, b2, b3); s5_0 = dots(s5_0, a5, b0, b1, b2, b3);
          s6_0 = dots(s6_0, a6, b0, b1, b2, b3); s7_0 = dots(s7_0, a7, b0, b1, b2, b3);
        }
        {
          let b0 = q[q4 + d]; let b1 = q[q5 + d]; let b2 = q[q6 + d]; let b3 = q[q7 + d];
          s0_1 = dots(s0_1, a0, b0, b1, b2, b3); s1_1 = dots(s1_1, a1, b0, b1, b2, b3); s2_1 = dots(s2_1, a2, b0, b1, b2, b3);
          s3_1 = dots(s3_1, a3, b0, b1, b2, b3); s4_1 = dots(s4_1, a4, b0, b1, b2, b3); s5_1 = dots(s5_1, a5, b0, b1, b2, b3);
          s6_1 = dots(s6_1, a6, b0, b1, b2, b3); s7_1 = dots(s7_1, a7, b0, b1, b2, b3);
        }
      }
      for (var d = 0u; d < width; d++) {
        let a0 = v[k0 + d]; let a1 = v[k1 + d]; let a2 = v[k2 + d]; let a3 = v[k3 + d]; let a4 = v[k4 + d]; let a5 = v[k5 + d]; let a6 = v[k6 + d];
        let a7 = v[k7 + d];
        {
          let b0 = dy[q0 + d]; let b1 = dy[q1 + d]; let b2 = dy[q2 + d]; let b3 = dy[q3 + d];
          t0_0 = dots(t0_0, a0, b0, b1, b2, b3); t1_0 = dots(t1_0, a1, b0, b1, b2, b3); t2_0 = dots(t2_0, a2, b0, b1, b2, b3);
          t3_0 = dots(t3_0, a3, b0, b1, b2, b3); t4_0 = dots(t4_0, a4, b0, b1, b2, b3); t5_0 = dots(t5_0, a5, b0, b1, b2, b3);
          t6_0 = dots(t6_0, a6, b0, b1, b2, b3); t7_0 = dots(t7_0, a7, b0, b1, b2, b3);
        }
        {
          let b0 = dy[q4 + d]; let b1 = dy[q5 + d]; let b2 = dy[q6 + d]; let b3 = dy[q7 + d];
          t0_1 = dots(t0_1, a0, b0, b1, b2, b3); t1_1 = dots(t1_1, a1, b0, b1, b2, b3); t2_1 = dots(t2_1, a2, b0, b1, b2, b3);
          t3_1 = dots(t3_1, a3, b0, b1, b2, b3); t4_1 = dots(t4_1, a4, b0, b1, b2, b3); t5_1 = dots(t5_1, a5, b0, b1, b2, b3);
          t6_1 = dots(t6_1, a6, b0, b1, b2, b3); t7_1 = dots(t7_1, a7, b0, b1, b2, b3);
        }
      }
      let lse0 = vec4f(row0.x, row1.x, row2.x, row3.x);
      let along0 = vec4f(row0.y, row1.y, row2.y, row3.y);
      let lse1 = vec4f(row4.x, row5.x, row6.x, row7.x);
      let along1 = vec4f(row4.y, row5.y, row6.y, row7.y);
      let p0_0 = select(vec4f(0.0), exp_safe(s0_0 * params.scale - lse0), inside(four(i + 0u), low0, high0));
      t0_0 = p0_0 * (t0_0 - along0) * params.scale;
      let p0_1 = select(vec4f(0.0), exp_safe(s0_1 * params.scale - lse1), inside(four(i + 4u), low0, high0));
      t0_1 = p0_1 * (t0_1 - along1) * params.scale;
      let p1_0 = select(vec4f(0.0), exp_safe(s1_0 * params.scale - lse0), inside(four(i + 0u), low1, high1));
      t1_0 = p1_0 * (t1_0 - along0) * params.scale;
      let p1_1 = select(vec4f(0.0), exp_safe(s1_1 * params.scale - lse1), inside(four(i + 4u), low1, high1));
      t1_1 = p1_1 * (t1_1 - along1) * params.scale;
      let p2_0 = select(vec4f(0.0), exp_safe(s2_0 * params.scale - lse0), inside(four(i + 0u), low2, high2));
      t2_0 = p2_0 * (t2_0 - along0) * params.scale;
      let p2_1 = select(vec4f(0.0), exp_safe(s2_1 * params.scale - lse1), inside(four(i + 4u), low2, high2));
      t2_1 = p2_1 * (t2_1 - along1) * params.scale;
      let p3_0 = select(vec4f(0.0), exp_safe(s3_0 * params.scale - lse0), inside(four(i + 0u), low3, high3));
      t3_0 = p3_0 * (t3_0 - along0) * params.scale;
      let p3_1 = select(vec4f(0.0), exp_safe(s3_1 * params.scale - lse1), inside(four(i + 4u), low3, high3));
      t3_1 = p3_1 * (t3_1 - along1) * params.scale;
      let p4_0 = select(vec4f(0.0), exp_safe(s4_0 * params.scale - lse0), inside(four(i + 0u), low4, high4));
      t4_0 = p4_0 * (t4_0 - along0) * params.scale;
      let p4_1 = select(vec4f(0.0), exp_safe(s4_1 * params.scale - lse1), inside(four(i + 4u), low4, high4));
      t4_1 = p4_1 * (t4_1 - along1) * params.scale;
      let p5_0 = select(vec4f(0.0), exp_safe(s5_0 * params.scale - lse0), inside(four(i + 0u), low5, high5));
      t5_0 = p5_0 * (t5_0 - along0) * params.scale;
      let p5_1 = select(vec4f(0.0), exp_safe(s5_1 * params.scale - lse1), inside(four(i + 4u), low5, high5));
      t5_1 = p5_1 * (t5_1 - along1) * params.scale;
      let p6_0 = select(vec4f(0.0), exp_safe(s6_0 * params.scale - lse0), inside(four(i + 0u), low6, high6));
      t6_0 = p6_0 * (t6_0 - along0) * params.scale;
      let p6_1 = select(vec4f(0.0), exp_safe(s6_1 * params.scale - lse1), inside(four(i + 4u), low6, high6));
      t6_1 = p6_1 * (t6_1 - along1) * params.scale;
      let p7_0 = select(vec4f(0.0), exp_safe(s7_0 * params.scale - lse0), inside(four(i + 0u), low7, high7));
      t7_0 = p7_0 * (t7_0 - along0) * params.scale;
      let p7_1 = select(vec4f(0.0), exp_safe(s7_1 * params.scale - lse1), inside(four(i + 4u), low7, high7));
      t7_1 = p7_1 * (t7_1 - along1) * params.scale;
      let first = n == 0u && i == begin;
      for (var d = 0u; d < width; d++) {
        var o0 = select(dk[k0 + d], Elem(0.0), first); var o1 = select(dk[k1 + d], Elem(0.0), first); var o2 = select(dk[k2 + d], Elem(0.0), first);
        var o3 = select(dk[k3 + d], Elem(0.0), first); var o4 = select(dk[k4 + d], Elem(0.0), first); var o5 = select(dk[k5 + d], Elem(0.0), first);
        var o6 = select(dk[k6 + d], Elem(0.0), first); var o7 = select(dk[k7 + d], Elem(0.0), first);
        {
          let b0 = q[q0 + d]; let b1 = q[q1 + d]; let b2 = q[q2 + d]; let b3 = q[q3 + d];
          o0 = blend(o0, t0_0, b0, b1, b2, b3); o1 = blend(o1, t1_0, b0, b1, b2, b3); o2 = blend(o2, t2_0, b0, b1, b2, b3);
          o3 = blend(o3, t3_0, b0, b1, b2, b3); o4 = blend(o4, t4_0, b0, b1, b2, b3); o5 = blend(o5, t5_0, b0, b1, b2, b3);
          o6 = blend(o6, t6_0, b0, b1, b2, b3); o7 = blend(o7, t7_0, b0, b1, b2, b3);
        }
        {
          let b0 = q[q4 + d]; let b1 = q[q5 + d]; let b2 = q[q6 + d]; let b3 = q[q7 + d];
          o0 = blend(o0, t0_1, b0, b1, b2, b3); o1 = blend(o1, t1_1, b0, b1, b2, b3); o2 = blend(o2, t2_1, b0, b1, b2, b3);
          o3 = blend(o3, t3_1, b0, b1, b2, b3); o4 = blend(o4, t4_1, b0, b1, b2, b3); o5 = blend(o5, t5_1, b0, b1, b2, b3);
          o6 = blend(o6, t6_1, b0, b1, b2, b3); o7 = blend(o7, t7_1, b0, b1, b2, b3);
        }
        dk[k0 + d] = o0; dk[k1 + d] = o1; dk[k2 + d] = o2; dk[k3 + d] = o3; dk[k4 + d] = o4; dk[k5 + d] = o5; dk[k6 + d] = o6; dk[k7 + d] = o7;
      }
      for (var d = 0u; d < width; d++) {
        var o0 = select(dv[k0 + d], Elem(0.0), first); var o1 = select(dv[k1 + d], Elem(0.0), first); var o2 = select(dv[k2 + d], Elem(0.0), first);
        var o3 = select(dv[k3 + d], Elem(0.0), first); var o4 = select(dv[k4 + d], Elem(0.0), first); var o5 = select(dv[k5 + d], Elem(0.0), first);
        var o6 = select(dv[k6 + d], Elem(0.0), first); var o7 = select(dv[k7 + d], Elem(0.0), first);
        {
          let b0 = dy[q0 + d]; let b1 = dy[q1 + d]; let b2 = dy[q2 + d]; let b3 = dy[q3 + d];
          o0 = blend(o0, p0_0, b0, b1, b2, b3); o1 = blend(o1, p1_0, b0, b1, b2, b3); o2 = blend(o2, p2_0, b0, b1, b2, b3);
          o3 = blend(o3, p3_0, b0, b1, b2, b3); o4 = blend(o4, p4_0, b0, b1, b2, b3); o5 = blend(o5, p5_0, b0, b1, b2, b3);
          o6 = blend(o6, p6_0, b0, b1, b2, b3); o7 = blend(o7, p7_0, b0, b1, b2, b3);
        }
        {
          let b0 = dy[q4 + d]; let b1 = dy[q5 + d]; let b2 = dy[q6 + d]; let b3 = dy[q7 + d];
          o0 = blend(o0, p0_1, b0, b1, b2, b3); o1 = blend(o1, p1_1, b0, b1, b2, b3); o2 = blend(o2, p2_1, b0, b1, b2, b3);
          o3 = blend(o3, p3_1, b0, b1, b2, b3); o4 = blend(o4, p4_1, b0, b1, b2, b3); o5 = blend(o5, p5_1, b0, b1, b2, b3);
          o6 = blend(o6, p6_1, b0, b1, b2, b3); o7 = blend(o7, p7_1, b0, b1, b2, b3);
        }
        dv[k0 + d] = o0; dv[k1 + d] = o1; dv[k2 + d] = o2; dv[k3 + d] = o3; dv[k4 + d] = o4; dv[k5 + d] = o5; dv[k6 + d] = o6; dv[k7 + d] = o7;
      }
    }
  }
}
