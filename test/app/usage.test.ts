// What the command line says: help, wrong words and options, bad pictures, bad checkpoints. One sentence each.
import type { COMMANDS } from '../../app/commands.ts';
import { inFolder } from '../folder.ts';
import { assert, isNode, suite } from '../harness.ts';
import { WHY, refusal, tinyCheckpoint, vlJepa, writePng } from './process.ts';

const test = suite('command line');
const commands = async (): Promise<typeof COMMANDS> => (await import('../../app/commands.ts')).COMMANDS;

test.when(isNode, WHY, 'the overview names every command, and every command explains itself', async () => {
  const all = await commands();
  for (const args of [[], ['--help'], ['help']]) {
    const { code, stdout, stderr } = await vlJepa(args);
    assert.equal([code, stderr], [0, '']);
    for (const [name, { summary }] of Object.entries(all)) assert.ok(stdout.includes(`  ${name} `) && stdout.includes(summary), name);
  }
  for (const [name, command] of Object.entries(all)) {
    const { code, stdout, stderr } = await vlJepa([name, '--help']);
    assert.equal([code, stderr], [0, ''], name);
    assert.ok(stdout.startsWith(`vl-jepa ${name} `) && stdout.includes(`example: ${command.example}`) && command.example.startsWith(`vl-jepa ${name}`), stdout);
    for (const [option, { help }] of Object.entries(command.options)) assert.ok(stdout.includes(`--${option}`) && stdout.includes(help), `${name} --${option}`);
  }
});

test.when(isNode, WHY, 'unknown commands and options, missing values, wrong numbers and superfluous words', async () => {
  for (const [args, said] of [
    [['dance'], /^vl-jepa: there is no command dance, expected one of demo, info, /],
    [['toString'], /^vl-jepa: there is no command toString/],
    [['info', '--wat'], /^info: Unknown option '--wat', expected no options, --json or --help$/],
    [['classify', 'a.png', '--labels'], /^classify: Option '--labels <value>' argument missing, expected --model, --labels, --query, --frames, --top, --json or --help$/],
    [['classify', 'a.png', '--labels', '--top', '3'], /^classify: Option '--labels' argument is ambiguous, expected /],
    [['info', '--json=yes'], /^info: Option '--json' does not take an argument, expected /],
    [['classify', 'a.png'], /^classify: --labels is missing, expected a value$/],
    [['classify', '--labels', 'cat'], /^classify: there is no file, expected at least one picture or film$/],
    [['classify', 'a.png', '--labels', ' , '], /^classify: --labels holds no label, expected /],
    [['retrieve', 'a.png', '--query', 'x', '--top', 'many'], /^retrieve: --top is many, expected a whole number of at least 1$/],
    [['retrieve', 'a.png', '--query', 'x', '--top', '0'], /^retrieve: --top is 0, expected a whole number of at least 1$/],
    [['classify', 'a.png', '--labels', 'cat,,dog'], /^classify: label 2 of 3 in --labels is empty, expected words$/],
    [['retrieve', 'a.png'], /^retrieve: there is nothing to look for, expected --query or --picture$/],
    [['retrieve', 'a.png', '--query', ' '], /^retrieve: --query is empty, expected words$/],
    [['retrieve', 'a.png', '--query', 'x', '--index', 'i'], /^retrieve: files and --index were both given, expected one of them$/],
    [['retrieve', 'a.png', '--query', 'x', '--search', 'magic'], /^retrieve: --search is magic, expected auto, exact or usearch$/],
    [['index', '--output', 'x'], /^index: there is nothing to embed, expected files or --texts$/],
    [['index', 'a.png'], /^index: --output is missing, expected a value$/],
    [['ask', 'a.png', '--answers', 'yes,no'], /^ask: --question is missing, expected a value$/],
    [['ask', '--question', 'q', '--answers', 'yes,no'], /^ask: there is no file, expected at least one picture or film$/],
    [['stream', '--labels', 'a'], /^stream: there is no file, expected one film, animation, or /],
    [['stream', 'a.gif', '--labels', 'a', '--run', 'off'], /^stream: --run is off, expected before or after$/],
    [['stream', 'a.gif', '--labels', 'a', '--threshold=-1'], /^stream: --threshold is -1, expected a number of at least 0$/],
    [['eval', '--task', 'class'], /^eval: --task was given without --manifest, expected both$/],
    [['eval', '--manifest', 'x.jsonl', '--task', 'dance'], /^eval: --task is dance, expected class, retrieval, vqa, caption or pairs$/],
    [['eval', '--manifest', '/no/such.jsonl'], /^manifest: there is no file \/no\/such.jsonl$/],
    [['embed'], /^embed: there is nothing to embed, expected files or --text$/],
    [['inspect'], /^inspect: expected one folder or file$/],
    [['inspect', 'a', 'b'], /^inspect: b was given too, expected at most 1 word$/],
    [['info', 'now'], /^info: now was given too, expected options alone$/],
    [['train', 'nano'], /^train: nano was given too, expected options alone$/],
    [['run'], /^run: expected one network, vision, predictor or text$/],
    [['run', 'vision', '--input', 'x'], /^run: --model is missing, expected a value$/],
    [['run', 'ears', '--model', 'a', '--input', 'b', '--output', 'c'], /^run: the network is "ears", expected vision, predictor or text$/],
    [['run', 'vision', '--model', 'a', '--input', 'b', '--output', 'c', '--dtype', 'f64'], /^run: dtype is "f64", expected one of f32, bf16, f16, int8, stored$/],
    [['eval', '--artist', 'me'], /^eval: --artist is me, expected one of fluent-emoji-flat, /],
    [['bench', 'everything'], /^bench: everything is unknown, expected kernels, /],
    [['bench', 'model', '--tokens', '100'], /^bench: --tokens is 100, expected a multiple of 256, two frames each$/],
    [['bench', 'model', '--preset', 'giant'], /^bench model: --preset is giant, expected nano, step, block, /],
    [['bench', 'peers', '--adapter', 'moon'], /^bench: --adapter is moon, expected auto, swiftshader, chromium$/],
    [['bench', 'peers', '--rounds', '0'], /^bench: --rounds is 0, expected a whole number of at least 1$/],
    [['bench', 'peers', '--only', 'juggling'], /^bench peers: no work is called juggling, expected a part of one of matmul 512³; /],
    [['embed', '--text', 'x', '--model', '/no/such/folder'], /^model: \/no\/such\/folder has no config.json, expected a VL-JEPA checkpoint folder$/],
    [['inspect', '/no/such/file.safetensors'], /\/no\/such\/file.safetensors/],
  ] as const) assert.match(refusal(await vlJepa(args)), said, args.join(' '));
});

test.when(isNode, WHY, 'a picture that is missing, no picture, cut off or too large: one sentence that names the file', () => inFolder(async folder => {
  const { readFile, writeFile } = await import('node:fs/promises');
  const good = `${folder}/good.png`;
  await writePng(good, 40, 30);
  const cut = `${folder}/cut.png`, text = `${folder}/text.png`, large = `${folder}/large.png`, empty = `${folder}/empty.png`;
  const bytes = await readFile(good);
  await writeFile(cut, bytes.subarray(0, bytes.length - 20));
  await writeFile(text, 'this is no picture\n');
  await writeFile(empty, '');
  await writePng(large, 8000, 5000);
  for (const [file, said] of [
    [`${folder}/none.png`, /there is no file .*none.png$/], [folder, /is not a file but a folder$/], [text, /text.png is no picture \(expected PNG, /], [cut, /cut.png is a png file that cannot be decoded \(cut off or damaged: /],
    [empty, /empty.png is empty$/], [large, /large.png has 8000×5000 pixels, expected at most 33554432$/],
  ] as const) {
    assert.match(refusal(await vlJepa(['classify', file, '--labels', 'cat,dog'])), said);
    assert.match(refusal(await vlJepa(['demo', good, file, '--out', `${folder}/out`])), said);
  }
}));

test.when(isNode, WHY, 'a checkpoint with a tensor too many, one missing or one of another shape: the sentence names it', () => inFolder(async folder => {
  const { cp, readFile, writeFile } = await import('node:fs/promises');
  const { openSafetensors } = await import('../../weights/safetensors.ts');
  const { writeSafetensors } = await import('../../weights/writer.ts');
  const whole = `${folder}/whole`;
  await tinyCheckpoint(whole);
  const file = await openSafetensors(`${whole}/model.safetensors`);
  const entries = await Promise.all(file.names().map(async name => ({ name, ...(await file.read(name)) })));
  await file.close();
  const spoil = async (name: string, change: (e: (typeof entries)[number]) => (typeof entries)[number][]): Promise<string> => {
    const path = `${folder}/${name}`;
    await cp(whole, path, { recursive: true });
    await writeSafetensors(`${path}/model.safetensors`, entries.flatMap(change));
    return path;
  };
  const turned = 'predictor.model.layers.0.mlp.up_proj.weight';
  const damaged = [
    [await spoil('shape', e => [e.name === turned ? { ...e, shape: [16, 24] } : e]), /predictor.model.layers.0.mlp.up_proj.weight.*\[16, 24\].*\[24, 16\]/],
    [await spoil('missing', e => (e.name === 'text_head.bias' ? [] : [e])), /text_head.bias is missing/],
    [await spoil('extra', e => (e.name === 'log_scale' ? [e, { ...e, name: 'log_scales' }] : [e])), /log_scales/],
  ] as const;
  for (const [path, said] of damaged) {
    assert.match(refusal(await vlJepa(['embed', '--text', 'a cat', '--model', path])), said);
    const inspected = await vlJepa(['inspect', path, '--json']);
    const { problems } = JSON.parse(inspected.stdout) as { problems: string[] };
    assert.is(inspected.code, 1);
    assert.match(inspected.stderr, /^error: inspect: .* has one problem: /m);
    assert.is(problems.length, 1);
    assert.match(problems[0]!, said);
  }
  const config = JSON.parse(await readFile(`${whole}/config.json`, 'utf8')) as object;
  await writeFile(`${whole}/config.json`, JSON.stringify({ ...config, embedding_dim: 'many' }));
  assert.match(refusal(await vlJepa(['embed', '--text', 'a cat', '--model', whole])), /config.json: embedding_dim is "many"/);
  await writeFile(`${whole}/config.json`, '{');
  assert.match(refusal(await vlJepa(['embed', '--text', 'a cat', '--model', whole])), /config.json/);
}));

test.run();
