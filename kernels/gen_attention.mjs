// Writes the register-tiled attention kernels, kernels/attention*.wgsl, from the table below: node kernels/gen_attention.mjs [--check]
// Tiles are unrolled as named variables because private arrays indexed in loops are ruinous on software adapters.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// rows: own rows per invocation; block: rows of the other side per step, a multiple of 4. One pair for the forward, one for the backward.
const FILES = {
  attention: { vector: true, forward: { rows: 4, block: 8 }, backward: { rows: 4, block: 8 } },
  attention_wide: { vector: true, forward: { rows: 8, block: 16 }, backward: { rows: 8, block: 8 } },
  attention_scalar: { vector: false, forward: { rows: 4, block: 8 }, backward: { rows: 4, block: 8 } },
};

const range = n => Array.from({ length: n }, (_, i) => i);
const indent = (lines, by) => lines.map(l => ' '.repeat(by) + l);
const each = (n, f) => range(n).map(f);

const head = (name, vector, t) => `// Attention: s_ij = scale * q_i . k_j over the allowed keys, y_i = sum_j softmax(s_i)_j v_j (Dao et al. 2022, arXiv 2205.14135). Streaming softmax,
// the log-sum-exp of each row is kept; the backward recomputes p_ij = exp(s_ij - lse_i), with D_i = dy_i . y_i and ds_ij = p_ij (dy_i . v_j - D_i).
// Written by kernels/gen_attention.mjs: change the generator. Barrier-free: one invocation owns ROWS rows of one head and walks the other side in blocks;
// sums over the head dimension run in loops, and the outputs collect in their own memory, so any head dimension fits${vector ? ' (here in multiples of 4)' : ''}.
// Rows beyond the end are clamped to the last row: they compute and write the same values twice.
alias Elem = ${vector ? 'vec4f' : 'f32'};
override WG: u32 = 32u;
const LOWEST = -3.4e38; // stands for minus infinity
const ROWS = ${t.forward.rows}u;           // queries per invocation, forward
const BLOCK = ${t.forward.block}u;          // keys per step, forward
const BACKWARD_ROWS = ${t.backward.rows}u;
const BACKWARD_BLOCK = ${t.backward.block}u;

struct Params {
  batch: u32, heads: u32, kv_heads: u32, tq: u32, tk: u32,
  width: u32,                // Elems per head
  masked: u32, causal: u32,  // flags
  window: u32,               // allowed when |i - j| < window; 0 is no window
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Elem>;          // [B, Tq, H, Dh]
@group(0) @binding(2) var<storage, read> k: array<Elem>;          // [B, Tk, Hkv, Dh]
@group(0) @binding(3) var<storage, read> v: array<Elem>;          // [B, Tk, Hkv, Dh]
@group(0) @binding(4) var<storage, read> key_mask: array<u32>;    // [B, Tk], 1 is a real key; not read unless masked
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;    // [B, Tq, H, Dh]
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;   // [B, H, Tq]
@group(0) @binding(7) var<storage, read> stats: array<vec2f>;     // [B, H, Tq] of lse, D
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
// The clamp keeps exp inside the range where every adapter defines it.
fn exp_safe(x: vec4f) -> vec4f { return exp(clamp(x, vec4f(-87.3), vec4f(88.7))); }
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
fn real_keys(b: u32, j: u32) -> vec4<bool> {
  return vec4<bool>(real_key(b, j), real_key(b, j + 1u), real_key(b, j + 2u), real_key(b, j + 3u));
}
`;

const signature = name => [
  '@compute @workgroup_size(WG)',
  `fn ${name}(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {`,
];

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

/** for d: load own rows and groups of four other rows, run `use` on them. */
function overWidth(own, groups, load, use, after = []) {
  return [
    'for (var d = 0u; d < width; d++) {',
    ...indent(pack(own), 2),
    ...groups.flatMap(g => [
      '  {',
      ...indent(pack(load(g)), 4),
      ...indent(pack(use(g)), 4),
      '  }',
    ]),
    ...indent(pack(after), 2),
    '}',
  ];
}
const loadFour = (array, at) => g => each(4, n => `let b${n} = ${array}[${at}${g * 4 + n} + d];`);
const B = 'b0, b1, b2, b3';

function forward({ rows, block }) {
  const R = range(rows), G = range(block / 4);
  return [
    '// y and lse of ROWS queries. y stays normalised after each block, so nothing is left to do at the end.',
    ...signature('forward'),
    ...indent([
      'let tiles = (params.tq + ROWS - 1u) / ROWS;',
      'let id = (wid.x + wid.y * nwg.x) * WG + lane;',
      'let bh = id / tiles;',
      'if (bh >= params.batch * params.heads) { return; }',
      'let b = bh / params.heads;',
      'let h = bh % params.heads;',
      'let width = params.width;',
      'let kv_step = params.kv_heads * width;',
      'let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * width;',
      ...R.flatMap(r => pack([
        `let i${r} = min((id % tiles) * ROWS + ${r}u, params.tq - 1u);`,
        `let q${r} = ((b * params.tq + i${r}) * params.heads + h) * width;`,
        `let low${r} = key_low(i${r});`,
        `let high${r} = key_high(i${r});`,
        `var m${r} = LOWEST;`,
        `var l${r} = 0.0;`,
      ])),
      'let begin = min(low0, params.tk - 1u); // at least one block, so that rows without keys get their zeros',
      `let end = max(high${rows - 1}, begin + 1u);`,
      'for (var j = begin; j < end; j += BLOCK) {',
      ...indent([
        ...pack(each(block, n => `let k${n} = kv_start + min(j + ${n}u, params.tk - 1u) * kv_step;`)),
        ...pack(R.flatMap(r => G.map(g => `var s${r}_${g} = vec4f(0.0);`))),
        ...overWidth(R.map(r => `let a${r} = q[q${r} + d];`), G, loadFour('k', 'k'), g => R.map(r => `s${r}_${g} = dots(s${r}_${g}, a${r}, ${B});`)),
        ...G.map(g => `let real${g} = real_keys(b, j + ${g * 4}u);`),
        ...R.flatMap(r => pack([
          ...G.flatMap(g => [
            `let ok${r}_${g} = real${g} & inside(four(j + ${g * 4}u), low${r}, high${r});`,
            `s${r}_${g} = select(vec4f(LOWEST), s${r}_${g} * params.scale, ok${r}_${g});`,
          ]),
          `let n${r} = ${G.reduce((a, g) => `max(${a}, top(s${r}_${g}))`, `m${r}`)};`,
          ...G.map(g => `s${r}_${g} = select(vec4f(0.0), exp_safe(s${r}_${g} - n${r}), ok${r}_${g});`),
          `let old${r} = l${r} * exp(max(m${r} - n${r}, -87.3));`,
          `m${r} = n${r};`,
          `l${r} = old${r} + ${G.map(g => `total(s${r}_${g})`).reduce((a, b) => `(${a} + ${b})`)};`,
          `let share${r} = select(1.0 / l${r}, 0.0, l${r} == 0.0);`,
          `let keep${r} = old${r} * share${r};`,
          ...G.map(g => `s${r}_${g} *= share${r};`),
        ])),
        'let first = j == begin; // y holds nothing yet, perhaps not even numbers',
        ...overWidth(
          R.map(r => `var o${r} = select(y[q${r} + d] * keep${r}, Elem(0.0), first);`), G, loadFour('v', 'k'),
          g => R.map(r => `o${r} = blend(o${r}, s${r}_${g}, ${B});`), R.map(r => `y[q${r} + d] = o${r};`)),
      ], 2),
      '}',
      ...R.map(r => `lse[bh * params.tq + i${r}] = m${r} + log(max(l${r}, 1.0)); // l is at least 1 where a key is allowed`),
    ], 2),
    '}',
    '',
  ];
}

function backwardQ({ rows, block }) {
  const R = range(rows), G = range(block / 4);
  return [
    '// dq_i = scale * sum_j ds_ij k_j of BACKWARD_ROWS queries.',
    ...signature('backward_q'),
    ...indent([
      'let tiles = (params.tq + BACKWARD_ROWS - 1u) / BACKWARD_ROWS;',
      'let id = (wid.x + wid.y * nwg.x) * WG + lane;',
      'let bh = id / tiles;',
      'if (bh >= params.batch * params.heads) { return; }',
      'let b = bh / params.heads;',
      'let h = bh % params.heads;',
      'let width = params.width;',
      'let kv_step = params.kv_heads * width;',
      'let kv_start = b * params.tk * kv_step + h / (params.heads / params.kv_heads) * width;',
      ...R.flatMap(r => pack([
        `let i${r} = min((id % tiles) * BACKWARD_ROWS + ${r}u, params.tq - 1u);`,
        `let q${r} = ((b * params.tq + i${r}) * params.heads + h) * width;`,
        `let low${r} = key_low(i${r});`,
        `let high${r} = key_high(i${r});`,
        `let row${r} = stats[bh * params.tq + i${r}];`,
      ])),
      'let begin = min(low0, params.tk - 1u);',
      `let end = max(high${rows - 1}, begin + 1u);`,
      'for (var j = begin; j < end; j += BACKWARD_BLOCK) {',
      ...indent([
        ...pack(each(block, n => `let k${n} = kv_start + min(j + ${n}u, params.tk - 1u) * kv_step;`)),
        ...pack(R.flatMap(r => G.flatMap(g => [`var s${r}_${g} = vec4f(0.0);`, `var t${r}_${g} = vec4f(0.0);`]))),
        ...overWidth(R.map(r => `let a${r} = q[q${r} + d];`), G, loadFour('k', 'k'), g => R.map(r => `s${r}_${g} = dots(s${r}_${g}, a${r}, ${B});`)),
        ...overWidth(R.map(r => `let a${r} = dy[q${r} + d];`), G, loadFour('v', 'k'), g => R.map(r => `t${r}_${g} = dots(t${r}_${g}, a${r}, ${B});`)),
        ...G.map(g => `let real${g} = real_keys(b, j + ${g * 4}u);`),
        ...R.flatMap(r => G.flatMap(g => [
          `let p${r}_${g} = exp_safe(s${r}_${g} * params.scale - row${r}.x) * (t${r}_${g} - row${r}.y) * params.scale;`,
          `s${r}_${g} = select(vec4f(0.0), p${r}_${g}, real${g} & inside(four(j + ${g * 4}u), low${r}, high${r}));`,
        ])),
        'let first = j == begin;',
        ...overWidth(
          R.map(r => `var o${r} = select(dq[q${r} + d], Elem(0.0), first);`), G, loadFour('k', 'k'),
          g => R.map(r => `o${r} = blend(o${r}, s${r}_${g}, ${B});`), R.map(r => `dq[q${r} + d] = o${r};`)),
      ], 2),
      '}',
    ], 2),
    '}',
    '',
  ];
}

function backwardKV({ rows, block }) {
  const R = range(rows), G = range(block / 4);
  return [
    '// dk_j = scale * sum_i ds_ij q_i and dv_j = sum_i p_ij dy_i of BACKWARD_ROWS keys, the query heads of the group one after the other.',
    ...signature('backward_kv'),
    ...indent([
      'let tiles = (params.tk + BACKWARD_ROWS - 1u) / BACKWARD_ROWS;',
      'let id = (wid.x + wid.y * nwg.x) * WG + lane;',
      'let bh = id / tiles;',
      'if (bh >= params.batch * params.kv_heads) { return; }',
      'let b = bh / params.kv_heads;',
      'let h = bh % params.kv_heads;',
      'let width = params.width;',
      'let group = params.heads / params.kv_heads;',
      'let q_step = params.heads * width;',
      ...R.flatMap(r => pack([
        `let j${r} = min((id % tiles) * BACKWARD_ROWS + ${r}u, params.tk - 1u);`,
        `let k${r} = ((b * params.tk + j${r}) * params.kv_heads + h) * width;`,
        `let low${r} = query_low(j${r});`,
        `let high${r} = select(0u, query_high(j${r}), real_key(b, j${r})); // a masked key is seen by no query`,
      ])),
      'let begin = min(low0, params.tq - 1u);',
      `let end = max(query_high(j${rows - 1}), begin + 1u);`,
      'for (var n = 0u; n < group; n++) {',
      '  let head = h * group + n;',
      '  let q_start = b * params.tq * q_step + head * width;',
      '  let stats_start = (b * params.heads + head) * params.tq;',
      '  for (var i = begin; i < end; i += BACKWARD_BLOCK) {',
      ...indent([
        ...pack(each(block, n => `let i${n} = min(i + ${n}u, params.tq - 1u);`)),
        ...pack(each(block, n => `let q${n} = q_start + i${n} * q_step;`)),
        ...pack(each(block, n => `let row${n} = stats[stats_start + i${n}];`)),
        ...pack(R.flatMap(r => G.flatMap(g => [`var s${r}_${g} = vec4f(0.0);`, `var t${r}_${g} = vec4f(0.0);`]))),
        ...overWidth(R.map(r => `let a${r} = k[k${r} + d];`), G, loadFour('q', 'q'), g => R.map(r => `s${r}_${g} = dots(s${r}_${g}, a${r}, ${B});`)),
        ...overWidth(R.map(r => `let a${r} = v[k${r} + d];`), G, loadFour('dy', 'q'), g => R.map(r => `t${r}_${g} = dots(t${r}_${g}, a${r}, ${B});`)),
        ...G.flatMap(g => [
          `let lse${g} = vec4f(${each(4, n => `row${g * 4 + n}.x`).join(', ')});`,
          `let along${g} = vec4f(${each(4, n => `row${g * 4 + n}.y`).join(', ')});`,
        ]),
        ...R.flatMap(r => G.flatMap(g => [
          `let p${r}_${g} = select(vec4f(0.0), exp_safe(s${r}_${g} * params.scale - lse${g}), inside(four(i + ${g * 4}u), low${r}, high${r}));`,
          `t${r}_${g} = p${r}_${g} * (t${r}_${g} - along${g}) * params.scale;`,
        ])),
        'let first = n == 0u && i == begin;',
        ...overWidth(
          R.map(r => `var o${r} = select(dk[k${r} + d], Elem(0.0), first);`), G, loadFour('q', 'q'),
          g => R.map(r => `o${r} = blend(o${r}, t${r}_${g}, ${B});`), R.map(r => `dk[k${r} + d] = o${r};`)),
        ...overWidth(
          R.map(r => `var o${r} = select(dv[k${r} + d], Elem(0.0), first);`), G, loadFour('dy', 'q'),
          g => R.map(r => `o${r} = blend(o${r}, p${r}_${g}, ${B});`), R.map(r => `dv[k${r} + d] = o${r};`)),
      ], 4),
      '  }',
      '}',
    ], 2),
    '}',
    '',
  ];
}

const folder = dirname(fileURLToPath(import.meta.url));
for (const [name, t] of Object.entries(FILES)) {
  const text = [head(name, t.vector, t), ...forward(t.forward), ...backwardQ(t.backward), ...backwardKV(t.backward)].join('\n').trimEnd() + '\n';
  const file = join(folder, `${name}.wgsl`);
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`kernels/${name}.wgsl is stale: run node kernels/gen_attention.mjs`);
    process.exitCode = 1;
  }
}
