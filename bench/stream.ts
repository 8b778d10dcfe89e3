// `node dist/bench/stream.js [--windows N] [--output FILE]`: a live stream through the small model for as many windows: how many a second, and whether memory stays flat.
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { CounterRandom } from '../data/random.ts';
import { MOTIONS, SPRITES, spriteClip } from '../data/sprites.ts';
import { openDevice } from '../engine/device.ts';
import { VLJEPA } from '../model/vl_jepa.ts';
import { labelBank } from '../tasks/classify.ts';
import { watchStream, windowEmbeddings } from '../tasks/stream.ts';
import type { TimedPicture } from '../tasks/stream.ts';
import { writeFileAtomic } from '../weights/writer.ts';

const { values } = parseArgs({ options: { windows: { type: 'string', default: '10000' }, model: { type: 'string', default: 'checkpoints/nano2' }, output: { type: 'string' } } });
const WINDOWS = Number(values.windows);
if (!Number.isInteger(WINDOWS) || WINDOWS < 1) throw new RangeError(`stream: --windows is ${values.windows}, expected a whole number of at least 1`); // else it would never end
/** Frames a second, which a window of 2 s shows 16 of, and side of the frames. */
const HZ = 8, SIDE = 64;
/** Scenes in turn, and frames of each. */
const SCENES = 24, SCENE = 40;

/** Drawings that move, a new scene every five seconds, without end. */
function* film(): Generator<TimedPicture> {
  const scenes = Array.from({ length: SCENES }, (_, s) => {
    const random = new CounterRandom(77, 0, s, 1);
    const levels = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => { // a coloured disc and a bar: any drawing does
      const [x, y, c] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE), i % 3];
      const inside = Math.hypot(x - 32, y - 26) < 18 || (Math.abs(x - 32) < 6 && y > 26 && y < 60);
      return inside ? 255 * random.uniform(c) : 255;
    });
    return spriteClip({ size: SIDE, levels }, s % MOTIONS.length, random, SIDE);
  });
  const bytes = SIDE * SIDE * 3;
  for (let t = 0; ; t++) {
    const at = (t % SCENE) % SPRITES.frames;
    yield { timeS: t / HZ, picture: { width: SIDE, height: SIDE, data: scenes[Math.floor(t / SCENE) % SCENES]!.subarray(at * bytes, (at + 1) * bytes) } };
  }
}

/** Memory and time at one place of the stream. */
interface Mark { windows: number; seconds: number; cpuSeconds: number; rssMiB: number; heapMiB: number; liveTensors: number; liveMiB: number; poolMiB: number }

const device = await openDevice();
const model = await VLJEPA.fromPretrained(values.model, { device });
const bank = labelBank(model, ['a red disc', 'a blue disc', 'a green tree', 'nothing']);
const marks: Mark[] = [];
let [windows, decodes, warm] = [0, 0, false];
let [began, processor] = [performance.now(), process.cpuUsage()];
const mark = (): void => {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const { liveBytes, poolBytes, liveTensors } = device.memory();
  const { user, system } = process.cpuUsage(processor);
  const MiB = (bytes: number): number => Number((bytes / 2 ** 20).toFixed(2));
  marks.push({ windows, seconds: (performance.now() - began) / 1000, cpuSeconds: (user + system) / 1e6, rssMiB: MiB(rss), heapMiB: MiB(heapUsed), liveTensors, liveMiB: MiB(liveBytes), poolMiB: MiB(poolBytes) });
  const { seconds, cpuSeconds, rssMiB, liveMiB } = marks.at(-1)!;
  console.log(`${windows} windows: ${seconds.toFixed(1)} s (${(windows / seconds).toFixed(1)} a second; processor ${cpuSeconds.toFixed(1)} s), process ${rssMiB.toFixed(0)} MiB, device ${liveMiB.toFixed(1)} MiB, ${liveTensors} tensors`);
};
/** What is known so far: a run that is stopped leaves its marks. */
const report = (): object => {
  const last = marks.at(-1)!;
  return {
    adapter: device.adapter, date: new Date().toISOString(), command: `node --expose-gc dist/bench/stream.js --windows ${WINDOWS}`, node: process.version, cores: cpus().length, loadAverage: loadavg()[0],
    about: `${values.model}, windows of 16 frames of ${SIDE} x ${SIDE}, a stride of 0.5 s, one question, online decoding with four labels; where the load average is above the cores, other programs had their share and windows per processor second say what a stream costs`,
    windowsPerSecond: last.windows / last.seconds, windowsPerProcessorSecond: last.windows / last.cpuSeconds, decodes, marks,
  };
};
const wanted = new Set([100, 200, 500, 1000, 2000, 3000, 5000, 7000, 10_000, WINDOWS].filter(n => n <= WINDOWS));
for await (const { run } of watchStream(windowEmbeddings(model, film(), { query: 'What is in the video?' }), { bank })) {
  windows++;
  if (run) decodes++;
  if (windows === 10 && !warm) [began, processor, windows, decodes, warm] = [performance.now(), process.cpuUsage(), 0, 0, true]; // kernels are compiled
  if (wanted.has(windows)) {
    wanted.delete(windows);
    mark();
    if (values.output) await writeFileAtomic(values.output, `${JSON.stringify(report(), null, 1)}\n`);
  }
  if (windows >= WINDOWS) break;
}
process.exit(0);
