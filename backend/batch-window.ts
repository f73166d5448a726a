/**
 * Work that is cheaper together: what comes within a short window is done by one call, in the order
 * in which it came. Two uses: one commit for many manifests, one signature for many documents.
 */

export interface BatchWindowOptions<T, R> {
  /** How long the first item waits for others; 0: only for those of the same turn of the loop. */
  readonly milliseconds: number;
  /** A batch is never larger; what is over goes into the next one. */
  readonly maxItems: number;
  /**
   * One result an item, in their order. What it throws, all items of the batch get. The next batch
   * does not wait for it.
   */
  readonly run: (items: readonly T[]) => Promise<readonly R[]>;
}

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

export class BatchWindow<T, R> {
  private readonly options: BatchWindowOptions<T, R>;
  private waiting: Waiting<T, R>[] = [];
  private timer: NodeJS.Timeout | undefined;
  private immediate: NodeJS.Immediate | undefined;

  constructor(options: BatchWindowOptions<T, R>) {
    this.options = options;
  }

  /** Adds an item to the batch that is being collected. */
  add(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      if (this.waiting.length >= this.options.maxItems) this.runSoon();
      else this.schedule();
    });
  }

  /** Begins at once with what waits. */
  flush(): void {
    if (this.timer !== undefined) clearTimeout(this.timer);
    if (this.immediate !== undefined) clearImmediate(this.immediate);
    this.timer = undefined;
    this.immediate = undefined;
    const batch = this.waiting.splice(0, this.options.maxItems);
    if (this.waiting.length > 0) this.runSoon();
    if (batch.length > 0) void this.run(batch);
  }

  private async run(batch: readonly Waiting<T, R>[]): Promise<void> {
    let results: readonly R[];
    try {
      results = await this.options.run(batch.map(({ item }) => item));
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    batch.forEach(({ resolve }, i) => {
      resolve(results[i]!);
    });
  }

  private schedule(): void {
    if (this.timer !== undefined || this.immediate !== undefined) return;
    const { milliseconds } = this.options;
    if (milliseconds === 0) this.runSoon();
    else this.timer = setTimeout(() => this.flush(), milliseconds);
  }

  private runSoon(): void {
    this.immediate ??= setImmediate(() => this.flush());
  }
}
