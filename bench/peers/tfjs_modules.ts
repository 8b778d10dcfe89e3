// Loader hooks for Node: TensorFlow.js registers its gradients in a module that its bundles lack, and its modules are written for bundlers: no file endings, no "type": "module".
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

interface Resolved { url: string; format?: string; shortCircuit?: boolean }
interface Loaded { format: string; source?: string | Uint8Array; shortCircuit?: boolean }

const OURS = /\/node_modules\/@tensorflow\/[^/]+\/dist\/.*\.js$/;
/** Its module for Node asks for Node's modules the old way. */
const REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);\n";
const PACKAGE = /^@tensorflow\/[^/]+$/;

/**
 * Completes names of modules of TensorFlow.js.
 * @param name as imported @param context of Node's hook @param next Node's own resolution @returns where the module lies
 */
export async function resolve(name: string, context: { parentURL?: string }, next: (name: string, context: object) => Promise<Resolved>): Promise<Resolved> {
  if (PACKAGE.test(name)) {
    const { url } = await next(`${name}/package.json`, context);
    return { url: new URL('dist/index.js', url).href, format: 'module', shortCircuit: true };
  }
  const inside = name.startsWith('@tensorflow/') || (name.startsWith('.') && OURS.test(context.parentURL ?? ''));
  if (!inside || name.endsWith('.json')) return next(name, context);
  let base: URL;
  if (name.startsWith('.')) base = new URL(name, context.parentURL);
  else {
    const [scope, packageName, ...rest] = name.split('/');
    base = new URL(rest.join('/'), (await next(`${scope}/${packageName}/package.json`, context)).url);
  }
  const found = ['', '.js', '/index.js'].map(end => new URL(`${base.href}${end}`)).find(url => url.pathname.endsWith('.js') && existsSync(url));
  return found ? { url: found.href, format: 'module', shortCircuit: true } : next(name, context);
}

/**
 * Reads modules of TensorFlow.js as ES modules.
 * @param url of the module @param context of Node's hook @param next Node's own loading @returns the source
 */
export async function load(url: string, context: object, next: (url: string, context: object) => Promise<Loaded>): Promise<Loaded> {
  if (!OURS.test(url)) return next(url, context);
  const source = await readFile(fileURLToPath(url), 'utf8');
  const asked = url.endsWith('/platform_node.js') ? REQUIRE : '';
  return { format: 'module', source: `${asked}${source}`, shortCircuit: true };
}
