// What a fuzz run amounts to: counts and worst figures per op, as JSON and as a table.
import type { Checked, Failure } from './harness.ts';

/** Figures of one op. */
export interface OpTotals {
  cases: number;
  heavy: number;
  /** Worst NMSE of results and of gradients against float64, among those that passed by NMSE. */
  worstForward: number;
  worstGradient: number;
  /** Worst relative distance of the float64 gradient from central differences. */
  worstTwin: number;
  /** Results that were bit-equal because they had to be. */
  exact: number;
  /** Results as far from the truth as one rounding of each input moves it (cancellation), which NMSE alone would refuse. */
  conditioned: number;
}

/** A whole run. */
export interface Summary {
  adapter: string;
  date: string;
  command: string;
  seconds: number;
  cases: number;
  heavyCases: number;
  failures: Failure[];
  /** Times the process with the driver had to be started again. */
  restarts: number;
  pipelines: number;
  dispatches: number;
  ops: Record<string, OpTotals>;
}

const empty = (): OpTotals => ({ cases: 0, heavy: 0, worstForward: 0, worstGradient: 0, worstTwin: 0, exact: 0, conditioned: 0 });

/** Adds verdicts to a summary. @param summary is changed @param checked verdicts @returns nothing */
export function count(summary: Summary, checked: readonly Checked[]): void {
  for (const { spec, judgement } of checked) {
    const totals = (summary.ops[spec.op] ??= empty());
    summary.cases++;
    totals.cases++;
    if (spec.heavy !== undefined) {
      summary.heavyCases++;
      totals.heavy++;
    }
    if (judgement.fault) continue;
    totals.worstForward = Math.max(totals.worstForward, judgement.forward);
    totals.worstGradient = Math.max(totals.worstGradient, judgement.gradient);
    totals.worstTwin = Math.max(totals.worstTwin, judgement.twin);
    totals.exact += judgement.exact;
    totals.conditioned += judgement.conditioned;
  }
}

const small = (v: number): string => (v === 0 ? '0' : v.toExponential(1));

/** The summary as a markdown table. @param summary of a run @returns lines of text */
export function table(summary: Summary): string {
  const rows = Object.entries(summary.ops).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, t]) =>
    `| ${name} | ${t.cases} | ${small(t.worstForward)} | ${small(t.worstGradient)} | ${small(t.worstTwin)} | ${t.exact} | ${t.conditioned} |`);
  return [
    `${summary.adapter}, ${summary.date}: ${summary.cases} cases (${summary.heavyCases} heavy) in ${summary.seconds.toFixed(0)} s, ${summary.pipelines} pipelines, ${summary.failures.length} failures, ${summary.restarts} restarts`,
    '', '| op | cases | worst NMSE | worst gradient NMSE | twin off differences | exact | explained by rounding |', '|---|---|---|---|---|---|---|', ...rows,
  ].join('\n');
}
