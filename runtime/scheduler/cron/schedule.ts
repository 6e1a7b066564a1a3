/** Stand-in until the dialect is there. */
import { CronExpressionParser } from 'cron-parser'
import { RuntimeError } from '../../core/errors.ts'

export interface Schedule {
  nextAfter(atMs: number): number | null
}

const labels: Record<string, string> = {
  hourly: '0 * * * *',
  daily: '0 0 * * *',
  midnight: '0 0 * * *',
  weekly: '0 0 * * 0',
  monthly: '0 0 1 * *',
  yearly: '0 0 1 1 *',
  annual: '0 0 1 1 *'
}

export function parseSchedule(
  expression: string,
  { timezone, tickIntervalS }: { timezone: string; seed: string; tickIntervalS: number }
): Schedule {
  if (expression === 'all') {
    const everyMs = tickIntervalS * 1000
    return { nextAfter: (atMs) => (Math.floor(atMs / everyMs) + 1) * everyMs }
  }
  const text = labels[expression.replace(/^@/, '').replace(/_long$/, '')] ?? expression
  const fields = text.trim().split(/\s+/)
  if (fields.length < 5) throw new RuntimeError('CONFIG_INVALID', `"${expression}" has too few fields`)
  const cron = fields.length === 6 ? [fields[5], ...fields.slice(0, 5)].join(' ') : text
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
    CronExpressionParser.parse(cron, { tz: timezone })
  } catch (error) {
    throw new RuntimeError('CONFIG_INVALID', `"${expression}" in ${timezone}: ${(error as Error).message}`)
  }
  return {
    nextAfter: (atMs) => {
      try {
        return CronExpressionParser.parse(cron, { tz: timezone, currentDate: new Date(atMs) }).next().getTime()
      } catch {
        return null
      }
    }
  }
}
