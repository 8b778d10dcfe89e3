// Sums over the middle axis of x [outer, n, inner], and the opposite: repeating along a new middle axis.
// One invocation per output; long axes are cut into `chunks` partial sums (a second dispatch adds them), every chunk-th element belonging to one
// chunk, so neighbours read neighbours. Four accumulators; the order is fixed, so the result is the same at every run.
struct Params {
  count: u32, // invocations
  n: u32,
  inner: u32,
  chunks: u32,
  factor: f32, // multiplies the result
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XStored>; // partial_sums: [outer, n, inner]; expand: [outer, inner]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // partial_sums: [outer, chunks, inner]; expand: [outer, n, inner]

@compute @workgroup_size(64)
fn partial_sums(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let q = i / params.inner;
  let column = i - q * params.inner;
  let band = q / params.chunks;
  let chunk = q - band * params.chunks;
  let base = band * params.n * params.inner + column;
  let step = params.chunks * params.inner;
  let many = (params.n - chunk + params.chunks - 1u) / params.chunks; // chunks ≤ n, so ≥ 1
  var at = base + chunk * params.inner;
  var sums = vec4<f32>(0.0);
  for (var k = 0u; k < many / 4u; k++) {
    sums += vec4<f32>(load_x(at), load_x(at + step), load_x(at + 2u * step), load_x(at + 3u * step));
    at += 4u * step;
  }
  var rest = 0.0;
  for (var k = 0u; k < many % 4u; k++) {
    rest += load_x(at);
    at += step;
  }
  out[i] = (((sums.x + sums.y) + (sums.z + sums.w)) + rest) * params.factor;
}

@compute @workgroup_size(64)
fn expand(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  let q = i / params.inner;
  out[i] = load_x((q / params.n) * params.inner + (i - q * params.inner)) * params.factor;
}
