// The three networks against the official implementations, layer by layer, and their gradients.
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { backward } from '../../kernels/backward.ts';
import { mul, sum } from '../../kernels/elementwise.ts';
import type { Params } from '../../model/params.ts';
import { Predictor } from '../../model/predictor.ts';
import { TextEncoder } from '../../model/text_encoder.ts';
import { VisionEncoder } from '../../model/vision_encoder.ts';
import { assert, device, suite } from '../harness.ts';
import { compareGradients, compareLayers, goldenFolder, goldenTensors, pick, upload, uploadU32 } from './golden.ts';
import type { StoredTensors } from './golden.ts';

const test = suite('networks');
const LAYER_LIMIT = 1e-10;
const GRADIENT_LIMIT = 1e-5;

/** Runs a forward pass in a scope and returns its layers and results by name. */
function traced(run: (trace: (name: string, value: Tensor) => void) => Record<string, Tensor>): Map<string, Tensor> {
  return scope(() => noGrad(() => {
    const values = new Map<string, Tensor>();
    const results = run((name, value) => values.set(name, value));
    for (const [name, value] of Object.entries(results)) values.set(name, value);
    return values;
  }));
}

/** Gradients of the sum of `cotangent * run()` for every parameter and the given leaves. */
function gradientsOf(params: Params, leaves: Record<string, Tensor>, cotangent: Tensor, run: () => Tensor): Map<string, Tensor> {
  const wanted = new Map([...params.entries(), ...Object.entries(leaves)]);
  for (const tensor of wanted.values()) tensor.needsGrad = true;
  return scope(() => {
    backward(sum(mul(run(), cotangent)));
    return new Map([...wanted].flatMap(([name, { grad }]) => (grad ? [[name, grad] as const] : [])));
  });
}

/** Frees what a case made. */
function release(params: Params, ...more: (Tensor | undefined | ReadonlyMap<string, Tensor>)[]): void {
  for (const [, tensor] of params.entries()) {
    tensor.grad = undefined;
    tensor.dispose();
  }
  for (const item of more) {
    if (item instanceof Tensor) item.dispose();
    else item?.forEach((tensor) => tensor.dispose());
  }
}

/** The stored prefix `vjepa2.` is not part of our names. */
const bare = (tensors: StoredTensors): StoredTensors => new Map([...tensors].map(([name, value]) => [name.replace(/^vjepa2\./, ''), value]));

for (const name of ['tiny-a', 'tiny-b', 'image', 'odd-frames']) {
  test(`vision ${name}: every layer, every gradient`, async () => {
    const d = await device();
    const inputs = await goldenTensors(`vision/${name}`, 'inputs');
    const encoder = await VisionEncoder.load(d, goldenFolder(`vision/${name}`));
    const pixels = upload(d, pick(inputs, 'pixel_values'));
    const layers = traced((trace) => ({ last_hidden_state: encoder.forward(pixels, { trace }) }));
    const expected = await goldenTensors(`vision/${name}`, 'expected');
    for (const key of expected.keys()) assert.ok(layers.has(key), `no result ${key}`);
    await compareLayers(layers, expected, LAYER_LIMIT);

    const cotangent = upload(d, pick(inputs, 'cotangent'));
    const grads = gradientsOf(encoder.params, { pixel_values: pixels }, cotangent, () => encoder.forward(pixels));
    await compareGradients(grads, bare(await goldenTensors(`vision/${name}`, 'gradients')), GRADIENT_LIMIT);
    release(encoder.params, layers, grads, cotangent, pixels);
  });
}

for (const name of ['tiny-a', 'tiny-a-causal', 'tiny-b']) {
  test(`predictor ${name}: every layer, every gradient`, async () => {
    const d = await device();
    const causal = name.endsWith('-causal');
    const inputs = await goldenTensors(`predictor/${name}`, 'inputs');
    const predictor = await Predictor.load(d, goldenFolder(`predictor/${name}`));
    const x = upload(d, pick(inputs, 'inputs_embeds'));
    const hostMask = pick(inputs, 'attention_mask');
    const mask = uploadU32(d, hostMask);
    const layers = traced((trace) => ({ last_hidden_state: predictor.forward(x, { mask, causal, trace }) }));
    const expected = await goldenTensors(`predictor/${name}`, 'expected');
    if (inputs.has('input_ids')) {
      const ids = uploadU32(d, pick(inputs, 'input_ids'));
      layers.set('logits', scope(() => noGrad(() => predictor.logits(predictor.forward(predictor.embed(ids), { mask, causal: true })))));
      ids.dispose();
    }
    for (const key of expected.keys()) assert.ok(layers.has(key), `no result ${key}`);
    await compareLayers(layers, expected, LAYER_LIMIT, hostMask.values);

    const cotangent = upload(d, pick(inputs, 'cotangent'));
    const grads = gradientsOf(predictor.params, { inputs_embeds: x }, cotangent, () => predictor.forward(x, { mask, causal }));
    await compareGradients(grads, await goldenTensors(`predictor/${name}`, 'gradients'), GRADIENT_LIMIT);
    release(predictor.params, layers, grads, cotangent, x, mask);
  });
}

for (const name of ['tiny-a', 'tiny-b', 'large-activations']) {
  test(`text ${name}: every layer, the sentence vector, every gradient`, async () => {
    const d = await device();
    const inputs = await goldenTensors(`text/${name}`, 'inputs');
    const encoder = await TextEncoder.load(d, goldenFolder(`text/${name}`));
    const ids = uploadU32(d, pick(inputs, 'input_ids'));
    const hostMask = pick(inputs, 'attention_mask');
    const mask = uploadU32(d, hostMask);
    const layers = traced((trace) => {
      const last = encoder.forward(ids, { mask, trace });
      return { last_hidden_state: last, sentence_embedding: encoder.finish(encoder.pool(last, mask)) };
    });
    const expected = await goldenTensors(`text/${name}`, 'expected');
    for (const key of expected.keys()) assert.ok(layers.has(key) || key === 'mean_pooled', `no result ${key}`);
    await compareLayers(layers, expected, LAYER_LIMIT, hostMask.values);

    let grads: Map<string, Tensor> | undefined;
    if (inputs.has('cotangent')) {
      const cotangent = upload(d, pick(inputs, 'cotangent'));
      grads = gradientsOf(encoder.params, {}, cotangent, () => encoder.embedSentence(ids, { mask }));
      const want = await goldenTensors(`text/${name}`, 'gradients');
      await compareGradients(grads, denseNames(want), GRADIENT_LIMIT);
      cotangent.dispose();
    }
    release(encoder.params, layers, grads, ids, mask);
  });
}

/** The Dense layers' gradients are stored as `2_Dense/linear.weight`, `3_Dense/...`. */
const denseNames = (tensors: StoredTensors): StoredTensors =>
  new Map([...tensors].map(([name, value]) => [name.replace(/^(\d)_Dense\/linear/, (_, index: string) => `dense.${Number(index) - 2}`), value]));

test('recomputation gives the same gradients', async () => {
  const d = await device();
  const folder = goldenFolder('predictor/tiny-a');
  const inputs = await goldenTensors('predictor/tiny-a', 'inputs');
  const { config, params } = await Predictor.load(d, folder);
  const predictor = new Predictor(config, params, { recompute: true });
  const x = upload(d, pick(inputs, 'inputs_embeds'));
  const mask = uploadU32(d, pick(inputs, 'attention_mask'));
  const cotangent = upload(d, pick(inputs, 'cotangent'));
  const grads = gradientsOf(params, { inputs_embeds: x }, cotangent, () => predictor.forward(x, { mask }));
  await compareGradients(grads, await goldenTensors('predictor/tiny-a', 'gradients'), GRADIENT_LIMIT);
  release(params, grads, x, mask, cotangent);
});

test('a layer range takes layers as stored', async () => {
  const d = await device();
  const folder = goldenFolder('predictor/tiny-a');
  const inputs = await goldenTensors('predictor/tiny-a', 'inputs');
  const expected = await goldenTensors('predictor/tiny-a', 'expected');
  const whole = pick(inputs, 'attention_mask');
  const predictor = await Predictor.load(d, folder, { layers: '1:3', tokens: false });
  assert.is(predictor.params.has('model.layers.0.input_layernorm.weight'), false);
  assert.is(predictor.params.has('model.embed_tokens.weight'), false);
  // Layers 1 and 2 on the output of layer 0 give what the whole network gives.
  const x = upload(d, { values: pick(expected, 'layers.0').values.map((v, i) => (whole.values[Math.floor(i / 64)] ? v : 0)), shape: pick(expected, 'layers.0').shape });
  const mask = uploadU32(d, whole);
  const layers = traced((trace) => ({ last_hidden_state: predictor.forward(x, { mask, trace }) }));
  assert.equal([...layers.keys()], ['layers.1', 'layers.2', 'last_hidden_state']);
  await compareLayers(layers, expected, LAYER_LIMIT, whole.values);
  release(predictor.params, layers, x, mask);
});

test('what stands in padding does not matter, and a batch of 1 equals its row', async () => {
  const d = await device();
  const inputs = await goldenTensors('text/tiny-a', 'inputs');
  const encoder = await TextEncoder.load(d, goldenFolder('text/tiny-a'));
  const hostIds = pick(inputs, 'input_ids');
  const hostMask = pick(inputs, 'attention_mask');
  const [rows, tokens] = hostIds.shape as [number, number];
  const embed = async (ids: Float32Array, mask: Float32Array, batch: number): Promise<Float32Array> => {
    const result = scope(() => noGrad(() => encoder.embedSentence(uploadU32(d, { values: ids, shape: [batch, ids.length / batch] }), {
      mask: uploadU32(d, { values: mask, shape: [batch, mask.length / batch] }),
    })));
    const values = await result.read();
    result.dispose();
    return values;
  };
  const plain = await embed(hostIds.values, hostMask.values, rows);
  const dirty = await embed(hostIds.values.map((id, i) => (hostMask.values[i] ? id : 77)), hostMask.values, rows);
  assert.equal(dirty, plain, 'ids in padding change the result');
  const length = hostMask.values.slice(tokens, 2 * tokens).reduce((a, b) => a + b, 0);
  const alone = await embed(hostIds.values.slice(tokens, tokens + length), hostMask.values.slice(tokens, tokens + length), 1);
  const width = alone.length;
  const worst = alone.reduce((most, value, i) => Math.max(most, Math.abs(value - plain[width + i]!)), 0);
  assert.ok(worst < 1e-6, `row 1 alone, without padding, differs by ${worst}`);
  release(encoder.params);
});

test('empty batches go through', async () => {
  const d = await device();
  const vision = await VisionEncoder.load(d, goldenFolder('vision/odd-frames'));
  const text = await TextEncoder.load(d, goldenFolder('text/tiny-b'));
  const [tokens, vectors] = scope(() => noGrad(() => [
    vision.forward(Tensor.empty(d, [0, 2, 3, 32, 32])),
    text.embedSentence(Tensor.empty(d, [0, 5], 'u32')),
  ])) as [Tensor, Tensor];
  assert.equal(tokens.shape, [0, 16, 64]);
  assert.equal(vectors.shape, [0, 72]);
  assert.is((await tokens.read()).length + (await vectors.read()).length, 0);
  release(vision.params, tokens, vectors);
  release(text.params);
});

test('no memory is left behind by a forward pass', async () => {
  const d = await device();
  const encoder = await VisionEncoder.load(d, goldenFolder('vision/tiny-a'));
  const pixels = upload(d, pick(await goldenTensors('vision/tiny-a', 'inputs'), 'pixel_values'));
  const once = () => scope(() => noGrad(() => void encoder.forward(pixels)));
  once();
  const before = d.memory();
  once();
  assert.is(d.memory().liveTensors, before.liveTensors);
  assert.is(d.memory().liveBytes, before.liveBytes);
  release(encoder.params, pixels);
});

test('shapes that do not fit are refused before anything runs', async () => {
  const d = await device();
  const encoder = await VisionEncoder.load(d, goldenFolder('vision/tiny-a'));
  assert.throws(() => scope(() => encoder.forward(Tensor.zeros(d, [1, 4, 3, 32, 24]))), /VisionEncoder\.forward: pixels has shape \[1, 4, 3, 32, 24\], expected \[\*, \*, 3, 32, 32\]/);
  assert.throws(() => scope(() => encoder.forward(Tensor.zeros(d, [1, 0, 3, 32, 32]))), /at least one frame/);
  release(encoder.params);
});

test.run();
