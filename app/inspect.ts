/** `vl-jepa inspect`: what a checkpoint holds, checked against its config, without reading a value (Node only). */
import { stat } from 'node:fs/promises';
import { predictorConfig, textConfig, visionConfig, vlJepaConfig } from '../model/config.ts';
import { ConfigError, isObject } from '../model/config_reader.ts';
import { jointTensors } from '../model/joint_weights.ts';
import { readJson } from '../model/network_folder.ts';
import { matchTensors } from '../model/params.ts';
import type { TensorSpec } from '../model/params.ts';
import { predictorSkip, predictorTensors } from '../model/predictor.ts';
import { readSentenceModules } from '../model/sentence_folder.ts';
import { TEXT_SKIP, textTensors } from '../model/text_encoder.ts';
import { VISION_SKIP, visionTensors } from '../model/vision_encoder.ts';
import { elementCount } from '../weights/dtype.ts';
import { folderSource } from '../weights/folder.ts';
import type { FolderSource } from '../weights/folder.ts';
import { openCheckpoint, openSafetensors } from '../weights/safetensors.ts';
import type { Safetensors } from '../weights/safetensors.ts';

export interface InspectedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly file: string;
}

export interface InspectReport {
  readonly path: string;
  /** What the config says it is; undefined for a single file. */
  readonly modelType: string | undefined;
  /** Sizes read from the config. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly InspectedTensor[];
  readonly parameters: number;
  readonly bytes: number;
  /** Bytes per element type. */
  readonly dtypes: Readonly<Record<string, number>>;
  /** Tensors that the network uses, and parameters among them; undefined for a single file. */
  readonly used: { readonly tensors: number; readonly parameters: number } | undefined;
  /** Stored beside the network and left out on purpose. */
  readonly skipped: readonly string[];
  /** One sentence each; empty when everything fits. */
  readonly problems: readonly string[];
  /** What the reader of the file noticed. */
  readonly warnings: readonly string[];
}

/** A network's table and what may lie beside it. */
interface Expectation {
  readonly config: object;
  readonly specs: readonly TensorSpec[];
  readonly skip: readonly RegExp[];
}

/**
 * @param path folder with config.json, or a safetensors file
 * @returns the report; `problems` is empty when names and shapes fit the config
 * @throws ConfigError, WeightError when it cannot be read at all
 */
export async function inspectCheckpoint(path: string): Promise<InspectReport> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  if (!isFolder) {
    const file = await openSafetensors(path);
    try {
      return { ...describe(path, file), modelType: undefined, config: {}, used: undefined, skipped: [], problems: [] };
    } finally {
      await file.close();
    }
  }
  const folder = folderSource(path);
  const json = await readJson(folder, 'config.json');
  if (json === undefined) throw new ConfigError(`${path}: config.json is missing, expected it beside the weights (or name a .safetensors file)`);
  const checkpoint = await openCheckpoint(folder);
  try {
    const expected = await expectation(folder, json, `${path}/config.json`);
    const { found, skipped, problems } = matchTensors(checkpoint, expected.specs, { where: path, skip: expected.skip });
    const parameters = [...found.values()].reduce((sum, name) => sum + elementCount(checkpoint.info(name).shape), 0);
    return {
      ...describe(path, checkpoint), skipped,
      modelType: isObject(json) ? String(json.model_type) : undefined,
      config: Object.fromEntries(Object.entries(expected.config).filter(([key]) => key !== 'json')),
      used: { tensors: found.size, parameters },
      problems: problems.map(({ message }) => message),
    };
  } finally {
    await checkpoint.close();
  }
}

async function expectation(folder: FolderSource, json: unknown, where: string): Promise<Expectation> {
  const modelType = isObject(json) ? json.model_type : undefined;
  if (modelType === 'vjepa2') {
    const config = visionConfig(json, where);
    return { config, specs: visionTensors(config), skip: VISION_SKIP };
  }
  if (modelType === 'llama') {
    const config = predictorConfig(json, where);
    return { config, specs: predictorTensors(config), skip: predictorSkip(config, [0, config.layers], true) };
  }
  if (modelType === 'gemma3_text') {
    const config = textConfig(json, where);
    const { dense, normalize } = await readSentenceModules(folder, config.hiddenSize);
    return { config: { ...config, dense, normalize }, specs: textTensors(config), skip: TEXT_SKIP };
  }
  if (modelType === 'vl_jepa') {
    const config = vlJepaConfig(json, where);
    return { config, specs: jointTensors(config), skip: [] };
  }
  throw new ConfigError(`${where}: model_type is ${JSON.stringify(modelType)}, expected "vjepa2", "llama", "gemma3_text" or "vl_jepa"`);
}

function describe(path: string, checkpoint: Safetensors) {
  const tensors: InspectedTensor[] = checkpoint.names().map((name) => {
    const { dtype, shape, begin, end, file } = checkpoint.info(name);
    return { name, dtype, shape, bytes: end - begin, file };
  });
  const dtypes: Record<string, number> = {};
  for (const { dtype, bytes } of tensors) dtypes[dtype] = (dtypes[dtype] ?? 0) + bytes;
  return {
    path, tensors, dtypes,
    metadata: Object.fromEntries(checkpoint.metadata),
    parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    warnings: checkpoint.warnings,
  };
}

/**
 * The report for people.
 *
 * @param report what was found
 * @returns lines of text
 */
export function formatInspection(report: InspectReport): string {
  const { tensors, used, skipped, problems, warnings } = report;
  const count = (n: number) => n.toLocaleString('en-US');
  const types = Object.entries(report.dtypes).map(([dtype, bytes]) => `${dtype} ${size(bytes)}`).join(', ');
  const lines = [
    `${report.path}${report.modelType ? `: ${report.modelType}` : ''}`,
    `${count(tensors.length)} tensors, ${count(report.parameters)} parameters, ${types || 'empty'}`,
  ];
  if (used) lines.push(`used by the network: ${count(used.tensors)} tensors, ${count(used.parameters)} parameters; left out on purpose: ${count(skipped.length)} tensors`);
  const shapes = tensors.map(({ shape }) => `[${shape.join(', ')}]`);
  const width = Math.max(0, ...tensors.map(({ name }) => name.length));
  const skip = new Set(skipped);
  for (const [i, { name, dtype }] of tensors.entries()) {
    lines.push(`  ${name.padEnd(width)}  ${dtype.padEnd(4)}  ${shapes[i]}${skip.has(name) ? '  (left out)' : ''}`);
  }
  for (const [key, value] of Object.entries(report.metadata)) lines.push(`metadata ${key}: ${value}`);
  for (const warning of warnings) lines.push(`warning: ${warning}`);
  for (const problem of problems) lines.push(`problem: ${problem}`);
  if (used) lines.push(problems.length === 0 ? 'every tensor of the config is there, with its shape' : `${problems.length} problem(s)`);
  return lines.join('\n');
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}
