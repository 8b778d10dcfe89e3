// Where a model may come from: a URL with and without a cache, picked files, a directory handle; and what is left when it does not come.
import { VLJEPA } from '../../model/vl_jepa.ts';
import { SentenceEncoder } from '../../model/sentence_encoder.ts';
import { VisionEncoder } from '../../model/vision_encoder.ts';
import type { DownloadProgress } from '../../weights/byte_source.ts';
import { WeightError } from '../../weights/error.ts';
import { openUrlCache } from '../../weights/url_cache.ts';
import { assert, device, suite } from '../harness.ts';
import { MemoryFolder } from '../weights/memory_opfs.ts';
import { goldenFolder } from './golden.ts';

const test = suite('where models come from');
const BASE = 'https://models.example/joint/';

/** The tiny networks as one joint model's files. */
async function files(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const folders = { vision: goldenFolder('vision/tiny-a'), predictor: goldenFolder('predictor/tiny-a'), text: goldenFolder('text/tiny-a') };
  const model = await VLJEPA.fromPretrained(folders, { device: await device(), joint: { embedding_dim: 24 } });
  const config = new TextEncoder().encode(JSON.stringify(model.config.json)) as Uint8Array<ArrayBuffer>;
  const bytes = await model.stateBytes() as Uint8Array<ArrayBuffer>;
  model.dispose();
  return new Map([['config.json', config], ['model.safetensors', bytes]]);
}

/** A server of those files, with ranges, and what it was asked. */
function server(content: ReadonlyMap<string, Uint8Array<ArrayBuffer>>, log: string[]): typeof fetch {
  return async (input, init) => {
    const name = String(input).slice(BASE.length);
    init?.signal?.throwIfAborted();
    log.push(name);
    const whole = content.get(name);
    if (!whole) return new Response(null, { status: 404 });
    const range = /^bytes=(\d+)-(\d*)$/.exec(new Headers(init?.headers).get('range') ?? '');
    if (!range) return new Response(whole, { headers: { etag: '"1"', 'content-length': `${whole.length}` } });
    const [from, end] = [Number(range[1]), range[2] ? Math.min(whole.length, Number(range[2]) + 1) : whole.length];
    return new Response(whole.slice(from, end), { status: 206, headers: { etag: '"1"', 'content-range': `bytes ${from}-${end - 1}/${whole.length}` } });
  };
}

const offline: typeof fetch = async () => { throw new TypeError('fetch failed'); };
const head = async (model: VLJEPA): Promise<Float32Array> => model.tensors().get('text_head.weight')!.read();

test('a URL is read by ranges, or downloaded once into a cache and used without a network', async () => {
  const d = await device();
  const content = await files();
  const cache = await openUrlCache({ root: new MemoryFolder() as unknown as FileSystemDirectoryHandle });
  const before = d.memory().liveTensors;
  const log: string[] = [];
  const downloads: DownloadProgress[] = [];
  const online = server(content, log);
  const direct = await VLJEPA.fromPretrained(BASE, { device: d, fetch: online });
  const kept = await VLJEPA.fromPretrained(BASE, { device: d, fetch: online, cache, downloadProgress: (event) => downloads.push(event) });
  assert.ok(downloads.some(({ status, loaded, total }) => status === 'download' && loaded === total), 'downloads are told');
  const alone = await VLJEPA.fromPretrained(BASE, { device: d, fetch: offline, cache });
  for (const model of [kept, alone]) assert.equal(await head(model), await head(direct));
  for (const model of [direct, kept, alone]) model.dispose();
  assert.is(d.memory().liveTensors, before);

  for (const [what, load] of [
    ['a joint model', () => VLJEPA.fromPretrained(BASE, { device: d, fetch: offline })], ['one network', () => VisionEncoder.load(d, BASE, { fetch: offline })],
    ['a sentence encoder', () => SentenceEncoder.load(BASE, { device: d, fetch: offline })], ['three folders', () => VLJEPA.fromPretrained({ vision: BASE, predictor: BASE, text: BASE }, { device: d, fetch: offline })],
  ] as const) {
    const failed: unknown = await load().then(() => undefined, (error: unknown) => error);
    assert.ok(failed instanceof WeightError && failed.code === 'io', `${what}: ${String(failed)}`);
  }
  const stop = new AbortController();
  const fresh = await openUrlCache({ root: new MemoryFolder() as unknown as FileSystemDirectoryHandle });
  const cancelled: unknown = await VLJEPA.fromPretrained(BASE, { device: d, fetch: online, cache: fresh, signal: stop.signal, downloadProgress: ({ file }) => { if (file.endsWith('.safetensors')) stop.abort(); } }).then(() => undefined, (error: unknown) => error);
  assert.is((cancelled as Error | undefined)?.name, 'AbortError');
  assert.is(d.memory().liveTensors, before);
});

test('picked files and a directory handle give the same model', async () => {
  const d = await device();
  const content = await files();
  const picked = [...content].map(([name, bytes]) => new File([bytes], name));
  const handle = new MemoryFolder();
  for (const [name, bytes] of content) handle.files.set(name, bytes);
  const models = [await VLJEPA.fromPretrained(content, { device: d }), await VLJEPA.fromPretrained(picked, { device: d }), await VLJEPA.fromPretrained(handle as unknown as FileSystemDirectoryHandle, { device: d })];
  for (const model of models) assert.equal(await head(model), await head(models[0]!));
  for (const model of models) model.dispose();
  const failed: unknown = await VLJEPA.fromPretrained([new File([], 'notes.txt')], { device: d }).then(() => undefined, (error: unknown) => error);
  assert.ok(failed instanceof WeightError && failed.code === 'checkpoint-missing', String(failed));
});

test('a folder without config.json is named, with what it should be', async () => {
  const d = await device();
  const error = async (work: Promise<unknown>): Promise<string> => work.then(() => 'loaded', (e: unknown) => (e instanceof WeightError && e.code === 'checkpoint-missing' ? e.message : String(e)));
  const none = new Map<string, Uint8Array<ArrayBuffer>>();
  const parts = new Map([['config.json', new TextEncoder().encode('{"model_type": "vl_jepa", "parts": true}') as Uint8Array<ArrayBuffer>]]);
  assert.match(await error(VisionEncoder.load(d, none)), /^[^:]+: config\.json is missing, expected the folder of a network \(config\.json and model\.safetensors\)$/);
  assert.match(await error(VLJEPA.fromPretrained(none, { device: d })), /^[^:]+: config\.json is missing, expected a VL-JEPA folder$/);
  assert.match(await error(VLJEPA.fromPretrained(parts, { device: d })), /^([^:]+)\/vision: config\.json is missing, expected the folder of a network \(parts is true in \1\/config\.json\)$/);
  assert.match(await error(VLJEPA.fromPretrained({ vision: none, predictor: none, text: none }, { device: d })), /^[^:]+: config\.json is missing, expected the folder of a network$/);
});

test.run();
