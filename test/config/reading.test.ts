import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { configFromOptions } from '../../runtime/config/load.ts'
import { places, refusal } from './expect-problems.ts'
import { loadText, project } from './project.ts'

const object = `{
    ...
    "workers": {
        "myqueue": {
            "timeout": 5000, # queue timeout
            "background_workers": 4, # number of workers for this queue
        }
    }
}
`
const fragment = `"workers": {
    "myqueue": {
        "timeout": 5000, # queue timeout
        "background_workers": 4, # number of workers for this queue
    }
}
`
const tabs = (text: string) => text.replaceAll('    ', '\t')

/** Seed row E13: however the sample of the reference is pasted, it means the same. */
const pastes: Readonly<Record<string, string>> = {
  'the sample as it stands': object,
  'on one line, trailing commas': '{ "workers": { "myqueue": { "timeout": 5000, "background_workers": 4, }, }, }',
  'without the line of dots': object.replace('    ...\n', ''),
  'dots with a comma': object.replace('...', '...,'),
  'with tabs': tabs(object),
  'with line ends of Windows': tabs(object).replaceAll('\n', '\r\n'),
  'with a byte order mark': `\ufeff${object}`,
  'comment right after a comma': object.replaceAll(', #', ',#'),
  'without outer braces': fragment,
  'without outer braces, tabs': tabs(fragment),
  'without outer braces, trailing comma': `# pasted\n\n${fragment.trimEnd()},\n`,
  'without outer braces, no indentation': fragment.replace(/^ +/gm, ''),
  'without outer braces, indented as a whole': object.split('\n').slice(1, -2).join('\n'),
  'without quotes': fragment.replaceAll('"', ''),
  'without quotes, tabs': tabs(fragment).replaceAll('"', ''),
  'below keys of YAML, tabs': `actors: actors\n${tabs(fragment)}`,
  'as YAML': 'workers:\n  myqueue:\n    timeout: 5000 # queue timeout\n    background_workers: 4\n'
}

for (const [how, text] of Object.entries(pastes)) {
  test(`the reference's sample: ${how}`, (t) => {
    const { queues } = loadText(t, text)
    assert.deepEqual([...queues.keys()], ['short', 'default', 'long', 'myqueue'])
    assert.equal(queues.get('myqueue')?.timeoutMs, 5_000_000)
    assert.equal(queues.get('myqueue')?.backgroundWorkers, 4)
  })
}

test('places are right in every reading', (t) => {
  const wrong = fragment.replace('5000', 'soon')
  for (const [text, place] of [
    [object.replace('5000', 'soon'), '5:13'],
    [tabs(object).replace('5000', 'soon'), '5:4'],
    [wrong, '3:9'],
    [tabs(wrong), '3:3'],
    [`${wrong.trimEnd()},\n`, '3:9'],
    [`actors: a\n${tabs(wrong)}`, '4:3'],
    [wrong.replaceAll('\n', '\r\n'), '3:9']
  ] as const) {
    assert.deepEqual(places(refusal(() => loadText(t, text)).problems), [`${place} workers.myqueue.timeout`], text)
  }
})

for (const [what, text] of Object.entries({
  nothing: '',
  'blank lines': ' \n\n',
  'only comments': '# nothing\n#\n',
  'an empty object': '{}',
  'an empty document': '---\n',
  'keys with nothing behind them': 'workers:\n  short:\nschedulerEvents:\n'
})) {
  test(`a file of ${what} means the defaults`, (t) => {
    const { queues, dataDir } = loadText(t, text)
    assert.deepEqual([...queues.keys()], ['short', 'default', 'long'])
    assert.deepEqual(queues.get('short')?.timeoutMs, 300_000)
    assert.match(dataDir, /\.runtime$/)
  })
}

test('the default configuration of the project says what the defaults are', (t) => {
  const shipped = project(t, { 'config/runtime.yaml': readFileSync(join('config', 'runtime.yaml')) })
  const defaults = configFromOptions({ socket: '.runtime/runtime.sock' }, shipped.folder)
  assert.deepEqual(shipped.load(), { ...defaults, file: join(shipped.folder, 'config/runtime.yaml') })
})

test('what is commented out in the default configuration is valid', (t) => {
  const text = readFileSync(join('config', 'runtime.yaml'), 'utf8').replace(/^ {2}# ( *\w+:)/gm, '  $1')
  const { actors, queues } = loadText(t, text)
  const folder = dirname(actors[0]!)
  assert.deepEqual(queues.get('mail'), {
    name: 'mail',
    timeoutMs: 30_000,
    backgroundWorkers: 4,
    attempts: 5,
    backoff: { type: 'exponential', delayMs: 1000, maxMs: 3_600_000, jitter: 0.2, delaysMs: [] },
    maxQueued: 100_000,
    softTimeoutMs: 5_000,
    isolation: 'process',
    memoryLimitMb: 512,
    minHosts: 1,
    hostIdleMs: 300_000,
    env: { LOCALE: 'de', MAIL_PASSWORD: true },
    permissions: {
      read: [join(folder, 'templates')],
      write: [join(folder, 'outbox')],
      childProcess: true,
      addons: true,
      worker: true
    },
    retryOn: ['TIMEOUT', 'ECONNRESET'],
    noRetryOn: ['TypeError'],
    rateLimit: { max: 100, perMs: 1_000 },
    keyRateLimit: { max: 10, perMs: 60_000 },
    ageingMs: 600_000,
    retention: {
      completed: { ageMs: 7 * 86_400_000, count: 100_000, bytes: 64_000_000 },
      failed: { ageMs: 30 * 86_400_000, count: null, bytes: null },
      cancelled: { ageMs: 86_400_000, count: null, bytes: null }
    }
  })
})

for (const [text, line, column, message] of [
  ['actors: [a\ndataDir: b\n', 2, 1, /not valid YAML or JSON/],
  ['{\n  "dataDir": "a"\n  "actors": "b"\n}', 3, 3, /Missing ,/],
  ['workers:\n\tmail:\n', 2, 1, /tab/],
  // Tabs and spaces that would decide a nesting.
  ['workers:\n\tmail:\n  timeout: 5\n', 2, 1, /tab/],
  ['dataDir: a\n---\ndataDir: b\n', 2, 1, /second document/],
  ['dataDir: !!binary aGk=\n', 1, 10, /tag/],
  ['? [a]\n: b\n', 1, 3, /key must be a text/],
  ['dataDir: *a\n', 1, 10, /anchor/],
  ['workers: &w {x: *w}', 1, 13, /nested too deeply/],
  // Must not be read between braces, where "x\nactors" is one text.
  ['"dataDir": x\nactors\n', 2, 1, /not valid YAML or JSON/],
  ['"dataDir": "x",\n"socket": y\nz,\n', 1, 15, /not valid YAML or JSON/]
] as const) {
  test(`refused where the syntax breaks: ${JSON.stringify(text)}`, (t) => {
    const { problems } = refusal(() => loadText(t, text))
    assert.match(problems[0]?.message ?? '', message)
    assert.equal(`${problems[0]?.line}:${problems[0]?.column}`, `${line}:${column}`)
  })
}

test('any depth of nesting is refused, not a crash of the process', (t) => {
  const deep = ['[', '{', '{a: ', '- ', '? ', 'a: [', '"workers": {'].map((open) => open.repeat(20_000))
  deep.push(Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'))
  for (const text of deep) {
    const { problems } = refusal(() => loadText(t, `actors: a\n${text}`))
    assert.match(problems[0]?.message ?? '', /nested too deeply/)
    assert.ok((problems[0]?.line ?? 0) >= 2, `${problems[0]?.line}`)
  }
})

test('aliases that grow exponentially are refused', (t) => {
  const lines = ['workers: &a0 {x: {}}']
  for (let level = 1; level < 30; level++) lines.push(`k${level}: &a${level} [*a${level - 1}, *a${level - 1}]`)
  assert.match(refusal(() => loadText(t, lines.join('\n'))).error.message, /too large/)
})

test('an anchor serves several queues', (t) => {
  const { queues } = loadText(t, 'workers:\n  a: &usual { timeout: 5, attempts: 3 }\n  b: *usual\n')
  assert.deepEqual({ ...queues.get('b'), name: 'a' }, queues.get('a'))
  assert.equal(queues.get('b')?.attempts, 3)
})

test('a file that is not UTF-8 is refused', (t) => {
  const { load, folder } = project(t, { 'config/runtime.yaml': Buffer.from('dataDir: caf\xe9\n', 'latin1') })
  const { problems } = refusal(load)
  assert.equal(problems[0]?.file, join(folder, 'config/runtime.yaml'))
  assert.match(problems[0]?.message ?? '', /UTF-8/)
})
