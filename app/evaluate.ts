import { TEST_ARTIST, TRAIN_ARTISTS, loadE4 } from '../data/e4.ts';
import type { Artist } from '../data/e4.ts';
import { openDevice } from '../engine/device.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { bootstrap } from '../tasks/metrics.ts';
import type { Recall } from '../tasks/metrics.ts';
import { checkpointFolder, shortPath } from './checkpoint_path.ts';
import { loadArtistSet } from './e4_set.ts';
import { CliError } from './errors.ts';
import { evaluateArtist } from './train.ts';

export interface EvalResult {
  checkpoint: string;
  adapter: string;
  artist: string;
  candidates: number;
  pictureToText: Recall;
  /** Bootstrap interval of R@1 over pictures, 95 per cent. */
  r1Interval: [number, number];
  textToPicture: Recall;
}

/** `vl-jepa eval`: recall of a checkpoint on one artist. @param options checkpoint, artist @returns the figures @throws CliError for an unknown artist */
export async function evaluate(options: { model?: string | undefined; artist: string; json: boolean }): Promise<EvalResult> {
  const artists: readonly Artist[] = [TEST_ARTIST, ...TRAIN_ARTISTS];
  const artist = artists.find(a => a === options.artist);
  if (!artist) throw new CliError(`eval: --artist is ${options.artist}, expected one of ${artists.join(', ')}`);
  const checkpoint = await checkpointFolder(options.model);
  const device = await openDevice();
  const model = await VLJEPA.fromPretrained(checkpoint, { device });
  const e4 = await loadE4();
  const { pictureToText, textToPicture, ranks } = await evaluateArtist(model, await loadArtistSet(e4, artist), e4.concepts.map(c => c.name));
  const [low, high] = bootstrap(Array.from(ranks, r => (r === 1 ? 100 : 0)));
  const result: EvalResult = { checkpoint: shortPath(checkpoint), adapter: device.adapter.notice, artist, candidates: e4.concepts.length, pictureToText, r1Interval: [low, high], textToPicture };
  if (!options.json) {
    const line = (name: string, r: Recall): void => console.log(`${name}  R@1 ${r.r1.toFixed(1)}  R@5 ${r.r5.toFixed(1)}  R@10 ${r.r10.toFixed(1)}  median rank ${r.medianRank}  (${r.n})`);
    line(`${artist}: picture → name`, pictureToText);
    console.log(`  R@1 interval ${low.toFixed(1)} to ${high.toFixed(1)} (bootstrap over pictures, 95 %)`);
    line(`${artist}: name → picture`, textToPicture);
  }
  return result;
}
