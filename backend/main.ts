/** Starts the backend from the command line: `node backend/main.ts`; SIGTERM or SIGINT stops it. */
import process from 'node:process';
import { isRefusal, type Refusal } from '../agent/codes.ts';
import { readConfiguration } from './configuration.ts';
import { startBackend } from './server.ts';

function fail(refusal: Refusal): void {
  process.stderr.write(`${refusal.refused}: ${refusal.detail}\n`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const configuration = readConfiguration(process.argv.slice(2), process.env);
  if (isRefusal(configuration)) return fail(configuration);
  const backend = await startBackend(configuration);
  if (isRefusal(backend)) return fail(backend);
  const ports = Object.entries(backend.ports).map(([plane, port]) => `${plane}=${port}`);
  process.stdout.write(`listening ${ports.join(' ')}\n`);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    void backend.close();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

await main();
