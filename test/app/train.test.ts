// `vl-jepa train` in processes of its own: killed, interrupted, refused. It comes out the same to the bit.
import type { TrainOptions } from '../../app/train.ts';
import type { WriterFs } from '../../weights/writer.ts';
import { inFolder } from '../folder.ts';
import { assert, device, generator, isNode, suite } from '../harness.ts';
import { WHY, json, refusal, start, vlJepa } from './process.ts';

const test = suite('vl-jepa train');
const STEPS = 40;
const command = (out: string, ...more: string[]): string[] => ['train', '--preset', 'tiny', '--steps', String(STEPS), '--out', out, '--json', ...more];

const sleep = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms));

async function sha256(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  const { createHash } = await import('node:crypto');
  return createHash('sha256').update(await readFile(path)).digest('hex');
}

/** Whole lines of a run's log. */
async function logSteps(folder: string): Promise<number[]> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(`${folder}/log.jsonl`, 'utf8').catch(() => '');
  return text.split('\n').slice(0, -1).map(line => (JSON.parse(line) as { step: number }).step);
}

/** The same run in this process, where kernels are compiled once for all. */
async function here(out: string, options: Partial<TrainOptions> = {}): Promise<{ steps: number; loss: number }> {
  const { train } = await import('../../app/train.ts');
  return train({ preset: 'tiny', steps: STEPS, out, evalEvery: 500, saveEvery: 1000, quiet: true, device: await device(), ...options });
}

/** Starts the command and waits until it has done `steps` more steps, or has ended. */
async function startAndWait(args: readonly string[], folder: string, steps: number) {
  const running = await start(args);
  const before = (await logSteps(folder)).length;
  let over = false;
  void running.ended.then(() => { over = true; });
  let first: number | undefined;
  while (!over) {
    const now = (await logSteps(folder)).length;
    if (now < before) first ??= now; // the log was cut back to the saved state
    if (now >= (first ?? before) + steps) break;
    await sleep(5);
  }
  return running;
}

test.when(isNode, WHY, 'killed again and again, it ends with the weights of the run that nobody touched', () => inFolder(async folder => {
  const { readdir } = await import('node:fs/promises');
  const [calm, hunted] = [`${folder}/calm`, `${folder}/hunted`];
  const untouched = await here(calm);
  assert.is(untouched.steps, STEPS);
  assert.equal((await readdir(calm)).sort(), ['config.json', 'log.jsonl', 'model.safetensors', 'report.html', `state-000000${STEPS}.safetensors`, 'tokenizer.json']);
  const args = command(hunted, '--save-every', '1');
  const next = generator(Date.now() % 100_000);
  let kills = 0;
  for (; kills < 3; kills++) {
    const { child, ended } = await startAndWait(args, hunted, kills === 0 ? 1 : 2 + Math.floor(next() * 3));
    await sleep(next() * 40);
    if (child.exitCode !== null) break;
    child.kill('SIGKILL');
    assert.is((await ended).code, null);
  }
  assert.is(kills, 3, 'kills before the run was done');
  const last = await vlJepa(args);
  assert.match(last.stderr, /resumed at step \d+ of 40/);
  assert.not.match(last.stderr, /warning/);
  assert.is(json(last).loss, untouched.loss);
  assert.is(await sha256(`${hunted}/model.safetensors`), await sha256(`${calm}/model.safetensors`));
  assert.equal(await logSteps(hunted), Array.from({ length: STEPS }, (_, i) => i), 'each step once');
  assert.equal((await readdir(hunted)).filter(f => f.startsWith('.tmp-') || f.startsWith('state-')).sort(), ['state-00000039.safetensors', 'state-00000040.safetensors'], 'no leftovers');
  const again = await here(hunted, { saveEvery: 1 });
  assert.equal([again.steps, again.loss], [STEPS, untouched.loss], 'nothing left to do');
}));

test.when(isNode, WHY, 'an interrupt saves, says so in one sentence and exits with 1; the same command goes on', () => inFolder(async folder => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const out = `${folder}/${signal}`;
    const { child, ended } = await startAndWait(command(out, '--save-every', '1000'), out, 2);
    child.kill(signal);
    const { code, stdout, stderr } = await ended;
    assert.equal([code, stdout], [1, '']);
    const lines = stderr.split('\n').filter(line => line.startsWith('error: '));
    assert.is(lines.length, 1, stderr);
    const step = Number(/^error: train: interrupted at step (\d+) of 40; the state is saved in .* with the averaged weights of now, the same command goes on from there$/.exec(lines[0]!)?.[1]);
    assert.ok(step >= 2 && step < STEPS, lines[0]);
    assert.equal(await logSteps(out), Array.from({ length: step }, (_, i) => i));
    const { openSafetensors } = await import('../../weights/safetensors.ts');
    const saved = await openSafetensors(`${out}/model.safetensors`);
    assert.ok(saved.tensors.size > 20, 'the averaged weights of now are a model');
    await saved.close();
    if (signal === 'SIGTERM') continue;
    await here(out);
    assert.equal(await logSteps(out), Array.from({ length: STEPS }, (_, i) => i), 'it went on from there');
  }
}));

test.when(isNode, WHY, 'a disk that is full for a while costs a warning, not the run; at the end it is an error', () => inFolder(async folder => {
  const fs = await import('node:fs/promises');
  const { train } = await import('../../app/train.ts');
  const { savedStates } = await import('../../train/state.ts');
  const failing = (saves: (n: number) => boolean): WriterFs => {
    let count = 0;
    return { ...fs, open: (path: string, flags: string) => (flags !== 'r' && saves(++count) ? Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, open'), { code: 'ENOSPC' })) : fs.open(path, flags)) } as unknown as WriterFs;
  };
  const said: string[] = [];
  const { error } = console;
  console.error = (text: string) => { said.push(text); };
  const options: TrainOptions = { preset: 'tiny', out: `${folder}/a`, steps: 5, batch: 4, saveEvery: 1, evalEvery: 100, quiet: true, device: await device() };
  try {
    const { steps } = await train({ ...options, files: { fs: failing(n => n === 2 || n === 3) } });
    assert.is(steps, 5);
    assert.is(said.length, 2, said.join('\n'));
    assert.match(said[0]!, /^warning: step 2 was not saved: .*ENOSPC.*; the state before it is unharmed, training goes on$/);
    assert.match(said[1]!, /^warning: step 3 was not saved/);
    assert.equal(await savedStates(options.out), ['state-00000005.safetensors', 'state-00000004.safetensors']);
    const lost = await train({ ...options, out: `${folder}/b`, files: { fs: failing(n => n >= 2) } }).then(() => undefined, (cause: Error) => cause);
    assert.match(lost!.message, /state-00000005.safetensors.*ENOSPC/);
    assert.equal(await savedStates(`${folder}/b`), ['state-00000001.safetensors'], 'the older state is unharmed');
    const saved = await train({ ...options, out: `${folder}/b` });
    assert.is(saved.steps, 5);
    assert.is(await sha256(`${folder}/b/model.safetensors`), await sha256(`${folder}/a/model.safetensors`));
  } finally {
    console.error = error;
  }
}));

test.when(isNode, WHY, '--fresh begins again and leaves nothing of the old run; --leave-out is a setting of the run', () => inFolder(async folder => {
  const { train } = await import('../../app/train.ts');
  const { savedStates } = await import('../../train/state.ts');
  const options: TrainOptions = { preset: 'tiny', out: folder, steps: 6, batch: 4, saveEvery: 1, evalEvery: 3, quiet: true, device: await device() };
  await train(options);
  const first = await sha256(`${folder}/model.safetensors`);
  const other = await train({ ...options, leaveOut: 'emojione' }).then(() => undefined, (cause: Error) => cause);
  assert.match(other!.message, /^resume: .*artists was \["emojione-v1","emojione"\] and is \["emojione-v1"\]/);
  const { leftOut } = await train({ ...options, steps: 4, leaveOut: 'emojione', fresh: true });
  assert.is(leftOut?.artist, 'emojione');
  assert.ok(leftOut!.pictureToText.n > 900 && leftOut!.pictureToText.r1 < 20);
  assert.equal(await savedStates(folder), ['state-00000004.safetensors', 'state-00000003.safetensors']);
  assert.equal(await logSteps(folder), [0, 1, 2, 3]);
  await train({ ...options, fresh: true });
  assert.is(await sha256(`${folder}/model.safetensors`), first);
}));

test.when(isNode, WHY, 'stage 2 starts from the weights of stage 1, resumes to the bit, and refuses other weights', () => inFolder(async folder => {
  const { copyFile, readdir, rm } = await import('node:fs/promises');
  const [first, second, again] = [`${folder}/first`, `${folder}/second`, `${folder}/again`];
  await here(first, { steps: 2 });
  const clips = { stage: 2, from: first, steps: 6, saveEvery: 3 };
  await here(second, clips);
  await here(again, clips);
  const weights = await sha256(`${second}/model.safetensors`);
  assert.is(await sha256(`${again}/model.safetensors`), weights);
  await rm(`${again}/state-00000006.safetensors`); // as if it was killed after the third step
  assert.equal((await readdir(again)).filter(f => f.startsWith('state-')), ['state-00000003.safetensors']);
  await here(again, clips);
  assert.is(await sha256(`${again}/model.safetensors`), weights);
  await copyFile(`${second}/model.safetensors`, `${first}/model.safetensors`);
  const other = await here(again, clips).then(() => undefined, (cause: Error) => cause);
  assert.match(other!.message, /was made with other settings \(clips was/);
}));

test.when(isNode, WHY, 'wrong settings are refused before anything is loaded', async () => {
  for (const [args, said] of [
    [['--preset', 'huge'], /^train: --preset is huge, expected one of nano, tiny$/], [['--leave-out', 'me'], /^train: --leave-out is me, expected one of noto, /], [['--lr', '0'], /^train: lr is 0, expected a number > 0$/],
    [['--stage', '3'], /^train: --stage is 3, expected 1 or 2$/], [['--stage', '2'], /^train: --from is missing, expected the folder/], [['--from', 'x'], /^train: --from is x, expected none in stage 1/], [['--teacher', 'x'], /^train: --teacher is x, expected none in stage 1/],
    [['--batch', '1'], /^train: --batch is 1, expected a whole number of at least 2$/], [['--steps', '1.5'], /^train: --steps is 1.5, expected a whole number of at least 1$/],
  ] as const) assert.match(refusal(await vlJepa(['train', ...args])), said);
});

test.run();
