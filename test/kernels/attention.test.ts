import { ShapeError } from '../../engine/check.ts';
import { scope } from '../../engine/memory.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { attention, attentionRuns } from '../../kernels/attention.ts';
import { allowed, attentionGradRef, attentionRef } from '../../kernels/attention.ref.ts';
import type { AttentionVariant } from '../../kernels/attention.ts';
import type { AttentionCase } from '../../kernels/attention.ref.ts';
import { assert, close, device, generator, random, suite } from '../harness.ts';

const test = suite('attention');
const wide = (x: Float32Array): Float64Array => Float64Array.from(x);
const shapes = (c: AttentionCase) => ({ q: [c.batch, c.tq, c.heads, c.headDim], k: [c.batch, c.tk, c.kvHeads, c.headDim] });

/** A case from [batch, tq, tk, heads, kvHeads, headDim] and options. */
function make([batch, tq, tk, heads, kvHeads, headDim]: readonly [number, number, number, number, number, number], options: Partial<AttentionCase> = {}): AttentionCase {
  return { batch, tq, tk, heads, kvHeads, headDim, ...options };
}

/** Padding of random lengths, with a hole, and a last batch row without any key when there are several. */
function padding(batch: number, tk: number, seed: number): Uint32Array {
  const next = generator(seed);
  const mask = new Uint32Array(batch * tk);
  for (let b = 0; b < batch; b++) {
    const length = b > 0 && b === batch - 1 ? 0 : 1 + Math.floor(next() * tk);
    for (let j = 0; j < length; j++) mask[b * tk + j] = length > 3 && j === 2 ? 0 : 1;
  }
  return mask;
}

/** Whether a token (a query for n = 0, else a key) has any partner. */
function connected(c: AttentionCase, n: number, b: number, token: number): boolean {
  const others = n === 0 ? c.tk : c.tq;
  for (let o = 0; o < others; o++) if (n === 0 ? allowed(c, b, token, o) : allowed(c, b, o, token)) return true;
  return false;
}

/** Output and gradients of one case against the float64 references. */
async function compare(c: AttentionCase, { scale = 1, outliers = 0, limit = 1e-11, variant }: { scale?: number; outliers?: number; limit?: number; variant?: AttentionVariant } = {}): Promise<void> {
  const d = await device();
  const { q: qShape, k: kShape } = shapes(c);
  const q = random(qShape, 1, { scale, outliers }), k = random(kShape, 2, { scale, outliers }), v = random(kShape, 3), dy = random(qShape, 4);
  const { y, grads } = scope(() => {
    const leaves = [Tensor.from(d, q, qShape), Tensor.from(d, k, kShape), Tensor.from(d, v, kShape)] as const;
    for (const t of leaves) t.needsGrad = true;
    const mask = c.mask && Tensor.from(d, Uint32Array.from(c.mask), [c.batch, c.tk]);
    const y = attention(...leaves, { ...(variant && { variant }), ...(mask && { mask }), ...(c.causal && { causal: true }), ...(c.window && { window: c.window }), ...(c.scale !== undefined && { scale: c.scale }) });
    return { y, grads: gradients(y, Tensor.from(d, dy, qShape), leaves) };
  });
  const name = JSON.stringify({ ...c, variant, mask: c.mask ? 'yes' : 'no' });
  close(await y.read(), attentionRef(c, wide(q), wide(k), wide(v)), { nmse: limit, name: `y of ${name}` });
  const expected = attentionGradRef(c, wide(q), wide(k), wide(v), wide(dy));
  for (const [n, label] of ['dq', 'dk', 'dv'].entries()) {
    if (!grads[n]) assert.ok(n < 2 && c.tq === 1 && c.tk === 1, `${label} of ${name} is missing, expected one unless a single key makes it zero`);
    const actual = grads[n] ? await grads[n]!.read() : new Float32Array(expected[n]!.length);
    const vanishes = expected[n]!.every(e => Math.abs(e) < 1e-12); // one key per query: dq and dk are rounding noise
    close(actual, expected[n]!, vanishes ? { abs: 1e-5, name: `${label} of ${name}` } : { nmse: limit, name: `${label} of ${name}` });
    const rows = n === 0 ? c.tq * c.heads : c.tk * c.kvHeads;
    for (const i of actual.keys()) {
      const at = Math.floor(i / c.headDim), b = Math.floor(at / rows), token = Math.floor((at % rows) / (n === 0 ? c.heads : c.kvHeads));
      if (actual[i] !== 0 && !connected(c, n, b, token)) throw new Error(`${label}[${i}] of ${name} is ${actual[i]}, expected exactly 0: no pair is allowed`);
    }
  }
  for (const t of [y, ...grads]) t?.dispose();
}

test('the sizes of training and of the encoder', async () => {
  await compare(make([2, 70, 70, 4, 4, 32], { mask: padding(2, 70, 1) }));
  await compare(make([1, 256, 256, 1, 1, 64]));
  await compare(make([1, 512, 512, 1, 1, 16], { window: 130 }));
});

test('logits of ±1000 give numbers', async () => {
  const d = await device();
  const c = make([1, 9, 9, 1, 1, 4], { scale: 1 });
  const q = new Float32Array(36), k = new Float32Array(36), v = random([36], 3), dy = random([36], 4);
  for (let i = 0; i < 9; i++) { q[i * 4] = i % 2 ? 100 : -100; k[i * 4] = i - 4 ? (i % 3) * 10 - 10 : 0; q[i * 4 + 1] = 0.5; k[i * 4 + 1] = i / 8; }
  const { y, grads } = scope(() => {
    const leaves = [q, k, v].map(x => Tensor.from(d, x, [1, 9, 1, 4]));
    for (const t of leaves) t.needsGrad = true;
    const y = attention(leaves[0]!, leaves[1]!, leaves[2]!, { scale: 1 });
    return { y, grads: gradients(y, Tensor.from(d, dy, [1, 9, 1, 4]), leaves) };
  });
  // a logit of 1000 is known to 6e-5 only, and the weights are its exponential
  close(await y.read(), attentionRef(c, wide(q), wide(k), wide(v)), { nmse: 1e-8, name: 'y' });
  const expected = attentionGradRef(c, wide(q), wide(k), wide(v), wide(dy));
  for (const [n, g] of grads.entries()) close(await g!.read(), expected[n]!, { nmse: 1e-7, name: `gradient ${n}` });
});

test('nothing to attend to: empty batch, no queries, no keys', async () => {
  const d = await device();
  for (const c of [make([0, 3, 3, 2, 2, 8]), make([2, 0, 3, 2, 2, 8]), make([2, 3, 0, 2, 2, 8])]) {
    const { q, k } = shapes(c);
    const leaves = [Tensor.zeros(d, q), Tensor.zeros(d, k), Tensor.zeros(d, k)] as const;
    for (const t of leaves) t.needsGrad = true;
    const y = attention(...leaves);
    assert.equal(y.shape, q);
    assert.ok((await y.read()).every(x => x === 0));
    const grads = gradients(y, Tensor.zeros(d, q), leaves);
    for (const [i, g] of grads.entries()) {
      assert.equal(g!.shape, leaves[i]!.shape);
      assert.ok((await g!.read()).every(x => x === 0));
    }
  }
});

test('more workgroups than one grid dimension holds', async () => {
  const d = await device();
  const lanes = d.adapter.class === 'software' && attentionRuns(d, 'lanes4', 4);
  const batch = lanes ? 944 : 30_000, heads = 70; // 66,080 groups of one head, or 2.1 million rows in 65,625 groups of 32
  const v = new Float32Array(batch * heads * 4).map((_, i) => i % 1013);
  const y = scope(() => {
    const zero = Tensor.zeros(d, [batch, 1, heads, 4]);
    return attention(zero, zero, Tensor.from(d, v, [batch, 1, heads, 4]));
  });
  close(await y.read(), v, { abs: 0, name: 'one key: y is its value' });
  y.dispose();
});

test('two runs give the same bits, and a frozen input gets no gradient', async () => {
  const d = await device();
  const run = () => scope(() => {
    const [q, k, v] = [1, 2, 3].map(s => Tensor.from(d, random([2, 21, 4, 8], s), [2, 21, 4, 8]));
    q!.needsGrad = true;
    k!.needsGrad = true;
    const y = attention(q!, k!, v!, { causal: true });
    const [dq, dk, dv] = gradients(y, y, [q!, k!, v!]);
    assert.is(dv, undefined);
    return [y, dq!, dk!];
  });
  const [a, b] = [run(), run()];
  for (const i of a.keys()) assert.equal(await a[i]!.read(), await b[i]!.read());
});

test('refuses what does not fit, by name', async () => {
  const d = await device();
  const t = (...shape: number[]) => Tensor.zeros(d, shape);
  const q = t(2, 5, 4, 8), k = t(2, 5, 2, 8);
  const refuses = (fn: () => unknown, text: string) => assert.throws(fn, (e: unknown) => e instanceof ShapeError && e.message.includes(text));
  refuses(() => attention(t(5, 4, 8), k, k), 'attention: q has shape [5, 4, 8]');
  refuses(() => attention(q, t(2, 5, 3, 8), t(2, 5, 3, 8)), 'attention: q has 4 heads and k 3');
  refuses(() => attention(q, t(2, 5, 2, 6), k), 'attention: k has shape [2, 5, 2, 6]');
  refuses(() => attention(q, k, t(2, 4, 2, 8)), 'attention: v has shape [2, 4, 2, 8]');
  refuses(() => attention(q, k, k, { mask: t(2, 5) }), 'attention: mask is f32, expected u32');
  refuses(() => attention(q, k, k, { mask: Tensor.zeros(d, [2, 4], 'u32') }), 'attention: mask has shape [2, 4]');
  refuses(() => attention(q, k, k, { window: 0 }), 'attention: window is 0');
  refuses(() => attention(t(1, 1, 1, 6), t(1, 1, 1, 6), t(1, 1, 1, 6), { variant: 'plain' }), 'variant is plain');
  refuses(() => attention(q, k, k, { scale: NaN }), 'attention: scale is NaN');
});

test('the backward by products gives the gradients of the streaming one, whatever fits into its workspace', async () => {
  const d = await device();
  for (const [tq, tk, options] of [[65, 65, {}], [33, 70, { causal: true }], [64, 64, { window: 9 }], [70, 30, { window: 5 }], [40, 40, { causal: true, window: 7 }]] as const) {
    const [q, k, v, dy] = [[2, tq, 4, 8], [2, tk, 2, 8], [2, tk, 2, 8], [2, tq, 4, 8]].map((s, i) => Tensor.from(d, random(s, i + 1), s)) as [Tensor, Tensor, Tensor, Tensor];
    for (const t of [q, k, v]) t.needsGrad = true;
    const run = (more: object): Tensor[] => scope(() => gradients(attention(q, k, v, { ...options, ...more }), dy, [q, k, v]) as Tensor[]);
    const streaming = await Promise.all(run({ backward: 'streaming' }).map(t => t.read()));
    for (const workspaceBytes of [1, 2 ** 15, 2 ** 24]) {
      const got = await Promise.all(run({ backward: 'products', workspaceBytes }).map(t => t.read()));
      got.forEach((g, i) => close(g, streaming[i]!, { nmse: 1e-11, name: `gradient ${i} of ${tq} × ${tk} ${JSON.stringify(options)} in ${workspaceBytes} bytes` }));
    }
  }
});

test.run();
