// Three folders of the hub -> joint model -> save with parts -> three folders again, and the same model to the bit.
import { Tensor } from '../../engine/tensor.ts';
import { Predictor } from '../../model/predictor.ts';
import { TextEncoder } from '../../model/text_encoder.ts';
import { VisionEncoder } from '../../model/vision_encoder.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import type { TokenBatch } from '../../model/vl_jepa.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { inFolder } from '../folder.ts';
import { assert, device, isNode, random, suite } from '../harness.ts';
import { goldenFolder } from './golden.ts';

const test = suite('joint parts');
const WHY = 'writes files';

const IDS: TokenBatch = { tokens: 4, ids: Uint32Array.of(2, 9, 11, 1, 2, 7, 1, 0), mask: Uint32Array.of(1, 1, 1, 1, 1, 1, 1, 0) };

/** The official tiny networks: a text folder with a Dense pair, and layers 1 and 2 of the predictor in use. */
async function assembled(): Promise<VLJEPA> {
  const folders = { vision: goldenFolder('vision/tiny-a'), predictor: goldenFolder('predictor/tiny-a'), text: goldenFolder('text/tiny-a') };
  return VLJEPA.fromPretrained(folders, { device: await device(), joint: { embedding_dim: 24, predictor_layers: [1, 3] }, seed: 5 });
}

/** Two clips with a query, and two texts. */
async function outputs(model: VLJEPA): Promise<Float32Array[]> {
  const { cropSize } = model.config.vision;
  const pixels = Tensor.from(model.device, random([2 * 2 * 3 * cropSize * cropSize], 4), [2, 2, 3, cropSize, cropSize]);
  const results = [model.predict(pixels, IDS), model.encodeText(IDS)];
  const values = [await results[0]!.read(), await results[1]!.read()];
  for (const t of [pixels, ...results]) t.dispose();
  return values;
}

async function sameModel(a: VLJEPA, b: VLJEPA): Promise<void> {
  const [left, right] = [[...a.tensors().values()], [...b.tensors().values()]];
  assert.is(left.length, right.length);
  for (const [i, tensor] of left.entries()) assert.equal(await right[i]!.read(), await tensor.read(), [...b.tensors().keys()][i]!);
  assert.equal(await outputs(b), await outputs(a));
}

async function namesOf(path: string): Promise<string[]> {
  const file = await openSafetensors(path);
  const names = file.names();
  await file.close();
  return names;
}

test.when(isNode, WHY, 'parts hold the official names and settings, and load again to the same bits', async () => {
  const { readFile, readdir } = await import('node:fs/promises');
  await inFolder(async (folder) => {
    const model = await assembled();
    await model.save(folder, { parts: true });
    assert.equal((await readdir(folder)).sort(), ['config.json', 'model.safetensors', 'predictor', 'text', 'vision']);
    assert.equal((await namesOf(`${folder}/model.safetensors`)).sort(), ['log_scale', 'predictor_head.bias', 'predictor_head.weight', 'text_head.bias', 'text_head.weight', 'visual_projection.bias', 'visual_projection.weight']);
    const config = async (part: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(`${folder}/${part}/config.json`, 'utf8')) as Record<string, unknown>;
    assert.is((await config('predictor')).num_hidden_layers, 2);
    const stored = await namesOf(`${folder}/predictor/model.safetensors`);
    assert.ok(stored.includes('model.embed_tokens.weight') && stored.includes('model.layers.0.mlp.up_proj.weight') && stored.includes('model.layers.1.mlp.up_proj.weight'));
    assert.not(stored.some((name) => name.startsWith('model.layers.2.')));
    assert.ok((await namesOf(`${folder}/vision/model.safetensors`)).every((name) => name.startsWith('encoder.')));
    assert.ok((await namesOf(`${folder}/text/model.safetensors`)).every((name) => /^(embed_tokens|layers|norm)\./.test(name)));
    assert.equal(await namesOf(`${folder}/text/2_Dense/model.safetensors`), ['linear.weight']);
    assert.equal((JSON.parse(await readFile(`${folder}/text/modules.json`, 'utf8')) as { path: string }[]).map(({ path }) => path), ['', '1_Pooling', '2_Dense', '3_Dense', '4_Normalize']);

    const again = await VLJEPA.fromPretrained(folder, { device: model.device });
    assert.equal(again.config.predictorLayers, [0, 2]);
    await sameModel(model, again);
    await again.save(`${folder}/one`);
    const one = await VLJEPA.fromPretrained(`${folder}/one`, { device: model.device });
    assert.is(one.config.json.parts, undefined);
    await sameModel(model, one);
    await one.save(`${folder}/three`, { parts: true });
    const three = await VLJEPA.fromPretrained(`${folder}/three`, { device: model.device });
    await sameModel(model, three);
    const fresh = await VLJEPA.fromPretrained({ vision: `${folder}/three/vision`, predictor: `${folder}/three/predictor`, text: `${folder}/three/text` }, { device: model.device, joint: { embedding_dim: 24 }, seed: 5 });
    await sameModel(model, fresh); // its heads are drawn from the same seed
    for (const m of [model, again, one, three, fresh]) m.dispose();
  });
});

test.when(isNode, WHY, 'each network loads out of the folder of parts, and its own config counts', async () => {
  const { readFile, rm, writeFile } = await import('node:fs/promises');
  await inFolder(async (folder) => {
    const d = await device();
    const model = await assembled();
    await model.save(folder, { parts: true });
    const before = d.memory().liveTensors;
    for (const [Network, part] of [[VisionEncoder, 'vision'], [Predictor, 'predictor'], [TextEncoder, 'text']] as const) {
      const [whole, alone] = [await Network.load(d, folder), await Network.load(d, `${folder}/${part}`)];
      assert.equal(whole.params.names(), alone.params.names());
      for (const network of [whole, alone]) for (const [, t] of network.params.entries()) t.dispose();
    }
    const path = `${folder}/text/config.json`;
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({ ...config, query_pre_attn_scalar: 77 }));
    const changed = await VLJEPA.fromPretrained(folder, { device: d });
    assert.is(changed.config.text.queryScalar, 77);
    changed.dispose();
    await writeFile(path, JSON.stringify({ ...config, num_hidden_layers: 99, layer_types: undefined }));
    assert.match(await VLJEPA.fromPretrained(folder, { device: d }).then(() => 'loaded', (e: Error) => e.message), /layers\.\d+\..* is missing/);
    await rm(path);
    assert.match(await VLJEPA.fromPretrained(folder, { device: d }).then(() => 'loaded', (e: Error) => e.message), /text: config\.json is missing, expected the folder of a network \(parts is true in/);
    assert.is(d.memory().liveTensors, before, 'failed loads leave nothing');
    model.dispose();
  });
});

test.when(isNode, WHY, 'parts stored as bf16 load as they are', async () => {
  await inFolder(async (folder) => {
    const d = await device();
    const model = await assembled();
    await model.save(folder, { parts: true, dtype: 'BF16' });
    const packed = await VLJEPA.fromPretrained(folder, { device: d, dtype: 'stored' });
    assert.is(packed.tensors().get('predictor.model.layers.0.mlp.up_proj.weight')!.dtype, 'bf16');
    await packed.save(`${folder}/again`, { parts: true, dtype: 'BF16' });
    const { readFile } = await import('node:fs/promises');
    for (const file of ['model', 'vision/model', 'predictor/model', 'text/model', 'text/3_Dense/model']) {
      assert.ok((await readFile(`${folder}/${file}.safetensors`)).equals(await readFile(`${folder}/again/${file}.safetensors`)), file);
    }
    for (const m of [model, packed]) m.dispose();
  });
});

test.run();
