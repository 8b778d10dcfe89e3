// Sources: each kind gives the same bytes for the same ranges, and each way a server or a file can lie is a typed error.

import { safetensorsBytes } from '../../weights/encode.ts';
import { WeightError } from '../../weights/error.ts';
import { folderSource } from '../../weights/folder.ts';
import { openCheckpoint, openSafetensors } from '../../weights/safetensors.ts';
import { openSource, type ByteSource, type SourceInput } from '../../weights/source.ts';
import { assert, isNode, suite } from '../harness.ts';

const test = suite('weights: source');
const CONTENT = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 255);
const BASE = 'https://models.example/tiny/';

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(() => 'no error', (error: unknown) => { if (error instanceof WeightError) return error.code; throw error; });
}

/** What a server may do wrong. */
interface Behaviour {
  status?: number;
  range?: (start: number, end: number, total: number) => string | null;
  body?: (part: Uint8Array) => Uint8Array;
  finalUrl?: string;
  etag?: (request: number) => string;
  fail?: string;
}

/** A server of files by path, with ranges; counts requests. */
function server(files: Readonly<Record<string, Uint8Array>>, wrong: Behaviour = {}, log: string[] = []): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input));
    const range = /^bytes=([0-9]+)-([0-9]+)$/.exec(new Headers(init?.headers).get('range') ?? '');
    log.push(`${url.pathname} ${range?.[0] ?? 'whole'}`);
    if (wrong.fail !== undefined) throw new TypeError(wrong.fail);
    const content = files[url.pathname];
    const reply = (body: Uint8Array | null, status: number, headers: Record<string, string> = {}): Response => {
      const response = new Response(body as Uint8Array<ArrayBuffer> | null, { status, headers: { ...headers, ...(wrong.etag ? { etag: wrong.etag(log.length) } : {}) } });
      return Object.defineProperty(response, 'url', { value: wrong.finalUrl ?? url.href });
    };
    if (content === undefined) return reply(null, 404);
    if (range === null) return reply(wrong.body?.(content) ?? content, wrong.status ?? 200);
    const start = Number(range[1]);
    const end = Math.min(Number(range[2]) + 1, content.length);
    if (start >= content.length) return reply(null, 416, { 'content-range': `bytes */${content.length}` });
    const header = wrong.range ? wrong.range(start, end, content.length) : `bytes ${start}-${end - 1}/${content.length}`;
    const part = content.subarray(start, end);
    return reply(wrong.body?.(part) ?? part, wrong.status ?? 206, header === null ? {} : { 'content-range': header });
  };
}

async function checkReads(source: ByteSource): Promise<void> {
  assert.is(source.size, CONTENT.length);
  for (const [start, end] of [[0, 0], [0, 1], [0, 1000], [999, 1000], [1000, 1000], [8, 13], [1, 999]] as const) {
    const bytes = await source.read(start, end);
    assert.equal([...bytes], [...CONTENT.subarray(start, end)], `${source.name} ${start}-${end}`);
    assert.is(bytes.byteOffset, 0);
  }
  const roomy = new Uint8Array(20).fill(1);
  await source.read(5, 9, roomy.subarray(3, 7));
  assert.equal([...roomy.subarray(0, 8)], [1, 1, 1, ...CONTENT.subarray(5, 9), 1]);
  for (const [start, end] of [[-1, 1], [0, 1001], [2, 1], [0.5, 2], [0, NaN], [Infinity, Infinity]] as const) assert.is(await codeOf(source.read(start, end)), 'source-range');
  assert.is(await codeOf(source.read(0, 4, new Uint8Array(5))), 'target-size');
  await source.close();
  await source.close();
  assert.is(await codeOf(source.read(0, 1)), 'source-closed');
}

test('bytes, windows of buffers, Blobs, Files and URLs read alike', async () => {
  const roomy = new Uint8Array(1100);
  roomy.set(CONTENT, 13);
  const inputs: SourceInput[] = [CONTENT, CONTENT.slice().buffer, roomy.subarray(13, 1013), new DataView(roomy.buffer, 13, 1000), new Blob([CONTENT]), new File([CONTENT], 'model.safetensors')];
  for (const input of inputs) await checkReads(await openSource(input));
  const fetch = server({ '/tiny/f': CONTENT });
  await checkReads(await openSource(`${BASE}f`, { fetch }));
  await checkReads(await openSource(new URL(`${BASE}f`), { fetch }));
  const source = await openSource(CONTENT);
  assert.is(await openSource(source), source);
});

test('a memory source hands out copies', async () => {
  const source = await openSource(CONTENT);
  (await source.read(0, 4)).fill(99);
  assert.equal([...await source.read(0, 4)], [...CONTENT.subarray(0, 4)]);
});

test('what is no source is refused', async () => {
  for (const input of [null, undefined, 3, {}, [], () => {}]) assert.is(await codeOf(openSource(input as unknown as SourceInput)), 'source-type');
  for (const url of ['data:,x', 'ftp://models.example/x', 'javascript:1']) assert.is(await codeOf(openSource(new URL(url))), 'source-type', url);
});

test('each way a server can lie is an error of its own', async () => {
  const open = (wrong: Behaviour): Promise<ByteSource> => openSource(`${BASE}f`, { fetch: server({ '/tiny/f': CONTENT }, wrong) });
  const cases: readonly [string, Behaviour][] = [
    ['http-no-range', { status: 200 }],
    ['http-status', { status: 500 }], ['http-status', { status: 403 }], ['http-status', { status: 203 }],
    ['http-content-range', { range: () => null }],
    ['http-content-range', { range: (s, e) => `bytes ${s}-${e - 1}/*` }],
    ['http-content-range', { range: (s, e, t) => `bytes ${s + 1}-${e}/${t}` }],
    ['http-content-range', { range: (s, e, t) => `bytes ${s}-${e}/${t}` }],
    ['http-content-range', { range: (s, e, t) => `items ${s}-${e - 1}/${t}` }],
    ['http-content-range', { range: (s, e) => `bytes ${s}-${e - 1}/99999999999999999999` }],
    ['http-content-range', { range: (s, e) => `bytes ${s}-${e - 1}/3` }],
    ['http-length', { body: (part) => part.subarray(1) }],
    ['http-length', { body: (part) => Uint8Array.from([...part, 0]) }],
    ['http-length', { body: () => new Uint8Array(0) }],
    ['http-origin', { finalUrl: 'https://evil.example/tiny/f' }],
    ['http-origin', { finalUrl: 'http://models.example/tiny/f' }],
    ['io', { fail: 'fetch failed' }],
  ];
  for (const [code, wrong] of cases) assert.is(await codeOf(open(wrong)), code, JSON.stringify(Object.keys(wrong)) + String(Object.values(wrong)[0]));
  assert.is(await codeOf(openSource(`${BASE}absent`, { fetch: server({}) })), 'source-missing');
});

test('a server that changes its mind after the first reply is caught', async () => {
  const later = async (wrong: Behaviour): Promise<string> => {
    const behaviour: Behaviour = wrong.etag ? { etag: wrong.etag } : {};
    const source = await openSource(`${BASE}f`, { fetch: server({ '/tiny/f': CONTENT }, behaviour) });
    Object.assign(behaviour, wrong);
    return codeOf(source.read(10, 500));
  };
  assert.is(await later({}), 'no error');
  assert.is(await later({ status: 200 }), 'http-no-range');
  assert.is(await later({ range: (s, e) => `bytes ${s}-${e - 1}/1001` }), 'http-length');
  assert.is(await later({ range: (_s, _e, t) => `bytes 0-489/${t}` }), 'http-content-range');
  assert.is(await later({ body: (part) => part.subarray(0, 100) }), 'http-length');
  assert.is(await later({ etag: (request) => `"${request}"` }), 'source-changed');
  assert.is(await later({ etag: () => '"same"' }), 'no error');
  assert.is(await later({ finalUrl: 'https://cdn.example/f' }), 'http-origin');
  assert.is(await later({ fail: 'socket hang up' }), 'io');
});

test('an empty file over HTTP is short, not a crash', async () => {
  const options = { fetch: server({ '/tiny/f': new Uint8Array(0) }) };
  assert.is((await openSource(`${BASE}f`, options)).size, 0);
  assert.is(await codeOf(openSafetensors(`${BASE}f`, options)), 'header-short');
});

test('a base URL is a folder, and replies from outside it are refused', async () => {
  const model = safetensorsBytes([{ name: 'a', dtype: 'U8', shape: [2], bytes: Uint8Array.of(5, 6) }]);
  const files = { '/tiny/model.safetensors': model, '/tiny/config.json': new TextEncoder().encode('{}'), '/tiny/sub/model.safetensors': model };
  for (const base of [BASE, BASE.slice(0, -1)]) {
    const log: string[] = [];
    const st = await openCheckpoint(base, { fetch: server(files, {}, log) });
    assert.equal([...await st.getTensor('a')], [5, 6]);
    assert.ok(log.every((line) => line.startsWith('/tiny/model.safetensors bytes=')), log.join());
  }
  const folder = folderSource(BASE, { fetch: server(files) });
  assert.is(await folder.readText('config.json'), '{}');
  assert.is(await folder.readText('absent.json'), undefined);
  assert.is(await folder.open('absent.safetensors'), undefined);
  assert.is((await openCheckpoint(folder.sub('sub'))).names().length, 1);
  assert.is((await openCheckpoint(`${BASE}model.safetensors`, { fetch: server(files) })).names().length, 1);
  for (const finalUrl of ['https://models.example/other/model.safetensors', 'https://models.example/tiny', 'https://evil.example/tiny/model.safetensors', 'https://models.example:444/tiny/model.safetensors']) {
    const outside = folderSource(BASE, { fetch: server(files, { finalUrl }) });
    assert.is(await codeOf(outside.open('model.safetensors')), 'http-origin', finalUrl);
    assert.is(await codeOf(outside.readText('config.json')), 'http-origin', finalUrl);
  }
  assert.throws(() => folderSource(`${BASE}?token=x`), (e: unknown) => e instanceof WeightError && e.code === 'source-type');
  assert.is(await codeOf(folderSource(BASE, { fetch: server(files, { status: 500 }) }).readText('config.json')), 'http-status');
});

test('a Blob that fails or lies while it is read gives a typed error', async () => {
  class Failing extends Blob { override slice(): Blob { throw new DOMException('gone', 'NotReadableError'); } }
  class Short extends Blob { override slice(): Blob { return new Blob([]); } }
  assert.is(await codeOf((await openSource(new Failing([CONTENT]))).read(0, 8)), 'io');
  assert.is(await codeOf((await openSource(new Short([CONTENT]))).read(0, 8)), 'source-truncated');
});

test('a folder that was picked in a page opens files of subfolders', async () => {
  const handle = (files: Record<string, Uint8Array>, folders: Record<string, unknown> = {}): unknown => ({
    kind: 'directory', name: 'picked',
    getFileHandle: async (name: string) => {
      const bytes = files[name];
      if (bytes === undefined) throw new DOMException('no', 'NotFoundError');
      return { getFile: async () => new File([bytes as Uint8Array<ArrayBuffer>], name) };
    },
    getDirectoryHandle: async (name: string) => { if (folders[name] === undefined) throw new DOMException('no', 'NotFoundError'); return folders[name]; },
  });
  const folder = folderSource(handle({ 'config.json': new TextEncoder().encode('{}') }, { sub: handle({ 'model.safetensors': safetensorsBytes([]) }) }) as FileSystemDirectoryHandle);
  assert.is(await folder.readText('config.json'), '{}');
  assert.is((await openCheckpoint(folder.sub('sub'))).tensors.size, 0);
  assert.is(await folder.open('absent/x.json'), undefined);
});

test.when(isNode, 'real files', 'Node only: files read by position; folders, devices, missing and shrinking files are typed errors', async () => {
  const { mkdtemp, writeFile, truncate, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const root = await mkdtemp(join(tmpdir(), 'vl-jepa-weights-'));
  try {
    const path = join(root, 'a b%20.bin');
    await writeFile(path, CONTENT);
    await checkReads(await openSource(path));
    await checkReads(await openSource(new URL(`file://${path.replaceAll('%', '%25').replaceAll(' ', '%20')}`)));
    assert.is(await codeOf(openSource(root)), 'source-type');
    assert.is(await codeOf(openSource('/dev/null')), process.platform === 'win32' ? 'source-missing' : 'source-type');
    assert.is(await codeOf(openSource(join(root, 'absent'))), 'source-missing');
    assert.is(await codeOf(openSource(join(path, 'below'))), 'source-missing');
    assert.is(await codeOf(openSource('x\0y')), 'name-unsafe');
    assert.is(await codeOf(openSource('file:///etc%2fpasswd')), 'source-type');
    const source = await openSource(path);
    await truncate(path, 100);
    assert.is(await codeOf(source.read(0, 1000)), 'source-truncated');
    await source.close();
  } finally {
    await rm(root, { recursive: true });
  }
});

test.when(isNode, 'a real server', 'Node only: range requests against a real HTTP server, redirects included', async () => {
  const { createServer } = await import('node:http');
  const http = createServer((request, response) => {
    if (request.url === '/to/f') { response.writeHead(302, { location: '/tiny/f' }).end(); return; }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (range === null || request.url === '/whole/f') { response.writeHead(200).end(CONTENT); return; }
    const [start, last] = [Number(range[1]), Math.min(Number(range[2]), CONTENT.length - 1)];
    response.writeHead(206, { 'content-range': `bytes ${start}-${last}/${CONTENT.length}` }).end(CONTENT.subarray(start, last + 1));
  });
  await new Promise<void>((ready) => { http.listen(0, '127.0.0.1', ready); });
  try {
    const address = http.address();
    const base = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    await checkReads(await openSource(`${base}/tiny/f`));
    assert.is(await codeOf(openSource(`${base}/whole/f`)), 'http-no-range');
    await checkReads(await openSource(`${base}/to/f`)); // the same origin
    assert.is(await codeOf(folderSource(`${base}/to`).open('f')), 'http-origin'); // but outside the folder
  } finally {
    http.closeAllConnections();
    await new Promise((done) => { http.close(done); });
  }
});

test.run();
