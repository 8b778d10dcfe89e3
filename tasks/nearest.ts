// The exact nearest rows of a gallery by cosine, chosen on the GPU: only k numbers per query come back, never all of [Q, N].
import { ShapeError, checkShape } from '../engine/check.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { matmul } from '../kernels/matmul.ts';
import { topKRows } from '../kernels/top_k.ts';
import type { TopK } from '../kernels/top_k.ts';

export interface Hit {
  /** Row of the gallery. */
  index: number;
  /** Cosine, −1 to 1. */
  score: number;
}

/** Bytes of the cosines that are there at a time. */
const WORKSPACE_BYTES = 16 * 2 ** 20;
/** Queries at a time. */
const QUERIES = 1024;
/** Views of a tensor begin at multiples of this many elements. */
const STEP = 64;

/**
 * The k best rows of a gallery for each query, best first; equal cosines by the lower row; exact.
 * @param queries [Q, dim] unit rows @param gallery [N, dim] unit rows, in parts where one binding cannot hold it @param k how many; all where there are fewer @param options workspace bytes of the cosines held at a time
 * @returns per query: hits, best first @throws ShapeError when widths differ or k is no whole number of at least 1
 */
export async function nearest(queries: Tensor, gallery: Tensor | readonly Tensor[], k: number, { workspaceBytes = WORKSPACE_BYTES } = {}): Promise<Hit[][]> {
  if (!Number.isInteger(k) || k < 1) throw new ShapeError(`nearest: k is ${k}, expected a whole number of at least 1`);
  const parts: readonly Tensor[] = 'shape' in gallery ? [gallery] : gallery;
  checkShape('nearest', 'queries', queries, [null, null], '[Q, dim]');
  for (const part of parts) checkShape('nearest', 'gallery', part, [null, queries.shape[1]!], 'rows as wide as the queries');
  const [count, dim] = queries.shape as [number, number];
  const most = Math.min(k, parts.reduce((n, p) => n + p.shape[0]!, 0));
  if (most === 0) return Array.from({ length: count }, () => []);
  const hits: Hit[][] = [];
  for (let start = 0; start < count; start += QUERIES) {
    const rows = Math.min(QUERIES, count - start);
    const { values, indices } = scope(() => noGrad(() => search(start === 0 && rows === count ? queries : queries.view([rows, dim], start * dim), parts, most, workspaceBytes)));
    const [scores, places] = await Promise.all([values.read(), indices.readU32()]);
    values.dispose();
    indices.dispose();
    for (let q = 0; q < rows; q++) hits.push(Array.from({ length: most }, (_, j) => ({ index: places[q * most + j]!, score: scores[q * most + j]! })));
  }
  return hits;
}

/** The running best over chunks of the gallery. */
function search(queries: Tensor, parts: readonly Tensor[], k: number, workspaceBytes: number): TopK {
  const [rows, dim] = queries.shape as [number, number];
  const chunk = Math.max(STEP, Math.floor(workspaceBytes / 4 / rows / STEP) * STEP);
  let best: TopK | undefined;
  let base = 0;
  for (const part of parts) {
    const count = part.shape[0]!;
    for (let at = 0; at < count; at += chunk) {
      const seen: TopK | undefined = best;
      best = scope(() => {
        const some = count <= chunk ? part : part.view([Math.min(chunk, count - at), dim], at * dim);
        return topKRows(matmul(queries, some, { transposeB: true }), k, { base: base + at, ...(seen && { seen }) });
      });
      seen?.values.dispose();
      seen?.indices.dispose();
      queries.device.flush(); // a display driver resets a submission that takes seconds
    }
    base += count;
  }
  return best!;
}
