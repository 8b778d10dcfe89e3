// y[m, n] = act(Σ_b sx[m, b] sw[n, b] Σ_{k in block b} qx[m, k] qw[n, k] + bias[n]): both operands are bytes with a factor per block of k, as quantize.wgsl writes them.
// The inner sum is exact in i32. Each invocation owns 4 × 4 of y, sixteen k at a time; the 8 × 8 of a workgroup lie side by side. No workgroup memory.
// Needs the language feature packed_4x8_integer_dot_product.
// uses: gelu4, gelu_tanh4, silu4
override HAS_BIAS: bool = false;
override ACTIVATION: u32 = 0u; // 0 none, 1 gelu, 2 gelu_tanh, 3 silu

struct Params {
  m: u32, n: u32,
  sixteens: u32,  // k / 16
  per_block: u32, // elements of a block / 16
  tiles_m: u32, tiles_n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4u>; // [M, K / 16]
@group(0) @binding(2) var<storage, read> w: array<vec4u>; // [N, K / 16]
@group(0) @binding(3) var<storage, read> x_scales: array<f32>; // [M, K / block]
@group(0) @binding(4) var<storage, read> w_scales: array<f32>; // [N, K / block]
@group(0) @binding(5) var<storage, read> bias: array<BiasStored>; // [N]
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // [M, N]

fn activate(v: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return gelu4(v); }
  if (ACTIVATION == 2u) { return gelu_tanh4(v); }
  if (ACTIVATION == 3u) { return silu4(v); }
  return v;
}

fn dot16(a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = wid.x + wid.y * nwg.x;
  if (group >= params.tiles_m * params.tiles_n) { return; }
  let row = (group / params.tiles_n * 8u + lane / 8u) * 4u;
  let col = (group % params.tiles_n * 8u + lane % 8u) * 4u;
  if (row >= params.m || col >= params.n) { return; }
  let rows = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(params.m - 1u)); // rows beyond the end repeat the last and are never stored
  let cols = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
  let x_at = rows * params.sixteens;
  let w_at = cols * params.sixteens;
  let blocks = params.sixteens / params.per_block;
  var t0 = vec4f(); var t1 = vec4f(); var t2 = vec4f(); var t3 = vec4f();
  for (var b = 0u; b < blocks; b++) {
    var s0 = vec4i(); var s1 = vec4i(); var s2 = vec4i(); var s3 = vec4i();
    for (var k = b * params.per_block; k < (b + 1u) * params.per_block; k++) {
      let w0 = w[w_at.x + k]; let w1 = w[w_at.y + k]; let w2 = w[w_at.z + k]; let w3 = w[w_at.w + k];
      let x0 = x[x_at.x + k]; s0 += vec4i(dot16(x0, w0), dot16(x0, w1), dot16(x0, w2), dot16(x0, w3));
      let x1 = x[x_at.y + k]; s1 += vec4i(dot16(x1, w0), dot16(x1, w1), dot16(x1, w2), dot16(x1, w3));
      let x2 = x[x_at.z + k]; s2 += vec4i(dot16(x2, w0), dot16(x2, w1), dot16(x2, w2), dot16(x2, w3));
      let x3 = x[x_at.w + k]; s3 += vec4i(dot16(x3, w0), dot16(x3, w1), dot16(x3, w2), dot16(x3, w3));
    }
    let c = cols * blocks + vec4u(b);
    let sw = vec4f(w_scales[c.x], w_scales[c.y], w_scales[c.z], w_scales[c.w]);
    t0 = fma(vec4f(s0), x_scales[rows.x * blocks + b] * sw, t0);
    t1 = fma(vec4f(s1), x_scales[rows.y * blocks + b] * sw, t1);
    t2 = fma(vec4f(s2), x_scales[rows.z * blocks + b] * sw, t2);
    t3 = fma(vec4f(s3), x_scales[rows.w * blocks + b] * sw, t3);
  }
  var added = vec4f();
  if (HAS_BIAS) { added = vec4f(load_bias(cols.x), load_bias(cols.y), load_bias(cols.z), load_bias(cols.w)); }
  let tile = array<vec4f, 4>(t0, t1, t2, t3);
  let inside = min(4u, params.m - row);
  for (var r = 0u; r < inside; r++) {
    let v = activate(tile[r] + added);
    for (var i = 0u; i < 4u && col + i < params.n; i++) { y[(row + r) * params.n + col + i] = v[i]; }
  }
}
