// Writes the attention kernels for GPUs, kernels/attention_tiled*.wgsl, from the table below: node kernels/gen_attention_tiled.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// keys: keys per step, four per column of invocations; 16 rows of invocations own four queries each. 32 keys keep to the 16 KiB of workgroup memory that
// every device has, 64 want 32 KiB.
const FILES = { attention_tiled32: { keys: 32 }, attention_tiled64: { keys: 64 } };
const QUERIES = 64;
/** Head dimensions of the entry points, in slices of 64 that an invocation row collects side by side. */
const SLICES = { forward_64: 1, forward_128: 2, forward_256: 4 };
/** Numbers of the head dimension that lie in workgroup memory at once while scores are summed. */
const DEPTH = 32;

const each = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const head = ({ keys }) => `// y_i = sum_j softmax(scale * q_i . k_j)_j v_j, a product of matrices on either side of the exponential (Dao et al. 2022, arXiv 2205.14135).
// Written by kernels/gen_attention_tiled.mjs: change the generator. For GPUs: workgroup memory and barriers, which software adapters pay dearly.
// ${4 * keys} invocations own ${QUERIES} queries of one head and walk the keys in steps of ${keys}: scores in tiles of 4 × 4 per invocation, then their exponentials through
// workgroup memory, then tiles of 4 × ${256 / keys * 2} of the result per 64 of the head dimension. Keys outside causality and window are skipped step by step.
// Scores count in powers of two: log2(e) goes into q with the scale.
alias Elem = vec4f;
const LOWEST = -3.4e38; // stands for minus infinity
const LOG2_E = 1.44269504;
const LN_2 = 0.693147181;
const QUADS = ${keys / 4}u; // of keys in a step, and invocations side by side

struct Params {
  batch: u32, heads: u32, kv_heads: u32, tq: u32, tk: u32,
  width: u32,                // Elems per head
  masked: u32, causal: u32,  // flags
  window: u32,               // allowed when |i - j| < window; 0 is no window
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<QStored>;       // [B, Tq, H, Dh]
@group(0) @binding(2) var<storage, read> k: array<KStored>;       // [B, Tk, Hkv, Dh]
@group(0) @binding(3) var<storage, read> v: array<VStored>;       // [B, Tk, Hkv, Dh]
@group(0) @binding(4) var<storage, read> key_mask: array<u32>;    // [B, Tk], 1 is a real key; not read unless masked
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;    // [B, Tq, H, Dh]
@group(0) @binding(6) var<storage, read_write> sums: array<vec2f>; // [B, H, Tq] of m, 1 / l

// First ${DEPTH} numbers of the queries and then of the keys, in fours of rows, turned so that neighbours store to different banks; then the weights of a step in
// fours of queries, and behind them the maxima of each invocation, and later 64 numbers of its v.
var<workgroup> room: array<vec4f, ${keys * 32}>;

fn key_low(i: u32) -> u32 { return select(0u, max(i + 1u, params.window) - params.window, params.window > 0u); }
fn key_high(i: u32) -> u32 {
  let near = select(params.tk, min(params.tk, i + params.window), params.window > 0u);
  return select(near, min(near, i + 1u), params.causal > 0u);
}
fn real_key(b: u32, j: u32) -> bool {
  if (params.masked == 0u) { return true; }
  return key_mask[b * params.tk + min(j, params.tk - 1u)] != 0u;
}
fn hidden(s: vec4f, real: bool, j: u32, low: vec4u, high: vec4u) -> vec4f { return select(vec4f(LOWEST), s, vec4<bool>(real) & (low <= vec4u(j)) & (vec4u(j) < high)); }
fn power(s: vec4f, most: vec4f, real: bool, j: u32, low: vec4u, high: vec4u) -> vec4f {
  return select(vec4f(), exp2(s - most), vec4<bool>(real) & (low <= vec4u(j)) & (vec4u(j) < high));
}
`;

/** Elems d to d + ${DEPTH / 4} of the head dimension of all queries and keys of a step, into workgroup memory. */
const loads = ({ keys }) => [
  `for (var n = lane; n < ${(QUERIES + keys) * DEPTH / 16}u; n += ${4 * keys}u) {`,
  `  let mine = n % ${DEPTH / 4}u; // which Elem, and how far the fours are turned`,
  `  let four = n / ${DEPTH / 4}u;`,
  '  let at = min(d + mine, params.width - 1u);',
  '  var rows: mat4x4f;',
  `  if (four < ${QUERIES / 4}u) {`,
  '    let i = first_row + 4u * four;',
  `    rows = mat4x4f(${each(4, c => `load_q(q_start + min(i + ${c}u, last_row) * q_step + at)`).join(', ')}) * factor;`,
  '  } else {',
  `    let i = j + 4u * (four - ${QUERIES / 4}u);`,
  `    rows = mat4x4f(${each(4, c => `load_k(kv_start + min(i + ${c}u, params.tk - 1u) * kv_step + at)`).join(', ')});`,
  '  }',
  '  let turned = transpose(rows);',
  `  let across = select(QUADS, ${QUERIES / 4}u, four < ${QUERIES / 4}u);`,
  `  let place = select(${DEPTH * QUERIES / 4}u + ((four - ${QUERIES / 4}u) ^ mine), four ^ mine, four < ${QUERIES / 4}u) + 4u * mine * across;`,
  '  let kept = d + mine < params.width;',
  ...each(4, c => `  room[place + ${c}u * across] = select(vec4f(), turned[${c}], kept);`),
  '}',
];

const indent = (lines, by) => lines.map(l => ' '.repeat(by) + l);

function entry(name, slices, { keys }) {
  const wide = 64 / keys; // fours of columns per invocation and slice
  const P = keys * QUERIES / 4;
  const all = f => each(slices, s => each(wide, n => each(4, r => f(`o${s}_${n}_${r}`, s, n, r)).join(' '))).flat();
  return [
    '', `@compute @workgroup_size(${4 * keys})`,
    `fn ${name}(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {`,
    ...indent([
      `let tiles = (params.tq + ${QUERIES - 1}u) / ${QUERIES}u;`,
      'let id = wid.x + wid.y * nwg.x;',
      'let bh = id / tiles;',
      'if (bh >= params.batch * params.heads) { return; }',
      `let first_row = (id % tiles) * ${QUERIES}u;`,
      `let last_row = min(first_row + ${QUERIES}u, params.tq) - 1u;`,
      'let tx = lane % QUADS;', 'let ty = lane / QUADS;',
      'let b = bh / params.heads;', 'let h = bh % params.heads;',
      'let q_step = params.heads * params.width;', 'let q_start = b * params.tq * q_step + h * params.width;',
      'let kv_step = params.kv_heads * params.width;', 'let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * params.width;',
      'let factor = params.scale * LOG2_E;',
      'let own = first_row + 4u * ty;',
      `let low = vec4u(${each(4, r => `key_low(own + ${r}u)`).join(', ')});`,
      `let high = vec4u(${each(4, r => `key_high(own + ${r}u)`).join(', ')});`,
      'var m = vec4f(LOWEST);', 'var l = vec4f(); // of this invocation\'s keys',
      ...all(o => `var ${o} = vec4f();`),
      'let begin = key_low(first_row);',
      'let end = key_high(last_row);',
      `for (var j = begin; j < end; j += ${keys}u) {`,
      ...indent([
        ...each(4, c => `var s${c} = vec4f();`),
        `for (var d = 0u; d < params.width; d += ${DEPTH / 4}u) {`,
        '  workgroupBarrier(); // what others still read',
        ...indent(loads({ keys }), 2),
        '  workgroupBarrier();',
        `  for (var n = 0u; n < ${DEPTH}u; n++) {`,
        `    let a = room[n * ${QUERIES / 4}u + (ty ^ (n / 4u))];`,
        `    let c = room[${DEPTH * QUERIES / 4}u + n * QUADS + (tx ^ (n / 4u))];`,
        `    ${each(4, c => `s${c} = fma(a, vec4f(c[${c}]), s${c});`).join(' ')}`,
        '  }', '}',
        'let key = j + 4u * tx;',
        ...each(4, c => `let real${c} = real_key(b, key + ${c}u); s${c} = hidden(s${c}, real${c}, key + ${c}u, low, high);`),
        'workgroupBarrier();',
        `room[${P}u + tx * 16u + ty] = max(max(s0, s1), max(s2, s3));`,
        'workgroupBarrier();',
        'var n = m;',
        `for (var t = 0u; t < QUADS; t++) { n = max(n, room[${P}u + t * 16u + ty]); }`,
        'let keep = exp2(m - n);',
        'm = n;',
        ...each(4, c => `s${c} = power(s${c}, n, real${c}, key + ${c}u, low, high); room[(4u * tx + ${c}u) * 16u + ty] = s${c};`),
        'l = l * keep + ((s0 + s1) + (s2 + s3));',
        ...all((o, s, n, r) => `${o} *= keep[${r}];`),
        ...each(slices, s => [
          'workgroupBarrier();',
          `for (var t = lane; t < ${keys * 16}u; t += ${4 * keys}u) {`,
          `  let d = ${16 * s}u + t % 16u;`,
          `  room[${P}u + t] = select(vec4f(), load_v(kv_start + min(j + t / 16u, params.tk - 1u) * kv_step + min(d, params.width - 1u)), d < params.width);`,
          '}',
          'workgroupBarrier();',
          `for (var t = 0u; t < ${keys}u; t++) {`,
          '  let p = room[t * 16u + ty];',
          ...each(wide, n => `  let v${n} = room[${P}u + t * 16u + tx${n ? ` + ${n}u * QUADS` : ''}]; ${each(4, r => `o${s}_${n}_${r} = fma(vec4f(p[${r}]), v${n}, o${s}_${n}_${r});`).join(' ')}`),
          '}',
        ]).flat(),
      ], 2),
      '}',
      'workgroupBarrier();',
      'room[tx * 16u + ty] = l;',
      'workgroupBarrier();',
      'var total = vec4f();',
      'for (var t = 0u; t < QUADS; t++) { total += room[t * 16u + ty]; }',
      'let share = select(1.0 / total, vec4f(), total == vec4f()); // the sum is at least 1 where a key is allowed, and NaN where a logit is',
      ...each(4, r => [
        `if (own + ${r}u < params.tq) {`,
        `  let at = q_start + (own + ${r}u) * q_step;`,
        `  if (tx == 0u) { sums[bh * params.tq + own + ${r}u] = vec2f(m[${r}] * LN_2, share[${r}]); }`,
        ...each(slices, s => each(wide, n => `  if (${16 * s + n * keys / 4}u + tx < params.width) { y[at + ${16 * s + n * keys / 4}u + tx] = o${s}_${n}_${r} * share[${r}]; }`)).flat(),
        '}',
      ]).flat(),
    ], 2),
    '}',
  ];
}

const folder = dirname(fileURLToPath(import.meta.url));
for (const [name, file] of Object.entries(FILES)) {
  const text = `${[head(file).trimEnd(), ...Object.entries(SLICES).flatMap(([entryName, slices]) => entry(entryName, slices, file))].join('\n')}\n`;
  const path = join(folder, `${name}.wgsl`);
  if (!process.argv.includes('--check')) writeFileSync(path, text);
  else if (readFileSync(path, 'utf8') !== text) {
    console.error(`kernels/${name}.wgsl is stale: run node kernels/gen_attention_tiled.mjs`);
    process.exitCode = 1;
  }
}
