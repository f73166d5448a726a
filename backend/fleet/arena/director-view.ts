/** What the Director knows: its log, in which attacks have to be named, and the vehicle as reported. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import type { OperatorClient } from '../../cli/operator-client.ts';
import { type LogEntry, logKinds, logPage, type VehicleView } from '../../http/messages.ts';
import type { Operator } from '../operator.ts';
import { vehicleId } from '../vehicle-layout.ts';
import type { Named } from './variant.ts';

/** Waits until `done`; rejects with what was waited for when it never is. */
export type Until = (done: () => Promise<boolean>, what: string) => Promise<void>;

export class DirectorView {
  private readonly operator: Operator;
  private readonly client: OperatorClient;
  private readonly until: Until;

  constructor(operator: Operator, client: OperatorClient, until: Until) {
    this.operator = operator;
    this.client = client;
    this.until = until;
  }

  /** Number of the newest entry of the Director's log. */
  async mark(): Promise<number> {
    return (await this.entriesAfter(0)).at(-1)?.id ?? 0;
  }

  /** All entries after one. */
  async entriesAfter(mark: number): Promise<readonly LogEntry[]> {
    const entries: LogEntry[] = [];
    for (;;) {
      const after = entries.at(-1)?.id ?? mark;
      const page = opened(await this.client.get(`/log?after=${after}`, logPage));
      if (page.length === 0) return entries;
      entries.push(...page);
    }
  }

  /** The entry after `mark` that names an attack so, if there is one yet. */
  async find({ by, code, row }: Named, mark: number): Promise<LogEntry | undefined> {
    const kind = by === 'director' ? logKinds.anomaly : logKinds.detection;
    return (await this.entriesAfter(mark)).find(
      (entry) =>
        entry.kind === kind &&
        entry.code === code &&
        entry.row === row &&
        (by === 'director' || entry.ecuId === by),
    );
  }

  /** Waits until the log has the entry; returns it. */
  async expect(named: Named, mark: number): Promise<LogEntry> {
    let found: LogEntry | undefined;
    await this.until(async () => {
      found = await this.find(named, mark);
      return found !== undefined;
    }, `${named.by} ${named.code} ${named.row}`);
    return found!;
  }

  async vehicle(): Promise<VehicleView> {
    return (await this.operator.vehicle(vehicleId))!;
  }

  /** What each ECU runs, by its last report. */
  async installed(): Promise<ReadonlyMap<string, string>> {
    const { ecus } = await this.vehicle();
    return new Map(ecus.map((ecu) => [ecu.ecuId, ecu.installed?.filename ?? '']));
  }
}

/** A result, or the refusal as an exception: here refusals of the honest backend are bugs. */
export function opened<T>(value: T | Refusal): T {
  if (isRefusal(value)) throw new Error(`${value.refused}: ${value.detail}`);
  return value;
}
