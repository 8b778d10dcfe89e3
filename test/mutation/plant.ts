// Loaded before a test run (node --import): plants the fault of the environment variable MUTATION, so that test files see it like any other text.
import { register } from 'node:module';
import type { Kernel } from '../../engine/dispatch.ts';
import type { Site } from './sites.ts';

const text = process.env.MUTATION;
if (text) {
  const site = JSON.parse(text) as Site;
  if (site.file === 'special') {
    // The tests of the special functions build shaders of their own from the exported text, which nobody can change once the module is there.
    (globalThis as { plantedSpecial?: string }).plantedSpecial = process.env.MUTATED_SPECIAL!;
    const hook = `export async function load(url, context, next) {
      const loaded = await next(url, context);
      if (!url.endsWith('/kernels/wgsl.gen.js')) return loaded;
      return { ...loaded, source: new TextDecoder().decode(loaded.source).replace('export const SPECIAL = ', 'export const SPECIAL = globalThis.plantedSpecial ?? ') };
    }`;
    register(`data:text/javascript,${encodeURIComponent(hook)}`);
    await import('../../kernels/wgsl.gen.ts');
  } else {
    const { KERNELS } = await import('../../kernels/wgsl.gen.ts');
    const { planted } = await import('./select.ts');
    for (const [name, code] of planted(KERNELS, site)) ((KERNELS as readonly Kernel[]).find(k => k.name === name) as { code: string }).code = code;
  }
}
