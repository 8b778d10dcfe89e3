// Writes the register-tiled attention kernels, kernels/attention*.wgsl, from the table below: node kernels/gen_attention.mjs [--check]
// Tiles are unrolled as named variables because private arrays indexed in loops are ruinous on software adapters.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// rows: own rows per invocation; block: rows of the other side per step, a multiple of 4 and of lanes. One pair for the forward, one for the backward.
// lanes: the subgroup size the file is made for. Each lane then loads other rows and shares them by broadcast; 0 is without subgroups.
// Every load costs lavapipe's compiler about 0.1 s (it unrolls the lanes), which is why the files without subgroups have small tiles.
const FILES = {
  attention: { vector: true, lanes: 0, forward: { rows: 4, block: 4 }, backward: { rows: 2, block: 4 } },
  attention_scalar: { vector: false, lanes: 0, forward: { rows: 4, block: 8 }, backward: { rows: 4, block: 4 } },
  attention_lanes4: { vector: true, lanes: 4, forward: { rows: 4, block: 16 }, backward: { rows: 4, block: 8 } },
  attention_lanes8: { vector: true, lanes: 8, forward: { rows: 2, block: 16 }, backward: { rows: 2, block: 16 } },
};

const range = n => Array.from({ length: n }, (_, i) => i);
const indent = (lines, by) => lines.map(l => ' '.repeat(by) + l);
const each = (n, f) => range(n).map(f);
/** An element of a binding: the inputs of the op may be stored small, so they have load functions (engine/storage.ts). */
const read = (array, at) => 'qkv'.includes(array) ? `load_${array}(${at})` : `${array}[${at}]`;

const head = ({ vector, lanes, forward, backward }) => `// Attention: s_ij = scale * q_i . k_j over the allowed keys, y_i = sum_j softmax(s_i)_j v_j (Dao et al. 2022, arXiv 2205.14135). Streaming softmax,
// the maximum m and the sum l of each row are kept, apart: their logarithm in one number would lose digits at large logits. The backward recomputes
// p_ij = exp(s_ij - m_i) / l_i, with D_i = dy_i . y_i and ds_ij = p_ij (dy_i . v_j - D_i).
// Written by kernels/gen_attention.mjs: change the generator. Barrier-free: one invocation owns ROWS rows of one head and walks the other side in blocks;
// sums over the head dimension run in loops, and the outputs collect in their own memory, so any head dimension fits${vector ? ' (here in multiples of 4)' : ''}.
// uses: exp_neg4, exp_neg_of
${lanes ? `// A workgroup is one subgroup of ${lanes} lanes on one head: each lane loads its share of a block and broadcasts it, because a software adapter pays for a load
// lane by lane. Rows beyond the end are clamped to the last row and not written.
enable subgroups;` : '// Rows beyond the end are clamped to the last row, inside one invocation: they compute and write the same values twice.'}
alias Elem = ${vector ? 'vec4f' : 'f32'};
${lanes ? `const WG = ${lanes}u;` : 'override WG: u32 = 32u;'}
const LOWEST = -3.4e38; // stands for minus infinity
const ROWS = ${forward.rows}u;           // queries per invocation, forward
const BLOCK = ${forward.block}u;          // keys per step, forward
const BACKWARD_ROWS = ${backward.rows}u;
const BACKWARD_BLOCK = ${backward.block}u;

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
@group(0) @binding(7) var<storage, read> stats: array<vec4f>;     // [B, H, Tq] of m, 1 / l, D
@group(0) @binding(8) var<storage, read> dy: array<Elem>;         // [B, Tq, H, Dh]
@group(0) @binding(9) var<storage, read_write> dq: array<Elem>;   // [B, Tq, H, Dh]
@group(0) @binding(10) var<storage, read_write> dk: array<Elem>;  // [B, Tk, Hkv, Dh]
@group(0) @binding(11) var<storage, read_write> dv: array<Elem>;  // [B, Tk, Hkv, Dh]

${vector ? `// s + (a . b0, a . b1, a . b2, a . b3)
fn dots(s: vec4f, a: Elem, b0: Elem, b1: Elem, b2: Elem, b3: Elem) -> vec4f {
  let sx = fma(vec4f(a.x), vec4f(b0.x, b1.x, b2.x, b3.x), s);
  let sy = fma(vec4f(a.y), vec4f(b0.y, b1.y, b2.y, b3.y), sx);
  let sz = fma(vec4f(a.z), vec4f(b0.z, b1.z, b2.z, b3.z), sy);
  return fma(vec4f(a.w), vec4f(b0.w, b1.w, b2.w, b3.w), sz);
}` : `// s + a (b0, b1, b2, b3)
fn dots(s: vec4f, a: Elem, b0: Elem, b1: Elem, b2: Elem, b3: Elem) -> vec4f { return fma(vec4f(a), vec4f(b0, b1, b2, b3), s); }`}
// sum + w.x b0 + w.y b1 + w.z b2 + w.w b3
fn blend(sum: Elem, w: vec4f, b0: Elem, b1: Elem, b2: Elem, b3: Elem) -> Elem {
  return fma(Elem(w.w), b3, fma(Elem(w.z), b2, fma(Elem(w.y), b1, fma(Elem(w.x), b0, sum))));
}
fn top(s: vec4f) -> f32 { return max(max(s.x, s.y), max(s.z, s.w)); }
fn total(s: vec4f) -> f32 { return (s.x + s.y) + (s.z + s.w); }
fn four(j: u32) -> vec4u { return vec4u(j, j + 1u, j + 2u, j + 3u); }

// Keys that query i may see: [key_low, key_high); queries that may see key j: [query_low, query_high).
fn key_low(i: u32) -> u32 { return select(0u, max(i + 1u, params.window) - params.window, params.window > 0u); }
fn key_high(i: u32) -> u32 {
  let near = select(params.tk, min(params.tk, i + params.window), params.window > 0u);
  return select(near, min(near, i + 1u), params.causal > 0u);
}
fn query_low(j: u32) -> u32 { return select(key_low(j), j, params.causal > 0u); }
fn query_high(j: u32) -> u32 { return select(params.tq, min(params.tq, j + params.window), params.window > 0u); }
fn inside(at: vec4u, low: u32, high: u32) -> vec4<bool> { return (at >= vec4u(low)) & (at < vec4u(high)); }
fn real_key(b: u32, j: u32) -> bool {
  if (params.masked == 0u) { return true; }
  return key_mask[b * params.tk + min(j, params.tk - 1u)] != 0u;
}
${lanes ? '' : `fn real_keys(b: u32, j: u32) -> vec4<bool> {
  return vec4<bool>(real_key(b, j), real_key(b, j + 1u), real_key(b, j + 2u), real_key(b, j + 3u));
}
`}`;

const signature = (name, lanes) => [
  '@compute @workgroup_size(WG)',
  `fn ${name}(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32${lanes ? `,
    @builtin(subgroup_invocation_id) sub: u32` : ''}) {`,
];

/** From the ids to bh, the first own row `start` of the invocation and the span of own rows [first_row, last_row] that share a loop over the other side. */
const place = (lanes, rows, length, heads) => lanes ? [
  `let tiles = (${length} + ${rows} * WG - 1u) / (${rows} * WG);`,
  'let id = wid.x + wid.y * nwg.x;',
  'let bh = id / tiles;',
  `if (bh >= params.batch * ${heads}) { return; }`,
  `let first_row = (id % tiles) * ${rows} * WG;`,
  `let last_row = min(first_row + ${rows} * WG, ${length}) - 1u;`,
  `let start = first_row + lane * ${rows};`,
] : [
  `let tiles = (${length} + ${rows} - 1u) / ${rows};`,
  'let id = (wid.x + wid.y * nwg.x) * WG + lane;',
  'let bh = id / tiles;',
  `if (bh >= params.batch * ${heads}) { return; }`,
  `let start = (id % tiles) * ${rows};`,
  'let first_row = start;',
  `let last_row = min(start + ${rows}, ${length}) - 1u;`,
];

/** Where the rows of a block lie: all of them, or those that this lane loads. */
const pointers = (lanes, block, name, row, base, step) => pack(each(lanes ? block / lanes : block, n =>
  `let ${name}${n} = ${base} + min(${row} + ${lanes ? `${n * lanes}u + sub` : `${n}u`}, ${name === 'k' ? 'params.tk' : 'params.tq'} - 1u) * ${step};`));

/** Puts short statements side by side, in lines of at most 150 characters; statements with a comment stay alone. */
function pack(statements) {
  const lines = [];
  for (const s of statements) {
    const last = lines.at(-1);
    if (last !== undefined && !last.includes('//') && !s.includes('//') && last.length + s.length < 140) lines[lines.length - 1] = `${last} ${s}`;
    else lines.push(s);
  }
  return lines;
}

/** SwiftShader broadcasts inside a quad in fewer steps: the forward went from 4.3 to 5.1 GFLOP/s. */
const broadcast = lanes => (lanes === 4 ? 'quadBroadcast' : 'subgroupBroadcast');

/** for d: load own Elems, then for each group of four other rows load them as b0 to b3 and run `use`. */
function overWidth({ lanes, block }, own, array, at, use, after) {
  const four = g => lanes
    ? each(4, n => `let b${n} = ${broadcast(lanes)}(x${Math.floor((g * 4 + n) / lanes)}, ${(g * 4 + n) % lanes}u);`)
    : each(4, n => `let b${n} = ${read(array, `${at}${g * 4 + n} + d`)};`);
  return [
    'for (var d = 0u; d < width; d++) {',
    ...indent(pack(own), 2),
    ...(lanes ? indent(pack(each(block / lanes, n => `let x${n} = ${read(array, `${at}${n} + d`)};`)), 2) : []),
    ...range(block / 4).flatMap(g => ['  {', ...indent(pack(four(g)), 4), ...indent(pack(use(g)), 4), '  }']),
    ...indent(pack(after ?? []), 2),
    '}',
  ];
}
const B = 'b0, b1, b2, b3';

/** Which keys of the block are real, as real0, real1, ... of four keys each. */
const realKeys = ({ lanes, block }) => lanes ? [
  ...each(block / lanes, n => `let marks${n} = select(0u, 1u, real_key(b, j + ${n * lanes}u + sub));`),
  ...each(block / 4, g => `let real${g} = vec4<bool>(${each(4, n => `subgroupBroadcast(marks${Math.floor((g * 4 + n) / lanes)}, ${(g * 4 + n) % lanes}u) != 0u`).join(', ')});`),
] : each(block / 4, g => `let real${g} = real_keys(b, j + ${g * 4}u);`);

/** Writes own rows; with lanes, clamped rows of other invocations may coincide with a live row. */
const put = (lanes, r, target, value) => lanes ? `if (live${r}) { ${target} = ${value}; }` : `${target} = ${value};`;
const zeros = (R, G, names) => pack(R.flatMap(r => G.flatMap(g => names.map(n => `var ${n}${r}_${g} = vec4f(0.0);`))));
/** name r_g += own Elem of `own` . other rows of `array` */
const products = (t, R, name, own, ownAt, array, at) =>
  overWidth(t, R.map(r => `let a${r} = ${read(own, `${ownAt}${r} + d`)};`), array, at, g => R.map(r => `${name}${r}_${g} = dots(${name}${r}_${g}, a${r}, ${B});`));
/** target += weights r_g times the other rows of `array` */
const collect = (t, R, name, target, targetAt, keep, array, at) =>
  overWidth(t, R.map(r => `var o${r} = select(${target}[${targetAt}${r} + d]${keep ? ` * ${keep}${r}` : ''}, Elem(0.0), first);`), array, at,
    g => R.map(r => `o${r} = blend(o${r}, ${name}${r}_${g}, ${B});`), R.map(r => put(t.lanes, r, `${target}[${targetAt}${r} + d]`, `o${r}`)));
const queryRow = (lanes, r, rest) => pack([
  `let i${r} = min(start + ${r}u, params.tq - 1u);`,
  ...(lanes ? [`let live${r} = start + ${r}u < params.tq;`] : []),
  `let q${r} = ((b * params.tq + i${r}) * params.heads + h) * width;`,
  `let low${r} = key_low(i${r});`,
  `let high${r} = key_high(i${r});`,
  ...rest,
]);
const queryHeads = [
  'let b = bh / params.heads;',
  'let h = bh % params.heads;',
  'let width = params.width;',
  'let kv_step = params.kv_heads * width;',
  'let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * width;',
];

function forward(t) {
  const { rows, block, lanes } = t;
  const R = range(rows), G = range(block / 4);
  return [
    '// y and the sums of ROWS queries. y stays normalised after each block, so nothing is left to do at the end.',
    ...signature('forward', lanes),
    ...indent([
      ...place(lanes, 'ROWS', 'params.tq', 'params.heads'),
      ...queryHeads,
      ...R.flatMap(r => queryRow(lanes, r, [`var m${r} = LOWEST;`, `var l${r} = 0.0;`])),
      'let begin = min(key_low(first_row), params.tk - 1u); // at least one block, so that rows without keys get their zeros',
      'let end = max(key_high(last_row), begin + 1u);',
      'for (var j = begin; j < end; j += BLOCK) {',
      ...indent([
        ...pointers(lanes, block, 'k', 'j', 'kv_start', 'kv_step'),
        ...zeros(R, G, ['s']),
        ...products(t, R, 's', 'q', 'q', 'k', 'k'),
        ...realKeys(t),
        ...R.flatMap(r => pack([
          ...G.flatMap(g => [
            `let ok${r}_${g} = real${g} & inside(four(j + ${g * 4}u), low${r}, high${r});`,
            `s${r}_${g} = select(vec4f(LOWEST), s${r}_${g} * params.scale, ok${r}_${g});`,
          ]),
          `let n${r} = ${G.reduce((a, g) => `max(${a}, top(s${r}_${g}))`, `m${r}`)};`,
          ...G.map(g => `s${r}_${g} = select(vec4f(0.0), exp_neg4(s${r}_${g} - n${r}), ok${r}_${g});`),
          `let old${r} = l${r} * exp_neg_of(m${r} - n${r});`,
          `m${r} = n${r};`,
          `l${r} = old${r} + ${G.map(g => `total(s${r}_${g})`).reduce((a, c) => `(${a} + ${c})`)};`,
          `let share${r} = select(1.0 / l${r}, 0.0, l${r} == 0.0);`,
          `let keep${r} = old${r} * share${r};`,
          ...G.map(g => `s${r}_${g} *= share${r};`),
        ])),
        'let first = j == begin; // y holds nothing yet, perhaps not even numbers',
        ...collect(t, R, 's', 'y', 'q', 'keep', 'v', 'k'),
      ], 2),
      '}',
      '// l is at least 1 where a key is allowed, and NaN where a logit is',
      ...R.map(r => put(lanes, r, `sums[bh * params.tq + i${r}]`, `vec2f(m${r}, select(1.0 / l${r}, 0.0, l${r} == 0.0))`)),
    ], 2),
    '}',
    '',
  ];
}

function backwardQ(t) {
  const { rows, block, lanes } = t;
  const R = range(rows), G = range(block / 4);
  return [
    '// dq_i = scale * sum_j ds_ij k_j of BACKWARD_ROWS queries.',
    ...signature('backward_q', lanes),
    ...indent([
      ...place(lanes, 'BACKWARD_ROWS', 'params.tq', 'params.heads'),
      ...queryHeads,
      ...R.flatMap(r => queryRow(lanes, r, [`let row${r} = stats[bh * params.tq + i${r}];`])),
      'let begin = min(key_low(first_row), params.tk - 1u);',
      'let end = max(key_high(last_row), begin + 1u);',
      'for (var j = begin; j < end; j += BACKWARD_BLOCK) {',
      ...indent([
        ...pointers(lanes, block, 'k', 'j', 'kv_start', 'kv_step'),
        ...zeros(R, G, ['s', 't']),
        ...products(t, R, 's', 'q', 'q', 'k', 'k'),
        ...products(t, R, 't', 'dy', 'q', 'v', 'k'),
        ...realKeys(t),
        ...R.flatMap(r => G.flatMap(g => [
          `let p${r}_${g} = exp_neg4(s${r}_${g} * params.scale - row${r}.x) * row${r}.y * (t${r}_${g} - row${r}.z) * params.scale;`,
          `s${r}_${g} = select(vec4f(0.0), p${r}_${g}, real${g} & inside(four(j + ${g * 4}u), low${r}, high${r}));`,
        ])),
        'let first = j == begin;',
        ...collect(t, R, 's', 'dq', 'q', '', 'k', 'k'),
      ], 2),
      '}',
    ], 2),
    '}',
    '',
  ];
}

function backwardKV(t) {
  const { rows, block, lanes } = t;
  const R = range(rows), G = range(block / 4);
  const stat = (n, field) => lanes ? `subgroupBroadcast(row${Math.floor(n / lanes)}.${field}, ${n % lanes}u)` : `row${n}.${field}`;
  const four = (g, field) => `vec4f(${each(4, n => stat(g * 4 + n, field)).join(', ')})`;
  return [
    '// dk_j = scale * sum_i ds_ij q_i and dv_j = sum_i p_ij dy_i of BACKWARD_ROWS keys, the query heads of the group one after the other.',
    ...signature('backward_kv', lanes),
    ...indent([
      ...place(lanes, 'BACKWARD_ROWS', 'params.tk', 'params.kv_heads'),
      'let b = bh / params.kv_heads;',
      'let h = bh % params.kv_heads;',
      'let width = params.width;',
      'let group = params.heads / params.kv_heads;',
      'let q_step = params.heads * width;',
      ...R.flatMap(r => pack([
        `let j${r} = min(start + ${r}u, params.tk - 1u);`,
        ...(lanes ? [`let live${r} = start + ${r}u < params.tk;`] : []),
        `let k${r} = ((b * params.tk + j${r}) * params.kv_heads + h) * width;`,
        `let low${r} = query_low(j${r});`,
        `let high${r} = select(0u, query_high(j${r}), real_key(b, j${r})); // a masked key is seen by no query`,
      ])),
      'let begin = min(query_low(first_row), params.tq - 1u);',
      'let end = max(query_high(last_row), begin + 1u);',
      'for (var n = 0u; n < group; n++) {',
      '  let head = h * group + n;',
      '  let q_start = b * params.tq * q_step + head * width;',
      '  let stats_start = (b * params.heads + head) * params.tq;',
      '  for (var i = begin; i < end; i += BACKWARD_BLOCK) {',
      ...indent([
        ...pointers(lanes, block, 'q', 'i', 'q_start', 'q_step'),
        ...pack(each(lanes ? block / lanes : block, n => `let row${n} = stats[stats_start + min(i + ${lanes ? `${n * lanes}u + sub` : `${n}u`}, params.tq - 1u)];`)),
        ...zeros(R, G, ['s', 't']),
        ...products(t, R, 's', 'k', 'k', 'q', 'q'),
        ...products(t, R, 't', 'v', 'k', 'dy', 'q'),
        ...G.flatMap(g => [`let most${g} = ${four(g, 'x')};`, `let share${g} = ${four(g, 'y')};`, `let along${g} = ${four(g, 'z')};`]),
        ...R.flatMap(r => G.flatMap(g => [
          `let p${r}_${g} = select(vec4f(0.0), exp_neg4(s${r}_${g} * params.scale - most${g}) * share${g}, inside(four(i + ${g * 4}u), low${r}, high${r}));`,
          `t${r}_${g} = p${r}_${g} * (t${r}_${g} - along${g}) * params.scale;`,
        ])),
        'let first = n == 0u && i == begin;',
        ...collect(t, R, 't', 'dk', 'k', '', 'q', 'q'),
        ...collect(t, R, 'p', 'dv', 'k', '', 'dy', 'q'),
      ], 4),
      '  }',
      '}',
    ], 2),
    '}',
    '',
  ];
}

const folder = dirname(fileURLToPath(import.meta.url));
for (const [name, file] of Object.entries(FILES)) {
  const { lanes } = file;
  const lines = [head(file), ...forward({ ...file.forward, lanes }), ...backwardQ({ ...file.backward, lanes }), ...backwardKV({ ...file.backward, lanes })];
  const text = `${lines.join('\n').trimEnd()}\n`;
  const path = join(folder, `${name}.wgsl`);
  if (!process.argv.includes('--check')) writeFileSync(path, text);
  else if (readFileSync(path, 'utf8') !== text) {
    console.error(`kernels/${name}.wgsl is stale: run node kernels/gen_attention.mjs`);
    process.exitCode = 1;
  }
}
