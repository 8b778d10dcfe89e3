// Proves ops from their entries: batches of cases on a device, their verdicts, and the smallest case that still fails.
import type { Device } from '../../engine/device.ts';
import { FULL_CAP } from './draw.ts';
import { execute } from './execute.ts';
import type { Outcome } from './execute.ts';
import { judge } from './judge.ts';
import type { Judgement } from './judge.ts';
import { FUZZ_SHARES, plan } from './plan.ts';
import type { Planned, Shares, Spec } from './plan.ts';
import type { Proof } from './proof.ts';

export type { Judgement, Spec };

/** Cases that go to the device together: one submit and one read for all of them. */
export const BATCH = 24;

const SMALLER_CAPS = [1, 2, 3, 4, 5, 8, 13, 16, 33, 65, 129];
const ALL: Shares = { again: 1, permuted: 1, nonfinite: 1, differences: 1 };

/** A spec with its verdict. */
export interface Checked {
  readonly spec: Spec;
  readonly judgement: Judgement;
}

/** A failure, as small as it could be made. */
export interface Failure {
  readonly spec: Spec;
  readonly fault: string;
  /** Shapes and options, for people. */
  readonly about: string;
}

const lost = (fault: string): Judgement => ({ fault, forward: 0, gradient: 0, twin: 0, conditioned: 0, exact: 0 });

/** The entry of an op. @param table entries @param op name @returns the entry @throws Error when there is none */
export function entryOf(table: readonly Proof[], op: string): Proof {
  const found = table.find(p => p.name === op);
  if (!found) throw new Error(`no op of the proof table is named ${op}, expected one of ${table.map(p => p.name).join(', ')}`);
  return found;
}

/** Planned cases: `all` has a text where a case could not be drawn, `good` only those that can run. */
export interface Plans {
  readonly all: readonly (Planned | string)[];
  readonly good: readonly Planned[];
}

/** A case that throws while it is drawn is a fault of its entry, not of the run. */
function planned(table: readonly Proof[], spec: Spec, shares: Shares): Planned | string {
  try {
    return plan(entryOf(table, spec.op), spec, shares);
  } catch (error) {
    return `could not be drawn: ${(error as Error).message}`;
  }
}

/** Plans a batch. @param table entries @param specs cases @param shares how often the dearer checks are made @returns plans */
export function planAll(table: readonly Proof[], specs: readonly Spec[], shares: Shares): Plans {
  const all = specs.map(spec => planned(table, spec, shares));
  return { all, good: all.filter((p): p is Planned => typeof p !== 'string') };
}

function verdict(p: Planned, outcomes: readonly Outcome[]): Judgement {
  try {
    return judge(p, outcomes);
  } catch (error) {
    return lost(`could not be judged: ${(error as Error).stack ?? String(error)}`);
  }
}

/** Judges a batch. @param specs cases @param plans of the same cases @param outcomes of the good ones @returns one verdict per spec */
export function judgeAll(specs: readonly Spec[], { all }: Plans, outcomes: readonly (readonly Outcome[])[]): Checked[] {
  let at = 0;
  return specs.map((spec, i) => {
    const p = all[i]!;
    return { spec, judgement: typeof p === 'string' ? lost(p) : verdict(p, outcomes[at++]!) };
  });
}

/**
 * Runs cases together and judges them.
 * @param device where @param table entries @param specs cases @param shares how often the dearer checks are made
 * @returns one verdict per spec @throws DeviceError when the device reported an error on the side: it is of no further use
 */
export async function checkBatch(device: Device, table: readonly Proof[], specs: readonly Spec[], shares: Shares = FUZZ_SHARES): Promise<Checked[]> {
  const plans = planAll(table, specs, shares);
  return judgeAll(specs, plans, await execute(device, plans.good));
}

/**
 * Runs any number of cases in batches; heavy ones alone.
 * @param device where @param table entries @param specs cases @param shares how often the dearer checks are made @returns one verdict per spec
 */
export async function checkAll(device: Device, table: readonly Proof[], specs: readonly Spec[], shares: Shares = FUZZ_SHARES): Promise<Checked[]> {
  const done: Checked[] = [];
  for (let i = 0; i < specs.length; ) {
    let end = i + 1;
    if (specs[i]!.heavy === undefined) while (end < specs.length && end - i < BATCH && specs[end]!.heavy === undefined) end++;
    done.push(...await checkBatch(device, table, specs.slice(i, end), shares));
    i = end;
  }
  return done;
}

async function faultOf(device: Device, table: readonly Proof[], spec: Spec, shares: Shares): Promise<string | undefined> {
  return (await checkBatch(device, table, [spec], shares))[0]!.judgement.fault;
}

/** Shapes, options and types of a case. @param table entries @param spec case @param shares as it ran @returns one line */
export function describe(table: readonly Proof[], spec: Spec, shares: Shares = FUZZ_SHARES): string {
  const p = planned(table, spec, shares);
  if (typeof p === 'string') return p;
  const options = JSON.stringify(p.case.options, (_, v: unknown) => (ArrayBuffer.isView(v) || (Array.isArray(v) && v.length > 16) ? `${(v as ArrayLike<unknown>).length} values` : v)) ?? 'none';
  return `${p.kind} ${p.runs[0]!.inputs.map(s => `${s.input.kind} ${s.dtype} [${s.input.shape.join(', ')}]`).join(', ')}; options ${options}`;
}

/**
 * Makes a failing case smaller: the same seed with a smaller cap, simpler values, plain storage.
 * @param device where @param table entries @param failed spec and fault @param shares as it ran @returns the smallest that still fails
 */
export async function shrink(device: Device, table: readonly Proof[], failed: { spec: Spec; fault: string }, shares: Shares = FUZZ_SHARES): Promise<Failure> {
  let { spec, fault } = failed;
  const attempt = async (next: Spec): Promise<boolean> => {
    const now = await faultOf(device, table, next, shares);
    if (now) [spec, fault] = [next, now];
    return now !== undefined;
  };
  if (spec.heavy === undefined) {
    for (const cap of SMALLER_CAPS) if (cap < spec.cap && await attempt({ ...spec, cap })) break;
    await attempt({ ...spec, plain: true });
    for (const only of ['normal', 'integers'] as const) if (await attempt({ ...spec, only })) break;
  }
  return { spec, fault, about: describe(table, spec, shares) };
}

/** The command that repeats a case. @param spec case @returns one line for a shell */
export function command({ op, seed, cap, only, plain, heavy }: Spec): string {
  const parts = [`npm run fuzz -- --op ${/\W/.test(op) ? JSON.stringify(op) : op}`];
  if (heavy !== undefined) parts.push(`--heavy "${heavy}"`);
  else parts.push(`--seed ${seed} --cap ${cap}`);
  if (only) parts.push(`--only ${only}`);
  if (plain) parts.push('--plain');
  return parts.join(' ');
}

/** Specs of the fast profile: the same few seeds of every op. @param proof entry @param count how many @param first seed @returns specs */
export const fastSpecs = (proof: Proof, count: number, first = 1): Spec[] => Array.from({ length: count }, (_, i) => ({ op: proof.name, seed: first + i, cap: FULL_CAP }));

/** Everything checked, for tests and stored failures. */
export const ALL_CHECKS = ALL;
