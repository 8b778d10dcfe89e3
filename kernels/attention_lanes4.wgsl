// Attention: s_ij = scale * q_i . k_j over the allowed keys, y_i = sum_j softmax(s_i)_j v_j (Dao et al. 2022, arXiv 2205.14135). Streaming softmax,
// the maximum m and the sum l of each row are kept, apart: their logarithm in one number would lose digits at large logits. The backward recomputes
// p_ij = exp(s_ij - m_i) / l_i, with D_i = dy_i . y_i and ds_ij = p_ij (dy_i . v_j - D_i).
// Written by kernels/gen_attention.mjs: change the generator. Barrier-free: one invocation owns ROWS rows of one head and walks the other side in blocks;
// sums over the head dimension run in loops, and the outputs collect in their own memory, so any head dimension fits (here in multiples of 4).
// uses: exp_neg4, exp_neg_of
// A workgroup is one subgroup of 4 lanes on one head: each lane loads its share of a block and broadcasts it, because a software adapter pays for a load
// lane by lane. Rows beyond the end are clamped to the last row and not written.
enable subgroups;
alias Elem = vec4f;
const WG = 4u;
const LOWEST = -3.4e38; // stands for minus infinity
const ROWS = 4u;           // queries per invocation, forward
const BLOCK = 16u;          // keys per step, forward
const BACKWARD_ROWS = 4u;
const BACKWARD_BLOCK = 8u;

struct Params {
  batch: u32, heads: u32, kv_heads: u32, tq: u32, tk: u32,
  width: u32,                // Elems per head
  masked: u32, causal: u32,  // flags
  window: u32,               // allowed when |i - j| < window; 0 is no window
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<QStored>;       // [B, Tq, H, Dh]
@group(0) @binding(2) var<storage, read> k: array<KStored>;       // [B, Tk, Hkv, Dh]
@group(0) @binding(3) var<storage, read> v: array<VStored>;       // [B, Tk, Hkv, Dh]
@group(0) @binding(4) var<storage, read> key_mask: array<u32>;    // [B, Tk], 1 is a real key; not read unless masked
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;    // [B, Tq, H, Dh]
@group(0) @binding(6) var<storage, read_write> sums: array<vec2f>; // [B, H, Tq] of m, 1 / l
@group(0) @binding(7) var<storage, read> stats: array<vec4f>;     // [B, H, Tq] of m, 1 / l, D
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

// y and the sums of ROWS queries. y stays normalised after each block, so nothing is left to do at the end.
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) sub: u32) {
  let tiles = (params.tq + ROWS * WG - 1u) / (ROWS * WG);
  let id = wid.x + wid.y * nwg.x;
  let bh = id / tiles;
  if (bh >= params.batch * params.heads) { return; }
  let first_row = (id % tiles) * ROWS * WG;
  let last_row = min(first_row + ROWS * WG, params.tq) - 1u;
  let start = first_row + lane * ROWS;
  let b = bh / params.heads;
  let h = bh % params.heads;
  let width = params.width;
  let kv_step = params.kv_heads * width;
  let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * width;
  let i0 = min(start + 0u, params.tq - 1u); let live0 = start + 0u < params.tq; let q0 = ((b * params.tq + i0) * params.heads + h) * width;
  let low0 = key_low(i0); let high0 = key_high(i0); var m0 = LOWEST; var l0 = 0.0;
  let i1 = min(start + 1u, params.tq - 1u); let live1 = start + 1u < params.tq; let q1 = ((b * params.tq + i1) * params.heads + h) * width;
  let low1 = key_low(i1); let high1 = key_high(i1); var m1 = LOWEST; var l1 = 0.0;
  let i2 = min(start + 2u, params.tq - 1u); let live2 = start + 2u < params.tq; let q2 = ((b * params.tq + i2) * params.heads + h) * width;
  let low2 = key_low(i2); let high2 = key_high(i2); var m2 = LOWEST; var l2 = 0.0;
  let i3 = min(start + 3u, params.tq - 1u); let live3 = start + 3u < params.tq; let q3 = ((b * params.tq + i3) * params.heads + h) * width;
  let low3 = key_low(i3); let high3 = key_high(i3); var m3 = LOWEST; var l3 = 0.0;
  let begin = min(key_low(first_row), params.tk - 1u); // at least one block, so that rows without keys get their zeros
  let end = max(key_high(last_row), begin + 1u);
  for (var j = begin; j < end; j += BLOCK) {
    let k0 = kv_start + min(j + 0u + sub, params.tk - 1u) * kv_step; let k1 = kv_start + min(j + 4u + sub, params.tk - 1u) * kv_step;
    let k2 = kv_start + min(j + 8u + sub, params.tk - 1u) * kv_step; let k3 = kv_start + min(j + 12u + sub, params.tk - 1u) * kv_step;
    var s0_0 = vec4f(0.0); var s0_1 = vec4f(0.0); var s0_2 = vec4f(0.0); var s0_3 = vec4f(0.0); var s1_0 = vec4f(0.0); var s1_1 = vec4f(0.0);
    var s1_2 = vec4f(0.0); var s1_3 = vec4f(0.0); var s2_0 = vec4f(0.0); var s2_1 = vec4f(0.0); var s2_2 = vec4f(0.0); var s2_3 = vec4f(0.0);
    var s3_0 = vec4f(0.0); var s3_1 = vec4f(0.0); var s3_2 = vec4f(0.0); var s3_3 = vec4f(0.0);
    for (var d = 0u; d < width; d++) {
      let a0 = load_q(q0 + d); let a1 = load_q(q1 + d); let a2 = load_q(q2 + d); let a3 = load_q(q3 + d);
      let x0 = load_k(k0 + d); let x1 = load_k(k1 + d); let x2 = load_k(k2 + d); let x3 = load_k(k3 + d);
      {
        let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
        s0_0 = dots(s0_0, a0, b0, b1, b2, b3); s1_0 = dots(s1_0, a1, b0, b1, b2, b3); s2_0 = dots(s2_0, a2, b0, b1, b2, b3);
        s3_0 = dots(s3_0, a3, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
        s0_1 = dots(s0_1, a0, b0, b1, b2, b3); s1_1 = dots(s1_1, a1, b0, b1, b2, b3); s2_1 = dots(s2_1, a2, b0, b1, b2, b3);
        s3_1 = dots(s3_1, a3, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x2, 0u); let b1 = quadBroadcast(x2, 1u); let b2 = quadBroadcast(x2, 2u); let b3 = quadBroadcast(x2, 3u);
        s0_2 = dots(s0_2, a0, b0, b1, b2, b3); s1_2 = dots(s1_2, a1, b0, b1, b2, b3); s2_2 = dots(s2_2, a2, b0, b1, b2, b3);
        s3_2 = dots(s3_2, a3, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x3, 0u); let b1 = quadBroadcast(x3, 1u); let b2 = quadBroadcast(x3, 2u); let b3 = quadBroadcast(x3, 3u);
        s0_3 = dots(s0_3, a0, b0, b1, b2, b3); s1_3 = dots(s1_3, a1, b0, b1, b2, b3); s2_3 = dots(s2_3, a2, b0, b1, b2, b3);
        s3_3 = dots(s3_3, a3, b0, b1, b2, b3);
      }
    }
    let marks0 = select(0u, 1u, real_key(b, j + 0u + sub));
    let marks1 = select(0u, 1u, real_key(b, j + 4u + sub));
    let marks2 = select(0u, 1u, real_key(b, j + 8u + sub));
    let marks3 = select(0u, 1u, real_key(b, j + 12u + sub));
    let real0 = vec4<bool>(subgroupBroadcast(marks0, 0u) != 0u, subgroupBroadcast(marks0, 1u) != 0u, subgroupBroadcast(marks0, 2u) != 0u, subgroupBroadcast(marks0, 3u) != 0u);
    let real1 = vec4<bool>(subgroupBroadcast(marks1, 0u) != 0u, subgroupBroadcast(marks1, 1u) != 0u, subgroupBroadcast(marks1, 2u) != 0u, subgroupBroadcast(marks1, 3u) != 0u);
    let real2 = vec4<bool>(subgroupBroadcast(marks2, 0u) != 0u, subgroupBroadcast(marks2, 1u) != 0u, subgroupBroadcast(marks2, 2u) != 0u, subgroupBroadcast(marks2, 3u) != 0u);
    let real3 = vec4<bool>(subgroupBroadcast(marks3, 0u) != 0u, subgroupBroadcast(marks3, 1u) != 0u, subgroupBroadcast(marks3, 2u) != 0u, subgroupBroadcast(marks3, 3u) != 0u);
    let ok0_0 = real0 & inside(four(j + 0u), low0, high0); s0_0 = select(vec4f(LOWEST), s0_0 * params.scale, ok0_0);
    let ok0_1 = real1 & inside(four(j + 4u), low0, high0); s0_1 = select(vec4f(LOWEST), s0_1 * params.scale, ok0_1);
    let ok0_2 = real2 & inside(four(j + 8u), low0, high0); s0_2 = select(vec4f(LOWEST), s0_2 * params.scale, ok0_2);
    let ok0_3 = real3 & inside(four(j + 12u), low0, high0); s0_3 = select(vec4f(LOWEST), s0_3 * params.scale, ok0_3);
    let n0 = max(max(max(max(m0, top(s0_0)), top(s0_1)), top(s0_2)), top(s0_3)); s0_0 = select(vec4f(0.0), exp_neg4(s0_0 - n0), ok0_0);
    s0_1 = select(vec4f(0.0), exp_neg4(s0_1 - n0), ok0_1); s0_2 = select(vec4f(0.0), exp_neg4(s0_2 - n0), ok0_2);
    s0_3 = select(vec4f(0.0), exp_neg4(s0_3 - n0), ok0_3); let old0 = l0 * exp_neg_of(m0 - n0); m0 = n0;
    l0 = old0 + (((total(s0_0) + total(s0_1)) + total(s0_2)) + total(s0_3)); let share0 = select(1.0 / l0, 0.0, l0 == 0.0);
    let keep0 = old0 * share0; s0_0 *= share0; s0_1 *= share0; s0_2 *= share0; s0_3 *= share0;
    let ok1_0 = real0 & inside(four(j + 0u), low1, high1); s1_0 = select(vec4f(LOWEST), s1_0 * params.scale, ok1_0);
    let ok1_1 = real1 & inside(four(j + 4u), low1, high1); s1_1 = select(vec4f(LOWEST), s1_1 * params.scale, ok1_1);
    let ok1_2 = real2 & inside(four(j + 8u), low1, high1); s1_2 = select(vec4f(LOWEST), s1_2 * params.scale, ok1_2);
    let ok1_3 = real3 & inside(four(j + 12u), low1, high1); s1_3 = select(vec4f(LOWEST), s1_3 * params.scale, ok1_3);
    let n1 = max(max(max(max(m1, top(s1_0)), top(s1_1)), top(s1_2)), top(s1_3)); s1_0 = select(vec4f(0.0), exp_neg4(s1_0 - n1), ok1_0);
    s1_1 = select(vec4f(0.0), exp_neg4(s1_1 - n1), ok1_1); s1_2 = select(vec4f(0.0), exp_neg4(s1_2 - n1), ok1_2);
    s1_3 = select(vec4f(0.0), exp_neg4(s1_3 - n1), ok1_3); let old1 = l1 * exp_neg_of(m1 - n1); m1 = n1;
    l1 = old1 + (((total(s1_0) + total(s1_1)) + total(s1_2)) + total(s1_3)); let share1 = select(1.0 / l1, 0.0, l1 == 0.0);
    let keep1 = old1 * share1; s1_0 *= share1; s1_1 *= share1; s1_2 *= share1; s1_3 *= share1;
    let ok2_0 = real0 & inside(four(j + 0u), low2, high2); s2_0 = select(vec4f(LOWEST), s2_0 * params.scale, ok2_0);
    let ok2_1 = real1 & inside(four(j + 4u), low2, high2); s2_1 = select(vec4f(LOWEST), s2_1 * params.scale, ok2_1);
    let ok2_2 = real2 & inside(four(j + 8u), low2, high2); s2_2 = select(vec4f(LOWEST), s2_2 * params.scale, ok2_2);
    let ok2_3 = real3 & inside(four(j + 12u), low2, high2); s2_3 = select(vec4f(LOWEST), s2_3 * params.scale, ok2_3);
    let n2 = max(max(max(max(m2, top(s2_0)), top(s2_1)), top(s2_2)), top(s2_3)); s2_0 = select(vec4f(0.0), exp_neg4(s2_0 - n2), ok2_0);
    s2_1 = select(vec4f(0.0), exp_neg4(s2_1 - n2), ok2_1); s2_2 = select(vec4f(0.0), exp_neg4(s2_2 - n2), ok2_2);
    s2_3 = select(vec4f(0.0), exp_neg4(s2_3 - n2), ok2_3); let old2 = l2 * exp_neg_of(m2 - n2); m2 = n2;
    l2 = old2 + (((total(s2_0) + total(s2_1)) + total(s2_2)) + total(s2_3)); let share2 = select(1.0 / l2, 0.0, l2 == 0.0);
    let keep2 = old2 * share2; s2_0 *= share2; s2_1 *= share2; s2_2 *= share2; s2_3 *= share2;
    let ok3_0 = real0 & inside(four(j + 0u), low3, high3); s3_0 = select(vec4f(LOWEST), s3_0 * params.scale, ok3_0);
    let ok3_1 = real1 & inside(four(j + 4u), low3, high3); s3_1 = select(vec4f(LOWEST), s3_1 * params.scale, ok3_1);
    let ok3_2 = real2 & inside(four(j + 8u), low3, high3); s3_2 = select(vec4f(LOWEST), s3_2 * params.scale, ok3_2);
    let ok3_3 = real3 & inside(four(j + 12u), low3, high3); s3_3 = select(vec4f(LOWEST), s3_3 * params.scale, ok3_3);
    let n3 = max(max(max(max(m3, top(s3_0)), top(s3_1)), top(s3_2)), top(s3_3)); s3_0 = select(vec4f(0.0), exp_neg4(s3_0 - n3), ok3_0);
    s3_1 = select(vec4f(0.0), exp_neg4(s3_1 - n3), ok3_1); s3_2 = select(vec4f(0.0), exp_neg4(s3_2 - n3), ok3_2);
    s3_3 = select(vec4f(0.0), exp_neg4(s3_3 - n3), ok3_3); let old3 = l3 * exp_neg_of(m3 - n3); m3 = n3;
    l3 = old3 + (((total(s3_0) + total(s3_1)) + total(s3_2)) + total(s3_3)); let share3 = select(1.0 / l3, 0.0, l3 == 0.0);
    let keep3 = old3 * share3; s3_0 *= share3; s3_1 *= share3; s3_2 *= share3; s3_3 *= share3;
    let first = j == begin; // y holds nothing yet, perhaps not even numbers
    for (var d = 0u; d < width; d++) {
      var o0 = select(y[q0 + d] * keep0, Elem(0.0), first); var o1 = select(y[q1 + d] * keep1, Elem(0.0), first);
      var o2 = select(y[q2 + d] * keep2, Elem(0.0), first); var o3 = select(y[q3 + d] * keep3, Elem(0.0), first);
      let x0 = load_v(k0 + d); let x1 = load_v(k1 + d); let x2 = load_v(k2 + d); let x3 = load_v(k3 + d);
      {
        let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
        o0 = blend(o0, s0_0, b0, b1, b2, b3); o1 = blend(o1, s1_0, b0, b1, b2, b3); o2 = blend(o2, s2_0, b0, b1, b2, b3);
        o3 = blend(o3, s3_0, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
        o0 = blend(o0, s0_1, b0, b1, b2, b3); o1 = blend(o1, s1_1, b0, b1, b2, b3); o2 = blend(o2, s2_1, b0, b1, b2, b3);
        o3 = blend(o3, s3_1, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x2, 0u); let b1 = quadBroadcast(x2, 1u); let b2 = quadBroadcast(x2, 2u); let b3 = quadBroadcast(x2, 3u);
        o0 = blend(o0, s0_2, b0, b1, b2, b3); o1 = blend(o1, s1_2, b0, b1, b2, b3); o2 = blend(o2, s2_2, b0, b1, b2, b3);
        o3 = blend(o3, s3_2, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x3, 0u); let b1 = quadBroadcast(x3, 1u); let b2 = quadBroadcast(x3, 2u); let b3 = quadBroadcast(x3, 3u);
        o0 = blend(o0, s0_3, b0, b1, b2, b3); o1 = blend(o1, s1_3, b0, b1, b2, b3); o2 = blend(o2, s2_3, b0, b1, b2, b3);
        o3 = blend(o3, s3_3, b0, b1, b2, b3);
      }
      if (live0) { y[q0 + d] = o0; } if (live1) { y[q1 + d] = o1; } if (live2) { y[q2 + d] = o2; } if (live3) { y[q3 + d] = o3; }
    }
  }
  // l is at least 1 where a key is allowed, and NaN where a logit is
  if (live0) { sums[bh * params.tq + i0] = vec2f(m0, select(1.0 / l0, 0.0, l0 == 0.0)); }
  if (live1) { sums[bh * params.tq + i1] = vec2f(m1, select(1.0 / l1, 0.0, l1 == 0.0)); }
  if (live2) { sums[bh * params.tq + i2] = vec2f(m2, select(1.0 / l2, 0.0, l2 == 0.0)); }
  if (live3) { sums[bh * params.tq + i3] = vec2f(m3, select(1.0 / l3, 0.0, l3 == 0.0)); }
}

// dq_i = scale * sum_j ds_ij k_j of BACKWARD_ROWS queries.
@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) sub: u32) {
  let tiles = (params.tq + BACKWARD_ROWS * WG - 1u) / (BACKWARD_ROWS * WG);
  let id = wid.x + wid.y * nwg.x;
  let bh = id / tiles;
  if (bh >= params.batch * params.heads) { return; }
  let first_row = (id % tiles) * BACKWARD_ROWS * WG;
  let last_row = min(first_row + BACKWARD_ROWS * WG, params.tq) - 1u;
  let start = first_row + lane * BACKWARD_ROWS;
  let b = bh / params.heads;
  let h = bh % params.heads;
  let width = params.width;
  let kv_step = params.kv_heads * width;
  let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * width;
  let i0 = min(start + 0u, params.tq - 1u); let live0 = start + 0u < params.tq; let q0 = ((b * params.tq + i0) * params.heads + h) * width;
  let low0 = key_low(i0); let high0 = key_high(i0); let row0 = stats[bh * params.tq + i0];
  let i1 = min(start + 1u, params.tq - 1u); let live1 = start + 1u < params.tq; let q1 = ((b * params.tq + i1) * params.heads + h) * width;
  let low1 = key_low(i1); let high1 = key_high(i1); let row1 = stats[bh * params.tq + i1];
  let i2 = min(start + 2u, params.tq - 1u); let live2 = start + 2u < params.tq; let q2 = ((b * params.tq + i2) * params.heads + h) * width;
  let low2 = key_low(i2); let high2 = key_high(i2); let row2 = stats[bh * params.tq + i2];
  let i3 = min(start + 3u, params.tq - 1u); let live3 = start + 3u < params.tq; let q3 = ((b * params.tq + i3) * params.heads + h) * width;
  let low3 = key_low(i3); let high3 = key_high(i3); let row3 = stats[bh * params.tq + i3];
  let begin = min(key_low(first_row), params.tk - 1u);
  let end = max(key_high(last_row), begin + 1u);
  for (var j = begin; j < end; j += BACKWARD_BLOCK) {
    let k0 = kv_start + min(j + 0u + sub, params.tk - 1u) * kv_step; let k1 = kv_start + min(j + 4u + sub, params.tk - 1u) * kv_step;
    var s0_0 = vec4f(0.0); var t0_0 = vec4f(0.0); var s0_1 = vec4f(0.0); var t0_1 = vec4f(0.0); var s1_0 = vec4f(0.0); var t1_0 = vec4f(0.0);
    var s1_1 = vec4f(0.0); var t1_1 = vec4f(0.0); var s2_0 = vec4f(0.0); var t2_0 = vec4f(0.0); var s2_1 = vec4f(0.0); var t2_1 = vec4f(0.0);
    var s3_0 = vec4f(0.0); var t3_0 = vec4f(0.0); var s3_1 = vec4f(0.0); var t3_1 = vec4f(0.0);
    for (var d = 0u; d < width; d++) {
      let a0 = load_q(q0 + d); let a1 = load_q(q1 + d); let a2 = load_q(q2 + d); let a3 = load_q(q3 + d);
      let x0 = load_k(k0 + d); let x1 = load_k(k1 + d);
      {
        let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
        s0_0 = dots(s0_0, a0, b0, b1, b2, b3); s1_0 = dots(s1_0, a1, b0, b1, b2, b3); s2_0 = dots(s2_0, a2, b0, b1, b2, b3);
        s3_0 = dots(s3_0, a3, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
        s0_1 = dots(s0_1, a0, b0, b1, b2, b3); s1_1 = dots(s1_1, a1, b0, b1, b2, b3); s2_1 = dots(s2_1, a2, b0, b1, b2, b3);
        s3_1 = dots(s3_1, a3, b0, b1, b2, b3);
      }
    }
    for (var d = 0u; d < width; d++) {
      let a0 = dy[q0 + d]; let a1 = dy[q1 + d]; let a2 = dy[q2 + d]; let a3 = dy[q3 + d];
      let x0 = load_v(k0 + d); let x1 = load_v(k1 + d);
      {
        let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
        t0_0 = dots(t0_0, a0, b0, b1, b2, b3); t1_0 = dots(t1_0, a1, b0, b1, b2, b3); t2_0 = dots(t2_0, a2, b0, b1, b2, b3);
        t3_0 = dots(t3_0, a3, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
        t0_1 = dots(t0_1, a0, b0, b1, b2, b3); t1_1 = dots(t1_1, a1, b0, b1, b2, b3); t2_1 = dots(t2_1, a2, b0, b1, b2, b3);
        t3_1 = dots(t3_1, a3, b0, b1, b2, b3);
      }
    }
    let marks0 = select(0u, 1u, real_key(b, j + 0u + sub));
    let marks1 = select(0u, 1u, real_key(b, j + 4u + sub));
    let real0 = vec4<bool>(subgroupBroadcast(marks0, 0u) != 0u, subgroupBroadcast(marks0, 1u) != 0u, subgroupBroadcast(marks0, 2u) != 0u, subgroupBroadcast(marks0, 3u) != 0u);
    let real1 = vec4<bool>(subgroupBroadcast(marks1, 0u) != 0u, subgroupBroadcast(marks1, 1u) != 0u, subgroupBroadcast(marks1, 2u) != 0u, subgroupBroadcast(marks1, 3u) != 0u);
    let p0_0 = exp_neg4(s0_0 * params.scale - row0.x) * row0.y * (t0_0 - row0.z) * params.scale;
    s0_0 = select(vec4f(0.0), p0_0, real0 & inside(four(j + 0u), low0, high0));
    let p0_1 = exp_neg4(s0_1 * params.scale - row0.x) * row0.y * (t0_1 - row0.z) * params.scale;
    s0_1 = select(vec4f(0.0), p0_1, real1 & inside(four(j + 4u), low0, high0));
    let p1_0 = exp_neg4(s1_0 * params.scale - row1.x) * row1.y * (t1_0 - row1.z) * params.scale;
    s1_0 = select(vec4f(0.0), p1_0, real0 & inside(four(j + 0u), low1, high1));
    let p1_1 = exp_neg4(s1_1 * params.scale - row1.x) * row1.y * (t1_1 - row1.z) * params.scale;
    s1_1 = select(vec4f(0.0), p1_1, real1 & inside(four(j + 4u), low1, high1));
    let p2_0 = exp_neg4(s2_0 * params.scale - row2.x) * row2.y * (t2_0 - row2.z) * params.scale;
    s2_0 = select(vec4f(0.0), p2_0, real0 & inside(four(j + 0u), low2, high2));
    let p2_1 = exp_neg4(s2_1 * params.scale - row2.x) * row2.y * (t2_1 - row2.z) * params.scale;
    s2_1 = select(vec4f(0.0), p2_1, real1 & inside(four(j + 4u), low2, high2));
    let p3_0 = exp_neg4(s3_0 * params.scale - row3.x) * row3.y * (t3_0 - row3.z) * params.scale;
    s3_0 = select(vec4f(0.0), p3_0, real0 & inside(four(j + 0u), low3, high3));
    let p3_1 = exp_neg4(s3_1 * params.scale - row3.x) * row3.y * (t3_1 - row3.z) * params.scale;
    s3_1 = select(vec4f(0.0), p3_1, real1 & inside(four(j + 4u), low3, high3));
    let first = j == begin;
    for (var d = 0u; d < width; d++) {
      var o0 = select(dq[q0 + d], Elem(0.0), first); var o1 = select(dq[q1 + d], Elem(0.0), first); var o2 = select(dq[q2 + d], Elem(0.0), first);
      var o3 = select(dq[q3 + d], Elem(0.0), first);
      let x0 = load_k(k0 + d); let x1 = load_k(k1 + d);
      {
        let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
        o0 = blend(o0, s0_0, b0, b1, b2, b3); o1 = blend(o1, s1_0, b0, b1, b2, b3); o2 = blend(o2, s2_0, b0, b1, b2, b3);
        o3 = blend(o3, s3_0, b0, b1, b2, b3);
      }
      {
        let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
        o0 = blend(o0, s0_1, b0, b1, b2, b3); o1 = blend(o1, s1_1, b0, b1, b2, b3); o2 = blend(o2, s2_1, b0, b1, b2, b3);
        o3 = blend(o3, s3_1, b0, b1, b2, b3);
      }
      if (live0) { dq[q0 + d] = o0; } if (live1) { dq[q1 + d] = o1; } if (live2) { dq[q2 + d] = o2; } if (live3) { dq[q3 + d] = o3; }
    }
  }
}

// dk_j = scale * sum_i ds_ij q_i and dv_j = sum_i p_ij dy_i of BACKWARD_ROWS keys, the query heads of the group one after the other.
@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) sub: u32) {
  let tiles = (params.tk + BACKWARD_ROWS * WG - 1u) / (BACKWARD_ROWS * WG);
  let id = wid.x + wid.y * nwg.x;
  let bh = id / tiles;
  if (bh >= params.batch * params.kv_heads) { return; }
  let first_row = (id % tiles) * BACKWARD_ROWS * WG;
  let last_row = min(first_row + BACKWARD_ROWS * WG, params.tk) - 1u;
  let start = first_row + lane * BACKWARD_ROWS;
  let b = bh / params.kv_heads;
  let h = bh % params.kv_heads;
  let width = params.width;
  let group = params.heads / params.kv_heads;
  let q_step = params.heads * width;
  let j0 = min(start + 0u, params.tk - 1u); let live0 = start + 0u < params.tk; let k0 = ((b * params.tk + j0) * params.kv_heads + h) * width;
  let low0 = query_low(j0);
  let high0 = select(0u, query_high(j0), real_key(b, j0)); // a masked key is seen by no query
  let j1 = min(start + 1u, params.tk - 1u); let live1 = start + 1u < params.tk; let k1 = ((b * params.tk + j1) * params.kv_heads + h) * width;
  let low1 = query_low(j1);
  let high1 = select(0u, query_high(j1), real_key(b, j1)); // a masked key is seen by no query
  let j2 = min(start + 2u, params.tk - 1u); let live2 = start + 2u < params.tk; let k2 = ((b * params.tk + j2) * params.kv_heads + h) * width;
  let low2 = query_low(j2);
  let high2 = select(0u, query_high(j2), real_key(b, j2)); // a masked key is seen by no query
  let j3 = min(start + 3u, params.tk - 1u); let live3 = start + 3u < params.tk; let k3 = ((b * params.tk + j3) * params.kv_heads + h) * width;
  let low3 = query_low(j3);
  let high3 = select(0u, query_high(j3), real_key(b, j3)); // a masked key is seen by no query
  let begin = min(query_low(first_row), params.tq - 1u);
  let end = max(query_high(last_row), begin + 1u);
  for (var n = 0u; n < group; n++) {
    let head = h * group + n;
    let q_start = b * params.tq * q_step + head * width;
    let stats_start = (b * params.heads + head) * params.tq;
    for (var i = begin; i < end; i += BACKWARD_BLOCK) {
      let q0 = q_start + min(i + 0u + sub, params.tq - 1u) * q_step; let q1 = q_start + min(i + 4u + sub, params.tq - 1u) * q_step;
      let row0 = stats[stats_start + min(i + 0u + sub, params.tq - 1u)]; let row1 = stats[stats_start + min(i + 4u + sub, params.tq - 1u)];
      var s0_0 = vec4f(0.0); var t0_0 = vec4f(0.0); var s0_1 = vec4f(0.0); var t0_1 = vec4f(0.0); var s1_0 = vec4f(0.0); var t1_0 = vec4f(0.0);
      var s1_1 = vec4f(0.0); var t1_1 = vec4f(0.0); var s2_0 = vec4f(0.0); var t2_0 = vec4f(0.0); var s2_1 = vec4f(0.0); var t2_1 = vec4f(0.0);
      var s3_0 = vec4f(0.0); var t3_0 = vec4f(0.0); var s3_1 = vec4f(0.0); var t3_1 = vec4f(0.0);
      for (var d = 0u; d < width; d++) {
        let a0 = load_k(k0 + d); let a1 = load_k(k1 + d); let a2 = load_k(k2 + d); let a3 = load_k(k3 + d);
        let x0 = load_q(q0 + d); let x1 = load_q(q1 + d);
        {
          let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
          s0_0 = dots(s0_0, a0, b0, b1, b2, b3); s1_0 = dots(s1_0, a1, b0, b1, b2, b3); s2_0 = dots(s2_0, a2, b0, b1, b2, b3);
          s3_0 = dots(s3_0, a3, b0, b1, b2, b3);
        }
        {
          let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
          s0_1 = dots(s0_1, a0, b0, b1, b2, b3); s1_1 = dots(s1_1, a1, b0, b1, b2, b3); s2_1 = dots(s2_1, a2, b0, b1, b2, b3);
          s3_1 = dots(s3_1, a3, b0, b1, b2, b3);
        }
      }
      for (var d = 0u; d < width; d++) {
        let a0 = load_v(k0 + d); let a1 = load_v(k1 + d); let a2 = load_v(k2 + d); let a3 = load_v(k3 + d);
        let x0 = dy[q0 + d]; let x1 = dy[q1 + d];
        {
          let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
          t0_0 = dots(t0_0, a0, b0, b1, b2, b3); t1_0 = dots(t1_0, a1, b0, b1, b2, b3); t2_0 = dots(t2_0, a2, b0, b1, b2, b3);
          t3_0 = dots(t3_0, a3, b0, b1, b2, b3);
        }
        {
          let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
          t0_1 = dots(t0_1, a0, b0, b1, b2, b3); t1_1 = dots(t1_1, a1, b0, b1, b2, b3); t2_1 = dots(t2_1, a2, b0, b1, b2, b3);
          t3_1 = dots(t3_1, a3, b0, b1, b2, b3);
        }
      }
      let most0 = vec4f(subgroupBroadcast(row0.x, 0u), subgroupBroadcast(row0.x, 1u), subgroupBroadcast(row0.x, 2u), subgroupBroadcast(row0.x, 3u));
      let share0 = vec4f(subgroupBroadcast(row0.y, 0u), subgroupBroadcast(row0.y, 1u), subgroupBroadcast(row0.y, 2u), subgroupBroadcast(row0.y, 3u));
      let along0 = vec4f(subgroupBroadcast(row0.z, 0u), subgroupBroadcast(row0.z, 1u), subgroupBroadcast(row0.z, 2u), subgroupBroadcast(row0.z, 3u));
      let most1 = vec4f(subgroupBroadcast(row1.x, 0u), subgroupBroadcast(row1.x, 1u), subgroupBroadcast(row1.x, 2u), subgroupBroadcast(row1.x, 3u));
      let share1 = vec4f(subgroupBroadcast(row1.y, 0u), subgroupBroadcast(row1.y, 1u), subgroupBroadcast(row1.y, 2u), subgroupBroadcast(row1.y, 3u));
      let along1 = vec4f(subgroupBroadcast(row1.z, 0u), subgroupBroadcast(row1.z, 1u), subgroupBroadcast(row1.z, 2u), subgroupBroadcast(row1.z, 3u));
      let p0_0 = select(vec4f(0.0), exp_neg4(s0_0 * params.scale - most0) * share0, inside(four(i + 0u), low0, high0));
      t0_0 = p0_0 * (t0_0 - along0) * params.scale;
      let p0_1 = select(vec4f(0.0), exp_neg4(s0_1 * params.scale - most1) * share1, inside(four(i + 4u), low0, high0));
      t0_1 = p0_1 * (t0_1 - along1) * params.scale;
      let p1_0 = select(vec4f(0.0), exp_neg4(s1_0 * params.scale - most0) * share0, inside(four(i + 0u), low1, high1));
      t1_0 = p1_0 * (t1_0 - along0) * params.scale;
      let p1_1 = select(vec4f(0.0), exp_neg4(s1_1 * params.scale - most1) * share1, inside(four(i + 4u), low1, high1));
      t1_1 = p1_1 * (t1_1 - along1) * params.scale;
      let p2_0 = select(vec4f(0.0), exp_neg4(s2_0 * params.scale - most0) * share0, inside(four(i + 0u), low2, high2));
      t2_0 = p2_0 * (t2_0 - along0) * params.scale;
      let p2_1 = select(vec4f(0.0), exp_neg4(s2_1 * params.scale - most1) * share1, inside(four(i + 4u), low2, high2));
      t2_1 = p2_1 * (t2_1 - along1) * params.scale;
      let p3_0 = select(vec4f(0.0), exp_neg4(s3_0 * params.scale - most0) * share0, inside(four(i + 0u), low3, high3));
      t3_0 = p3_0 * (t3_0 - along0) * params.scale;
      let p3_1 = select(vec4f(0.0), exp_neg4(s3_1 * params.scale - most1) * share1, inside(four(i + 4u), low3, high3));
      t3_1 = p3_1 * (t3_1 - along1) * params.scale;
      let first = n == 0u && i == begin;
      for (var d = 0u; d < width; d++) {
        var o0 = select(dk[k0 + d], Elem(0.0), first); var o1 = select(dk[k1 + d], Elem(0.0), first); var o2 = select(dk[k2 + d], Elem(0.0), first);
        var o3 = select(dk[k3 + d], Elem(0.0), first);
        let x0 = load_q(q0 + d); let x1 = load_q(q1 + d);
        {
          let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
          o0 = blend(o0, t0_0, b0, b1, b2, b3); o1 = blend(o1, t1_0, b0, b1, b2, b3); o2 = blend(o2, t2_0, b0, b1, b2, b3);
          o3 = blend(o3, t3_0, b0, b1, b2, b3);
        }
        {
          let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
          o0 = blend(o0, t0_1, b0, b1, b2, b3); o1 = blend(o1, t1_1, b0, b1, b2, b3); o2 = blend(o2, t2_1, b0, b1, b2, b3);
          o3 = blend(o3, t3_1, b0, b1, b2, b3);
        }
        if (live0) { dk[k0 + d] = o0; } if (live1) { dk[k1 + d] = o1; } if (live2) { dk[k2 + d] = o2; } if (live3) { dk[k3 + d] = o3; }
      }
      for (var d = 0u; d < width; d++) {
        var o0 = select(dv[k0 + d], Elem(0.0), first); var o1 = select(dv[k1 + d], Elem(0.0), first); var o2 = select(dv[k2 + d], Elem(0.0), first);
        var o3 = select(dv[k3 + d], Elem(0.0), first);
        let x0 = dy[q0 + d]; let x1 = dy[q1 + d];
        {
          let b0 = quadBroadcast(x0, 0u); let b1 = quadBroadcast(x0, 1u); let b2 = quadBroadcast(x0, 2u); let b3 = quadBroadcast(x0, 3u);
          o0 = blend(o0, p0_0, b0, b1, b2, b3); o1 = blend(o1, p1_0, b0, b1, b2, b3); o2 = blend(o2, p2_0, b0, b1, b2, b3);
          o3 = blend(o3, p3_0, b0, b1, b2, b3);
        }
        {
          let b0 = quadBroadcast(x1, 0u); let b1 = quadBroadcast(x1, 1u); let b2 = quadBroadcast(x1, 2u); let b3 = quadBroadcast(x1, 3u);
          o0 = blend(o0, p0_1, b0, b1, b2, b3); o1 = blend(o1, p1_1, b0, b1, b2, b3); o2 = blend(o2, p2_1, b0, b1, b2, b3);
          o3 = blend(o3, p3_1, b0, b1, b2, b3);
        }
        if (live0) { dv[k0 + d] = o0; } if (live1) { dv[k1 + d] = o1; } if (live2) { dv[k2 + d] = o2; } if (live3) { dv[k3 + d] = o3; }
      }
    }
  }
}
