// The command line as a user meets it: a child process, its exit code and its two streams. Node only; every node module is imported when it is used.
import type { ChildProcess } from 'node:child_process';
import { loadTokenizerJson } from '../../data/tokenizer.ts';
import { VLJEPA } from '../../model/vl_jepa.ts';
import { TINY } from '../../train/presets.ts';
import { assert, device } from '../harness.ts';

export const WHY = 'processes and files are Node only';

export interface Ended {
  code: number | null;
  stdout: string;
  /** stderr without what Dawn says about its limits. */
  stderr: string;
}

/** A running command. */
export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
}

const CLI = new URL('../../app/cli.js', import.meta.url);

/** Starts `vl-jepa` with arguments. */
export async function start(args: readonly string[], { cwd, env }: { cwd?: string; env?: Record<string, string> } = {}): Promise<Running> {
  const { spawn } = await import('node:child_process');
  const { fileURLToPath } = await import('node:url');
  const { DEBUG: _debug, ...plain } = process.env;
  const child = spawn(process.execPath, [fileURLToPath(CLI), ...args], { cwd, env: { ...plain, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '', stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => { stdout += text; });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
  const ended = new Promise<Ended>((done, fail) => {
    child.on('error', fail);
    child.on('close', code => done({ code, stdout, stderr: stderr.split('\n').filter(line => !/^Warning: max\w+ artificially reduced/.test(line)).join('\n') }));
  });
  return { child, ended };
}

/** Runs `vl-jepa` to its end. */
export const vlJepa = async (args: readonly string[], options = {}): Promise<Ended> => (await start(args, options)).ended;

/** Checks that a command failed as promised: exit code 1, nothing on stdout, and one line on stderr that begins with `error: `. @returns that line */
export function refusal({ code, stdout, stderr }: Ended): string {
  assert.is(code, 1, stderr);
  assert.is(stdout, '');
  const lines = stderr.split('\n').filter(line => line !== '' && !line.startsWith('adapter: '));
  assert.is(lines.length, 1, stderr);
  assert.match(lines[0]!, /^error: \S/);
  return lines[0]!.slice('error: '.length);
}

/** Checks that a command with `--json` succeeded and printed one JSON object and nothing else. @returns the object */
export function json({ code, stdout, stderr }: Ended): Record<string, unknown> {
  assert.is(code, 0, stderr);
  assert.match(stdout, /^[^\n]+\n$/);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Writes the untrained checkpoint of the tiny preset. */
export async function tinyCheckpoint(folder: string): Promise<void> {
  const model = VLJEPA.fromConfig(TINY.model, { device: await device(), seed: 3, init: TINY.init as never, tokenizer: await loadTokenizerJson() });
  await model.save(folder);
  model.dispose();
}

/** Writes a PNG of one colour. */
export async function writePng(path: string, width: number, height: number): Promise<void> {
  const { default: sharp } = await import('sharp');
  await sharp({ create: { width, height, channels: 3, background: { r: 200, g: 30, b: 40 } } }).png().toFile(path);
}
