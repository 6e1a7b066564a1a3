/**
 * The OpenRPC document that `rpc.discover` answers with (https://spec.open-rpc.org), made from the method table.
 */
import { errorCodes } from '../core/errors.ts'
import { type MethodDefinition, protocolMethods } from './methods.ts'

/** Version of the protocol: the first number grows when a client of an older one could break. */
const protocolVersion = '1.0.0'

let document: object | undefined

/** @returns an OpenRPC 1.3 document of every method; plain data, built once */
export function openRpcDocument(): object {
  document ??= withoutFormats({
    openrpc: '1.3.2',
    info: {
      title: 'actor-runtime',
      version: protocolVersion,
      description: 'Durable background jobs on one machine. JSON-RPC 2.0 over a Unix socket; see PROTOCOL.md.'
    },
    methods: Object.entries(protocolMethods).map(([name, definition]) => toMethod(name, definition))
  })
  return document
}

function toMethod(name: string, { summary, params, result, errors }: MethodDefinition): object {
  return {
    name,
    summary,
    paramStructure: 'either',
    params: Object.entries(params.properties).map(([key, schema]) => ({
      name: key,
      required: params.required?.includes(key) ?? false,
      schema
    })),
    result: { name: 'result', schema: result },
    errors: ['PARAMS_INVALID' as const, ...errors].map((code) => ({
      code: errorCodes[code].rpc,
      message: errorCodes[code].meaning,
      data: { code }
    }))
  }
}

/** Our formats `duration` and `instant` are not those that JSON Schema validators know by these names. */
function withoutFormats(value: object): object {
  return JSON.parse(
    JSON.stringify(value, (key, part) => (key === 'format' && typeof part === 'string' ? undefined : part))
  )
}
