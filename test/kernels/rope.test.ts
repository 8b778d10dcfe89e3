import { ShapeError } from '../../engine/check.ts';
import { Tensor } from '../../engine/tensor.ts';
import { rope, ropeAxisWidth, ropeFrequencies, ropeTable1d, ropeTable3d } from '../../kernels/rope.ts';
import type { RopePairs } from '../../kernels/rope.ts';
import { ropeRef } from '../../kernels/rope.ref.ts';
import { assert, close, device, random, suite } from '../harness.ts';

const test = suite('rope');
const wide = (x: Float32Array): Float64Array => Float64Array.from(x);
const LLAMA = { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 };

test('Llama 3.2 frequencies (spec 3.4)', () => {
  const expected = [
    1.0, 6.636012377e-1, 4.403666027e-1, 2.922278226e-1, 1.939227447e-1, 1.286873734e-1, 8.539710029e-2, 5.666962145e-2,
    3.760603093e-2, 2.495540867e-2, 1.656044008e-2, 1.098952853e-2, 7.292664737e-3, 4.839421346e-3, 3.211445995e-3, 1.290547928e-3,
    4.295567966e-4, 9.708287803e-5, 1.946163818e-5, 1.291476719e-5, 8.570255490e-6, 5.687232150e-6, 3.774054294e-6, 2.504467101e-6,
    1.661967468e-6, 1.102883669e-6, 7.318749675e-7, 4.856731343e-7, 3.222932930e-7, 2.138742282e-7, 1.419272025e-7, 9.418306725e-8,
  ];
  close(ropeFrequencies(64, 500_000, LLAMA), expected, { rel: 2e-7, name: 'frequencies' });
});

test('the 1-D table shares angles between the halves', async () => {
  const d = await device();
  const { cos, sin } = ropeTable1d(d, { tokens: 5, headDim: 8, theta: 10_000 });
  const [c, s] = [await cos.read(), await sin.read()];
  for (let t = 0; t < 5; t++) {
    for (let e = 0; e < 8; e++) {
      const angle = t * 10_000 ** (-(e % 4) / 4);
      assert.is(c[t * 8 + e], Math.fround(Math.cos(angle)));
      assert.is(s[t * 8 + e], Math.fround(Math.sin(angle)));
    }
  }
});

test('V-JEPA 2: tiled angles on adjacent pairs (spec 2.4)', async () => {
  const d = await device();
  const expected = [
    -1.27223251, 1.66525534, 0.83621763, 4.49303105, 4.53409842, 6.1472777, 6.90395732, 8.0331922, 8.98105517, 10.00677925,
    -12.58335756, 14.64136417, 5.14945824, 16.19600586, 13.75286584, 16.44273304, 16.78381481, 18.08062579, 18.96210854, 20.01431207,
  ];
  const table = ropeTable3d(d, { grid: [4, 1, 1], headDim: 64 });
  const x = new Float32Array(4 * 64).map((_, i) => i % 64 + 1);
  const y = await rope(Tensor.from(d, x, [1, 4, 1, 64]), table, { pairs: 'adjacent' }).read();
  close(y.subarray(3 * 64, 3 * 64 + 20), expected, { abs: 4e-6, name: 'time axis, position 3' });
  assert.equal(y.subarray(3 * 64 + 20), x.subarray(20, 64), 'row 0 and column 0 and the tail stay');
});

test('V-JEPA 2: axes, widths and the tail', async () => {
  const d = await device();
  assert.equal([64, 32, 24, 48, 6, 4, 80].map(ropeAxisWidth), [20, 10, 8, 16, 2, 0, 26]);
  const grid = [2, 3, 5] as const;
  const table = ropeTable3d(d, { grid, headDim: 32 });
  const [cos, sin] = [await table.cos.read(), await table.sin.read()];
  for (const [time, row, col] of [[0, 0, 0], [1, 2, 4], [0, 1, 3], [1, 0, 2]] as const) {
    const base = ((time * 3 + row) * 5 + col) * 32;
    for (let e = 0; e < 32; e++) {
      const position = [time, row, col, 0][Math.floor(e / 10)]!;
      const angle = position * 10_000 ** (-((e % 10) % 5) / 5);
      assert.is(cos[base + e], Math.fround(Math.cos(angle)));
      assert.is(sin[base + e], Math.fround(Math.sin(angle)));
    }
  }
  const still = ropeTable3d(d, { grid: [1, 2, 1], headDim: 4 });
  assert.equal(await still.cos.read(), new Float32Array(8).fill(1));
});

test('a longer table serves, an empty input passes, more than 65,535 workgroups work', async () => {
  const d = await device();
  const table = ropeTable1d(d, { tokens: 9, headDim: 2, theta: 10_000 });
  const [cos, sin] = [await table.cos.read(), await table.sin.read()];
  const x = random([2, 4, 1, 2], 1);
  const y = await rope(Tensor.from(d, x, [2, 4, 1, 2]), table, { pairs: 'half' }).read();
  close(y, ropeRef(wide(x), cos, sin, { tokens: 4, heads: 1, headDim: 2 }, 'half'), { nmse: 1e-13 });
  assert.equal(rope(Tensor.zeros(d, [0, 4, 1, 2]), table, { pairs: 'half' }).shape, [0, 4, 1, 2]);
  const rows = 65_536 * 64 + 1; // one pair each
  const big = Tensor.zeros(d, [rows, 1, 1, 2]);
  const out = await rope(big, table, { pairs: 'adjacent' }).read();
  assert.ok(out.every(v => v === 0));
  big.dispose();
});

test('refuses what does not fit, by name', async () => {
  const d = await device();
  const table = ropeTable1d(d, { tokens: 3, headDim: 8, theta: 10_000 });
  const refuses = (fn: () => unknown, text: string) => assert.throws(fn, (e: unknown) => e instanceof ShapeError && e.message.includes(text));
  refuses(() => rope(Tensor.zeros(d, [1, 4, 1, 8]), table, { pairs: 'half' }), 'rope: table.cos has shape [3, 8], expected at least 4 rows');
  refuses(() => rope(Tensor.zeros(d, [1, 3, 1, 6]), table, { pairs: 'half' }), 'rope: table.cos has shape [3, 8], expected [*, 6]');
  refuses(() => rope(Tensor.zeros(d, [1, 3, 1, 7]), table, { pairs: 'half' }), 'expected an even head dimension');
  refuses(() => rope(Tensor.zeros(d, [1, 3, 1, 8]), table, { pairs: 'both' as RopePairs }), 'rope: pairs is both');
  refuses(() => ropeTable1d(d, { tokens: 3, headDim: 7, theta: 10_000 }), 'ropeTable1d: headDim is 7');
});

test.run();
