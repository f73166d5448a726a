/** All that decides whether a request is taken: quotas, lanes, and what memory can answer. */
import { performance } from 'node:perf_hooks';
import type { Metrics } from '../metrics.ts';
import { Lanes, type ShedReason } from './lanes.ts';
import { LastSigned, maxKeptBytes } from './last-signed.ts';
import { type Lane, laneNames, type Priority } from './priorities.ts';
import { type QuotaLimits, type QuotaRefusal, Quotas, type Sender } from './quotas.ts';

export interface AdmissionOptions {
  readonly limits: QuotaLimits;
  readonly metrics: Metrics;
  /** Other processes sign as well: what memory holds may be old, and would look like a rollback. */
  readonly shared: boolean;
  /** What is kept of a vehicle that a certificate names; undefined when it is not registered. */
  readonly vehicleOf: (
    vehicleId: string,
  ) => Promise<{ readonly fleet: string; readonly urgent: boolean } | undefined>;
}

export class Admission {
  readonly memory: LastSigned;
  readonly lanes: Lanes;
  readonly quotas: Quotas;
  readonly metrics: Metrics;
  /** True once the backend is being stopped: nobody should send it more. */
  draining = false;
  private readonly options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    const { metrics, limits } = options;
    this.options = options;
    this.metrics = metrics;
    this.quotas = new Quotas(limits);
    this.memory = new LastSigned(options.shared ? 0 : maxKeptBytes);
    this.lanes = new Lanes({
      now: () => performance.now(),
      soon: setImmediate,
      onStarted: (lane, waited) => {
        metrics.queueSeconds.observe({ lane }, waited / 1_000);
        this.show(lane);
      },
      onShed: (lane, reason) => metrics.shed.inc({ lane, reason }),
    });
    for (const lane of laneNames) this.show(lane);
  }

  /**
   * Who sends, for the quotas. A certificate of a vehicle that is not in the inventory names
   * nobody: such a sender is its address.
   */
  async senderOf(vehicleId: string | undefined, address: string): Promise<Sender> {
    const vehicle = vehicleId === undefined ? undefined : await this.options.vehicleOf(vehicleId);
    if (vehicleId === undefined || vehicle === undefined) return { address };
    const { fleet, urgent } = vehicle;
    return { vehicleId, fleet, urgent };
  }

  async spend(sender: Sender, points = 1): Promise<QuotaRefusal | undefined> {
    const refused = await this.quotas.spend(sender, points);
    if (refused !== undefined) this.metrics.quotaRefused.inc({ scope: refused.scope });
    return refused;
  }

  /** The priority of a route, raised for a vehicle whose safety hangs on it. */
  priorityFor(priority: Priority, sender: Sender | undefined): Priority {
    if (sender === undefined || !('vehicleId' in sender)) return priority;
    return sender.urgent ? 'safety' : priority;
  }

  /** Whether to refuse before the body is read; counted like every refusal of a lane. */
  judge(lane: Lane, priority: Priority): ShedReason | undefined {
    const reason = this.lanes.judge(lane, priority);
    if (reason !== undefined) this.metrics.shed.inc({ lane, reason });
    return reason;
  }

  /**
   * Does `work` when its turn comes.
   * @param abandoned true once nobody waits for the answer: the work is left out, and the promise
   *   never settles
   * @returns undefined when it was done, or why it was shed; rejects with what `work` throws
   */
  run(
    lane: Lane,
    priority: Priority,
    abandoned: () => boolean,
    work: () => unknown,
  ): Promise<ShedReason | undefined> {
    return new Promise((resolve, reject) => {
      const start = (): Promise<unknown> | undefined => {
        try {
          const result = work();
          if (!(result instanceof Promise)) {
            resolve(undefined);
            return undefined;
          }
          result.then(() => resolve(undefined), reject).finally(() => this.show(lane));
          return result;
        } catch (error) {
          reject(error);
          return undefined;
        }
      };
      const reason = this.lanes.add(lane, priority, { start, shed: resolve, abandoned });
      this.show(lane);
      if (reason !== undefined) resolve(reason);
    });
  }

  private show(lane: Lane): void {
    const { queued, active } = this.lanes.countOf(lane);
    this.metrics.queued.set({ lane }, queued);
    this.metrics.active.set({ lane }, active);
  }
}
