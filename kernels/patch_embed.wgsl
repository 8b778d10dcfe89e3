// Tubelets out of pixels and back: unfold gathers rows[b, (t, y, x), (c, dt, dy, dx)] = load_pixels(b, t·TUBELET + dt, c, y·PATCH + dy, x·PATCH + dx),
// so that the patch embedding (a convolution whose stride is its kernel) is one matrix product; fold is its adjoint. One invocation per Elem
// written; `alias Elem` (f32, or vec4f where patch and width are multiples of 4) comes from the header.

struct Params {
  count: u32,                                        // Elems written
  frames: u32, channels: u32, height: u32, width: u32, // of the pixels; width in Elems
  tubelet: u32, side: u32, patch_width: u32,         // side of a patch in pixels, patch_width in Elems
  grid_t: u32, grid_y: u32, grid_x: u32,             // tokens along time, rows, columns
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<PixelsStored>; // [B, T, C, H, W]
@group(0) @binding(2) var<storage, read_write> rows: array<Elem>; // [B, grid_t grid_y grid_x, C tubelet patch patch]
@group(0) @binding(3) var<storage, read> drows: array<Elem>; // like rows
@group(0) @binding(4) var<storage, read_write> dpixels: array<Elem>; // like pixels

@compute @workgroup_size(64)
fn unfold(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  var rest = i;
  let dx = rest % params.patch_width; rest /= params.patch_width;
  let dy = rest % params.side; rest /= params.side;
  let dt = rest % params.tubelet; rest /= params.tubelet;
  let c = rest % params.channels; rest /= params.channels;
  let x = rest % params.grid_x; rest /= params.grid_x;
  let y = rest % params.grid_y; rest /= params.grid_y;
  let t = rest % params.grid_t;
  let b = rest / params.grid_t;
  let frame = (b * params.frames + t * params.tubelet + dt) * params.channels + c;
  rows[i] = load_pixels((frame * params.height + y * params.side + dy) * params.width + x * params.patch_width + dx);
}

// Every pixel lies in one tubelet at most; those beyond the last whole one get 0.
@compute @workgroup_size(64)
fn fold(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  var rest = i;
  let column = rest % params.width; rest /= params.width;
  let line = rest % params.height; rest /= params.height;
  let c = rest % params.channels; rest /= params.channels;
  let frame = rest % params.frames;
  let b = rest / params.frames;
  let x = column / params.patch_width;
  let y = line / params.side;
  let t = frame / params.tubelet;
  if (x >= params.grid_x || y >= params.grid_y || t >= params.grid_t) {
    dpixels[i] = Elem();
    return;
  }
  let token = ((b * params.grid_t + t) * params.grid_y + y) * params.grid_x + x;
  let within = ((c * params.tubelet + frame % params.tubelet) * params.side + line % params.side) * params.patch_width + column % params.patch_width;
  dpixels[i] = drows[token * (params.channels * params.tubelet * params.side * params.patch_width) + within];
}
