/** The part of logic-solver that the Director uses; the package has no types of its own. */
declare module 'logic-solver' {
  namespace Logic {
    /** A variable's name, or what the functions below make. */
    type Formula = string | { readonly guid: number };

    interface Solution {
      getTrueVars(): string[];
    }

    class Solver {
      require(...formulas: readonly Formula[]): void;
      solve(): Solution | null;
      minimizeWeightedSum(
        solution: Solution,
        formulas: readonly Formula[],
        weights: number | readonly number[],
      ): Solution | null;
    }

    function not(formula: Formula): Formula;
    function or(...formulas: readonly Formula[]): Formula;
    function implies(a: Formula, b: Formula): Formula;
    function exactlyOne(...formulas: readonly Formula[]): Formula;
  }
  export default Logic;
}
