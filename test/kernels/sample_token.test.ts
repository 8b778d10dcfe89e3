// Drawing tokens: what is refused, the random numbers, frequencies, independence of batches.
import { CounterRandom, philox } from '../../data/random.ts';
import { Tensor } from '../../engine/tensor.ts';
import { sampleToken } from '../../kernels/sample_token.ts';
import { philoxRef } from '../../kernels/sample_token.ref.ts';
import { assert, device, random, suite } from '../harness.ts';

const test = suite('sample token');

test('settings out of range are refused', async () => {
  const d = await device();
  const [x, state] = [Tensor.zeros(d, [2, 5]), Tensor.zeros(d, [2, 3])];
  const good = { seed: 1, step: 1, eos: 1, pad: 0 };
  const cases: [object, RegExp][] = [
    [{ temperature: 0 }, /temperature is 0, expected a number above 0 \(greedy decoding is a beam of width 1\)/], [{ topK: -1 }, /topK is -1/], [{ topP: 0 }, /topP is 0, expected a number above 0/],
    [{ topP: 1.5 }, /topP is 1.5/], [{ seed: -1 }, /seed is -1/], [{ seed: 0.5 }, /seed is 0.5/], [{ step: 0 }, /step is 0/], [{ firstRow: -2 }, /firstRow is -2/],
  ];
  for (const [options, message] of cases) assert.throws(() => sampleToken(x, state, { ...good, ...options }), message);
  assert.throws(() => sampleToken(Tensor.zeros(d, [2, 0]), state, good), /logits has 0 columns/);
});

test('Philox: published values, and those of the data pipeline', () => {
  assert.equal(philoxRef([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]); // Random123's known answers
  assert.equal(philoxRef([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  const out = new Uint32Array(4);
  philox([5, 6, 7, 8], [9, 10], out);
  assert.equal(philoxRef([5, 6, 7, 8], [9, 10]), [...out]);
});

test('with equal logits the token is the drawn number times V: row, step and seed each count', async () => {
  const d = await device();
  const [rows, cols] = [70, 16];
  const [x, state] = [Tensor.zeros(d, [rows, cols]), Tensor.zeros(d, [rows, 3])];
  for (const { seed, step, firstRow } of [{ seed: 3, step: 1, firstRow: 0 }, { seed: 3, step: 2, firstRow: 64 }, { seed: 2 ** 40 + 7, step: 1, firstRow: 0 }]) {
    const tokens = await sampleToken(x, state, { seed, step, firstRow, eos: 1, pad: 0 }).tokens.readU32();
    const expected = Uint32Array.from({ length: rows }, (_, r) => Math.floor((new CounterRandom(seed, step, firstRow + r).u32(0) >>> 8) / 2 ** 24 * cols));
    assert.equal(tokens, expected);
  }
});

test('frequencies are those of the cut softmax', async () => {
  const d = await device();
  const [rows, logits] = [4000, [2, 1, 0, -1, -5]];
  const x = Tensor.from(d, Array.from({ length: rows }, () => logits).flat(), [rows, 5]);
  for (const { topK, topP, temperature } of [{ topK: 0, topP: 1, temperature: 1 }, { topK: 3, topP: 1, temperature: 2 }, { topK: 0, topP: 0.8, temperature: 1 }]) {
    const tokens = await sampleToken(x, Tensor.zeros(d, [rows, 3]), { seed: 11, step: 1, eos: 9, pad: 0, topK, topP, temperature }).tokens.readU32();
    let kept = logits.map(v => Math.exp(v / temperature));
    if (topK) kept = kept.map((w, i) => (i < topK ? w : 0));
    if (topP < 1) kept = kept.map((w, i) => (i < 2 ? w : 0)); // 0.64 alone is not enough, 0.64 + 0.24 is
    const total = kept.reduce((a, b) => a + b);
    logits.forEach((_, i) => {
      const share = tokens.filter(t => t === i).length / rows;
      assert.ok(Math.abs(share - kept[i]! / total) < 0.03, `token ${i}: ${share}, expected ${kept[i]! / total}`);
      if (kept[i] === 0) assert.is(share, 0);
    });
  }
});

test('however cold, the largest logit is drawn, and equal ones share', async () => {
  const d = await device();
  const x = Tensor.from(d, [1, 3, -2, 3, 2.9999998, 0, 9, 1], [2, 4]);
  for (const temperature of [1e-20, 1e-40, 5e-324]) {
    const seen = [new Set<number>(), new Set<number>()] as const;
    for (let step = 1; step <= 16; step++) {
      const y = sampleToken(x, Tensor.zeros(d, [2, 3]), { seed: 1, step, temperature, eos: 9, pad: 0 });
      (await y.tokens.readU32()).forEach((token, row) => seen[row as 0 | 1].add(token));
      assert.ok((await y.state.read()).every(Number.isFinite));
    }
    assert.equal([[...seen[0]].sort(), [...seen[1]]], [[1, 3], [2]], `temperature ${temperature}`);
  }
});

test('a row draws the same in any batch, and a finished row keeps its state', async () => {
  const d = await device();
  const values = random([6, 9], 4);
  const whole = await sampleToken(Tensor.from(d, values, [6, 9]), Tensor.zeros(d, [6, 3]), { seed: 2, step: 4, eos: 1, pad: 0 }).tokens.readU32();
  const part = await sampleToken(Tensor.from(d, values.slice(4 * 9), [2, 9]), Tensor.zeros(d, [2, 3]), { seed: 2, step: 4, firstRow: 4, eos: 1, pad: 0 }).tokens.readU32();
  assert.equal([...part], [...whole.slice(4)]);
  const y = sampleToken(Tensor.from(d, values, [6, 9]), Tensor.from(d, Array.from({ length: 6 }, () => [-3, 2, -3]).flat(), [6, 3]), { seed: 2, step: 4, eos: 1, pad: 8 });
  assert.equal([...await y.tokens.readU32()], Array(6).fill(8));
  assert.equal([...(await y.state.read()).slice(0, 3)], [-3, 2, -3]);
});

test.run();
