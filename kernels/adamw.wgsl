// adamw: one dispatch for all parameters, laid out flat in segments of 64 floats so that a block of 64 has one group (learning rate, decay).
// g = grad * clip; p *= 1 - lr * wd; m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; p -= lr / bias1 * m / (sqrt(v) / sqrt_bias2 + eps)
// (Loshchilov & Hutter 2019, arXiv 1711.05101, in the order of torch.optim.AdamW). What rounding cuts off an update is kept in `rest` and joins the
// next one (Kahan 1965): updates are often smaller than a unit in the last place of the weight. One invocation per four floats.
override WG: u32 = 64u;

// 1 - beta comes from the host: in f32 1 - 0.999 is 5e-5 off.
struct Params { blocks: u32, rest1: f32, beta2: f32, rest2: f32, eps: f32, bias1: f32, sqrt_bias2: f32, zero: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> param: array<vec4f>; // [total]
@group(0) @binding(2) var<storage, read> grad: array<vec4f>;        // [total]
@group(0) @binding(3) var<storage, read_write> m: array<vec4f>;     // [total]
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;     // [total]
@group(0) @binding(5) var<storage, read> block_group: array<u32>;   // [blocks], blocks = total / 64
@group(0) @binding(6) var<storage, read> groups: array<vec2f>;      // [G] of learning rate, weight decay
@group(0) @binding(7) var<storage, read> clip: array<f32>;          // [1], factor on every gradient
@group(0) @binding(8) var<storage, read_write> rest: array<vec4f>;  // [total] part of the updates that is not in param yet

@compute @workgroup_size(WG)
fn step(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.blocks * 16u) { return; }
  let group = groups[block_group[i / 16u]];
  let g = grad[i] * clip[0];
  let m_new = m[i] + params.rest1 * (g - m[i]);
  let v_new = params.beta2 * v[i] + params.rest2 * g * g;
  m[i] = m_new;
  v[i] = v_new;
  let old = param[i];
  let update = rest[i] - old * (group.x * group.y) // decay apart: 1 - lr * wd would round by the same 3e-8 at every step
    - (group.x / params.bias1) * (m_new / (sqrt(v_new) / params.sqrt_bias2 + params.eps));
  // Through the integers: compilers fold (old + update) - old to update, and a zero that only the host knows keeps them from it.
  let sum = bitcast<vec4f>(bitcast<vec4u>(old + update) ^ vec4u(params.zero));
  param[i] = sum;
  rest[i] = update - (sum - old);
}
