// What a comparison of objectives came to, and how it is told.
import type { Recipe } from '../train/recipe.ts';
import type { ObjectiveFigures } from './compare_figures.ts';

/** What is learned: the embedding of the answer, its tokens, or the embedding of another thing's answer (the control). */
export const OBJECTIVES = ['embeddings', 'tokens', 'shuffled'] as const;
export type Objective = (typeof OBJECTIVES)[number];

/** One training run. */
export interface ObjectiveRun {
  objective: Objective;
  seed: number;
  steps: number;
  /** Numbers that learn. */
  parameters: number;
  lastLoss: number;
  seconds: number;
  /** Figures after so many steps; the last one has them all. */
  curve: (ObjectiveFigures & { step: number })[];
}

export interface Comparison {
  adapter: string;
  date: string;
  command: string;
  artist: string;
  clips: number;
  candidates: number;
  recipe: Recipe;
  runs: ObjectiveRun[];
}

/** What a checkpoint's metrics.json keeps of a comparison. */
export type ObjectiveRuns = Omit<Comparison, 'recipe'>;

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Means over seeds with their ranges, by objective and step. @param comparison runs @returns one entry per objective and mark */
export function objectiveMeans({ runs }: Pick<Comparison, 'runs'>): { objective: Objective; step: number; seeds: number; figures: Record<string, { mean: number; low: number; high: number }> }[] {
  return OBJECTIVES.flatMap(objective => {
    const own = runs.filter(r => r.objective === objective);
    return (own[0]?.curve ?? []).map(({ step }) => {
      const at = own.flatMap(r => r.curve.filter(c => c.step === step));
      const keys = Object.keys(at[0]!).filter(k => k !== 'step' && at.every(c => k in c)) as (keyof ObjectiveFigures)[];
      return { objective, step, seeds: at.length, figures: Object.fromEntries(keys.map(k => { const v = at.map(c => c[k]!); return [k, { mean: mean(v), low: Math.min(...v), high: Math.max(...v) }]; })) };
    });
  });
}

/** For people. @param comparison runs @returns lines */
export function comparisonLines(comparison: Comparison): string[] {
  const { adapter, clips, candidates, recipe, runs } = comparison;
  const rows = objectiveMeans(comparison).map(({ objective, step, seeds, figures }) =>
    `  ${objective.padEnd(10)} ${String(step).padStart(5)} steps, ${seeds} seed${seeds === 1 ? '' : 's'}: ${Object.entries(figures).map(([k, f]) => `${FIGURE_NAMES[k as keyof ObjectiveFigures]} ${f.mean.toFixed(k === 'ciderD' ? 2 : 1)} (${f.low.toFixed(k === 'ciderD' ? 2 : 1)} to ${f.high.toFixed(k === 'ciderD' ? 2 : 1)})`).join(', ')}`);
  const sizes = OBJECTIVES.flatMap(o => { const r = runs.find(x => x.objective === o); return r ? [`${o} ${r.parameters.toLocaleString('en')}`] : []; });
  return [`${adapter}`, `${clips} clips of the unseen artist; same vision encoder to begin with, same batches (${recipe.batch} pictures, ${recipe.clips!.clips} clips) and steps; numbers that learn: ${sizes.join(', ')}`, ...rows, `Per cent; chance: motion 12.5, object of ${candidates} ${(100 / candidates).toFixed(1)} (top 5: ${(500 / candidates).toFixed(1)}). Mean over seeds, lowest and highest in brackets.`];
}

/** What the figures are called. */
export const FIGURE_NAMES: Readonly<Record<keyof ObjectiveFigures, string>> = {
  motion: 'motion', object: 'object of all, said or nearest', motionRanked: 'motion by rank', top1: 'object top-1 of the candidates', top5: 'top-5', ciderD: 'captions CIDEr-D',
};
