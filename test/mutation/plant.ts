// Loaded before a test run (node --import): plants the fault of the environment variable MUTATION, so that test files see it like any other text.
import type { Kernel } from '../../engine/dispatch.ts';
import { KERNELS } from '../../kernels/wgsl.gen.ts';
import { planted } from './select.ts';
import type { Site } from './sites.ts';

const text = process.env.MUTATION;
if (text) {
  for (const [name, code] of planted(KERNELS, JSON.parse(text) as Site)) ((KERNELS as readonly Kernel[]).find(k => k.name === name) as { code: string }).code = code;
}
