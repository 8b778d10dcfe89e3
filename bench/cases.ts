// The kernels that `vl-jepa bench kernels` measures, at the nano model's shapes and some of the full-size model's.
import { size } from '../engine/tensor.ts';
import type { Shape, Tensor } from '../engine/tensor.ts';
import { gelu } from '../kernels/activation.ts';
import { gelu as geluRef } from '../kernels/activation.ref.ts';
import { attention } from '../kernels/attention.ts';
import { attentionRef } from '../kernels/attention.ref.ts';
import { add } from '../kernels/elementwise.ts';
import { l2Normalize } from '../kernels/l2_normalize.ts';
import { infoNCE } from '../kernels/info_nce.ts';
import { infoNCERef } from '../kernels/info_nce.ref.ts';
import { layerNorm } from '../kernels/layer_norm.ts';
import { layerNormRef } from '../kernels/layer_norm.ref.ts';
import { matmul } from '../kernels/matmul.ts';
import { matmulRef } from '../kernels/matmul.ref.ts';
import { rmsNorm } from '../kernels/rms_norm.ts';
import { rmsNormRef } from '../kernels/rms_norm.ref.ts';
import { softmax } from '../kernels/softmax.ts';

/** One measured kernel with its float64 formula. */
export interface Case {
  name: string;
  shape: string;
  inputs: readonly Shape[];
  run: (t: readonly Tensor[]) => Tensor;
  reference: (x: readonly Float64Array[]) => Float64Array;
  /** Largest NMSE that counts as right. */
  limit: number;
  flop?: number;
  bytes?: number;
}

/** Seeded normal values. @param shape sizes @param seed number @returns [shape] values */
export function normalValues(shape: Shape, seed: number): Float32Array {
  let a = Math.imul(seed, 0x9e3779b9) >>> 0;
  const next = (): number => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: size(shape) }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

function product(name: string, m: number, n: number, k: number, flags: { transposeA?: boolean; transposeB?: boolean } = {}): Case {
  const a = flags.transposeA ? [k, m] : [m, k];
  const b = flags.transposeB ? [n, k] : [k, n];
  return {
    name, shape: `${m} x ${n} x ${k}`, inputs: [a, b], run: ([x, y]) => matmul(x!, y!, flags), reference: ([x, y]) => matmulRef(x!, y!, { batch: 1, m, n, k, ...flags }),
    limit: 1e-11, flop: 2 * m * n * k,
  };
}

function attend(batch: number, tokens: number, heads: number, headDim: number): Case {
  const shape = [batch, tokens, heads, headDim];
  return {
    name: 'attention', shape: `[${shape.join(', ')}]`, inputs: [shape, shape, shape], run: ([q, k, v]) => attention(q!, k!, v!),
    reference: ([q, k, v]) => attentionRef({ batch, tq: tokens, tk: tokens, heads, kvHeads: heads, headDim }, q!, k!, v!),
    limit: 1e-11, flop: 4 * batch * heads * tokens * tokens * headDim,
  };
}

const rowwise = (x: Float64Array, cols: number, f: (row: Float64Array) => Float64Array): Float64Array => {
  const y = new Float64Array(x.length);
  for (let r = 0; r < x.length; r += cols) y.set(f(x.subarray(r, r + cols)), r);
  return y;
};
const unit = (row: Float64Array): Float64Array => { const n = Math.hypot(...row); return row.map(v => v / n); };
const softmaxRow = (row: Float64Array): Float64Array => { const top = Math.max(...row); const e = row.map(v => Math.exp(v - top)); const s = e.reduce((a, v) => a + v, 0); return e.map(v => v / s); };

const ROWS: Shape = [4096, 192];
const traffic = (shape: Shape, tensors: number): number => tensors * size(shape) * 4;

export const CASES: readonly Case[] = [
  product('matmul NT (y = x wT)', 4096, 192, 192, { transposeB: true }),
  product('matmul NN (dx = dy w)', 4096, 192, 192),
  product('matmul TN (dw = dyT x)', 192, 192, 4096, { transposeA: true }),
  product('matmul NT patch embedding', 256, 192, 6144, { transposeB: true }),
  product('matmul', 512, 512, 512),
  attend(256, 16, 4, 32),
  attend(1, 256, 16, 64),
  { name: 'layerNorm', shape: '[4096, 192]', inputs: [ROWS, [192], [192]], run: ([x, w, b]) => layerNorm(x!, w!, b!, { eps: 1e-6 }), reference: ([x, w, b]) => layerNormRef(x!, w!, b!, 1e-6), limit: 1e-11, bytes: traffic(ROWS, 2) },
  { name: 'rmsNorm', shape: '[4096, 192]', inputs: [ROWS, [192]], run: ([x, w]) => rmsNorm(x!, w!, { eps: 1e-5 }), reference: ([x, w]) => rmsNormRef(x!, w!, 1e-5, 0), limit: 1e-11, bytes: traffic(ROWS, 2) },
  { name: 'softmax', shape: '[4096, 192]', inputs: [ROWS], run: ([x]) => softmax(x!), reference: ([x]) => rowwise(x!, 192, softmaxRow), limit: 1e-11, bytes: traffic(ROWS, 2) },
  { name: 'l2Normalize', shape: '[4096, 192]', inputs: [ROWS], run: ([x]) => l2Normalize(x!), reference: ([x]) => rowwise(x!, 192, unit), limit: 1e-11, bytes: traffic(ROWS, 2) },
  { name: 'gelu', shape: '[4096, 576]', inputs: [[4096, 576]], run: ([x]) => gelu(x!), reference: ([x]) => x!.map(geluRef), limit: 1e-11, bytes: traffic([4096, 576], 2) },
  { name: 'add', shape: '[4096, 576]', inputs: [[4096, 576], [4096, 576]], run: ([x, y]) => add(x!, y!), reference: ([x, y]) => x!.map((v, i) => v + y![i]!), limit: 1e-13, bytes: traffic([4096, 576], 3) },
  {
    name: 'infoNCE forward', shape: 'N 512, D 256', inputs: [[512, 256], [512, 256], [1]], run: ([p, y, s]) => infoNCE(l2Normalize(p!), l2Normalize(y!), s!).loss,
    reference: ([p, y, s]) => Float64Array.of(infoNCERef(rowwise(p!, 256, unit), rowwise(y!, 256, unit), s![0]!, 256).loss[0]), limit: 1e-11, flop: 2 * 512 * 512 * 256,
  },
];
