// Writes two products in one, kernels/gated_linear_*.wgsl, with the tiles of gen_matmul.mjs: node kernels/gen_gated_linear.mjs [--check]
// A tile has as many sums as that of one product, half of them for gate and half for up, and each sum is added up in the same order: bits are those of two products.
import { FILES, broadcast, each, emit, packed, stepFunctions } from './gen_matmul.mjs';

/**
 * Where a lane has two blocks of columns, one is of the gate and one of up, and a step of k serves both. Where it has one, the products take turns: twice the sums
 * in one loop take lavapipe a multiple of the time to compile, and its code outgrows the processor's cache.
 */
const TILES = Object.fromEntries(Object.entries(FILES).map(([name, t]) => [name.replace('matmul', 'gated_linear'), { ...t, turns: t.bTiles === 2 ? [['gate', 'up']] : [['gate'], ['up']] }]));

const head = t => `// y = f(x gateᵀ) · (x upᵀ) with f = silu or gelu_tanh: the middle of a gated MLP (Shazeer 2020, arXiv 2002.05202) in the epilogue of its two products.
// Written by kernels/gen_gated_linear.mjs: change the generator. No barriers, no workgroup memory.
// ${t.lanes > 1 ? `${t.lanes} lanes, one subgroup, share a tile of ${t.lanes * 4 * t.aTiles} × ${t.lanes * 4} of both products: each lane loads its own rows of x and of both weights, those of x go round by ${broadcast(t)}.` : `Each invocation owns ${4 * t.aTiles} × 4 of both products; the 8 × 8 of a workgroup lie side by side.`}
// Rows and columns beyond the end are clamped for loading and never stored. \`forward\` wants N and K in multiples of 4; \`forward_ragged\` takes any shape.
// uses: sigmoid4
${t.lanes > 1 ? 'enable subgroups;\n' : ''}override FORM: u32 = 0u; // 0 silu, 1 gelu_tanh
override KEEP: bool = false; // also writes both products, for the backward

struct Params {
  m: u32, n: u32, k: u32,
  tiles_m: u32, tiles_n: u32,
  tile_rows: u32, // rows of one invocation's or one subgroup's tile
  up_first: u32,  // where the second product begins in pre, a multiple of 4
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x4: array<X4Stored>; // [M, K]
@group(0) @binding(2) var<storage, read> gate4: array<Gate4Stored>; // [N, K]
@group(0) @binding(3) var<storage, read> up4: array<Up4Stored>; // [N, K]
@group(0) @binding(4) var<storage, read_write> y4: array<vec4f>; // [M, N]
@group(0) @binding(5) var<storage, read_write> pre4: array<vec4f>; // [M, N] of gate, then of up, when KEEP
@group(0) @binding(6) var<storage, read> x1: array<X1Stored>; // the same five for any shape
@group(0) @binding(7) var<storage, read> gate1: array<Gate1Stored>;
@group(0) @binding(8) var<storage, read> up1: array<Up1Stored>;
@group(0) @binding(9) var<storage, read_write> y1: array<f32>;
@group(0) @binding(10) var<storage, read_write> pre1: array<f32>;
`;

/** x[row + i, k .. k + 3], or weight[col .. col + 3, k + i], for i = 0 .. 3. */
const blocks = `
fn x_block(row: u32, k: u32) -> mat4x4f {
  let width = params.k / 4u;
  let at = k / 4u;
  let last = params.m - 1u;
  return mat4x4f(load_x4(at + min(row, last) * width), load_x4(at + min(row + 1u, last) * width), load_x4(at + min(row + 2u, last) * width), load_x4(at + min(row + 3u, last) * width));
}
${['gate', 'up'].map(w => `
fn ${w}_block(k: u32, col: u32) -> mat4x4f {
  let width = params.k / 4u;
  let at = k / 4u + min(col, params.n - 4u) * width;
  return transpose(mat4x4f(load_${w}4(at), load_${w}4(at + width), load_${w}4(at + 2u * width), load_${w}4(at + 3u * width)));
}
`).join('')}
// Four elements of x along k, zeros from the end on, so that the tail of k adds nothing.
fn x_ragged(row: u32, k: u32) -> vec4f {
  let i = min(row, params.m - 1u) * params.k + min(vec4u(k) + vec4u(0u, 1u, 2u, 3u), vec4u(params.k - 1u));
  return select(vec4f(), vec4f(load_x1(i.x), load_x1(i.y), load_x1(i.z), load_x1(i.w)), vec4u(k) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.k));
}

fn x_block_ragged(row: u32, k: u32) -> mat4x4f {
  return mat4x4f(x_ragged(row, k), x_ragged(row + 1u, k), x_ragged(row + 2u, k), x_ragged(row + 3u, k));
}
${['gate', 'up'].map(w => `
fn ${w}_ragged(k: u32, col: u32) -> vec4f {
  let i = min(vec4u(col) + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u)) * params.k + vec4u(min(k, params.k - 1u));
  return vec4f(load_${w}1(i.x), load_${w}1(i.y), load_${w}1(i.z), load_${w}1(i.w));
}

fn ${w}_block_ragged(k: u32, col: u32) -> mat4x4f {
  return mat4x4f(${w}_ragged(k, col), ${w}_ragged(k + 1u, col), ${w}_ragged(k + 2u, col), ${w}_ragged(k + 3u, col));
}
`).join('')}`;

const epilogue = `
// Both forms are x σ(z): z = x for silu, z = 2 √(2/π) (x + 0.044715 x³) for gelu_tanh, as in gated.wgsl.
fn weight4(x: vec4f) -> vec4f {
  if (FORM == 0u) { return sigmoid4(x); }
  let t = clamp(x, vec4f(-30.0), vec4f(30.0));
  return sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
}

fn store(row: u32, col: u32, gate: vec4f, up: vec4f) {
  if (col >= params.n) { return; }
  let at = (row * params.n + col) / 4u;
  if (KEEP) {
    pre4[at] = gate;
    pre4[at + params.up_first / 4u] = up;
  }
  y4[at] = gate * weight4(gate) * up;
}

fn store_ragged(row: u32, col: u32, gate: vec4f, up: vec4f) {
  let at = row * params.n + col;
  let y = gate * weight4(gate) * up;
  for (var i = 0u; i < 4u && col + i < params.n; i++) {
    if (KEEP) {
      pre1[at + i] = gate[i];
      pre1[at + params.up_first + i] = up[i];
    }
    y1[at + i] = y[i];
  }
}
`;

function entry(t, ragged) {
  const { lanes, aTiles, group, run } = t;
  const twofold = run === 16; // a sum of its own for each run
  const halves = run / (twofold ? 16 : 4); // of a step, four k each
  const rows = lanes * 4 * aTiles;
  const suffix = ragged ? '_ragged' : '';
  const sum = (r, w) => `${w[0]}${r}`;
  const total = (r, w) => (twofold ? `t${w[0]}${r}` : sum(r, w));
  const all = (weights, f) => each(rows, r => weights.map(w => f(r, w)).join(' '));
  const at = h => (h === 0 ? 'k' : ragged ? 'k + 4u' : 'next');
  const inner = twofold ? '      ' : '    ';
  const lines = [
    '',
    `@compute @workgroup_size(${lanes * group})`,
    `fn forward${suffix}(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane_index: u32) {`,
    '  let group = wid.x + wid.y * nwg.x;',
    '  if (group >= params.tiles_m * params.tiles_n) { return; }',
    '  let tile_n = group % params.tiles_n;',
    '  let tile_m = group / params.tiles_n;',
    ...(lanes > 1
      ? [`  let lane = lane_index % ${lanes}u;`,
        `  let row = tile_m * ${rows}u;`,
        `  let col = tile_n * ${4 * lanes}u + 4u * lane; // of this lane's block of either weight`,
        '  let own_row = row + 4u * lane;']
      : [`  let row = (tile_m * ${group / 8}u + lane_index / 8u) * ${rows}u;`,
        '  let col = (tile_n * 8u + lane_index % 8u) * 4u;',
        '  let own_row = row;']),
    '  let end = params.k;',
  ];
  for (const weights of t.turns) {
    lines.push(...packed(weights.length > 1 ? 2 : 8, all(weights, (r, w) => `var ${sum(r, w)} = vec4f();${twofold ? ` var ${total(r, w)} = vec4f();` : ''}`), '  '),
      ...(twofold
        ? [`  // Sums of ${run} products join the total as one: rounding grows with the number of additions in a row.`,
          `  for (var run = 0u; run < end; run += ${run}u) {`,
          `    let stop = min(run + ${run}u, end);`,
          '    for (var k = run; k < stop; k += 4u) {']
        : [`  for (var k = 0u; k < end; k += ${4 * halves}u) {`]),
      ...(halves === 2 && !ragged ? [`${inner}let more = k + 4u < end; // a last step of four k: zeros of x for the rest, and the weights once more`, `${inner}let next = select(k, k + 4u, more);`] : []),
      ...each(halves, h => weights.map(w => `${inner}let ${w}s${h} = ${w}_block${suffix}(${at(h)}, col);`)).flat());
    for (let j = 0; j < aTiles; j++) {
      for (let h = 0; h < halves; h++) {
        const block = `x_block${suffix}(own_row${j ? ` + ${4 * lanes * j}u` : ''}, ${at(h)})`;
        lines.push(`${inner}let x${h}_${j} = ${h && !ragged ? `or_zero(${block}, more)` : block};`);
      }
      for (let r = j * 4 * lanes; r < (j + 1) * 4 * lanes; r++) {
        const shared = h => (lanes > 1 ? `${broadcast(t)}(x${h}_${j}[${r % 4}], ${Math.floor(r / 4) % lanes}u)` : `x${h}_${j}[${r % 4}]`);
        const named = weights.length > 1 || halves > 1;
        if (named) lines.push(inner + each(halves, h => `let s${h}_${r} = ${shared(h)};`).join(' '));
        const steps = w => each(halves, h => `${named ? `s${h}_${r}` : shared(h)}, ${w}s${h}`).join(', ');
        lines.push(inner + weights.map(w => `${sum(r, w)} = ${halves === 2 ? 'two_steps' : 'step'}(${sum(r, w)}, ${steps(w)});`).join(' '));
      }
    }
    if (twofold) lines.push('    }', ...packed(weights.length > 1 ? 2 : 8, all(weights, (r, w) => `${total(r, w)} += ${sum(r, w)}; ${sum(r, w)} = vec4f();`), '    '));
    lines.push('  }');
  }
  lines.push(`  var tile = array<vec4f, ${rows * 2}>(`, ...packed(16, all(['gate', 'up'], (r, w) => `${total(r, w)},`), '    '), '  );',
    '  // The bound hangs on the shape alone, and there is one call: drivers that unroll or inline the epilogue many times compile for seconds.',
    '  let inside = min(params.tile_rows, params.m - min(row, params.m));',
    '  for (var r = 0u; r < inside; r++) {', `    store${suffix}(row + r, col, tile[2u * r], tile[2u * r + 1u]);`, '  }', '}');
  return `${lines.join('\n')}\n`;
}

emit('gen_gated_linear.mjs', Object.fromEntries(Object.entries(TILES).map(([name, t]) => [name, `${head(t)}${blocks}\n${stepFunctions(t.run)}\n${epilogue}${entry(t, false)}${entry(t, true)}`])));
