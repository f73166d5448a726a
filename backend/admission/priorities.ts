/**
 * Who waits for whom when there is more to do than time: lanes and priorities (docs/dos.md).
 *
 * A lane is a bounded queue with bounded work of its own, so that one kind of request never takes
 * the room of another. Priorities go across lanes: the lower number is served first, and shed last.
 */

/** Bounds of the lanes: requests at work at once, and requests waiting behind them. */
export const laneLimits = {
  /** Manifests and registrations: verified, then made durable in groups. */
  reports: { active: 256, queued: 512 },
  /** Metadata, key objects, polls, time. */
  metadata: { active: 256, queued: 1_024 },
  /** Image bytes; each holds a file and a buffer for as long as its receiver takes. */
  downloads: { active: 512, queued: 256 },
  /** Everything of the operator plane; an upload counts for as long as it lasts. */
  operators: { active: 16, queued: 64 },
} as const;

export type Lane = keyof typeof laneLimits;
export const laneNames = Object.keys(laneLimits) as readonly Lane[];

/**
 * Priorities with their budgets: how long, in milliseconds, those that came before may have waited
 * when a request of this priority is still taken. Vehicles that are told to leave an image for
 * safety's sake, and the operator who says so, are the last that are turned away.
 */
export const delayBudgetMilliseconds = {
  safety: 2_000,
  operation: 1_000,
  report: 150,
  metadata: 100,
  download: 75,
  dashboard: 50,
} as const;

export type Priority = keyof typeof delayBudgetMilliseconds;
/** From the first served to the first shed. */
export const priorityNames = Object.keys(delayBudgetMilliseconds) as readonly Priority[];
