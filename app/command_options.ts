// What a command is, and how it reads its options.
import { CliError } from './errors.ts';

export type Values = Readonly<Record<string, string | boolean | undefined>>;

export interface Option {
  type: 'string' | 'boolean';
  help: string;
  /** Placeholder of the value in the help. */
  value?: string;
  default?: string;
}

export interface Command {
  summary: string;
  usage: string;
  /** Words beside the options, at most; default any number of files. */
  most?: number;
  options: Readonly<Record<string, Option>>;
  example: string;
  /** Prints for people, returns the object for --json. */
  run(values: Values, positionals: readonly string[]): Promise<unknown>;
  /** What is wrong with a result that was printed all the same: one sentence, and the exit code is 1. */
  verdict?(result: unknown): string | undefined;
}

/** The text of an option, if it was given. */
export const text = (values: Values, name: string): string | undefined => values[name] as string | undefined;

/** The text of an option. @throws CliError when it is missing or empty */
export function required(command: string, values: Values, name: string): string {
  const value = text(values, name);
  if (!value) throw new CliError(`${command}: --${name} is missing, expected a value`);
  return value;
}

/** A number option. @throws CliError when it is not a number, or not whole where it has to be */
export function number(command: string, values: Values, name: string, { whole = true, least = 0 } = {}): number | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  const n = Number(value);
  if (value.trim() === '' || !Number.isFinite(n) || n < least || (whole && !Number.isInteger(n))) {
    throw new CliError(`${command}: --${name} is ${value}, expected a ${whole ? 'whole ' : ''}number of at least ${least}`);
  }
  return n;
}

/** One of a few words. @throws CliError for another one */
export function oneOf<T extends string>(command: string, values: Values, name: string, words: readonly T[]): T {
  const value = text(values, name);
  const found = words.find(w => w === value);
  if (!found) throw new CliError(`${command}: --${name} is ${value}, expected ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);
  return found;
}

export const MODEL: Option = { type: 'string', value: 'DIR', help: 'checkpoint folder; without it one that ships: checkpoints/nano2 for questions, captions, clips, streams and the page, else checkpoints/nano' };
