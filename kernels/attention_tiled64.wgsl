// y_i = sum_j softmax(scale * q_i . k_j)_j v_j, a product of matrices on either side of the exponential (Dao et al. 2022, arXiv 2205.14135).
// Written by kernels/gen_attention_tiled.mjs: change the generator. For GPUs: workgroup memory and barriers, which software adapters pay dearly.
// 256 invocations own 64 queries of one head and walk the keys in steps of 64: scores in tiles of 4 × 4 per invocation, then their exponentials through
// workgroup memory, then tiles of 4 × 8 of the result per 64 of the head dimension. Keys outside causality and window are skipped step by step.
// Scores count in powers of two: log2(e) goes into q with the scale.
alias Elem = vec4f;
const LOWEST = -3.4e38; // stands for minus infinity
const LOG2_E = 1.44269504;
const LN_2 = 0.693147181;
const QUADS = 16u; // of keys in a step, and invocations side by side

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

// First 32 numbers of the queries and then of the keys, in fours of rows, turned so that neighbours store to different banks; then the weights of a step in
// fours of queries, and behind them the maxima of each invocation, and later 64 numbers of its v.
var<workgroup> room: array<vec4f, 2048>;

fn key_low(i: u32) -> u32 { return select(0u, max(i + 1u, params.window) - params.window, params.window > 0u); }
fn key_high(i: u32) -> u32 {
  let near = select(params.tk, min(params.tk, i + params.window), params.window > 0u);
  return select(near, min(near, i + 1u), params.causal > 0u);
}
fn real_key(b: u32, j: u32) -> bool {
  if (params.masked == 0u) { return true; }
  return key_mask[b * params.tk + min(j, params.tk - 1u)] != 0u;
}
fn hidden(s: vec4f, real: bool, j: u32, low: vec4u, high: vec4u) -> vec4f { return select(vec4f(LOWEST), s, vec4<bool>(real) & (low <= vec4u(j)) & (vec4u(j) < high)); }
fn power(s: vec4f, most: vec4f, real: bool, j: u32, low: vec4u, high: vec4u) -> vec4f {
  return select(vec4f(), exp2(s - most), vec4<bool>(real) & (low <= vec4u(j)) & (vec4u(j) < high));
}

@compute @workgroup_size(256)
fn forward_64(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tiles = (params.tq + 63u) / 64u;
  let id = wid.x + wid.y * nwg.x;
  let bh = id / tiles;
  if (bh >= params.batch * params.heads) { return; }
  let first_row = (id % tiles) * 64u;
  let last_row = min(first_row + 64u, params.tq) - 1u;
  let tx = lane % QUADS;
  let ty = lane / QUADS;
  let b = bh / params.heads;
  let h = bh % params.heads;
  let q_step = params.heads * params.width;
  let q_start = b * params.tq * q_step + h * params.width;
  let kv_step = params.kv_heads * params.width;
  let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * params.width;
  let factor = params.scale * LOG2_E;
  let own = first_row + 4u * ty;
  let low = vec4u(key_low(own + 0u), key_low(own + 1u), key_low(own + 2u), key_low(own + 3u));
  let high = vec4u(key_high(own + 0u), key_high(own + 1u), key_high(own + 2u), key_high(own + 3u));
  var m = vec4f(LOWEST);
  var l = vec4f(); // of this invocation's keys
  var o0_0_0 = vec4f(); var o0_0_1 = vec4f(); var o0_0_2 = vec4f(); var o0_0_3 = vec4f();
  let begin = key_low(first_row);
  let end = key_high(last_row);
  for (var j = begin; j < end; j += 64u) {
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    for (var d = 0u; d < params.width; d += 8u) {
      workgroupBarrier(); // what others still read
      for (var n = lane; n < 256u; n += 256u) {
        let mine = n % 8u; // which Elem, and how far the fours are turned
        let four = n / 8u;
        let at = min(d + mine, params.width - 1u);
        var rows: mat4x4f;
        if (four < 16u) {
          let i = first_row + 4u * four;
          rows = mat4x4f(load_q(q_start + min(i + 0u, last_row) * q_step + at), load_q(q_start + min(i + 1u, last_row) * q_step + at), load_q(q_start + min(i + 2u, last_row) * q_step + at), load_q(q_start + min(i + 3u, last_row) * q_step + at)) * factor;
        } else {
          let i = j + 4u * (four - 16u);
          rows = mat4x4f(load_k(kv_start + min(i + 0u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 1u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 2u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 3u, params.tk - 1u) * kv_step + at));
        }
        let turned = transpose(rows);
        let across = select(QUADS, 16u, four < 16u);
        let place = select(512u + ((four - 16u) ^ mine), four ^ mine, four < 16u) + 4u * mine * across;
        let kept = d + mine < params.width;
        room[place + 0u * across] = select(vec4f(), turned[0], kept);
        room[place + 1u * across] = select(vec4f(), turned[1], kept);
        room[place + 2u * across] = select(vec4f(), turned[2], kept);
        room[place + 3u * across] = select(vec4f(), turned[3], kept);
      }
      workgroupBarrier();
      for (var n = 0u; n < 32u; n++) {
        let a = room[n * 16u + (ty ^ (n / 4u))];
        let c = room[512u + n * QUADS + (tx ^ (n / 4u))];
        s0 = fma(a, vec4f(c[0]), s0); s1 = fma(a, vec4f(c[1]), s1); s2 = fma(a, vec4f(c[2]), s2); s3 = fma(a, vec4f(c[3]), s3);
      }
    }
    let key = j + 4u * tx;
    let real0 = real_key(b, key + 0u); s0 = hidden(s0, real0, key + 0u, low, high);
    let real1 = real_key(b, key + 1u); s1 = hidden(s1, real1, key + 1u, low, high);
    let real2 = real_key(b, key + 2u); s2 = hidden(s2, real2, key + 2u, low, high);
    let real3 = real_key(b, key + 3u); s3 = hidden(s3, real3, key + 3u, low, high);
    workgroupBarrier();
    room[1024u + tx * 16u + ty] = max(max(s0, s1), max(s2, s3));
    workgroupBarrier();
    var n = m;
    for (var t = 0u; t < QUADS; t++) { n = max(n, room[1024u + t * 16u + ty]); }
    let keep = exp2(m - n);
    m = n;
    s0 = power(s0, n, real0, key + 0u, low, high); room[(4u * tx + 0u) * 16u + ty] = s0;
    s1 = power(s1, n, real1, key + 1u, low, high); room[(4u * tx + 1u) * 16u + ty] = s1;
    s2 = power(s2, n, real2, key + 2u, low, high); room[(4u * tx + 2u) * 16u + ty] = s2;
    s3 = power(s3, n, real3, key + 3u, low, high); room[(4u * tx + 3u) * 16u + ty] = s3;
    l = l * keep + ((s0 + s1) + (s2 + s3));
    o0_0_0 *= keep[0]; o0_0_1 *= keep[1]; o0_0_2 *= keep[2]; o0_0_3 *= keep[3];
    workgroupBarrier();
    for (var t = lane; t < 1024u; t += 256u) {
      let d = 0u + t % 16u;
      room[1024u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);
    }
    workgroupBarrier();
    for (var t = 0u; t < 64u; t++) {
      let p = room[t * 16u + ty];
      let v0 = room[1024u + t * 16u + tx]; o0_0_0 = fma(vec4f(p[0]), v0, o0_0_0); o0_0_1 = fma(vec4f(p[1]), v0, o0_0_1); o0_0_2 = fma(vec4f(p[2]), v0, o0_0_2); o0_0_3 = fma(vec4f(p[3]), v0, o0_0_3);
    }
  }
  workgroupBarrier();
  room[tx * 16u + ty] = l;
  workgroupBarrier();
  var total = vec4f();
  for (var t = 0u; t < QUADS; t++) { total += room[t * 16u + ty]; }
  let share = select(1.0 / total, vec4f(), total == vec4f()); // the sum is at least 1 where a key is allowed, and NaN where a logit is
  if (own + 0u < params.tq) {
    let at = q_start + (own + 0u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 0u] = vec2f(m[0] * LN_2, share[0]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_0 * share[0]; }
  }
  if (own + 1u < params.tq) {
    let at = q_start + (own + 1u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 1u] = vec2f(m[1] * LN_2, share[1]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_1 * share[1]; }
  }
  if (own + 2u < params.tq) {
    let at = q_start + (own + 2u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 2u] = vec2f(m[2] * LN_2, share[2]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_2 * share[2]; }
  }
  if (own + 3u < params.tq) {
    let at = q_start + (own + 3u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 3u] = vec2f(m[3] * LN_2, share[3]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_3 * share[3]; }
  }
}

@compute @workgroup_size(256)
fn forward_128(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tiles = (params.tq + 63u) / 64u;
  let id = wid.x + wid.y * nwg.x;
  let bh = id / tiles;
  if (bh >= params.batch * params.heads) { return; }
  let first_row = (id % tiles) * 64u;
  let last_row = min(first_row + 64u, params.tq) - 1u;
  let tx = lane % QUADS;
  let ty = lane / QUADS;
  let b = bh / params.heads;
  let h = bh % params.heads;
  let q_step = params.heads * params.width;
  let q_start = b * params.tq * q_step + h * params.width;
  let kv_step = params.kv_heads * params.width;
  let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * params.width;
  let factor = params.scale * LOG2_E;
  let own = first_row + 4u * ty;
  let low = vec4u(key_low(own + 0u), key_low(own + 1u), key_low(own + 2u), key_low(own + 3u));
  let high = vec4u(key_high(own + 0u), key_high(own + 1u), key_high(own + 2u), key_high(own + 3u));
  var m = vec4f(LOWEST);
  var l = vec4f(); // of this invocation's keys
  var o0_0_0 = vec4f(); var o0_0_1 = vec4f(); var o0_0_2 = vec4f(); var o0_0_3 = vec4f();
  var o1_0_0 = vec4f(); var o1_0_1 = vec4f(); var o1_0_2 = vec4f(); var o1_0_3 = vec4f();
  let begin = key_low(first_row);
  let end = key_high(last_row);
  for (var j = begin; j < end; j += 64u) {
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    for (var d = 0u; d < params.width; d += 8u) {
      workgroupBarrier(); // what others still read
      for (var n = lane; n < 256u; n += 256u) {
        let mine = n % 8u; // which Elem, and how far the fours are turned
        let four = n / 8u;
        let at = min(d + mine, params.width - 1u);
        var rows: mat4x4f;
        if (four < 16u) {
          let i = first_row + 4u * four;
          rows = mat4x4f(load_q(q_start + min(i + 0u, last_row) * q_step + at), load_q(q_start + min(i + 1u, last_row) * q_step + at), load_q(q_start + min(i + 2u, last_row) * q_step + at), load_q(q_start + min(i + 3u, last_row) * q_step + at)) * factor;
        } else {
          let i = j + 4u * (four - 16u);
          rows = mat4x4f(load_k(kv_start + min(i + 0u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 1u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 2u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 3u, params.tk - 1u) * kv_step + at));
        }
        let turned = transpose(rows);
        let across = select(QUADS, 16u, four < 16u);
        let place = select(512u + ((four - 16u) ^ mine), four ^ mine, four < 16u) + 4u * mine * across;
        let kept = d + mine < params.width;
        room[place + 0u * across] = select(vec4f(), turned[0], kept);
        room[place + 1u * across] = select(vec4f(), turned[1], kept);
        room[place + 2u * across] = select(vec4f(), turned[2], kept);
        room[place + 3u * across] = select(vec4f(), turned[3], kept);
      }
      workgroupBarrier();
      for (var n = 0u; n < 32u; n++) {
        let a = room[n * 16u + (ty ^ (n / 4u))];
        let c = room[512u + n * QUADS + (tx ^ (n / 4u))];
        s0 = fma(a, vec4f(c[0]), s0); s1 = fma(a, vec4f(c[1]), s1); s2 = fma(a, vec4f(c[2]), s2); s3 = fma(a, vec4f(c[3]), s3);
      }
    }
    let key = j + 4u * tx;
    let real0 = real_key(b, key + 0u); s0 = hidden(s0, real0, key + 0u, low, high);
    let real1 = real_key(b, key + 1u); s1 = hidden(s1, real1, key + 1u, low, high);
    let real2 = real_key(b, key + 2u); s2 = hidden(s2, real2, key + 2u, low, high);
    let real3 = real_key(b, key + 3u); s3 = hidden(s3, real3, key + 3u, low, high);
    workgroupBarrier();
    room[1024u + tx * 16u + ty] = max(max(s0, s1), max(s2, s3));
    workgroupBarrier();
    var n = m;
    for (var t = 0u; t < QUADS; t++) { n = max(n, room[1024u + t * 16u + ty]); }
    let keep = exp2(m - n);
    m = n;
    s0 = power(s0, n, real0, key + 0u, low, high); room[(4u * tx + 0u) * 16u + ty] = s0;
    s1 = power(s1, n, real1, key + 1u, low, high); room[(4u * tx + 1u) * 16u + ty] = s1;
    s2 = power(s2, n, real2, key + 2u, low, high); room[(4u * tx + 2u) * 16u + ty] = s2;
    s3 = power(s3, n, real3, key + 3u, low, high); room[(4u * tx + 3u) * 16u + ty] = s3;
    l = l * keep + ((s0 + s1) + (s2 + s3));
    o0_0_0 *= keep[0]; o0_0_1 *= keep[1]; o0_0_2 *= keep[2]; o0_0_3 *= keep[3];
    o1_0_0 *= keep[0]; o1_0_1 *= keep[1]; o1_0_2 *= keep[2]; o1_0_3 *= keep[3];
    workgroupBarrier();
    for (var t = lane; t < 1024u; t += 256u) {
      let d = 0u + t % 16u;
      room[1024u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);
    }
    workgroupBarrier();
    for (var t = 0u; t < 64u; t++) {
      let p = room[t * 16u + ty];
      let v0 = room[1024u + t * 16u + tx]; o0_0_0 = fma(vec4f(p[0]), v0, o0_0_0); o0_0_1 = fma(vec4f(p[1]), v0, o0_0_1); o0_0_2 = fma(vec4f(p[2]), v0, o0_0_2); o0_0_3 = fma(vec4f(p[3]), v0, o0_0_3);
    }
    workgroupBarrier();
    for (var t = lane; t < 1024u; t += 256u) {
      let d = 16u + t % 16u;
      room[1024u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);
    }
    workgroupBarrier();
    for (var t = 0u; t < 64u; t++) {
      let p = room[t * 16u + ty];
      let v0 = room[1024u + t * 16u + tx]; o1_0_0 = fma(vec4f(p[0]), v0, o1_0_0); o1_0_1 = fma(vec4f(p[1]), v0, o1_0_1); o1_0_2 = fma(vec4f(p[2]), v0, o1_0_2); o1_0_3 = fma(vec4f(p[3]), v0, o1_0_3);
    }
  }
  workgroupBarrier();
  room[tx * 16u + ty] = l;
  workgroupBarrier();
  var total = vec4f();
  for (var t = 0u; t < QUADS; t++) { total += room[t * 16u + ty]; }
  let share = select(1.0 / total, vec4f(), total == vec4f()); // the sum is at least 1 where a key is allowed, and NaN where a logit is
  if (own + 0u < params.tq) {
    let at = q_start + (own + 0u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 0u] = vec2f(m[0] * LN_2, share[0]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_0 * share[0]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_0 * share[0]; }
  }
  if (own + 1u < params.tq) {
    let at = q_start + (own + 1u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 1u] = vec2f(m[1] * LN_2, share[1]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_1 * share[1]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_1 * share[1]; }
  }
  if (own + 2u < params.tq) {
    let at = q_start + (own + 2u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 2u] = vec2f(m[2] * LN_2, share[2]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_2 * share[2]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_2 * share[2]; }
  }
  if (own + 3u < params.tq) {
    let at = q_start + (own + 3u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 3u] = vec2f(m[3] * LN_2, share[3]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_3 * share[3]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_3 * share[3]; }
  }
}

@compute @workgroup_size(256)
fn forward_256(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tiles = (params.tq + 63u) / 64u;
  let id = wid.x + wid.y * nwg.x;
  let bh = id / tiles;
  if (bh >= params.batch * params.heads) { return; }
  let first_row = (id % tiles) * 64u;
  let last_row = min(first_row + 64u, params.tq) - 1u;
  let tx = lane % QUADS;
  let ty = lane / QUADS;
  let b = bh / params.heads;
  let h = bh % params.heads;
  let q_step = params.heads * params.width;
  let q_start = b * params.tq * q_step + h * params.width;
  let kv_step = params.kv_heads * params.width;
  let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * params.width;
  let factor = params.scale * LOG2_E;
  let own = first_row + 4u * ty;
  let low = vec4u(key_low(own + 0u), key_low(own + 1u), key_low(own + 2u), key_low(own + 3u));
  let high = vec4u(key_high(own + 0u), key_high(own + 1u), key_high(own + 2u), key_high(own + 3u));
  var m = vec4f(LOWEST);
  var l = vec4f(); // of this invocation's keys
  var o0_0_0 = vec4f(); var o0_0_1 = vec4f(); var o0_0_2 = vec4f(); var o0_0_3 = vec4f();
  var o1_0_0 = vec4f(); var o1_0_1 = vec4f(); var o1_0_2 = vec4f(); var o1_0_3 = vec4f();
  var o2_0_0 = vec4f(); var o2_0_1 = vec4f(); var o2_0_2 = vec4f(); var o2_0_3 = vec4f();
  var o3_0_0 = vec4f(); var o3_0_1 = vec4f(); var o3_0_2 = vec4f(); var o3_0_3 = vec4f();
  let begin = key_low(first_row);
  let end = key_high(last_row);
  for (var j = begin; j < end; j += 64u) {
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    for (var d = 0u; d < params.width; d += 8u) {
      workgroupBarrier(); // what others still read
      for (var n = lane; n < 256u; n += 256u) {
        let mine = n % 8u; // which Elem, and how far the fours are turned
        let four = n / 8u;
        let at = min(d + mine, params.width - 1u);
        var rows: mat4x4f;
        if (four < 16u) {
          let i = first_row + 4u * four;
          rows = mat4x4f(load_q(q_start + min(i + 0u, last_row) * q_step + at), load_q(q_start + min(i + 1u, last_row) * q_step + at), load_q(q_start + min(i + 2u, last_row) * q_step + at), load_q(q_start + min(i + 3u, last_row) * q_step + at)) * factor;
        } else {
          let i = j + 4u * (four - 16u);
          rows = mat4x4f(load_k(kv_start + min(i + 0u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 1u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 2u, params.tk - 1u) * kv_step + at), load_k(kv_start + min(i + 3u, params.tk - 1u) * kv_step + at));
        }
        let turned = transpose(rows);
        let across = select(QUADS, 16u, four < 16u);
        let place = select(512u + ((four - 16u) ^ mine), four ^ mine, four < 16u) + 4u * mine * across;
        let kept = d + mine < params.width;
        room[place + 0u * across] = select(vec4f(), turned[0], kept);
        room[place + 1u * across] = select(vec4f(), turned[1], kept);
        room[place + 2u * across] = select(vec4f(), turned[2], kept);
        room[place + 3u * across] = select(vec4f(), turned[3], kept);
      }
      workgroupBarrier();
      for (var n = 0u; n < 32u; n++) {
        let a = room[n * 16u + (ty ^ (n / 4u))];
        let c = room[512u + n * QUADS + (tx ^ (n / 4u))];
        s0 = fma(a, vec4f(c[0]), s0); s1 = fma(a, vec4f(c[1]), s1); s2 = fma(a, vec4f(c[2]), s2); s3 = fma(a, vec4f(c[3]), s3);
      }
    }
    let key = j + 4u * tx;
    let real0 = real_key(b, key + 0u); s0 = hidden(s0, real0, key + 0u, low, high);
    let real1 = real_key(b, key + 1u); s1 = hidden(s1, real1, key + 1u, low, high);
    let real2 = real_key(b, key + 2u); s2 = hidden(s2, real2, key + 2u, low, high);
    let real3 = real_key(b, key + 3u); s3 = hidden(s3, real3, key + 3u, low, high);
    workgroupBarrier();
    room[1024u + tx * 16u + ty] = max(max(s0, s1), max(s2, s3));
    workgroupBarrier();
    var n = m;
    for (var t = 0u; t < QUADS; t++) { n = max(n, room[1024u + t * 16u + ty]); }
    let keep = exp2(m - n);
    m = n;
    s0 = power(s0, n, real0, key + 0u, low, high); room[(4u * tx + 0u) * 16u + ty] = s0;
    s1 = power(s1, n, real1, key + 1u, low, high); room[(4u * tx + 1u) * 16u + ty] = s1;
    s2 = power(s2, n, real2, key + 2u, low, high); room[(4u * tx + 2u) * 16u + ty] = s2;
    s3 = power(s3, n, real3, key + 3u, low, high); room[(4u * tx + 3u) * 16u + ty] = s3;
    l = l * keep + ((s0 + s1) + (s2 + s3));
    o0_0_0 *= keep[0]; o0_0_1 *= keep[1]; o0_0_2 *= keep[2]; o0_0_3 *= keep[3];
    o1_0_0 *= keep[0]; o1_0_1 *= keep[1]; o1_0_2 *= keep[2]; o1_0_3 *= keep[3];
    o2_0_0 *= keep[0]; o2_0_1 *= keep[1]; o2_0_2 *= keep[2]; o2_0_3 *= keep[3];
    o3_0_0 *= keep[0]; o3_0_1 *= keep[1]; o3_0_2 *= keep[2]; o3_0_3 *= keep[3];
    workgroupBarrier();
    for (var t = lane; t < 1024u; t += 256u) {
      let d = 0u + t % 16u;
      room[1024u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);
    }
    workgroupBarrier();
    for (var t = 0u; t < 64u; t++) {
      let p = room[t * 16u + ty];
      let v0 = room[1024u + t * 16u + tx]; o0_0_0 = fma(vec4f(p[0]), v0, o0_0_0); o0_0_1 = fma(vec4f(p[1]), v0, o0_0_1); o0_0_2 = fma(vec4f(p[2]), v0, o0_0_2); o0_0_3 = fma(vec4f(p[3]), v0, o0_0_3);
    }
    workgroupBarrier();
    for (var t = lane; t < 1024u; t += 256u) {
      let d = 16u + t % 16u;
      room[1024u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);
    }
    workgroupBarrier();
    for (var t = 0u; t < 64u; t++) {
      let p = room[t * 16u + ty];
      let v0 = room[1024u + t * 16u + tx]; o1_0_0 = fma(vec4f(p[0]), v0, o1_0_0); o1_0_1 = fma(vec4f(p[1]), v0, o1_0_1); o1_0_2 = fma(vec4f(p[2]), v0, o1_0_2); o1_0_3 = fma(vec4f(p[3]), v0, o1_0_3);
    }
    workgroupBarrier();
    for (var t = lane; t < 1024u; t += 256u) {
      let d = 32u + t % 16u;
      room[1024u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);
    }
    workgroupBarrier();
    for (var t = 0u; t < 64u; t++) {
      let p = room[t * 16u + ty];
      let v0 = room[1024u + t * 16u + tx]; o2_0_0 = fma(vec4f(p[0]), v0, o2_0_0); o2_0_1 = fma(vec4f(p[1]), v0, o2_0_1); o2_0_2 = fma(vec4f(p[2]), v0, o2_0_2); o2_0_3 = fma(vec4f(p[3]), v0, o2_0_3);
    }
    workgroupBarrier();
    for (var t = lane; t < 1024u; t += 256u) {
      let d = 48u + t % 16u;
      room[1024u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);
    }
    workgroupBarrier();
    for (var t = 0u; t < 64u; t++) {
      let p = room[t * 16u + ty];
      let v0 = room[1024u + t * 16u + tx]; o3_0_0 = fma(vec4f(p[0]), v0, o3_0_0); o3_0_1 = fma(vec4f(p[1]), v0, o3_0_1); o3_0_2 = fma(vec4f(p[2]), v0, o3_0_2); o3_0_3 = fma(vec4f(p[3]), v0, o3_0_3);
    }
  }
  workgroupBarrier();
  room[tx * 16u + ty] = l;
  workgroupBarrier();
  var total = vec4f();
  for (var t = 0u; t < QUADS; t++) { total += room[t * 16u + ty]; }
  let share = select(1.0 / total, vec4f(), total == vec4f()); // the sum is at least 1 where a key is allowed, and NaN where a logit is
  if (own + 0u < params.tq) {
    let at = q_start + (own + 0u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 0u] = vec2f(m[0] * LN_2, share[0]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_0 * share[0]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_0 * share[0]; }
    if (32u + tx < params.width) { y[at + 32u + tx] = o2_0_0 * share[0]; }
    if (48u + tx < params.width) { y[at + 48u + tx] = o3_0_0 * share[0]; }
  }
  if (own + 1u < params.tq) {
    let at = q_start + (own + 1u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 1u] = vec2f(m[1] * LN_2, share[1]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_1 * share[1]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_1 * share[1]; }
    if (32u + tx < params.width) { y[at + 32u + tx] = o2_0_1 * share[1]; }
    if (48u + tx < params.width) { y[at + 48u + tx] = o3_0_1 * share[1]; }
  }
  if (own + 2u < params.tq) {
    let at = q_start + (own + 2u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 2u] = vec2f(m[2] * LN_2, share[2]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_2 * share[2]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_2 * share[2]; }
    if (32u + tx < params.width) { y[at + 32u + tx] = o2_0_2 * share[2]; }
    if (48u + tx < params.width) { y[at + 48u + tx] = o3_0_2 * share[2]; }
  }
  if (own + 3u < params.tq) {
    let at = q_start + (own + 3u) * q_step;
    if (tx == 0u) { sums[bh * params.tq + own + 3u] = vec2f(m[3] * LN_2, share[3]); }
    if (0u + tx < params.width) { y[at + 0u + tx] = o0_0_3 * share[3]; }
    if (16u + tx < params.width) { y[at + 16u + tx] = o1_0_3 * share[3]; }
    if (32u + tx < params.width) { y[at + 32u + tx] = o2_0_3 * share[3]; }
    if (48u + tx < params.width) { y[at + 48u + tx] = o3_0_3 * share[3]; }
  }
}
