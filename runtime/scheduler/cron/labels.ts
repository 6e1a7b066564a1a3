/**
 * Names for whole schedules (S2, S3, S4, S6), in any letter case and with or without `@`. The `_long` labels fire as their
 * short forms do; which queue they mean is not decided here.
 */
import { didYouMean } from '../../core/did-you-mean.ts'

const expressionByLabel: ReadonlyMap<string, string> = new Map([
  ['hourly', '0 * * * *'],
  ['hourly_long', '0 * * * *'],
  ['daily', '0 0 * * *'],
  ['daily_long', '0 0 * * *'],
  ['midnight', '0 0 * * *'],
  ['weekly', '0 0 * * 0'],
  ['weekly_long', '0 0 * * 0'],
  ['monthly', '0 0 1 * *'],
  ['monthly_long', '0 0 1 * *'],
  ['yearly', '0 0 1 1 *'],
  ['annual', '0 0 1 1 *'],
  ['annually', '0 0 1 1 *']
])

const names = ['all', ...expressionByLabel.keys()]

/**
 * @param text without surrounding space
 * @returns `all`, the five fields the label stands for, or undefined where it is no label
 */
export function labelled(text: string): string | undefined {
  const label = text.toLowerCase().replace(/^@/, '')
  return label === 'all' ? label : expressionByLabel.get(label)
}

/** What to write instead of something that is neither a label nor five fields. */
export function adviceOnLabels(text: string): string {
  const nearest = didYouMean(text.replace(/^@/, ''), names)
  return `Write 5 fields, such as "*/5 * * * *" for every 5 minutes, or a label: ${names.join(', ')}.${nearest}`
}
