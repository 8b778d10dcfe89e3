// `vl-jepa bench precision`: how far the special functions of the kernels, and the language's own beside them, are from float64, over all f32 inputs or a dense sample.
import { existsSync, readFileSync } from 'node:fs';
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { CLASSES, Count, PROBES, SLICE, evaluate, numberOf } from './special_probe.ts';
import type { Probe, Tally } from './special_probe.ts';
import { writeFileAtomic } from '../weights/writer.ts';

/** A run of bit patterns: first, first + stride, … */
interface Run { first: number; stride: number; count: number }

/** All 2^32 patterns. */
const ALL: readonly Run[] = [{ first: 0, stride: 1, count: 2 ** 32 }];
/** Every 251st pattern (odd, so all low bits occur), and every pattern of the binades from 0.25 to 2 and from 64 to 128, of both signs. */
const SAMPLE: readonly Run[] = [
  { first: 0, stride: 251, count: Math.floor(2 ** 32 / 251 / 4) * 4 },
  ...[0x3e800000, 0xbe800000].map(first => ({ first, stride: 1, count: 3 * 2 ** 23 })),
  ...[0x42800000, 0xc2800000].map(first => ({ first, stride: 1, count: 2 ** 23 })),
];
const SAMPLE_RANGE = 'every 251st f32, and every f32 with 0.25 <= |x| < 2 or 64 <= |x| < 128';

/** Counts of one kind of inputs, for the file. */
interface Errors {
  /** Inputs by error in units in the last place: upper end of the class → count. */
  ulp: Record<string, number>;
  worst: { ulp: number | 'infinite'; input: string; inputBits: string; got: string; expected: string } | undefined;
}

/** What the file holds of one function. */
export interface PrecisionRow {
  name: string;
  wgsl: string;
  builtin: boolean;
  limit: string;
  inputs: number;
  /** Which inputs those are. */
  range: string;
  command: string;
  /** Results of at least 2^-126 of inputs that are no subnormals. */
  normal: Errors;
  subnormalInputs: Errors;
  /** Inputs above the limit. */
  beyond: number;
  smallResults: { right: number; zero: number; wrong: number };
  /** Results that are 0, infinite or NaN by IEEE. */
  ends: { right: number; wrong: number; firstWrong: string | undefined };
  seconds: number;
}

const hex = (bits: number): string => `0x${bits.toString(16).padStart(8, '0')}`;

function errorsOf(probe: Probe, tally: Tally): Errors {
  const { worstBits } = tally;
  return {
    ulp: Object.fromEntries(tally.counts.map((n, i) => [i < CLASSES.length ? `<=${CLASSES[i]}` : 'more', n])),
    worst: tally.worst === 0 ? undefined : {
      ulp: Number.isFinite(tally.worst) ? tally.worst : 'infinite', input: String(numberOf(worstBits)), inputBits: hex(worstBits), got: String(numberOf(tally.worstGot)), expected: String(probe.reference(numberOf(worstBits), worstBits)),
    },
  };
}

/** Goes over the runs: the GPU is at the next slice while this one is compared. */
async function measure(device: Device, probe: Probe, sample: boolean, say: (text: string) => void): Promise<PrecisionRow> {
  const runs = sample ? SAMPLE : ALL;
  const slices = runs.flatMap(({ first, stride, count }) => Array.from({ length: Math.ceil(count / SLICE) }, (_, i) => ({
    first: (first + Math.imul(i * SLICE, stride)) >>> 0, stride, count: Math.min(SLICE, count - i * SLICE),
  })));
  const count = new Count();
  const began = performance.now();
  const launch = (s: Run | undefined): Promise<Uint32Array> | undefined => s && evaluate(device, probe, s.first, s.stride, s.count);
  let next = launch(slices[0]);
  for (const [i, s] of slices.entries()) {
    const results = await next!;
    next = launch(slices[i + 1]);
    count.take(probe, results, s.first, s.stride);
    if (i % 128 === 127) say(`  ${probe.name}: ${i + 1} of ${slices.length} slices, ${((performance.now() - began) / 1000).toFixed(0)} s, worst ${count.normal.worst.toFixed(3)}`);
  }
  const { special, small } = count;
  return {
    name: probe.name, wgsl: probe.wgsl, builtin: probe.builtin === true,
    limit: probe.ulp === undefined ? 'none' : `${probe.ulp} ULP${probe.ofInput ? ` or ${probe.ofInput} |x|` : ''}`,
    inputs: count.inputs, range: sample ? SAMPLE_RANGE : 'all 2^32 f32', command: `vl-jepa bench precision${sample ? ' --sample' : ''} --only '${probe.name}'`, normal: errorsOf(probe, count.normal), subnormalInputs: errorsOf(probe, count.subnormalInput), beyond: count.beyond,
    smallResults: { right: small.kept, zero: small.zero, wrong: small.wrong },
    ends: { right: special.right, wrong: special.wrong, firstWrong: special.wrong ? `${hex(special.wrongBits)} gave ${hex(special.wrongGot)}` : undefined },
    seconds: (performance.now() - began) / 1000,
  };
}

function line(r: PrecisionRow): string {
  const counts = Object.values(r.normal.ulp).map(n => String(n).padStart(11)).join('');
  return `${r.name.padEnd(22)}${counts}${String(r.normal.worst?.ulp ?? 0).slice(0, 8).padStart(11)} at ${(r.normal.worst?.input ?? '').padEnd(24)}${String(r.ends.wrong).padStart(9)} ends wrong ${r.seconds.toFixed(0).padStart(5)} s`;
}

/**
 * Measures the functions one after the other and writes the file after each, so that a run can be continued: rows of the same adapter that are not asked for stay.
 * @param options sample instead of all inputs, names of functions, JSON file, whether people read along @returns adapter, date, inputs and rows
 */
export async function benchPrecision({ sample = false, only, output, json = false }: { sample?: boolean; only?: readonly string[] | undefined; output?: string | undefined; json?: boolean }): Promise<object> {
  const say = (text: string): void => { if (!json) console.log(text); };
  const wanted = PROBES.filter(p => !only || only.includes(p.name));
  if (only && wanted.length !== only.length) throw new Error(`bench: ${only.filter(n => !PROBES.some(p => p.name === n)).join(', ')} is unknown, expected some of ${PROBES.map(p => p.name).join(', ')}`);
  const device = await openDevice();
  let rows: PrecisionRow[] = [];
  if (output && existsSync(output)) {
    const before = JSON.parse(readFileSync(output, 'utf8')) as { adapter: { notice: string }; rows: PrecisionRow[] };
    if (before.adapter.notice === device.adapter.notice) rows = before.rows;
  }
  say(`adapter: ${device.adapter.notice}\ninputs: ${sample ? SAMPLE_RANGE : 'all 2^32 f32'}\n${'function'.padEnd(22)}${[...CLASSES.map(c => `<=${c} ULP`), 'more'].map(c => c.padStart(11)).join('')}${'worst'.padStart(11)}`);
  let result: object = {};
  for (const probe of wanted) {
    const row = await measure(device, probe, sample, say);
    say(line(row));
    rows = [...PROBES.flatMap(p => (p === probe ? [row] : rows.filter(r => r.name === p.name)))];
    result = { adapter: device.adapter, date: new Date().toISOString(), node: process.version, rows };
    if (output) await writeFileAtomic(output, `${JSON.stringify(result, null, 1)}\n`);
  }
  return result;
}
