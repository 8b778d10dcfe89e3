// The attention for GPUs. One form takes 32 KiB of workgroup memory and the tests' shared device has the default 16, so this file opens its own.
import { openDevice } from '../../engine/device.ts';
import type { Device } from '../../engine/device.ts';
import { gradients } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { attention, attentionRuns } from '../../kernels/attention.ts';
import { attentionGradRef, attentionRef } from '../../kernels/attention.ref.ts';
import '../../kernels/backward.ts';
import { assert, close, isNode, random, suite } from '../harness.ts';

const test = suite('attention by tiles');

let opened: Promise<Device> | undefined;
const large = (): Promise<Device> => (opened ??= openDevice());
const { maxComputeWorkgroupStorageSize: memory } = (await large()).limits;

/** [tq, tk, heads, kvHeads, headDim, rules]: whole and ragged tiles of 64, each of the three entries. */
const CASES = [
  [64, 64, 2, 2, 64, {}], [67, 130, 4, 2, 44, { causal: true }], [17, 65, 1, 1, 128, { window: 9 }], [33, 70, 2, 1, 256, { masked: true }], [130, 129, 1, 1, 64, { masked: true, causal: true, window: 70 }],
] as const;

// A page on a software adapter takes a minute for all of them, and Node runs the same adapter: the first is enough there.
for (const [tq, tk, heads, kvHeads, headDim, rules] of isNode ? CASES : CASES.slice(0, 1)) for (const [variant, bytes] of [['tiled32', 16_384], ['tiled64', 32_768]] as const) {
  test.when(memory >= bytes, `${bytes} bytes of workgroup memory wanted, ${memory} there`, `${variant}: ${tq} queries, ${tk} keys, ${heads} heads on ${kvHeads}, ${headDim} wide, ${Object.keys(rules).join(' ') || 'no rules'}`, async () => {
    const d = await large();
    assert.ok(attentionRuns(d, variant, headDim), `${variant} runs at ${headDim}`);
    const batch = 2;
    const { causal = false, window, masked = false } = rules as { causal?: boolean; window?: number; masked?: boolean };
    const [q, k, v, dy] = [random([batch * tq * heads * headDim], 1), random([batch * tk * kvHeads * headDim], 2), random([batch * tk * kvHeads * headDim], 3), random([batch * tq * heads * headDim], 4)];
    const mask = masked ? Uint32Array.from({ length: batch * tk }, (_, i) => ((i * 7) % 5 && i % tk < tk - 3 ? 1 : 0)) : undefined;
    const [Q, K, V] = [Tensor.from(d, q, [batch, tq, heads, headDim]), Tensor.from(d, k, [batch, tk, kvHeads, headDim]), Tensor.from(d, v, [batch, tk, kvHeads, headDim])];
    for (const t of [Q, K, V]) t.needsGrad = true;
    const y = attention(Q, K, V, { variant, causal, ...(window ? { window } : {}), ...(mask ? { mask: Tensor.from(d, mask, [batch, tk]) } : {}) });
    const sizes = { batch, tq, tk, heads, kvHeads, headDim, causal, ...(window ? { window } : {}), ...(mask ? { mask } : {}) };
    const wide = (x: Float32Array): Float64Array => Float64Array.from(x);
    close(await y.read(), attentionRef(sizes, wide(q), wide(k), wide(v)), { nmse: 1e-11, name: 'y' });
    const expected = attentionGradRef(sizes, wide(q), wide(k), wide(v), wide(dy));
    for (const [i, g] of gradients(y, Tensor.from(d, dy, y.shape), [Q, K, V]).entries()) close(await g!.read(), expected[i]!, { nmse: 1e-11, name: `gradient ${i}` });
  });
}

test.run();
