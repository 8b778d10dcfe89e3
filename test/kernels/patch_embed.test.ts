import { Tensor } from '../../engine/tensor.ts';
import { patchEmbed } from '../../kernels/patch_embed.ts';
import { patchEmbedRef } from '../../kernels/patch_embed.ref.ts';
import type { PatchSizes } from '../../kernels/patch_embed.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('patchEmbed');

const CASES: (PatchSizes & { name: string })[] = [
  { name: 'one token', batch: 1, frames: 1, channels: 1, height: 1, width: 1, dim: 1, tubelet: 1, patch: 1 },
  { name: 'wide loads', batch: 2, frames: 4, channels: 3, height: 16, width: 24, dim: 12, tubelet: 2, patch: 8 },
  { name: 'odd patch', batch: 2, frames: 2, channels: 3, height: 15, width: 9, dim: 5, tubelet: 2, patch: 3 },
  { name: 'an odd last frame and a rest of rows and columns', batch: 2, frames: 5, channels: 3, height: 19, width: 22, dim: 8, tubelet: 2, patch: 4 },
  { name: 'the sizes of a small encoder', batch: 1, frames: 2, channels: 3, height: 64, width: 64, dim: 96, tubelet: 2, patch: 16 },
];

function data(s: PatchSizes) {
  const shapes = { pixels: [s.batch, s.frames, s.channels, s.height, s.width], weight: [s.dim, s.channels, s.tubelet, s.patch, s.patch], bias: [s.dim] };
  return { shapes, pixels: random(shapes.pixels, 1), weight: random(shapes.weight, 2, { scale: 0.1 }), bias: random(shapes.bias, 3) };
}

for (const { name, ...s } of CASES) {
  test(name, async () => {
    const d = await device();
    const { shapes, pixels, weight, bias } = data(s);
    const y = patchEmbed(Tensor.from(d, pixels, shapes.pixels), Tensor.from(d, weight, shapes.weight), Tensor.from(d, bias), s);
    assert.equal([...y.shape], [s.batch, Math.floor(s.frames / s.tubelet) * Math.floor(s.height / s.patch) * Math.floor(s.width / s.patch), s.dim]);
    close(await y.read(), patchEmbedRef(Float64Array.from(pixels), Float64Array.from(weight), Float64Array.from(bias), s), { nmse: 1e-11 });
  });
}

test('wrong shapes are named, no clips pass', async () => {
  const d = await device();
  const weight = Tensor.zeros(d, [4, 3, 2, 8, 8]);
  assert.throws(() => patchEmbed(Tensor.zeros(d, [1, 2, 1, 8, 8]), weight, undefined, { tubelet: 2, patch: 8 }), /patchEmbed: weight has shape \[4, 3, 2, 8, 8\], expected \[\*, 1, 2, 8, 8\]/);
  assert.equal([...patchEmbed(Tensor.zeros(d, [0, 2, 3, 8, 8]), weight, undefined, { tubelet: 2, patch: 8 }).shape], [0, 1, 4]);
});

test.run();
