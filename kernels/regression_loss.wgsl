// l1Loss and l2Loss: sums of |a - b| or (a - b)^2 over all elements, chunk k holds the elements k, k + chunks, ...; the sum of the chunks follows.
// cosineLoss: per row 1 - p.y of unit rows, written |p - y|^2 / 2, which keeps its digits where the rows nearly agree; a row shorter than eps was not made a
// unit row (a row of zeros stays zero), and there 1 - p.y is taken as it stands.
override WG: u32 = 64u;
override FORM: u32 = 0u; // 0 absolute, 1 squared
const BLOCK = 32u;
const UNIT = 0.99; // squared length from which a row counts as a unit row

struct Params { count: u32, chunks: u32, dims: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AStored>;          // [count]
@group(0) @binding(2) var<storage, read> b: array<BStored>;          // [count]
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;    // [chunks]
@group(0) @binding(4) var<storage, read> dloss: array<f32>;          // [1]
@group(0) @binding(5) var<storage, read_write> da: array<f32>;       // [count]
@group(0) @binding(6) var<storage, read_write> is_unit: array<f32>;  // [rows] 1 where both rows are unit rows
@group(0) @binding(7) var<storage, read> was_unit: array<f32>;       // [rows]

fn term(i: u32) -> f32 {
  if (i >= params.count) { return 0.0; }
  let d = load_a(i) - load_b(i);
  return select(abs(d), d * d, FORM == 1u);
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.chunks) { return; }
  var sums = vec4f(0.0); // four chains: equal terms round alike, and a long chain of them drifts
  for (var i = id; i < params.count; i += 4u * params.chunks) {
    sums += vec4f(term(i), term(i + params.chunks), term(i + 2u * params.chunks), term(i + 3u * params.chunks));
  }
  parts[id] = (sums.x + sums.y) + (sums.z + sums.w);
}

// Whole numbers in the order of the floats, 0 for both zeros.
fn place(x: f32) -> i32 {
  let bits = bitcast<i32>(x);
  return select(bits, -(bits & 0x7fffffff), bits < 0);
}

// The derivative of |u - v| is the sign, 0 at a tie. From the bits: adapters may take a subnormal difference for 0. A NaN stays one.
fn slope(u: f32, v: f32) -> f32 {
  let d = u - v;
  if (FORM == 1u) { return 2.0 * d; }
  if ((bitcast<u32>(d) & 0x7fffffffu) > 0x7f800000u) { return d; }
  return select(0.0, 1.0, place(u) > place(v)) - select(0.0, 1.0, place(u) < place(v));
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.count) { return; }
  da[i] = slope(load_a(i), load_b(i)) * (params.factor * dloss[0]);
}

@compute @workgroup_size(WG)
fn forward_cosine(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (wid.x + wid.y * nwg.x) * WG + lane;
  if (row >= params.chunks) { return; }
  let start = row * params.dims;
  var total = vec4f(0.0); // a.a, b.b, a.b, |a - b|^2
  for (var at = 0u; at < params.dims; at += BLOCK) {
    let end = min(at + BLOCK, params.dims);
    var part = vec4f(0.0);
    for (var c = at; c < end; c++) {
      let u = load_a(start + c);
      let v = load_b(start + c);
      part += vec4f(u * u, v * v, u * v, (u - v) * (u - v));
    }
    total += part;
  }
  let unit = total.x > UNIT && total.y > UNIT;
  parts[row] = select(1.0 - total.z, 0.5 * total.w, unit);
  is_unit[row] = select(0.0, 1.0, unit);
}

// With respect to the row itself; the normalisation before it takes the radial part away.
@compute @workgroup_size(WG)
fn backward_cosine(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * WG + lane;
  if (i >= params.count) { return; }
  da[i] = (load_a(i) * was_unit[i / params.dims] - load_b(i)) * (params.factor * dloss[0]);
}
