/** The main figures as bars, an SVG that needs nothing but itself. Each panel has a scale of its own. */
import type { QuestionName } from './question.ts'
import { type Results, short } from './report.ts'
import { answerOf, summary } from './results.ts'
import { queueNames } from './systems.ts'

interface Panel {
  title: string
  question: QuestionName
  figure: string
}

const panels: readonly Panel[] = [
  { title: 'No-op jobs completed per second', question: 'completion', figure: 'completed' },
  { title: 'Enqueued per second, 1,000 calls in flight', question: 'enqueue', figure: '1000 in flight' },
  { title: 'Enqueued per second, groups of 1,000', question: 'bulk', figure: 'groups of 1000' },
  { title: 'Enqueued and completed per second', question: 'cycle', figure: 'enqueued and completed' },
  {
    title: 'From call to handler at 200/s, p99, ms (less is better)',
    question: 'latency',
    figure: 'start p99 at 200/s'
  }
]
const width = 760
const nameWidth = 190
const barWidthMax = 440
const rowHeight = 20
const barHeight = 14
const panelGap = 44

export function svg(results: Results): string {
  let top = 16
  const parts: string[] = []
  for (const { title, question, figure } of panels) {
    const bars = queueNames.flatMap((name) => {
      const found = summary(answerOf(results.answers, question, name), figure)
      return found === undefined ? [] : [{ name, ...found }]
    })
    if (bars.length === 0) continue
    const most = Math.max(...bars.map(({ median }) => median))
    parts.push(text(0, top, title, 'title'))
    top += 12
    for (const { name, median, unit } of bars) {
      const length = Math.max(1, (median / most) * barWidthMax)
      const middle = top + rowHeight / 2 + 4
      parts.push(
        text(nameWidth - 8, middle, name, 'name'),
        `<rect x="${nameWidth}" y="${top + 3}" width="${length.toFixed(1)}" height="${barHeight}" class="${name.startsWith('ours') ? 'ours' : 'peer'}"/>`,
        text(nameWidth + length + 6, middle, `${short(median)}${unit === 'jobs/s' ? '' : ` ${unit}`}`, 'value')
      )
      top += rowHeight
    }
    top += panelGap
  }
  const { machine, at } = results
  parts.push(
    text(0, top - 12, `${machine.cores} × ${machine.processor}, Node ${machine.node}, ${at.slice(0, 10)}`, 'note')
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -4 ${width + 24} ${top + 8}" font-family="system-ui, sans-serif" font-size="12" role="img">
<title>${escaped(panels.map(({ title }) => title).join(' · '))}</title>
<style>
rect.ours { fill: #1a7f37 } rect.peer { fill: #8c959f }
text { fill: #1f2328 } .title { font-weight: 600; font-size: 13px } .name { text-anchor: end } .note { fill: #656d76 }
</style>
<rect x="-12" y="-4" width="${width + 24}" height="${top + 8}" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`
}

function text(x: number, y: number, content: string, name: string): string {
  return `<text x="${x.toFixed(1)}" y="${y}" class="${name}">${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
