// `vl-jepa bench peers`: this project beside the WebGPU libraries of others, on the same adapter in the same run.
import { cpus, loadavg } from 'node:os';
import { openDevice } from '../engine/device.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { PeerError } from './peers/library.ts';
import type { Library } from './peers/library.ts';
import { ourLibraries } from './peers/ours.ts';
import { versionsOf } from './peers/packages.ts';
import type { PageOutcome } from './peers/page.ts';
import type { Row } from './peers/turns.ts';
import { measureWork } from './peers/turns.ts';
import { WORKS } from './peers/works.ts';
import type { Work } from './peers/works.ts';

/** Where the comparison runs. auto: the engine's own choice in Node; swiftshader: the software driver out of npm in Node; chromium: headless Chromium on SwiftShader. */
export const PLACES = ['auto', 'swiftshader', 'chromium'] as const;
export type Place = (typeof PLACES)[number];

/** What an option of the command line asks for. */
export interface PeersOptions {
  /** Works whose name or use contains this text. */
  only?: string | undefined;
  rounds: number;
  adapter: Place;
  output?: string | undefined;
  json: boolean;
}

/** The JSON file. */
export interface PeersReport {
  adapter: { notice: string; profile: string; class: string };
  place: string;
  date: string;
  command: string;
  cpus: number;
  /** Mean number of waiting processes of the minute before, and at the end. */
  load: readonly [number, number];
  rounds: number;
  libraries: Record<string, string>;
  rows: Row[];
}

/** Works by a part of their name. @param only the part, or none @returns works @throws PeerError when none has it */
export function worksFor(only: string | undefined): readonly Work[] {
  const works = WORKS.filter(w => !only || `${w.name} ${w.use}`.toLowerCase().includes(only.toLowerCase()));
  if (!works.length) throw new PeerError(`bench peers: no work is called ${only}, expected a part of one of ${WORKS.map(w => w.name).join('; ')}`);
  return works;
}

const COLUMNS = [['work', 44], ['library', 24], ['median ms', -11], ['min', -10], ['max', -10], ['CPU ms', -10], ['GFLOP/s', -9], ['NMSE', -10], ['checked', -9], ['× best peer', -21], ['min-max', -14], ['by CPU time', -13]] as const;
const line = (cells: readonly string[]): string => COLUMNS.map(([, width], i) => (width > 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(-width))).join('').trimEnd();

const shortName = (library: string): string => library.replace('onnxruntime-web', 'ort-web');

/** The table's head. @returns one line */
export const headLine = (): string => line(COLUMNS.map(([name]) => name));

/** A row for people, one line per library. @param row measured @returns lines */
export function tableLines(row: Row): string[] {
  const lines = Object.entries(row.times).map(([name, t]) => {
    const r = row.ratios[name];
    const share = t.checked === t.of ? 'all' : String(t.checked);
    return line([row.work, name, t.medianMs.toFixed(2), t.minMs.toFixed(2), t.maxMs.toFixed(2), t.cpuMs?.toFixed(2) ?? '', t.gflops.toFixed(2), t.nmse.toExponential(1), share, ...(r ? [`${r.median.toFixed(2)} ${shortName(r.best)}`, `${r.min.toFixed(2)}-${r.max.toFixed(2)}`, r.cpu?.toFixed(2) ?? ''] : [])]);
  });
  return [...lines, ...Object.entries(row.cannot).map(([name, why]) => `${row.work.padEnd(44)}${name.padEnd(24)} no time: ${why}`)];
}

async function inNode(works: readonly Work[], { adapter, rounds }: PeersOptions, onRow: (row: Row) => void): Promise<PageOutcome & { libraries: Record<string, string> }> {
  const libraries = versionsOf();
  const choice = adapter === 'swiftshader' ? 'swiftshader' : 'auto';
  const device = await openDevice({ adapter: choice });
  const { compileWasmLazily, installNavigator } = await import('./peers/node_gpu.ts');
  if (device.adapter.class === 'software') compileWasmLazily();
  installNavigator(choice);
  const [{ tfjsLibrary }, { ortLibraries }, { jaxLibrary }] = await Promise.all([import('./peers/tfjs.ts'), import('./peers/ort.ts'), import('./peers/jax.ts')]);
  const all: Library[] = [...ourLibraries(device, libraries['vl-jepa']!), await tfjsLibrary(), ...await ortLibraries(libraries['onnxruntime-web']!), await jaxLibrary(libraries['jax-js']!)];
  const rows: Row[] = [];
  for (const work of works) {
    const row = await measureWork(work, all, rounds);
    rows.push(row);
    onRow(row);
  }
  const { notice, profile, class: kind } = device.adapter;
  return { adapter: { notice, profile, class: kind }, place: `Node ${process.version}`, libraries, rows };
}

/**
 * Compares this project with its peers.
 * @param options works, rounds, adapter, JSON file to write, whether people read along @returns the report @throws PeerError when a peer is missing, WrongResult when a result of ours is wrong
 */
export async function benchPeers(options: PeersOptions): Promise<PeersReport> {
  const { only, rounds, adapter, output, json } = options;
  const works = worksFor(only);
  const say = (text: string): void => { if (!json) console.log(text); };
  const before = loadavg()[0]!;
  say(headLine());
  const onRow = (row: Row): void => tableLines(row).forEach(say);
  const measured = adapter === 'chromium' ? await (await import('./peers/chromium.ts')).inChromium(works, rounds, onRow) : await inNode(works, options, onRow);
  say(`${measured.place}, ${measured.adapter.notice}`);
  const command = `vl-jepa bench peers --adapter ${adapter} --rounds ${rounds}${only ? ` --only "${only}"` : ''}`;
  const report: PeersReport = { ...measured, date: new Date().toISOString(), command, cpus: cpus().length, load: [before, loadavg()[0]!], rounds };
  if (output) await writeFileAtomic(output, `${JSON.stringify(report, null, 1)}\n`);
  return report;
}
