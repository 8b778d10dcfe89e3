// WebDataset: files of a tar with the same name up to the first dot are one sample; what follows the dot says what a file is.
import { createTarDecoder } from 'modern-tar';
import { DataError } from './errors.ts';

/** One sample of a tar. */
export interface TarSample {
  /** Its key, for messages. */
  readonly where: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly media: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  /** Whether it is dataset.json, which describes the set. */
  readonly header: boolean;
}

const MEDIA = /^(?:.*\.)?(png|jpe?g|webp|gif|avif|svg|bmp|mp4|webm|mov|mkv|avi|m4v)$/i;
/** Files that are one field. */
const FIELDS: Readonly<Record<string, string>> = { txt: 'text', cls: 'label', 'caption.txt': 'text', 'question.txt': 'question', 'answer.txt': 'answer' };

/** Largest entry that is read, bytes. */
const MAX_ENTRY_BYTES = 268_435_456;

interface Open { key: string; fields: Record<string, unknown>; media: { name: string; bytes: Uint8Array }[] }

/** "folder/0001.seg.png" → key "folder/0001", ending "seg.png"; dots of folders do not count. */
function split(path: string): { key: string; ending: string } {
  const slash = path.lastIndexOf('/');
  const dot = path.indexOf('.', slash + 1);
  return dot === -1 ? { key: path, ending: '' } : { key: path.slice(0, dot), ending: path.slice(dot + 1).toLowerCase() };
}

function addEntry(sample: Open, ending: string, path: string, bytes: Uint8Array, name: string): void {
  if (ending === 'json') {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(bytes));
    } catch (cause) {
      throw new DataError(name, `sample ${sample.key}: ${path} does not parse as JSON (${(cause as Error).message})`, cause);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DataError(name, `sample ${sample.key}: ${path} is ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}, expected a JSON object`);
    Object.assign(sample.fields, value);
  } else if (MEDIA.test(ending)) sample.media.push({ name: path, bytes });
  else if (Object.hasOwn(FIELDS, ending)) sample.fields[FIELDS[ending]!] ??= new TextDecoder().decode(bytes).trim();
}

function closed({ key, fields, media }: Open): TarSample {
  const order = new Intl.Collator('en', { numeric: true });
  return { where: `sample ${key}`, fields, media: media.sort((a, b) => order.compare(a.name, b.name)), header: key.split('/').at(-1) === 'dataset' && media.length === 0 };
}

/**
 * Samples of a WebDataset tar in order. Holds one sample at a time.
 * @param bytes of the tar, not compressed @param name of the file, for messages @returns samples: fields out of .json, .txt and .cls, media bytes sorted by name
 * @throws DataError when it is no tar, is cut off, or a sample's JSON does not parse
 */
export async function* tarSamples(bytes: ReadableStream<Uint8Array>, name: string): AsyncGenerator<TarSample, void, undefined> {
  const entries = bytes.pipeThrough(createTarDecoder({ strict: true }) as unknown as ReadableWritablePair<{ header: { name: string; type?: string; size: number }; body: ReadableStream<Uint8Array> }, Uint8Array>);
  const reader = entries.getReader();
  let sample: Open | undefined;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: Error) => { throw new DataError(name, `is no whole tar file (${cause.message})`, cause); });
      if (done) break;
      const { header, body } = value;
      const file = header.name.split('/').at(-1)!;
      if ((header.type ?? 'file') !== 'file' || file.startsWith('.') || file === '') {
        await body.cancel();
        continue;
      }
      if (header.size > MAX_ENTRY_BYTES) throw new DataError(name, `${header.name} has ${header.size} bytes, expected at most ${MAX_ENTRY_BYTES}`);
      const { key, ending } = split(header.name);
      if (sample && sample.key !== key) {
        yield closed(sample);
        sample = undefined;
      }
      sample ??= { key, fields: {}, media: [] };
      const content = new Uint8Array(await new Response(body).arrayBuffer().catch((cause: Error) => { throw new DataError(name, `ends inside ${header.name} (cut off: ${cause.message})`, cause); }));
      addEntry(sample, ending, header.name, content, name);
    }
    if (sample) yield closed(sample);
  } finally {
    await reader.cancel().catch(() => undefined); // a broken file has told its fault already
  }
}
