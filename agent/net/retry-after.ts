/**
 * How long a peer asks to be left alone (Retry-After, RFC 9110 §10.2.3): seconds, or a date. The
 * agent has no clock of the day that it would believe without an attestation, so a date is measured
 * against the Date of the same answer: both are of the peer's clock. Without that it says nothing.
 */
import { maxRetryAfterSeconds } from '../limits.ts';
import { parseDigits } from './digits.ts';

const maxSecondsDigits = 15;
const months = 'JanFebMarAprMayJunJulAugSepOctNovDec';
const secondsPerDay = 86_400;

/**
 * @param text value of Retry-After; `date` that of Date in the same answer
 * @returns seconds, at most `maxRetryAfterSeconds`; undefined when the peer asks for nothing
 */
export function parseRetryAfter(
  text: string | undefined,
  date: string | undefined,
): number | undefined {
  if (text === undefined) return undefined;
  const seconds = parseDigits(text, maxSecondsDigits) ?? secondsUntil(text, date);
  return seconds === undefined ? undefined : Math.min(seconds, maxRetryAfterSeconds);
}

function secondsUntil(text: string, date: string | undefined): number | undefined {
  const until = parseDate(text);
  const now = date === undefined ? undefined : parseDate(date);
  if (until === undefined || now === undefined) return undefined;
  return Math.max(0, until - now);
}

/** Seconds of an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`) since 1 March of the year 0. */
function parseDate(text: string): number | undefined {
  const number = (from: number, length: number) =>
    parseDigits(text.substring(from, from + length), length);
  const marks = text.charAt(3) + text.charAt(7) + text.charAt(11) + text.charAt(16);
  const colons = text.charAt(19) + text.charAt(22);
  if (text.length !== 29 || marks + colons !== ',   ::' || text.substring(25) !== ' GMT') {
    return undefined;
  }
  const position = months.indexOf(text.substring(8, 11));
  const day = number(5, 2);
  const year = number(12, 4);
  const [hour, minute, second] = [number(17, 2), number(20, 2), number(23, 2)];
  const isMonth = position >= 0 && position % 3 === 0;
  if (!isMonth || day === undefined || day < 1 || day > 31 || year === undefined) return undefined;
  if (hour === undefined || minute === undefined || second === undefined) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  // Counted from March, so that the leap day is a year's last.
  const month = (position / 3 + 10) % 12;
  const years = month >= 10 ? year - 1 : year;
  const leapDays = Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400);
  const days = years * 365 + leapDays + Math.floor((month * 153 + 2) / 5) + day - 1;
  return days * secondsPerDay + hour * 3_600 + minute * 60 + second;
}
