// The service worker of one version of the page: every file of it lies in a cache of its own, so that it works without a network and no page holds files of two versions.

interface Worker {
  addEventListener(type: 'install' | 'activate', listener: (event: { waitUntil(work: Promise<unknown>): void }) => void): void;
  addEventListener(type: 'fetch', listener: (event: { request: Request; respondWith(answer: Promise<Response>): void }) => void): void;
  addEventListener(type: 'message', listener: (event: { ports: readonly MessagePort[]; waitUntil(work: Promise<unknown>): void }) => void): void;
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void>; matchAll(wanted: { type: 'window'; includeUncontrolled: boolean }): Promise<readonly unknown[]> };
}

const worker = globalThis as unknown as Worker;
const VERSION = new URL(location.href).searchParams.get('version') ?? 'none';
const NAME = `vl-jepa-${VERSION}`;

/** The server begins each file's tag with the version. */
const isOurs = (answer: Response): boolean => (answer.headers.get('etag') ?? '').startsWith(`"${VERSION}`);

/** Stores every file, or fails and stores none. An older version stays in use meanwhile, and as long as a page of it is open. */
async function install(): Promise<void> {
  const { version, files } = (await (await fetch('/files.json', { cache: 'no-store' })).json()) as { version: string; files: string[] };
  const other = (): TypeError => new TypeError(`offline: the server has another version by now, expected ${VERSION}`);
  if (version !== VERSION) throw other(); // before the cache of an older version, which may be in use, is touched
  const cache = await caches.open(NAME);
  try {
    await cache.addAll([...files, '/files.json'].map(address => new Request(address, { cache: 'reload' })));
    if (!(await cache.matchAll()).every(isOurs)) throw other();
  } catch (error) {
    await caches.delete(NAME);
    throw error;
  }
}

/** The only page that is open asks for its newer version, which is this one. */
async function takeOver(port: MessagePort | undefined): Promise<void> {
  const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  if (pages.length > 1) port?.postMessage('another page is open');
  else await worker.skipWaiting();
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) if (name.startsWith('vl-jepa-') && name !== NAME) await caches.delete(name);
  await worker.clients.claim();
}

/** The part of a stored file that was asked for; a cache keeps whole files only. */
async function part(stored: Response, range: string): Promise<Response> {
  const blob = await stored.blob();
  const match = /^bytes=(\d+)-(\d*)$/.exec(range);
  const from = Number(match?.[1] ?? 0);
  const to = match?.[2] ? Math.min(Number(match[2]), blob.size - 1) : blob.size - 1;
  if (!match || from > to) return new Response(null, { status: 416, headers: { 'content-range': `bytes */${blob.size}` } });
  const headers = new Headers(stored.headers);
  headers.set('content-range', `bytes ${from}-${to}/${blob.size}`);
  headers.set('content-length', String(to - from + 1));
  return new Response(blob.slice(from, to + 1), { status: 206, headers });
}

/** Everything from the cache first, what is too large for it from the network, in this version alone; whether there is a newer one is asked of the server with `?latest`. */
async function answer(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  if (search === '?latest') {
    const fresh = await fetch(request).catch(() => undefined);
    if (fresh?.ok) return fresh;
  }
  const stored = await (await caches.open(NAME)).match(pathname);
  if (!stored) {
    const fresh = await fetch(request);
    return !fresh.ok || isOurs(fresh) ? fresh : new Response('the server has a newer version of the page by now; load it again', { status: 409 });
  }
  const range = request.headers.get('range');
  return range ? part(stored, range) : stored;
}

worker.addEventListener('install', event => event.waitUntil(install()));
worker.addEventListener('activate', event => event.waitUntil(activate()));
worker.addEventListener('message', event => event.waitUntil(takeOver(event.ports[0])));
worker.addEventListener('fetch', event => {
  if (event.request.method === 'GET' && new URL(event.request.url).origin === location.origin) event.respondWith(answer(event.request));
});
