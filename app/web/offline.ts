// The service worker: after the first load every file of the page comes from a cache that is named after their bytes, so that it works without a network.

interface Worker {
  addEventListener(type: 'install' | 'activate', listener: (event: { waitUntil(work: Promise<unknown>): void }) => void): void;
  addEventListener(type: 'fetch', listener: (event: { request: Request; respondWith(answer: Promise<Response>): void }) => void): void;
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
}

const worker = globalThis as unknown as Worker;
const NAME = `vl-jepa-${new URL(location.href).searchParams.get('version') ?? 'none'}`;

async function install(): Promise<void> {
  const { files } = (await (await fetch('/files.json', { cache: 'no-store' })).json()) as { files: string[] };
  const cache = await caches.open(NAME);
  await cache.addAll([...files, '/files.json'].map(address => new Request(address, { cache: 'reload' })));
  await worker.skipWaiting();
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

/** The list of files comes from the network first, because it says whether there is a new version; all else from the cache first. */
async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const cache = await caches.open(NAME);
  if (pathname === '/files.json') {
    const fresh = await fetch(request).catch(() => undefined);
    if (fresh?.ok) return fresh;
  }
  const stored = await cache.match(pathname);
  if (!stored) return fetch(request);
  const range = request.headers.get('range');
  return range ? part(stored, range) : stored;
}

worker.addEventListener('install', event => event.waitUntil(install()));
worker.addEventListener('activate', event => event.waitUntil(activate()));
worker.addEventListener('fetch', event => {
  if (event.request.method === 'GET' && new URL(event.request.url).origin === location.origin) event.respondWith(answer(event.request));
});
