// Configs of the three checkpoints and their variants; weights that do not fit.
import { ConfigError, predictorConfig, textConfig, visionConfig, vlJepaConfig } from '../../model/config.ts';
import { initialValues } from '../../model/init.ts';
import { jointTensors } from '../../model/joint_weights.ts';
import { loadParams, matchTensors } from '../../model/params.ts';
import type { TensorSpec } from '../../model/params.ts';
import { parseLayerRange, predictorSkip, predictorTensors } from '../../model/predictor.ts';
import { PAPER } from '../../model/presets.ts';
import { readSentenceModules } from '../../model/sentence_folder.ts';
import { textTensors } from '../../model/text_encoder.ts';
import { VISION_SKIP, visionTensors } from '../../model/vision_encoder.ts';
import { WeightError } from '../../weights/error.ts';
import { folderSource } from '../../weights/folder.ts';
import { openSafetensors } from '../../weights/safetensors.ts';
import { safetensorsBytes } from '../../weights/writer.ts';
import { ropeFrequencies } from '../../kernels/rope.ts';
import { assert, close, device, suite } from '../harness.ts';

const test = suite('config and params');
const count = (specs: readonly TensorSpec[]) => specs.reduce((sum, { shape }) => sum + shape.reduce((n, s) => n * s, 1), 0);
const { vision_config: vitl, predictor_config: llama, text_config: gemma } = PAPER;

/** A safetensors file of zeros. */
const stored = (specs: readonly { name: string; shape: readonly number[] }[]) =>
  openSafetensors(safetensorsBytes(specs.map(({ name, shape }) => ({ name, shape, dtype: 'F32', bytes: new Uint8Array(4 * shape.reduce((n, s) => n * s, 1)) }))));

test('the tables of the real checkpoints have the published counts (spec 2.2, 3.2, 4.2)', () => {
  const v = visionTensors(visionConfig(vitl));
  assert.is(v.length, 388);
  assert.is(count(v), 303_885_312);
  const p = predictorTensors(predictorConfig(llama));
  assert.is(p.length, 146);
  assert.is(count(p), 1_235_814_400);
  assert.is(count(predictorTensors(predictorConfig(llama), { layers: [8, 16], tokens: false })), 486_574_080);
  const t = textTensors(textConfig(gemma));
  assert.is(t.length, 314);
  assert.is(count(t), 302_863_104);
  const joint = jointTensors(vlJepaConfig(PAPER));
  assert.is(count(joint), 1_362_418_433, 'spec 7.1 and the temperature');
  assert.is(count(joint.filter(({ name }) => !name.startsWith('vision.') && name !== 'predictor.model.embed_tokens.weight')), 795_864_832 + 1);
});

test('Llama frequencies of spec 3.4, from both ways of writing them', () => {
  const { rope_theta, rope_scaling, ...rest } = llama;
  const renewed = predictorConfig({ ...rest, rope_parameters: { ...rope_scaling, rope_theta } });
  assert.equal(renewed, predictorConfig(llama));
  const f = ropeFrequencies(renewed.headDim, renewed.rope.theta, renewed.rope.scaling);
  for (const [i, value] of [[1, 6.636012377e-1], [15, 1.290547928e-3], [16, 4.295567966e-4], [17, 9.708287803e-5], [18, 1.946163818e-5], [31, 9.418306725e-8]] as const) {
    close([f[i]!], [value], { rel: 1e-9, name: `frequency ${i}` });
  }
  const plain = predictorConfig({ ...rest, rope_theta: 10000, rope_scaling: null });
  assert.is(plain.rope.scaling, undefined);
  assert.throws(() => predictorConfig({ ...rest, rope_theta, rope_scaling: { rope_type: 'yarn', factor: 4 } }), /rope_scaling: rope_type is "yarn", expected "default" or "llama3"/);
});

test('Gemma frequencies of spec 4.3, layer kinds and windows', () => {
  const c = textConfig(gemma);
  const local = ropeFrequencies(c.headDim, c.ropeSliding.theta);
  const global = ropeFrequencies(c.headDim, c.ropeFull.theta);
  close([local[1]!, local[2]!, local[127]!], [0.93057204, 0.86596432, 1.0746078e-4], { rel: 1e-7, name: 'local' });
  close([global[1]!, global[2]!, global[127]!], [0.89768713, 0.80584219, 1.1139739e-6], { rel: 1e-7, name: 'global' });
  assert.equal(c.layerTypes.flatMap((kind, i) => (kind === 'full_attention' ? [i] : [])), [5, 11, 17, 23]);
  assert.is(c.window, 257);
  const { layer_types, rope_theta, rope_local_base_freq, ...rest } = gemma;
  const renewed = textConfig({
    ...rest, _sliding_window_pattern: 6,
    rope_parameters: { full_attention: { rope_type: 'default', rope_theta }, sliding_attention: { rope_type: 'default', rope_theta: rope_local_base_freq } },
  });
  assert.equal(renewed, c);
  assert.is(layer_types.length, 24);
  assert.is(textConfig({ ...gemma, use_bidirectional_attention: false }).window, 512, 'causal windows count keys behind');
});

test('a window that an older writer may have halved is not guessed', () => {
  assert.throws(() => textConfig({ ...gemma, sliding_window: 257 }), /sliding_window is 257, expected an even width such as 512 \(it looks halved by an older writer/);
  assert.is(textConfig({ ...gemma, sliding_window: 257 }, 'x', { window: 'halved' }).window, 257);
  assert.is(textConfig({ ...gemma, sliding_window: 257 }, 'x', { window: 'whole' }).window, 129);
});

test('V-JEPA 2.1 switches are refused by name when they are on', () => {
  for (const key of ['modality_embedding', 'interpolate_rope', 'rope_interleaved', 'n_output_distillation', 'use_image_patch_embedder', 'hierarchical_outputs']) {
    assert.throws(() => visionConfig({ ...vitl, [key]: key.startsWith('n_') ? 4 : true }), new RegExp(`${key} is (true|4), expected it to be off \\(a V-JEPA 2\\.1 switch`));
    visionConfig({ ...vitl, [key]: key.startsWith('n_') ? 0 : false });
  }
});

test('wrong fields are named', () => {
  const bad: [() => unknown, RegExp][] = [
    [() => visionConfig({ ...vitl, hidden_size: '1024' }, 'a/config.json'), /^a\/config\.json: hidden_size is "1024", expected an integer of at least 1$/],
    [() => visionConfig({ ...vitl, num_attention_heads: 7 }), /num_attention_heads is 7, expected a divisor of hidden_size 1024/],
    [() => visionConfig({ ...vitl, model_type: 'vit' }), /model_type is "vit", expected "vjepa2"/],
    [() => visionConfig({ ...vitl, hidden_act: 'relu' }), /hidden_act is "relu"/],
    [() => visionConfig([]), /the content is \[\], expected a JSON object/],
    [() => predictorConfig({ ...llama, num_key_value_heads: 5 }), /num_key_value_heads is 5, expected a divisor/],
    [() => predictorConfig({ ...llama, attention_bias: true }), /attention_bias is true, expected false/],
    [() => textConfig({ ...gemma, attn_logit_softcapping: 50 }), /attn_logit_softcapping is 50, expected it to be off/],
    [() => textConfig({ ...gemma, layer_types: ['full_attention'] }), /layer_types is .*expected a list of 24/],
    [() => vlJepaConfig({ ...PAPER, pool: 'max' }), /pool is "max", expected "all" or "query"/],
    [() => vlJepaConfig({ ...PAPER, predictor_layers: [8, 17] }), /predictor_layers is \[8,17\], expected \[first, end\] with 0 <= first < end <= 16/],
    [() => vlJepaConfig({ ...PAPER, embedding_dim: undefined }), /embedding_dim is missing, expected an integer/],
    [() => parseLayerRange('8-16', 16), /the range is "8-16", expected A:B/],
    [() => parseLayerRange('8:17', 16), /expected A:B with 0 <= A < B <= 16/],
  ];
  for (const [run, pattern] of bad) assert.throws(run, (error: unknown) => error instanceof ConfigError && pattern.test(error.message), String(pattern));
});

test('wrapper prefixes are accepted, V-JEPA\'s predictor is skipped, the rest is named', async () => {
  const config = visionConfig({ ...vitl, hidden_size: 8, num_attention_heads: 2, num_hidden_layers: 1, patch_size: 4, crop_size: 8 });
  const specs = visionTensors(config);
  const skipped = [{ name: 'predictor.layernorm.weight', shape: [4] }];
  for (const prefix of ['', 'vjepa2.', 'model.']) {
    const file = await stored([...specs, ...skipped].map(({ name, shape }) => ({ name: prefix + name, shape })));
    const match = matchTensors(file, specs, { skip: VISION_SKIP });
    assert.equal(match.problems, [], `prefix ${prefix}`);
    assert.equal(match.skipped, [`${prefix}predictor.layernorm.weight`]);
  }
  const headless = await stored(specs.map(({ name, shape }) => ({ name: name.replace('encoder.', ''), shape })));
  assert.is(matchTensors(headless, specs).problems.length, 0, 'without encoder.');

  const d = await device();
  const fault = async (change: { name: string; shape: readonly number[] }[]): Promise<string> => {
    const file = await stored(change);
    return loadParams(d, file, specs, { where: 'x', skip: VISION_SKIP }).then(() => 'loaded', (error: Error) => (error instanceof WeightError ? error.message : String(error)));
  };
  const norm = 'encoder.layernorm.weight';
  assert.match(await fault(specs.map((s) => (s.name === norm ? { ...s, name: 'encoder.layer_norm.weight' } : s))), /^x: encoder\.layernorm\.weight is missing, the nearest name is encoder\.layer_norm\.weight$/);
  assert.match(await fault(specs.map((s) => (s.name === norm ? { ...s, shape: [9] } : s))), /^x: encoder\.layernorm\.weight has shape \[9\], expected \[8\]/);
  assert.match(await fault([...specs, { name: 'encoder.gate', shape: [1] }]), /1 tensor\(s\) are not used by this network, expected none: encoder\.gate/);
  assert.match(await fault([...specs, { name: `model.${norm}`, shape: [8] }]), /are the same tensor, expected one of them/);
  assert.match(await fault([]), /is missing, and nothing is stored/);
});

test('a layer range leaves the other layers unread', async () => {
  const config = predictorConfig({ ...llama, hidden_size: 8, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 4, intermediate_size: 8, vocab_size: 4, num_hidden_layers: 12 });
  const file = await stored([...predictorTensors(config), { name: 'lm_head.weight', shape: [4, 8] }]);
  const range = [1, 3] as const;
  const match = matchTensors(file, predictorTensors(config, { layers: range, tokens: false }), { skip: predictorSkip(config, range, false) });
  assert.equal(match.problems, []);
  assert.is(match.skipped.length, 10 * 9 + 2, 'ten layers, the table, the output matrix');
});

test('sentence modules: the last part of the type name decides', async () => {
  const files = (modules: object[], pooling: object = { pooling_mode_mean_tokens: true }, dense: object = {}) => {
    const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
    return folderSource({
      'modules.json': json(modules), '1_Pooling/config.json': json(pooling),
      '2_Dense/config.json': json({ in_features: 8, out_features: 6, bias: false, activation_function: 'torch.nn.modules.linear.Identity', ...dense }),
    });
  };
  const list = (prefix: string) => ['Transformer', 'Pooling', 'Dense', 'Normalize'].map((kind, i) => ({ idx: i, name: `${i}`, path: i ? `${i}_${kind}` : '', type: prefix + kind }));
  for (const prefix of ['sentence_transformers.models.', 'sentence_transformers.sentence_transformer.modules.', '']) {
    const modules = await readSentenceModules(files(list(prefix)), 8);
    assert.is(modules.normalize, true);
    assert.equal(modules.dense, [{ path: '2_Dense', inFeatures: 8, outFeatures: 6, bias: false }]);
  }
  const fails = async (folder: ReturnType<typeof files>, pattern: RegExp) => {
    const message = await readSentenceModules(folder, 8).then(() => 'accepted', (error: Error) => error.message);
    assert.match(message, pattern);
  };
  await fails(files(list('x.'), { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }), /pooling_mode_mean_tokens is false, expected true/);
  await fails(files(list('x.'), undefined, { activation_function: 'torch.nn.modules.activation.Tanh' }), /activation_function is .*Tanh", expected Identity/);
  await fails(files(list('x.'), undefined, { in_features: 7 }), /in_features is 7, expected 8/);
  await fails(files([...list('x.').slice(0, 2), { idx: 2, path: '2_LSTM', type: 'x.LSTM' }]), /type is "x\.LSTM", expected Transformer/);
});

test('initial values follow the table and do not depend on the order', () => {
  const spec = { name: 'a.weight', shape: [64, 50], kind: 'linear' } as const;
  const std = (values: Float32Array) => Math.sqrt(values.reduce((s, v) => s + v * v, 0) / values.length);
  close([std(initialValues(spec, 3)), std(initialValues(spec, 3, { linear: { fanIn: 1 } }))], [0.02, 50 ** -0.5], { rel: 0.05, name: 'standard deviations' });
  assert.equal(initialValues(spec, 3), initialValues(spec, 3));
  assert.not.equal(initialValues({ ...spec, name: 'b.weight' }, 3), initialValues(spec, 3));
  assert.ok(initialValues({ ...spec, kind: 'norm' }, 3).every((v) => v === 1));
  assert.ok(initialValues({ ...spec, kind: 'norm_offset' }, 3).every((v) => v === 0));
});

test.run();
