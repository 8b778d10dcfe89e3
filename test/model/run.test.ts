// `vl-jepa run` and `vl-jepa inspect` as functions: what they write, and the one sentence they fail with.
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { Predictor } from '../../model/predictor.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { writeSafetensors } from '../../weights/writer.ts';
import { assert, close, device, isNode, random, suite } from '../harness.ts';
import { goldenFolder, goldenTensors, pick } from './golden.ts';

const test = suite('run and inspect');
const WHY = 'reads and writes files';

/** Path of a golden folder; Node only. */
async function pathOf(name: string): Promise<string> {
  const { fileURLToPath } = await import('node:url');
  return fileURLToPath(new URL(`../../../test/golden/${name}`, import.meta.url));
}

async function inTemporary(run: (folder: string) => Promise<void>): Promise<void> {
  const { mkdtemp, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const folder = await mkdtemp(`${tmpdir()}/vl-jepa-run-`);
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const bytesOf = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

for (const [network, name, extra] of [['vision', 'vision/image', {}], ['predictor', 'predictor/tiny-a-causal', { causal: true }], ['text', 'text/tiny-a', {}]] as const) {
  test.when(isNode, WHY, `run ${network} writes the official values`, async () => {
    const { runNetwork } = await import('../../app/run.ts');
    const path = await pathOf(name);
    await inTemporary(async (folder) => {
      const output = `${folder}/out.safetensors`;
      const result = await runNetwork({ network, model: path, input: `${path}/inputs.safetensors`, output, allLayers: true, device: await device(), ...extra });
      const file = await openSafetensors(output);
      const expected = await goldenTensors(name, 'expected');
      const mask = network === 'vision' ? undefined : pick(await goldenTensors(name, 'inputs'), 'attention_mask').values;
      assert.equal(Object.keys(result.outputs).sort(), file.names().sort());
      for (const key of file.names()) {
        const want = expected.get(key);
        if (!want) {
          assert.is(key, 'embeddings', 'only the predictor\'s own input is not among the golden values');
          continue;
        }
        const real = (values: Float32Array) => (mask && values.length % mask.length === 0 ? values.map((v, i) => (mask[Math.floor(i / (values.length / mask.length))] ? v : 0)) : values);
        close(real(await file.readF32(key)), real(want.values), { nmse: 1e-10, name: key });
      }
      assert.ok(file.has('layers.0') && file.has('last_hidden_state'));
      await file.close();
    });
  });
}

test.when(isNode, WHY, 'run takes i64 ids, ignores what it does not use, and writes results alone unless all layers are wanted', async () => {
  const { runNetwork } = await import('../../app/run.ts');
  const model = await pathOf('text/tiny-b');
  const inputs = await goldenTensors('text/tiny-b', 'inputs');
  await inTemporary(async (folder) => {
    const [input, output] = [`${folder}/in.safetensors`, `${folder}/out.safetensors`];
    const wide = (name: string) => ({ name, dtype: 'I64' as const, shape: pick(inputs, name).shape, bytes: bytesOf(BigInt64Array.from(pick(inputs, name).values, (v) => BigInt(v))) });
    await writeSafetensors(input, [wide('input_ids'), wide('attention_mask'), { name: 'unused', dtype: 'F16', shape: [1], bytes: new Uint8Array(2) }]);
    const { outputs } = await runNetwork({ network: 'text', model, input, output, device: await device() });
    assert.equal(Object.keys(outputs).sort(), ['last_hidden_state', 'sentence_embedding']);
    const file = await openSafetensors(output);
    close(await file.readF32('sentence_embedding'), pick(await goldenTensors('text/tiny-b', 'expected'), 'sentence_embedding').values, { nmse: 1e-10 });
    await file.close();
  });
});

test.when(isNode, WHY, 'run takes a layer range, without a mask', async () => {
  const { runNetwork } = await import('../../app/run.ts');
  const model = await pathOf('predictor/tiny-a');
  await inTemporary(async (folder) => {
    const input = `${folder}/in.safetensors`;
    await writeSafetensors(input, [{ name: 'inputs_embeds', dtype: 'F32', shape: [1, 3, 64], bytes: bytesOf(Float32Array.from({ length: 192 }, (_, i) => Math.sin(i))) }]);
    const { outputs } = await runNetwork({ network: 'predictor', model, input, output: `${folder}/out.safetensors`, layers: '1:2', allLayers: true, device: await device() });
    assert.equal(outputs, { embeddings: [1, 3, 64], 'layers.1': [1, 3, 64], last_hidden_state: [1, 3, 64] });
  });
});

test.when(isNode, WHY, 'run fails with one sentence', async () => {
  const { runNetwork } = await import('../../app/run.ts');
  const d = await device();
  const text = await pathOf('text/tiny-b');
  const predictor = await pathOf('predictor/tiny-a');
  const before = d.memory().liveTensors;
  const fails = async (options: object, pattern: RegExp) => {
    const base = { network: 'text', model: text, input: `${text}/inputs.safetensors`, output: '/nowhere/out.safetensors', device: d };
    const message = await runNetwork({ ...base, ...options }).then(() => 'it ran', (error: Error) => error.message);
    assert.match(message, pattern);
    assert.not.match(message, /\n/);
  };
  await fails({ network: 'audio' }, /^run: the network is "audio", expected vision, predictor or text$/);
  for (const dtype of ['half', 'F32', '']) await fails({ dtype }, /^run: dtype is ".*", expected one of f32, bf16, f16, int8, stored/);
  await fails({ causal: true }, /--causal is given for text, expected it for predictor alone/);
  await fails({ input: `${predictor}/inputs.safetensors` }, /input_ids is missing, expected it among/);
  await fails({ model: predictor }, /model_type is "llama", expected "gemma3_text"/);
  await fails({ model: `${text}/none` }, /config\.json is missing/);
  await fails({ network: 'predictor', model: predictor, input: `${predictor}/inputs.safetensors`, layers: '2:9' }, /the range is "2:9", expected A:B with 0 <= A < B <= 3/);
  await inTemporary(async (folder) => {
    const input = `${folder}/in.safetensors`;
    await writeSafetensors(input, [{ name: 'input_ids', dtype: 'I32', shape: [1, 2], bytes: bytesOf(Int32Array.of(5, 90)) }]);
    await fails({ input }, /input_ids\[1\] is 90, expected 0 to 89/);
  });
  assert.is(d.memory().liveTensors, before, 'a failed run leaves tensors behind');
});

test.when(isNode, WHY, 'inspect checks names and shapes against the config', async () => {
  const { formatInspection, inspectCheckpoint } = await import('../../app/inspect.ts');
  for (const [name, type, parameters] of [['vision/tiny-b', 'vjepa2', 372096], ['predictor/tiny-a', 'llama', 118720], ['text/tiny-a', 'gemma3_text', 226944]] as const) {
    const report = await inspectCheckpoint(await pathOf(name));
    assert.is(report.modelType, type);
    assert.equal(report.problems, [], name);
    assert.is(report.used?.parameters, parameters, name);
    assert.match(formatInspection(report), /every tensor of the config is there, with its shape/);
  }
  const vision = await inspectCheckpoint(await pathOf('vision/tiny-b'));
  assert.ok(vision.skipped.length > 0 && vision.skipped.every((name) => name.startsWith('vjepa2.predictor.')));
  assert.equal(Object.keys(vision.dtypes), ['F16']);
  const file = await inspectCheckpoint(await pathOf('twin/tiny/heads.safetensors'));
  assert.is(file.tensors.length, 7);
  assert.is(file.used, undefined);
});

test.when(isNode, WHY, 'inspect names what is wrong', async () => {
  const { formatInspection, inspectCheckpoint } = await import('../../app/inspect.ts');
  const { copyFile, readFile, writeFile } = await import('node:fs/promises');
  const source = await pathOf('predictor/tiny-a');
  await inTemporary(async (folder) => {
    await copyFile(`${source}/model.safetensors`, `${folder}/model.safetensors`);
    const config = JSON.parse(await readFile(`${source}/config.json`, 'utf8')) as { num_hidden_layers: number; intermediate_size: number };
    await writeFile(`${folder}/config.json`, JSON.stringify({ ...config, num_hidden_layers: 4, intermediate_size: 100 }));
    const { problems, ...rest } = await inspectCheckpoint(folder);
    assert.ok(problems.some((text) => /model\.layers\.3\.input_layernorm\.weight is missing, the nearest name is model\.layers\.\d\.input_layernorm\.weight/.test(text)));
    assert.ok(problems.some((text) => /model\.layers\.0\.mlp\.up_proj\.weight has shape \[128, 64\], expected \[100, 64\]/.test(text)));
    assert.match(formatInspection({ ...rest, problems }), /problem: /);
  });
});

test.when(isNode, 'run is of Node', 'logits above a binding come in runs of rows with the same values', async () => {
  const { logitsOf } = await import('../../app/run.ts');
  const d = await device();
  const predictor = await Predictor.load(d, goldenFolder('predictor/tiny-a-causal'));
  const { hiddenSize, vocabSize } = predictor.config;
  const hidden = Tensor.from(d, random([2, 5, hiddenSize], 3), [2, 5, hiddenSize]);
  const [whole, cut] = scope(() => noGrad(() => [logitsOf(predictor, hidden), logitsOf(predictor, hidden, 4)]));
  assert.ok(whole instanceof Tensor && !(cut instanceof Tensor) && cut.tensors.length > 2);
  assert.equal(cut.shape, [2, 5, vocabSize]);
  const rows = [];
  for (const piece of cut.tensors) rows.push(...await piece.read());
  close(Float32Array.from(rows), await whole.read(), { nmse: 1e-13, name: 'logits' });
  for (const t of [whole, ...cut.tensors, hidden]) t.dispose();
  for (const [, t] of predictor.params.entries()) t.dispose();
});

test.run();
