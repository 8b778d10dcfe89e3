// Downloads that are kept: once, continued, started again, refused. In a page on its real private file system, everywhere on one in memory.
import { safetensorsBytes } from '../../weights/encode.ts';
import { WeightError } from '../../weights/error.ts';
import { folderSource } from '../../weights/folder.ts';
import { openCheckpoint } from '../../weights/safetensors.ts';
import { openSource } from '../../weights/source.ts';
import { openUrlCache, type UrlCache, type UrlCacheOptions } from '../../weights/url_cache.ts';
import type { DownloadProgress } from '../../weights/byte_source.ts';
import { assert, isNode, suite } from '../harness.ts';
import { MemoryFolder } from './memory_opfs.ts';

const test = suite('weights: url cache');
const BASE = 'https://models.example/tiny/';
const CONTENT = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 255);
const SEGMENT = 64;

/** What the server does. */
interface Server {
  content: Uint8Array;
  etag?: string | null;
  ranges?: boolean;
  /** Sends this many bytes of each body, then fails. */
  cut?: number;
  /** Bytes of a body's pieces. */
  piece?: number;
  length?: string | null;
  status?: number;
  offline?: boolean;
  finalUrl?: string;
}

/** A fetch that speaks to the server, and its log. */
function fetchOf(server: Server, log: string[] = []): typeof fetch {
  return async (input, init) => {
    const url = String(input);
    const asked = new Headers(init?.headers).get('range');
    log.push(asked ?? 'whole');
    init?.signal?.throwIfAborted();
    if (server.offline) throw new TypeError('fetch failed');
    const { content, etag = '"v1"', ranges = true } = server;
    const range = ranges && asked ? /^bytes=(\d+)-(\d*)$/.exec(asked) : null;
    const from = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(content.length, Number(range[2]) + 1) : content.length;
    const status = server.status ?? (url.endsWith('absent') ? 404 : range ? (from >= content.length ? 416 : 206) : 200);
    const headers = new Headers(etag === null ? {} : { etag });
    if (status === 206) headers.set('content-range', `bytes ${from}-${end - 1}/${content.length}`);
    if (server.length !== null) headers.set('content-length', server.length ?? String(end - from));
    const body = bodyOf(content.slice(from, end), server, init?.signal ?? undefined);
    return Object.defineProperty(new Response(status === 416 || status === 404 ? null : body, { status, headers }), 'url', { value: server.finalUrl ?? url });
  };
}

function bodyOf(bytes: Uint8Array, { cut = Infinity, piece = 50 }: Server, signal: AbortSignal | undefined): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    async pull(out) {
      await new Promise((done) => setTimeout(done, 0));
      if (signal?.aborted) return out.error(signal.reason);
      if (at >= cut) return out.error(new TypeError('network error'));
      if (at >= bytes.length) return out.close();
      out.enqueue(bytes.slice(at, Math.min(at + piece, cut)));
      at = Math.min(at + piece, cut);
    },
  }, { highWaterMark: 0 });
}

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(() => 'no error', (error: unknown) => (error instanceof WeightError ? error.code : (error as Error).name));
}

const read = async (cache: UrlCache, server: Server, log: string[] = [], more: object = {}): Promise<number[]> => {
  const source = await openSource(`${BASE}f`, { fetch: fetchOf(server, log), cache, ...more });
  return [...await source.read(0, source.size)];
};

const memory = (options: UrlCacheOptions = {}): Promise<UrlCache> => openUrlCache({ segmentBytes: SEGMENT, root: new MemoryFolder() as unknown as FileSystemDirectoryHandle, ...options });

/** A cache on the page's own file system where there is one, with a name of its own; else in memory. */
async function real(options: UrlCacheOptions = {}): Promise<UrlCache> {
  return isNode ? memory(options) : openUrlCache({ segmentBytes: SEGMENT, name: `test-${Math.random()}`, ...options });
}

test('a file is downloaded once and then read without the server; it is listed and deleted', async () => {
  const cache = await real();
  const log: string[] = [];
  const events: DownloadProgress[] = [];
  assert.equal(await read(cache, { content: CONTENT }, log, { progress: (event: DownloadProgress) => events.push(event) }), [...CONTENT]);
  assert.equal(log, ['whole']);
  assert.is(events.length, 20);
  assert.equal(events.map(({ loaded }) => loaded), Array.from({ length: 20 }, (_, i) => 50 * (i + 1)));
  assert.ok(events.every(({ status, file, total, resumed, bytesPerSecond }) => status === 'download' && file === `${BASE}f` && total === 1000 && resumed === 0 && bytesPerSecond > 0));
  assert.is(events.at(-1)!.secondsLeft, 0);
  assert.equal(await read(cache, { content: CONTENT, offline: true }, log), [...CONTENT]);
  assert.equal(log, ['whole'], 'nothing was asked again');
  const source = await openSource(`${BASE}f`, { cache });
  for (const [start, end] of [[0, 1], [63, 65], [60, 200], [999, 1000], [1000, 1000]] as const) assert.equal([...await source.read(start, end)], [...CONTENT.slice(start, end)]);
  assert.equal(await cache.list(), [{ url: `${BASE}f`, bytes: 1000, total: 1000, complete: true }]);
  assert.is(await cache.isCached(`${BASE}f`), true);
  assert.is(await cache.isCached(`${BASE}g`), false);
  assert.is(await cache.delete(`${BASE}g`), 0);
  assert.is(await cache.delete(BASE), 1);
  assert.equal(await cache.list(), []);
  assert.is(await codeOf(read(cache, { content: CONTENT, offline: true })), 'io');
});

test('an interrupted download goes on by range, wherever it stopped', async () => {
  for (const cut of [1, 50, 63, 64, 65, 128, 500, 640, 999]) {
    const cache = await real();
    const log: string[] = [];
    assert.is(await codeOf(read(cache, { content: CONTENT, cut, piece: 30 }, log)), 'io', `${cut}`);
    assert.equal(await cache.list(), [{ url: `${BASE}f`, bytes: cut, total: 1000, complete: false }]);
    assert.is(await cache.isCached(`${BASE}f`), false);
    const events: DownloadProgress[] = [];
    assert.equal(await read(cache, { content: CONTENT }, log, { progress: (event: DownloadProgress) => events.push(event) }), [...CONTENT], `${cut}`);
    assert.equal(log, ['whole', `bytes=${cut}-`]);
    assert.ok(events.every(({ resumed }) => resumed === cut));
    await cache.delete(BASE);
  }
});

test('interrupted again and again, it arrives', async () => {
  const cache = await real();
  const log: string[] = [];
  let tries = 0;
  while (await codeOf(read(cache, { content: CONTENT, cut: 70 }, log)) === 'io' && tries < 50) tries++;
  assert.is(tries, 14);
  assert.equal(await read(cache, { content: CONTENT, offline: true }), [...CONTENT]);
  await cache.delete(BASE);
});

test('a cancelled download gives the reason of the signal and keeps what came', async () => {
  const cache = await real();
  const controller = new AbortController();
  const reason = new Error('enough');
  const got = await read(cache, { content: CONTENT }, [], { signal: controller.signal, progress: ({ loaded }: DownloadProgress) => { if (loaded >= 300) controller.abort(reason); } }).then(() => undefined, (error: unknown) => error);
  assert.is(got, reason);
  assert.is((await cache.list())[0]!.bytes, 300);
  const log: string[] = [];
  assert.equal(await read(cache, { content: CONTENT }, log), [...CONTENT]);
  assert.equal(log, ['bytes=300-']);
  const late = new AbortController();
  late.abort(reason);
  assert.is(await read(await real(), { content: CONTENT }, [], { signal: late.signal }).then(() => undefined, (error: unknown) => error), reason);
  await cache.delete(BASE);
});

test('a changed file starts again; a server without ranges, a length or a version works', async () => {
  const other = CONTENT.map((byte) => byte ^ 255);
  const longer = Uint8Array.from({ length: 1200 }, (_, i) => i & 255);
  const cases: readonly (readonly [string, Partial<Server>, Partial<Server>, readonly string[]])[] = [
    ['another version', {}, { content: other, etag: '"v2"' }, ['bytes=320-', 'whole']],
    ['another length', { etag: null }, { content: longer, etag: null }, ['bytes=320-', 'whole']],
    ['shorter than what is kept', {}, { content: other.slice(0, 100), etag: '"v2"' }, ['bytes=320-', 'whole']],
    ['no ranges', {}, { ranges: false }, ['bytes=320-']],
    ['no ranges and another version', {}, { ranges: false, content: other, etag: '"v3"' }, ['bytes=320-']],
    ['no version at all, the same length', { etag: null }, { etag: null }, ['bytes=320-']],
    ['no length', { length: null }, { length: null }, ['whole']],
  ];
  for (const [name, before, after, expected] of cases) {
    const cache = await memory();
    assert.is(await codeOf(read(cache, { content: CONTENT, cut: 320, ...before })), 'io', name);
    const log: string[] = [];
    assert.equal(await read(cache, { content: CONTENT, ...after }, log), [...(after.content ?? CONTENT)], name);
    assert.equal(log, expected, name);
    assert.equal(await read(cache, { content: CONTENT, offline: true }), [...(after.content ?? CONTENT)], name);
  }
});

test('revalidation asks before a whole file is used', async () => {
  const cache = await memory({ revalidate: true });
  const other = CONTENT.map((byte) => byte ^ 255);
  const log: string[] = [];
  await read(cache, { content: CONTENT }, log);
  assert.equal(await read(cache, { content: CONTENT }, log), [...CONTENT]);
  assert.equal(await read(cache, { content: CONTENT, offline: true }, log), [...CONTENT]);
  assert.equal(await read(cache, { content: other, etag: '"v2"' }, log), [...other]);
  assert.equal(log, ['whole', 'bytes=0-0', 'bytes=0-0', 'bytes=0-0', 'whole']);
});

test('each way a server can lie is an error of its own, and nothing wrong is kept as whole', async () => {
  for (const [code, wrong] of [['http-length', { length: '1001' }], ['http-length', { length: '999' }], ['http-status', { status: 500 }], ['http-status', { status: 403 }], ['http-origin', { finalUrl: 'https://evil.example/f' }], ['io', { offline: true }], ['source-missing', { status: 404 }]] as const) {
    const cache = await memory();
    assert.is(await codeOf(read(cache, { content: CONTENT, ...wrong })), code, JSON.stringify(wrong));
    assert.is(await cache.isCached(`${BASE}f`), false);
  }
});

test('a full storage is told with figures, and what fitted is kept', async () => {
  const root = new MemoryFolder();
  const cache = await memory({ root: root as unknown as FileSystemDirectoryHandle });
  root.setQuota(700);
  const error = await read(cache, { content: CONTENT }).then(() => undefined, (e: unknown) => e) as WeightError;
  assert.is(error.code, 'storage-full');
  assert.match(error.message, /^https:\/\/models\.example\/tiny\/f: the storage that the browser gives this page is full.*1000 bytes are needed/);
  assert.ok((await cache.list())[0]!.bytes >= 256);
  root.setQuota(Infinity);
  assert.equal(await read(cache, { content: CONTENT }), [...CONTENT]);
});

test('a segment that went away is downloaded again; a torn note too', async () => {
  const root = new MemoryFolder();
  const cache = await memory({ root: root as unknown as FileSystemDirectoryHandle });
  await read(cache, { content: CONTENT });
  const { files } = await root.getDirectoryHandle('vl-jepa');
  const segment = [...files.keys()].find((name) => name.endsWith('.5'))!;
  files.delete(segment);
  assert.is(await cache.isCached(`${BASE}f`), false);
  assert.equal(await read(cache, { content: CONTENT }), [...CONTENT]);
  files.set([...files.keys()].find((name) => name.endsWith('.json'))!, new TextEncoder().encode('{"url":') as Uint8Array<ArrayBuffer>);
  assert.equal(await read(cache, { content: CONTENT }), [...CONTENT]);
  assert.is((await cache.list()).length, 1);
});

test('a folder of a base URL through the cache, then offline', async () => {
  const cache = await real();
  const files: Record<string, Uint8Array> = { 'config.json': new TextEncoder().encode('{"a":1}'), 'model.safetensors': safetensorsBytes([{ name: 'w', dtype: 'U8', shape: [3], bytes: Uint8Array.of(1, 2, 3) }]) };
  let asked = 0;
  const online: typeof fetch = (input, init) => {
    asked++;
    const name = String(input).slice(BASE.length);
    return fetchOf({ content: files[name] ?? new Uint8Array(0), ...(name in files ? {} : { status: 404 }) })(input, init);
  };
  const offline: typeof fetch = async () => { asked++; throw new TypeError('fetch failed'); };
  for (const fetch of [online, offline]) {
    const folder = folderSource(BASE, { fetch, cache });
    assert.is(await folder.readText('config.json'), '{"a":1}');
    assert.is(await folder.readText('tokenizer.json'), undefined);
    const checkpoint = await openCheckpoint(folder);
    assert.equal([...await checkpoint.getTensor('w')], [1, 2, 3]);
    await checkpoint.close();
  }
  assert.is(asked, 4, 'three files, and again the one that is not there');
  await cache.delete(BASE);
});

test('in Node the same calls keep nothing', async () => {
  if (!isNode) {
    assert.is(typeof (await openUrlCache({ name: 'test-none' })).open, 'function');
    return;
  }
  const cache = await openUrlCache();
  const log: string[] = [];
  assert.equal(await read(cache, { content: CONTENT }, log), [...CONTENT]);
  assert.equal(log, ['bytes=0-7', 'bytes=0-999']);
  assert.equal([await cache.isCached(`${BASE}f`), await cache.list(), await cache.delete(BASE)], [false, [], 0]);
});

test.when(!isNode, 'needs a page and its server', 'in a page: the checkpoint that ships, interrupted, continued and read from the private file system', async () => {
  const base = new URL('/checkpoints/nano/', location.href);
  const cache = await openUrlCache({ name: 'test-nano', segmentBytes: 1024 * 1024 });
  await cache.delete(base);
  const controller = new AbortController();
  const asked: string[] = [];
  const spy: typeof fetch = (input, init) => { asked.push(new Headers(init?.headers).get('range') ?? 'whole'); return fetch(input, init); };
  const model = new URL('model.safetensors', base);
  const cancelled = await codeOf(openSource(model, { cache, fetch: spy, signal: controller.signal, progress: ({ loaded }) => { if (loaded > 3_000_000) controller.abort(); } }));
  assert.is(cancelled, 'AbortError');
  const [part] = await cache.list();
  assert.ok(part !== undefined && part.bytes > 3_000_000 && part.bytes < part.total! && !part.complete, JSON.stringify(part));
  const kept = await openCheckpoint(folderSource(base, { cache, fetch: spy }));
  assert.equal(asked, ['whole', `bytes=${part!.bytes}-`]);
  const direct = await openCheckpoint(folderSource(base));
  assert.equal(kept.names(), direct.names());
  for (const name of kept.names()) {
    const [a, b] = [await kept.getTensor(name), await direct.getTensor(name)];
    assert.ok(a.length === b.length && a.every((byte, i) => byte === b[i]), name);
  }
  assert.is(await cache.isCached(model), true);
  const handle = await (await navigator.storage.getDirectory()).getDirectoryHandle('test-picked', { create: true });
  for (const name of ['config.json', 'model.safetensors']) { // the same files through a directory handle and through File objects
    const writer = await (await handle.getFileHandle(name, { create: true })).createWritable();
    await writer.write(await (await fetch(new URL(name, base))).arrayBuffer());
    await writer.close();
  }
  assert.equal((await openCheckpoint(handle)).names(), direct.names());
  const picked = new Map([['model.safetensors', await (await handle.getFileHandle('model.safetensors')).getFile()]]);
  assert.equal((await openCheckpoint(picked)).names(), direct.names());
  const full = await openSource(model.href.replace('model.', 'x.'), { cache, fetch: async () => new Response(new Uint8Array(8), { headers: { 'content-length': '900000000000000' } }) }).then(() => undefined, (error: unknown) => error) as WeightError;
  assert.is(full.code, 'storage-full');
  assert.match(full.message, /\d+ of \d+ bytes are used, 900000000000000 bytes are needed/);
  await cache.delete(base);
  assert.equal(await cache.list(), []);
});

test.run();
