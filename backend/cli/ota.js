#!/usr/bin/env node
/**
 * Launcher of the operator's command line, in plain JavaScript so that any Node ≥ 20 starts it:
 * runs main.ts in this process when this Node is new enough, otherwise in the project's own one.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The first release that runs TypeScript unflagged and has ML-DSA and ML-KEM of its own. */
const leastMajor = 24;
const leastMinor = 6;

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) {
  await import(pathToFileURL(main).href);
} else {
  runUnder(projectNode());
}

function projectNode() {
  const folder = `../../.node/node_modules/node-linux-${process.arch}/bin/node`;
  const path = fileURLToPath(new URL(folder, import.meta.url));
  if (existsSync(path)) return path;
  process.stderr.write(
    `ota: needs Node ${leastMajor}.${leastMinor} or newer; this is ${process.versions.node}.\n` +
      `Run 'make setup' in the project's folder: it installs one beside the project.\n`,
  );
  process.exit(1);
}

function runUnder(node) {
  // The channel carries nothing: its end tells the command that this launcher was killed.
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const forward = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    process.stderr.write(`ota: cannot run ${node}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    for (const name of signals) process.removeListener(name, forward);
    // Ended by a signal: end the same way, so that the caller sees what happened.
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}
