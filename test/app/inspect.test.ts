// `vl-jepa inspect` against some 1,500 folders and files, good and bad; a sample of them as real processes with their time, memory and streams.
import { assert, isNode, suite } from '../harness.ts';
import { inFolder } from '../folder.ts';
import { refusal, start, vlJepa, WHY } from './process.ts';

const test = suite('inspect');
const MIB = 1024 * 1024;

test.when(isNode, WHY, 'at least 1,000 folders and files: each with its verdict, and an error that names the file', async () => {
  const { inspectCheckpoint } = await import('../../app/inspect.ts');
  const { inspectCases, writeCase } = await import('./inspect_corpus.ts');
  const cases = inspectCases();
  assert.ok(cases.length >= 1000, `${cases.length} cases`);
  assert.is(new Set(cases.map(({ name }) => name)).size, cases.length, 'names differ');
  const wrong: string[] = [];
  await inFolder(async (folder) => {
    const { mkdir } = await import('node:fs/promises');
    for (const [i, one] of cases.entries()) {
      await mkdir(`${folder}/${i}`);
      const path = await writeCase(`${folder}/${i}`, one);
      let said = '';
      let kind = '';
      try {
        said = (await inspectCheckpoint(path)).problems[0] ?? '';
      } catch (error) {
        said = (error as Error).message;
        kind = (error as Error).name;
      }
      const right = (said === '') === one.accepted && (one.says?.test(said) ?? true) && /^$|^WeightError$|^ConfigError$/.test(kind) && (one.accepted || said.includes(folder));
      if (!right) wrong.push(`${one.name}: ${kind} ${said === '' ? 'accepted' : said.slice(0, 300)}`);
    }
  });
  assert.equal(wrong, []);
});

/** Runs inspect under the eyes of the system. @returns what it printed, and its largest memory and time where the system tells */
async function watched(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string; peakMiB: number }> {
  const { readFile } = await import('node:fs/promises');
  const { child, ended } = await start(['inspect', ...args]);
  let peakMiB = 0;
  const look = setInterval(() => {
    readFile(`/proc/${child.pid}/status`, 'utf8').then((text) => { peakMiB = Math.max(peakMiB, Number(/VmHWM:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024); }, () => {});
  }, 20);
  const done = await ended;
  clearInterval(look);
  return { ...done, peakMiB };
}

test.when(isNode, WHY, 'as a process: one line on stderr and exit code 1, whatever is wrong', async () => {
  const { inspectCases, writeCase } = await import('./inspect_corpus.ts');
  const sample = inspectCases().filter((_, i) => i % 97 === 0);
  await inFolder(async (folder) => {
    for (const [i, one] of sample.entries()) {
      const { mkdir } = await import('node:fs/promises');
      await mkdir(`${folder}/${i}`);
      const path = await writeCase(`${folder}/${i}`, one);
      const ended = await vlJepa(['inspect', path]);
      assert.is(ended.code, one.accepted ? 0 : 1, `${one.name}: ${ended.stderr}`);
      assert.is(ended.stderr.split('\n').filter((line) => line !== '').length, one.accepted ? 0 : 1, one.name);
      assert.not.match(ended.stderr, /\n\s+at |[\u0000-\u0009\u000b-\u001f]/);
    }
  });
});

test.when(isNode, WHY, 'pipes, devices and sockets are refused at once', async () => {
  const { execFileSync } = await import('node:child_process');
  const { mkdir, symlink } = await import('node:fs/promises');
  await inFolder(async (folder) => {
    execFileSync('mkfifo', [`${folder}/pipe.safetensors`]);
    await mkdir(`${folder}/model`);
    execFileSync('mkfifo', [`${folder}/model/model.safetensors`]);
    await mkdir(`${folder}/config`);
    execFileSync('mkfifo', [`${folder}/config/config.json`]);
    await symlink('/dev/zero', `${folder}/zero.safetensors`);
    for (const path of [`${folder}/pipe.safetensors`, `${folder}/model`, `${folder}/config`, `${folder}/zero.safetensors`, '/dev/null', '/dev/zero']) assert.match(refusal(await vlJepa(['inspect', path])), /no regular file/);
  });
});

test.when(isNode, WHY, 'a header of 64 MiB costs less than 600 MiB and prints what fits a page', async () => {
  const { writeFile } = await import('node:fs/promises');
  const { file, entry } = await import('../weights/corpus.ts');
  await inFolder(async (folder) => {
    const count = 900_000;
    const parts: string[] = [];
    for (let i = 0; i < count; i += 1000) parts.push(Array.from({ length: 1000 }, (_, k) => `"layers.${i + k}.w":${entry('"F32"', '[0,1]', '[0,0]')}`).join());
    await writeFile(`${folder}/many.safetensors`, file(`{${parts.join()}}`, 0));
    const many = await watched([`${folder}/many.safetensors`]);
    assert.is(many.code, 0, many.stderr);
    assert.match(many.stdout, /900,000 tensors/);
    assert.match(many.stdout, /… and 890,000 more/);
    assert.ok(many.peakMiB < 600, `${many.peakMiB} MiB`);
    await writeFile(`${folder}/twice.safetensors`, file(`{${parts.join()},"layers.7.w":${entry('"F32"', '[0]', '[0,0]')}}`, 0));
    assert.match(refusal(await vlJepa(['inspect', `${folder}/twice.safetensors`])), /tensor "layers\.7\.w" appears twice/);
    await writeFile(`${folder}/above.safetensors`, file(new Uint8Array(100_000_001).fill(0x20), 0));
    assert.match(refusal(await vlJepa(['inspect', `${folder}/above.safetensors`])), /claims 100000001 bytes, limit 100000000/);
  });
});

test.when(isNode, WHY, 'a tokenizer that would become gigabytes is refused before it does', async () => {
  const { writeFile, mkdir } = await import('node:fs/promises');
  const { writeCase } = await import('./inspect_corpus.ts');
  const { SENTENCE } = await import('./tiny_folders.ts');
  await inFolder(async (folder) => {
    for (const [name, text, says] of [
      ['lists', `{"model":{"vocab":{},"merges":[${'[],'.repeat(12_000_000)}[]]}}`, /tokenizer\.json.*more than 2000000 objects and lists/],
      ['bytes', `{"x":"${'x'.repeat(65 * MIB)}"}`, /tokenizer\.json: \d+ bytes, limit/],
    ] as const) {
      await mkdir(`${folder}/${name}`);
      await writeCase(`${folder}/${name}`, { name, files: SENTENCE, path: '', accepted: false });
      await writeFile(`${folder}/${name}/tokenizer.json`, text);
      const { code, stderr, peakMiB } = await watched([`${folder}/${name}`, '--json']);
      assert.is(code, 1);
      assert.match(stderr, says);
      assert.ok(peakMiB < 600, `${name}: ${peakMiB} MiB`);
    }
  });
});

test.when(isNode, WHY, 'names and metadata cannot forge a line of the report; --json gives them as they are', async () => {
  const { writeFile } = await import('node:fs/promises');
  const { file, entry } = await import('../weights/corpus.ts');
  await inFolder(async (folder) => {
    await writeFile(`${folder}/x.safetensors`, file(`{"__metadata__":{"a\\nproblem: forged":"\\u001b[2J\\r"},"\u202eb":${entry('"F32"', '[0]', '[0,0]')}}`, 0));
    const people = await vlJepa(['inspect', `${folder}/x.safetensors`]);
    assert.is(people.code, 0);
    assert.not.match(people.stdout, /[\u0000-\u0009\u000b-\u001f\u202e]|^problem/m);
    const { metadata, tensors } = JSON.parse((await vlJepa(['inspect', `${folder}/x.safetensors`, '--json'])).stdout) as { metadata: object; tensors: { name: string }[] };
    assert.equal(metadata, { 'a\nproblem: forged': '\u001b[2J\r' });
    assert.equal(tensors.map(({ name }) => name), ['\u202eb']);
  });
});

test.when(isNode, WHY, 'a reader that stops reading ends the command quietly', async () => {
  const { execFileSync } = await import('node:child_process');
  const { fileURLToPath } = await import('node:url');
  const { writeFile } = await import('node:fs/promises');
  const { file, entry } = await import('../weights/corpus.ts');
  await inFolder(async (folder) => {
    await writeFile(`${folder}/x.safetensors`, file(`{${Array.from({ length: 20_000 }, (_, i) => `"t${i}":${entry('"F32"', '[0]', '[0,0]')}`).join()}}`, 0));
    const said = execFileSync('sh', ['-c', '"$0" "$1" inspect "$2" --json 2>&1 >/dev/full; "$0" "$1" inspect "$2" --json 2>&1 | head -c 20', process.execPath, fileURLToPath(new URL('../../app/cli.js', import.meta.url)), `${folder}/x.safetensors`], { encoding: 'utf8' });
    assert.match(said, /^error: stdout: ENOSPC[^\n]*\n\{"path":"[^\n]*$/);
  });
});

test.run();
