// What the page and its worker say to each other, and the settings of a stream as data.

/** How a stream of frames becomes windows, and when text is decoded. */
export interface StreamSettings {
  /** Frames looked at per second of film. */
  framesPerSecond: number;
  /** Frames of a window: 1 embeds every frame as a picture. */
  framesPerWindow: number;
  /** Frames from one window to the next. */
  strideFrames: number;
  /** Embeddings whose variance is watched. */
  window: number;
  /** A variance above it is a change. */
  threshold: number;
  /** Least time between two decodes, s. */
  minGapS: number;
}

/** Windows of one stream at most; longer films are looked at less often, a live stream begins anew. */
export const MOST_WINDOWS = 1500;

/** Settings for a checkpoint. @param clipFrames frames of the clips that it was trained on; 0 where it knows pictures only @returns windows of that many frames, or of one */
export const defaultStream = (clipFrames: number): StreamSettings =>
  clipFrames <= 1
    ? { framesPerSecond: 8, framesPerWindow: 1, strideFrames: 1, window: 6, threshold: 0.05, minGapS: 0.5 }
    : { framesPerSecond: 12, framesPerWindow: clipFrames, strideFrames: Math.max(1, clipFrames >> 2), window: 3, threshold: 0.05, minGapS: 0.5 };

/** What the worker found when it started. */
export interface Machine {
  adapter: string;
  software: boolean;
  parameters: number;
  side: number;
  /** Frames of the clips that it was trained on, with questions; 0 where it knows pictures only. */
  clipFrames: number;
  decoder: boolean;
}

export interface Scored {
  label: string;
  score: number;
}

/** Time of one stage, ms: the last and the mean since the stream began. */
export interface StageTime {
  stage: 'decode' | 'vision' | 'predict' | 'text';
  lastMs: number;
  meanMs: number;
}

/** Calls of the page: name → what goes in and comes back. */
export interface Calls {
  start: { in: { model: string; files: readonly string[] }; out: Machine };
  labels: { in: { labels: readonly string[] | 'names' }; out: { count: number } };
  open: { in: { turn: number; file: Blob; name: string; settings: StreamSettings }; out: { durationS: number; frames: number; width: number; height: number; decoder: string } };
  /** `atOnce`: windows embedded together; 1 where people wait for each. */
  live: { in: { turn: number; settings: StreamSettings; atOnce: number }; out: null };
  frame: { in: { bitmap: ImageBitmap; timeS: number }; out: null };
  finish: { in: null; out: null };
  look: { in: { index: number }; out: { labels: Scored[]; names: Scored[] } };
  find: { in: { text: string }; out: { curve: Float32Array; best: number } };
  /** Without answers the text decoder speaks. */
  ask: { in: { index: number; question: string; answers: readonly string[] }; out: Scored[] };
}

export type CallName = keyof Calls;

/** What the worker tells unasked; `turn` is the page's number of the stream, because news of an older one may still be on its way. */
export type Told =
  | { tell: 'progress'; what: string; part: number }
  | { tell: 'window'; turn: number; index: number; timeS: number; variance: number; thumb?: ImageBitmap }
  | { tell: 'caption'; turn: number; key: number; fromS: number; toS: number; atS: number; text: string; score: number }
  | { tell: 'end'; turn: number }
  | { tell: 'names' }
  | { tell: 'machine'; times: StageTime[]; liveBytes: number; peakBytes: number }
  /** `fatal`: nothing is computed any more. */
  | { tell: 'trouble'; message: string; fatal?: boolean };

export type Request = { [K in CallName]: { id: number; call: K; args: Calls[K]['in'] } }[CallName];
export type Reply = { id: number; result?: unknown; error?: string };
