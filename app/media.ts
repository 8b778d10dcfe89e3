// Pictures and clips on their way to vectors, a few files at a time, whatever their number.
import { dirname, isAbsolute, join } from 'node:path';
import { DataError } from '../data/errors.ts';
import { openFrames, sampleFrames } from '../data/frame_source.ts';
import type { ManifestItem } from '../data/manifest.ts';
import { openDevice } from '../engine/device.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import type { Clip, Picture } from '../model/vl_jepa.ts';
import { checkQuestion } from '../tasks/ask.ts';
import { checkpointFolder } from './checkpoint_path.ts';
import type { Shipped } from './checkpoint_path.ts';
import { CLIP_FRAMES, loadVisual, visualInput } from './clips.ts';

const AT_ONCE = 16;

/** The model of a command, with its name for people. @param folder checkpoint, or none for one that ships @param shipped which of those @returns model and name @throws CliError, WeightError */
export async function openModel(folder: string | undefined, shipped: Shipped = 'nano'): Promise<{ model: VLJEPA; name: string }> {
  const path = await checkpointFolder(folder, shipped);
  return { model: await VLJEPA.fromPretrained(path, { device: await openDevice() }), name: folder ?? 'the shipped checkpoint' };
}

export interface EmbedFilesOptions {
  query?: string | undefined;
  /** Frames of a film or animation. */
  frames?: number | undefined;
  /** Told of a file that cannot be decoded, which is then left out; without it that is an error. */
  skip?: (file: string, error: DataError) => void;
}

/**
 * Vectors of files. @param model the model @param files paths of pictures and films @param options query, frames, what happens to damaged files
 * @returns the files that are in, and [N, dim] @throws DataError for a damaged or missing file
 */
export async function embedFiles(model: VLJEPA, files: readonly string[], { query, frames, skip }: EmbedFilesOptions = {}): Promise<{ files: string[]; vectors: Float32Array }> {
  const used: string[] = [];
  const rows: Float32Array[] = [];
  for (let at = 0; at < files.length; at += AT_ONCE) {
    const some = files.slice(at, at + AT_ONCE);
    const loaded = await Promise.all(some.map(async file => {
      try {
        return visualInput(await loadVisual(file, frames === undefined ? {} : { frames }));
      } catch (error) {
        if (!skip || !(error instanceof DataError)) throw error;
        skip(file, error);
        return undefined;
      }
    }));
    const visuals = loaded.flatMap((visual, i) => (visual ? [{ file: some[i]!, visual }] : []));
    for (let start = 0; start < visuals.length;) { // a batch holds clips of one length
      let end = start + 1;
      while (end < visuals.length && lengthOf(visuals[end]!.visual) === lengthOf(visuals[start]!.visual)) end++;
      const batch = visuals.slice(start, end);
      if (query) checkQuestion('query', model, batch.map(v => v.visual), query);
      const prediction = model.predict(batch.map(v => v.visual), query);
      rows.push(await prediction.read());
      prediction.dispose();
      used.push(...batch.map(v => v.file));
      start = end;
    }
  }
  const vectors = new Float32Array(used.length * model.config.embeddingDim);
  let at = 0;
  for (const part of rows) {
    vectors.set(part, at);
    at += part.length;
  }
  return { files: used, vectors };
}

const lengthOf = (visual: Picture | Clip): number => (Array.isArray(visual) ? visual.length : 1);

/**
 * Loads the picture or clip of a manifest's row. @param manifest path of the manifest, whose folder paths are read from @param frames taken from a film or animation
 * @returns loader @throws DataError for a damaged or missing file
 */
export const mediaLoader = (manifest: string, frames = CLIP_FRAMES) => async ({ media, where }: ManifestItem): Promise<Picture | Clip> => {
  const open = async (ref: (typeof media)[number], count: number): Promise<Picture[]> => {
    const source = typeof ref === 'string' ? await openFrames(isAbsolute(ref) ? ref : join(dirname(manifest), ref)) : await openFrames(new Blob([ref.bytes as BlobPart]), { name: ref.name });
    try {
      return [...(await sampleFrames(source, (await source.times()).length === 1 ? 1 : count)).frames];
    } finally {
      await source.close();
    }
  };
  if (media.length === 0) throw new DataError('manifest', `${where} has no picture, expected a file`);
  if (media.length === 1) {
    const list = await open(media[0]!, frames);
    return list.length === 1 ? list[0]! : list;
  }
  const list: Picture[] = [];
  for (const ref of media) list.push(...(await open(ref, 1)));
  const odd = list.find(p => p.width !== list[0]!.width || p.height !== list[0]!.height);
  if (odd) throw new DataError('manifest', `${where} has frames of ${list[0]!.width}×${list[0]!.height} and ${odd.width}×${odd.height}, expected one size`);
  return list;
};
