// The tasks on the user's files: embed, classify, retrieve.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { decodePicture } from '../data/picture.ts';
import { openDevice } from '../engine/device.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { classify, labelBank } from '../tasks/classify.ts';
import { retrieve } from '../tasks/retrieve.ts';
import { writeSafetensors } from '../weights/writer.ts';
import { checkpointFolder } from './checkpoint_path.ts';
import { CliError } from './errors.ts';

interface Common {
  model?: string | undefined;
  files: readonly string[];
  json: boolean;
}

async function load(command: string, { model, files }: Common, needsFiles = true): Promise<{ vljepa: VLJEPA; pictures: Awaited<ReturnType<typeof decodePicture>>[] }> {
  if (needsFiles && files.length === 0) throw new CliError(`${command}: there is no file, expected at least one picture`);
  const pictures = await Promise.all(files.map(f => decodePicture(f)));
  return { vljepa: await VLJEPA.fromPretrained(await checkpointFolder(model), { device: await openDevice() }), pictures };
}

async function labelsOf(text: string): Promise<string[]> {
  const fromFile = await readFile(text, 'utf8').catch(() => undefined);
  const labels = (fromFile === undefined ? text.split(',') : fromFile.split(/\r?\n/)).map(l => l.trim()).filter(Boolean);
  if (labels.length === 0) throw new CliError('classify: --labels holds no label, expected names with commas between them, or a file with one per line');
  return labels;
}

/** `vl-jepa classify`. @param options files, labels, how many to show @returns per file the best labels */
export async function classifyFiles(options: Common & { labels: string; top: number }): Promise<{ file: string; top: [string, number][] }[]> {
  const labels = await labelsOf(options.labels);
  const { vljepa, pictures } = await load('classify', options);
  const answers = await classify(vljepa, pictures, labelBank(vljepa, labels), { k: options.top });
  const result = answers.map((list, i) => ({ file: options.files[i]!, top: list.map(({ label, score }): [string, number] => [label, score]) }));
  if (!options.json) for (const { file, top } of result) console.log(`${basename(file)}: ${top.map(([l, s]) => `${l} (${s.toFixed(3)})`).join(', ')}`);
  return result;
}

/** `vl-jepa retrieve`. @param options files, query, how many to show @returns files, best first */
export async function retrieveFiles(options: Common & { query: string; top: number }): Promise<{ file: string; score: number }[]> {
  const { vljepa, pictures } = await load('retrieve', options);
  const [hits] = await retrieve(vljepa, [options.query], vljepa.predict(pictures), options.top);
  const result = hits!.map(({ index, score }) => ({ file: options.files[index]!, score }));
  if (!options.json) for (const { file, score } of result) console.log(`${score.toFixed(3)}  ${file}`);
  return result;
}

/** `vl-jepa embed`. @param options files, a text, output file @returns unit vectors by name */
export async function embed(options: Common & { text?: string | undefined; output?: string | undefined }): Promise<Record<string, number[]>> {
  if (options.files.length === 0 && !options.text) throw new CliError('embed: there is nothing to embed, expected files or --text');
  const { vljepa, pictures } = await load('embed', options, false);
  const out: Record<string, number[]> = {};
  if (pictures.length) {
    const rows = await vljepa.predict(pictures).read();
    const dim = vljepa.config.embeddingDim;
    options.files.forEach((file, i) => { out[file] = [...rows.subarray(i * dim, (i + 1) * dim)]; });
  }
  if (options.text) out[`text: ${options.text}`] = [...(await vljepa.encodeText([options.text]).read())];
  if (options.output) {
    await writeSafetensors(options.output, Object.entries(out).map(([name, v]) => ({ name, dtype: 'F32' as const, shape: [v.length], bytes: new Uint8Array(Float32Array.from(v).buffer) })));
  }
  if (!options.json) for (const [name, v] of Object.entries(out)) console.log(`${name}  [${v.slice(0, 4).map(x => x.toFixed(4)).join(', ')}, … ${v.length} values]`);
  return out;
}
