// Writes the matrix products for GPUs, kernels/matmul_tiled*.wgsl, from the table below: node kernels/gen_matmul_tiled.mjs [--check]
// Register tiles over workgroup memory, as hand-written products for CUDA have them. Accumulators are named variables: indexed private arrays spill in some drivers.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// rows × cols of y per workgroup, each invocation owns perRow × perCol of them (4 or 8); depth: k per step; buffers: 2 writes the next step's k while this one is
// computed, for one barrier per step instead of two. Both operands of all buffers take (rows + cols) · depth · buffers · 4 bytes, at most 16 KiB (the default limit).
// Each invocation loads at most one block of 4 × 4, so rows · depth / 16 + cols · depth / 16 must not exceed the invocations.
const FILES = {
  matmul_tiled128: { rows: 128, cols: 128, perRow: 8, perCol: 8, depth: 16, buffers: 1 },
  matmul_tiled128_k8: { rows: 128, cols: 128, perRow: 8, perCol: 8, depth: 8, buffers: 2 },
  matmul_tiled64: { rows: 64, cols: 64, perRow: 8, perCol: 4, depth: 16, buffers: 1 },
  matmul_tiled32: { rows: 32, cols: 64, perRow: 4, perCol: 4, depth: 16, buffers: 1 },
};
/** Tile rows that are walked together, so that neighbouring workgroups find their operands in the cache. */
const BAND = 8;

const folder = dirname(fileURLToPath(import.meta.url));
const each = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const lanes = t => (t.rows / t.perRow) * (t.cols / t.perCol);

const head = t => `// y[m, n] = act(Σ_k op(a)[m, k] op(b)[k, n] + bias[n]) + residual[m, n], batched; op transposes when its override says so.
// Written by kernels/gen_matmul_tiled.mjs: change the generator. For GPUs: workgroup memory and barriers, which software adapters pay dearly.
// ${lanes(t)} invocations own a tile of ${t.rows} × ${t.cols}, ${t.perRow} × ${t.perCol} each; steps of ${t.depth} k lie in workgroup memory, k by k, ${t.buffers === 2 ? 'in two buffers' : 'in one buffer'}, and the next step is loaded into registers meanwhile.
// Split k: with splits > 1 each part of k writes its own y, and split_sum.wgsl adds them in order. Rows and columns beyond the end are clamped
// for loading and never stored; k beyond the end counts as zero. \`forward\` wants rows of a, b and y in multiples of 4 and k too; \`forward_ragged\` takes any shape.
// uses: gelu4, gelu_tanh4, silu4
override TRANSPOSE_A: bool = false;
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
  tile_rows: u32,               // rows of one invocation: ${t.perRow}
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

// One step of k: ${t.depth} × ${t.rows} of op(a), then ${t.depth} × ${t.cols} of op(b), fours of rows or columns together.${t.buffers === 2 ? ' Twice.' : ''}
var<workgroup> panels: array<vec4f, ${t.buffers * t.depth * (t.rows + t.cols) / 4}>;

fn activate(x: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return gelu4(x); }
  if (ACTIVATION == 2u) { return gelu_tanh4(x); }
  if (ACTIVATION == 3u) { return silu4(x); }
  return x;
}
`;

const loads = `
// op(a)[row .. row + 3, k + i] for i = 0 .. 3
fn a_block(base: u32, row: u32, k: u32) -> mat4x4f {
  let width = params.a_row / 4u;
  if (TRANSPOSE_A) {
    let at = (base + k * params.a_row + min(row, params.m - 4u)) / 4u;
    return mat4x4f(load_a4(at), load_a4(at + width), load_a4(at + 2u * width), load_a4(at + 3u * width));
  }
  let at = (base + k) / 4u;
  let last = params.m - 1u;
  return transpose(mat4x4f(load_a4(at + min(row, last) * width), load_a4(at + min(row + 1u, last) * width), load_a4(at + min(row + 2u, last) * width), load_a4(at + min(row + 3u, last) * width)));
}

// op(b)[k + i, col .. col + 3] for i = 0 .. 3
fn b_block(base: u32, k: u32, col: u32) -> mat4x4f {
  let width = params.b_row / 4u;
  if (TRANSPOSE_B) {
    let at = (base + k) / 4u + min(col, params.n - 4u) * width;
    return transpose(mat4x4f(load_b4(at), load_b4(at + width), load_b4(at + 2u * width), load_b4(at + 3u * width)));
  }
  let at = (base + k * params.b_row + min(col, params.n - 4u)) / 4u;
  return mat4x4f(load_b4(at), load_b4(at + width), load_b4(at + 2u * width), load_b4(at + 3u * width));
}

// One k of the same, zeros from \`end\` on.
fn a_ragged(base: u32, row: u32, k: u32, end: u32) -> vec4f {
  if (k >= end) { return vec4f(); }
  let r = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(params.m - 1u));
  let i = base + select(r * params.a_row + vec4u(k), vec4u(k * params.a_row) + r, TRANSPOSE_A);
  return vec4f(load_a1(i.x), load_a1(i.y), load_a1(i.z), load_a1(i.w));
}

fn b_ragged(base: u32, k: u32, col: u32, end: u32) -> vec4f {
  if (k >= end) { return vec4f(); }
  let c = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
  let i = base + select(vec4u(k * params.b_row) + c, c * params.b_row + vec4u(k), TRANSPOSE_B);
  return vec4f(load_b1(i.x), load_b1(i.y), load_b1(i.z), load_b1(i.w));
}

fn a_block_ragged(base: u32, row: u32, k: u32, end: u32) -> mat4x4f {
  return mat4x4f(a_ragged(base, row, k, end), a_ragged(base, row, k + 1u, end), a_ragged(base, row, k + 2u, end), a_ragged(base, row, k + 3u, end));
}

fn b_block_ragged(base: u32, k: u32, col: u32, end: u32) -> mat4x4f {
  return mat4x4f(b_ragged(base, k, col, end), b_ragged(base, k + 1u, col, end), b_ragged(base, k + 2u, col, end), b_ragged(base, k + 3u, col, end));
}

fn store(base: u32, row: u32, col: u32, sum: vec4f) {
  if (row >= params.m || col >= params.n) { return; }
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
  if (row >= params.m) { return; }
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

/** This invocation's block of one step: an a, a b, or none. */
const fetch = (t, ragged) => {
  const suffix = ragged ? '_ragged' : '';
  const end = ragged ? ', end' : '';
  const aBlocks = t.rows * t.depth / 16, bBlocks = t.cols * t.depth / 16;
  const idle = aBlocks + bBlocks < lanes(t);
  return `
fn fetch${suffix}(lane_index: u32, a_base: u32, b_base: u32, row: u32, col: u32, k: u32, end: u32) -> mat4x4f {
  if (k >= end${idle ? ` || lane_index >= ${aBlocks + bBlocks}u` : ''}) { return mat4x4f(); }
  if (lane_index < ${aBlocks}u) { return a_block${suffix}(a_base, row, k${end}); }
  return b_block${suffix}(b_base, k, col${end});
}
`;
};

const accumulators = t => each(t.perRow, r => each(t.perCol / 4, c => `c${r}_${c}`)).flat();

/** All of a step's products, four k at a time. */
function compute(t, offset) {
  const rowFours = t.rows / 4, colFours = t.cols / 4;
  const lines = [
    'for (var q = 0u; q < last; q++) {',
    '  let turn = (2u * q) & 6u;',
    `  let a_at = ${offset}${4 * rowFours}u * q + (down ^ turn);`,
    `  let b_at = ${offset}${t.depth * rowFours}u + ${4 * colFours}u * q + (across ^ turn);`,
  ];
  for (let i = 0; i < 4; i++) {
    const at = (name, fours, part, parts) => `panels[${name}${i * fours + part * fours / parts ? ` + ${i * fours + part * fours / parts}u` : ''}]`;
    const names = [
      ...each(t.perRow / 4, h => `let a${i}_${h} = ${at('a_at', rowFours, h, t.perRow / 4)};`), ...each(t.perCol / 4, h => `let b${i}_${h} = ${at('b_at', colFours, h, t.perCol / 4)};`)];
    lines.push(`  ${names.join(' ')}`);
    for (let r = 0; r < t.perRow; r++) {
      lines.push(`  ${each(t.perCol / 4, c => `c${r}_${c} = fma(vec4f(a${i}_${r >> 2}.${'xyzw'[r % 4]}), b${i}_${c}, c${r}_${c});`).join(' ')}`);
    }
  }
  return [...lines, '}'];
}

/** The loop over k: load a step into registers, compute the one before, hand the new one over. The last turn loads nothing. */
function steps(t, suffix) {
  const size = t.depth * (t.rows + t.cols) / 4;
  const idle = (t.rows + t.cols) * t.depth / 16 < lanes(t);
  const offset = t.buffers === 2 ? 'live + ' : '';
  const write = each(4, i => `panels[${offset}own_slot${i ? ` + ${i > 1 ? `${i}u * ` : ''}fours` : ''}] = held[${i}];`).join(' ');
  return [
    ...(t.buffers === 2 ? ['var live = 0u;'] : []),
    `for (var k = begin; ; k += ${t.depth}u) {`,
    `  let held = fetch${suffix}(lane_index, a_base, b_base, row, col, k + own_k, end);`,
    '  if (k > begin) {',
    `    let last = min(${t.depth / 4}u, (end - k + ${t.depth + 3}u) / 4u); // of the step before; a bound that is no constant also keeps drivers from unrolling`,
    ...compute(t, offset).map(l => `    ${l}`),
    '  }',
    '  if (k >= end) { break; }',
    ...(t.buffers === 2 ? [`  live = ${size}u - live;`] : ['  workgroupBarrier();']),
    idle ? `  if (lane_index < ${(t.rows + t.cols) * t.depth / 16}u) { ${write} }` : `  ${write}`,
    '  workgroupBarrier();',
    '}'];
}

function entry(t, ragged) {
  const suffix = ragged ? '_ragged' : '';
  const acrossLanes = t.cols / t.perCol, rowFours = t.rows / 4, colFours = t.cols / 4, depthFours = t.depth / 4, aBlocks = t.rows * t.depth / 16;
  const names = accumulators(t);
  const perLine = 4;
  const lines = [
    fetch(t, ragged).trimEnd(), '',
    `@compute @workgroup_size(${lanes(t)})`,
    `fn forward${suffix}(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {`,
    '  var group = wid.x + wid.y * nwg.x;',
    '  let tiles = params.tiles_m * params.tiles_n;',
    '  if (group >= tiles * params.splits * params.batch) { return; }',
    '  let place = group % tiles;',
    '  group /= tiles;',
    '  let split = group % params.splits;',
    '  let batch = group / params.splits;',
    `  // Bands of ${BAND} tile rows, walked column by column.`,
    `  let band = place / (${BAND}u * params.tiles_n);`,
    `  let height = min(${BAND}u, params.tiles_m - ${BAND}u * band);`,
    `  let in_band = place - ${BAND}u * band * params.tiles_n;`,
    `  let first_row = (${BAND}u * band + in_band % height) * ${t.rows}u;`,
    `  let first_col = in_band / height * ${t.cols}u;`,
    '  let outer = batch / params.heads;',
    '  let head = batch % params.heads;',
    '  let a_base = params.a_first + outer * params.a_stride + head * params.a_head;',
    '  let b_base = params.b_first + outer * params.b_stride + head / params.b_group * params.b_head;',
    '  let begin = split * params.chunk;',
    '  let end = min(params.k, begin + params.chunk);',
    `  let down = lane_index / ${acrossLanes}u;`,
    `  let across = lane_index % ${acrossLanes}u;`,
    `  // The block that this invocation loads, ${aBlocks} of a and ${t.cols * t.depth / 16} of b: neighbours along what lies together in memory. Fours are swapped by \`turn\`, so that writes spread over the banks.`,
    `  let for_a = lane_index < ${aBlocks}u;`,
    `  let own = select(lane_index - ${aBlocks}u, lane_index, for_a);`,
    `  let fours = select(${colFours}u, ${rowFours}u, for_a);`,
    '  let along_k = select(TRANSPOSE_B, !TRANSPOSE_A, for_a);',
    `  let own_k = 4u * select(own / fours, own % ${depthFours}u, along_k);`,
    `  let own_four = select(own % fours, own / ${depthFours}u, along_k);`,
    `  let own_slot = select(${t.depth * rowFours}u, 0u, for_a) + own_k * fours + (own_four ^ ((own_k / 2u) & 6u));`,
    '  let row = first_row + 4u * own_four;',
    '  let col = first_col + 4u * own_four;',
    ...each(Math.ceil(names.length / perLine), i => `  ${names.slice(i * perLine, (i + 1) * perLine).map(n => `var ${n} = vec4f();`).join(' ')}`),
    ...steps(t, suffix).map(l => `  ${l}`),
    '  let y_base = params.y_first + split * params.batch * params.m * params.n + outer * params.y_stride + head * params.y_head;',
    `  var tile = array<vec4f, ${names.length}>(${names.join(', ')});`,
    '  // The bound hangs on a parameter, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.',
  ];
  const wide = t.perCol / 4;
  const row = `first_row + 4u * down + ${t.perRow === 8 ? `r % 4u + r / 4u * ${t.rows / 2}u` : 'r'}`;
  lines.push(`  for (var i = 0u; i < ${wide > 1 ? `${wide}u * ` : ''}params.tile_rows; i++) {`,
    `    let r = ${wide > 1 ? `i / ${wide}u` : 'i'};`,
    `    store${suffix}(y_base, ${row}, first_col + 4u * across${wide > 1 ? ` + i % ${wide}u * ${t.cols / 2}u` : ''}, tile[i]);`, '  }', '}');
  return lines.join('\n') + '\n';
}

for (const [name, t] of Object.entries(FILES)) {
  if ((t.rows + t.cols) * t.depth / 16 > lanes(t) || (t.rows + t.cols) * t.depth * t.buffers * 4 > 16384) throw new Error(`${name} does not fit`);
  const path = join(folder, `${name}.wgsl`);
  const text = head(t) + loads + entry(t, false) + entry(t, true);
  if (process.argv.includes('--check')) {
    if (readFileSync(path, 'utf8') !== text) {
      console.error(`kernels/${name}.wgsl is stale: run node kernels/gen_matmul_tiled.mjs`);
      process.exitCode = 1;
    }
  } else writeFileSync(path, text);
}
