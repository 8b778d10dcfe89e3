import { Presets, SingleBar } from 'cli-progress';
import type { StepReport } from '../train/loop.ts';

export interface TrainBar {
  update(step: number, report: StepReport, batch: number, r1: number | undefined): void;
  stop(): void;
}

/** Progress of training on stderr: loss, samples per second, time left, R@1 on the left-out artist. In logs (no terminal) one line every 30 s. */
export function progressBar(steps: number, start: number, quiet = false): TrainBar {
  if (quiet) return { update: () => {}, stop: () => {} };
  let smoothMs = 0;
  const bar = new SingleBar({
    format: '{bar} {percentage}% | step {value}/{total} | loss {loss} | {rate} samples/s | {left} left{recall}',
    stream: process.stderr, noTTYOutput: true, notTTYSchedule: 30_000, hideCursor: true,
  }, Presets.shades_classic);
  bar.start(steps, start, { loss: '-', rate: '-', left: '-', recall: '' });
  return {
    update(step, report, batch, r1) {
      smoothMs = smoothMs ? 0.95 * smoothMs + 0.05 * report.timeMs : report.timeMs;
      bar.update(step, {
        loss: report.loss.toFixed(3), rate: ((1000 * batch) / smoothMs).toFixed(0), left: clock(((steps - step) * smoothMs) / 1000),
        recall: r1 === undefined ? '' : ` | R@1 ${r1.toFixed(1)}`,
      });
    },
    stop: () => bar.stop(),
  };
}

const clock = (seconds: number): string => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`);
