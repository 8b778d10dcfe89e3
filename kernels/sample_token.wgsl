// One token per row, drawn from softmax(x / temperature) cut to the top_k largest logits and then to the fewest that hold top_p of the rest.
// One invocation per row, no barrier. Thresholds are found bit by bit on the order of f32 (32 passes), so nothing is sorted; equal logits at a threshold all stay.
// Random numbers: Philox4x32-10 of (row, step, seed), Salmon et al., SC 2011.
// uses: exp_neg_of, log_of
override WG: u32 = 32u;
const BLOCK = 64u;

struct Params {
  rows: u32,
  cols: u32,
  first_row: u32, // number of the first row among all that are decoded
  top_k: u32, // 0 = all
  top_p: f32, // 1 = all
  inverse_temperature: f32,
  seed_low: u32,
  seed_high: u32,
  step: u32, // tokens of a row with this one
  eos: u32,
  pad: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<LogitsStored>; // [rows, cols]
@group(0) @binding(2) var<storage, read> state: array<f32>; // [rows, 3] of log-probability, length (0 = alive), key
@group(0) @binding(3) var<storage, read_write> tokens: array<u32>; // [rows]
@group(0) @binding(4) var<storage, read_write> state_out: array<f32>; // [rows, 3]

// f32 as whole numbers in the same order.
fn order_of(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn weight_of(v: f32, shift: f32, threshold: u32) -> f32 {
  return select(0.0, exp_neg_of((v - shift) * params.inverse_temperature), order_of(v) >= threshold);
}

fn mass(start: u32, shift: f32, threshold: u32) -> f32 {
  var sum = 0.0;
  for (var at = 0u; at < params.cols; at += BLOCK) {
    var part = 0.0;
    for (var c = at; c < min(at + BLOCK, params.cols); c++) { part += weight_of(load_logits(start + c), shift, threshold); }
    sum += part;
  }
  return sum;
}

// The largest threshold with at least top_k logits at or above it.
fn threshold_k(start: u32) -> u32 {
  var threshold = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let tried = threshold | bit;
    var count = 0u;
    for (var c = 0u; c < params.cols; c++) { count += select(0u, 1u, order_of(load_logits(start + c)) >= tried); }
    threshold = select(threshold, tried, count >= params.top_k);
  }
  return threshold;
}

// The largest threshold from `least` on that holds top_p of what `least` holds.
fn threshold_p(start: u32, shift: f32, least: u32) -> u32 {
  let wanted = params.top_p * mass(start, shift, least);
  var threshold = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let tried = threshold | bit;
    if (tried <= least || mass(start, shift, tried) >= wanted) { threshold = tried; }
  }
  return max(threshold, least);
}

// High 32 bits of a product.
fn high_of(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let middle = a1 * b0 + ((a0 * b0) >> 16u);
  let cross = a0 * b1 + (middle & 0xffffu);
  return a1 * b1 + (middle >> 16u) + (cross >> 16u);
}

// Uniform in [0, 1) with 24 bits: the first word of the block (0, row, step, 0).
fn uniform_of(row: u32) -> f32 {
  var c = vec4u(0u, row, params.step, 0u);
  var k = vec2u(params.seed_low, params.seed_high);
  for (var round = 0u; round < 10u; round++) {
    c = vec4u(high_of(0xcd9e8d57u, c.z) ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high_of(0xd2511f53u, c.x) ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return f32(c.x >> 8u) * 5.9604644775390625e-8;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.rows) { return; }
  if (state[row * 3u + 1u] > 0.0) {
    tokens[row] = params.pad;
    for (var i = row * 3u; i < row * 3u + 3u; i++) { state_out[i] = state[i]; }
    return;
  }
  let start = row * params.cols;
  var shift = load_logits(start);
  for (var c = 1u; c < params.cols; c++) { shift = max(shift, load_logits(start + c)); }
  var sum = 0.0;
  for (var at = 0u; at < params.cols; at += BLOCK) {
    var part = 0.0;
    for (var c = at; c < min(at + BLOCK, params.cols); c++) { part += exp_neg_of(load_logits(start + c) - shift); }
    sum += part;
  }
  var threshold = 0u;
  if (params.top_k > 0u && params.top_k < params.cols) { threshold = threshold_k(start); }
  if (params.top_p < 1.0) { threshold = threshold_p(start, shift, threshold); }
  let target_mass = uniform_of(params.first_row + row) * mass(start, shift, threshold);
  var chosen = 0u;
  var before = 0.0;
  var found = false;
  for (var at = 0u; at < params.cols && !found; at += BLOCK) { // blocks as in `mass`, then inside the block that holds the target
    let end = min(at + BLOCK, params.cols);
    var part = 0.0;
    for (var c = at; c < end; c++) { part += weight_of(load_logits(start + c), shift, threshold); }
    if (part > 0.0) {
      var inside = 0.0;
      found = before + part > target_mass;
      for (var c = at; c < end; c++) {
        let w = weight_of(load_logits(start + c), shift, threshold);
        if (w > 0.0) {
          chosen = c; // the last one that stays where rounding leaves the target beyond all
          inside += w;
          if (found && before + inside > target_mass) { break; }
        }
      }
    }
    before += part;
  }
  let grown = state[row * 3u] + ((load_logits(start + chosen) - shift) - log_of(sum));
  tokens[row] = chosen;
  state_out[row * 3u] = grown;
  state_out[row * 3u + 1u] = select(0.0, f32(params.step), chosen == params.eos);
  state_out[row * 3u + 2u] = grown;
}
