// `vl-jepa web`: serves the page to this machine, with rules that leave a page nothing but its own files.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { checkpointFolder } from '../checkpoint_path.ts';
import { CliError } from '../errors.ts';
import { collectSite } from './site.ts';
import type { Site } from './site.ts';

/** What the page may do: run its own scripts, reach its own server, show what the user gave it. */
export const POLICY = [
  "default-src 'none'", "script-src 'self'", "worker-src 'self'", "connect-src 'self'", "img-src 'self' blob:", "media-src 'self' blob:", "style-src 'self'", "manifest-src 'self'",
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", 'trusted-types vl-jepa',
].join('; ');

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp', 'cross-origin-resource-policy': 'same-origin', 'permissions-policy': 'camera=(self), microphone=(), geolocation=()', 'cache-control': 'no-cache',
};

export interface WebOptions {
  model?: string | undefined;
  /** 0: any free one. */
  port: number;
  host: string;
}

export interface WebServer {
  url: string;
  server: Server;
  close(): Promise<void>;
}

/** A server on a loopback address answers only to loopback names, so that no other site can reach it by a name of its own. */
const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/.test(host);

/** Whether the browser has this very version already: If-None-Match is `*` or a list of tags, compared weakly (RFC 9110, section 13.1.2). */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  const bare = etag.replace(/^W\//, '');
  return [...header.matchAll(/(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g)].some(([, tag]) => tag === bare);
}

async function send(site: Site, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const refuse = (status: number, text: string): void => { response.writeHead(status, { ...HEADERS, 'content-type': 'text/plain; charset=utf-8' }).end(text); };
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'only GET and HEAD');
  const file = site.files.get((request.url ?? '/').split('?')[0]!);
  if (!file) return refuse(404, 'not here');
  const handle = file.path === undefined ? undefined : await open(file.path);
  try {
    const about = await handle?.stat();
    const size = file.bytes?.length ?? about!.size;
    const etag = about ? `"${site.version}-${size.toString(16)}-${Math.round(about.mtimeMs).toString(16)}"` : `"${site.version}"`; // a checkpoint may be written over while it is served
    if (isKnown(request.headers['if-none-match'], etag)) {
      response.writeHead(304, { ...HEADERS, etag }).end();
      return;
    }
    const range = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(request.headers.range ?? '');
    const from = range ? Number(range[1]) : 0;
    const to = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
    if (range && (from > to || from >= size)) {
      response.writeHead(416, { ...HEADERS, 'content-range': `bytes */${size}` }).end();
      return;
    }
    response.writeHead(range ? 206 : 200, { ...HEADERS, etag, 'content-type': file.type, 'content-length': to - from + 1, 'accept-ranges': 'bytes', ...(range ? { 'content-range': `bytes ${from}-${to}/${size}` } : {}) });
    if (request.method === 'HEAD' || size === 0) {
      response.end();
    } else if (handle) {
      await pipeline(handle.createReadStream({ start: from, end: to, autoClose: false }), response); // ends also where the browser let go before the first byte
    } else {
      response.end(file.bytes!.subarray(from, to + 1));
    }
  } finally {
    await handle?.close();
  }
}

/**
 * Starts the server of the page.
 * @param options checkpoint folder, port, host
 * @returns its address, and how to stop it @throws CliError when the page is not built, the folder is no checkpoint, or the port is taken
 */
export async function serveWeb({ model, port, host }: WebOptions): Promise<WebServer> {
  const site = await collectSite(await checkpointFolder(model, 'nano2'));
  const server = createServer((request, response) => {
    const name = (request.headers.host ?? '').replace(/:\d+$/, '');
    if (isLoopback(host) && !isLoopback(name)) {
      response.writeHead(421, { 'content-type': 'text/plain' }).end('this server answers to localhost only');
      return;
    }
    send(site, request, response).catch(() => (response.headersSent ? response.destroy() : response.writeHead(500).end()));
  });
  server.headersTimeout = 10_000;
  await new Promise<void>((done, fail) => {
    server.once('error', (error: NodeJS.ErrnoException) => fail(new CliError(`web: port ${port} of ${host} cannot be opened (${error.code ?? error.message}); try --port 0`)));
    server.listen(port, host, done);
  });
  const bound = (server.address() as { port: number }).port;
  const shown = host === '127.0.0.1' || host === '0.0.0.0' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${shown}:${bound}/`, server,
    close: () => new Promise(done => {
      server.close(() => done());
      server.closeAllConnections();
    }),
  };
}

/** `vl-jepa web`: serves until the process is told to end. @param options as `serveWeb`, json @returns nothing; with json the address is printed at once */
export async function web(options: WebOptions & { json: boolean }): Promise<undefined> {
  const { url, close } = await serveWeb(options);
  console.log(options.json ? JSON.stringify({ url }) : `The page is at ${url}\nIt needs a browser with WebGPU. Nothing leaves this machine. Ctrl-C ends it.`);
  await new Promise<void>(done => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => done());
  });
  await close();
}
