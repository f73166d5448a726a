/**
 * A frame as `candump -L` of can-utils logs it: `(seconds.microseconds) interface id#data`, with
 * `##flags` in an FD frame and `#R` and the length in a remote one. canplayer, log2asc and
 * python-can's CanutilsLogReader read it.
 */
import {
  dataText,
  errorFlag,
  flexibleDataFlag,
  hexadecimal,
  identifierOf,
  identifierText,
  isError,
  isRemote,
  type StampedFrame,
} from './bus-frame.ts';

/** One line, its end included; `name` is the interface's. */
export function formatLogLine({ frame, microseconds }: StampedFrame, name: string): string {
  const seconds = String(Math.floor(microseconds / 1_000_000)).padStart(10, '0');
  const fraction = String(microseconds % 1_000_000).padStart(6, '0');
  const identifier = isError(frame)
    ? hexadecimal(identifierOf(frame) + errorFlag, 8)
    : identifierText(frame);
  let content = dataText(frame);
  if (isRemote(frame)) content = `R${frame.length === 0 ? '' : frame.length}`;
  else if (frame.flexibleDataFlags !== undefined) {
    content = `#${hexadecimal(frame.flexibleDataFlags % flexibleDataFlag, 1)}${content}`;
  }
  return `(${seconds}.${fraction}) ${name} ${identifier}#${content}\n`;
}
