// Folders of any size in the hub's layout, with seeded numbers, to load.
import { mkdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { predictorConfig, textConfig, visionConfig } from '../../model/config_networks.ts';
import { predictorTensors } from '../../model/predictor.ts';
import { PAPER } from '../../model/presets.ts';
import { textTensors } from '../../model/text_encoder.ts';
import type { TensorSpec } from '../../model/params.ts';
import { visionTensors } from '../../model/vision_encoder.ts';

const BYTES = { F32: 4, BF16: 2, F16: 2 } as const;
const BLOCK = 4 * 2 ** 20;

/** How a network's full-size config is changed, for example `{ num_hidden_layers: 2 }`. */
export type Changes = Readonly<Record<string, unknown>>;

function describe(network: 'vision' | 'predictor' | 'text', changes: Changes): { config: object; specs: TensorSpec[] } {
  if (network === 'vision') {
    const config = { ...PAPER.vision_config, ...changes };
    return { config, specs: visionTensors(visionConfig(config)) };
  }
  if (network === 'predictor') {
    const config = { ...PAPER.predictor_config, ...changes };
    return { config, specs: predictorTensors(predictorConfig(config)) };
  }
  const config = { ...PAPER.text_config, ...('num_hidden_layers' in changes ? { layer_types: undefined } : {}), ...changes };
  return { config, specs: textTensors(textConfig(config)) };
}

/** Numbers of about ±0.02 as stored: one block, written again and again (a loader does not look at values). */
function block(dtype: keyof typeof BYTES): Uint8Array {
  const out = new Uint8Array(BLOCK), view = new DataView(out.buffer);
  const width = BYTES[dtype];
  let state = 1;
  for (let i = 0; i < BLOCK; i += width) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = (state / 2 ** 32 - 0.5) * 0.04;
    if (dtype === 'F32') view.setFloat32(i, value, true);
    else if (dtype === 'BF16') { view.setUint16(i, (floatBits(value) >>> 16) & 0xffff, true); }
    else view.setUint16(i, 0x2000 | (state >>> 23), true);
  }
  return out;
}

const scratch = new DataView(new ArrayBuffer(4));
const floatBits = (value: number): number => { scratch.setFloat32(0, value); return scratch.getUint32(0); };

/**
 * Writes config.json and model.safetensors.
 *
 * @param folder made when it is missing
 * @param network which
 * @param dtype how every tensor is stored
 * @param changes of the full-size config
 * @returns bytes of the tensors
 */
export async function makeFolder(folder: string, network: 'vision' | 'predictor' | 'text', dtype: keyof typeof BYTES, changes: Changes = {}): Promise<number> {
  const { config, specs } = describe(network, changes);
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/config.json`, `${JSON.stringify(config, null, 2)}\n`);
  let end = 0;
  const entries = specs.map(({ name, shape }): [string, object] => {
    const begin = end;
    end += shape.reduce((a, b) => a * b, 1) * BYTES[dtype];
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  const file = await open(`${folder}/model.safetensors`, 'w');
  try {
    await file.write(header);
    const bytes = block(dtype);
    for (let at = 0; at < end; at += BLOCK) await file.write(bytes, 0, Math.min(BLOCK, end - at));
  } finally {
    await file.close();
  }
  return end;
}
