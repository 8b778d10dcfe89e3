// Vectors of many texts that stay the same, kept in the user's cache folder between calls. A file is a line of JSON and then the numbers.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../engine/swiftshader.ts';
import { Tensor } from '../engine/tensor.ts';
import type { VLJEPA } from '../model/vl_jepa.ts';
import { labelBank } from '../tasks/classify.ts';
import type { LabelBank } from '../tasks/classify.ts';
import { modelFingerprint } from '../tasks/model_fingerprint.ts';
import { writeFileAtomic } from '../weights/writer.ts';

/** What stands before the numbers. */
interface Header {
  /** Whom they belong to: SHA-256 over the model, the texts and their tokens. */
  key: string;
  /** SHA-256 of the numbers' bytes. */
  sha256: string;
}

/** Texts that are encoded again, evenly spread, and how far their vectors may lie from those that were kept: another engine or adapter that computes something else is seen. */
const TRIED = 4;
const SAME = 1e-3;

const sha256 = (...parts: (string | Uint8Array)[]): string => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');

/** The file of a list of texts: one for all models, so that models that come and go leave nothing behind. @param texts the list @returns path below $XDG_CACHE_HOME or ~/.cache */
export const bankPath = async (texts: readonly string[]): Promise<string> => join(await cacheFolder(), 'texts', `${sha256(JSON.stringify(texts)).slice(0, 16)}.bin`);

/** The numbers of a file. @returns undefined where it is missing, damaged, or of another model */
async function readKept(path: string, key: string, length: number): Promise<Float32Array | undefined> {
  const file = await readFile(path).catch(() => undefined);
  const line = file?.indexOf(10) ?? -1;
  if (!file || line < 0) return undefined;
  let header: Header | null;
  try {
    header = JSON.parse(file.toString('utf8', 0, line)) as Header | null;
  } catch {
    return undefined;
  }
  const bytes = new Uint8Array(file.subarray(line + 1)).slice(); // aligned
  return header?.key === key && bytes.length === 4 * length && header.sha256 === sha256(bytes) ? new Float32Array(bytes.buffer) : undefined;
}

/** Whether a model still makes some of the vectors. */
async function stillSame(model: VLJEPA, texts: readonly string[], kept: Float32Array): Promise<boolean> {
  const dim = model.config.embeddingDim;
  const rows = Array.from({ length: Math.min(TRIED, texts.length) }, (_, i) => Math.floor((i * texts.length) / TRIED));
  const { vectors } = labelBank(model, rows.map(r => texts[r]!));
  const values = await vectors.read();
  vectors.dispose();
  return values.every((v, i) => Math.abs(v - kept[rows[Math.floor(i / dim)]! * dim + (i % dim)]!) <= SAME);
}

/**
 * Encodes texts once, and takes them from the cache folder the next time. A file that is damaged or of another model is written anew; a folder that cannot be written costs a warning, not the vectors.
 * @param model with a tokenizer @param texts each non-empty @returns the bank; dispose `vectors` when done @throws RangeError as `labelBank`
 */
export async function keptBank(model: VLJEPA, texts: readonly string[]): Promise<LabelBank> {
  const dim = model.config.embeddingDim;
  const { ids, mask } = model.tokenize(texts, 'text'); // another tokenizer makes other vectors, and is no part of the weights
  const key = sha256(await modelFingerprint(model), JSON.stringify(texts), bytesOf(ids), bytesOf(mask));
  const path = await bankPath(texts);
  const kept = await readKept(path, key, texts.length * dim);
  if (kept && (await stillSame(model, texts, kept))) return { labels: texts, vectors: Tensor.from(model.device, kept, [texts.length, dim]) };
  const bank = labelBank(model, texts);
  const bytes = bytesOf(await bank.vectors.read());
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, Buffer.concat([Buffer.from(`${JSON.stringify({ key, sha256: sha256(bytes) } satisfies Header)}\n`), bytes]));
  } catch (cause) {
    process.emitWarning(`caption: the vectors of ${texts.length} texts could not be kept in ${dirname(path)} (${String(cause)}); they will be computed again next time`);
  }
  return bank;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);
