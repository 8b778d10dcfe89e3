// The main job, `npm start`: names pictures by an artist the model never saw (or the user's own), retrieves pictures by text, writes out/report.html.
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { TEST_ARTIST, loadE4 } from '../data/e4.ts';
import type { E4 } from '../data/e4.ts';
import { decodePicture } from '../data/picture.ts';
import { SHARP_VERSION, importSharp } from '../data/platform.ts';
import type { Picture } from '../model/pictures.ts';
import { openDevice } from '../engine/device.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { labelBank, labelScores } from '../tasks/classify.ts';
import type { Recall } from '../tasks/metrics.ts';
import { topK } from '../tasks/metrics.ts';
import { retrieve } from '../tasks/retrieve.ts';
import { writeFileAtomic } from '../weights/writer.ts';
import { PACKAGE_ROOT, checkpointFolder, shortPath } from './checkpoint_path.ts';
import { demoReport } from './demo_report.ts';
import { decodedPictures, loadArtistSet } from './e4_set.ts';
import type { ArtistSet } from './e4_set.ts';
import { CliError } from './errors.ts';
import { knownEvaluation } from './evaluate_preset.ts';
import { evaluateArtist } from './train.ts';

export interface DemoOptions {
  model?: string | undefined;
  out: string;
  files: readonly string[];
  json: boolean;
}

export interface Answer {
  file: string;
  /** Official name where it is known. */
  truth: string | null;
  top5: [string, number][];
}

export interface Found {
  query: string;
  hits: { file: string; name: string; score: number }[];
}

export interface DemoResult {
  adapter: string;
  checkpoint: string;
  classify: Answer[];
  /** Nothing where the artist's drawings are not installed. */
  retrieval: { artist: string; candidates: number; r1: number; r5: number; r10: number; baselines: Record<string, unknown>; textToPicture: Recall } | null;
  seconds: number;
}

/** One page of the set: every 66th picture, so nobody chose them. */
const PAGE_STEP = 66;
/** Words that are no concept's official name, and some that are: retrieval over the unseen artist's pictures. */
const QUERIES = ['a red fruit', 'musical instrument', 'fish', 'a picture of house', 'smiling face with sunglasses', 'vehicle on water'];

/** Runs the main job. @param options files, checkpoint, output folder @returns the object of --json */
export async function demo({ model: folder, out, files, json }: DemoOptions): Promise<DemoResult> {
  const began = performance.now();
  const say = (text = ''): void => { if (!json) console.log(text); };
  const e4 = await loadE4();
  const drawn = await missingPackages(e4, files.length > 0);
  const shown = files.length || !drawn ? files : await samplePictures();
  const own = await Promise.all(shown.map(f => decodePicture(f))); // bad files are told before anything slow begins
  const checkpoint = await checkpointFolder(folder);
  const device = await openDevice();
  say(`adapter     ${device.adapter.notice}`);
  const model = await VLJEPA.fromPretrained(checkpoint, { device });
  say(`checkpoint  ${shortPath(checkpoint)}, ${[...model.tensors().values()].reduce((n, t) => n + t.size, 0).toLocaleString('en')} parameters, trained by this engine`);
  if (drawn) say(`drawings    ${drawn}`);
  const names = e4.concepts.map(c => c.name);
  const icons = e4.concepts.map(c => c.icons[TEST_ARTIST] ?? c.key);
  const set = drawn ? undefined : await loadArtistSet(e4, TEST_ARTIST);
  const report = set && (await evaluateArtist(model, set, names));
  const metrics = JSON.parse(await readFile(join(checkpoint, 'metrics.json'), 'utf8').catch(() => '{}')) as { baselines?: Record<string, unknown> };
  const { classify, pictures } = set && !own.length ? pageOfSet(set, names, icons, report!.scores) : await nameFiles(model, own, shown, names);
  if (!files.length && !set) for (const answer of classify) answer.truth = basename(answer.file, '.svg').replaceAll('_', ' ');
  const found = set ? await findPictures(model, set, icons, names) : [];
  const result: DemoResult = {
    adapter: device.adapter.notice, checkpoint: shortPath(checkpoint), classify,
    retrieval: report ? retrievalOf(report, names.length, metrics.baselines ?? {}) : null,
    seconds: (performance.now() - began) / 1000,
  };
  show(say, result, set?.concepts.length ?? 0, names.length, found.map(f => f.found));
  await mkdir(out, { recursive: true });
  const html = await demoReport(result, pictures, found, names.length, await knownEvaluation('nano', out));
  await writeFileAtomic(join(out, 'report.html'), html);
  say(`\nreport      ${join(out, 'report.html')}`);
  return result;
}

/** The unseen artist's figures. */
function retrievalOf({ pictureToText: { r1, r5, r10 }, textToPicture }: Awaited<ReturnType<typeof evaluateArtist>>, candidates: number, baselines: Record<string, unknown>): DemoResult['retrieval'] {
  return { artist: TEST_ARTIST, candidates, r1, r5, r10, baselines, textToPicture };
}

/**
 * An installed package brings neither the drawings nor what decodes pictures.
 * @returns what is left out without the drawings, and how to get it; nothing where they are there @throws CliError without sharp
 */
async function missingPackages({ versions }: E4, files: boolean): Promise<string | undefined> {
  const name = `@iconify-json/${TEST_ARTIST}`;
  const find = createRequire(import.meta.url).resolve;
  const there = (file: string): boolean => { try { return find(file) !== ''; } catch { return false; } };
  const [drawings, sharp] = [there(`${name}/package.json`), await importSharp('demo').then(() => true, () => false)];
  const install = `npm install ${[...(sharp ? [] : [`sharp@${SHARP_VERSION}`]), ...(drawings ? [] : [`${name}@${versions[name]}`])].join(' ')}`;
  if (!sharp) throw new CliError(`demo: pictures cannot be decoded, expected the npm package sharp${drawings ? '' : `, and ${name} for the unseen artist's drawings`} (run: ${install}; \`vl-jepa demo FILE\` needs sharp alone, \`vl-jepa web\` in their place mediabunny)`);
  return drawings ? undefined : `${name} is not installed, so ${files ? 'your pictures are named' : 'the sample pictures of the page are named'}, and nothing is retrieved or measured (run: ${install})`;
}

/** The drawings that ship with the page, by the same artist. */
async function samplePictures(): Promise<string[]> {
  const folder = join(PACKAGE_ROOT, 'app', 'web', 'samples');
  return (await readdir(folder)).filter(name => name.endsWith('.svg')).sort().map(name => join(folder, name));
}

async function nameFiles(model: VLJEPA, pictures: Picture[], files: readonly string[], names: readonly string[]): Promise<{ classify: Answer[]; pictures: Picture[] }> {
  const bank = labelBank(model, names);
  const scores = await labelScores(model, pictures, bank);
  const classify = files.map((file, p) => ({ file: basename(file), truth: null, top5: best(scores.subarray(p * names.length, (p + 1) * names.length), names) }));
  return { classify, pictures };
}

const best = (scores: Float32Array, names: readonly string[]): [string, number][] => topK(scores, 5).map(({ index, score }) => [names[index]!, Number(score.toFixed(4))]);

function pageOfSet(set: ArtistSet, names: readonly string[], icons: readonly string[], scores: Float32Array): { classify: Answer[]; pictures: Picture[] } {
  const pictures = decodedPictures(set);
  const page = set.concepts.map((_, i) => i).filter(i => i % PAGE_STEP === 0);
  const classify = page.map(i => ({ file: `${icons[set.concepts[i]!]}.svg`, truth: names[set.concepts[i]!]!, top5: best(scores.subarray(i * names.length, (i + 1) * names.length), names) }));
  return { classify, pictures: page.map(i => pictures[i]!) };
}

async function findPictures(model: VLJEPA, set: ArtistSet, icons: readonly string[], names: readonly string[]): Promise<{ found: Found; pictures: Picture[] }[]> {
  const pictures = decodedPictures(set);
  const gallery = model.predict(pictures, undefined, { batchSize: 256 });
  const hits = await retrieve(model, QUERIES, gallery, 6);
  gallery.dispose();
  return hits.map((list, q) => ({
    found: { query: QUERIES[q]!, hits: list.map(h => ({ file: `${icons[set.concepts[h.index]!]}.svg`, name: names[set.concepts[h.index]!]!, score: Number(h.score.toFixed(4)) })) },
    pictures: list.map(h => pictures[h.index]!),
  }));
}

function show(say: (text?: string) => void, result: DemoResult, n: number, candidates: number, found: readonly Found[]): void {
  say(`\npictures → names, ${candidates} candidates`);
  for (const { file, truth, top5 } of result.classify) {
    const [label, score] = top5[0]!;
    const mark = truth === null ? ' ' : label === truth ? '✓' : top5.some(([l]) => l === truth) ? '~' : '✗';
    say(`  ${mark} ${file.slice(0, 34).padEnd(34)} ${label} (${score.toFixed(2)})${mark === '✓' || truth === null ? '' : `, is: ${truth}`}`);
    if (truth === null) say(`      then ${top5.slice(1).map(([l, s]) => `${l} (${s.toFixed(2)})`).join(', ')}`);
  }
  if (result.classify.some(a => a.truth !== null)) say('  ✓ right, ~ right name among the first five, ✗ wrong');
  if (!result.retrieval) return;
  const { artist, r1, r5, r10, baselines } = result.retrieval;
  say('\ntexts → pictures');
  for (const { query, hits } of found) say(`  "${query}": ${hits.map(h => h.name).join(', ')}`);
  say(`\n${artist}, ${n} pictures by an artist the model never saw   R@1   R@5  R@10`);
  const row = (name: string, a: number, b: number, c: number): void => say(`  ${name.padEnd(56)}${[a, b, c].map(x => x.toFixed(1).padStart(6)).join('')}`);
  row('this model', r1, r5, r10);
  for (const [name, b] of Object.entries(baselines)) {
    const { r1: x, r5: y, r10: z } = b as Recall;
    row(name, x, y, z);
  }
}
