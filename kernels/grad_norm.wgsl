// gradNorm: |x| = unit * sqrt(sum((x / unit)^2)) with unit = the largest element seen so far, so that 1e30 neither overflows nor vanishes.
// Fixed order: lane k takes every lanes-th vec4; then MERGE partial pairs (unit, sum) become one, until one is left.
override WG: u32 = 64u;
const TINY = 1e-30; // first unit; gradients below it count as smaller than it
const BLOCK = 64u;

struct Params { count: u32, lanes: u32, max_norm: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;              // [4 * count]
@group(0) @binding(2) var<storage, read_write> partials: array<vec2f>; // [lanes] of unit, sum
@group(0) @binding(3) var<storage, read> merged_from: array<vec2f>;    // [count]
@group(0) @binding(4) var<storage, read_write> norm: array<f32>;       // [1]
@group(0) @binding(5) var<storage, read> measured: array<f32>;         // [1], a norm
@group(0) @binding(6) var<storage, read_write> factor: array<f32>;     // [1]

fn merge(a: vec2f, b: vec2f) -> vec2f {
  let unit = max(a.x, b.x);
  let ra = a.x / unit;
  let rb = b.x / unit;
  return vec2f(unit, a.y * ra * ra + b.y * rb * rb);
}

@compute @workgroup_size(WG)
fn reduce(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.lanes) { return; }
  var result = vec2f(TINY, 0.0);
  var i = id;
  while (i < params.count) {
    var part = vec2f(TINY, 0.0);
    for (var k = 0u; k < BLOCK && i < params.count; k++) {
      let v = x[i];
      let a = abs(v);
      let most = max(max(a.x, a.y), max(a.z, a.w));
      if (most > part.x) {
        let r = part.x / most;
        part = vec2f(most, part.y * r * r);
      }
      let q = v / part.x;
      part.y += dot(q, q);
      i += params.lanes;
    }
    result = merge(result, part);
  }
  partials[id] = result;
}

@compute @workgroup_size(WG)
fn merge_partials(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.lanes) { return; }
  var result = vec2f(TINY, 0.0);
  for (var i = id; i < params.count; i += params.lanes) { result = merge(result, merged_from[i]); }
  partials[id] = result;
}

@compute @workgroup_size(1)
fn finish() {
  var result = vec2f(TINY, 0.0);
  for (var i = 0u; i < params.count; i++) { result = merge(result, merged_from[i]); }
  norm[0] = result.x * sqrt(result.y);
}

// factor = min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
@compute @workgroup_size(1)
fn clip_factor() {
  let ratio = params.max_norm / (measured[0] + 1e-6);
  factor[0] = select(ratio, 1.0, ratio > 1.0); // min may drop a NaN
}
