// Compiling ahead: told pipeline by pipeline, cancelled without a trace, and nothing is left to compile afterwards.
import { openDevice } from '../../engine/device.ts';
import type { Device } from '../../engine/device.ts';
import { Tensor } from '../../engine/tensor.ts';
import { compileModel } from '../../model/compile.ts';
import type { CompileProgress } from '../../model/compile.ts';
import { padIds } from '../../model/token_batch.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { TINY } from '../../train/presets.ts';
import { assert, suite } from '../harness.ts';

const test = suite('compile');
const tiny = (d: Device): VLJEPA => VLJEPA.fromConfig(TINY.model, { device: d, seed: 3, init: TINY.init as never });

test('tells every pipeline; the calls that follow compile nothing', async () => {
  const d = await openDevice();
  try {
    const model = tiny(d);
    const { liveTensors, liveBytes } = d.memory();
    const events: CompileProgress[] = [];
    const count = await compileModel(model, { queryTokens: 5, textTokens: 7, progress: (event) => events.push(event) });
    assert.ok(count > 5, `${count} pipelines`);
    assert.equal(events.at(-1), { status: 'compile', built: count, total: count, secondsLeft: 0 });
    for (const [i, { built, total }] of events.entries()) assert.ok(built <= total && built >= (events[i - 1]?.built ?? 0), JSON.stringify(events[i]));
    assert.ok(events.some(({ secondsLeft }) => secondsLeft > 0 && secondsLeft < Infinity));
    assert.ok(d.memory().liveTensors - liveTensors <= 6 && d.memory().liveBytes - liveBytes < 16_384, 'only the tables of positions stay, which the passes share');
    const tables = d.memory().liveBytes;
    const before = d.counters().pipelines;
    const side = model.config.vision.cropSize;
    const pixels = Tensor.from(d, new Float32Array(3 * side * side), [1, 1, 3, side, side]);
    for (const result of [model.predict(pixels, padIds([[5, 6, 7, 8, 9]])), model.encodeText(padIds([[5, 6, 7, 8, 9, 10, 11]]))]) {
      assert.ok((await result.read()).every(Number.isFinite));
      result.dispose();
    }
    pixels.dispose();
    assert.is(d.counters().pipelines, before);
    assert.is(await compileModel(model, { queryTokens: 5, textTokens: 7 }), 0, 'a second time there is nothing to do');
    assert.is(d.memory().liveBytes, tables);
    model.dispose();
  } finally {
    d.destroy();
  }
});

test('a cancelled compilation gives the reason of the signal and leaves nothing', async () => {
  const d = await openDevice();
  try {
    const model = tiny(d);
    const { liveTensors, liveBytes } = d.memory();
    const controller = new AbortController();
    const reason = new Error('enough');
    const built: number[] = [];
    const got = await compileModel(model, { signal: controller.signal, progress: event => { built.push(event.built); if (event.built === 2) controller.abort(reason); } }).then(() => undefined, (error: unknown) => error);
    assert.is(got, reason);
    assert.equal(built, [0, 1, 2], 'nothing is told after the cancelling, and nobody waits for the rest');
    const early = new AbortController();
    assert.is(await compileModel(model, { signal: early.signal, progress: () => early.abort(reason) }).then(() => undefined, (error: unknown) => error), reason);
    assert.ok(d.memory().liveTensors - liveTensors <= 6 && d.memory().liveBytes - liveBytes < 16_384);
    assert.ok((await compileModel(model)) > 0, 'and it can be done again');
    model.dispose();
  } finally {
    d.destroy();
  }
});

test.run();
