// The tables of the VL-JEPA paper, version 2 (spec 1.12), as data: what others and the paper's own models reach, to stand beside a result. All figures in per cent unless said otherwise.

/** One column of a table: a benchmark with every model's figure. */
export interface PaperColumn {
  readonly table: string;
  readonly benchmark: string;
  readonly metric: string;
  /** Model → figure, in the table's order. */
  readonly rows: readonly (readonly [model: string, value: number])[];
}

const T1_COLUMNS = ['classification average', 'SSv2', 'EK-100', 'EgoExo4D', 'Kinetics-400', 'COIN step', 'COIN task', 'CrossTask step', 'CrossTask task', 'retrieval average', 'MSR-VTT', 'ActivityNet', 'DiDeMo', 'MSVD', 'YouCook2', 'PVD-Bench', 'Dream-1k', 'VDC-1k'] as const;

/** Table 1: top-1 on eight sets, then R@1 on eight sets. NaN: not given. */
const T1_ROWS: readonly (readonly [string, readonly number[]])[] = [
  ['CLIP RN50', [21.8, 2.1, 1.5, 2.1, 41.4, 8.6, 39.0, 10.9, 68.7, 28.3, 28.7, 17.7, 24.7, 29.7, 5.1, 27.6, 47.2, 46.0]],
  ['CLIP ViT-B', [25.4, 3.1, 1.3, 2.8, 49.5, 11.2, 47.3, 16.2, 71.5, 29.3, 31.0, 19.5, 25.7, 34.0, 6.1, 27.0, 48.5, 42.9]],
  ['CLIP ViT-L', [30.7, 3.8, 3.7, 2.6, 58.3, 14.7, 63.5, 20.8, 78.5, 35.3, 35.9, 23.4, 30.7, 41.9, 7.9, 36.7, 56.8, 49.3]],
  ['SigLIP2 ViT-B', [33.9, 5.2, 2.3, 4.5, 57.8, 20.6, 69.9, 27.7, 82.9, 39.6, 40.2, 25.0, 32.1, 48.6, 13.8, 52.1, 60.9, 43.7]],
  ['SigLIP2 ViT-L', [38.6, 5.9, 4.5, 6.4, 63.6, 24.2, 78.5, 35.1, 90.8, 45.4, 41.6, 32.7, 35.1, 53.5, 19.0, 59.2, 71.6, 50.9]],
  ['SigLIP2 ViT-g', [39.8, 6.1, 6.1, 5.6, 68.0, 26.0, 80.4, 35.1, 90.8, 47.5, 43.4, 33.9, 38.9, 56.0, 22.2, 60.4, 73.0, 52.5]],
  ['PE-Core ViT-B', [37.2, 5.8, 3.3, 6.0, 65.4, 21.5, 77.1, 26.9, 91.8, 44.9, 46.5, 35.4, 35.3, 49.1, 15.2, 59.8, 68.7, 49.2]],
  ['PE-Core ViT-L', [42.9, 9.3, 6.0, 11.6, 73.4, 27.1, 83.3, 37.5, 95.3, 50.2, 48.9, 41.7, 40.8, 56.2, 22.5, 64.7, 75.9, 51.0]],
  ['PE-Core ViT-G', [44.7, 9.0, 6.4, 13.6, 76.4, 29.0, 86.0, 40.3, 97.2, 58.1, 51.6, 49.1, 44.5, 58.7, 26.0, 77.0, 89.2, 68.5]],
  ['VL-JEPA_BASE ViT-L', [52.5, 19.3, 21.8, 33.2, 64.8, 47.4, 79.4, 64.5, 89.6, 63.7, 40.0, 64.9, 50.0, 49.0, 40.4, 83.1, 93.3, 88.8]],
  ['VL-JEPA_SFT ViT-L (not zero-shot)', [75.4, 73.2, 44.6, 68.1, 84.8, 66.4, 90.3, 79.8, 96.2, 63.8, 46.2, 62.4, 52.3, 52.3, 37.8, 82.6, 89.3, 87.7]],
  ['previous best, specialists too', [NaN, 77.5, 56.4, 47.8, 92.1, 67.3, 95.3, 64.5, 96.0, NaN, 62.8, 74.1, 74.2, 61.4, 28.9, 77.0, 89.2, 68.5]],
];

/** Columns out of rows of figures; what is not given is left out. */
const columns = (table: string, names: readonly string[], metric: (name: string, i: number) => string, rows: readonly (readonly [string, readonly number[]])[]): PaperColumn[] =>
  names.map((benchmark, i) => ({ table, benchmark, metric: metric(benchmark, i), rows: rows.map(([model, values]) => [model, values[i]!] as const).filter(([, v]) => !Number.isNaN(v)) }));

const TABLE_2: readonly PaperColumn[] = ([
  ['GQA', [['BLIP-2 OPT-2.7B', 33.9], ['BLIP-2 FlanT5-XXL', 41.0], ['InstructBLIP FlanT5-XL', 48.4], ['InstructBLIP Vicuna-13B', 49.5], ['Qwen-VL-Chat-7B', 57.5], ['Qwen-VL-7B', 59.3], ['InternVL-Chat Vicuna-7B', 59.5], ['LLaVA-1.5 Vicuna-7B', 62.0], ['InternVL-Chat Vicuna-13B', 66.6], ['VL-JEPA_SFT', 61.5]]],
  ['TallyQA', [['SmolVLM-256M', 32.3], ['SmolVLM-500M', 44.8], ['PaLI-700M', 62.3], ['SmolVLM-2B', 64.7], ['PaLI-3B', 65.8], ['InstructBLIP Vicuna-13B', 68.0], ['PaLI-17B', 71.9], ['LLaVA-1.5 Vicuna-13B', 72.3], ['PaliGemma 3B', 76.8], ['VL-JEPA_SFT', 69.9]]],
  ['POPE', [['SmolVLM2-256M', 56.4], ['SmolVLM-256M', 57.9], ['LLaVA-7B', 72.9], ['InstructBLIP Vicuna-13B', 79.0], ['Video-LLaVA 7B', 83.4], ['SmolVLM-500M', 85.8], ['LLaVA-1.5-7B', 85.9], ['LLaVA-1.5-13B-HD', 86.3], ['SmolVLM-2B', 87.5], ['VL-JEPA_SFT', 85.7]]],
  ['POPEv2', [['SmolVLM-256M', 62.3], ['LLaVA-1.5-13B', 72.7], ['InternVL2-8B', 74.5], ['InternVL2-26B', 76.1], ['Qwen2-VL-72B', 79.4], ['SmolVLM-500M', 83.8], ['Qwen2-VL-7B', 87.0], ['SmolVLM-2B', 88.8], ['Qwen2-VL-2B', 91.3], ['VL-JEPA_SFT', 86.3]]],
] as const).map(([benchmark, rows]): PaperColumn => ({ table: 'Table 2', benchmark, metric: 'accuracy', rows }));

const TABLE_3: PaperColumn = {
  table: 'Table 3', benchmark: 'WorldPrediction-WM', metric: 'accuracy of 4 (chance 25)', rows: [
    ['InternVL2.5 2B', 20.0], ['InternVL2.5 4B', 29.8], ['InternVL2.5 26B', 30.2], ['InternVL2.5 38B', 50.3], ['Qwen2.5-VL 3B', 21.6], ['Qwen2.5-VL 7B', 45.5], ['Qwen2.5-VL 32B', 49.0], ['Qwen2.5-VL 72B', 57.0],
    ['captions + Llama-3.1 8B', 48.7], ['captions + Llama-3.1 70B', 49.8], ['captions + Llama-4 109B', 52.7], ['captions + Llama-4 400B', 53.6], ['captions + Qwen2.5 3B', 44.0], ['captions + Qwen2.5 7B', 49.1], ['captions + Qwen2.5 72B', 48.5],
    ['captions + GPT-4o', 52.0], ['captions + Claude-3.5', 53.3], ['captions + Gemini-2', 55.6], ['VL-JEPA_BASE', 63.9], ['VL-JEPA_SFT', 65.7],
  ],
};

const TABLE_4 = columns('Table 4', ['EK-100 anticipation 1 s', 'EK-100 anticipation 2 s', 'EK-100 anticipation 4 s', 'EK-100 anticipation 10 s'], () => 'Recall@5, fine-tuned', [
  ['V-JEPA 2 ViT-g-384', [39.7, 28.6, 19.3, 8.2]], ['V-JEPA 2 ViT-L-256', [32.7, 23.4, 15.9, 7.1]], ['VL-JEPA ViT-L-256', [34.2, 26.0, 19.4, 11.7]],
]);

const TABLE_5: PaperColumn = { table: 'Table 5', benchmark: 'COIN next step', metric: 'accuracy', rows: [['VideoLLM-online 8B', 49.1], ['VideoLLM-MoD 8B', 49.7], ['ProVideLLM-8B/11+', 53.6], ['VL-JEPA', 56.2]] };

const TABLE_6 = columns('Table 6', ['SugarCrepe++', 'SugarCrepe++ replace attribute', 'SugarCrepe++ replace object', 'SugarCrepe++ replace relation', 'SugarCrepe++ swap attribute', 'SugarCrepe++ swap object', 'VISLA', 'VISLA generic', 'VISLA spatial'], () => 'triplet accuracy', [
  ['CLIP ViT-L', [44.5, 56.7, 83.0, 42.5, 27.0, 13.5, 34.5, 37.6, 31.3]], ['SigLIP2 ViT-g', [56.5, 66.9, 74.4, 52.1, 58.4, 30.6, 40.4, 48.7, 32.1]], ['PE-Core ViT-G', [58.6, 73.6, 90.6, 48.9, 53.2, 26.5, 38.3, 45.2, 31.4]],
  ['VL-JEPA_BASE', [63.9, 72.2, 90.1, 52.2, 62.9, 42.0, 42.9, 49.8, 35.9]], ['VL-JEPA_SFT', [58.4, 68.5, 90.9, 47.4, 55.4, 29.8, 39.5, 44.8, 34.2]],
]);

const TABLE_7 = columns('Table 7', ['ablation classification', 'ablation retrieval', 'ablation VQA'], (_, i) => ['mean top-1', 'mean R@1', 'mean accuracy'][i]!, [
  ['VL-JEPA_SFT, full', [75.4, 63.8, 74.2]], ['with caption pretraining', [49.0, 47.5, 46.1]], ['without caption pretraining', [27.3, 30.2, 42.5]],
  ['Y-Encoder multiplier 0.05 (default)', [27.3, 30.2, 42.5]], ['multiplier 1.00', [23.7, 28.8, 40.7]], ['multiplier 0.10', [26.9, 30.2, 42.9]], ['multiplier 0.01', [25.6, 27.7, 41.0]], ['multiplier 0.00', [20.0, 25.9, 41.4]],
  ['frozen text encoder, InfoNCE', [23.3, 30.3, 44.3]], ['frozen text encoder, cosine', [16.5, 20.2, 46.6]], ['frozen text encoder, L1', [14.8, 15.5, 41.9]], ['frozen text encoder, L2', [13.5, 11.7, 43.7]],
  ['layers 8-16 (default)', [27.3, 30.2, 42.5]], ['layers 0-2', [24.3, 27.8, 40.1]], ['layers 0-4', [25.1, 28.9, 43.6]], ['layers 0-8', [27.2, 29.3, 43.4]], ['layers 0-16', [27.4, 31.0, 45.5]],
  ['causal attention kept', [26.7, 31.2, 40.6]], ['random init', [28.1, 30.4, 40.6]], ['EmbeddingGemma-300M, frozen with linear', [19.5, 24.1, 42.5]],
  ['Qwen3-Embedding-0.6B', [24.5, 24.5, 41.5]], ['Qwen3-Embedding-4B', [27.7, 26.6, 38.1]], ['Qwen3-Embedding-8B', [29.6, 29.5, 41.9]],
  ['PE-core text B', [29.4, 34.5, 35.9]], ['PE-core text L', [29.0, 34.2, 42.9]], ['PE-core text G', [33.9, 32.0, 41.8]],
]);

/** Table 8: which kinds of task a family of models covers. */
export const PAPER_COVERAGE = [['CLIP', { retrieval: true, generation: false }], ['VLM', { retrieval: false, generation: true }], ['VL-JEPA', { retrieval: true, generation: true }]] as const;

/** Tables 1 to 7, one entry per column. */
export const PAPER_COLUMNS: readonly PaperColumn[] = [
  ...columns('Table 1', T1_COLUMNS, (_, i) => (i < 9 ? 'top-1' : 'R@1, text to video'), T1_ROWS), ...TABLE_2, TABLE_3, ...TABLE_4, TABLE_5, ...TABLE_6, ...TABLE_7,
];

/** Other names of benchmarks. */
const ALSO: Readonly<Record<string, string>> = {
  somethingsomethingv2: 'ssv2', sthsthv2: 'ssv2', ek: 'ek100', epickitchens100: 'ek100', epickitchens: 'ek100', egoexo: 'egoexo4d', k400: 'kinetics400', kinetics: 'kinetics400', msrvtt1k: 'msrvtt', anet: 'activitynet',
  pvd: 'pvdbench', dream: 'dream1k', vdc: 'vdc1k', yc2: 'youcook2', wm: 'worldpredictionwm', worldprediction: 'worldpredictionwm', sugarcrepepp: 'sugarcrepe', 'sugarcrepe++': 'sugarcrepe',
};

const plain = (name: string): string => {
  const key = name.toLowerCase().replace(/[^a-z0-9]/g, '');
  return ALSO[key] ?? key;
};

/**
 * The paper's column of a benchmark.
 * @param name as people write it: "K400", "Kinetics-400", "msr-vtt"; case and signs do not matter @returns the column, or none where the paper has no such benchmark
 */
export const paperColumn = (name: string): PaperColumn | undefined => PAPER_COLUMNS.find(c => plain(c.benchmark) === plain(name));
