// The comparison in headless Chromium out of npm package @sparticuz/chromium (Linux x64, SwiftShader), served from this machine.
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchChromium } from '../launch_chromium.ts';
import { versionsOf } from './packages.ts';
import type { PageOutcome, PageTask } from './page.ts';
import type { Row } from './turns.ts';
import type { Work } from './works.ts';

const COMPILED = dirname(dirname(dirname(fileURLToPath(import.meta.url)))); // dist
const ROOT = dirname(COMPILED);
const TYPES: Record<string, string> = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
/** onnxruntime's memory is shared, which needs an isolated page; clocks are finer there, too. */
const HEADERS = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp', 'cache-control': 'no-store' };
const MODULES = '/node_modules';
const LIMIT_MS = 4 * 3600_000;

/** Bare names in the page. Modules of TensorFlow.js leave out file endings, as the server below does. */
const IMPORTS = {
  '@tensorflow/tfjs-core': `${MODULES}/@tensorflow/tfjs-core/dist/index`, '@tensorflow/tfjs-core/': `${MODULES}/@tensorflow/tfjs-core/`,
  '@tensorflow/tfjs-backend-webgpu': `${MODULES}/@tensorflow/tfjs-backend-webgpu/dist/index`, '@tensorflow/tfjs-backend-cpu/': `${MODULES}/@tensorflow/tfjs-backend-cpu/`,
  seedrandom: '/commonjs/seedrandom/lib/alea.js', long: '/commonjs/long/src/long.js',
  'onnxruntime-web/webgpu': `${MODULES}/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs`, '@jax-js/jax': `${MODULES}/@jax-js/jax/dist/index.js`,
};

const page = (task: PageTask): string => `<!doctype html><meta charset="utf-8"><title>peers</title><script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script><script type="module">
const { measureInPage } = await import('/${COMPILED.slice(ROOT.length + 1)}/bench/peers/page.js');
window.outcome = measureInPage(${JSON.stringify(task)}, row => window.onRow(JSON.stringify(row))).catch(error => ({ error: String(error.stack ?? error) }));
</script>`;

/** The file behind an address: as it is, with its ending added, or the index of a folder, where the page is sent on so that its relative imports are right. */
function fileOf(path: string): { file: string } | { location: string } | undefined {
  const full = normalize(join(ROOT, path));
  if (!full.startsWith(`${ROOT}/`)) return undefined;
  if (existsSync(full) && statSync(full).isFile()) return { file: full };
  if (existsSync(`${full}.js`)) return { file: `${full}.js` };
  return existsSync(join(full, 'index.js')) ? { location: `${path}/index.js` } : undefined;
}

/** A CommonJS module without imports as an ES module; `alea` is the one name that TensorFlow.js imports from such a module. */
const commonJs = (source: string): string => `const module = { exports: {} };\n(function (module, exports) {\n${source}\n}).call(globalThis, module, module.exports);\nexport default module.exports;\nexport const alea = module.exports;\n`;

async function send(path: string, response: ServerResponse, index: string): Promise<void> {
  if (path === '/') {
    response.writeHead(200, { 'content-type': 'text/html', ...HEADERS }).end(index);
    return;
  }
  const wrapped = path.startsWith('/commonjs/');
  const found = fileOf(wrapped ? path.replace('/commonjs', MODULES) : path);
  if (!found) response.writeHead(404, HEADERS).end();
  else if ('location' in found) response.writeHead(302, { location: found.location, ...HEADERS }).end();
  else {
    const body = await readFile(found.file);
    response.writeHead(200, { 'content-type': TYPES[extname(found.file)] ?? 'application/octet-stream', ...HEADERS }).end(wrapped ? commonJs(body.toString('utf8')) : body);
  }
}

function serve(index: string): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    send(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname), response, index).catch(error => response.writeHead(500).end(String(error)));
  });
  return new Promise(done => server.listen(0, '127.0.0.1', () => done({ server, port: (server.address() as { port: number }).port })));
}

/**
 * Runs the comparison in headless Chromium.
 * @param works which @param rounds turns @param onRow gets every row as soon as it is measured
 * @returns adapter, browser, versions and rows @throws PeerError when a peer is missing, Error when Chromium does not start or a result of ours is wrong
 */
export async function inChromium(works: readonly Work[], rounds: number, onRow: (row: Row) => void): Promise<PageOutcome & { libraries: Record<string, string> }> {
  const libraries = versionsOf();
  const { server, port } = await serve(page({ works: works.map(w => w.name), rounds, versions: libraries, ortFolder: `${MODULES}/onnxruntime-web/dist/` }));
  const browser = await launchChromium();
  try {
    const tab = await browser.newPage();
    const trouble: string[] = [];
    tab.on('pageerror', error => trouble.push(String(error)));
    tab.on('response', response => { if (response.status() >= 400) trouble.push(`${response.url()} ${response.status()}`); });
    tab.setDefaultTimeout(LIMIT_MS);
    await tab.exposeFunction('onRow', (row: string) => onRow(JSON.parse(row) as Row));
    await tab.goto(`http://127.0.0.1:${port}/`);
    await tab.waitForFunction(() => 'outcome' in window, undefined, { timeout: 120_000 }).catch(() => { throw new Error(`bench peers: the page did not start: ${trouble.join('; ') || 'no reason given'}`); });
    const outcome = await tab.evaluate(() => (window as unknown as { outcome: Promise<PageOutcome | { error: string }> }).outcome);
    if ('error' in outcome) throw new Error(`bench peers: in Chromium: ${outcome.error}${trouble.length ? ` (${trouble.join('; ')})` : ''}`);
    return { ...outcome, libraries };
  } finally {
    await browser.close();
    server.close();
  }
}
