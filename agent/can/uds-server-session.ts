/**
 * The diagnostic session of a UDS server: which one, whose, and until when (S3; ISO 14229-2:2021,
 * §7.2).
 */
import { udsSessionTimeoutMilliseconds } from '../limits.ts';
import { session } from './uds.ts';
import { onlyTester, type UdsHandlers, type UdsRequester } from './uds-handlers.ts';

export class UdsServerSession {
  /** The active diagnostic session. */
  active: number = session.default;
  /** Who opened it; nobody in the default one. */
  private owner: number | undefined;
  /** End of S3 in a session other than the default one. */
  private end: number | undefined;
  private readonly handlers: Partial<UdsHandlers>;
  private readonly onChange: (newSession: number) => void;

  /** @param onChange a session has begun: what was allowed or started in the last one has ended */
  constructor(handlers: Partial<UdsHandlers>, onChange: (newSession: number) => void) {
    this.handlers = handlers;
    this.onChange = onChange;
  }

  /** True when it was this tester that opened the session. */
  isOf(tester: number): boolean {
    return this.owner === tester;
  }

  /** `tester` is there: S3 runs anew. For what takes its time: long messages, pending work. */
  keepAlive(tester: number, nowMs: number): void {
    if (this.end === undefined || tester !== this.owner) return;
    this.end = nowMs + udsSessionTimeoutMilliseconds;
  }

  /** Ends a session whose tester was silent for S3; not to be called while its work is pending. */
  expire(nowMs: number): void {
    if (this.end === undefined || nowMs < this.end) return;
    this.enter(session.default, onlyTester);
  }

  /** When `expire` has to be called (ms on the caller's clock); undefined: no session to end. */
  nextDeadline(): number | undefined {
    return this.end;
  }

  /** Whether the session is closed to `tester`; one that has to give way is ended. */
  belongsToAnother(tester: number): boolean {
    if (this.owner === undefined || this.owner === tester) return false;
    const { holdsSession } = this.handlers;
    const held = holdsSession === undefined || holdsSession.call(this.handlers);
    if (tester > this.owner || held) return true;
    this.enter(session.default, onlyTester);
    return false;
  }

  /** Begins a session; the default one belongs to nobody. */
  enter(newSession: number, requester: UdsRequester): void {
    const isDefault = newSession === session.default;
    this.active = newSession;
    this.owner = isDefault ? undefined : requester.tester;
    this.end = isDefault ? undefined : requester.nowMs + udsSessionTimeoutMilliseconds;
    this.onChange(newSession);
  }
}
