#!/usr/bin/env node
// The command line: `vl-jepa COMMAND [options]`. Exit code 0, or 1 with one line that says what is wrong and where.
import { parseArgs } from 'node:util';
import { COMMANDS } from './commands.ts';
import type { Command, Values } from './commands.ts';
import { CliError } from './errors.ts';
import { jsonPieces } from './json_output.ts';

function overview(): string {
  const rows = Object.entries(COMMANDS).map(([name, c]) => `  ${name.padEnd(10)} ${c.summary}`);
  return `vl-jepa: VL-JEPA on a hand-written WebGPU engine\n\nusage: vl-jepa COMMAND [options]\n\n${rows.join('\n')}\n\nvl-jepa COMMAND --help shows options and an example.\n`;
}

function help(name: string, command: Command): string {
  const rows = Object.entries(command.options).map(([option, o]) => `  ${`--${option}${o.type === 'string' ? ` ${o.value ?? 'VALUE'}` : ''}`.padEnd(28)} ${o.help}${o.default === undefined ? '' : ` (default ${o.default})`}`);
  return `vl-jepa ${name} ${command.usage}\n\n${command.summary}\n\n${rows.join('\n')}\n  ${'--json'.padEnd(28)} print one JSON object as the last line\n  ${'--help'.padEnd(28)} this text\n\nexample: ${command.example}\n`;
}

function parse(name: string, command: Command, args: string[]): { values: Values; positionals: string[] } {
  const options = Object.fromEntries(Object.entries(command.options).map(([option, { type }]) => [option, { type }]));
  try {
    const { values, positionals } = parseArgs({ args, options: { ...options, json: { type: 'boolean' }, help: { type: 'boolean' } }, allowPositionals: true, strict: true });
    const defaults = Object.fromEntries(Object.entries(command.options).flatMap(([option, o]) => (o.default === undefined ? [] : [[option, o.default]])));
    return { values: { ...defaults, ...values } as Values, positionals };
  } catch (error) {
    const message = (error as Error).message.split('\n')[0]!.split('. To specify')[0]!.replace(/\.$/, '');
    throw new CliError(`${name}: ${message}, expected ${Object.keys(command.options).map(o => `--${o}`).join(', ') || 'no options'}, --json or --help`);
  }
}

async function main(argv: string[]): Promise<void> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(overview());
    return;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (!command) throw new CliError(`vl-jepa: there is no command ${name}, expected one of ${Object.keys(COMMANDS).join(', ')}`);
  const { values, positionals } = parse(name, command, rest);
  if (values.help) {
    process.stdout.write(help(name, command));
    return;
  }
  if (positionals.length > (command.most ?? Infinity)) throw new CliError(`${name}: ${positionals[command.most!]} was given too, expected ${command.most === 0 ? 'options alone' : `at most ${command.most} word`}`);
  const result = await command.run(values, positionals);
  if (values.json && result !== undefined) {
    for (const piece of jsonPieces(result)) process.stdout.write(piece);
    process.stdout.write('\n');
  }
  const wrong = command.verdict?.(result);
  if (wrong) throw new CliError(wrong);
}

/** One line, without characters that could forge another one, and not longer than anybody reads. */
function oneLine(message: string): string {
  const line = message.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ');
  return line.length > 2000 ? `${line.slice(0, 2000)}…` : line;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0); // the reader, `head` for example, has seen enough
  process.stderr.write(`error: stdout: ${oneLine(error.message)}\n`);
  process.exit(1);
});

try {
  await main(process.argv.slice(2));
  await new Promise<void>((done) => process.stdout.write('', () => setImmediate(done))); // a full disk is told only now
  process.exit(0); // Dawn's threads would keep the process for a moment
} catch (error) {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`${process.env.DEBUG ? stack : `error: ${oneLine(message)}`}\n`);
  process.exit(1);
}
