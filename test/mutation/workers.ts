// Child processes that plant faults. Each lives over many of them; one that hangs or dies has killed its fault and is replaced.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { failureOf } from './kernel_tests.ts';
import type { Site } from './sites.ts';
import type { Report, Task, Verdict } from './worker.ts';

/** A fault with what became of it. */
export interface Judged { readonly site: Site; readonly verdict: Verdict }

/** Processor seconds without a sign of life: some ten times what a batch of cases takes with its pipelines to compile. A busy machine does not count. */
const HANG_CPU_SECONDS = 40;
/** The same by the clock, where processor time cannot be read or a process sleeps for ever. */
const HANG_WALL_SECONDS = 300;
const START_WALL_SECONDS = 900;
/** Clock ticks of /proc. */
const TICKS = 100;

function cpuSeconds(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return undefined; // no /proc here
  }
}

/** Runs faults on several processes. */
export class Workers {
  /** Where the first process stores which cases run which kernels. */
  private readonly coverage: string;
  private readonly env: NodeJS.ProcessEnv;
  private readonly jobs: number;
  private readonly say: (text: string) => void;
  adapter = '';
  /** Cases that fail without any fault: the suite has to be whole before its score counts. */
  readonly broken = new Set<string>();

  constructor(env: NodeJS.ProcessEnv, jobs: number, say: (text: string) => void) {
    this.coverage = `${tmpdir()}/vl-jepa-mutation-${process.pid}.json`;
    this.env = { ...env, MUTATION_COVERAGE: this.coverage };
    this.jobs = jobs;
    this.say = say;
  }

  /** Faults that the proofs let live, under the test files. */
  private readonly late: Promise<void>[] = [];

  /** Judges every fault. @param sites faults @param each called with each verdict, in the order of their arrival @returns nothing */
  async run(sites: readonly Site[], each: (judged: Judged) => void): Promise<void> {
    const queue = sites.map((site, id) => ({ id, site }));
    await Promise.all(Array.from({ length: Math.min(this.jobs, sites.length) }, () => this.lane(queue, each)));
    await Promise.all(this.late);
    rmSync(this.coverage, { force: true });
  }

  private async lane(queue: Task[], each: (judged: Judged) => void): Promise<void> {
    while (queue.length) await this.life(queue, each);
  }

  /** One process: until the queue is empty or a fault ends it. */
  private life(queue: Task[], each: (judged: Judged) => void): Promise<void> {
    return new Promise((done, fail) => {
      const child: ChildProcess = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), [], { env: this.env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
      let errors = '';
      child.stderr!.on('data', (d: Buffer) => { errors = (errors + d.toString()).slice(-2000); });
      let task: Task | undefined;
      let ready = false, late = '';
      let since = performance.now(), cpu = 0;
      const alive = (): void => { since = performance.now(); cpu = cpuSeconds(child.pid!) ?? 0; };
      const next = (): void => {
        task = queue.shift();
        alive();
        if (task) child.send(task);
        else child.kill('SIGKILL');
      };
      const clock = setInterval(() => {
        const wall = (performance.now() - since) / 1000;
        const used = (cpuSeconds(child.pid!) ?? 0) - cpu;
        if (ready && used > HANG_CPU_SECONDS) late = `${used.toFixed(0)} s of processor time without a result`;
        else if (wall > (ready ? HANG_WALL_SECONDS : START_WALL_SECONDS)) late = `${wall.toFixed(0)} s without a result`;
        if (late) child.kill('SIGKILL');
      }, 250);
      child.on('message', message => {
        const report = message as Report;
        if (report.kind === 'alive') return alive();
        if (report.kind === 'broken') {
          alive();
          this.broken.add(report.detail);
          return this.say(report.detail);
        }
        if (report.kind === 'ready') {
          ready = true;
          this.adapter = report.adapter;
          this.say(`${report.adapter}: ${report.cases} cases`);
          return next();
        }
        const { site } = task!;
        const { verdict } = report;
        if (verdict.result !== 'survived') each({ site, verdict });
        else this.late.push(failureOf(site, this.env).then(found => each({ site, verdict: found ? { result: 'killed', detail: found, by: 'test/kernels' } : verdict })));
        next();
      });
      child.on('exit', (code, signal) => {
        clearInterval(clock);
        if (!ready) return fail(new Error(`mutate: the process that holds the driver ended with ${signal ?? code} before its first fault: ${late || errors}`));
        if (task) each({ site: task.site, verdict: { result: 'killed', detail: late ? `hang: ${late}` : `driver: the process ended with ${signal ?? code}`, by: 'the driver' } });
        done();
      });
    });
  }
}
