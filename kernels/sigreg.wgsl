// sigreg: Epps-Pulley statistic of projections z = x a against N(0, 1): N sum_k w_k |phi_z(t_k) - exp(-t_k^2 / 2)|^2, phi_z(t) = 1/N sum_n exp(i t z_n)
// (Balestriero & LeCun 2025, arXiv 2511.08544; Epps & Pulley 1983). One invocation per knot, projection and chunk of rows; the sums of the chunks follow.
// What is summed is cos(t z) - exp(-t^2 / 2), whose sum is small where the two agree, so that the difference keeps its digits.
override WG: u32 = 64u;

struct Params { rows: u32, projections: u32, knots: u32, chunks: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;               // [rows, projections]
@group(0) @binding(2) var<storage, read> knots: array<vec4f>;         // [knots] of t, weight, exp(-t^2 / 2) and what f32 left of it
@group(0) @binding(3) var<storage, read_write> parts: array<vec2f>;   // [chunks, knots, projections] of sum cos(t z) - exp(-t^2 / 2), sum sin(t z)
@group(0) @binding(4) var<storage, read> sums: array<vec2f>;          // [knots, projections]
@group(0) @binding(5) var<storage, read_write> statistics: array<f32>; // [projections]
@group(0) @binding(6) var<storage, read> dloss: array<f32>;           // [1]
@group(0) @binding(7) var<storage, read_write> dz: array<f32>;        // [rows, projections]

// (cos a, sin a) within 1.2e-7 for |a| < 8192: the language promises 2^-11 inside [-pi, pi] and nothing outside. Multiples of pi / 2 are taken away in three
// parts (Cody & Waite), then the Cephes polynomials on [-pi / 4, pi / 4]. Beyond 8192 one step of f32 in z already turns the phase by 1e-3; the result stays
// on the unit circle there, but says nothing. Inf and NaN give NaN.
fn turn(a: f32) -> vec2f {
  let bits = bitcast<u32>(a);
  if ((bits & 0x7f800000u) == 0x7f800000u) { return vec2f(bitcast<f32>(bits | 0x7fc00000u)); }
  let n = floor(clamp(a, -1e6, 1e6) * 0.636619772 + 0.5);
  let r = clamp(((a - n * 1.5703125) - n * 4.837512969970703125e-4) - n * 7.5497899548918821e-8, -0.8, 0.8);
  let q = r * r;
  let s = r + r * q * (-1.6666654611e-1 + q * (8.3321608736e-3 - q * 1.9515295891e-4));
  let c = 1.0 - 0.5 * q + q * q * (4.166664568298827e-2 + q * (-1.388731625493765e-3 + q * 2.443315711809948e-5));
  let quadrant = u32(i32(n)) & 3u;
  let even = select(vec2f(c, s), vec2f(-s, c), (quadrant & 1u) == 1u);
  return select(even, -even, quadrant >= 2u);
}

@compute @workgroup_size(WG)
fn characteristic(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  let chunk = id / (params.knots * params.projections);
  if (chunk >= params.chunks) { return; }
  let m = id % params.projections;
  let knot = knots[(id / params.projections) % params.knots];
  var sum = vec2f(0.0);
  for (var i = chunk; i < params.rows; i += params.chunks) { sum += turn(knot.x * z[i * params.projections + m]) - vec2f(knot.z, 0.0); }
  parts[id] = sum;
}

@compute @workgroup_size(WG)
fn statistic(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let m = (wid.x + wid.y * nwg.x) * WG + lane;
  if (m >= params.projections) { return; }
  let n = f32(params.rows);
  var total = 0.0;
  for (var k = 0u; k < params.knots; k++) {
    let knot = knots[k];
    let d = sums[k * params.projections + m] / n - vec2f(knot.w, 0.0);
    total += knot.y * dot(d, d);
  }
  statistics[m] = total * n;
}

// dz = 2 dloss / M sum_k w_k t_k (im_k cos(t_k z) - re_k sin(t_k z)), re and im the differences of the characteristic functions.
@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (wid.x + wid.y * nwg.x) * WG + lane;
  if (id >= params.rows * params.projections) { return; }
  let m = id % params.projections;
  let here = z[id];
  let n = f32(params.rows);
  var total = 0.0;
  for (var k = 0u; k < params.knots; k++) {
    let knot = knots[k];
    let d = sums[k * params.projections + m] / n - vec2f(knot.w, 0.0);
    let e = turn(knot.x * here);
    total += knot.y * knot.x * (d.y * e.x - d.x * e.y);
  }
  dz[id] = total * 2.0 * dloss[0] / f32(params.projections);
}
