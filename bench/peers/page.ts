// The comparison inside a page: the same libraries and works as in Node.
import { openDevice } from '../../engine/device.ts';
import { jaxLibrary } from './jax.ts';
import type { Library } from './library.ts';
import { ourLibraries } from './ours.ts';
import { ortLibraries } from './ort.ts';
import { tfjsLibrary } from './tfjs.ts';
import { measureWork } from './turns.ts';
import type { Row } from './turns.ts';
import { WORKS } from './works.ts';

/** What the page is told. */
export interface PageTask { works: readonly string[]; rounds: number; versions: Readonly<Record<string, string>>; ortFolder: string }
/** What the page found. */
export interface PageOutcome { adapter: { notice: string; profile: string; class: string }; place: string; rows: Row[] }

/**
 * Measures in a page.
 * @param task names of works, rounds, versions of the packages, where onnxruntime's .wasm files are @param onRow gets every row as soon as it is measured @returns adapter, browser and rows
 */
export async function measureInPage({ works, rounds, versions, ortFolder }: PageTask, onRow: (row: Row) => void): Promise<PageOutcome> {
  const device = await openDevice();
  const libraries: Library[] = [
    ...ourLibraries(device, versions['vl-jepa']!), await tfjsLibrary(), ...await ortLibraries(versions['onnxruntime-web']!, ortFolder), await jaxLibrary(versions['jax-js']!),
  ];
  const rows: Row[] = [];
  for (const work of WORKS) {
    if (!works.includes(work.name)) continue;
    const row = await measureWork(work, libraries, rounds);
    rows.push(row);
    onRow(row);
  }
  const { notice, profile, class: kind } = device.adapter;
  const browser = /(?:Headless)?Chrome\/[\d.]+|Firefox\/[\d.]+|Version\/[\d.]+ Safari/.exec(navigator.userAgent)?.[0] ?? navigator.userAgent;
  return { adapter: { notice, profile, class: kind }, place: browser.replace('/', ' '), rows };
}
