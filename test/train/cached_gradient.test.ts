// Two passes over pieces give what one pass over the whole batch gives, and hold the activations of one piece.
import { scope } from '../../engine/memory.ts';
import { Tensor } from '../../engine/tensor.ts';
import { backward } from '../../kernels/backward.ts';
import { infoNCE } from '../../kernels/info_nce.ts';
import { sigmoidLoss } from '../../kernels/sigmoid_loss.ts';
import type { VLJEPA } from '../../model/vl_jepa.ts';
import { cachedGradient } from '../../train/cached_gradient.ts';
import type { Trainer } from '../../train/loop.ts';
import { PictureBatches } from '../../train/pictures.ts';
import { assert, close, device, nmse, random, suite } from '../harness.ts';
import { EDGE, NAMES, noiseTable, release, tinyRecipe, tinyTrainer } from './tiny.ts';

const test = suite('cached gradient');

interface Batch { readonly pixels: Float32Array; readonly captions: readonly string[] }

let shared: Promise<Trainer> | undefined;
/** Most tests only differentiate: one model for all. */
const sharedTrainer = (): Promise<Trainer> => (shared ??= device().then(d => tinyTrainer(d)));

const EACH = 3 * EDGE * EDGE;

function embed(model: VLJEPA, { pixels, captions }: Batch, start: number, end: number): Tensor[] {
  const input = Tensor.from(model.device, pixels.subarray(start * EACH, end * EACH), [end - start, 1, 3, EDGE, EDGE]);
  return [model.forwardPrediction(input), model.forwardText(model.tokenizer!.encodeBatch(captions.slice(start, end)))];
}

type Loss = (p: Tensor, y: Tensor, logScale: Tensor) => Tensor;

/** Loss and gradients of every parameter by name, by one pass or by two over pieces of `micro` samples. */
async function differentiate(model: VLJEPA, batch: Batch, loss: Loss, micro?: number): Promise<{ loss: number; grads: Map<string, Float32Array>; peakBytes: number }> {
  const d = model.device;
  const rows = batch.captions.length;
  const parameters = model.parameters();
  const lossOf = (e: readonly Tensor[]): Tensor => loss(e[0]!, e[1]!, model.logScale);
  d.resetPeak();
  const before = d.memory().liveBytes;
  const { value, grads, peakBytes } = scope(() => {
    let value: Tensor;
    if (micro) {
      const step = { parts: Math.ceil(rows / micro), embed: (k: number) => embed(model, batch, k * micro, Math.min(rows, (k + 1) * micro)), loss: lossOf, parameters: [...parameters.values()] };
      ({ loss: value } = cachedGradient(step));
    } else backward(value = lossOf(embed(model, batch, 0, rows)));
    const grads = [...parameters].map(([name, t]) => [name, t.grad] as const);
    return { value, grads, peakBytes: d.memory().peakBytes - before };
  });
  const read = new Map<string, Float32Array>();
  for (const [name, g] of grads) if (g) read.set(name, await g.read());
  const [number] = await value.read();
  [value, ...grads.map(([, g]) => g)].forEach(t => t?.dispose());
  for (const t of parameters.values()) t.grad = undefined;
  return { loss: number!, grads: read, peakBytes };
}

/** Relative L2 distance over all parameters at once. */
function distance(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  assert.equal([...a.keys()].sort(), [...b.keys()].sort());
  const flat = (m: ReadonlyMap<string, Float32Array>): number[] => [...a.keys()].flatMap(name => [...m.get(name)!]);
  return Math.sqrt(nmse(flat(b), flat(a)));
}

const LOSSES: [string, Loss][] = [
  ['infoNCE', (p, y, s) => infoNCE(p, y, s).loss],
  ['sigmoidLoss', (p, y, s) => sigmoidLoss(p, y, s, Tensor.from(p.device, [-2]))],
];

for (const [name, loss] of LOSSES) {
  for (const micro of [1, 5, 6]) {
    test(`${name}: pieces of ${micro} give the loss and gradients of the whole batch of 12 within 1e-6`, async () => {
      const { model } = await sharedTrainer();
      const batch = new PictureBatches(noiseTable(), tinyRecipe({ batch: 12 }), EDGE).at(0);
      const whole = await differentiate(model, batch, loss);
      const pieces = await differentiate(model, batch, loss, micro);
      close([pieces.loss], [whole.loss], { rel: 1e-6 });
      assert.ok(whole.grads.size > 30 && whole.grads.has('log_scale'), `${whole.grads.size} gradients`);
      const error = distance(whole.grads, pieces.grads);
      assert.ok(error <= 1e-6, `gradients are ${error.toExponential(2)} off`);
    });
  }
}

test('gradients are added to what the parameters hold', async () => {
  const d = await device();
  const x = Tensor.from(d, random([4, 3], 1), [4, 3]), w = Tensor.from(d, random([4, 3], 2), [4, 3]);
  w.needsGrad = true;
  const once = async (times: number): Promise<Float32Array> => {
    const grad = scope(() => {
      for (let i = 0; i < times; i++) cachedGradient({ parts: 1, embed: () => [x.view(x.shape), w.view(w.shape)].map((t, i) => (i ? w : t)), loss: ([p, y]) => sigmoidLoss(p!, y!, Tensor.from(d, [0]), Tensor.from(d, [0])), parameters: [w] });
      return w.grad!;
    });
    const values = await grad.read();
    grad.dispose();
    w.grad = undefined;
    return values;
  };
  close(await once(3), (await once(1)).map(v => 3 * v), { rel: 1e-6, abs: 1e-9 });
});

test('memory follows the piece, not the batch', async () => {
  const trainer = await sharedTrainer();
  const batchOf = (n: number): Batch => ({ pixels: random([n * EACH], 3), captions: Array.from({ length: n }, (_, i) => NAMES[i % NAMES.length]!) });
  const loss = LOSSES[0]![1];
  const whole = await differentiate(trainer.model, batchOf(96), loss);
  const pieces = await differentiate(trainer.model, batchOf(96), loss, 4);
  const piece = await differentiate(trainer.model, batchOf(4), loss);
  assert.ok(pieces.peakBytes < whole.peakBytes / 4, `${pieces.peakBytes} bytes in pieces, ${whole.peakBytes} at once`);
  const gradients = 4 * [...trainer.model.parameters().values()].reduce((n, t) => n + t.size, 0);
  assert.ok(pieces.peakBytes < piece.peakBytes + 2 * gradients + 96 * 96 * 4 * 8, `${pieces.peakBytes} bytes for 96 in pieces of 4, ${piece.peakBytes} for 4 alone`);
});

test('a trainer with a micro-batch takes the same step', async () => {
  const d = await device();
  for (const loss of ['info-nce', 'siglip', 'cosine'] as const) {
    const plain = await tinyTrainer(d, { loss }), pieces = await tinyTrainer(d, { loss, microBatch: 4 });
    for (let step = 0; step < 2; step++) {
      const [a, b] = [await plain.advance(), await pieces.advance()];
      close([b.loss, b.gradNorm], [a.loss, a.gradNorm], { rel: step === 0 ? 1e-6 : 1e-3, name: `${loss}, step ${step}` });
    }
    release(plain);
    release(pieces);
  }
});

test('no memory is left behind', async () => {
  const d = await device();
  const trainer = await tinyTrainer(d, { microBatch: 2 });
  await trainer.advance();
  await trainer.advance(); // the first step has the meters, and the others a plan of their own
  const before = d.memory();
  await trainer.advance();
  await trainer.advance();
  const { liveBytes, liveTensors } = d.memory();
  assert.equal([liveBytes, liveTensors], [before.liveBytes, before.liveTensors]);
  release(trainer);
});

test('says what is wrong with the pieces', async () => {
  const d = await device();
  const x = Tensor.zeros(d, [2, 3]), short = Tensor.zeros(d, [1, 3]);
  const step = { loss: ([p]: readonly Tensor[]) => p!, parameters: [] };
  assert.throws(() => cachedGradient({ ...step, parts: 0, embed: () => [x] }), /cachedGradient: parts is 0, expected a whole number/);
  assert.throws(() => cachedGradient({ ...step, parts: 1, embed: () => [x, short] }), /cachedGradient: a piece gave \[2, 3\], \[1, 3\], expected 2 embeddings of equally many rows/);
  assert.throws(() => cachedGradient({ ...step, parts: 1, embed: () => [] }), /cachedGradient: a piece gave nothing/);
});

test('the shared model gives its memory back', async () => {
  const d = await device();
  const before = d.memory().liveBytes;
  release(await sharedTrainer());
  assert.ok(d.memory().liveBytes < before);
});

test.run();
