// The two ceilings that kernel times are compared with.
// peak: register-only chains of fma, eight vec4f per invocation: 64 FLOP per lane and round, nothing read, one word written so that nothing is folded away.
// copy: y = x, one vec4f per invocation: as many bytes read as written.

struct Params {
  /** peak: rounds of eight fma; copy: vec4f to copy */
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn peak(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  let seed = vec4f(f32(i & 255u)) * 1e-6;
  let m = vec4f(0.999) - seed;
  let c = vec4f(1e-3) + seed;
  var a0 = seed;
  var a1 = seed + 1.0;
  var a2 = seed + 2.0;
  var a3 = seed + 3.0;
  var a4 = seed + 4.0;
  var a5 = seed + 5.0;
  var a6 = seed + 6.0;
  var a7 = seed + 7.0;
  for (var r = 0u; r < params.count; r++) {
    a0 = fma(a0, m, c);
    a1 = fma(a1, m, c);
    a2 = fma(a2, m, c);
    a3 = fma(a3, m, c);
    a4 = fma(a4, m, c);
    a5 = fma(a5, m, c);
    a6 = fma(a6, m, c);
    a7 = fma(a7, m, c);
  }
  let sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7;
  // Every sum is positive: the branch is never taken, and the compiler cannot know.
  if (sum.x < 0.0) {
    y[0] = sum;
  }
}

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i < params.count) {
    y[i] = x[i];
  }
}
