// The process that talks to the driver for fuzz.ts: gets batches, sends verdicts. When the driver dies, only this process dies with it.
import { openDevice } from '../../engine/device.ts';
import type { Device } from '../../engine/device.ts';
import { execute } from './execute.ts';
import { shrink } from './harness.ts';
import type { Checked, Failure, Spec } from './harness.ts';
import { judgeAll, planAll } from './harness.ts';
import { FUZZ_SHARES } from './plan.ts';
import { TABLE } from './table.ts';

/** What the parent asks for. */
export type Task = { readonly id: number; readonly specs: readonly Spec[] } | { readonly id: number; readonly shrink: { spec: Spec; fault: string } };

/** What it is told. */
export type Report =
  | { readonly kind: 'ready'; readonly adapter: string; readonly profile: string }
  | { readonly kind: 'done'; readonly id: number; readonly checked: readonly Checked[]; readonly pipelines: number; readonly dispatches: number }
  | { readonly kind: 'shrunk'; readonly id: number; readonly failure: Failure }
  | { readonly kind: 'lost'; readonly message: string };

const send = (report: Report): Promise<void> => new Promise((done, fail) => { process.send!(report, (error: Error | null) => (error ? fail(error) : done())); });

/** A judgement that waits for the device to be busy with the next batch. */
let owed: (() => Promise<void>) | undefined;

async function settle(): Promise<void> {
  const now = owed;
  owed = undefined;
  await now?.();
}

async function work(device: Device, task: Task): Promise<void> {
  if ('shrink' in task) {
    await settle();
    return send({ kind: 'shrunk', id: task.id, failure: await shrink(device, TABLE, task.shrink) });
  }
  const plans = planAll(TABLE, task.specs, FUZZ_SHARES);
  let before: Promise<void> = Promise.resolve();
  const outcomes = await execute(device, plans.good, () => { before = settle(); });
  await before;
  owed = () => {
    const { pipelines, dispatches } = device.counters();
    return send({ kind: 'done', id: task.id, checked: judgeAll(task.specs, plans, outcomes), pipelines, dispatches });
  };
}

const tasks: Task[] = [];
let awake = (): void => {};
process.on('message', message => {
  tasks.push(message as Task);
  awake();
});
process.on('disconnect', () => process.exit(0));

try {
  const device = await openDevice({ limits: 'default' });
  await send({ kind: 'ready', adapter: device.adapter.notice, profile: device.adapter.profile });
  for (;;) {
    const task = tasks.shift();
    if (task) await work(device, task);
    else if (owed) await settle();
    else await new Promise<void>(done => { awake = done; });
  }
} catch (error) {
  await send({ kind: 'lost', message: (error as Error).stack ?? String(error) });
  process.exit(3);
}
