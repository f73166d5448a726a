/** `ota status` and `ota anomalies`: how the backend is. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { toJson } from '../../http/json-view.ts';
import { anomalyHistory, statusAnswer } from '../../http/messages.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { table, time } from '../format.ts';
import { clientOf, serverOptions } from '../settings.ts';

export const statusCommands: readonly Command[] = [
  {
    name: 'status',
    summary: 'Show counts and versions of the backend',
    positionals: [],
    options: serverOptions,
    run: status,
  },
  {
    name: 'anomalies',
    summary: 'Show the manifests that the Director refused last',
    positionals: [],
    options: serverOptions,
    run: anomalies,
  },
];

async function status(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const answer = await client.get('/status', statusAnswer);
  if (isRefusal(answer)) return answer;
  const images = answer.imagesVersions.map(({ key, value }) => `${key} ${value}`);
  return {
    lines: [
      `vehicles   ${answer.vehicles}, with ${answer.ecus} ECUs`,
      `images     ${answer.images}`,
      `anomalies  ${answer.anomalies}`,
      `Director   Root ${answer.directorRootVersion}`,
      `Images     Root ${answer.imagesRootVersion}${images.map((line) => `, ${line}`).join('')}`,
    ],
    json: toJson(statusAnswer, answer),
  };
}

async function anomalies(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const answer = await client.get('/anomalies', anomalyHistory);
  if (isRefusal(answer)) return answer;
  const rows = answer.map(({ received, vehicleId, code, row, detail }) => [
    time(received),
    vehicleId,
    `${code} (${row})`,
    detail ?? '',
  ]);
  return {
    lines:
      rows.length === 0 ? ['none'] : table([['received', 'vehicle', 'refusal', 'detail'], ...rows]),
    json: toJson(anomalyHistory, answer),
  };
}
