// Rotary position embedding, pairs (2k, 2k + 1), with a table entry per element (V-JEPA 2 uses different angles for the two halves of a pair):
// y_2k = x_2k cos_2k - x_(2k+1) sin_2k, y_(2k+1) = x_(2k+1) cos_(2k+1) + x_2k sin_(2k+1). The backward is the transpose of this map, not its inverse.
// One invocation per pair.
override WG: u32 = 64u;

struct Params { pairs: u32, heads: u32, tokens: u32, half: u32 } // pairs = B T H Dh / 2, half = Dh / 2
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x2: array<X2Stored>;      // [B, T, H, Dh], or its gradient
@group(0) @binding(2) var<storage, read> cosines: array<vec2f>;    // [T, Dh]
@group(0) @binding(3) var<storage, read> sines: array<vec2f>;      // [T, Dh]
@group(0) @binding(4) var<storage, read_write> y: array<vec2f>;    // [B, T, H, Dh]

fn table_at(id: u32) -> u32 { return id / params.half / params.heads % params.tokens * params.half + id % params.half; }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.pairs) { return; }
  let at = table_at(id);
  let p = load_x2(id);
  y[id] = p * cosines[at] + vec2f(-p.y, p.x) * sines[at];
}

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.pairs) { return; }
  let at = table_at(id);
  let p = load_x2(id);
  let turned = p * sines[at];
  y[id] = p * cosines[at] + vec2f(turned.y, -turned.x);
}
