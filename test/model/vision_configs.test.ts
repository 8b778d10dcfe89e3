// The published V-JEPA 2 configs, as transformers writes them: ViT-L, H and g at 256 and 384 pixels, and the classifiers.
import { visionConfig } from '../../model/config.ts';
import { Params } from '../../model/params.ts';
import { VisionEncoder, visionTensors } from '../../model/vision_encoder.ts';
import { assert, suite } from '../harness.ts';

const test = suite('vision configs');

const published = (fields: object): object => ({
  architectures: ['VJEPA2Model'], attention_dropout: 0.0, attention_probs_dropout_prob: 0.0, crop_size: 256, drop_path_rate: 0.0, frames_per_clip: 64, hidden_act: 'gelu', hidden_size: 1024, image_size: 256,
  in_chans: 3, initializer_range: 0.02, layer_norm_eps: 1e-6, mlp_ratio: 4.0, model_type: 'vjepa2', num_attention_heads: 16, num_hidden_layers: 24, num_pooler_layers: 3, patch_size: 16,
  pred_hidden_size: 384, pred_mlp_ratio: 4.0, pred_num_attention_heads: 12, pred_num_hidden_layers: 12, pred_num_mask_tokens: 10, pred_zero_init_mask_tokens: true, qkv_bias: true,
  torch_dtype: 'float32', transformers_version: '4.53.0', tubelet_size: 2, use_SiLU: false, wide_SiLU: true, ...fields,
});

test('sizes and parameters of ViT-L, ViT-H, ViT-g and ViT-g at 384 pixels', () => {
  for (const [name, fields, headDim, mlp, parameters] of [
    ['L', {}, 64, 4096, 303_885_312],
    ['H', { hidden_size: 1280, num_hidden_layers: 32 }, 80, 5120, 631_648_000],
    ['g', { hidden_size: 1408, num_hidden_layers: 40, num_attention_heads: 22, mlp_ratio: 4.363636363636363 }, 64, 6144, 1_012_173_952],
    ['g 384', { hidden_size: 1408, num_hidden_layers: 40, num_attention_heads: 22, mlp_ratio: 48 / 11, crop_size: 384, image_size: 384 }, 64, 6144, 1_012_173_952],
  ] as const) {
    const config = visionConfig(published(fields));
    assert.equal([config.headDim, config.mlpSize], [headDim, mlp], name);
    assert.is(visionTensors(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0), parameters, name);
  }
});

test('tokens of a clip: whole tubelets; fewer frames are played as often as a tubelet has frames', () => {
  for (const [tubelet, frames, time] of [[2, 1, 1], [2, 2, 1], [2, 16, 8], [2, 17, 8], [4, 1, 1], [4, 3, 3], [4, 4, 1], [1, 1, 1]] as const) {
    assert.is(new VisionEncoder(visionConfig(published({ tubelet_size: tubelet })), new Params(new Map())).tokens(frames), time * 256, `${frames} frames, tubelet ${tubelet}`);
  }
});

test('a classifier of Something-Something, with its labels', () => {
  const labels = Array.from({ length: 174 }, (_, i) => [`${i}`, `LABEL_${i}`]);
  const config = visionConfig(published({ architectures: ['VJEPA2ForVideoClassification'], frames_per_clip: 16, id2label: Object.fromEntries(labels), label2id: Object.fromEntries(labels.map(([i, l]) => [l, i])) }));
  assert.is(config.framesPerClip, 16);
});

test.run();
