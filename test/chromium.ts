// The same test files in headless Chromium, served from this machine.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { access, open } from 'node:fs/promises';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchChromium } from '../bench/launch_chromium.ts';
import type { Outcome } from './runner.ts';

const COMPILED = dirname(dirname(fileURLToPath(import.meta.url))); // dist
const ROOT = dirname(COMPILED);
const TYPES: Record<string, string> = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.json': 'application/json', '.html': 'text/html', '.wgsl': 'text/plain' };
const LIMIT_MS = 15 * 60_000;

/** Bare names that the modules import in a page. */
const IMPORTS: Record<string, string> = {
  uvu: 'uvu/dist/index.mjs', 'uvu/assert': 'uvu/assert/index.mjs', 'uvu/diff': 'uvu/diff/index.mjs', kleur: 'kleur/index.mjs', dequal: 'dequal/dist/index.mjs',
  diff: 'diff/lib/index.mjs', '@huggingface/tokenizers': '@huggingface/tokenizers/dist/tokenizers.min.mjs',
  mediabunny: 'mediabunny/dist/bundles/mediabunny.min.mjs',
};

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false);

const page = (files: readonly string[], compiled: string): string => `<!doctype html><meta charset="utf-8"><title>tests</title><script type="importmap">${JSON.stringify({
  imports: Object.fromEntries(Object.entries(IMPORTS).map(([k, v]) => [k, `/node_modules/${v}`])),
})}</script><script type="module">
const { runFiles } = await import('/${compiled}/test/runner.js');
const files = ${JSON.stringify(files)}.map(name => ({ name, load: () => import('/${compiled}/test/' + name) }));
window.outcome = runFiles(files, line => console.log(line));
</script>`;

/** Sends a file of the repository, whole or a range of it. */
async function send(request: IncomingMessage, response: ServerResponse, index: string): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  if (path === '/') {
    response.writeHead(200, { 'content-type': 'text/html' }).end(index);
    return;
  }
  const full = normalize(join(ROOT, path));
  if (!full.startsWith(`${ROOT}/`) || !(await exists(full))) {
    response.writeHead(404).end();
    return;
  }
  const file = await open(full);
  try {
    const { size } = await file.stat();
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [from, to] = range ? [Number(range[1]), Math.min(Number(range[2]), size - 1)] : [0, size - 1];
    const bytes = Buffer.alloc(Math.max(0, to - from + 1));
    await file.read(bytes, 0, bytes.length, from);
    const headers = { 'content-type': TYPES[extname(full)] ?? 'application/octet-stream', 'content-length': bytes.length, 'accept-ranges': 'bytes', 'cache-control': 'no-store' };
    response.writeHead(range ? 206 : 200, range ? { ...headers, 'content-range': `bytes ${from}-${to}/${size}` } : headers).end(request.method === 'HEAD' ? undefined : bytes);
  } finally {
    await file.close();
  }
}

function serve(index: string): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    send(request, response, index).catch(error => response.writeHead(500).end(String(error)));
  });
  return new Promise(done => server.listen(0, '127.0.0.1', () => done({ server, port: (server.address() as { port: number }).port })));
}

/**
 * Runs test files in headless Chromium on SwiftShader.
 * @param files paths below the compiled test folder @param say gets the page's lines @returns what the page counted @throws Error when Chromium or WebGPU does not start
 */
export async function runInChromium(files: readonly string[], say: (line: string) => void): Promise<Outcome> {
  const { server, port } = await serve(page(files, COMPILED.slice(ROOT.length + 1)));
  const browser = await launchChromium();
  try {
    const tab = await browser.newPage();
    const trouble: string[] = [];
    tab.on('console', message => say(`[page] ${message.text().replace(/\u001b\[[0-9;]*m/g, '').trimEnd()}`));
    tab.on('pageerror', error => trouble.push(String(error)));
    tab.on('requestfailed', request => trouble.push(`${request.url()} ${request.failure()?.errorText}`));
    tab.setDefaultTimeout(LIMIT_MS);
    await tab.goto(`http://127.0.0.1:${port}/`);
    await tab.waitForFunction(() => 'outcome' in window, undefined, { timeout: 60_000 }).catch(() => { throw new Error(`the test page did not start: ${trouble.join('; ') || 'no reason given'}`); });
    return (await tab.evaluate(() => (window as unknown as { outcome: Promise<Outcome> }).outcome)) as Outcome;
  } finally {
    await browser.close();
    server.close();
  }
}
