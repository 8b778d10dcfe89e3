import { Tensor } from '../../engine/tensor.ts';
import { clipFactor, gradNorm } from '../../kernels/grad_norm.ts';
import { gradNormRef } from '../../kernels/grad_norm.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('gradNorm');

for (const n of [600_000]) {
  test(`matches the formula for ${n} values`, async () => {
    const d = await device();
    const x = random([n], 1, { outliers: 0.001 });
    close(await gradNorm(Tensor.from(d, x)).read(), [gradNormRef(x)], { rel: 1e-6 });
  });
}

for (const scale of [1e-25, 1e30]) {
  test(`values around ${scale} keep their length`, async () => {
    const d = await device();
    const x = random([6400], 2, { scale });
    close(await gradNorm(Tensor.from(d, x)).read(), [gradNormRef(x)], { rel: 1e-6 });
  });
}

test('zeros and nothing have length 0', async () => {
  const d = await device();
  assert.equal([...await gradNorm(Tensor.zeros(d, [256])).read()], [0]);
  assert.equal([...await gradNorm(Tensor.zeros(d, [0])).read()], [0]);
});

test('clips as torch.nn.utils.clip_grad_norm_', async () => {
  const d = await device();
  for (const [norm, maxNorm] of [[0, 1], [0.5, 1], [1, 1], [4, 1], [1e30, 0.25]] as const) {
    close(await clipFactor(Tensor.from(d, [norm]), maxNorm).read(), [Math.min(1, maxNorm / (norm + 1e-6))], { rel: 3e-7, name: `norm ${norm}` });
  }
});

test('refuses a size that is not padded', async () => {
  const d = await device();
  assert.throws(() => gradNorm(Tensor.zeros(d, [7])), /gradNorm: x has 7 elements, expected a multiple of 4/);
});

test.run();
