// The user's tuning file: it survives a round trip, a broken one is a warning and never an error, and openDevice takes a table from its caller.
import { openDevice } from '../../engine/device.ts';
import { TuningWarning, checkTuning, loadTuning, parseTuning, storeTuning, tuningKey, tuningPath } from '../../engine/tuning.ts';
import type { TuningTable } from '../../engine/tuning.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('tuning file');
const only = (name: string, fn: () => Promise<void>): void => test.when(isNode, 'the cache folder exists in Node only', name, fn);
const TABLE: TuningTable = { kernels: '0123abcd', shapes: { '1x2x3': { tile: 'single', splits: 2 } }, classes: { thin: { tile: 'single', groups: 24 } } };

/** Runs with the cache in an empty folder and the environment as given. */
async function inEmptyCache(fn: () => Promise<void>): Promise<void> {
  const [{ mkdtemp, rm }, { tmpdir }, { join }] = [await import('node:fs/promises'), await import('node:os'), await import('node:path')];
  const folder = await mkdtemp(join(tmpdir(), 'vl-jepa-tuning-'));
  const before = { XDG_CACHE_HOME: process.env.XDG_CACHE_HOME, VL_JEPA_TUNING: process.env.VL_JEPA_TUNING };
  process.env.XDG_CACHE_HOME = folder;
  delete process.env.VL_JEPA_TUNING;
  try {
    await fn();
  } finally {
    for (const [name, value] of Object.entries(before)) if (value === undefined) delete process.env[name]; else process.env[name] = value;
    await rm(folder, { recursive: true });
  }
}

/** Warnings that a call emits. */
async function warnings(fn: () => Promise<unknown>): Promise<Error[]> {
  const heard: Error[] = [];
  const listen = (w: Error): void => { if (w instanceof TuningWarning) heard.push(w); };
  process.on('warning', listen);
  await fn();
  await new Promise(done => setTimeout(done, 10)); // they come by the event loop
  process.off('warning', listen);
  return heard;
}

only('a table is stored for its adapter and found again; off ignores it', () => inEmptyCache(async () => {
  const info = { vendor: 'a', architecture: 'b', device: '', description: 'driver 1' } as GPUAdapterInfo;
  assert.is(await loadTuning(info), undefined);
  const path = await storeTuning(tuningKey(info), TABLE);
  assert.is(path, await tuningPath());
  await storeTuning('another adapter', { ...TABLE, kernels: 'ffffffff' });
  assert.equal(await loadTuning(info), TABLE);
  assert.is(await loadTuning({ ...info, description: 'driver 2' } as GPUAdapterInfo), undefined);
  process.env.VL_JEPA_TUNING = 'off';
  assert.is(await loadTuning(info), undefined);
}));

only('a broken file is a warning, and is replaced by the next measurement', () => inEmptyCache(async () => {
  const { mkdir, writeFile } = await import('node:fs/promises');
  const { dirname } = await import('node:path');
  const path = await tuningPath();
  const info = { vendor: 'a' } as GPUAdapterInfo;
  await mkdir(dirname(path), { recursive: true });
  for (const [text, message] of [['{', /it is no JSON/], ['{"format":2}', /it is no tuning file/], ['{"format":1,"adapters":{"a":{"kernels":"x","shapes":{"1x1x1":{"tile":"single","splits":0}},"classes":{}}}}', /adapter a: it is no tuning table/]] as const) {
    await writeFile(path, text);
    const heard = await warnings(async () => assert.is(await loadTuning(info), undefined));
    assert.is(heard.length, 1);
    assert.match(heard[0]!.message, message);
    assert.throws(() => parseTuning(text, path), (e: Error) => e instanceof TuningWarning && message.test(e.message));
  }
  await storeTuning(tuningKey(info), TABLE);
  assert.equal(await loadTuning(info), TABLE);
}));

only('openDevice reads the file of its adapter, takes a table instead, or neither', () => inEmptyCache(async () => {
  const first = await openDevice({ adapter: 'null' });
  assert.is(first.tuning, undefined);
  await storeTuning(tuningKey(first.gpu.adapterInfo), TABLE);
  assert.equal((await openDevice({ adapter: 'null' })).tuning, TABLE);
  assert.is((await openDevice({ adapter: 'null', tuning: 'off' })).tuning, undefined);
  const given = { ...TABLE, kernels: 'given' };
  assert.equal((await openDevice({ adapter: 'null', tuning: given })).tuning, given);
  let refused: unknown;
  await openDevice({ adapter: 'null', tuning: { kernels: 1 } as unknown as TuningTable }).catch((e: unknown) => { refused = e; });
  assert.ok(refused instanceof TuningWarning);
}));

test('what is no table says so', () => {
  for (const bad of [undefined, [], {}, { ...TABLE, shapes: [] }, { ...TABLE, classes: { thin: { tile: 1, groups: 1 } } }, { ...TABLE, shapes: { x: { tile: 'single', splits: 1.5 } } }]) {
    assert.throws(() => checkTuning(bad, 'here'), /here: it is no tuning table/);
  }
  assert.is(checkTuning(TABLE, 'here'), TABLE);
});

test.run();
