// The command `compare`.
import { number, text } from './command_options.ts';
import type { Command } from './command_options.ts';
import { CliError } from './errors.ts';

const list = (value: string): string[] => value.split(',').map(w => w.trim());

/** `vl-jepa compare`. */
export const COMPARE_COMMAND: Command = {
  summary: 'the paper\'s controlled comparison, small: embeddings predicted against tokens generated against shuffled texts, same encoder, data and steps, several seeds',
  usage: '--steps N --seeds N,N,…', most: 0,
  options: {
    preset: { type: 'string', value: 'NAME', help: 'recipe: nano, or tiny to try the machinery', default: 'nano' },
    from: { type: 'string', value: 'DIR', help: 'checkpoint whose vision encoder every run begins with (nano: the one that ships)' },
    steps: { type: 'string', value: 'N', help: 'training steps of a run', default: '300' },
    seeds: { type: 'string', value: 'N,…', help: 'seeds; each objective is trained with each', default: '1,2,3' },
    objectives: { type: 'string', value: 'NAME,…', help: 'embeddings, tokens, shuffled', default: 'embeddings,tokens,shuffled' },
    marks: { type: 'string', value: 'N', help: 'how often figures are taken before the end', default: '2' },
    clips: { type: 'string', value: 'N', help: 'clips of the unseen artist to measure with', default: '400' },
    lr: { type: 'string', value: 'X', help: 'peak learning rate instead of the recipe\'s' },
    out: { type: 'string', value: 'DIR', help: 'folder for compare.json; the same command goes on with the runs that are missing', default: 'runs/compare' },
  },
  example: 'vl-jepa compare --steps 300 --seeds 1,2,3 --out runs/compare',
  run: async v => {
    const n = (name: string, options?: { whole?: boolean; least?: number }): number | undefined => number('compare', v, name, options);
    const seeds = list(text(v, 'seeds')!).map(word => {
      const seed = Number(word);
      if (word === '' || !Number.isInteger(seed) || seed < 0) throw new CliError(`compare: --seeds has "${word}", expected whole numbers of at least 0 with commas between`);
      return seed;
    });
    return (await import('./compare_objectives.ts')).compareObjectives({
      preset: text(v, 'preset')!, from: text(v, 'from'), steps: n('steps', { least: 1 })!, seeds: [...new Set(seeds)], objectives: [...new Set(list(text(v, 'objectives')!))], marks: n('marks')!,
      clips: n('clips', { least: 8 })!, lr: n('lr', { whole: false }), out: text(v, 'out')!, json: v.json === true,
    });
  },
};
