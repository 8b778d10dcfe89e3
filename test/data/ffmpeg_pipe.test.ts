// The pipe to ffmpeg, with a program that speaks like it: what happens when frames are large, when it is silent, fails, or has to be stopped.
import { assert, isNode, suite } from '../harness.ts';
import { DataError } from '../../data/errors.ts';
import { openFrames, sampleFrames } from '../../data/frame_source.ts';

const test = suite('data: the pipe to ffmpeg');
const piped = (name: string, handler: (tools: Tools) => Promise<void>): void => test.when(isNode && process.platform !== 'win32', 'runs a program, Node only', name, () => withTools(handler));

interface Tools {
  /** A program that behaves like ffmpeg. */
  ffmpeg: string;
  film: string;
  /** Process ids of the frame decoders that were started. */
  started(): Promise<number[]>;
}

/** 12 packets, one every 30 s but for a discarded one, stored out of order; each frame is 200 x 150 of its own number. `mode` in the file's bytes changes the behaviour. */
const PROGRAM = `#!/usr/bin/env node
const fs = require('node:fs');
const args = process.argv.slice(2);
const after = name => args[args.indexOf(name) + 1];
const [W, H, N] = [200, 150, 12];
if (args.includes('-version')) { console.log('ffmpeg version 9\\nlibavutil      60. 1.100 / 60. 1.100'); process.exit(0); }
const path = after('-i').replace(/^file:/, '');
const mode = fs.readFileSync(path, 'latin1').slice(8);
if (after('-protocol_whitelist') !== 'file,pipe') process.exit(9);
const head = '#software: x\\n#tb 0: 1/1000\\n#media_type 0: video\\n#dimensions 0: ' + W + 'x' + H + '\\n';
if (args.includes('copy')) {
  if (mode.includes('sound')) { console.error("Stream map '0:V:0' matches no streams.\\nTo ignore this, add a trailing '?' to the map."); process.exit(1); }
  if (mode.includes('broken')) { console.error('[mov @ 0x1] moov atom not found\\nError opening input files'); process.exit(1); }
  const pts = [0, 30, 90, 60, 120, 150, 180, 240, 210, 270, 300, 330];
  process.stdout.write(head + (mode.includes('hollow') ? '' : pts.map(t => '0, ' + t * 1000 + ', ' + t * 1000 + ', 30000, 100, 0x1').join('\\n') + '\\n0, 500000, 500000, 1000, 10, 0x1, F=0x4\\n'));
} else {
  fs.appendFileSync(path + '.pids', process.pid + '\\n');
  const from = args.includes('-ss') ? Number(after('-ss')) : 0;
  const line = fs.createWriteStream('', { fd: 3 });
  const first = Math.ceil(from / 30 - 1e-9);
  const end = mode.includes('cut') ? 4 : N;
  const send = i => {
    if (i >= end) { line.end(); process.stdout.end(); return; }
    if (mode.includes('silent') && i > 1) { setInterval(() => {}, 1000); return; }
    const pts = Math.round((i * 30 - from) * 1e6);
    if (i === first) line.write(head.replace('1/1000', '1/1000000'));
    line.write('0, ' + pts + ', ' + pts + ', 0, ' + W * H * 3 + ', 0x1\\n', () => process.stdout.write(Buffer.alloc(W * H * 3, i + 1), () => send(i + 1)));
  };
  send(first);
}
`;

async function withTools(work: (tools: Tools) => Promise<void>): Promise<void> {
  const { mkdtemp, readFile, rm, writeFile } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const folder = await mkdtemp(join(tmpdir(), 'vl-jepa-test-'));
  const film = join(folder, '-i film.mp4'); // a name that would be an option
  try {
    await writeFile(join(folder, 'ffmpeg'), PROGRAM, { mode: 0o755 });
    await make(film, '');
    await work({ ffmpeg: join(folder, 'ffmpeg'), film, started: async () => (await readFile(`${film}.pids`, 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number) });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A file that begins like an MP4 and says how the program shall behave. */
async function make(film: string, mode: string): Promise<void> {
  const { writeFile } = await import('node:fs/promises');
  await writeFile(film, `\0\0\0\x10ftyp${mode}`);
}

async function refusal(work: () => Promise<unknown>): Promise<string> {
  return work().then(() => assert.unreachable('nothing was refused') as never, (error: Error) => (assert.instance(error, DataError), error.message));
}

const alive = (pid: number): boolean => { try { process.kill(pid, 0); return true; } catch { return false; } };
async function ends(pids: readonly number[]): Promise<void> {
  for (let i = 0; i < 100 && pids.some(alive); i++) await new Promise(done => setTimeout(done, 50));
  assert.equal(pids.filter(alive), [], 'processes that are left');
}

piped('frames larger than the pipe come whole, in order and with their times', async ({ ffmpeg, film }) => {
  const source = await openFrames(film, { ffmpeg });
  assert.equal([source.width, source.height, source.durationS, source.decoder], [200, 150, 360, 'ffmpeg']);
  assert.equal(await source.times(), [0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330]);
  const seen: number[] = [];
  for await (const { timeS, rgb } of source.frames()) {
    assert.ok(rgb.every(b => b === timeS / 30 + 1));
    seen.push(timeS);
    await new Promise(done => setTimeout(done, 5)); // slower than the program
  }
  assert.is(seen.length, 12);
  await source.close();
});

piped('frames far apart are sought; a Blob is written down and removed', async ({ ffmpeg, film, started }) => {
  const source = await openFrames(film, { ffmpeg });
  const { frames, timesS } = await sampleFrames(source, 3);
  assert.equal([...timesS, ...frames.map(f => f.data[0])], [0, 150, 330, 1, 6, 12]);
  assert.is((await started()).length, 4); // one for the size, one for each frame
  await source.close();
  const { readdir, readFile } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const copies = async (): Promise<number> => (await readdir(tmpdir())).filter(n => n.startsWith('vl-jepa-film-')).length;
  const before = await copies();
  const blob = await openFrames(new Blob([await readFile(film)]), { ffmpeg });
  assert.is(await copies(), before + 1);
  assert.is((await sampleFrames(blob, 1)).timesS[0], 150);
  await blob.close();
  assert.is(await copies(), before);
});

piped('leaving early, closing and cancelling stop the program', async ({ ffmpeg, film, started }) => {
  await make(film, 'silent');
  const stop = new AbortController();
  const source = await openFrames(film, { ffmpeg, signal: stop.signal });
  for await (const _ of source.frames()) break;
  await ends(await started());
  const waiting = source.frames();
  await waiting.next();
  await waiting.next();
  const late = waiting.next().then(() => 'a frame', (error: Error) => error.message);
  stop.abort(new Error('enough'));
  assert.is(await late, 'enough');
  await ends(await started());
  await source.close();
  const again = await openFrames(film, { ffmpeg });
  const frames = again.frames();
  await frames.next();
  await again.close();
  await ends(await started());
});

piped('what the program says is told in one sentence', async ({ ffmpeg, film }) => {
  await make(film, 'sound');
  assert.match(await refusal(() => openFrames(film, { ffmpeg })), /film\.mp4 has no pictures, expected a film with a video track/);
  await make(film, 'broken');
  assert.match(await refusal(() => openFrames(film, { ffmpeg })), /cannot be decoded \(cut off, damaged, or of an unknown kind: moov atom not found\)/);
  await make(film, 'hollow');
  assert.match(await refusal(() => openFrames(film, { ffmpeg })), /has a video track without frames/);
  await make(film, 'cut');
  const source = await openFrames(film, { ffmpeg, name: 'short.mp4' });
  assert.match(await refusal(async () => { for await (const _ of source.frames()) continue; }), /short\.mp4 ends after 4 of 12 frames \(is it cut off\?\)/);
  assert.match(await refusal(() => sampleFrames(source, 2)), /short\.mp4 ends before 330\.000 s, expected a frame there/);
  await source.close();
  assert.match(await refusal(() => openFrames(film, { ffmpeg: '/nowhere/ffmpeg' })), /\/nowhere\/ffmpeg does not run, expected an ffmpeg/);
});

test.run();
