// Real weights: SmolLM2-135M through the Llama path, against the official code layer by layer. test/reference/smollm2.py makes the folder; it is not in the repository.
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { Predictor } from '../../model/predictor.ts';
import type { WeightDtype } from '../../model/weight_stream.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { assert, device, isNode, suite } from '../harness.ts';
import { compareLayers, pick, uploadU32 } from './golden.ts';
import type { StoredTensors } from './golden.ts';

const test = suite('SmolLM2-135M');
const FOLDER = isNode ? process.env.VL_JEPA_SMOLLM2 : undefined;
const WHY = 'VL_JEPA_SMOLLM2 names no folder made by test/reference/smollm2.py';

async function tensorsOf(file: string): Promise<StoredTensors> {
  const checkpoint = await openSafetensors(`${FOLDER}/${file}.safetensors`);
  const tensors: StoredTensors = new Map();
  for (const name of checkpoint.names()) {
    const { shape, dtype } = checkpoint.info(name);
    tensors.set(name, { shape, values: dtype.startsWith('I') ? Float32Array.from(await checkpoint.readNumbers(name)) : await checkpoint.readF32(name) });
  }
  await checkpoint.close();
  return tensors;
}

/** Index of the largest of `width` numbers from `start` on. */
function argmax(values: Float32Array, start: number, width: number): number {
  let best = start;
  for (let i = start; i < start + width; i++) if (values[i]! > values[best]!) best = i;
  return best - start;
}

async function run(causal: boolean, dtype: WeightDtype, limit: number): Promise<void> {
  const d = await device();
  const [inputs, expected] = [await tensorsOf('inputs'), await tensorsOf(`expected-${causal ? 'causal' : 'bidirectional'}`)];
  const predictor = await Predictor.load(d, FOLDER!, { dtype });
  assert.is(predictor.config.layers, 30);
  const mask = pick(inputs, 'attention_mask');
  const results = new Map<string, Tensor>();
  scope(() => noGrad(() => {
    const last = predictor.forward(predictor.embed(uploadU32(d, pick(inputs, 'input_ids'))), { causal, mask: uploadU32(d, mask), trace: (name, value) => results.set(name, value) });
    results.set('last_hidden_state', last);
    if (causal) results.set('logits', predictor.logits(last));
    return [...results.values()];
  }));
  if (causal) {
    const [got, want] = [await results.get('logits')!.read(), pick(expected, 'logits').values];
    const width = predictor.config.vocabSize;
    mask.values.forEach((real, i) => { if (real) assert.is(argmax(got, i * width, width), argmax(want, i * width, width), `likeliest next token at position ${i}`); });
  }
  const error = await compareLayers(results, expected, limit, mask.values);
  console.log(`    ${causal ? 'causal' : 'bidirectional'}, ${dtype}: worst NMSE ${error.toExponential(1)} over ${results.size} tensors`);
  for (const t of [...results.values(), ...predictor.params.entries().map(([, p]) => p)]) t.dispose();
}

test.when(FOLDER !== undefined, WHY, 'causal: 30 layers, logits, and the likeliest next token everywhere', () => run(true, 'f32', 1e-10));
// The weights were trained causally: the other way round rounding grows from layer to layer, and the official float32 run itself is 1.9e-10 from float64 (1.0e-12 causally).
test.when(FOLDER !== undefined, WHY, 'bidirectional: 30 layers', () => run(false, 'f32', 4e-10));
test.when(FOLDER !== undefined, WHY, 'embeddings of ids are the rows of the table', async () => {
  const d = await device();
  const inputs = await tensorsOf('inputs');
  const predictor = await Predictor.load(d, FOLDER!, { layers: '0:1' });
  const x = predictor.embed(uploadU32(d, pick(inputs, 'input_ids')));
  assert.equal(await x.read(), pick(inputs, 'inputs_embeds').values);
  for (const t of [x, ...predictor.params.entries().map(([, p]) => p)]) t.dispose();
});

test.run();
