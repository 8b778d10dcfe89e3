// Training learns, stops at NaN, and goes on after a save exactly where it was.
import { infoNCE } from '../../kernels/info_nce.ts';
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { evaluateRetrieval } from '../../tasks/retrieve.ts';
import { PictureLesson } from '../../train/lesson.ts';
import { TrainingError } from '../../train/loop.ts';
import { PictureBatches } from '../../train/pictures.ts';
import { StateError, savedStates } from '../../train/state.ts';
import type { WriterFs } from '../../weights/writer.ts';
import { inFolder } from '../folder.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import { EDGE, bitsOf, different, noiseTable, release, tinyRecipe, tinyTrainer } from './tiny.ts';

const test = suite('training');
const DISK = 'states are files, which a page cannot write';
/** Settings that leave nothing out: averaging, two drawings per concept, several captions, random changes. */
const FULL = { average: 0.9, templates: [0, 1, 2], augment: { shift: 0.1, rotate: 10, flip: 0.5, mix: 0.5, mixShare: 0.4 } };

const fail = async (work: Promise<unknown>): Promise<Error> => work.then(() => { throw new Error('expected an error, got a result'); }, (error: Error) => error);

test('a batch is learnt by heart: every picture finds its name and every name its picture', async () => {
  const d = await device();
  const recipe = { steps: 60, batch: 16, lr: 0.02, warmup: 10, average: 0, weightDecay: 0 };
  const trainer = await tinyTrainer(d, recipe);
  const batch = new PictureBatches(noiseTable(), tinyRecipe(recipe), EDGE).at(0);
  (trainer as unknown as { lesson: PictureLesson }).lesson = new PictureLesson(trainer.model, tinyRecipe(recipe), { at: () => batch }); // the same one at every step
  let first = 0, last = 0;
  while (trainer.step < recipe.steps) {
    const { loss } = await trainer.advance();
    first ||= loss;
    last = loss;
  }
  assert.ok(first > 2, `an untrained model guesses: loss ${first}, ln 16 is 2.77`);
  assert.ok(last < 0.02, `loss ${last}`);
  const { model } = trainer;
  const pixels = Tensor.from(d, batch.pixels, [16, 1, 3, EDGE, EDGE]);
  const [predictions, texts] = [model.predict(pixels), model.encodeText(batch.captions)];
  const { pictureToText, textToPicture } = await evaluateRetrieval(model, predictions, texts, batch.captions.map((_, i) => i));
  assert.equal([pictureToText.r1, textToPicture.r1], [100, 100]);
  [pixels, predictions, texts].forEach(t => t.dispose());
  release(trainer);
});

test('the reported loss is the loss of the weights before the step', async () => {
  const d = await device();
  const trainer = await tinyTrainer(d);
  const { model } = trainer;
  const batch = new PictureBatches(noiseTable(), tinyRecipe(), EDGE).at(0);
  const loss = scope(() => noGrad(() => infoNCE(model.forwardPrediction(Tensor.from(d, batch.pixels, [6, 1, 3, EDGE, EDGE])), model.forwardText(model.tokenizer!.encodeBatch(batch.captions)), model.logScale).loss));
  const [expected] = await loss.read();
  loss.dispose();
  const report = await trainer.advance();
  assert.is(report.loss, expected);
  assert.is(report.step, 0);
  assert.ok(Math.abs(report.temperature - 0.07) < 0.01 && report.gradNorm > 0 && report.timeMs > 0);
  release(trainer);
});

test('a NaN in the weights, and a rate far too high, stop training with the step in the message', async () => {
  const d = await device();
  const poisoned = await tinyTrainer(d);
  await poisoned.advance();
  d.upload(poisoned.model.tensors().get('text_head.weight')!.view([1]), Float32Array.of(NaN));
  const error = await fail(poisoned.advance());
  assert.instance(error, TrainingError);
  assert.match(error.message, /^train: the loss of step 1 is .*, expected numbers; the last saved state is unharmed/);
  assert.is(poisoned.step, 1, 'the step does not count');
  release(poisoned);
  const wild = await tinyTrainer(d, { lr: 1e30, warmup: 0, average: 0 });
  const late = await fail((async () => { while (wild.step < 9) await wild.advance(); })());
  assert.instance(late, TrainingError);
  release(wild);
});

test.when(isNode, DISK, 'resumed at any step, the end is the same to the bit', async () => {
  const d = await device();
  const whole = await tinyTrainer(d, FULL);
  while (whole.step < 9) await whole.advance();
  const expected = await bitsOf(whole);
  release(whole);
  assert.ok([...expected.keys()].some(k => k.startsWith('m.')) && expected.has('ema.log_scale') && expected.has('v.text_head.bias'));
  for (const stop of [1, 4, 8]) {
    await inFolder(async folder => {
      const before = await tinyTrainer(d, FULL);
      assert.is(await before.resume(folder, assert.unreachable), false);
      while (before.step < stop) await before.advance();
      await before.save(folder);
      await before.advance(); // lost with the kill
      release(before);
      const after = await tinyTrainer(d, FULL);
      assert.is(await after.resume(folder, assert.unreachable), true);
      assert.is(after.step, stop);
      while (after.step < 9) await after.advance();
      assert.equal(different(await bitsOf(after), expected), [], `resumed at step ${stop}`);
      release(after);
    });
  }
});

test.when(isNode, DISK, 'evaluating the averaged weights on the way changes nothing', async () => {
  const d = await device();
  const plain = await tinyTrainer(d, FULL);
  const watched = await tinyTrainer(d, FULL);
  while (plain.step < 4) {
    await plain.advance();
    await watched.advance();
    const trained = await bitsOf(watched);
    await fail(watched.withAverage(async () => {
      assert.ok(different(await bitsOf(watched), trained).length > 0);
      throw new Error('the evaluation failed');
    }));
  }
  assert.equal(different(await bitsOf(plain), await bitsOf(watched)), []);
  release(plain);
  release(watched);
});

test.when(isNode, DISK, 'a damaged newest state is passed over with a warning, and goes with the next save', async () => {
  const { readFile, truncate, writeFile } = await import('node:fs/promises');
  const d = await device();
  for (const damage of ['flip', 'cut', 'empty'] as const) {
    await inFolder(async folder => {
      const trainer = await tinyTrainer(d, FULL);
      const bits: Map<string, string>[] = [];
      const paths: string[] = [];
      for (let step = 1; step <= 3; step++) {
        await trainer.advance();
        paths.push(await trainer.save(folder));
        bits.push(await bitsOf(trainer));
      }
      release(trainer);
      assert.equal(await savedStates(folder), ['state-00000003.safetensors', 'state-00000002.safetensors'], 'the two newest are kept');
      const bytes = await readFile(paths[2]!);
      if (damage === 'flip') {
        bytes[bytes.length - 1000]! ^= 4;
        await writeFile(paths[2]!, bytes);
      } else await truncate(paths[2]!, damage === 'cut' ? bytes.length - 7 : 0);
      const warnings: string[] = [];
      const after = await tinyTrainer(d, FULL);
      assert.is(await after.resume(folder, text => warnings.push(text)), true);
      assert.is(after.step, 2);
      assert.equal(different(await bitsOf(after), bits[1]!), []);
      assert.is(warnings.length, 1);
      assert.match(warnings[0]!, damage === 'flip' ? /state-00000003.safetensors has another SHA-256 .*the file was damaged\); the state before it is used/ : /state-00000003.safetensors.*; the state before it is used/);
      await after.save(folder);
      assert.equal(await savedStates(folder), ['state-00000002.safetensors'], 'the damaged one does not outlive the good ones');
      release(after);
    });
  }
});

test.when(isNode, DISK, 'a run goes on with its own settings only', async () => {
  const d = await device();
  await inFolder(async folder => {
    const trainer = await tinyTrainer(d);
    await trainer.advance();
    await trainer.save(folder);
    release(trainer);
    for (const [change, said] of [[{ lr: 1e-4 }, 'lr was 0.0015 and is 0.0001'], [{ seed: 2 }, 'seed was 1 and is 2'], [{ artists: ['noto'] as const }, 'artists was ["emojione-v1","emojione"] and is ["noto"]']] as const) {
      const other = await tinyTrainer(d, change);
      const error = await fail(other.resume(folder, assert.unreachable));
      assert.instance(error, StateError);
      assert.match(error.message, /^resume: .*state-00000001.safetensors was made with other settings \(.*\), expected those of this run; choose another --out or the old settings$/);
      assert.ok(error.message.includes(`(${said})`), error.message);
      assert.is(other.step, 0);
      release(other);
    }
  });
});

test.when(isNode, DISK, 'a full disk leaves the older state as it was; the next save succeeds', async () => {
  const fs = await import('node:fs/promises');
  const d = await device();
  const fullAt = (calls: number): WriterFs => {
    let left = calls;
    return {
      ...fs,
      open: async (path: string, flags: string) => {
        const handle = await fs.open(path, flags);
        const write: typeof handle.write = handle.write.bind(handle);
        return Object.assign(handle, {
          write: (...args: Parameters<typeof write>) => (left-- > 0 ? write(...args) : Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }))),
        });
      },
    } as unknown as WriterFs;
  };
  await inFolder(async folder => {
    const trainer = await tinyTrainer(d, FULL);
    await trainer.advance();
    const path = await trainer.save(folder);
    const before = await fs.readFile(path);
    await trainer.advance();
    for (const calls of [0, 1, 20]) {
      const error = await fail(trainer.save(folder, { fs: fullAt(calls) }));
      assert.match(error.message, /state-00000002.safetensors: writing: ENOSPC: no space left on device, write; the old file stays/);
    }
    assert.equal(await fs.readdir(folder), ['state-00000001.safetensors'], 'no half file is left');
    assert.ok(before.equals(await fs.readFile(path)));
    const bits = await bitsOf(trainer);
    await trainer.save(folder);
    release(trainer);
    const after = await tinyTrainer(d, FULL);
    await after.resume(folder, assert.unreachable);
    assert.is(after.step, 2);
    assert.equal(different(await bitsOf(after), bits), []);
    release(after);
  });
});

test.run();
