// The mutation program plants what it says: distinct places inside code, the same for the same seed, and its list of survivors is about lines that exist.
import type { Kernel } from '../../engine/dispatch.ts';
import { KERNELS, SPECIAL } from '../../kernels/wgsl.gen.ts';
import { assert, isNode, suite } from '../harness.ts';
import { drawSites, ownText, planted } from './select.ts';
import { sitesOf } from './sites.ts';
import { checkOf, summary } from './summary.ts';
import { entriesOf, parse, withoutComments } from './tokens.ts';

const test = suite('mutation');

const CODE = `override WG: u32 = 64u;
struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // 1 + 2
fn half(v: vec2<f32>) -> f32 { return 0.5 * v.x; }
@compute @workgroup_size(WG)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.rows) { return; } // i < 3
  y[i + 1u] = min(half(vec2<f32>(-1.0, 2.0)), params.eps);
}
@compute @workgroup_size(WG)
fn other() { y[0] = 1.0; }
`;

test('faults of each kind are found where they are, and nowhere in types, comments and declarations', () => {
  const found = sitesOf('one', CODE).map(s => `${s.line} ${s.kind} ${s.from}>${s.to}`);
  for (const wanted of [
    '5 constant 0.5>1.0', '5 arithmetic *>+', '5 component x>y', '8 component x>y', '9 comparison >=>>', '9 comparison >=><', '9 condition i >= params.rows>false', '9 parameter rows>cols',
    '10 offset 1u>2u', '10 offset 1u>0u', '10 arithmetic +>-', '10 function min>max', '10 sign ->', '10 bounds min(half(vec2<f32>(-1.0, 2.0)), params.eps)>params.eps', '13 constant 1.0>2.0',
    '10 statement y[i + 1u] = min(half(vec2<f32>(-1.0, 2.0)), params.eps)>',
  ]) assert.ok(found.includes(wanted), `${wanted} is missing in\n${found.join('\n')}`);
  assert.equal(found.filter(f => /^[1-46] |^7 /.test(f)), []);
  assert.equal(found.filter(f => /f32|vec2>/.test(f) && !/bounds|statement/.test(f)), []);
});

test('a fault belongs to the entry points that reach it', () => {
  const p = parse(CODE);
  assert.equal([...entriesOf(p, 'half')], ['forward']);
  assert.equal([...entriesOf(p, 'other')], ['other']);
  assert.equal([...entriesOf(p, '')], ['forward', 'other']);
});

test('the drawn faults are distinct, inside code, over every file, and the same for the same seed', () => {
  const drawn = drawSites(KERNELS, { count: 400, seed: 1 });
  const again = drawSites(KERNELS, { count: 400, seed: 1 });
  const other = drawSites(KERNELS, { count: 400, seed: 2 });
  assert.ok(drawn.length >= 390);
  assert.equal(drawn, again);
  const key = (s: (typeof drawn)[number]): string => `${s.file} ${s.start} ${s.end} ${s.to}`;
  assert.is(new Set(drawn.map(key)).size, drawn.length);
  assert.ok(other.filter(s => !drawn.some(d => key(d) === key(s))).length > 100);
  assert.equal((KERNELS as readonly Kernel[]).map(k => k.name).filter(n => !drawn.some(s => s.file === n)), []);
  for (const s of drawn) {
    const text = s.file === 'special' ? SPECIAL : ownText((KERNELS as readonly Kernel[]).find(k => k.name === s.file)!);
    assert.is(text.slice(s.start, s.end), s.from);
    assert.not.equal(s.from, s.to);
    assert.is(withoutComments(text).slice(s.start, s.start + 1), s.from[0]!, `${s.file}:${s.line} lies in a comment`);
    const texts = planted(KERNELS, s);
    assert.ok(texts.size > 0);
    for (const [name, code] of texts) assert.not.equal(code, (KERNELS as readonly Kernel[]).find(k => k.name === name)!.code);
  }
});

test('counts: refused faults do not count, a survivor needs a reason', () => {
  const [a, b, c] = sitesOf('one', CODE);
  const judged = [
    { site: a!, verdict: { result: 'killed', detail: 'first result NMSE 1', by: 'x' } }, { site: b!, verdict: { result: 'refused', detail: '' } }, { site: c!, verdict: { result: 'survived', cases: 3 } },
  ] as const;
  const lines = (): { before: string; after: string } => ({ before: 'a', after: 'b' });
  const run = { seed: 1, count: 3, adapter: 'none', broken: [] };
  const bare = summary(judged, [], lines, run);
  assert.equal([bare.planted, bare.refused, bare.compiled, bare.killed, bare.score, bare.survivors.length, bare.survivors[0]!.reason], [3, 1, 2, 1, 50, 1, undefined]);
  const listed = summary(judged, [{ file: 'one', before: 'a', after: 'b', reason: 'the same' }], lines, run);
  assert.equal([listed.scoreOfVisible, listed.survivors[0]!.reason], [100, 'the same']);
  assert.is(checkOf('gradient of input 1 NMSE 3'), 'gradient');
});

test.when(isNode, 'reads the list from the sources', 'the listed survivors are about lines that exist, each with a reason', async () => {
  const { readFile } = await import('node:fs/promises');
  const list = JSON.parse(await readFile(new URL('../../../test/mutation/survivors.json', import.meta.url), 'utf8')) as { file: string; before: string; after: string; reason: string }[];
  const stale = list.filter(({ file, before, after, reason }) => {
    const text = file === 'special' ? SPECIAL : ownText((KERNELS as readonly Kernel[]).find(k => k.name === file)!);
    return !text.split('\n').some(l => l.trim() === before) || before === after || reason.length < 20;
  });
  assert.equal(stale, []);
});

test.run();
