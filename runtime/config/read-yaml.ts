/**
 * Text of a configuration file to {@link Written}, with the place of everything.
 *
 * The text is YAML 1.2, of which JSON with `#` comments and trailing commas is a part. Samples pasted from a page are
 * often a little more than that (seed row E13), so where the text as it stands is no YAML, two further readings are tried
 * and taken only if they have no error at all:
 *
 * 1. Tabs that indent lines inside `{}` or `[]`: YAML refuses them below a block key although they mean nothing there.
 *    Each counts as one space, so every place stays right. Tabs that would decide a nesting stay an error.
 * 2. A fragment cut out of a JSON object, `"workers": {…},`: it is read with braces around it.
 *
 * In every reading, a comment may follow a comma without a space, and an indented line of dots (`...`, "and so on" in
 * the reference's sample) is blank.
 */
import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'
import { jsonDepthMax } from '../core/limits.ts'
import type { PlacedProblem, Position } from './problems.ts'
import type { Reading, Written, WrittenEntry } from './written.ts'

const require = createRequire(import.meta.url)
/** Loaded with the first file: without one nobody needs it. */
const yaml = (): typeof Yaml => require('yaml')

/** Nodes of one file with its aliases expanded: more is an accident or an attack (aliases of aliases grow exponentially). */
const nodesMax = 100_000
/** One slip of syntax often causes a train of errors; the first ones tell the story. */
const syntaxProblemsMax = 20

interface Parsed {
  document: Yaml.Document.Parsed
  problems: PlacedProblem[]
  positionOf(offset: number): Position
}

/** Reads the text of a file. The problems are those of syntax; an empty text or one of comments only is a scalar null. */
export function readYaml(text: string): Reading {
  const source = text.replace(/^[ \t]+(?:\.{3}|…),?[ \t]*$/gm, toSpaces)
  const parsed = parse(source, 0)
  if (parsed.problems.length === 0) return convert(parsed)
  const other = readTabbed(source) ?? readFragment(source)
  return other === undefined ? { root: nothing, problems: parsed.problems } : convert(other)
}

const nothing: Written = { type: 'scalar', at: { line: 1, column: 1 }, value: null }

/** @param linesBefore lines that were put before the user's text */
function parse(source: string, linesBefore: number): Parsed {
  const { Composer, LineCounter, YAMLParseError } = yaml()
  const lines = new LineCounter()
  const { tokens, tooDeepAt } = tokensOf(source, lines)
  const composer = new Composer({
    prettyErrors: false,
    resolveKnownTags: false,
    // Told by the check of the options, together with two spellings of one key.
    uniqueKeys: false
  })
  const [first, second] = composer.compose(tokens, true, source.length) as Iterable<Yaml.Document.Parsed>
  // Without any it would be an empty one.
  const document = first!
  if (second !== undefined) {
    document.errors.push(new YAMLParseError([second.range[0], second.range[1]], 'MULTIPLE_DOCS', ''))
  }
  const positionOf = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line - linesBefore), column: col }
  }
  if (tooDeepAt !== undefined) {
    return {
      document: document,
      problems: [{ at: tooDeepAt, path: '', message: 'is nested too deeply.' }],
      positionOf
    }
  }
  const problems = [...document.errors, ...document.warnings]
    .filter(({ code, pos }) => !(code === 'MISSING_CHAR' && source[pos[0]] === '#'))
    .slice(0, syntaxProblemsMax)
    .map(({ code, message, pos }) => ({
      at: positionOf(pos[0]),
      path: '',
      message: syntaxMessages[code] ?? `is not valid YAML or JSON: ${message}.`
    }))
  return { document: document, problems, positionOf }
}

/**
 * The nodes are composed by recursion, and V8 aborts the process (it does not throw) where a stack overflow meets the
 * compilation of a regular expression. Lexer and token parser keep a stack of their own, so that tells first.
 */
function tokensOf(source: string, lines: Yaml.LineCounter): { tokens: Yaml.CST.Token[]; tooDeepAt?: Position } {
  const { Lexer, Parser } = yaml()
  lines.addNewLine(0)
  const parser = new Parser(lines.addNewLine)
  const tokens: Yaml.CST.Token[] = []
  for (const lexeme of new Lexer().lex(source)) {
    tokens.push(...parser.next(lexeme))
    if (parser.stack.length <= 2 * jsonDepthMax) continue
    const before = source.slice(0, parser.offset).split('\n')
    return { tokens: [], tooDeepAt: { line: before.length, column: (before.at(-1) ?? '').length + 1 } }
  }
  tokens.push(...parser.end())
  return { tokens }
}

/** Where the words of the parser are for programmers. */
const syntaxMessages: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document starts here; a configuration is one document. Remove the line "---" or "...".',
  TAB_AS_INDENT: 'a tab indents this line; YAML wants spaces.'
}

const tabIndent = /^[ \t]*\t[ \t]*(?=[^\s#])/gm

function readTabbed(source: string): Parsed | undefined {
  const tabbed = [...source.matchAll(tabIndent)].map((match) => match.index + match[0].length)
  if (tabbed.length === 0) return undefined
  const parsed = parse(source.replace(tabIndent, toSpaces), 0)
  if (parsed.problems.length > 0) return undefined
  const braced: (readonly [number, number])[] = []
  yaml().visit(parsed.document, {
    Collection(_, node) {
      if (node.flow === true && node.range) braced.push([node.range[0], node.range[1]])
    }
  })
  return tabbed.every((offset) => braced.some(([start, end]) => start < offset && offset < end)) ? parsed : undefined
}

function toSpaces(text: string): string {
  return ' '.repeat(text.length)
}

/** A quoted key, or a key whose value opens a brace, after comments and blank lines. */
const fragmentStart = /^(?:\s|#.*\n)*(?:"|[\w-]+[ \t]*:\s*[{[])/

function readFragment(source: string): Parsed | undefined {
  if (!fragmentStart.test(source)) return undefined
  const parsed = parse(`{\n${source}\n}`, 1)
  if (parsed.problems.length > 0) return undefined
  // Between braces a text without quotes goes on over line breaks: `dataDir: x` and a stray `y` below would be "x y".
  let spansLines = false
  yaml().visit(parsed.document, {
    Scalar(_, node) {
      if (node.type !== 'PLAIN' || !node.range) return
      spansLines ||= parsed.positionOf(node.range[0]).line !== parsed.positionOf(node.range[1]).line
    }
  })
  return spansLines ? undefined : parsed
}

function convert({ document, positionOf }: Parsed): Reading {
  const { isAlias, isMap, isScalar, isSeq } = yaml()
  const problems: PlacedProblem[] = []
  let nodes = 0
  const root = document.contents === null ? nothing : read(document.contents, 0)
  return { root, problems }

  function read(node: Yaml.Node | null, depth: number): Written {
    if (node === null) return nothing
    nodes += 1
    if (nodes > nodesMax || depth > jsonDepthMax) return refuse(node, 'is nested too deeply, or is too large.')
    const at = place(node)
    if (isMap<Yaml.Node, Yaml.Node | null>(node)) {
      return { type: 'map', at, entries: node.items.flatMap((pair) => readEntry(pair.key, pair.value, depth)) }
    }
    if (isSeq<Yaml.Node | null>(node))
      return { type: 'list', at, items: node.items.map((item) => read(item, depth + 1)) }
    if (isScalar(node)) return { type: 'scalar', at, value: node.value }
    const target = isAlias(node) ? node.resolve(document) : undefined
    return target === undefined ? refuse(node, 'names an anchor that is not above it.') : read(target, depth + 1)
  }

  function readEntry(key: Yaml.Node, value: Yaml.Node | null, depth: number): WrittenEntry[] {
    if (!isScalar(key)) {
      refuse(key, 'a key must be a text.')
      return []
    }
    // As written: the queue `007` is not the queue `7`.
    const name = key.type === 'PLAIN' ? (key.source ?? '') : String(key.value)
    return [{ key: name, at: place(key), value: read(value, depth + 1) }]
  }

  function refuse(node: Yaml.Node, message: string): Written {
    if (problems.length < syntaxProblemsMax) problems.push({ at: place(node), path: '', message })
    return nothing
  }

  function place(node: Yaml.Node): Position {
    return positionOf(node.range?.[0] ?? 0)
  }
}
