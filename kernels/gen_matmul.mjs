// Writes the register-tiled matrix products, kernels/matmul_*.wgsl, from the table below: node kernels/gen_matmul.mjs [--check]
// Tiles are unrolled as named variables: software adapters keep indexed private arrays in memory, lane by lane.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// lanes: invocations that share one tile through subgroupBroadcast (1: none, no subgroups needed); aTiles, bTiles: 4×4 blocks of a and of b
// that each lane loads per step of four k; group: tiles per workgroup, side by side along the columns; run: products that are summed before they join
// the total, for rounding grows with the number of additions in a row. 16: in sums of their own, 8: within one step, which is twice as long and needs no
// second row of sums. SwiftShader pays for every variable that is written, lavapipe for code that outgrows the processor's cache (8 there: half the rate).
export const FILES = {
  matmul_lanes8: { lanes: 8, aTiles: 1, bTiles: 1, group: 1, run: 16 },
  matmul_lanes4: { lanes: 4, aTiles: 2, bTiles: 2, group: 1, run: 8 },
  matmul_single: { lanes: 1, aTiles: 1, bTiles: 2, group: 64, run: 16 },
};

const folder = dirname(fileURLToPath(import.meta.url));
export const each = (n, f) => Array.from({ length: n }, (_, i) => f(i));

export const packed = (n, words, by) => each(Math.ceil(words.length / n), i => by + words.slice(i * n, (i + 1) * n).join(' '));

const epilogue = () => `
fn activate(x: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return gelu4(x); }
  if (ACTIVATION == 2u) { return gelu_tanh4(x); }
  if (ACTIVATION == 3u) { return silu4(x); }
  return x;
}
`;

/** SwiftShader takes one shuffle for a quad, five instructions for a subgroup. */
export const broadcast = t => (t.lanes === 4 ? 'quadBroadcast' : 'subgroupBroadcast');

const shared = t => {
  const shape = `${t.lanes * 4 * t.aTiles} × ${t.lanes * 4 * t.bTiles}`;
  return t.lanes > 1
    ? `// ${t.lanes} lanes, one subgroup, share a tile of ${shape}: each lane loads its own rows of a and columns of b, the rows go round by ${broadcast(t)}.`
    : `// Each invocation owns a tile of ${shape}; the 8 × 8 of a workgroup lie side by side, so that neighbours read neighbouring columns of b.`;
};

const head = t => `// y[m, n] = act(Σ_k op(a)[m, k] op(b)[k, n] + bias[n]) + residual[m, n], batched; op transposes when its override says so.
// Written by kernels/gen_matmul.mjs: change the generator. No barriers, no workgroup memory.
${shared(t)}
// Split k: with splits > 1 each part of k writes its own y, and split_sum.wgsl adds them in order. Rows and columns beyond the end are clamped
// for loading and never stored. \`forward\` wants rows of a, b and y in multiples of 4 and k too; \`forward_ragged\` takes any shape.
// uses: gelu4, gelu_tanh4, silu4
${t.lanes > 1 ? 'enable subgroups;\n' : ''}override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override HAS_BIAS: bool = false;
override KEEP: bool = false; // also writes what went into the activation, for the backward
override RESIDUAL: bool = false; // adds what pre holds, after the activation and before KEEP writes it
override ADD: bool = false; // adds to what y holds
override ACTIVATION: u32 = 0u; // 0 none, 1 gelu, 2 gelu_tanh, 3 silu

// Matrix i of the batch begins at first + i / heads * stride + i % heads / group * head, its rows are \`row\` elements apart: heads of one tensor are matrices.
struct Params {
  m: u32, n: u32, k: u32,
  a_row: u32, b_row: u32, y_row: u32,
  a_stride: u32, b_stride: u32, y_stride: u32, // 0: shared by all
  a_head: u32, b_head: u32, y_head: u32,
  a_first: u32, b_first: u32, y_first: u32,
  heads: u32, b_group: u32,
  batch: u32,
  tiles_m: u32, tiles_n: u32,
  splits: u32, chunk: u32,      // parts of k, and their length, a multiple of 4
  tile_rows: u32,               // rows of one invocation's or one subgroup's tile, as below
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a4: array<A4Stored>; // [batch or 1, M, K], transposed [.., K, M]
@group(0) @binding(2) var<storage, read> b4: array<B4Stored>; // [batch or 1, K, N], transposed [.., N, K]
@group(0) @binding(3) var<storage, read> bias4: array<Bias4Stored>; // [N]
@group(0) @binding(4) var<storage, read_write> y4: array<vec4f>; // [splits, batch, M, N]
@group(0) @binding(5) var<storage, read_write> pre4: array<vec4f>; // [batch, M, N] when KEEP or RESIDUAL
@group(0) @binding(6) var<storage, read> a1: array<A1Stored>; // the same five for any shape
@group(0) @binding(7) var<storage, read> b1: array<B1Stored>;
@group(0) @binding(8) var<storage, read> bias1: array<Bias1Stored>;
@group(0) @binding(9) var<storage, read_write> y1: array<f32>;
@group(0) @binding(10) var<storage, read_write> pre1: array<f32>;

`;

const loads = t => `
// op(a)[row + i, k .. k + 3] for i = 0 .. 3
fn a_block(base: u32, row: u32, k: u32) -> mat4x4f {
  if (TRANSPOSE_A) {
    let stride = params.a_row / 4u;
    let at = (base + k * params.a_row + min(row, params.m - 4u)) / 4u;
    return transpose(mat4x4f(load_a4(at), load_a4(at + stride), load_a4(at + 2u * stride), load_a4(at + 3u * stride)));
  }
  let width = params.a_row / 4u;
  let at = (base + k) / 4u;
  let last = params.m - 1u;
  return mat4x4f(load_a4(at + min(row, last) * width), load_a4(at + min(row + 1u, last) * width), load_a4(at + min(row + 2u, last) * width), load_a4(at + min(row + 3u, last) * width));
}

// op(b)[k + i, col .. col + 3] for i = 0 .. 3
fn b_block(base: u32, k: u32, col: u32) -> mat4x4f {
  if (TRANSPOSE_B) {
    let width = params.b_row / 4u;
    let at = (base + k) / 4u;
    let first = min(col, params.n - 4u);
    return transpose(mat4x4f(load_b4(at + first * width), load_b4(at + (first + 1u) * width), load_b4(at + (first + 2u) * width), load_b4(at + (first + 3u) * width)));
  }
  let stride = params.b_row / 4u;
  let at = (base + k * params.b_row + min(col, params.n - 4u)) / 4u;
  return mat4x4f(load_b4(at), load_b4(at + stride), load_b4(at + 2u * stride), load_b4(at + 3u * stride));
}

// Four elements of op(a) along k, zeros from \`end\` on, so that the tail of k adds nothing.
fn a_ragged(base: u32, row: u32, k: u32, end: u32) -> vec4f {
  let r = min(row, params.m - 1u);
  let at = min(vec4u(k) + vec4u(0u, 1u, 2u, 3u), vec4u(params.k - 1u));
  let i = base + select(at + vec4u(r * params.a_row), at * params.a_row + vec4u(r), TRANSPOSE_A);
  return select(vec4f(), vec4f(load_a1(i.x), load_a1(i.y), load_a1(i.z), load_a1(i.w)), vec4u(k) + vec4u(0u, 1u, 2u, 3u) < vec4u(end));
}

fn b_ragged(base: u32, k: u32, col: u32) -> vec4f {
  let r = min(k, params.k - 1u);
  let at = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
  let i = base + select(at + vec4u(r * params.b_row), at * params.b_row + vec4u(r), TRANSPOSE_B);
  return vec4f(load_b1(i.x), load_b1(i.y), load_b1(i.z), load_b1(i.w));
}

fn a_block_ragged(base: u32, row: u32, k: u32, end: u32) -> mat4x4f {
  return mat4x4f(a_ragged(base, row, k, end), a_ragged(base, row + 1u, k, end), a_ragged(base, row + 2u, k, end), a_ragged(base, row + 3u, k, end));
}

fn b_block_ragged(base: u32, k: u32, col: u32) -> mat4x4f {
  return mat4x4f(b_ragged(base, k, col), b_ragged(base, k + 1u, col), b_ragged(base, k + 2u, col), b_ragged(base, k + 3u, col));
}

${stepFunctions(t.run)}

fn store(base: u32, row: u32, col: u32, sum: vec4f) {
  if (col >= params.n) { return; }
  let at = (base + row * params.y_row + col) / 4u;
  var v = sum;
  if (HAS_BIAS) { v += load_bias4(col / 4u); }
  if (ADD) { v += y4[at]; }
  var activated = activate(v);
  if (RESIDUAL) { activated += pre4[at]; }
  if (KEEP) { pre4[at] = v; }
  y4[at] = activated;
}

fn store_ragged(base: u32, row: u32, col: u32, sum: vec4f) {
  var v = sum;
  if (HAS_BIAS) {
    let at = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
    v += vec4f(load_bias1(at.x), load_bias1(at.y), load_bias1(at.z), load_bias1(at.w));
  }
  let at = base + row * params.y_row + col;
  if (ADD) {
    for (var i = 0u; i < 4u && col + i < params.n; i++) { v[i] += y1[at + i]; }
  }
  var activated = activate(v);
  for (var i = 0u; i < 4u && col + i < params.n; i++) {
    if (RESIDUAL) { activated[i] += pre1[at + i]; }
    if (KEEP) { pre1[at + i] = v[i]; }
    y1[at + i] = activated[i];
  }
}
`;

function entry(t, ragged) {
  const { lanes, aTiles, bTiles, group, run } = t;
  const twofold = run === 16; // a sum of its own for each run
  const halves = run / (twofold ? 16 : 4); // of a step, four k each
  const rows = lanes * 4 * aTiles;
  const cols = lanes * 4 * bTiles;
  const across = lanes > 1 ? group : 8; // tiles of a workgroup along the columns
  const down = lanes > 1 ? 1 : group / 8;
  const suffix = ragged ? '_ragged' : '';
  const name = (r, c) => `c${r}${bTiles > 1 ? `_${c}` : ''}`;
  const total = (r, c) => (twofold ? name(r, c).replace('c', 't') : name(r, c));
  const all = f => each(rows, r => each(bTiles, c => f(r, c)).join(' '));
  const at = h => (h === 0 ? 'k' : ragged ? 'k + 4u' : 'next');
  const inner = twofold ? '      ' : '    ';
  const tile = lanes > 1 ? `lane_index / ${lanes}u` : 'lane_index';
  const lines = [
    '',
    `@compute @workgroup_size(${lanes * group})`,
    `fn forward${suffix}(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {`,
    '  var group = wid.x + wid.y * nwg.x;',
    '  if (group >= params.tiles_m * params.tiles_n * params.splits * params.batch) { return; }',
    '  let tile_n = group % params.tiles_n;',
    '  group /= params.tiles_n;',
    '  let tile_m = group % params.tiles_m;',
    '  group /= params.tiles_m;',
    '  let split = group % params.splits;',
    '  let batch = group / params.splits;',
    ...(lanes > 1
      ? [`  let lane = lane_index % ${lanes}u;`,
        `  let row = tile_m * ${rows}u;`,
        `  let col = ${group > 1 ? `(tile_n * ${across}u + ${tile}) * ${cols}u` : `tile_n * ${cols}u`} + 4u * lane; // of this lane's first block`,
        '  let own_row = row + 4u * lane;']
      : [`  let row = (tile_m * ${down}u + lane_index / ${across}u) * ${rows}u;`,
        `  let col = (tile_n * ${across}u + lane_index % ${across}u) * ${cols}u;`,
        '  let own_row = row;']),
    '  let outer = batch / params.heads;',
    '  let head = batch % params.heads;',
    '  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;',
    '  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;',
    '  let end = min(params.k, (split + 1u) * params.chunk);',
    ...packed(bTiles > 1 ? 2 : 8, all((r, c) => `var ${name(r, c)} = vec4f();${twofold ? ` var ${total(r, c)} = vec4f();` : ''}`), '  '),
    ...(twofold
      ? [`  // Sums of ${run} products join the total as one: rounding grows with the number of additions in a row.`,
        `  for (var run = split * params.chunk; run < end; run += ${run}u) {`,
        `    let stop = min(run + ${run}u, end);`,
        '    for (var k = run; k < stop; k += 4u) {']
      : [`  for (var k = split * params.chunk; k < end; k += ${4 * halves}u) {`]),
    ...(halves === 2 && !ragged ? [`${inner}let more = k + 4u < end; // a last step of four k: zeros of a for the rest, and b once more`, `${inner}let next = select(k, k + 4u, more);`] : []),
    ...each(halves, h => each(bTiles, c => `${inner}let b${h}_${c} = b_block${suffix}(b_base, ${at(h)}, col${c ? ` + ${4 * lanes * c}u` : ''});`)).flat(),
  ];
  for (let j = 0; j < aTiles; j++) {
    for (let h = 0; h < halves; h++) {
      const block = `a_block${suffix}(a_base, own_row${j ? ` + ${4 * lanes * j}u` : ''}, ${at(h)}${ragged ? ', end' : ''})`;
      lines.push(`${inner}let a${h}_${j} = ${h && !ragged ? `or_zero(${block}, more)` : block};`);
    }
    for (let r = j * 4 * lanes; r < (j + 1) * 4 * lanes; r++) {
      const shared = h => (lanes > 1 ? `${broadcast(t)}(a${h}_${j}[${r % 4}], ${Math.floor(r / 4) % lanes}u)` : `a${h}_${j}[${r % 4}]`);
      const named = bTiles > 1 || halves > 1;
      if (named) lines.push(inner + each(halves, h => `let s${h}_${r} = ${shared(h)};`).join(' '));
      const steps = c => each(halves, h => `${named ? `s${h}_${r}` : shared(h)}, b${h}_${c}`).join(', ');
      lines.push(inner + each(bTiles, c => `${name(r, c)} = ${halves === 2 ? 'two_steps' : 'step'}(${name(r, c)}, ${steps(c)});`).join(' '));
    }
  }
  if (twofold) lines.push('    }', ...packed(bTiles > 1 ? 2 : 8, all((r, c) => `${total(r, c)} += ${name(r, c)}; ${name(r, c)} = vec4f();`), '    '));
  lines.push('  }', '  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;');
  lines.push(`  var tile = array<vec4f, ${rows * bTiles}>(`, ...packed(16, each(rows, r => each(bTiles, c => `${total(r, c)},`).join(' ')), '    '), '  );');
  lines.push('  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.',
    `  let inside = min(params.tile_rows, params.m - min(row, params.m))${bTiles > 1 ? ` * ${bTiles}u` : ''};`);
  if (bTiles === 1) lines.push('  for (var r = 0u; r < inside; r++) {', `    store${suffix}(y_base, row + r, col, tile[r]);`, '  }');
  else lines.push('  for (var i = 0u; i < inside; i++) {', `    store${suffix}(y_base, row + i / ${bTiles}u, col + i % ${bTiles}u * ${4 * lanes}u, tile[i]);`, '  }');
  lines.push('}');
  return lines.join('\n') + '\n';
}

const sum = () => `// y[i] = act(Σ_s part[s, i] + bias[i mod N]), s in order: the second stage of a product whose k was split. One invocation per element.
// Written by kernels/gen_matmul.mjs: change the generator.
// uses: gelu4, gelu_tanh4, silu4
override HAS_BIAS: bool = false;
override KEEP: bool = false; // also writes what went into the activation
override RESIDUAL: bool = false; // adds what pre holds, after the activation and before KEEP writes it
override ACTIVATION: u32 = 0u; // 0 none, 1 gelu, 2 gelu_tanh, 3 silu

struct Params { count: u32, n: u32, splits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>; // [splits, count]
@group(0) @binding(2) var<storage, read> bias: array<BiasStored>; // [N]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [count]
@group(0) @binding(4) var<storage, read_write> pre: array<f32>; // [count] when KEEP or RESIDUAL

${epilogue()}
@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if (i >= params.count) { return; }
  var total = part[i];
  for (var s = 1u; s < params.splits; s++) { total += part[s * params.count + i]; }
  if (HAS_BIAS) { total += load_bias(i % params.n); }
  var activated = activate(vec4f(total)).x;
  if (RESIDUAL) { activated += pre[i]; }
  if (KEEP) { pre[i] = total; }
  y[i] = activated;
}
`;

/** How a step of k joins the sums of a row, as functions. */
export const stepFunctions = run => (run === 8 ? `fn or_zero(m: mat4x4f, inside: bool) -> mat4x4f {
  let zero = vec4f();
  return mat4x4f(select(zero, m[0], inside), select(zero, m[1], inside), select(zero, m[2], inside), select(zero, m[3], inside));
}

// c + (Σ_i s[i] b[i] + Σ_i s'[i] b'[i]). By matrices, SwiftShader sums number by number in a register; by vectors it stores each of the sums.
fn two_steps(c: vec4f, s: vec4f, b: mat4x4f, more_s: vec4f, more_b: mat4x4f) -> vec4f {
  return c + (b * s + more_b * more_s);
}` : `// c + Σ_i s[i] b[i], in order
fn step(c: vec4f, s: vec4f, b: mat4x4f) -> vec4f {
  return c + fma(vec4f(s.w), b[3], fma(vec4f(s.z), b[2], fma(vec4f(s.y), b[1], s.x * b[0])));
}`);

/**
 * Writes texts, or with --check says which files differ from them.
 * @param script whose texts @param outputs by file name without .wgsl
 */
export function emit(script, outputs) {
  for (const [name, text] of Object.entries(outputs)) {
    const path = join(folder, `${name}.wgsl`);
    if (process.argv.includes('--check')) {
      if (readFileSync(path, 'utf8') !== text) {
        console.error(`kernels/${name}.wgsl is stale: run node kernels/${script}`);
        process.exitCode = 1;
      }
    } else writeFileSync(path, text);
  }
}

const outputs = Object.fromEntries(Object.entries(FILES).map(([name, t]) => [name, head(t) + epilogue() + loads(t) + entry(t, false) + entry(t, true)]));
outputs.split_sum = sum();
if (process.argv[1] === fileURLToPath(import.meta.url)) emit('gen_matmul.mjs', outputs);
