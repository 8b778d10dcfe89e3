// Decoding token by token and search: rows of caches, beams, draws, the best of each row, at the shipped model's shapes.
import { Tensor } from '../engine/tensor.ts';
import { beamStep } from '../kernels/beam_step.ts';
import { beamStepRef } from '../kernels/beam_step.ref.ts';
import { readRows, writeRows } from '../kernels/cache_rows.ts';
import { readRowsRef, writeRowsRef } from '../kernels/cache_rows.ref.ts';
import { sampleToken } from '../kernels/sample_token.ts';
import { sampleTokenRef } from '../kernels/sample_token.ref.ts';
import { topKRows } from '../kernels/top_k.ts';
import { topKRowsRef } from '../kernels/top_k.ref.ts';
import { bytesOf, whole } from './case.ts';
import type { Case } from './case.ts';
import { SHIPPED } from './sizes.ts';

const CAPTIONS = 64, WIDTH = 4, VOCABULARY = 2048, LENGTH = 32, CHANNELS = 128, POSITION = 7, LABELS = 1594, BEST = 10;
const logits = [CAPTIONS, VOCABULARY] as const;
const BEAM = { width: WIDTH, eos: 1, pad: 0, step: 3, lengthPenalty: 1 } as const;
const DRAW = { temperature: 1, topK: 40, topP: 0.9, seed: 1, step: 3, firstRow: 0, eos: 1, pad: 0 } as const;
const nothing = new Float64Array(3 * CAPTIONS);

/** Rows of this group. */
export const DECODING: readonly Case[] = [
  {
    op: 'writeRows', pass: 'forward', use: 'one token into a cache of 64 captions', shape: `[${CAPTIONS}, ${LENGTH}, ${CHANNELS}]`, profile: 'quick', limit: 0, bytes: 2 * bytesOf([CAPTIONS, 1, CHANNELS]),
    inputs: [{ shape: [CAPTIONS, LENGTH, CHANNELS] }, { shape: [CAPTIONS, 1, CHANNELS] }],
    run: ([cache, x]) => {
      writeRows(cache!, x!, POSITION);
      return cache!.view([CAPTIONS, LENGTH, CHANNELS]);
    },
    check: whole(([cache, x]) => writeRowsRef(cache!, x!, [CAPTIONS, LENGTH, 1, CHANNELS], POSITION)),
  },
  {
    op: 'readRows', pass: 'forward', use: 'one row of a cache of 64 captions', shape: `[${CAPTIONS}, ${LENGTH}, ${CHANNELS}]`, profile: 'quick', limit: 0, bytes: 2 * bytesOf([CAPTIONS, 1, CHANNELS]),
    inputs: [{ shape: [CAPTIONS, LENGTH, CHANNELS] }], run: ([rows]) => readRows(rows!, POSITION, 1), check: whole(([rows]) => readRowsRef(rows!, [CAPTIONS, LENGTH, 1, CHANNELS], POSITION)),
  },
  {
    op: 'beamStep', pass: 'forward', use: '16 captions, 4 beams each', shape: `[${logits.join(', ')}]`, profile: 'quick', limit: 1e-12, bytes: bytesOf(logits), inputs: [{ shape: logits, scale: 3 }],
    run: ([x], d) => {
      const { tokens, parents, state } = beamStep(x!, Tensor.zeros(d, [CAPTIONS, 3]), BEAM);
      return [tokens, parents, state];
    },
    check: whole(([x]) => beamStepRef(x!, nothing, VOCABULARY, BEAM)),
  },
  {
    op: 'sampleToken', pass: 'forward', use: '64 captions, top 40 and 90 %', shape: `[${logits.join(', ')}]`, profile: 'quick', limit: 1e-12, bytes: bytesOf(logits), inputs: [{ shape: logits, scale: 3 }],
    run: ([x], d) => {
      const { tokens, state } = sampleToken(x!, Tensor.zeros(d, [CAPTIONS, 3]), DRAW);
      return [tokens, state];
    },
    check: whole(([x]) => sampleTokenRef(x!, nothing, VOCABULARY, DRAW)),
  },
  {
    op: 'topKRows', pass: 'forward', use: `the best ${BEST} of ${LABELS} names`, shape: `[${SHIPPED.batch}, ${LABELS}]`, profile: 'quick', limit: 0, bytes: bytesOf([SHIPPED.batch, LABELS]), inputs: [{ shape: [SHIPPED.batch, LABELS] }],
    run: ([x]) => {
      const { values, indices } = topKRows(x!, BEST);
      return [values, indices];
    },
    check: whole(([x]) => topKRowsRef(x!, LABELS, BEST)),
  },
];
