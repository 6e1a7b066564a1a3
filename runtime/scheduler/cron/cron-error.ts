import { RuntimeError } from '../../core/errors.ts'

/** What is wrong with a schedule: in which part, what, and what to write instead. Whole sentences, for people. */
export interface CronProblem {
  /** `minute`, …, `year`; `expression` where no single field is at fault; `timezone`. */
  field: string
  problem: string
  advice: string
}

/** A schedule that is refused: `PARAMS_INVALID`, with the expression and a {@link CronProblem} in `data`. */
export class CronError extends RuntimeError {
  constructor(expression: string, { field, problem, advice }: CronProblem) {
    const place = field === 'expression' || field === 'timezone' ? '' : ` in its ${field} field`
    super('PARAMS_INVALID', `Cannot use the schedule ${JSON.stringify(expression)}${place}: ${problem} ${advice}`, {
      expression,
      field,
      problem,
      advice
    })
  }
}

/** What is wrong with one field, from where neither the whole expression nor its other fields are known. */
export class FieldError extends Error {}
