// npm run fuzz -- [--cases N] [--seed S] [--op NAME] [--cap C] [--adapter lavapipe|swiftshader] [--log FILE] [--forget]: seeded cases over all ops, without end where N is missing (Ctrl-C ends it with its summary).
// Failures go into seeds.json unless --forget says no.
// The driver lives in a child process: when it dies, the batch is repeated case by case in a new one, and the case that killed it is a failure with its seed.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FULL_CAP } from './draw.ts';
import { DRIVERS, environmentFor } from './drivers.ts';
import type { Driver } from './drivers.ts';
import { count, table } from './fuzz_report.ts';
import type { Summary } from './fuzz_report.ts';
import type { Report, Task } from './fuzz_worker.ts';
import { BATCH, command, describe, entryOf } from './harness.ts';
import type { Checked, Failure, Spec } from './harness.ts';
import { CLASSES } from './proof.ts';
import type { Proof, ValueClass } from './proof.ts';
import { TABLE } from './table.ts';

/** A process that says nothing for so long hangs. */
const SILENCE_MS = 240_000;
const PROGRESS_MS = 15_000;
/** One heavy case after so many batches. */
const HEAVY_EVERY = 100;
const MOST_FAILURES = 50;
const SEEDS = new URL('../../../test/proofs/seeds.json', import.meta.url);

const OPTIONS = {
  cases: { type: 'string' }, seed: { type: 'string', default: '1' }, op: { type: 'string', multiple: true }, cap: { type: 'string' }, only: { type: 'string' },
  plain: { type: 'boolean' }, heavy: { type: 'string' }, adapter: { type: 'string', default: 'auto' }, log: { type: 'string' }, forget: { type: 'boolean' },
} as const;

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw new Error(`fuzz: --${name} is ${text}, expected a whole number`);
  return Number(text);
}

/** A child with the driver in it: one task at a time in flight, the next one waiting, so that it never idles. */
class Worker {
  private readonly child: ChildProcess;
  private readonly answers = new Map<number, (report: Report | Error) => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private nextId = 1;
  private death: Error | undefined;
  readonly ready: Promise<{ adapter: string; profile: string }>;

  constructor(driver: Driver) {
    this.child = fork(fileURLToPath(new URL('./fuzz_worker.js', import.meta.url)), [], { env: environmentFor(driver), stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.ready = new Promise((done, fail) => {
      this.answers.set(0, report => (report instanceof Error ? fail(report) : done(report as { adapter: string; profile: string })));
    });
    this.ready.catch(() => {});
    this.child.on('message', message => this.heard(message as Report));
    this.child.on('exit', (code, signal) => this.died(new Error(`the process with the driver ended (${signal ?? `exit code ${code}`})`)));
    this.watch();
  }

  private watch(): void {
    clearTimeout(this.timer);
    if (this.answers.size) this.timer = setTimeout(() => { this.died(new Error(`no answer in ${SILENCE_MS / 1000} s`)); this.child.kill('SIGKILL'); }, SILENCE_MS);
  }

  private heard(report: Report): void {
    if (report.kind === 'lost') return this.died(new Error(report.message));
    const id = report.kind === 'ready' ? 0 : report.id;
    const answer = this.answers.get(id);
    this.answers.delete(id);
    this.watch();
    answer?.(report);
  }

  private died(error: Error): void {
    this.death ??= error;
    for (const answer of this.answers.values()) answer(this.death);
    this.answers.clear();
    clearTimeout(this.timer);
  }

  ask(task: Omit<Extract<Task, { specs: unknown }>, 'id'> | Omit<Extract<Task, { shrink: unknown }>, 'id'>): Promise<Report> {
    if (this.death) return Promise.reject(this.death);
    const id = this.nextId++;
    const answer = new Promise<Report>((done, fail) => { this.answers.set(id, r => (r instanceof Error ? fail(r) : done(r))); });
    this.child.send({ id, ...task } as Task);
    this.watch();
    return answer;
  }

  end(): void {
    this.death ??= new Error('the run is over');
    clearTimeout(this.timer);
    this.child.removeAllListeners();
    this.child.kill('SIGKILL');
  }
}

/** Batches of specs: every op in turn, seed after seed, a heavy case now and then. */
function* batches(ops: readonly Proof[], seed: number, cap: number, cases: number, only: ValueClass | undefined, plain: boolean): Generator<Spec[]> {
  const heavies = ops.flatMap(p => (p.heavy ?? []).map((h): Spec => ({ op: p.name, seed, cap, heavy: h.name })));
  let at = 0;
  for (let b = 0; at < cases; b++) {
    if (b % HEAVY_EVERY === HEAVY_EVERY - 1 && heavies.length && cap === FULL_CAP) {
      yield [heavies[Math.floor(b / HEAVY_EVERY) % heavies.length]!];
      at++;
      continue;
    }
    const specs: Spec[] = [];
    for (; specs.length < BATCH && at < cases; at++) {
      specs.push({ op: ops[at % ops.length]!.name, seed: seed + Math.floor(at / ops.length), cap, ...(only ? { only } : {}), ...(plain ? { plain } : {}) });
    }
    yield specs;
  }
}

/** Remembers failures in the checkout, where a test repeats them for ever. */
function store(failure: Failure): void {
  if (!existsSync(SEEDS)) return;
  const known = JSON.parse(readFileSync(SEEDS, 'utf8')) as (Spec & { fault: string })[];
  if (known.some(k => command(k) === command(failure.spec))) return;
  const line = { ...failure.spec, fault: failure.fault.split('\n')[0]!.slice(0, 240) };
  writeFileSync(SEEDS, `[\n${[...known, line].map(k => `  ${JSON.stringify(k)}`).join(',\n')}\n]\n`);
}

class Campaign {
  readonly summary: Summary;
  private readonly driver: Driver;
  private readonly keep: boolean;
  private worker: Worker | undefined;
  private readonly began = performance.now();
  private pipelines = 0;
  private dispatches = 0;
  private told = 0;
  /** Cases that are repeated alone after a death. */
  private repeats: Promise<void> = Promise.resolve();

  constructor(driver: Driver, commandLine: string, keep: boolean) {
    this.driver = driver;
    this.keep = keep;
    this.summary = { adapter: '', date: new Date().toISOString().slice(0, 10), command: commandLine, seconds: 0, cases: 0, heavyCases: 0, failures: [], restarts: 0, pipelines: 0, dispatches: 0, ops: {} };
  }

  private async open(): Promise<Worker> {
    if (this.worker) return this.worker;
    const worker = this.worker = new Worker(this.driver);
    const { adapter } = await worker.ready;
    if (!this.summary.adapter) console.log(`adapter: ${adapter}`);
    this.summary.adapter = adapter;
    return this.worker;
  }

  /** Both batches in flight hear of a death; only the first starts a new process. */
  private restart(dead: Worker | undefined, reason: Error): void {
    if (this.worker !== dead) return;
    console.log(`${reason.message.split('\n')[0]}: starting it again`);
    this.worker?.end();
    this.worker = undefined;
    this.summary.restarts++;
    this.pipelines = this.dispatches = 0;
  }

  /** Takes verdicts in, and shrinks, prints and stores failures. */
  private async take(checked: readonly Checked[]): Promise<void> {
    count(this.summary, checked);
    for (const { spec, judgement } of checked) {
      if (!judgement.fault) continue;
      let failure: Failure = { spec, fault: judgement.fault, about: describe(TABLE, spec) };
      const worker = await this.open();
      try {
        const report = await worker.ask({ shrink: { spec, fault: judgement.fault } });
        if (report.kind === 'shrunk') failure = report.failure;
      } catch (error) {
        this.restart(worker, error as Error);
      }
      this.fail(failure);
    }
  }

  private fail(failure: Failure): void {
    console.log(`FAILED ${failure.spec.op}: ${failure.fault}\n  ${failure.about}\n  ${command(failure.spec)}`);
    this.summary.failures.push(failure);
    if (this.keep) store(failure);
  }

  /** One batch. When the process dies, all that was in flight is repeated case by case, with nothing beside it. */
  private async run(specs: readonly Spec[]): Promise<void> {
    const worker = await this.open();
    try {
      await this.send(worker, specs);
    } catch (error) {
      this.restart(worker, error as Error);
      const again = this.repeats.then(async () => {
        for (const spec of specs) await this.runAlone(spec);
      });
      this.repeats = again;
      await again;
    }
  }

  private async send(worker: Worker, specs: readonly Spec[]): Promise<void> {
    const report = await worker.ask({ specs });
    if (report.kind !== 'done') return;
    this.summary.pipelines += report.pipelines - this.pipelines;
    this.summary.dispatches += report.dispatches - this.dispatches;
    [this.pipelines, this.dispatches] = [report.pipelines, report.dispatches];
    await this.take(report.checked);
  }

  private async runAlone(spec: Spec): Promise<void> {
    const worker = await this.open();
    try {
      await this.send(worker, [spec]);
    } catch (error) {
      this.restart(worker, error as Error);
      const fault = `the driver or the process died: ${(error as Error).message.split('\n')[0]}`;
      count(this.summary, [{ spec, judgement: { fault, forward: 0, gradient: 0, twin: 0, conditioned: 0, exact: 0 } }]);
      this.fail({ spec, fault, about: describe(TABLE, spec) });
    }
  }

  progress(spec: Spec): void {
    const now = performance.now();
    if (now - this.told < PROGRESS_MS) return;
    this.told = now;
    const seconds = (now - this.began) / 1000;
    const { cases, failures, pipelines } = this.summary;
    console.log(`${cases} cases in ${seconds.toFixed(0)} s (${(cases / seconds).toFixed(0)}/s), ${pipelines} pipelines, ${failures.length} failures, now at seed ${spec.seed}`);
  }

  /** Ends the run after the cases in flight: Ctrl-C, or a time limit from outside. */
  stopped = false;

  async all(work: Iterable<Spec[]>): Promise<void> {
    let ahead: Promise<void> = Promise.resolve();
    for (const specs of work) {
      const now = this.worker ? this.run(specs) : ahead.then(() => this.run(specs)); // two in flight: one computes while the other is judged
      await ahead;
      await this.repeats;
      ahead = now;
      this.progress(specs[0]!);
      if (this.stopped) break;
      if (this.summary.failures.length >= MOST_FAILURES) {
        console.log(`${MOST_FAILURES} failures: that is enough`);
        break;
      }
    }
    await ahead;
    this.worker?.end();
    this.summary.seconds = (performance.now() - this.began) / 1000;
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS, strict: true });
  const driver = values.adapter as Driver;
  if (!DRIVERS.includes(driver)) throw new Error(`fuzz: --adapter is ${driver}, expected one of ${DRIVERS.join(', ')}`);
  if (values.only !== undefined && !CLASSES.includes(values.only as ValueClass)) throw new Error(`fuzz: --only is ${values.only}, expected one of ${CLASSES.join(', ')}`);
  const ops = values.op ? values.op.flatMap(o => o.split(',')).map(o => entryOf(TABLE, o)) : TABLE;
  const seed = whole('seed', values.seed)!;
  const cap = whole('cap', values.cap) ?? FULL_CAP;
  const cases = whole('cases', values.cases) ?? (values.cap === undefined ? Infinity : 1);
  const campaign = new Campaign(driver, `npm run fuzz -- ${process.argv.slice(2).join(' ')}`, values.forget !== true && values.cap === undefined);
  const work = values.heavy === undefined
    ? batches(ops, seed, cap, cases, values.only as ValueClass | undefined, values.plain === true)
    : ops.flatMap(p => (p.heavy ?? []).filter(h => values.heavy === 'all' || h.name === values.heavy).map((h): Spec[] => [{ op: p.name, seed, cap, heavy: h.name }]));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { campaign.stopped = true; }); // the summary of what ran is still printed
  await campaign.all(work);
  const { summary } = campaign;
  console.log(table(summary));
  if (values.log) writeFileSync(values.log, `${JSON.stringify(summary, null, 1)}\n`);
  if (summary.cases === 0) throw new Error('fuzz: no case ran');
  return summary.failures.length ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
