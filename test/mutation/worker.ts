// The process that holds the driver: plants a fault, compiles it on the null backend, runs the cases that can see it, stops at the first failure. A fault that
// hangs or kills the driver takes this process with it, and the parent starts another.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { openDevice } from '../../engine/device.ts';
import type { Device } from '../../engine/device.ts';
import { createPipeline } from '../../engine/dispatch.ts';
import type { Kernel } from '../../engine/dispatch.ts';
import { checkBatch } from '../proofs/harness.ts';
import type { Spec } from '../proofs/plan.ts';
import { TABLE } from '../proofs/table.ts';
import { KERNELS } from '../../kernels/wgsl.gen.ts';
import { SHARES, coverage, nullDevice, order } from './coverage.ts';
import type { Covered, Variant } from './coverage.ts';
import { planted } from './select.ts';
import type { Site } from './sites.ts';
import { entriesOf, parse } from './tokens.ts';

/** What the parent asks for. */
export type Task = { readonly id: number; readonly site: Site };

export type Verdict =
  | { readonly result: 'refused'; readonly detail: string }
  | { readonly result: 'killed'; readonly detail: string; readonly by: string }
  | { readonly result: 'survived'; readonly cases: number }
  | { readonly result: 'error'; readonly detail: string };

/** What it is told. */
export type Report =
  | { readonly kind: 'ready'; readonly adapter: string; readonly cases: number }
  | { readonly kind: 'alive' }
  | { readonly kind: 'broken'; readonly detail: string }
  | { readonly kind: 'done'; readonly id: number; readonly verdict: Verdict };

const send = (report: Report): Promise<void> => new Promise((done, fail) => { process.send!(report, (error: Error | null) => (error ? fail(error) : done())); });

interface Inner { readonly entries: ReadonlyMap<Kernel, ReadonlyMap<string, { readonly pipelines: unknown[] }>> }

/** Takes the pipelines of changed kernels out of the cache. @returns what puts them back and the faulty ones away */
function aside(device: Device, changed: ReadonlySet<string>): () => void {
  const { entries } = device.recorder as unknown as Inner;
  const mine = [...entries].flatMap(([kernel, points]) => [...points].filter(([entry]) => changed.has(`${kernel.name}:${entry}`)).map(([, { pipelines }]) => ({ pipelines, good: pipelines.splice(0) })));
  const before = new Set(mine.map(({ pipelines }) => pipelines));
  return () => {
    for (const { pipelines, good } of mine) pipelines.splice(0, Infinity, ...good);
    for (const [kernel, points] of entries) for (const [entry, { pipelines }] of points) if (changed.has(`${kernel.name}:${entry}`) && !before.has(pipelines)) pipelines.length = 0; // first used with the fault
  };
}

/** Runs `fn` with the faulty texts in place of the good ones: every wrapper reads them from the same objects. */
async function withTexts<T>(texts: ReadonlyMap<string, string>, fn: () => Promise<T>): Promise<T> {
  const changed = (KERNELS as readonly Kernel[]).filter(k => texts.has(k.name)).map(kernel => ({ kernel: kernel as { code: string }, code: kernel.code, name: kernel.name }));
  for (const { kernel, name } of changed) kernel.code = texts.get(name)!;
  try {
    return await fn();
  } finally {
    for (const { kernel, code } of changed) kernel.code = code;
  }
}

/** What the compiler says against the changed kernels, or undefined. */
async function refusal(device: Device, variants: readonly Variant[], changed: ReadonlySet<string>): Promise<string | undefined> {
  const { gpu } = device;
  const tried = new Set<string>();
  for (const { kernel, entry, options } of variants) {
    const form = `${kernel.name}:${entry}:${options.header ?? ''}`;
    if (!changed.has(`${kernel.name}:${entry}`) || tried.has(form) || options.storage) continue;
    tried.add(form);
    gpu.pushErrorScope('validation');
    gpu.pushErrorScope('internal');
    createPipeline(gpu, kernel, entry, options);
    const errors = [await gpu.popErrorScope(), await gpu.popErrorScope()];
    const error = errors.find(e => e !== null);
    if (error) return error.message;
  }
  return undefined;
}

const shortened = (text: string): string => text.split('\n')[0]!.slice(0, 240);

interface Session {
  device: Device;
  readonly nothing: Device;
  readonly covered: readonly Covered[];
  readonly variants: readonly Variant[];
  /** Cases that pass without a fault, and those that do not: these see nothing, and the parent reports them. */
  readonly good: Set<string>;
  readonly bad: Map<string, string>;
}

const keyOf = (spec: Spec): string => JSON.stringify(spec);

/** Whether a case passes without the fault. */
async function passes(s: Session, spec: Spec): Promise<boolean> {
  const key = keyOf(spec);
  if (s.good.has(key)) return true;
  const { fault } = (await checkBatch(s.device, TABLE, [spec], SHARES))[0]!.judgement;
  if (fault) s.bad.set(key, fault);
  else s.good.add(key);
  return !fault;
}

async function attack(s: Session, batches: readonly (readonly Spec[])[]): Promise<{ spec: Spec; fault: string } | undefined> {
  for (const batch of batches) {
    const specs = batch.filter(spec => !s.bad.has(keyOf(spec)));
    if (!specs.length) continue;
    try {
      const failed = (await checkBatch(s.device, TABLE, specs, SHARES)).find(c => c.judgement.fault);
      if (failed) return { spec: failed.spec, fault: failed.judgement.fault! };
    } catch (error) {
      s.device = await openDevice({ limits: 'default' });
      return { spec: specs[0]!, fault: `driver: ${shortened((error as Error).message)}` };
    }
    await send({ kind: 'alive' });
  }
  return undefined;
}

/** A fault in special.wgsl is in most kernels at once, and a driver would compile them all again: a few batches, then test/kernels/special.test.ts, which is about nothing else. */
const SPECIAL_BATCHES = 8;

/** `file:entry` of every entry point that runs the changed place. */
function touched(site: Site, texts: ReadonlyMap<string, string>): Set<string> {
  const fn = site.fn;
  return new Set([...texts].flatMap(([name, code]) => {
    const parsed = parse(code);
    const own = [fn, fn.replace(/4$/, '_elem')].filter(f => f === '' || parsed.mentions.has(f));
    return own.flatMap(f => [...entriesOf(parsed, f)]).map(entry => `${name}:${entry}`);
  }));
}

async function judge(s: Session, site: Site): Promise<Verdict> {
  const texts = planted(KERNELS, site);
  const changed = touched(site, texts);
  const refused = await withTexts(texts, () => refusal(s.nothing, s.variants, changed));
  if (refused) return { result: 'refused', detail: shortened(refused.replace(/^.*?error: /s, '')) };
  const batches = order(s.covered, changed).slice(0, texts.size > 1 ? SPECIAL_BATCHES : undefined);
  for (;;) {
    const back = aside(s.device, changed);
    const found = await withTexts(texts, () => attack(s, batches));
    back();
    if (!found) return { result: 'survived', cases: batches.flat().length };
    if (await passes(s, found.spec)) return { result: 'killed', detail: shortened(found.fault), by: `${found.spec.op} ${found.spec.heavy ?? `seed ${found.spec.seed}`}` };
    await send({ kind: 'broken', detail: `${keyOf(found.spec)} fails without any fault: ${shortened(s.bad.get(keyOf(found.spec))!)}` });
  }
}

const tasks: Task[] = [];
let awake = (): void => {};
process.on('message', message => {
  tasks.push(message as Task);
  awake();
});
process.on('disconnect', () => process.exit(0));

const device = await openDevice({ limits: 'default' });
const nothing = await nullDevice(device);
/** Taken over from the process before, which stored it: it takes half a minute of processor time. */
const path = process.env.MUTATION_COVERAGE!;
interface Known { covered: Covered[]; variants: (Omit<Variant, 'kernel'> & { kernel: string })[] }
let known: Known;
if (existsSync(path)) known = JSON.parse(readFileSync(path, 'utf8')) as Known;
else {
  const covered = await coverage(nothing);
  known = { covered, variants: nothing.recorder.variants().map(({ kernel, entry, options }) => ({ kernel: kernel.name, entry, options })) };
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(known));
  renameSync(`${path}.${process.pid}`, path);
}
const { covered } = known;
const variants = known.variants.map(v => ({ ...v, kernel: (KERNELS as readonly Kernel[]).find(k => k.name === v.kernel)! }));
const session: Session = { device, nothing, covered, variants, good: new Set(), bad: new Map() };
await send({ kind: 'ready', adapter: device.adapter.notice, cases: covered.length });
for (;;) {
  const task = tasks.shift();
  if (!task) {
    await new Promise<void>(done => { awake = done; });
    continue;
  }
  let verdict: Verdict;
  try {
    verdict = await judge(session, task.site);
  } catch (error) {
    verdict = { result: 'error', detail: (error as Error).stack ?? String(error) };
  }
  await send({ kind: 'done', id: task.id, verdict });
}
