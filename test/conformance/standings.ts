/**
 * The few rows that no test of the product can show: because their condition is excluded by the
 * design, or because they are the integrator's to do. Each list stays short, and is printed.
 */

export const maxExcluded = 11;
export const maxProcess = 11;

/** Rows whose condition cannot arise here. The reason stands in the POUF, §6.3; a test with the
 * row's id shows that the case is refused. */
export const excluded: readonly string[] = ['VIM-05', 'VIM-07', 'INS-10'];

/** Rows for whoever builds and runs a vehicle, with the document and heading that tells them. */
export const process: Readonly<
  Record<string, { readonly path: string; readonly heading: string }>
> = {
  'GEN-01': { path: 'docs/POUF.md', heading: '6.2 What is not built' },
};
