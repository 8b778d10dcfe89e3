// One forward pass and one training step, compared between adapters (stored values, 1e-4) and between Node and Chromium (bits, by test/run.ts).
import { scope } from '../../engine/memory.ts';
import { Tensor } from '../../engine/tensor.ts';
import { backward } from '../../kernels/backward.ts';
import { infoNCE } from '../../kernels/info_nce.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { AdamW } from '../../train/adamw.ts';
import { NANO } from '../../train/presets.ts';
import { close, device, fingerprint, random, suite } from '../harness.ts';
import { goldenTensors, pick } from './golden.ts';

const test = suite('agreement');
const BATCH = 6;

test('the nano model answers alike on every adapter, before and after a training step', async () => {
  const d = await device();
  const model = VLJEPA.fromConfig(NANO.model, { device: d, seed: 5, init: NANO.init as never });
  const { cropSize } = model.config.vision;
  const pixels = random([BATCH, 1, 3, cropSize, cropSize], 21);
  const tokens = 7;
  const ids = Uint32Array.from({ length: BATCH * tokens }, (_, i) => 4 + ((i * 193) % 2000));
  const mask = Uint32Array.from({ length: BATCH * tokens }, (_, i) => (i % tokens < 2 + Math.floor(i / tokens) ? 1 : 0));
  const forward = (): { prediction: Tensor; target: Tensor } => scope(() => ({
    prediction: model.predict(Tensor.from(d, pixels, [BATCH, 1, 3, cropSize, cropSize])),
    target: model.encodeText({ ids, mask, tokens }),
  }));
  const optimizer = new AdamW(model.parameters(), { lr: 1e-3 });
  const expected = await goldenTensors('agreement', 'nano');
  for (const when of ['before', 'after']) {
    const vectors = forward();
    for (const [name, t] of Object.entries(vectors)) {
      const values = await t.read();
      close(values, pick(expected, `${name}.${when}`).values, { nmse: 1e-8, abs: 1e-4, name: `${name} ${when}` }); // unit rows: 1e-8 NMSE is 1e-4 relative
      await fingerprint(`nano ${name} ${when} one training step`, values);
      t.dispose();
    }
    scope(() => {
      const p = model.forwardPrediction(Tensor.from(d, pixels, [BATCH, 1, 3, cropSize, cropSize]));
      backward(infoNCE(p, model.forwardText({ ids, mask, tokens }), model.logScale).loss);
      optimizer.step();
    });
  }
  optimizer.dispose();
  model.dispose();
});

test.run();
