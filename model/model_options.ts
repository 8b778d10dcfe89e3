/** What the constructors and the batched functions of the joint model take. */
import type { Device } from '../engine/device.ts';
import type { JointFields } from './backbone_folders.ts';
import type { InitTable } from './init.ts';
import type { TrainParts } from './joint_weights.ts';
import type { NetworkPart, ReachOptions } from './network_folder.ts';
import type { Progress } from './params.ts';
import { checkWeightDtype } from './weight_stream.ts';
import type { WeightDtype } from './weight_stream.ts';

/** What both constructors take. */
export interface ModelOptions {
  /** Which parts learn; all after `fromConfig`, none after `fromPretrained`. */
  readonly train?: TrainParts;
  /** Compute transformer blocks again in the backward pass instead of storing their inside. */
  readonly recompute?: boolean;
  /** tokenizer.json, parsed, in place of the folder's. */
  readonly tokenizer?: object | undefined;
  /** The query's tokenizer.json where it differs from the text's. */
  readonly queryTokenizer?: object | undefined;
}

export interface LoadModelOptions extends ModelOptions, ReachOptions {
  /** Default: a new one. */
  readonly device?: Device;
  /** How matrices are held on the GPU, for all networks or each, f32 by default; what learns has to be f32. The heads are always f32. */
  readonly dtype?: WeightDtype | Readonly<Partial<Record<NetworkPart, WeightDtype>>>;
  /** Three folders: settings of the joint model in place of the paper's. */
  readonly joint?: JointFields;
  /** Three folders: seed of the untrained heads, default 0. */
  readonly seed?: number;
  readonly progress?: (event: Progress) => void;
}

export interface NewModelOptions extends ModelOptions {
  readonly device: Device;
  readonly seed?: number;
  /** Rows that replace the default initial values. */
  readonly init?: Partial<InitTable>;
}

/** Rows per forward pass of the batched functions. */
export interface BatchOptions {
  readonly batchSize?: number;
}

/**
 * The dtype of every tensor of a joint model.
 *
 * @param dtype for all networks, or by network
 * @returns by a tensor's full name
 * @throws RangeError for a dtype that is none
 */
export function dtypeByName(dtype: LoadModelOptions['dtype'] = 'f32'): (name: string) => WeightDtype {
  const by = typeof dtype === 'string' ? { vision: dtype, predictor: dtype, text: dtype } : dtype;
  for (const [part, one] of Object.entries(by)) checkWeightDtype(`dtype of ${part}`, one);
  return (name) => by[name.slice(0, Math.max(0, name.indexOf('.'))) as NetworkPart] ?? 'f32';
}
