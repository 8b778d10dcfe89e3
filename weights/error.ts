// Every fault that reading or writing weights can meet has a code of its own: programs branch on the code,
// people read the sentence.

/** Faults of a header or index as text. */
export type TextFault =
  | 'header-short' // the file ends inside the 8-byte length
  | 'header-too-large' // the length is above the limit, checked before the file size
  | 'header-past-end' // the length is within the limit but points past the end of the file
  | 'utf8'
  | 'bom'
  | 'json-syntax'
  | 'json-trailing' // something other than whitespace behind the object
  | 'json-control' // raw control character inside a string
  | 'json-escape'
  | 'json-surrogate'
  | 'json-depth'
  | 'root-type'; // the outermost value is not an object

/** Faults of one header entry. */
export type EntryFault =
  | 'metadata-type'
  | 'metadata-value'
  | 'metadata-duplicate-key'
  | 'duplicate-metadata'
  | 'duplicate-tensor'
  | 'name-control'
  | 'name-too-long'
  | 'entry-type'
  | 'unknown-field'
  | 'duplicate-field'
  | 'missing-dtype'
  | 'missing-shape'
  | 'missing-offsets'
  | 'dtype-type'
  | 'dtype-unknown'
  | 'shape-type'
  | 'shape-rank'
  | 'dim-invalid'
  | 'dim-too-large'
  | 'offsets-type'
  | 'offsets-count'
  | 'offset-invalid'
  | 'offset-too-large';

/** Faults of the layout of the data section. */
export type LayoutFault =
  | 'offsets-reversed'
  | 'layout-start' // the first tensor does not begin at 0
  | 'layout-hole'
  | 'layout-overlap'
  | 'size-overflow'
  | 'size-partial-byte' // a sub-byte tensor that does not fill whole bytes
  | 'size-mismatch'
  | 'data-truncated'
  | 'data-trailing';

/** Faults of a sharded checkpoint's index and of finding files. */
export type CheckpointFault =
  | 'checkpoint-missing'
  | 'tensor-too-large' // above what the device can bind
  | 'index-too-large'
  | 'index-metadata'
  | 'index-total-size'
  | 'index-weight-map'
  | 'index-shard-name'
  | 'index-shard-count'
  | 'index-shard-missing'
  | 'index-tensor-missing' // mapped, but not in the shard it is mapped to nor in any other
  | 'index-tensor-extra' // in a shard, but not mapped
  | 'index-tensor-repeated' // in two shards
  | 'index-tensor-misplaced'; // in a shard other than the one it is mapped to

/** Faults of sources: files, folders, network. */
export type SourceFault =
  | 'source-type'
  | 'source-missing'
  | 'source-range'
  | 'source-truncated'
  | 'source-changed'
  | 'source-closed'
  | 'name-unsafe'
  | 'outside-folder'
  | 'text-too-large'
  | 'storage' // the browser's private file system is not there or fails
  | 'storage-full' // its quota is used up
  | 'io'
  | 'http-status'
  | 'http-no-range'
  | 'http-content-range'
  | 'http-length'
  | 'http-origin';

/** Faults of using what was read, and of writing. */
export type UseFault =
  | 'tensor-missing'
  | 'target-size'
  | 'dtype-unsupported'
  | 'bytes-length'
  | 'number-range'
  | 'write-entry'
  | 'write-failed'
  | 'write-verify'
  | 'node-only';

/** All codes of a {@link WeightError}. */
export type WeightErrorCode = TextFault | EntryFault | LayoutFault | CheckpointFault | SourceFault | UseFault;

/**
 * The only error class that this folder throws. The message is one sentence: where, what, expected, got.
 */
export class WeightError extends Error {
  /** Which fault it is; stable, for programs. */
  readonly code: WeightErrorCode;

  /**
   * @param code which fault it is
   * @param message one sentence "where: what, expected, got (why)"
   * @param cause the error of the platform below, where there was one
   */
  constructor(code: WeightErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WeightError';
    this.code = code;
  }
}

/**
 * Quotes untrusted text for a message: escaped, and cut, so that a hostile name cannot flood or forge a log line.
 *
 * @param text any text
 * @returns the text in double quotes, at most about 80 characters
 */
export function quote(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 60)}…(${text.length} characters)` : text;
  return JSON.stringify(cut).replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * The text of any thrown value, for the "(why)" part of a message.
 *
 * @param error what was caught
 * @returns its message, or the value as text
 */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
