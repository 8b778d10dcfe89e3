// `vl-jepa bench tune`: every tile that the adapter can run, at the products of the model: checked against float64, then timed in turn. The winners go into the user's
// cache folder, where openDevice finds them from then on.
import type { Device } from '../engine/device.ts';
import { openDevice } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { Tensor } from '../engine/tensor.ts';
import { loadTuning, storeTuning, tuningKey } from '../engine/tuning.ts';
import type { TuningTable } from '../engine/tuning.ts';
import { forceTile, multiply, tileSize } from '../kernels/matmul.ts';
import { TILE_NAMES, kernelVersion, runs, shapeClass, shapeKey } from '../kernels/matmul_table.ts';
import type { ShapeClass, TileName } from '../kernels/matmul_table.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { valuesOf, words } from './case.ts';
import type { Profile } from './case.ts';
import { elapsed, innerFor, quantile } from './measure.ts';
import { tuneShapes } from './tune_shapes.ts';
import type { TuneShape } from './tune_shapes.ts';

/** A way to run a product: a tile and a number of parts of k, or what the adapter gets without measuring. */
export interface Candidate { tile: TileName | 'shipped'; splits: number }

export interface Measured extends Candidate { medianMs?: number; nmse: number; samples?: number; /** Why it has no time. */ dropped?: 'wrong' | 'slow' }

export interface TuneRow { use: string; shape: string; class: ShapeClass; form: string; best: Candidate; bestMs: number; shippedMs: number; gflops: number; candidates: Measured[] }

export interface TuneOptions { profile: Profile; only?: string | undefined; timeMs: number; output?: string | undefined; json: boolean }

/** Elements compared with float64. */
const SAMPLES = 2048;
/** Largest NMSE that counts as right. */
const LIMIT = 1e-11;
/** A candidate that takes so many times the best of the first round is not timed on. */
const SLOW = 2.5;
const FEWEST_ROUNDS = 5;
const MOST_ROUNDS = 61;
/** Parts of k that are tried, as long as they stay this long and the workgroups are few. */
const SPLITS = [1, 2, 4, 8, 16] as const;
const SHORTEST_PART = 128;
const MANY_GROUPS = 512;

/** What is tried for a product. @param device where @param s its sizes @returns tiles that run, each with the cuts of k that may pay */
export function candidatesFor(device: Device, s: TuneShape): Candidate[] {
  const forLength = Math.ceil(s.k / 4096); // multiply cuts longer sums in any case
  return TILE_NAMES.filter(tile => runs(device, tile)).flatMap(tile => {
    const { rows, cols } = tileSize(tile);
    const groups = Math.ceil(s.m / rows) * Math.ceil(s.n / cols) * s.batch;
    return SPLITS.filter(n => n === 1 || (n > forLength && s.k / n >= SHORTEST_PART && groups * n <= MANY_GROUPS)).map(splits => ({ tile, splits: Math.max(splits, forLength) }));
  });
}

function force({ tile, splits }: Candidate): void {
  if (tile === 'shipped') forceTile(undefined);
  else forceTile(tile, splits);
}

/** NMSE over sampled elements. */
function errorOf(s: TuneShape, a: ArrayLike<number>, b: ArrayLike<number>, y: Float32Array): number {
  const next = words(5);
  let error = 0, power = 0;
  const count = s.batch * s.m * s.n;
  for (let i = 0; i < Math.min(SAMPLES, count); i++) {
    const at = count <= SAMPLES ? i : next() % count;
    const [z, row, col] = [Math.floor(at / (s.m * s.n)), Math.floor(at / s.n) % s.m, at % s.n];
    const [a0, b0] = [z * s.m * s.k, z * s.k * s.n];
    let sum = 0;
    for (let l = 0; l < s.k; l++) sum += a[a0 + (s.transposeA ? l * s.m + row : row * s.k + l)]! * b[b0 + (s.transposeB ? col * s.k + l : l * s.n + col)]!;
    error += (y[at]! - sum) ** 2;
    power += sum ** 2;
  }
  return power ? error / power : error;
}

/** Checks and times all candidates of a product. @param device where @param s sizes @param candidates what to try @param timeMs of measuring per candidate @returns each with its error and median */
export async function race(device: Device, s: TuneShape, candidates: readonly Candidate[], timeMs: number): Promise<Measured[]> {
  const av = valuesOf({ shape: [s.batch * s.m * s.k] }, 1), bv = valuesOf({ shape: [s.batch * s.k * s.n] }, 2);
  const a = Tensor.from(device, av), b = Tensor.from(device, bv);
  const run = (): Tensor => multiply(device, { a, b, m: s.m, n: s.n, k: s.k, transposeA: s.transposeA, transposeB: s.transposeB, batch: s.batch }, [s.batch, s.m, s.n]).y;
  const sample = async (c: Candidate, inner: number): Promise<number> => {
    force(c);
    return await elapsed(device, () => { run(); }, inner) / inner;
  };
  const out: Measured[] = [];
  const live: { row: Measured; inner: number; times: number[] }[] = [];
  try {
    for (const c of candidates) {
      force(c);
      const y = scope(run);
      const row: Measured = { ...c, nmse: errorOf(s, av, bv, await y.read()) };
      y.dispose();
      out.push(row);
      if (row.nmse <= LIMIT) live.push({ row, inner: await innerFor(device, () => { run(); }), times: [] });
      else row.dropped = 'wrong';
    }
    for (const l of live) l.times.push(await sample(l.row, l.inner));
    const first = Math.min(...live.map(l => l.times[0]!));
    for (const l of live) if (l.times[0]! > SLOW * first && l.row.tile !== 'shipped') l.row.dropped = 'slow';
    const fast = live.filter(l => !l.row.dropped);
    const perRound = fast.reduce((ms, l) => ms + l.times[0]! * l.inner, 0);
    const rounds = Math.max(FEWEST_ROUNDS, Math.min(MOST_ROUNDS, Math.round(timeMs * fast.length / perRound)));
    for (const l of fast) l.times = [];
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < fast.length; i++) { // whoever is first changes
        const l = fast[(i + round) % fast.length]!;
        l.times.push(await sample(l.row, l.inner));
      }
    }
    for (const l of fast) Object.assign(l.row, { medianMs: quantile([...l.times].sort((x, y) => x - y), 0.5), samples: l.times.length });
  } finally {
    forceTile(undefined);
    a.dispose();
    b.dispose();
  }
  return out;
}

/** The fastest; of those within 2 % of it the one that cuts k least. @param rows of one product @returns its candidate and time @throws Error when none is right */
export function winner(rows: readonly Measured[]): Measured & { medianMs: number } {
  const timed = rows.filter((r): r is Measured & { medianMs: number } => r.medianMs !== undefined && r.tile !== 'shipped');
  if (!timed.length) throw new Error('bench: no tile gave a right product, expected at least one');
  const best = Math.min(...timed.map(r => r.medianMs));
  return timed.filter(r => r.medianMs <= 1.02 * best).sort((x, y) => x.splits - y.splits || x.medianMs - y.medianMs)[0]!;
}

/** A class changes its tile for no less than this factor. */
const WORTH = 1.02;

/** Per class the tile that loses least over its products (geometric mean of its best time over the product's), and the workgroups that it had then; none where what ships is as fast. @param rows all products @returns by class */
export function classWinners(rows: readonly TuneRow[]): TuningTable['classes'] {
  const classes: Record<string, { tile: string; groups: number }> = {};
  for (const name of new Set(rows.map(r => r.class))) {
    const mine = rows.filter(r => r.class === name);
    const scores = TILE_NAMES.flatMap(tile => {
      const bests = mine.map(r => ({ r, best: r.candidates.filter(c => c.tile === tile && c.medianMs !== undefined).sort((x, y) => x.medianMs! - y.medianMs!)[0] }));
      if (bests.some(x => !x.best)) return []; // too slow or wrong somewhere in the class
      const loss = bests.reduce((sum, { r, best }) => sum + Math.log(best!.medianMs! / r.bestMs), 0) / bests.length;
      const gain = bests.reduce((sum, { r, best }) => sum + Math.log(r.shippedMs / best!.medianMs!), 0) / bests.length; // NaN: what ships is wrong here
      const { rows: height, cols } = tileSize(tile);
      const groups = bests.map(({ r, best }) => { const [m, n, , batch = 1] = r.shape.split('x').map(Number); return Math.ceil(m! / height) * Math.ceil(n! / cols) * batch * best!.splits; });
      return [{ tile, loss, gain, groups: quantile(groups.sort((x, y) => x - y), 0.5) }];
    });
    const best = scores.sort((x, y) => x.loss - y.loss)[0];
    if (best && !(best.gain < Math.log(WORTH))) classes[name] = { tile: best.tile, groups: best.groups };
  }
  return classes;
}

const COLUMNS = [['product', 34], ['m x n x k', 20], ['form', 6], ['class', 8], ['shipped ms', -11], ['best ms', -9], ['gain', -7], ['GFLOP/s', -10], ['  tile', 14], ['parts', -6], ['candidates', -12]] as const;
const line = (cells: readonly string[]): string => COLUMNS.map(([, width], i) => (width > 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(-width))).join('');

async function tuneOne(device: Device, s: TuneShape, timeMs: number): Promise<TuneRow> {
  const candidates = await race(device, s, [{ tile: 'shipped', splits: 0 }, ...candidatesFor(device, s)], timeMs);
  const { tile, splits, medianMs } = winner(candidates);
  return {
    use: s.use, shape: shapeKey(s), class: shapeClass(s), form: `${s.transposeA ? 'T' : 'N'}${s.transposeB ? 'T' : 'N'}`, best: { tile, splits }, bestMs: medianMs,
    shippedMs: candidates[0]!.medianMs ?? NaN, gflops: 2 * s.batch * s.m * s.n * s.k / medianMs / 1e6, candidates,
  };
}

/**
 * Measures all tiles, prints a table and keeps the winners for this adapter and driver; earlier winners of the same kernels stay where nothing was measured.
 * @param options shapes, filter, time per candidate, JSON file to write, whether people read along @returns adapter, rows, table and where it was stored
 * @throws Error when a tile was wrong (after the rest was stored), or no product has that name
 */
export async function benchTune({ profile, only, timeMs, output, json }: TuneOptions): Promise<object> {
  const device = await openDevice({ tuning: 'off' });
  const say = (text: string): void => { if (!json) console.log(text); };
  const shapes = tuneShapes(profile, only);
  if (!shapes.length) throw new Error(`bench: no product is called ${only} in profile ${profile}, expected a part of its use`);
  say(`adapter: ${device.adapter.notice}\n${line(COLUMNS.map(([name]) => name))}`);
  const rows: TuneRow[] = [];
  for (const s of shapes) {
    const row = await tuneOne(device, s, timeMs);
    rows.push(row);
    say(line([row.use, row.shape, row.form, row.class, row.shippedMs.toFixed(3), row.bestMs.toFixed(3), `${(row.shippedMs / row.bestMs).toFixed(2)}x`, row.gflops.toFixed(1), `  ${row.best.tile}`, String(row.best.splits), String(row.candidates.length - 1)]));
    device.trim();
  }
  const info = device.gpu.adapterInfo;
  const before = await loadTuning(info);
  const earlier = before?.kernels === kernelVersion() ? before : undefined;
  const measured = Object.fromEntries(rows.filter(r => !(r.bestMs > WORTH * r.shippedMs)).map(r => [r.shape, { tile: r.best.tile, splits: r.best.splits }]));
  const table: TuningTable = { kernels: kernelVersion(), shapes: { ...earlier?.shapes, ...measured }, classes: { ...earlier?.classes, ...classWinners(rows) } };
  const stored = await storeTuning(tuningKey(info), table);
  say(`stored in ${stored} for ${tuningKey(info)}; VL_JEPA_TUNING=off ignores it`);
  const result = { adapter: device.adapter, date: new Date().toISOString(), command: `vl-jepa bench tune --profile ${profile} --time-ms ${timeMs}${only ? ` --only ${only}` : ''}`, node: process.version, stored, table, rows };
  if (output) await writeFileAtomic(output, `${JSON.stringify(result, null, 1)}\n`);
  const wrong = rows.flatMap(r => r.candidates.filter(c => c.dropped === 'wrong').map(c => `${c.tile} in ${c.splits} parts at ${r.shape} (NMSE ${c.nmse.toExponential(1)})`));
  if (wrong.length) throw new Error(`bench: ${wrong.length} products are wrong on this adapter, expected NMSE of at most ${LIMIT}; they are not used: ${wrong.join(', ')}`);
  return result;
}
