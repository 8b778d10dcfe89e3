// Stage 2 at tiny sizes: batches ask what they answer, the lesson is the model's own forward pass, and runs resume to the bit.
import { QUESTIONS, clipCaptions } from '../../data/questions.ts';
import { MOTIONS, isHeldOutPair } from '../../data/sprites.ts';
import { scope } from '../../engine/memory.ts';
import { noGrad } from '../../engine/tape.ts';
import { Tensor } from '../../engine/tensor.ts';
import { loadTokenizerJson } from '../../data/tokenizer.ts';
import { TRAIN_ALL, VLJEPA } from '../../model/vl_jepa.ts';
import { ClipLesson } from '../../train/clip_lesson.ts';
import { ClipBatches } from '../../train/clips.ts';
import type { ClipBatch } from '../../train/clips.ts';
import { Trainer } from '../../train/loop.ts';
import { TINY_CLIPS, TINY_TAUGHT } from '../../train/presets.ts';
import { checkRecipe } from '../../train/recipe.ts';
import type { Recipe } from '../../train/recipe.ts';
import { uploadPieces } from '../../train/step_plans.ts';
import { teacherVectors } from '../../train/teacher.ts';
import { slowWaves, startTemporal } from '../../train/temporal_start.ts';
import type { Device } from '../../engine/device.ts';
import { inFolder } from '../folder.ts';
import { assert, close, device, isNode, suite } from '../harness.ts';
import { EDGE, NAMES, bitsOf, different, noiseTable, release } from './tiny.ts';

const test = suite('stage 2');
const KEYS = NAMES.map((_, i) => `1f${600 + i}`);
const UNSEEN = NAMES.map((_, i) => i % 6 === 5);
type Changes = Partial<Recipe['clips'] & object>;
const recipeWith = (changes: Partial<Recipe> = {}, clips: Changes = {}): Recipe => ({ ...TINY_CLIPS, ...changes, clips: { ...TINY_CLIPS.clips!, ...clips } });
const batchesOf = (recipe: Recipe): ClipBatches => new ClipBatches(noiseTable(), { keys: KEYS, unseen: UNSEEN }, recipe, EDGE);

async function modelOf(d: Device, recipe: Recipe): Promise<VLJEPA> {
  return VLJEPA.fromConfig(recipe.model, { device: d, seed: recipe.seed, init: recipe.init as never, tokenizer: await loadTokenizerJson() });
}
async function trainerOf(d: Device, recipe = recipeWith(), plans = true, teachers: readonly VLJEPA[] = []): Promise<Trainer> {
  const model = await modelOf(d, recipe);
  return new Trainer(model, recipe, new ClipLesson(model, batchesOf(recipe), teachers), { plans });
}
/** The tiny recipe with teachers, and two of them: other weights than the student begins with. */
const taughtRecipe = (clips: Changes = {}): Recipe => ({ ...TINY_TAUGHT, clips: { ...TINY_TAUGHT.clips!, ...clips } });
const teachersOf = async (d: Device): Promise<VLJEPA[]> => [await modelOf(d, recipeWith({ seed: 7 })), await modelOf(d, recipeWith({ seed: 8 }))];
/** Rows of a kind: pictures, asked pictures, objects, motions, captions. */
const rowsOf = ({ pictures, concepts, questions }: ClipBatch): number[] => [pictures.captions.length, questions.length - 3 * concepts.length, concepts.length, concepts.length, concepts.length];

test('a batch is a function of its step, its answers fit its questions, and what is kept apart does not move', () => {
  const batches = batchesOf(recipeWith());
  const inOrder = Array.from({ length: 6 }, (_, step) => batches.at(step));
  assert.equal(batchesOf(recipeWith()).at(4), inOrder[4]);
  assert.not.equal(inOrder[0]!.clips, inOrder[1]!.clips);
  for (const batch of inOrder) {
    const { concepts, motions, texts, answers, questions } = batch;
    const [P, A, C] = rowsOf(batch) as [number, number, number];
    const answerAt = (i: number): string => texts[answers[i]!]!;
    assert.is(answers.length, P + A + 3 * C);
    for (let i = 0; i < A; i++) {
      assert.is(answerAt(P + i), batch.pictures.captions[i]);
      assert.ok(QUESTIONS.picture.includes(questions[i]!));
    }
    concepts.forEach((c, i) => {
      assert.ok(!UNSEEN[c] && !isHeldOutPair(KEYS[c]!, motions[i]!), `${KEYS[c]} ${motions[i]}`);
      assert.is(answerAt(P + A + i), NAMES[c]);
      assert.is(answerAt(P + A + C + i), MOTIONS[motions[i]!]!.answer);
      assert.ok(clipCaptions(NAMES[c]!, motions[i]!).includes(answerAt(P + A + 2 * C + i)));
      (['object', 'motion', 'caption'] as const).forEach((kind, k) => assert.ok(QUESTIONS[kind].includes(questions[A + k * C + i]!), questions[A + k * C + i]));
    });
  }
  assert.is(new Set(inOrder.flatMap(b => [...b.motions])).size, 8, 'every motion is drawn');
});

test('answers that mean the same share a group, and no others do', () => {
  for (let step = 0; step < 4; step++) {
    const { texts, answers, groups } = batchesOf(recipeWith({ templates: [0] }, { captions: [0] })).at(step);
    for (let i = 0; i < groups.length; i++) for (let j = 0; j < i; j++) assert.is(groups[i] === groups[j], texts[answers[i]!] === texts[answers[j]!], `${texts[answers[i]!]} and ${texts[answers[j]!]}`);
  }
});

test('half of the clips come in pairs that begin with the same frame and move differently', () => {
  const { clips, concepts, motions } = batchesOf(recipeWith()).at(2);
  const each = clips.length / 8, frame = each / 4;
  const first = (i: number): string => clips.subarray(i * each, i * each + frame).join();
  for (const i of [0, 2]) {
    assert.is(concepts[i], concepts[i + 1]);
    assert.not.equal(motions[i], motions[i + 1]);
    assert.is(first(i), first(i + 1));
  }
  assert.is(new Set(concepts).size, 6);
});

test('control: shuffled texts give clips the motions and names of others', () => {
  const [right, mixed] = [batchesOf(recipeWith()), batchesOf(recipeWith({ shuffleTexts: true }))];
  let other = 0;
  for (let step = 0; step < 10; step++) {
    const [a, b] = [right.at(step), mixed.at(step)];
    assert.equal(a.clips, b.clips);
    const at = rowsOf(b).slice(0, 3).reduce((x, y) => x + y);
    const said = Array.from({ length: 8 }, (_, i) => b.texts[b.answers[at + i]!]!);
    assert.equal([...said].sort(), Array.from(a.motions, m => MOTIONS[m]!.answer).sort());
    a.motions.forEach((m, i) => { other += Number(MOTIONS[m]!.answer !== said[i]); });
  }
  assert.ok(other > 50, `${other} of 80 clips have another clip's motion`);
});

test('the lesson embeds as the model predicts, and its loss is the formula in which equal answers are no negatives', async () => {
  const d = await device();
  const recipe = recipeWith();
  const model = await modelOf(d, recipe);
  const lesson = new ClipLesson(model, batchesOf(recipe));
  const batch = batchesOf(recipe).at(3);
  const [P, A, C] = rowsOf(batch) as [number, number, number];
  const [p, y, loss] = scope(() => noGrad(() => {
    const pieces = uploadPieces(d, lesson.at(3));
    const [p, y] = lesson.embed(pieces[0]!);
    return [p, y, lesson.loss(p, y, pieces, { logScale: model.logScale, bias: model.logScale, maxLogScale: model.config.logitScaleMax })];
  }));
  const pictures = Tensor.from(d, batch.pictures.pixels, [P, 1, 3, EDGE, EDGE]), clips = Tensor.from(d, batch.clips, [C, 4, 3, EDGE, EDGE]);
  const some = Tensor.from(d, batch.pictures.pixels.subarray(0, A * 3 * EDGE * EDGE), [A, 1, 3, EDGE, EDGE]);
  const parts = [model.predict(pictures), model.predict(some, batch.questions.slice(0, A)), ...[0, 1, 2].map(k => model.predict(clips, batch.questions.slice(A + k * C, A + (k + 1) * C)))];
  const texts = model.encodeText(batch.texts);
  const [pv, yv, tv] = [await p!.read(), await y!.read(), await texts.read()];
  const expected = (await Promise.all(parts.map(t => t.read()))).flatMap(v => [...v]);
  close(pv, Float32Array.from(expected), { abs: 2e-5, name: 'predictions' });
  const dim = model.config.embeddingDim;
  close(yv, Float32Array.from([...batch.answers].flatMap(a => [...tv.subarray(a * dim, (a + 1) * dim)])), { abs: 2e-5, name: 'texts' });
  const scale = Math.exp((await model.logScale.read())[0]!);
  const infoNCE = (from: number, to: number): number => {
    const logit = (i: number, j: number): number => { let s = 0; for (let k = 0; k < dim; k++) s += pv[i * dim + k]! * yv[j * dim + k]!; return s * scale; };
    let sum = 0;
    for (let i = from; i < to; i++) {
      for (const way of [logit, (a: number, b: number) => logit(b, a)]) {
        let total = 0;
        for (let j = from; j < to; j++) if (j === i || batch.groups[j] !== batch.groups[i]) total += Math.exp(way(i, j));
        sum += Math.log(total) - way(i, i);
      }
    }
    return sum / 2 / (to - from);
  };
  const wanted = infoNCE(0, lesson.rows) + recipe.clips!.motionWeight * infoNCE(P + A + C, P + A + 2 * C);
  assert.ok(Math.abs((await loss!.read())[0]! - wanted) < 1e-4 * wanted, `${(await loss!.read())[0]} and ${wanted}`);
  for (const t of [p!, y!, loss!, pictures, clips, some, texts, ...parts]) t.dispose();
  model.dispose();
});

test('teachers add 1 − cosine to what they say of the still drawings, the divergences of near names and near captions', async () => {
  const d = await device();
  const [recipe, plain] = [taughtRecipe(), taughtRecipe()];
  delete plain.clips!.teacher;
  const [model, teachers] = [await modelOf(d, recipe), await teachersOf(d)];
  const lossOf = async (lesson: ClipLesson): Promise<number> => {
    const loss = scope(() => noGrad(() => {
      const pieces = uploadPieces(d, lesson.at(1));
      return lesson.loss(...lesson.embed(pieces[0]!), pieces, { logScale: model.logScale, bias: model.logScale, maxLogScale: model.config.logitScaleMax });
    }));
    const [value] = await loss.read();
    loss.dispose();
    lesson.dispose();
    return value!;
  };
  const { pictures, clips, free, views, objects, questions } = batchesOf(recipe).at(1);
  const [O, U, C, A, P] = [6, 4, 8, 4, 8] as const;
  const { views: { frames: V }, captions: { clips: D } } = recipe.clips!.teacher!;
  assert.equal([Math.max(...objects) + 1, free!.drawings.length, views!.length], [O, U, (O + U) * V * 3 * EDGE * EDGE]);
  const [stills, moving, unnamed] = [Tensor.from(d, pictures.pixels, [P, 1, 3, EDGE, EDGE]), Tensor.from(d, clips, [C, 4, 3, EDGE, EDGE]), Tensor.from(d, free!.clips, [U, 4, 3, EDGE, EDGE])];
  const some = Tensor.from(d, pictures.pixels.subarray(0, A * 3 * EDGE * EDGE), [A, 1, 3, EDGE, EDGE]), described = Tensor.from(d, free!.clips.subarray(0, D * 4 * 3 * EDGE * EDGE), [D, 4, 3, EDGE, EDGE]), seen = Tensor.from(d, views!, [(O + U) * V, 1, 3, EDGE, EDGE]);
  const answers = [model.predict(stills), model.predict(some, questions.slice(0, A)), model.predict(moving, questions.slice(A, A + C)), model.predict(unnamed, questions.slice(A + 3 * C, A + 3 * C + U)), model.predict(described, questions.slice(A + 3 * C + U))];
  const student = (await Promise.all(answers.map(t => t.read()))).flatMap(v => [...v]);
  const dim = model.config.embeddingDim;
  const rowsOf = async (t: Tensor): Promise<number[][]> => { const v = await t.read(); return Array.from({ length: v.length / dim }, (_, i) => [...v.subarray(i * dim, (i + 1) * dim)]); };
  const meanOf = (rows: number[][]): number[] => { const sum = rows[0]!.map((_, k) => rows.reduce((s, r) => s + r[k]!, 0)); return sum.map(v => v / Math.hypot(...sum)); };
  const said = await Promise.all(teachers.flatMap(t => [stills, seen].map(x => rowsOf(t.predict(x)))));
  const ofPictures = said[0]!.map((row, i) => meanOf([row, said[2]![i]!]));
  const ofDrawings = Array.from({ length: O + U }, (_, i) => meanOf([said[1]!, said[3]!].flatMap(rows => rows.slice(i * V, (i + 1) * V))));
  const targets = [...ofPictures, ...ofPictures.slice(0, A), ...Array.from(objects, o => ofDrawings[o]!), ...ofDrawings.slice(O)];
  const wanted = targets.reduce((sum, row, i) => sum + 1 - row.reduce((s, v, k) => s + v * student[i * dim + k]!, 0), 0) / targets.length;
  assert.ok(wanted > 0.1, `${wanted}: teachers and student differ`);
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((s, v, k) => s + v * b[k]!, 0);
  const { weight, names, captions } = recipe.clips!.teacher!;
  const encoded = [model.encodeText(NAMES), model.encodeText(NAMES.flatMap(name => MOTIONS.map((_, m) => clipCaptions(name, m)[0]!)))];
  const [nameRows, captionRows] = await Promise.all(encoded.map(rowsOf)) as [number[][], number[][]];
  const sharesOf = (row: ArrayLike<number>): number[] => { const e = nameRows.map(n => Math.exp(dot(row, n) / names.temperature)); const sum = e.reduce((a, b) => a + b); return e.map(v => v / sum); };
  const studentRow = (i: number): number[] => student.slice(i * dim, (i + 1) * dim);
  const divergence = targets.reduce((sum, row, i) => { const [q, s] = [sharesOf(row), sharesOf(studentRow(i))]; return sum + q.reduce((a, v, n) => a + v * Math.log(v / s[n]!), 0); }, 0) / targets.length;
  const apart = ofDrawings.slice(O, O + D).map((row, u) => {
    const e = captionRows.map(c => Math.exp(dot(studentRow(targets.length + u), c) / captions.temperature)), all = e.reduce((x, y) => x + y);
    return sharesOf(row).reduce((s, q, n) => s + q * Math.log((q * all) / e[n * MOTIONS.length + free!.motions[u]!]!), 0);
  });
  const captioned = apart.reduce((a, b) => a + b) / D;
  assert.ok(divergence > 0.01 && captioned > 0.1, `${divergence} and ${captioned}: teachers and student differ`);
  const base = await lossOf(new ClipLesson(model, batchesOf(plain)));
  const added = async (changes: object): Promise<number> => await lossOf(new ClipLesson(model, batchesOf(taughtRecipe({ teacher: { ...recipe.clips!.teacher!, ...changes } })), teachers)) - base;
  const cases: readonly (readonly [object, number])[] = [[{}, weight * wanted + names.weight * divergence + captions.weight * captioned], [{ names: { ...names, weight: 0 }, captions: { ...captions, clips: 0 } }, weight * wanted], [{ captions: { ...captions, clips: 0 } }, weight * wanted + names.weight * divergence]];
  for (const [changes, expected] of cases) {
    const difference = await added(changes);
    assert.ok(Math.abs(difference - expected) < 1e-3, `${JSON.stringify(changes)}: ${difference} and ${expected}`);
  }
  const vectors = teacherVectors(teachers, seen, V);
  close(await vectors.read(), Float32Array.from(ofDrawings.flat()), { abs: 2e-5, name: 'vectors of the teachers' });
  assert.throws(() => new ClipLesson(model, batchesOf(recipe)), /there are 0 teachers, expected at least one/);
  assert.throws(() => new ClipLesson(model, batchesOf(plain), teachers), /there are 2 teachers, expected none/);
  for (const t of [vectors, stills, some, moving, unnamed, seen, described, ...answers, ...encoded]) t.dispose();
  for (const m of [model, ...teachers]) m.dispose();
});

test('clips without names are a function of their step and show nothing that is kept apart', () => {
  const batches = batchesOf(taughtRecipe({ teacher: { ...TINY_TAUGHT.clips!.teacher!, clips: 16, captions: { clips: 16, weight: 1, temperature: 1 } } }));
  const later = batches.at(5);
  batches.at(2);
  assert.equal(batches.at(5), later);
  const bare = batchesOf(recipeWith()).at(5);
  for (const field of ['clips', 'texts', 'answers', 'groups'] as const) assert.equal(later[field], bare[field], `${field} are those of a run without teachers`);
  assert.is(later.free!.clips.length, 16 * 4 * 3 * EDGE * EDGE);
  assert.ok(later.free!.motions.length === 16 && new Set(later.free!.motions).size > 4 && Math.max(...later.free!.motions) < MOTIONS.length);
  assert.ok(later.questions.slice(-16).every(q => QUESTIONS.caption.includes(q)) && later.questions.slice(-32, -16).every(q => QUESTIONS.object.includes(q)));
  assert.is(new Set(later.free!.drawings.map(({ levels }) => Array.from(levels).join())).size, 16, 'every drawing is another');
});

test('recorded steps give the bits of steps that are enqueued op by op, and the loss falls', async () => {
  const d = await device();
  const [planned, eager] = [await trainerOf(d), await trainerOf(d, recipeWith(), false)];
  const losses: number[] = [];
  while (planned.step < 5) {
    const [a, b] = [await planned.advance(), await eager.advance()];
    assert.equal({ ...a, timeMs: 0 }, { ...b, timeMs: 0 });
    losses.push(a.loss);
  }
  assert.equal(different(await bitsOf(planned), await bitsOf(eager)), []);
  assert.ok(losses.every(Number.isFinite));
  release(planned);
  release(eager);
});

test.when(isNode, 'states are files, which a page cannot write', 'a run with teachers that is stopped and resumed has the bits of one that was not; teachers and texts keep theirs', () => inFolder(async folder => {
  const d = await device();
  const teachers = await teachersOf(d);
  const valuesOf = async (model: VLJEPA, part = ''): Promise<string> => (await Promise.all([...model.tensors()].filter(([name]) => name.startsWith(part)).map(async ([, t]) => (await t.read()).join()))).join();
  const taught = (clips?: Changes): Promise<Trainer> => trainerOf(d, taughtRecipe(clips), true, teachers);
  const whole = await taught();
  const [known, texts] = [await valuesOf(teachers[1]!), await valuesOf(whole.model, 'text')];
  while (whole.step < 4) await whole.advance();
  const part = await taught();
  while (part.step < 2) await part.advance();
  await part.save(folder);
  release(part);
  const resumed = await taught();
  assert.ok(await resumed.resume(folder, assert.unreachable));
  while (resumed.step < 4) await resumed.advance();
  assert.equal(different(await bitsOf(whole), await bitsOf(resumed)), []);
  assert.ok(known === await valuesOf(teachers[1]!), 'a teacher does not learn');
  assert.ok(texts === await valuesOf(whole.model, 'text'), 'texts stay where the teachers put them');
  release(resumed);
  const other = await taught({ teacher: { ...TINY_TAUGHT.clips!.teacher!, start: ['other weights'] } });
  const error = await other.resume(folder, assert.unreachable).then(() => undefined, (e: Error) => e);
  assert.match(error!.message, /was made with other settings \(clips was/);
  release(whole);
  release(other);
  for (const teacher of teachers) teacher.dispose();
}));

test('frozen parts and parts with a rate of 0 keep their weights; the others learn', async () => {
  const d = await device();
  const train = { ...TRAIN_ALL, vision: false };
  const trainer = await trainerOf(d, recipeWith({ textLr: 0, weightDecay: 0.1 }, { train }));
  const read = async (): Promise<Map<string, string>> => new Map(await Promise.all([...trainer.model.tensors()].map(async ([name, t]): Promise<[string, string]> => [name, (await t.read()).join()])));
  const before = await read();
  while (trainer.step < 3) await trainer.advance();
  const changed = different(before, await read());
  assert.equal(changed.filter(n => n.startsWith('vision.') || n.startsWith('text.')), []);
  for (const part of ['predictor.model.layers.0.self_attn.q_proj.weight', 'predictor.model.embed_tokens.weight', 'text_head.weight', 'visual_projection.weight']) assert.ok(changed.includes(part), part);
  release(trainer);
});

test('the temporal start moves two frames apart and leaves still pictures as they were', async () => {
  const d = await device();
  const waves = slowWaves(3, 8, 1);
  const values = Float32Array.from({ length: 3 * 3 * 2 * 64 }, (_, i) => Math.sin(i));
  const weight = Tensor.from(d, values, [3, 3, 2, 8, 8]);
  await startTemporal(weight, 2, 1);
  const after = await weight.read();
  for (let u = 0; u < 3; u++) for (let c = 0; c < 3; c++) for (let i = 0; i < 64; i++) {
    const [a, b] = [((u * 3 + c) * 2) * 64 + i, ((u * 3 + c) * 2 + 1) * 64 + i];
    assert.ok(Math.abs(after[a]! + after[b]! - values[a]! - values[b]!) < 1e-5);
    assert.ok(Math.abs(after[b]! - after[a]! - (values[b]! - values[a]!) - 2 * waves[u * 64 + i]!) < 1e-5);
  }
  const norm = Math.hypot(...slowWaves(200, 24, 2)) / Math.sqrt(200);
  assert.ok(Math.abs(norm - 1 / 3) < 0.03, `norm of one wave per colour ${norm}, expected near 1/3`);
  weight.dispose();
});

test('broken recipes say what is wrong', () => {
  const bad = (pattern: RegExp, changes: Partial<Recipe>, clips: Changes = {}): void => { assert.throws(() => checkRecipe(recipeWith(changes, clips)), pattern); };
  checkRecipe(recipeWith());
  bad(/clips is 6, expected a multiple of 4/, {}, { clips: 6 });
  bad(/asked is 9, expected a whole number from 0 to 8/, {}, { asked: 9 });
  bad(/frames is 3, expected an even number/, {}, { sprites: { ...TINY_CLIPS.clips!.sprites, frames: 3 } });
  bad(/loss is siglip, expected info-nce in stage 2/, { loss: 'siglip' });
  bad(/microBatch is 2, expected none in stage 2/, { microBatch: 2 });
  bad(/motionWeight is -1, expected a number ≥ 0/, {}, { motionWeight: -1 });
  bad(/captions is empty/, {}, { captions: [] });
  const teacher = TINY_TAUGHT.clips!.teacher!;
  checkRecipe(TINY_TAUGHT);
  bad(/has a teacher and the Y-Encoder learns, expected --freeze-text/, {}, { teacher });
  bad(/teacher's weight is 0, expected a number > 0/, { freezeText: true }, { teacher: { ...teacher, weight: 0 } });
  bad(/teacher's names have weight -1 and temperature 0.05,/, { freezeText: true }, { teacher: { ...teacher, names: { ...teacher.names, weight: -1 } } });
  bad(/teacher's names have weight 3 and temperature 0,/, { freezeText: true }, { teacher: { ...teacher, names: { weight: 3, temperature: 0 } } });
  for (const captions of [{ clips: 5 }, { clips: 1.5 }, { weight: NaN }, { temperature: 0 }]) bad(/teacher's captions are of .* expected a whole number from 0 to 4, the clips, a number ≥ 0 and one > 0/, { freezeText: true }, { teacher: { ...teacher, captions: { ...teacher.captions, ...captions } } });
  bad(/teacher's clips are 2.5, expected a whole number/, { freezeText: true }, { teacher: { ...teacher, clips: 2.5 } });
  bad(/teacher's views are 3, expected an even number/, { freezeText: true }, { teacher: { ...teacher, views: { ...teacher.views, frames: 3 } } });
  bad(/there is no effect "glow"/, { freezeText: true }, { teacher: { ...teacher, augment: { glow: 1 } as object } });
  assert.throws(() => batchesOf(recipeWith({}, { clips: 32 })), /train: clips is 32, expected at most 24/);
  const { clips, ...without } = recipeWith();
  assert.ok(clips);
  assert.throws(() => batchesOf(without), /the recipe has no clips/);
});

test.run();
