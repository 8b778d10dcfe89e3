// y[b, (t, y, x), d] = bias[d] + Σ_{c, dt, dy, dx} weight[d, c, dt, dy, dx] pixels[b, t·tubelet + dt, c, y·patch + dy, x·patch + dx]

export interface PatchSizes { batch: number; frames: number; channels: number; height: number; width: number; dim: number; tubelet: number; patch: number }

/**
 * Patch embedding in float64.
 * @param pixels [B, T, C, H, W] @param weight [D, C, tubelet, patch, patch] @param bias [D] @param s sizes
 * @returns [B, tokens, D], tokens over time, rows, columns
 */
export function patchEmbedRef(pixels: Float64Array, weight: Float64Array, bias: Float64Array, s: PatchSizes): Float64Array {
  const [nt, ny, nx] = [Math.floor(s.frames / s.tubelet), Math.floor(s.height / s.patch), Math.floor(s.width / s.patch)];
  const out = new Float64Array(s.batch * nt * ny * nx * s.dim);
  let at = 0;
  for (let b = 0; b < s.batch; b++) for (let t = 0; t < nt; t++) for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++) {
    for (let d = 0; d < s.dim; d++) {
      let sum = bias[d]!;
      for (let c = 0; c < s.channels; c++) for (let dt = 0; dt < s.tubelet; dt++) for (let dy = 0; dy < s.patch; dy++) for (let dx = 0; dx < s.patch; dx++) {
        const w = weight[(((d * s.channels + c) * s.tubelet + dt) * s.patch + dy) * s.patch + dx]!;
        sum += w * pixels[(((b * s.frames + t * s.tubelet + dt) * s.channels + c) * s.height + y * s.patch + dy) * s.width + x * s.patch + dx]!;
      }
      out[at++] = sum;
    }
  }
  return out;
}

/**
 * The gradients of `patchEmbedRef`, by the same walk: each weight meets one pixel per token.
 * @param pixels [B, T, C, H, W] @param weight [D, C, tubelet, patch, patch] @param dout [B, tokens, D] @param s sizes
 * @returns dpixels, dweight, dbias [D]; pixels that no patch covers get 0
 */
export function patchEmbedGradRef(pixels: Float64Array, weight: Float64Array, dout: Float64Array, s: PatchSizes): [Float64Array, Float64Array, Float64Array] {
  const [nt, ny, nx] = [Math.floor(s.frames / s.tubelet), Math.floor(s.height / s.patch), Math.floor(s.width / s.patch)];
  const dpixels = new Float64Array(pixels.length), dweight = new Float64Array(weight.length), dbias = new Float64Array(s.dim);
  let at = 0;
  for (let b = 0; b < s.batch; b++) for (let t = 0; t < nt; t++) for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++) {
    for (let d = 0; d < s.dim; d++) {
      const g = dout[at++]!;
      dbias[d]! += g;
      for (let c = 0; c < s.channels; c++) for (let dt = 0; dt < s.tubelet; dt++) for (let dy = 0; dy < s.patch; dy++) for (let dx = 0; dx < s.patch; dx++) {
        const w = (((d * s.channels + c) * s.tubelet + dt) * s.patch + dy) * s.patch + dx;
        const p = (((b * s.frames + t * s.tubelet + dt) * s.channels + c) * s.height + y * s.patch + dy) * s.width + x * s.patch + dx;
        dpixels[p]! += g * weight[w]!;
        dweight[w]! += g * pixels[p]!;
      }
    }
  }
  return [dpixels, dweight, dbias];
}
