/**
 * The parts of PROTOCOL.md that are made from the tables, as Markdown. `protocol.test.ts` holds the document against them,
 * and writes them when `UPDATE_PROTOCOL=1`.
 */
import { errorCodes } from '../../runtime/core/errors.ts'
import { standardErrors } from '../../runtime/rpc/json-rpc.ts'
import { type MethodDefinition, protocolMethods } from '../../runtime/rpc/methods.ts'
import { eventNoticeSchema, type JsonSchema } from '../../runtime/rpc/view-schemas.ts'

/** Each generated part by the name of its markers. */
export function generatedParts(): Record<string, string> {
  return { errors: errorTable(), methods: methodReference(), shapes: shapeReference() }
}

function errorTable(): string {
  const standard = Object.values(standardErrors).map(({ rpc, meaning }) => [rpc, '–', meaning])
  const own = Object.entries(errorCodes).map(([code, { rpc, meaning }]) => [rpc, `\`${code}\``, meaning])
  return table(['code', '`data.code`', 'meaning'], [...standard, ...own])
}

function methodReference(): string {
  return Object.entries(protocolMethods)
    .map(([name, definition]) => methodSection(name, definition))
    .join('\n\n')
}

function methodSection(name: string, { summary, params, result, errors }: MethodDefinition): string {
  const parts = [`### \`${name}\``, summary]
  const rows = propertyRows(params)
  if (rows.length > 0) parts.push(table(['param', 'type', 'meaning'], rows))
  else parts.push('No params.')
  parts.push(`Result: ${typeText(result)}`)
  if (errors.length > 0) parts.push(`Errors: ${errors.map((code) => `\`${code}\``).join(', ')}`)
  return parts.join('\n\n')
}

/** Schemas with a title are described once and named elsewhere. */
function shapeReference(): string {
  const shapes = new Map<string, JsonSchema>()
  for (const { result } of Object.values(protocolMethods)) collectShapes(result, shapes)
  collectShapes(eventNoticeSchema, shapes)
  return [...shapes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([title, schema]) => {
      const heading = `### ${title}\n\n${schema.description}`
      return `${heading}\n\n${table(['field', 'type', 'meaning'], propertyRows(schema))}`
    })
    .join('\n\n')
}

function collectShapes(schema: JsonSchema, shapes: Map<string, JsonSchema>): void {
  if (schema.title !== undefined) shapes.set(schema.title, schema)
  for (const property of Object.values(schema.properties ?? {})) collectShapes(property as JsonSchema, shapes)
  if (schema.items !== undefined) collectShapes(schema.items, shapes)
}

function propertyRows(schema: JsonSchema): string[][] {
  return Object.entries<JsonSchema>(schema.properties).map(([key, property]) => {
    const optional = schema.required?.includes(key) ? '' : '?'
    return [
      `\`${key}\`${optional}`,
      typeText(property),
      property.title === undefined ? (property.description ?? '') : ''
    ]
  })
}

function typeText(schema: JsonSchema): string {
  if (schema.title !== undefined) return `[${schema.title}](#${schema.title.toLowerCase()})`
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value: unknown) => `\`${value}\``).join(', ')
  if (schema.format === 'expiry') return 'duration or instant'
  if (schema.format !== undefined) return schema.format === 'instant' ? 'instant' : 'duration'
  const types = ([] as string[]).concat(schema.type ?? 'any')
  return types.map((type) => typeName(type, schema)).join(' or ')
}

function typeName(type: string, schema: JsonSchema): string {
  if (type === 'array') {
    const items = typeText(schema.items)
    return items.includes(' or ') ? `list of (${items})` : `list of ${items}`
  }
  if (type !== 'object' || schema.properties === undefined) return type
  if (schema.additionalProperties === false) return 'object'
  const fields = Object.entries<JsonSchema>(schema.properties).map(([key, field]) => {
    return `\`${key}\`: ${typeText(field)}${field.description === undefined ? '' : ` (${field.description})`}`
  })
  return `{ ${fields.join('; ')} }`
}

function table(heads: string[], rows: readonly (readonly (string | number)[])[]): string {
  return [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
