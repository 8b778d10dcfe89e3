/** The report of `vl-jepa inspect` for people. */
import { quote } from '../weights/error.ts';
import type { InspectReport } from './inspect.ts';

/** Tensors, metadata and messages that are listed; `--json` gives all. */
const MOST_LINES = 10_000;

/**
 * The report for people.
 *
 * @param report what was found
 * @returns lines of text; names and values from the file are quoted where they are not plain, so that they cannot forge a line
 */
export function formatInspection(report: InspectReport): string {
  const { tensors, used, skipped, problems, warnings } = report;
  const types = Object.entries(report.dtypes).map(([dtype, bytes]) => `${dtype} ${size(bytes)}`).join(', ');
  const lines = [
    `${report.path}${report.modelType ? `: ${report.modelType}` : ''}`,
    `${count(tensors.length)} tensors, ${count(report.parameters)} parameters, ${types || 'empty'}`,
  ];
  if (used) lines.push(`used by the network: ${count(used.tensors)} tensors, ${count(used.parameters)} parameters; left out on purpose: ${count(skipped.length)} tensors`);
  lines.push(...tensorLines(report));
  lines.push(...first(report.metadata, report.metadata.size, ([key, value]) => `metadata ${shown(key)}: ${shown(value)}`));
  lines.push(...first(warnings, warnings.length, (warning) => `warning: ${warning}`));
  lines.push(...first(problems, problems.length, (problem) => `problem: ${problem}`));
  if (used) lines.push(problems.length === 0 ? 'every tensor of the config is there, with its shape' : `${problems.length} problem(s)`);
  return lines.join('\n');
}

function tensorLines({ tensors, skipped }: InspectReport): string[] {
  const skip = new Set(skipped);
  let width = 0;
  let seen = 0;
  for (const { name } of tensors) {
    if (seen++ === MOST_LINES) break;
    width = Math.max(width, Math.min(120, shown(name).length));
  }
  return first(tensors, tensors.length, ({ name, dtype, shape }) => `  ${shown(name).padEnd(width)}  ${dtype.padEnd(4)}  [${shape.join(', ')}]${skip.has(name) ? '  (left out)' : ''}`);
}

function first<T>(items: Iterable<T>, length: number, line: (item: T) => string): string[] {
  const lines: string[] = [];
  for (const item of items) {
    if (lines.length === MOST_LINES) {
      lines.push(`  … and ${count(length - MOST_LINES)} more`);
      break;
    }
    lines.push(line(item));
  }
  return lines;
}

const count = (n: number): string => n.toLocaleString('en-US');

function shown(text: string): string {
  return /^[\x20-\x7e]{0,1000}$/.test(text) ? text : quote(text);
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}
