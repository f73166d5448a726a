/** Reads, again and again, what an emulated Primary tells of its update (hal/emulated). */
import { readFileSync } from 'node:fs';
import type { EcuProgress } from '../../hal/types.ts';

const readMilliseconds = 100;

export class ProgressReader {
  private readonly timer: NodeJS.Timeout;
  private last = '';

  /** @param onProgress called with every state that is not the last one again */
  constructor(path: string, onProgress: (ecus: readonly EcuProgress[]) => void) {
    this.timer = setInterval(() => {
      const text = readIfThere(path);
      if (text === '' || text === this.last) return;
      this.last = text;
      onProgress(JSON.parse(text) as readonly EcuProgress[]);
    }, readMilliseconds);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}

/** Empty before the first update. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
