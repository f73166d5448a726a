/** `ota log`: every decision of the Director, every detection that was reported, every anomaly. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { identifier } from '../../../agent/metadata/common.ts';
import { toJson } from '../../http/json-view.ts';
import {
  type LogEntry,
  logEntriesPerPage,
  logEntry,
  logKinds,
  logPage,
} from '../../http/messages.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { table, time } from '../format.ts';
import type { OperatorClient } from '../operator-client.ts';
import { clientOf, serverOptions } from '../settings.ts';

const kinds = Object.keys(logKinds) as (keyof typeof logKinds)[];

export const logCommands: readonly Command[] = [
  {
    name: 'log',
    summary: "Show the Director's decisions, reported detections and anomalies, oldest first",
    positionals: [],
    options: {
      vehicle: { value: 'ID', help: 'of one vehicle (default: all)' },
      after: { value: 'N', help: 'entries after the one with this number (default: 0)' },
      kind: { value: kinds.join('|'), help: 'of one kind (default: all)' },
      ...serverOptions,
    },
    notes: ['Nothing is ever removed from the log or changed in it.'],
    run,
  },
];

async function run(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const named = (option: string) => given.optional(option) !== undefined;
  const vehicleId = named('vehicle') ? given.text('vehicle', identifier) : undefined;
  const after = given.integer('after', 0, Number.MAX_SAFE_INTEGER);
  const kind = named('kind') ? logKinds[given.choice('kind', kinds)] : undefined;
  if (given.refusal) return given.refusal;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const all = await readAll(client, after, vehicleId);
  if (isRefusal(all)) return all;
  const entries = kind === undefined ? all : all.filter((entry) => entry.kind === kind);
  const rows = entries.map((entry) => [
    String(entry.id),
    time(entry.recorded),
    entry.vehicleId ?? '',
    entry.ecuId ?? '',
    `${entry.code} (${entry.row})${entry.attack === undefined ? '' : `: ${entry.attack}`}`,
    entry.detail ?? '',
  ]);
  const heading = ['no', 'recorded', 'vehicle', 'ECU', 'what', 'detail'];
  return {
    lines: rows.length === 0 ? ['none'] : table([heading, ...rows]),
    json: entries.map((entry) => toJson(logEntry, entry)),
  };
}

/** Every entry after one, page by page. */
async function readAll(
  client: OperatorClient,
  from: number,
  vehicleId: string | undefined,
): Promise<readonly LogEntry[] | Refusal> {
  const entries: LogEntry[] = [];
  const only = vehicleId === undefined ? '' : `&vehicle=${encodeURIComponent(vehicleId)}`;
  for (;;) {
    const after = entries.at(-1)?.id ?? from;
    const page = await client.get(`/log?after=${after}${only}`, logPage);
    if (isRefusal(page)) return page;
    entries.push(...page);
    if (page.length < logEntriesPerPage) return entries;
  }
}
