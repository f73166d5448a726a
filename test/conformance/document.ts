/** Writes the judged rows as docs/conformance.md. */
import type { Judged, Table } from './table.ts';

export const documentPath = 'docs/conformance.md';

const head = `# Conformance

Written by \`make conformance\`; \`make ci\` fails when it is stale, or when a row that is neither a
recommendation (S) nor an option (O) has no test.

The rows restate Uptane Standard 2.1.0 with its Deployment Best Practices (DBP), offline updates
(PURE-2), the contents of a POUF, our own hardening rules (HRD) and the attacks to be shown (ATK).
Levels: M SHALL, M\\* a SHOULD that another SHALL leads through, C conditional SHALL. Parties: P
Primary, SF and SP Secondary with full and partial verification, E these three, D Director, I Image
repository, R both, V integrator.

**tested**: places in the code name the row, and so do tests. **excluded**: the condition cannot
arise; POUF §6.3 has the reason, a test shows that the case is refused. **process**: for the
integrator, in the document named. **taken**, **not taken**: a recommendation or option, answered in
POUF §6.1. \`make mutants\` removes every check that names a row, and shows that a test named after
that row then fails.
`;

/** The whole document, equal for equal input. */
export function documentOf({ rows }: Table): string {
  const sections = new Map<string, Judged[]>();
  for (const judged of rows) {
    const group = judged.row.id.replace(/-\d\d$/, '');
    sections.set(group, [...(sections.get(group) ?? []), judged]);
  }
  const lines = [head, summaryOf(rows)];
  for (const [group, members] of sections) {
    lines.push(`## ${group}`, '');
    lines.push('| Row | Level | Party | § | Requirement | Status | Code | Tests |');
    lines.push('|---|---|---|---|---|---|---|---|');
    for (const { row, status, places, tests } of members) {
      const cells = [
        row.id,
        row.level.replace('*', '\\*'),
        row.party,
        row.section,
        row.requirement.replaceAll('|', '\\|').replaceAll('*', '\\*'),
        status,
        shortened(places),
        shortened(tests),
      ];
      lines.push(`| ${cells.join(' | ')} |`);
    }
    lines.push('');
  }
  return lines.join('\n');
}

/** How many rows of each level have each status. */
function summaryOf(rows: readonly Judged[]): string {
  const levels = [...new Set(rows.map(({ row }) => row.level))];
  const statuses = ['tested', 'excluded', 'process', 'taken', 'not taken', 'open'] as const;
  const lines = [`| Level | Rows | ${statuses.join(' | ')} |`, `|---|---|${'---|'.repeat(6)}`];
  for (const level of levels) {
    const members = rows.filter(({ row }) => row.level === level);
    const counts = statuses.map(
      (status) => members.filter((one) => one.status === status).length || '',
    );
    lines.push(`| ${level.replace('*', '\\*')} | ${members.length} | ${counts.join(' | ')} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** At most four; a search for the row's id finds the others. */
function shortened(texts: readonly string[]): string {
  const shown = texts.slice(0, 4).map((text) => (text.includes('“') ? text : `\`${text}\``));
  return [...shown, ...(texts.length > 4 ? [`+${texts.length - 4}`] : [])].join('<br>');
}
