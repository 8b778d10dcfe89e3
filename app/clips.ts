// What the commands take: pictures as pictures, films and animations as clips.
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { DataError } from '../data/errors.ts';
import { openFrames, sampleFrames } from '../data/frame_source.ts';
import type { Clip } from '../data/frame_source.ts';
import type { Picture } from '../data/picture.ts';

/** Frames of a clip when nobody says how many: the middle one of the paper. */
export const CLIP_FRAMES = 16;

/**
 * A picture, or evenly sampled frames of a film, an animated GIF or WebP.
 * @param path file @param options how many frames (16), signal
 * @returns the picture [H, W, 3], or the clip
 * @throws DataError when it cannot be decoded
 */
export async function loadVisual(path: string, { frames = CLIP_FRAMES, signal }: { frames?: number; signal?: AbortSignal } = {}): Promise<Picture | Clip> {
  const source = await openFrames(path, { signal });
  try {
    const clip = await sampleFrames(source, (await source.times()).length === 1 ? 1 : frames);
    return clip.frames.length === 1 ? { ...clip.frames[0]!, name: source.name } : clip;
  } finally {
    await source.close();
  }
}

/**
 * Files one after another, each loaded while the one before it is at work; what is missing is told before anything is loaded.
 * @param paths files @param options as `loadVisual` @returns pictures and clips in order @throws DataError for the first file that is not there or cannot be decoded
 */
export async function* loadVisuals(paths: readonly string[], options: { frames?: number; signal?: AbortSignal } = {}): AsyncGenerator<Picture | Clip, void, undefined> {
  for (const path of paths) {
    const local = path.startsWith('file:') ? fileURLToPath(path) : path;
    if (!/^https?:/.test(path) && !(await stat(local).catch(() => undefined))) throw new DataError('openFrames', `there is no file ${path}`);
  }
  const load = (i: number): Promise<Picture | Clip> | undefined => {
    if (i >= paths.length) return undefined;
    const loading = loadVisual(paths[i]!, options);
    loading.catch(() => undefined); // awaited when its turn comes, which may be never
    return loading;
  };
  let next = load(0);
  for (let i = 0; i < paths.length; i++) {
    const visual = await next!;
    next = load(i + 1);
    yield visual;
  }
}

/** @param visual from `loadVisual` @returns whether it is a clip */
export const isClip = (visual: Picture | Clip): visual is Clip => 'timesS' in visual;

/** @param visual from `loadVisual` @returns what `VLJEPA.predict` takes: the picture, or the frames of the clip */
export const visualInput = (visual: Picture | Clip): Picture | readonly Picture[] => (isClip(visual) ? visual.frames : visual);
