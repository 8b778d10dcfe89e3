// One work on all libraries: every result is checked first, then the libraries are timed in turn, so that a busy machine slows all alike.
import { wait } from '../../engine/polling.ts';
import { OURS, PLANNED } from './ours.ts';
import type { Arrays, Library, Runner } from './library.ts';
import { WrongResult, compare, referenceOf } from './reference.ts';
import { shapeOf, valuesFor } from './works.ts';
import type { Work } from './works.ts';

/** Samples shorter than this measure the wait for the GPU rather than the work, so it runs several times per sample. */
const SAMPLE_MS = 40;
const MOST_INNER = 32;

export interface Times {
  medianMs: number;
  minMs: number;
  maxMs: number;
  gflops: number;
  /** Of one run, by round. */
  samplesMs: number[];
  /** Processor time of one run, of all threads, median: what a busy machine disturbs least. Only in Node, and only software adapters compute there. */
  cpuMs?: number;
  /** Runs per sample. */
  inner: number;
  /** Preparation and first run: compiling, uploading. */
  firstMs: number;
  /** Worst NMSE against float64, elements compared, elements there are. */
  nmse: number;
  checked: number;
  of: number;
}

/** How many times as fast as the peer with the best median; above 1 is faster. */
export interface Ratio {
  best: string;
  median: number;
  min: number;
  max: number;
  /** The same by processor time, against the peer that needs the least. */
  cpu?: number;
}

export interface Row {
  work: string;
  use: string;
  shape: string;
  flop: number;
  times: Record<string, Times>;
  /** Why a library did not run. */
  cannot: Record<string, string>;
  /** Of our forms, by name. */
  ratios: Record<string, Ratio>;
}

const isOurs = (name: string): boolean => name === OURS || name === PLANNED;

const median = (values: readonly number[]): number => {
  const s = [...values].sort((a, b) => a - b);
  const half = s.length >> 1;
  return s.length % 2 ? s[half]! : (s[half - 1]! + s[half]!) / 2;
};

/**
 * Ratios of one of our forms, pair by pair of the same round.
 * @param ours ms by round @param peers ms by round of each peer @returns against the peer with the best median, or undefined without peers
 */
export function ratioOf(ours: readonly number[], peers: Readonly<Record<string, readonly number[]>>): Ratio | undefined {
  const [best] = Object.entries(peers).sort(([, a], [, b]) => median(a) - median(b));
  if (!best) return undefined;
  const pairs = ours.map((ms, i) => best[1][i]! / ms);
  return { best: best[0], median: median(pairs), min: Math.min(...pairs), max: Math.max(...pairs) };
}

interface Sample { ms: number; cpuMs: number | undefined }

/** Processor time of this process so far; a page cannot know. */
function cpuNow(): number | undefined {
  if (typeof process === 'undefined' || !process.cpuUsage) return undefined;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function sample(runner: Runner, inner: number): Promise<Sample> {
  const start = performance.now(), cpu = cpuNow();
  await wait((async () => {
    for (let i = 0; i < inner; i++) await runner.run();
    await runner.sync();
  })());
  return { ms: (performance.now() - start) / inner, cpuMs: cpu === undefined ? undefined : (cpuNow()! - cpu) / inner };
}

interface Entry { name: string; runner: Runner; inner: number; firstMs: number; sizes: ReturnType<typeof compare>; samples: Sample[] }

async function enter({ name, prepare }: Library, work: Work, values: Arrays, reference: ReturnType<typeof referenceOf>): Promise<Entry | string | undefined> {
  const start = performance.now();
  const runner = await prepare(work, values);
  if (!runner || typeof runner === 'string') return runner;
  const preparing = performance.now() - start;
  const firstMs = preparing + (await sample(runner, 1)).ms;
  let sizes: Entry['sizes'];
  try {
    sizes = compare(`${name}, ${work.name},`, reference, await runner.results());
  } catch (error) {
    runner.dispose();
    if (!(error instanceof WrongResult) || isOurs(name)) throw error;
    return error.what; // a peer that is wrong on this adapter is no reason to stop
  }
  let once = (await sample(runner, 1)).ms;
  if (once < SAMPLE_MS) once = Math.min(once, (await sample(runner, 1)).ms);
  return { name, runner, inner: Math.max(1, Math.min(MOST_INNER, Math.ceil(SAMPLE_MS / once))), firstMs, sizes, samples: [] };
}

/**
 * Checks and times a work.
 * @param work which @param libraries ours among them @param rounds turns, each library once per turn @returns the row @throws WrongResult when ours is wrong; a wrong peer is left out, with the reason
 */
export async function measureWork(work: Work, libraries: readonly Library[], rounds: number): Promise<Row> {
  const values = valuesFor(work);
  const reference = referenceOf(work, values);
  const row: Row = { work: work.name, use: work.use, shape: shapeOf(work), flop: work.flop, times: {}, cannot: {}, ratios: {} };
  const entries: Entry[] = [];
  try {
    for (const library of libraries) {
      const entry = await enter(library, work, values, reference);
      if (typeof entry === 'string') row.cannot[library.name] = entry;
      else if (entry) entries.push(entry);
    }
    // Who comes first changes from round to round: nobody always runs after the same neighbour.
    for (let round = 0; round < rounds; round++) for (let i = 0; i < entries.length; i++) {
      const e = entries[(i + round) % entries.length]!;
      e.samples.push(await sample(e.runner, e.inner));
    }
  } finally {
    for (const { runner } of entries) runner.dispose();
  }
  return summarise(row, entries);
}

function summarise(row: Row, entries: readonly Entry[]): Row {
  for (const { name, inner, firstMs, sizes, samples } of entries) {
    const ms = samples.map(s => s.ms);
    const medianMs = median(ms), cpuMs = cpuOf(samples);
    row.times[name] = {
      medianMs, minMs: Math.min(...ms), maxMs: Math.max(...ms), gflops: row.flop / medianMs / 1e6, samplesMs: ms.map(v => Number(v.toFixed(3))), ...(cpuMs !== undefined && { cpuMs }), inner, firstMs, ...sizes,
    };
  }
  const peers = entries.filter(e => !isOurs(e.name));
  const times = Object.fromEntries(peers.map(e => [e.name, e.samples.map(s => s.ms)]));
  const leastCpu = Math.min(...peers.map(e => cpuOf(e.samples) ?? NaN));
  for (const { name, samples } of entries) {
    const ratio = isOurs(name) ? ratioOf(samples.map(s => s.ms), times) : undefined;
    const cpuMs = cpuOf(samples);
    if (ratio) row.ratios[name] = cpuMs === undefined ? ratio : { ...ratio, cpu: leastCpu / cpuMs };
  }
  return row;
}

const cpuOf = (samples: readonly Sample[]): number | undefined => (samples.some(s => s.cpuMs === undefined) ? undefined : median(samples.map(s => s.cpuMs!)));
