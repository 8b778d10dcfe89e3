import { ShapeError, checkFloat, checkSameDevice, checkShape, showShape } from '../engine/check.ts';
import { dispatch } from '../engine/dispatch.ts';
import { record } from '../engine/tape.ts';
import { Tensor, size } from '../engine/tensor.ts';
import { linear } from './linear.ts';
import { reshape } from './reshape.ts';
import { groupsFor, rowLoads } from './row_loads.ts';
import { patch_embed } from './wgsl.gen.ts';

/** [B, T, C, H, W] → [B tokens, C tubelet patch patch], with fold as its gradient. */
function unfold(pixels: Tensor, tubelet: number, patch: number): Tensor {
  const { device } = pixels;
  const [batch, frames, channels, height, width] = pixels.shape as [number, number, number, number, number];
  const grid = { grid_t: Math.floor(frames / tubelet), grid_y: Math.floor(height / patch), grid_x: Math.floor(width / patch) };
  const rows = Tensor.empty(device, [batch * grid.grid_t * grid.grid_y * grid.grid_x, channels * tubelet * patch * patch]);
  const { header, width: floats } = rowLoads(patch % 4 === 0 ? width : 1);
  const params = { frames, channels, height, width: width / floats, tubelet, side: patch, patch_width: patch / floats, ...grid };
  const launch = { header };
  const count = rows.size / floats;
  if (count) dispatch(device, patch_embed, 'unfold', { pixels, rows }, { count, ...params }, groupsFor(count, 64), launch);
  return record(rows, [[pixels, drows => {
    if (!count) return Tensor.zeros(device, pixels.shape); // no whole patch fits
    const dpixels = Tensor.empty(device, pixels.shape);
    const each = dpixels.size / floats;
    if (each) dispatch(device, patch_embed, 'fold', { drows, dpixels }, { count: each, ...params }, groupsFor(each, 64), launch);
    return dpixels;
  }]]);
}

/**
 * Patch embedding of clips: the 3-D convolution of ViT and V-JEPA 2 whose stride is its kernel, as unfold and one product.
 * y[b, (t, y, x)] = weight · pixels[b, tubelet t, :, patch (y, x)] + bias. Tokens run over time, then rows, then columns.
 * What does not fill a whole tubelet or patch (an odd last frame) is dropped, and its gradient is 0.
 * Source: V-JEPA 2 (arXiv 2506.09985) and ViT (arXiv 2010.11929).
 * NaN or Inf in a patch makes its token not finite (an infinity may become NaN).
 * @param pixels [B, T, 3, H, W] float
 * @param weight [D, 3, tubelet, patch, patch] float
 * @param bias [D] f32, or none
 * @param options tubelet (frames per token), patch (pixels per side)
 * @returns [B, (T / tubelet) (H / patch) (W / patch), D]
 * @throws ShapeError when weight or bias do not fit
 */
export function patchEmbed(pixels: Tensor, weight: Tensor, bias: Tensor | undefined, { tubelet, patch }: { tubelet: number; patch: number }): Tensor {
  if (!Number.isInteger(tubelet) || tubelet < 1 || !Number.isInteger(patch) || patch < 1) throw new ShapeError(`patchEmbed: tubelet is ${tubelet} and patch ${patch}, expected whole numbers from 1`);
  checkShape('patchEmbed', 'pixels', pixels, [null, null, null, null, null]);
  const [batch, frames, channels, height, width] = pixels.shape as [number, number, number, number, number];
  checkShape('patchEmbed', 'weight', weight, [null, channels, tubelet, patch, patch], `the channels of pixels ${showShape(pixels.shape)}, tubelet and patch`);
  checkFloat('patchEmbed', 'pixels', pixels);
  checkSameDevice('patchEmbed', pixels, weight, bias);
  const dim = weight.shape[0]!;
  const tokens = Math.floor(frames / tubelet) * Math.floor(height / patch) * Math.floor(width / patch);
  const y = linear(unfold(pixels, tubelet, patch), reshape(weight, [dim, size(weight.shape.slice(1))]), bias);
  return reshape(y, [batch, tokens, dim]);
}
