/**
 * OFF-05: in online cycles the Primary also looks at the Director's Offline Snapshot, so that a
 * connected vehicle knows which campaigns are superseded when an old medium is plugged in.
 */
import { isRefusal, type Refusal } from '../codes.ts';
import { verificationContext } from '../ecu/ecu-time.ts';
import { maxOfflineSnapshotBytes } from '../limits.ts';
import { judgeOnlineOfflineSnapshot, offlineAuthority } from '../verify/offline-snapshot.ts';
import { loadRoot, partialRoles } from '../verify/root.ts';
import type { PrimaryContext } from './primary-context.ts';

/**
 * Fetches and judges it, after the Director's metadata was verified. Where Root names no offline
 * roles there is none to ask for.
 * @returns only what ends the cycle: `metadata-rollback`, `metadata-changed-in-place`,
 *   `snapshot-role-removed`
 */
export async function checkOfflineSnapshot({
  state,
  repositories,
}: PrimaryContext): Promise<Refusal | undefined> {
  const context = verificationContext(state);
  const root = loadRoot(context, 'director', partialRoles);
  if (isRefusal(root)) return root;
  if (isRefusal(offlineAuthority(context, root, 'offline-snapshot'))) return undefined;
  const file = await repositories.metadata({
    repository: 'director',
    name: 'offline-snapshot.cbor',
    maxBytes: maxOfflineSnapshotBytes,
  });
  if (file === undefined) return undefined;
  const finding = isRefusal(file)
    ? { goOn: file }
    : judgeOnlineOfflineSnapshot(context, root, file);
  if ('abort' in finding) return finding.abort;
  // OFF-05: logged, and the cycle goes on
  if (finding.goOn !== undefined) {
    const { refused, row, detail } = finding.goOn;
    state.hal.board.log(`offline-snapshot code=${refused} row=${row} detail=${detail}`);
  }
  return undefined;
}
