/** Runs the agent's unit tests inside QuickJS-ng, on the crypto of an ECU's binary. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runCommand } from '../runner/child.ts';
import { judge, type Verdict } from '../runner/judge.ts';
import { bundleForEngine, needsNode } from './bundle.ts';
import { leftOut } from './left-out.ts';
import { createNodeSide } from './node-calls.ts';

/** Where `make provider-hosts` puts the host. */
export const engineHost = 'out/native/engine-host';
/** Name under which `make test` lists and chooses (ONLY=quickjs) these runs. */
export const quickJsPrefix = 'quickjs/';

/** Groups of test files that one process runs: those of one folder, without what is left out. */
export function quickJsGroups(paths: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const path of paths) {
    if (!path.startsWith('unit/')) continue;
    if (Object.keys(leftOut).some((prefix) => path.startsWith(prefix))) continue;
    const folder = dirname(path);
    groups.set(folder, [...(groups.get(folder) ?? []), path]);
  }
  return groups;
}

/**
 * Runs one group, but those of it that need what only Node has: `print` gets a line for each.
 * @param bundles folder for the script
 */
export async function runGroup(
  name: string,
  paths: readonly string[],
  bundles: string,
  milliseconds: number,
  everythingInstalled: boolean,
  print: (line: string) => void,
): Promise<Verdict & { readonly output: string }> {
  if (!existsSync(engineHost)) {
    const reason = 'the engine is not built: make provider-hosts, which installs its packages';
    const result = { status: 0, output: `skipped: ${paths.length} files: ${reason}` };
    const ended = { ...result, id: undefined, timedOut: false, leftovers: false };
    return { ...judge(ended, everythingInstalled), output: result.output };
  }
  const fitting: string[] = [];
  for (const path of paths) {
    const reason = await needsNode(path);
    if (reason === undefined) fitting.push(path);
    else print(`not inside QuickJS: ${path}: ${reason}`);
  }
  const script = join(bundles, `${quickJsPrefix}${name}.js`);
  const problem = await bundleForEngine(fitting, script);
  if (problem !== undefined) {
    const reasons = [
      'cannot be bundled for the engine: test/quickjs/left-out.ts says what may not',
    ];
    return { passed: 0, failed: 1, skips: [], reasons, output: problem };
  }
  const answer = createNodeSide();
  const result = await runCommand([engineHost, script], milliseconds, { answer });
  return { ...judge(result, everythingInstalled), output: result.output };
}
