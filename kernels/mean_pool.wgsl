// meanPool: y[b, d] = mean over the real tokens t of load_x(b, t, d); a row without a real token gives 0.
// One invocation per (b, d) walks the tokens: neighbours read neighbouring words. Elem is f32, or vec4f where dim is a multiple of four.
override WG: u32 = 64u;
override WIDTH: u32 = 1u;     // floats per Elem
override MASKED: bool = false; // without a mask the binding holds a dummy that is never read
const BLOCK = 64u;

struct Params { batch: u32, tokens: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>;          // [batch, tokens, dim]
@group(0) @binding(2) var<storage, read> mask: array<u32>;        // [batch, tokens], not 0 = real
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;    // [batch, dim]
@group(0) @binding(4) var<storage, read_write> share: array<f32>; // [batch], 1 / real tokens, or 0
@group(0) @binding(5) var<storage, read> saved: array<f32>;       // [batch], share of the forward
@group(0) @binding(6) var<storage, read> dy: array<Elem>;         // [batch, dim]
@group(0) @binding(7) var<storage, read_write> dx: array<Elem>;   // [batch, tokens, dim]

fn weight_of(token: u32) -> f32 {
  if (MASKED) { return select(0.0, 1.0, mask[token] != 0u); }
  return 1.0;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = params.dim / WIDTH;
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.batch * n) { return; }
  let b = id / n;
  let d = id % n;
  var sum = Elem(0.0);
  var count = 0.0;
  for (var at = 0u; at < params.tokens; at += BLOCK) {
    let end = min(at + BLOCK, params.tokens);
    var part = Elem(0.0);
    for (var t = at; t < end; t++) {
      let token = b * params.tokens + t;
      let w = weight_of(token);
      // A product with 0 would let the padding's Inf or NaN through.
      part += select(Elem(0.0), load_x(token * n + d), w > 0.0);
      count += w;
    }
    sum += part;
  }
  let fraction = select(0.0, 1.0 / max(count, 1.0), count > 0.0);
  y[id] = sum * fraction;
  if (d == 0u) { share[b] = fraction; }
}

// dx[b, t] = dy[b] / real tokens of b where t is real, else 0.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = params.dim / WIDTH;
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let token = id / n;
  if (token >= params.batch * params.tokens) { return; }
  let b = token / params.tokens;
  dx[id] = dy[b * n + id % n] * (saved[b] * weight_of(token));
}
