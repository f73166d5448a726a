/**
 * Faults of a bus, injected in the hub: frames lost, duplicated, swapped with the next one of the
 * same sender, delayed (with all that follow from that sender) or with one data bit turned. A seed
 * makes a run's decisions repeatable, and every fault that happens is counted.
 */

/** Probability of each fault per frame, 0 … 1. */
export interface FaultPlan {
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly delay: number;
  readonly corrupt: number;
  /** How long a delayed frame is held, in milliseconds. */
  readonly delayMilliseconds: number;
  readonly seed: number;
}

export interface FaultCounts {
  frames: number;
  lost: number;
  duplicated: number;
  reordered: number;
  delayed: number;
  corrupted: number;
}

const rates = ['loss', 'duplicate', 'reorder', 'delay', 'corrupt'] as const;
const maxDelayMilliseconds = 60_000;
/** A frame that waits for its sender's next one goes on alone after this time. */
const reorderMilliseconds = 10;

/**
 * Parses `loss=0.01,delay=0.001,delay-ms=20,seed=7`; an array lists every mistake.
 */
export function parseFaultPlan(text: string): FaultPlan | string[] {
  const values: Record<string, number> = { 'delay-ms': 20, seed: 1 };
  for (const rate of rates) values[rate] = 0;
  const mistakes: string[] = [];
  for (const part of text.split(',')) {
    const [name = '', value = '', ...more] = part.split('=');
    const number = Number(value);
    if (!Object.hasOwn(values, name)) {
      mistakes.push(`"${part}": expected one of ${Object.keys(values).join(', ')}, each with =`);
    } else if (more.length > 0 || !/^[0-9]+(\.[0-9]+)?$/.test(value)) {
      mistakes.push(`${name}=${[value, ...more].join('=')}: expected a number`);
    } else if (name === 'seed' && !(Number.isInteger(number) && number <= 0xffffffff)) {
      mistakes.push(`seed=${value}: expected an integer up to 4294967295`);
    } else if (name === 'delay-ms' && number > maxDelayMilliseconds) {
      mistakes.push(`delay-ms=${value}: expected at most ${maxDelayMilliseconds}`);
    } else if (name !== 'seed' && name !== 'delay-ms' && number > 1) {
      mistakes.push(`${name}=${value}: expected a probability, 0 to 1`);
    } else values[name] = number;
  }
  if (mistakes.length > 0) return mistakes;
  return {
    loss: values['loss']!,
    duplicate: values['duplicate']!,
    reorder: values['reorder']!,
    delay: values['delay']!,
    corrupt: values['corrupt']!,
    delayMilliseconds: values['delay-ms']!,
    seed: values['seed']!,
  };
}

/** What one bus shares between its lines: the plan, its random numbers and the counts. */
export class FaultSource {
  readonly plan: FaultPlan;
  readonly counts: FaultCounts = {
    frames: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    delayed: 0,
    corrupted: 0,
  };
  private state: number;

  constructor(plan: FaultPlan) {
    this.plan = plan;
    this.state = plan.seed;
  }

  /** True with probability `rate`; a fault that is switched off takes no random number. */
  happens(rate: number): boolean {
    return rate > 0 && this.next() / 2 ** 32 < rate;
  }

  /** 0 … 2³²−1: a Weyl sequence, mixed by the finaliser of MurmurHash3, so that any seed will do. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  }
}

export interface FaultLineEvents {
  /** A frame goes on to the bus. */
  readonly pass: (frame: Uint8Array) => void;
  /** The sender waits, or may go on: frames are held, and more should not be read. */
  readonly hold: (held: boolean) => void;
  /** Calls back after `milliseconds`; the result cancels it. */
  readonly after: (milliseconds: number, callback: () => void) => () => void;
}

/** The way of one sender's frames to the bus. */
export class FaultLine {
  private readonly source: FaultSource;
  private readonly events: FaultLineEvents;
  /** Frames behind one that is delayed, that one first. */
  private held: Uint8Array[] = [];
  private delaying: (() => void) | undefined;
  /** The frame that the next one overtakes. */
  private overtaken: Uint8Array | undefined;
  private overtaking: (() => void) | undefined;

  constructor(source: FaultSource, events: FaultLineEvents) {
    this.source = source;
    this.events = events;
  }

  /** Takes one encoded frame, `dataStart` being where its data begin. */
  push(frame: Uint8Array, dataStart: number): void {
    const { source } = this;
    const { plan, counts } = source;
    counts.frames++;
    if (source.happens(plan.loss)) {
      counts.lost++;
      return;
    }
    let passed = frame;
    if (frame.length > dataStart && source.happens(plan.corrupt)) {
      counts.corrupted++;
      passed = Uint8Array.from(frame);
      const bit = source.next() % ((frame.length - dataStart) * 8);
      const at = dataStart + Math.floor(bit / 8);
      passed[at] = passed[at]! ^ (1 << (bit % 8));
    }
    const copies = source.happens(plan.duplicate) ? 2 : 1;
    if (copies === 2) counts.duplicated++;
    if (this.delaying === undefined && source.happens(plan.delay)) {
      counts.delayed++;
      this.events.hold(true);
      this.delaying = this.events.after(plan.delayMilliseconds, () => this.goOn());
    }
    for (let copy = 0; copy < copies; copy++) {
      if (this.delaying !== undefined) this.held.push(passed);
      else this.order(passed);
    }
  }

  /** Passes on all that is held: the sender has left the bus. */
  end(): void {
    this.delaying?.();
    this.goOn();
    this.release();
  }

  private goOn(): void {
    if (this.delaying === undefined) return;
    this.delaying = undefined;
    const { held } = this;
    this.held = [];
    for (const frame of held) this.order(frame);
    this.events.hold(false);
  }

  private order(frame: Uint8Array): void {
    if (this.overtaken === undefined && this.source.happens(this.source.plan.reorder)) {
      this.overtaken = frame;
      this.overtaking = this.events.after(reorderMilliseconds, () => this.release());
      return;
    }
    this.events.pass(frame);
    if (this.overtaken !== undefined) this.source.counts.reordered++;
    this.release();
  }

  private release(): void {
    const { overtaken } = this;
    if (overtaken === undefined) return;
    this.overtaking?.();
    this.overtaken = undefined;
    this.events.pass(overtaken);
  }
}
