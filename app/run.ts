/** `vl-jepa run`: one network on stored tensors, the parity tool (Node only). */
import { openDevice } from '../engine/device.ts';
import type { Device } from '../engine/device.ts';
import { scope } from '../engine/memory.ts';
import { noGrad } from '../engine/tape.ts';
import { Tensor } from '../engine/tensor.ts';
import { ConfigError } from '../model/config.ts';
import { Predictor } from '../model/predictor.ts';
import { TextEncoder } from '../model/text_encoder.ts';
import { reshape } from '../kernels/reshape.ts';
import { slice } from '../kernels/slice.ts';
import { VisionEncoder } from '../model/vision_encoder.ts';
import { WEIGHT_DTYPES } from '../model/weight_stream.ts';
import type { WeightDtype } from '../model/weight_stream.ts';
import { fromF32 } from '../weights/dtype.ts';
import { WeightError } from '../weights/error.ts';
import { openSafetensors } from '../weights/safetensors.ts';
import type { Safetensors } from '../weights/safetensors.ts';
import { writeSafetensors } from '../weights/writer.ts';

export type RunNetworkName = 'vision' | 'predictor' | 'text';

export interface RunOptions {
  readonly network: string;
  /** The network's folder, or a joint one. */
  readonly model: string;
  /** Safetensors file with the inputs; tensors that the network does not use are ignored. */
  readonly input: string;
  /** Safetensors file to write. */
  readonly output: string;
  /** How matrices are held: f32 (default), bf16, f16, int8, or stored, as in the file. Activations are f32. */
  readonly dtype?: string | undefined;
  readonly causal?: boolean | undefined;
  /** `A:B`, predictor only. */
  readonly layers?: string | undefined;
  /** Predictor: take `input_ids` through the token table and also write `logits`, as a language model does. */
  readonly logits?: boolean | undefined;
  /** Also write `embeddings` and `layers.i`. */
  readonly allLayers?: boolean | undefined;
  /** Default: a new one. */
  readonly device?: Device | undefined;
}

export interface RunResult {
  readonly network: RunNetworkName;
  /** Name -> shape of what was written. */
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** Loading, computing and reading back; without writing. */
  readonly seconds: number;
}

/** Where a forward pass puts its results; logits above the binding limit come in runs of rows. */
type Outputs = Map<string, Tensor | Pieces>;

/** One result in several tensors, one after the other. */
export interface Pieces { readonly shape: readonly number[]; readonly tensors: readonly Tensor[] }

/**
 * Runs one network: vision `pixel_values` [B,T,3,H,W]; predictor `inputs_embeds` [B,N,D] (with `logits` instead `input_ids` [B,N]), optional
 * `attention_mask` [B,N]; text `input_ids`, optional `attention_mask` [B,N].
 *
 * @param options parsed command line
 * @returns what was written
 * @throws ConfigError, WeightError, ShapeError, DeviceError with one sentence
 */
export async function runNetwork(options: RunOptions): Promise<RunResult> {
  const network = checkOptions(options);
  const input = await openSafetensors(options.input);
  try {
    const device = options.device ?? (await openDevice());
    const start = performance.now();
    const outputs = await RUNNERS[network](device, input, options);
    const entries = [];
    for (const [name, output] of outputs) entries.push({ name, dtype: 'F32' as const, shape: output.shape, bytes: await bytesOf(output) });
    const seconds = (performance.now() - start) / 1000;
    await writeSafetensors(options.output, entries);
    return { network, outputs: Object.fromEntries(entries.map(({ name, shape }) => [name, shape])), seconds };
  } finally {
    await input.close();
  }
}

function checkOptions(options: RunOptions): RunNetworkName {
  const { network, dtype = 'f32' } = options;
  if (network !== 'vision' && network !== 'predictor' && network !== 'text') {
    throw new ConfigError(`run: the network is "${network}", expected vision, predictor or text`);
  }
  if (!(WEIGHT_DTYPES as readonly string[]).includes(dtype)) throw new ConfigError(`run: dtype is "${dtype}", expected one of ${WEIGHT_DTYPES.join(', ')}`);
  for (const [flag, value] of [['causal', options.causal], ['layers', options.layers], ['logits', options.logits]] as const) {
    if (value && network !== 'predictor') throw new ConfigError(`run: --${flag} is given for ${network}, expected it for predictor alone`);
  }
  return network;
}

const RUNNERS: Record<RunNetworkName, (device: Device, input: Safetensors, options: RunOptions) => Promise<Outputs>> = {
  async vision(device, input, options) {
    const { shape, values } = await readFloats(input, options.input, 'pixel_values', 5);
    const encoder = await VisionEncoder.load(device, options.model, { dtype: options.dtype as WeightDtype });
    return forward(encoder.params.entries(), options, (trace) => {
      const last = encoder.forward(Tensor.from(device, values, shape), { trace });
      return { last_hidden_state: last };
    });
  },

  async predictor(device, input, options) {
    const ids = options.logits ? await readWhole(input, options.input, 'input_ids', 2) : undefined;
    const embeds = ids ? undefined : await readFloats(input, options.input, 'inputs_embeds', 3);
    const rows = (ids ?? embeds!).shape.slice(0, 2);
    const mask = await readMask(input, options.input, rows);
    const predictor = await Predictor.load(device, options.model, { layers: options.layers, tokens: options.logits === true, dtype: options.dtype as WeightDtype });
    return forward(predictor.params.entries(), options, (trace) => {
      if (ids) checkIds(options.input, ids.values, predictor.config.vocabSize);
      const x = ids ? predictor.embed(Tensor.from(device, Uint32Array.from(ids.values), rows)) : Tensor.from(device, embeds!.values, embeds!.shape);
      trace('embeddings', x);
      const last = predictor.forward(x, { trace, causal: options.causal, mask: mask && Tensor.from(device, mask, rows) });
      return { last_hidden_state: last, ...(ids ? { logits: logitsOf(predictor, last) } : {}) };
    });
  },

  async text(device, input, options) {
    const { shape, values } = await readWhole(input, options.input, 'input_ids', 2);
    const host = await readMask(input, options.input, shape);
    const encoder = await TextEncoder.load(device, options.model, { dtype: options.dtype as WeightDtype });
    return forward(encoder.params.entries(), options, (trace) => {
      checkIds(options.input, values, encoder.config.vocabSize);
      const mask = host && Tensor.from(device, host, shape);
      const last = encoder.forward(Tensor.from(device, Uint32Array.from(values), shape), { trace, mask });
      return { last_hidden_state: last, sentence_embedding: encoder.finish(encoder.pool(last, mask)) };
    });
  },
};

/** Reads a result and releases it. */
async function bytesOf(output: Tensor | Pieces): Promise<Uint8Array> {
  const tensors = output instanceof Tensor ? [output] : output.tensors;
  const bytes = new Uint8Array(tensors.reduce((n, tensor) => n + tensor.byteLength, 0));
  let at = 0;
  for (const tensor of tensors) {
    bytes.set(fromF32(await tensor.read(), 'F32'), at);
    at += tensor.byteLength;
    tensor.dispose();
  }
  return bytes;
}

/**
 * Next-token logits. A vocabulary of 128,256 fills a binding of 128 MiB with 261 positions: longer texts are multiplied in runs of rows.
 *
 * @param predictor with its token table
 * @param hidden [B,N,D] output of its forward pass
 * @param most rows of logits at once; what a binding holds by default
 * @returns [B,N,V], in several tensors where there are more rows
 */
export function logitsOf(predictor: Predictor, hidden: Tensor, most = rowsOfLogits(predictor, hidden)): Tensor | Pieces {
  const { vocabSize, hiddenSize } = predictor.config;
  const rows = hidden.size / hiddenSize;
  if (rows <= most || most === 0) return predictor.logits(hidden);
  const step = Math.max(1, Math.floor(most / 64) * 64);
  const flat = reshape(hidden, [rows, hiddenSize]);
  const tensors = Array.from({ length: Math.ceil(rows / step) }, (_, i) => predictor.logits(slice(flat, 0, i * step, Math.min(rows, (i + 1) * step))));
  return { shape: [...hidden.shape.slice(0, -1), vocabSize], tensors };
}

function rowsOfLogits({ config: { vocabSize } }: Predictor, { device: { limits } }: Tensor): number {
  return Math.floor(Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize) / 4 / vocabSize);
}

function checkIds(file: string, ids: readonly number[], vocabSize: number): void {
  const bad = ids.findIndex((id) => id < 0 || id >= vocabSize);
  if (bad >= 0) throw new WeightError('number-range', `${file}: input_ids[${bad}] is ${ids[bad]}, expected 0 to ${vocabSize - 1} (the vocabulary)`);
}

/** Runs without gradients, keeps layer outputs when they are wanted, releases the weights. */
function forward(weights: [string, Tensor][], options: RunOptions, run: (trace: (name: string, value: Tensor) => void) => Record<string, Tensor | Pieces>): Outputs {
  try {
    return scope(() => noGrad(() => {
      const outputs: Outputs = new Map();
      const results = run((name, value) => {
        if (options.allLayers) outputs.set(name, value);
      });
      for (const [name, value] of Object.entries(results)) outputs.set(name, value);
      return outputs;
    }));
  } finally {
    for (const [, tensor] of weights) tensor.dispose();
  }
}

function shapeOf(input: Safetensors, file: string, name: string, rank: number): readonly number[] {
  if (!input.has(name)) throw new WeightError('tensor-missing', `${file}: ${name} is missing, expected it among ${input.names().join(', ') || 'no tensors'}`);
  const { shape } = input.info(name);
  if (shape.length !== rank) throw new WeightError('target-size', `${file}: ${name} has shape [${shape.join(', ')}], expected ${rank} axes`);
  return shape;
}

async function readFloats(input: Safetensors, file: string, name: string, rank: number): Promise<{ shape: readonly number[]; values: Float32Array }> {
  const shape = shapeOf(input, file, name, rank);
  return { shape, values: await input.readF32(name) };
}

async function readWhole(input: Safetensors, file: string, name: string, rank: number): Promise<{ shape: readonly number[]; values: number[] }> {
  const shape = shapeOf(input, file, name, rank);
  const { dtype } = input.info(name);
  if (!/^(BOOL|[IU]\d+)$/.test(dtype)) throw new WeightError('dtype-unsupported', `${file}: ${name} is ${dtype}, expected an integer type such as I64 or I32`);
  return { shape, values: await input.readNumbers(name) };
}

/** @returns the mask, or undefined when it is absent or 1 everywhere. */
async function readMask(input: Safetensors, file: string, expected: readonly number[]): Promise<Uint32Array | undefined> {
  const name = 'attention_mask';
  if (!input.has(name)) return undefined;
  const { shape, values } = await readWhole(input, file, name, 2);
  if (shape.some((size, i) => size !== expected[i])) {
    throw new WeightError('target-size', `${file}: ${name} has shape [${shape.join(', ')}], expected [${expected.join(', ')}], one entry per position`);
  }
  const bad = values.findIndex((value) => value !== 0 && value !== 1);
  if (bad >= 0) throw new WeightError('number-range', `${file}: ${name}[${bad}] is ${values[bad]}, expected 0 or 1`);
  return values.includes(0) ? Uint32Array.from(values) : undefined;
}
