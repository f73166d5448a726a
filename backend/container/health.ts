/**
 * Health check of the container, which has no shell nor curl: status 0 when the operator plane of
 * this machine answers `/healthz`.
 */
import { defaultPorts } from '../settings.ts';

const port = process.env['OPERATOR_PORT'] || defaultPorts.operator;
const timeoutMilliseconds = 4_000;

try {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`, {
    signal: AbortSignal.timeout(timeoutMilliseconds),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
} catch (error) {
  process.stderr.write(`unhealthy: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
