/**
 * Queue-delay admission over bounded lanes (docs/dos.md, layers 6 and 7).
 *
 * Requests wait in explicit queues, not in the event loop's: what waits can then be ordered,
 * counted and refused. A request is shed when its lane is full, or when it would have to wait longer
 * than its priority's budget: as long as the oldest before it has waited already, or as long as all
 * before it take at the present pace. Delay is the measure, as in CoDel (RFC 8289), so no capacity
 * has to be configured or guessed.
 */
import {
  delayBudgetMilliseconds,
  type Lane,
  laneLimits,
  laneNames,
  type Priority,
  priorityNames,
} from './priorities.ts';

export type ShedReason = 'full' | 'delay';

/** What is to be done when its turn comes; a promise keeps its place in the lane until it settles. */
export interface Job {
  readonly start: () => Promise<unknown> | undefined;
  /** Called instead of `start` when a request of higher priority needed the room. */
  readonly shed: (reason: ShedReason) => void;
  /** True when nobody waits for the answer any more; neither `start` nor `shed` is called then. */
  readonly abandoned: () => boolean;
}

interface Waiting {
  readonly job: Job;
  readonly since: number;
}

interface LaneState {
  readonly queues: Readonly<Record<Priority, Waiting[]>>;
  queued: number;
  active: number;
}

export interface LanesOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Calls back after the requests that have arrived were read. */
  readonly soon: (callback: () => void) => void;
  readonly onStarted?: (lane: Lane, waitedMilliseconds: number) => void;
  readonly onShed?: (lane: Lane, reason: ShedReason) => void;
}

/** Weight of the newest turn in the pace. */
const paceWeight = 0.2;
/**
 * Bounds of one turn of admitted work between two looks at the sockets. Short, since each look takes
 * in one new connection only (libuv): long turns would leave those who connect waiting.
 */
const minTurnMilliseconds = 1;
const maxTurnMilliseconds = 50;

export class Lanes {
  private readonly options: LanesOptions;
  private readonly lanes: Readonly<Record<Lane, LaneState>>;
  private scheduled = false;
  private lastTurnEnded: number;
  /** Milliseconds a request, reading and refusing others included. */
  private pace = 0;
  /** Something waited when the last turn ended: the time since then belongs to the next one. */
  private backlog = false;

  constructor(options: LanesOptions) {
    this.options = options;
    this.lastTurnEnded = options.now();
    this.lanes = Object.fromEntries(
      laneNames.map((lane) => [lane, emptyLane()]),
    ) as unknown as Readonly<Record<Lane, LaneState>>;
  }

  /** Whether a request that arrives now would be shed; asked before its body is read. */
  judge(lane: Lane, priority: Priority): ShedReason | undefined {
    if (this.delayBefore(lane, priority) > delayBudgetMilliseconds[priority]) return 'delay';
    const state = this.lanes[lane];
    if (state.queued < laneLimits[lane].queued) return undefined;
    return lowestBelow(state, priority) === undefined ? 'full' : undefined;
  }

  /** Queues a job, or says why not; a job of lower priority gives way in a full lane. */
  add(lane: Lane, priority: Priority, job: Job): ShedReason | undefined {
    const reason = this.judge(lane, priority);
    if (reason !== undefined) {
      this.options.onShed?.(lane, reason);
      return reason;
    }
    const state = this.lanes[lane];
    if (state.queued >= laneLimits[lane].queued) {
      const displaced = state.queues[lowestBelow(state, priority)!].pop()!;
      state.queued -= 1;
      this.options.onShed?.(lane, 'full');
      displaced.job.shed('full');
    }
    state.queues[priority].push({ job, since: this.options.now() });
    state.queued += 1;
    this.schedule();
    return undefined;
  }

  /** Requests that wait and that are at work. */
  countOf(lane: Lane): { readonly queued: number; readonly active: number } {
    const { queued, active } = this.lanes[lane];
    return { queued, active };
  }

  /** How long a new request of this lane and priority would wait at least. */
  private delayBefore(lane: Lane, priority: Priority): number {
    const now = this.options.now();
    let oldest = now;
    let before = 0;
    for (const name of laneNames) {
      const state = this.lanes[name];
      // What waits for a place in another lane does not wait for the processor.
      if (state.queued === 0 || (name !== lane && isBusy(name, state))) continue;
      for (const level of priorityNames) {
        const queue = state.queues[level];
        const first = queue[0];
        before += queue.length;
        if (first !== undefined && first.since < oldest) oldest = first.since;
        if (level === priority) break;
      }
    }
    return Math.max(now - oldest, before * this.pace);
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.options.soon(() => this.takeTurn());
  }

  private takeTurn(): void {
    this.scheduled = false;
    const { now } = this.options;
    const started = now();
    // At least half of the time belongs to admitted work, however much there is to refuse.
    const between = started - this.lastTurnEnded;
    const turn = Math.min(Math.max(between, minTurnMilliseconds), maxTurnMilliseconds);
    let next = this.next();
    let done = 0;
    while (next !== undefined) {
      this.start(next.lane, next.waiting);
      done += 1;
      if (now() - started >= turn) break;
      next = this.next();
    }
    const ended = now();
    if (done > 0) {
      const pace = (ended - (this.backlog ? this.lastTurnEnded : started)) / done;
      this.pace += (pace - this.pace) * paceWeight;
    }
    this.lastTurnEnded = ended;
    this.backlog = laneNames.some(
      (lane) => this.lanes[lane].queued > 0 && !isBusy(lane, this.lanes[lane]),
    );
    if (this.backlog) this.schedule();
  }

  private next(): { readonly lane: Lane; readonly waiting: Waiting } | undefined {
    for (const priority of priorityNames) {
      for (const lane of laneNames) {
        const state = this.lanes[lane];
        if (isBusy(lane, state)) continue;
        const queue = state.queues[priority];
        while (queue.length > 0) {
          const waiting = queue.shift()!;
          state.queued -= 1;
          if (!waiting.job.abandoned()) return { lane, waiting };
        }
      }
    }
    return undefined;
  }

  private start(lane: Lane, { job, since }: Waiting): void {
    const state = this.lanes[lane];
    this.options.onStarted?.(lane, this.options.now() - since);
    const running = job.start();
    if (running === undefined) return;
    state.active += 1;
    const done = () => {
      state.active -= 1;
      if (state.queued > 0) this.schedule();
    };
    running.then(done, done);
  }
}

function emptyLane(): LaneState {
  const queues = Object.fromEntries(priorityNames.map((priority) => [priority, []]));
  return { queues: queues as unknown as LaneState['queues'], queued: 0, active: 0 };
}

function isBusy(lane: Lane, { active }: LaneState): boolean {
  return active >= laneLimits[lane].active;
}

/** The lowest priority below this one of which something waits. */
function lowestBelow({ queues }: LaneState, priority: Priority): Priority | undefined {
  for (let level = priorityNames.length - 1; level >= 0; level--) {
    const name = priorityNames[level]!;
    if (name === priority) return undefined;
    if (queues[name].length > 0) return name;
  }
  return undefined;
}
