// Frames of a stream on their way to windows.
import type { StreamSettings } from './protocol.ts';

/** Holds what the next windows still need, whatever the length of the stream; windows may overlap, or leave frames out between them. */
export class SlidingFrames<T> {
  private readonly perWindow: number;
  private readonly stride: number;
  private readonly held: T[] = [];
  /** Frames to come that lie between two windows. */
  private gap = 0;

  constructor({ framesPerWindow, strideFrames }: Pick<StreamSettings, 'framesPerWindow' | 'strideFrames'>) {
    this.perWindow = framesPerWindow;
    this.stride = strideFrames;
  }

  push(frame: T): void {
    if (this.gap > 0) this.gap--;
    else this.held.push(frame);
  }

  /** Whole windows that are there. */
  get ready(): number {
    return Math.max(0, Math.floor((this.held.length - this.perWindow) / this.stride) + 1);
  }

  /** A stream shorter than one window: its last frame waits. */
  fill(): void {
    while (this.held.length > 0 && this.held.length < this.perWindow) this.held.push(this.held.at(-1)!);
  }

  /** All windows that are there, and forgets what no later one needs. @returns [windows][framesPerWindow] */
  take(): T[][] {
    const windows = Array.from({ length: this.ready }, (_, i) => this.held.slice(i * this.stride, i * this.stride + this.perWindow));
    const gone = windows.length * this.stride;
    this.gap = Math.max(0, gone - this.held.length);
    this.held.splice(0, gone);
    return windows;
  }
}
