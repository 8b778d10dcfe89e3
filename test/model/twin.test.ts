// The whole model in miniature against the official networks: vectors, gradients of the first step, ten steps of training.
import { keep, scope } from '../../engine/memory.ts';
import type { Device } from '../../engine/device.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { backward } from '../../kernels/backward.ts';
import { infoNCE } from '../../kernels/info_nce.ts';
import { fromBackbones } from '../../model/backbones.ts';
import { TRAIN_PAPER } from '../../model/vl_jepa.ts';
import type { TokenBatch, VLJEPA } from '../../model/vl_jepa.ts';
import { AdamW } from '../../train/adamw.ts';
import { assert, close, device, suite } from '../harness.ts';
import { compareGradients, goldenFolder, goldenTensors, pick, upload } from './golden.ts';
import type { StoredTensors } from './golden.ts';

const test = suite('twin');
const TWIN = 'twin/tiny';
const BATCH = 8;
/** The loss is a difference of logits near 14, whose own unit in the last place is 1e-6: this holds because products are summed four at a time. */
const LOSS_LIMIT = 1e-6;

interface Training {
  lr: number;
  betas: [number, number];
  eps: number;
  weight_decay: number;
  text_multiplier: number;
  clip_norm: number;
  predictor_layers: [number, number];
  embedding: number;
  samples: number;
  loss: number[];
  gradient_norm: number[];
}

async function training(): Promise<Training> {
  return JSON.parse((await goldenFolder(TWIN).readText('training.json'))!) as Training;
}

/** The joint model with the twin's weights; the predictor uses layers 2 and 3 of 4. */
async function twinModel(d: Device, recompute = false): Promise<VLJEPA> {
  const folder = goldenFolder(TWIN);
  const settings = await training();
  const model = await fromBackbones(
    { vision: folder.sub('vision'), predictor: folder.sub('predictor'), text: folder.sub('text') },
    { embedding_dim: settings.embedding, predictor_layers: settings.predictor_layers },
    { device: d, train: TRAIN_PAPER, recompute },
  );
  const tensors = model.tensors();
  for (const [name, { values, shape }] of await goldenTensors(TWIN, 'heads')) {
    const target = tensors.get(name)!;
    assert.equal(target.shape, shape, name);
    d.upload(target, values);
  }
  return model;
}

/** Rows start..start+7 of the stored ids. */
function rows(inputs: StoredTensors, kind: 'query' | 'target', start: number): TokenBatch {
  const { shape } = pick(inputs, `${kind}_ids`);
  const tokens = shape[1]!;
  const part = (name: string) => Uint32Array.from(pick(inputs, name).values.subarray(start * tokens, (start + BATCH) * tokens));
  return { ids: part(`${kind}_ids`), mask: part(`${kind}_mask`), tokens };
}

/** Pixels of the same rows. */
function pixels(d: Device, inputs: StoredTensors, start: number): Tensor {
  const { values, shape } = pick(inputs, 'pixel_values');
  const size = values.length / shape[0]!;
  return upload(d, { values: values.slice(start * size, (start + BATCH) * size), shape: [BATCH, ...shape.slice(1)] });
}

/** One batch: both vectors and the loss. */
function forward(model: VLJEPA, inputs: StoredTensors, start: number) {
  const p = model.forwardPrediction(pixels(model.device, inputs, start), rows(inputs, 'query', start));
  const y = model.forwardText(rows(inputs, 'target', start));
  const { loss } = infoNCE(p, y, model.logScale, { maxLogScale: model.config.logitScaleMax });
  return { p, y, loss };
}

/** Names as in the golden files: `heads.` before what belongs to no network. */
const goldenNames = (tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> =>
  new Map([...tensors].map(([name, tensor]) => [/^(predictor|text)\./.test(name) ? name : `heads.${name}`, tensor]));

test('unit vectors of the first batch and visual tokens', async () => {
  const model = await twinModel(await device());
  const inputs = await goldenTensors(TWIN, 'inputs');
  const expected = await goldenTensors(TWIN, 'expected');
  const visual = model.encodeImage(upload(model.device, pick(inputs, 'pixel_values')));
  close(await visual.read(), pick(expected, 'visual_tokens').values, { nmse: 1e-10, name: 'visual tokens' });
  const prediction = model.predict(pixels(model.device, inputs, 0), rows(inputs, 'query', 0));
  close(await prediction.read(), pick(expected, 'prediction').values, { nmse: 1e-10, name: 'prediction' });
  const target = model.encodeText(rows(inputs, 'target', 0), { batchSize: 3 });
  close(await target.read(), pick(expected, 'target').values, { nmse: 1e-10, name: 'target' });
  for (const tensor of [visual, prediction, target]) tensor.dispose();
  model.dispose();
});

for (const recompute of [false, true]) {
  test(`gradients of the first step${recompute ? ', recomputing blocks' : ''}`, async () => {
    const model = await twinModel(await device(), recompute);
    const inputs = await goldenTensors(TWIN, 'inputs');
    const grads = scope(() => {
      backward(forward(model, inputs, 0).loss);
      return new Map([...model.parameters()].map(([name, { grad }]) => [name, grad!]));
    });
    const expected = await goldenTensors(TWIN, 'gradients');
    assert.is(grads.size, expected.size, 'number of trained tensors');
    await compareGradients(goldenNames(grads), expected, 1e-5);
    for (const grad of grads.values()) grad.dispose();
    model.dispose();
  });
}

test('ten steps of training: losses, gradient norms, weights', async () => {
  const model = await twinModel(await device());
  const inputs = await goldenTensors(TWIN, 'inputs');
  const { lr, betas, eps, weight_decay: weightDecay, text_multiplier: slow, clip_norm: clipNorm, samples, loss: losses, gradient_norm: norms } = await training();
  const optimiser = new AdamW(model.parameters(), {
    lr, betas, eps, weightDecay, clipNorm,
    group: (name, tensor) => ({ lr: name.startsWith('text.') ? slow : 1, weightDecay: tensor.shape.length === 1 || name.includes('embed_tokens') ? 0 : weightDecay }),
  });
  for (let step = 0; step < 10; step++) {
    const loss = scope(() => {
      const result = forward(model, inputs, (step * BATCH) % samples).loss;
      backward(result);
      optimiser.step();
      return keep(result);
    });
    const value = (await loss.read())[0]!;
    loss.dispose();
    assert.ok(Math.abs(value - losses[step]!) <= LOSS_LIMIT, `step ${step}: loss ${value}, expected ${losses[step]}, off by ${value - losses[step]!}`);
    const norm = (await optimiser.gradNorm.read())[0]!;
    assert.ok(Math.abs(norm / norms[step]! - 1) <= 1e-5, `step ${step}: gradient norm ${norm}, expected ${norms[step]}`);
  }
  const tensors = goldenNames(model.tensors());
  for (const [name, { values }] of await goldenTensors(TWIN, 'weights_after_10')) {
    close(await tensors.get(name)!.read(), values, { nmse: 1e-9, name });
  }
  model.dispose();
});

test.run();
