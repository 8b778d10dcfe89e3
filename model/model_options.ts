/** What the constructors and the batched functions of the joint model take. */
import type { Device } from '../engine/device.ts';
import type { InitTable } from './init.ts';
import type { TrainParts } from './joint_weights.ts';
import type { Progress } from './params.ts';

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

export interface LoadModelOptions extends ModelOptions {
  /** Default: a new one. */
  readonly device?: Device;
  readonly progress?: (event: Progress) => void;
  readonly signal?: AbortSignal;
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
